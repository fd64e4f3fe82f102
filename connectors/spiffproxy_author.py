"""For authors of connectors: `call` executes a command, `check` finds what is wrong with a connector.

Imported by these subcommands of the command line.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiffproxy import (
    KINDS,
    LIST_SECONDS,
    Connector,
    Connectors,
    Proxy,
    ProxyError,
    Response,
    SettingError,
    Unresolved,
    constructor_parameters,
    decode_json,
    exception_text,
    execute,
    find_classes,
    import_part,
    is_installed,
    resolve_union,
    response_from_error,
)

if TYPE_CHECKING:
    import argparse
    from typing import TextIO


def run_subcommand(proxy: Proxy, arguments: argparse.Namespace, out: TextIO) -> int:
    """Run `call` or `check`, and return the exit status."""
    if arguments.command == "check":
        call = None
        if arguments.call:
            call = (arguments.call[0], parse_parameters(arguments.call[1:]))
        return print_check(proxy, arguments.name, call, out)
    if arguments.help:
        command = proxy.connectors.load_entry("commands", arguments.id)
        print(import_part("spiffproxy_describe").explain_entry(command), file=out)
        return 0
    return print_call(proxy, arguments.id, parse_parameters(arguments.parameters), out)


def run(proxy: Proxy, command_id: str, body: dict[str, Any]) -> Response:
    """Execute the command with this id; `body` is that of a service task's call. Raises `ProxyError`."""
    command = proxy.connectors.load_entry("commands", command_id)
    return execute(command, body, proxy.settings.config, proxy.slots)


# --- call ---------------------------------------------------------------------------------------------------------


def print_call(proxy: Proxy, command_id: str, body: dict[str, Any], out: TextIO) -> int:
    """Execute a command, print its result, and return the exit status."""
    try:
        response = run(proxy, command_id, body)
    except ProxyError as error:
        response = response_from_error(error)
    text = response.body.decode("utf-8", "replace")
    value = None
    with suppress(ValueError):  # a version 1 result may be anything
        value = json.loads(text)
        text = json.dumps(value, indent=2)
    print(text, file=out)
    return 1 if response.status >= 300 or contains_error(value) else 0


def parse_parameters(arguments: list[str]) -> dict[str, Any]:
    parameters = {}
    for argument in arguments:
        match = re.fullmatch(r"([^=:]+)(:?=)(.*)", argument, re.DOTALL)
        if not match:
            raise SettingError(f"{argument!r} is no parameter; write name=text, or name:=json for what is not text")
        name, sign, value = match.groups()
        if sign == ":=":
            try:
                value = decode_json(value)
            except (ValueError, RecursionError) as error:
                message = f"the value of {name} is not JSON: {error}; for text write {name}=…"
                raise SettingError(message) from None
        parameters[name] = value
    return parameters


def contains_error(value: Any) -> bool:
    """Return whether SpiffArena, or a person who looks at a version 1 result, would see an error in it."""
    if not isinstance(value, dict):
        return False
    response = value.get("command_response")
    status = response.get("http_status") if isinstance(response, dict) else None
    return bool(value.get("error")) or (isinstance(status, int) and status >= 300)


# --- check --------------------------------------------------------------------------------------------------------


def print_check(proxy: Proxy, name: str | None, call: tuple[str, dict[str, Any]] | None, out: TextIO) -> int:
    """Print what is wrong with a connector, or with all of them, a line each, and return the exit status.

    `call` is the id of a command and its parameters: its result is checked, too.
    """
    faults = list(check(proxy.connectors, name))
    if call:
        faults += check_call(proxy, *call)
    missing = []
    for connector in proxy.connectors:
        if name in (None, connector.name):
            missing += connector.missing_requirements
    conclusion = [] if faults else ["Nothing is wrong."]
    print(*faults, *missing, *conclusion, sep="\n", file=out)
    return 1 if faults else 0


def check(connectors: Connectors, name: str | None) -> Iterator[str]:
    """Yield what is wrong with the connectors, or with one of them: the line to change, and what would be right."""
    pattern = f"connector_{name or '*'}"
    folders = []
    for place in sys.path:
        for folder in sorted(Path(place).glob(pattern)):
            if any(folder.rglob("*.py")) and folder.resolve() not in folders:
                folders.append(folder.resolve())
    checked = [connector for connector in connectors if name in (None, connector.name)]
    if not folders and not checked:
        yield f"There is no connector_{name} in any of: {', '.join(place for place in sys.path if place)}"
    yield from check_folders(folders)
    for connector in checked:
        yield from check_connector(connector)


