"""The subcommand `check`: find what is wrong with a connector. The command line imports this file for it."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from spiffproxy import (
    KINDS,
    LIST_SECONDS,
    Connector,
    Proxy,
    ProxyError,
    Unresolved,
    constructor_parameters,
    exception_text,
    find_classes,
    import_part,
    resolve_union,
    suggest_name,
)

if TYPE_CHECKING:
    from typing import TextIO

SIGNATURE = "execute(self, config, task_data)"
# the singular of each kind, for people
NOUNS = {"commands": "command", "auths": "authentication", "typeaheads": "typeahead"}


def print_check(proxy: Proxy, name: str, call: list[str] | None, out: TextIO) -> int:
    """Print a line for each fault of a connector, or of all if `name` is empty; return the exit status.

    `call` is the id of a command, and the parameters to call it with: the result is checked, too.
    """
    faults = list(find_faults(proxy, name))
    checked = [connector for connector in proxy.connectors if name in ("", connector.name)]
    for connector in checked:
        is_faulty = any(connector.package in fault for fault in faults)
        if not is_faulty and not any(connector.entries.values()):
            faults.append(f"{connector.package}: offers nothing; write a class with {SIGNATURE} in its folder commands")
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
    pattern = f"connector_{name or '*'}"
    folders = []
    for place in sys.path:
        for folder in sorted(Path(place).glob(pattern)):
            if any(folder.rglob("*.py")) and folder.resolve() not in folders:
                folders.append(folder.resolve())
    connectors = {connector.name: connector for connector in proxy.connectors}
    checked = [connector for connector in connectors.values() if name in ("", connector.name)]
    if not folders and not checked:
        places = ", ".join(place for place in sys.path if place)
        yield f"There is no connector_{name} in any of: {places}{suggest_name(name, connectors)}"
    for folder in map(Path, proxy.settings.connector_folders):
        yield from check_names(folder, name)
    yield from check_folders(folders)
    for connector in checked:
        yield from check_connector(connector, with_failures=with_failures)


def check_names(folder: Path, name: str) -> Iterator[str]:
    """Yield the connectors of a folder whose names do not begin with connector_."""
    for kind in KINDS:
        for subpackage in sorted(folder.glob(f"*/{kind}")):
            package = subpackage.parent
            if (
                not package.name.startswith("connector_")
                and name in ("", package.name)
                and any(subpackage.glob("*.py"))
            ):
                yield f"{package}: is not found under this name; rename it to connector_{package.name}"


def check_folders(folders: Iterable[Path]) -> Iterator[str]:
    first: dict[str, Path] = {}
    for folder in folders:
        subpackages = [folder / kind for kind in KINDS if (folder / kind).is_dir()]
        for package in [folder, *subpackages]:
            file = package / "__init__.py"
            if not file.is_file():
                yield f"{file}: is missing, so the folder is not a package; create it as an empty file"
        if not subpackages:
            yield f"{folder}: has none of the folders {', '.join(KINDS)}, so nothing in it is listed"
        other = first.setdefault(folder.name, folder)
        if other is not folder and (folder / "__init__.py").is_file():
            yield f"{folder}: is hidden by {other}, which is found first; rename one of them, unless this is intended"


def check_connector(connector: Connector, *, with_failures: bool = True) -> Iterator[str]:
    if not connector.wait_for_import(LIST_SECONDS):
        yield f"{connector.package}: is still being imported, after {LIST_SECONDS} s"
        return
    if with_failures:
        for module, reason in connector.failures.items():
            yield f"{locate_failure(connector, module)}: {module} cannot be imported: {' '.join(reason.split())}"
    for kind, modules in connector.modules.items():
        first: dict[str, type] = {}
        for name in modules:
            if name not in connector.failures:
                yield from check_module(sys.modules[name], kind, first)
    package = sys.modules.get(connector.package)
    for place in getattr(package, "__path__", ()):
        yield from check_other_files(Path(place))


# --- modules and classes ------------------------------------------------------------------------------------------


def check_module(module: ModuleType, kind: str, first: dict[str, type]) -> Iterator[str]:
    """Yield what is wrong with a module; `first` maps names to the classes that are listed."""
    file = Path(module.__file__ or "")
    for cls in find_classes(module):
        yield from check_class(cls, kind, first, file)
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__ == module.__name__ and value.__name__.startswith("_"):
            is_used: bool = bool(value.__subclasses__()) or inspect.isabstract(value)
            if callable(getattr(value, KINDS[kind], None)) and not is_used:
                words = "is not listed, because its name begins with _; rename it"
                yield f"{find_line(value, value.__name__, file)}: {value.__name__} {words}"
    lines: dict[str, int] = {}
    for node in parse_file(file).body:
        if isinstance(node, ast.ClassDef):
            if node.name in lines:
                yield f"{file}:{lines[node.name]}: {node.name} is defined again in line {node.lineno}; rename one"
            lines[node.name] = node.lineno
        elif KINDS[kind] in defined_names(node):
            yield f"{file}:{node.lineno}: {KINDS[kind]} must be a method of a class; write the class around it"


def parse_file(file: Path) -> ast.Module:
    """Return the syntax tree of a file; an empty tree if the file cannot be read or parsed."""
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def check_other_files(folder: Path) -> Iterator[str]:
    """Yield the commands in files that the proxy does not import: they are not directly in one of the three folders."""
    imported = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for file in sorted(folder.rglob("*.py")):
        place = file.relative_to(folder)
        is_listed = len(place.parts) == 2 and place.parts[0] in KINDS
        if is_listed or str(file) in imported or "tests" in place.parts or file.name.startswith("test_"):
            continue
        for node in parse_file(file).body:
            methods = [getattr(item, "name", "") for item in getattr(node, "body", ())]
            if isinstance(node, ast.ClassDef) and "execute" in methods:
                words = f"is not listed, because the file is not in {folder / 'commands'}; move it there"
                yield f"{file}:{node.lineno}: {node.name} {words}"


def check_class(cls: type, kind: str, first: dict[str, type], file: Path) -> Iterator[str]:
    """Yield what is wrong with a class; `first` maps names to the classes that are listed."""
    name = cls.__name__
    method = KINDS[kind]
    if callable(getattr(cls, method, None)):
        used = first.setdefault(name, cls)
        if used is not cls:
            place = find_line(used, name, file)
            yield f"{find_line(cls, name, file)}: {name} is left out, because {place} has the same name; rename one"
        yield from check_constructor(cls, file)
        if method == "execute":
            yield from check_execute(cls, file)
        errors = getattr(cls, "errors", None)
        if not isinstance(errors, (Mapping, type(None))):
            words = 'must map error codes to what to do: errors = {"NoAnswer": "try again"}'
            yield f"{find_line(cls, 'errors', file)}: errors of {name} {words}"
    elif kind == "commands" and callable(getattr(cls, "run", None)):
        line = find_line(cls, "run", file)
        yield f"{line}: {name} has run, but the proxy calls {SIGNATURE}; rename it"
    elif not issubclass(cls, (dict, tuple)):  # a TypedDict or a NamedTuple is not meant to be listed
        words = f"has no {method}, so it is not listed; add {method}, or begin the name with _"
        yield f"{find_line(cls, name, file)}: {name} {words}"


def check_execute(cls: type, file: Path) -> Iterator[str]:
    """Yield what is wrong with the parameters of `execute`: the proxy passes config and task_data, in this order."""
    function = inspect.getattr_static(cls, "execute")
    is_bound = isinstance(function, (staticmethod, classmethod))
    with suppress(ValueError, TypeError):  # it has no signature
        signature = inspect.signature(cls.execute)  # type: ignore[attr-defined]
        names = list(signature.parameters)[0 if is_bound else 1 :]
        if names[:2] == ["task_data", "config"]:
            place = find_line(cls, "execute", file)
            yield f"{place}: execute of {cls.__name__} has its parameters swapped; write {SIGNATURE}"
            return
        try:
            signature.bind(*([None] * (2 if is_bound else 3)))
        except TypeError:
            place = find_line(cls, "execute", file)
            yield f"{place}: execute of {cls.__name__} cannot be called with two arguments; write {SIGNATURE}"


def check_constructor(cls: type, file: Path) -> Iterator[str]:
    constructor = getattr(cls, "__init__", None)
    if inspect.isfunction(constructor):
        names = list(inspect.signature(constructor).parameters)
        if not names or (names[0] not in ("self", "args") and "self" not in names[0]):
            words = f"must begin with self, not with {names[0]}" if names else "needs the parameter self"
            yield f"{find_line(cls, '__init__', file)}: __init__ of {cls.__name__} {words}"
    for parameter in constructor_parameters(cls):
        name = parameter.name
        reasons = unresolved_reasons(parameter.annotation, cls)
        faults = [f"the annotation of {name} cannot be resolved: {reason}" for reason in reasons]
        if name.startswith("spiff__"):
            faults.append(f"{name} never arrives, because names with spiff__ in front are SpiffArena's own; rename it")
        if isinstance(parameter.default, (list, dict, set)):
            faults.append(f"all calls share the default of {name}; write None, and create the value in execute")
        for fault in faults:
            yield f"{find_line(cls, name, file)}: {fault}"


def unresolved_reasons(annotation: Any, cls: type) -> list[str]:
    try:
        members = list(resolve_union(annotation, cls))
    except Exception as error:
        return [f"{type(error).__name__}: {exception_text(error)}"]
    return [f"{one.reason}; it is needed at run time" for one in members if isinstance(one, Unresolved)]


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
        yield f"{place}: {error.error_code}: {error.message}"


def find_line(cls: type, name: str, file: Path) -> str:
    """Return the file and line at which a class or one of its base classes defines a name; else `file`."""
    for base in cls.__mro__:
        with suppress(OSError, TypeError, SyntaxError):  # there is no source
            lines, start = inspect.getsourcelines(base)
            for node in ast.walk(ast.parse(textwrap.dedent("".join(lines)))):  # the class may be inside an `if`
                if name in defined_names(node):
                    return f"{inspect.getsourcefile(base)}:{start + node.lineno - 1}"  # type: ignore[attr-defined]
    return str(file)


def defined_names(node: ast.AST) -> list[Any]:
    """Return the name of a class, a function, a parameter or a field."""
    targets = [getattr(node, "target", None), *getattr(node, "targets", ())]
    return [getattr(node, "name", None), getattr(node, "arg", None), *(getattr(one, "id", None) for one in targets)]


def locate_failure(connector: Connector, module: str) -> str:
    """Return the file and line at which an import failed: the last of them in the connector's own files."""
    failure = connector.tracebacks[module]
    if getattr(failure, "lineno", None):  # a SyntaxError
        return f"{failure.filename}:{failure.lineno}"
    own_frames = [frame for frame in failure.stack if connector.package in Path(frame.filename).parts]
    last = (own_frames or failure.stack)[-1]
    return f"{last.filename}:{last.lineno}"
