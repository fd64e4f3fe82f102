"""The subcommand `check`: find what is wrong with a connector. The command line imports this file for it."""

from __future__ import annotations

import glob
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from spiffproxy_classes import (
    SIGNATURE,
    check_module,
    check_other_files,
    find_line,
    list_sources,
    names_used_in,
    parse_file,
)

from spiffproxy import (
    KINDS,
    LIST_SECONDS,
    Connector,
    Proxy,
    ProxyError,
    SettingError,
    import_part,
    list_available,
    suggest_name,
)

if TYPE_CHECKING:
    from typing import TextIO

# the singular of each kind, for people
NOUNS = {"commands": "command", "auths": "authentication", "typeaheads": "typeahead"}


def print_check(proxy: Proxy, name: str, call: list[str] | None, out: TextIO) -> int:
    """Print a line for each fault of a connector, or of all if `name` is empty; return the exit status.

    `call` is the id of a command, and the parameters to call it with: the result is checked, too.
    """
    if call and ("/" not in call[0] or "=" in call[0]):
        command = "COMMAND" if "=" in call[0] else call[0]
        raise SettingError(f"--call needs a connector and a command; write --call {name or 'CONNECTOR'}/{command}")
    faults = [*find_faults(proxy, name), *find_hidden(find_folders(name))]
    checked = [connector for connector in proxy.connectors if name in ("", connector.name)]
    if call:
        faults += check_call(proxy, call)
    list_missing = import_part("spiffproxy_status").list_missing
    missing = [text for connector in checked for text in list_missing(connector)]
    counts = []
    for kind, noun in NOUNS.items():
        count = sum(len(connector.entries[kind]) for connector in checked)
        if count or kind == "commands":
            counts.append(f"{count} {noun}{'' if count == 1 else 's'}")
    found = "no fault" if not faults else "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    called = f"{call[0]} was called." if call else "None was called: add --call."
    print(*faults, *missing, f"{' and '.join(counts)} checked, {found} found. {called}", sep="\n", file=out)
    return 1 if faults else 0


def find_faults(proxy: Proxy, name: str, *, with_failures: bool = True) -> Iterator[str]:
    """Yield a line for each fault of a connector, or of all: file, line, what is wrong, what to write.

    If `with_failures` is false, modules that cannot be imported are left out.
    """
    if not name:
        proxy.connectors.load_all("commands")  # which waits for all that hang as long as for one
    parse_file.cache_clear()
    names_used_in.cache_clear()
    folders = find_folders(name)
    connectors = {connector.name: connector for connector in proxy.connectors}
    checked = [connector for connector in connectors.values() if name in ("", connector.name)]
    misnamed = [fault for folder in proxy.settings.connector_folders for fault in check_names(Path(folder), name)]
    yield from misnamed
    if not folders and not checked and not misnamed:
        yield describe_unknown(proxy, name)
    faults: dict[str, list[str]] = {connector.package: [] for connector in checked}
    for folder in folders:
        faults.setdefault(folder.name, []).extend(check_folder(folder))
    for connector in checked:
        own_faults = faults[connector.package]
        own_faults += check_connector(connector, with_failures=with_failures)
        if not own_faults and not offers_anything(connector):
            words = f"offers nothing; write a class with {SIGNATURE} in its folder commands"
            own_faults.append(f"{connector.package}: {words}")
    for lines in faults.values():
        yield from lines


def describe_unknown(proxy: Proxy, name: str) -> str:
    """Return the message about a connector that is not found: which there are, and what to do."""
    names = [connector.name for connector in proxy.connectors]
    advice = advise_connector(proxy, name) or suggest_name(name, names)
    return f"No connector {name!r} here; {list_available(names)}{advice}"


def explain_error(proxy: Proxy, command_id: str, error: ProxyError) -> ProxyError:
    """Return the error of a command that is not found, with what helps on the command line; others unchanged."""
    if error.error_code != "command_not_found":
        return error
    name, _, command = command_id.partition("/")
    connector = next((one for one in proxy.connectors if one.name == name), None)
    message = error.message
    if connector is None:
        message = describe_unknown(proxy, name)
    elif not connector.entries["commands"]:
        message += advise_check(proxy, name)
    elif not command:
        ids = [entry.id for entry in connector.entries["commands"].values()]
        message = f"{command_id!r} is not a command; write one of: {', '.join(ids)}"
    return ProxyError(error.status, error.error_code, message)


def advise_connector(proxy: Proxy, name: str) -> str:
    """Return what helps if a connector is not found: a folder that has it, or its right name; else an empty string."""
    misnamed = [fault for folder in proxy.settings.connector_folders for fault in check_names(Path(folder), name)]
    return advise_check(proxy, name) if misnamed else advise_folder(name)


def advise_check(proxy: Proxy, name: str) -> str:
    flags = "".join(f" --connectors {shlex.quote(folder)}" for folder in proxy.settings.connector_folders)
    return f"; python3 spiffproxy.py check {name}{flags} says why"


def advise_folder(name: str) -> str:
    """Return which folder of the current one has a connector that is not found, or an empty string."""
    for package in sorted(Path().glob(f"*/connector_{glob.escape(name)}")):
        return f"; add --connectors {package.parent}, which has it"
    return ""