def check_folders(folders: Iterable[Path]) -> Iterator[str]:
    first: dict[str, Path] = {}
    for folder in folders:
        subpackages = [folder / kind for kind in KINDS if (folder / kind).is_dir()]
        for package in [folder, *subpackages]:
            file = package / "__init__.py"
            if not file.is_file():
                yield f"{file}: is missing, so Python takes the folder for no package; add it, empty"
        if not subpackages:
            yield f"{folder}: has none of the folders {', '.join(KINDS)}, so nothing in it is listed"
        other = first.setdefault(folder.name, folder)
        if other is not folder and (folder / "__init__.py").is_file():
            yield f"{folder}: is hidden by {other}, which is found before it; rename one, unless that is meant"


def check_connector(connector: Connector) -> Iterator[str]:
    if not connector.wait_for_import(LIST_SECONDS):
        yield f"{connector.package}: is still being imported, after {LIST_SECONDS} s"
        return
    for module, reason in connector.failures.items():
        yield f"{locate_failure(connector, module)}: {module} cannot be imported: {reason}"
    for kind, modules in connector.modules.items():
        first: dict[str, type] = {}
        for module in modules:
            if module not in connector.failures:
                for cls in find_classes(sys.modules[module]):
                    yield from check_class(cls, kind, first)


def check_class(cls: type, kind: str, first: dict[str, type]) -> Iterator[str]:
    """Yield what is wrong with a class; `first` has those of the connector that are listed, by name."""
    name = cls.__name__
    method = KINDS[kind]
    if callable(getattr(cls, method, None)):
        used = first.setdefault(name, cls)
        if used is not cls:
            yield f"{find_line(cls, name)}: the {name} of {find_line(used, name)} is used, not this; rename one"
        yield from check_parameters(cls)
    elif kind == "commands" and callable(getattr(cls, "run", None)):
        line = find_line(cls, "run")
        yield f"{line}: {name} has run, but what is called is execute(self, config, task_data); rename it"
    elif not issubclass(cls, (dict, tuple)):  # a TypedDict or a NamedTuple is not meant to be listed
        yield f"{find_line(cls, name)}: {name} has no {method}, and is not listed; add it, or begin the name with _"


def check_parameters(cls: type) -> Iterator[str]:
    for parameter in constructor_parameters(cls):
        name = parameter.name
        if name.startswith("spiff__"):
            words = f"{name} never arrives, for what begins with spiff__ is SpiffArena's own; rename it"
            yield f"{find_line(cls, name)}: {words}"
        for reason in unresolved_reasons(parameter.annotation, cls):
            yield f"{find_line(cls, name)}: the annotation of {name} cannot be resolved: {reason}"


def unresolved_reasons(annotation: Any, cls: type) -> list[str]:
    try:
        members = list(resolve_union(annotation, cls))
    except Exception as error:
        return [f"{type(error).__name__}: {exception_text(error)}"]
    return [f"{one.reason}; it is needed at run time" for one in members if isinstance(one, Unresolved)]


def check_call(proxy: Proxy, command_id: str, body: dict[str, Any]) -> Iterator[str]:
    """Execute a command, and yield what is wrong with its result, if anything."""
    place = command_id
    try:
        place = find_line(proxy.connectors.load_entry("commands", command_id).cls, "execute")
        run(proxy, command_id, body)
    except ProxyError as error:
        yield f"{place}: {error.error_code}: {error.message}"


def find_line(cls: type, name: str) -> str:
    """Return the file and line at which a class, or one that it inherits from, defines a name."""
    for base in cls.__mro__:
        with suppress(OSError, TypeError, SyntaxError):  # there is no source
            lines, start = inspect.getsourcelines(base)
            for node in ast.walk(ast.parse(textwrap.dedent("".join(lines)))):  # it may stand in an `if`
                if name in defined_names(node):
                    return f"{inspect.getsourcefile(base)}:{start + node.lineno - 1}"  # type: ignore[attr-defined]
    return cls.__module__


def defined_names(node: ast.AST) -> list[Any]:
    """Return the name of a class, a function, a parameter or a field."""
    target = getattr(node, "target", None)
    return [getattr(node, "name", None), getattr(node, "arg", None), getattr(target, "id", None)]


# --- Editable installs --------------------------------------------------------------------------------------------


def locate_failure(connector: Connector, module: str) -> str:
    """Return the file and line at which an import failed: the last one of the connector itself."""
    failure = connector.tracebacks[module]
    if getattr(failure, "lineno", None):  # a SyntaxError
        return f"{failure.filename}:{failure.lineno}"
    own_frames = [frame for frame in failure.stack if connector.package in Path(frame.filename).parts]
    last = (own_frames or failure.stack)[-1]
    return f"{last.filename}:{last.lineno}"


def find_hooked_packages() -> set[str]:
    """Return the packages that import hooks find, by the metadata of what is installed."""
    names: set[str] = set()
    for distribution in distributions():
        names.add(str(distribution.metadata["Name"]).replace("-", "_"))  # None where the metadata is damaged
        names.update((distribution.read_text("top_level.txt") or "").split())
    return {name for name in names if name.startswith("connector_") and is_installed(name)}