def offers_anything(connector: Connector) -> bool:
    """Return whether a connector has entries, or would have if its import had ended well."""
    return any(connector.entries.values()) or bool(connector.failures) or connector.import_timed_out


def find_folders(name: str) -> list[Path]:
    """Return the folders of a connector, or of all, that have Python files, in the order of discovery."""
    folders: list[Path] = []
    for place in sys.path:
        for folder in sorted(Path(place).glob(f"connector_{glob.escape(name) or '*'}")):
            if list_sources(folder) and folder.resolve() not in folders:
                folders.append(folder.resolve())
    return folders


def check_names(folder: Path, name: str) -> Iterator[str]:
    """Yield what is meant as a connector, and is not a folder whose name begins with connector_."""
    places = {
        subpackage.parent for kind in KINDS for subpackage in folder.glob(f"*/{kind}") if any(subpackage.glob("*.py"))
    }
    for package in sorted(places):
        new_name = re.sub("^connectors?[_-]?", "", package.name, flags=re.IGNORECASE).replace("-", "_")
        if not package.name.startswith("connector_") and name in ("", package.name, new_name):
            yield f"{package}: is not found under this name; rename it to connector_{new_name}"
    for file in sorted(folder.glob(f"connector_{glob.escape(name) or '*'}.py")):
        if not file.with_suffix("").is_dir():
            target = file.with_suffix("") / "commands" / file.name
            yield f"{file}: is a file, and a connector is a folder; move it to {target}"


def check_folder(folder: Path) -> Iterator[str]:
    subpackages = [folder / kind for kind in KINDS if (folder / kind).is_dir()]
    for package in [folder, *subpackages]:
        file = package / "__init__.py"
        if not file.is_file():
            yield f"{file}: is missing, so the folder is not a package; create it as an empty file"
    if not subpackages:
        yield f"{folder}: has none of the folders {', '.join(KINDS)}, so nothing in it is listed"


def find_hidden(folders: Iterable[Path]) -> Iterator[str]:
    """Yield the connectors that others of the same name replace, which may be intended."""
    first: dict[str, Path] = {}
    for folder in folders:
        other = first.setdefault(folder.name, folder)
        if other is not folder and (folder / "__init__.py").is_file():
            yield f"{folder}: is hidden by {other}, which is found first; rename one of them, unless this is intended"


def check_connector(connector: Connector, *, with_failures: bool = True) -> Iterator[str]:
    if not connector.wait_for_import(0 if connector.import_timed_out else LIST_SECONDS):
        connector.import_timed_out = True
        if with_failures:
            yield f"{connector.package}: is still being imported; look at what its modules do when they are imported"
        return
    if with_failures:
        for module, reason in connector.failures.items():
            place, advice = locate_failure(connector, module), advise_installation(reason)
            yield f"{place}: {module} cannot be imported: {' '.join(reason.split())}{advice}"
    package = sys.modules.get(connector.package)
    requires = getattr(package, "requires", None)
    if not isinstance(requires, (dict, type(None))):
        words = 'must map modules to how to install them: requires = {"psycopg": "python3 -m pip install psycopg"}'
        yield f"{getattr(package, '__file__', connector.package)}: requires {words}"
    folders = [Path(place) for place in getattr(package, "__path__", ())]
    for kind, modules in connector.modules.items():
        first: dict[str, type] = {}
        for name in modules:
            if name not in connector.failures and name in sys.modules:
                yield from check_module(sys.modules[name], kind, first, folders)
    for folder in folders:
        yield from check_other_files(folder)


def advise_installation(reason: str) -> str:
    """Return how to install the package of an import that failed, or an empty string."""
    match = re.search(r"No module named '((?!connector_|spiffproxy)\w+)", reason)
    return f"; if it is a package: python3 -m pip install --target FOLDER {match[1]}" if match else ""


def check_call(proxy: Proxy, words: list[str]) -> Iterator[str]:
    """Execute a command, and yield what is wrong with its result, if anything."""
    part = import_part("spiffproxy_call")
    command_id = place = words[0]
    body = part.parse_parameters(words[1:])
    try:
        cls = proxy.connectors.load_entry("commands", command_id).cls
        place = find_line(cls, "execute", Path(command_id))
        part.call(proxy, command_id, body)
    except ProxyError as error:
        yield f"{place}: {error.error_code}: {explain_error(proxy, command_id, error).message}"


def locate_failure(connector: Connector, module: str) -> str:
    """Return the file and line at which an import failed: the last of them in the connector's own files."""
    failure = connector.tracebacks[module]
    if getattr(failure, "lineno", None):  # a SyntaxError
        return f"{failure.filename}:{failure.lineno}"
    own_frames = [frame for frame in failure.stack if connector.package in Path(frame.filename).parts]
    if own_frames:
        return f"{own_frames[-1].filename}:{own_frames[-1].lineno}"
    with suppress(ImportError, AttributeError, ValueError):
        spec = find_spec(module)
        if spec and spec.origin:  # the file itself cannot be read
            return spec.origin
    return f"{failure.stack[-1].filename}:{failure.stack[-1].lineno}"
