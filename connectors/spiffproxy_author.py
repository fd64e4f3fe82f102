"""For authors of connectors: `check` finds what is wrong with a connector, `pack` makes one archive of everything.

Imported by these two subcommands of the command line.
"""

from __future__ import annotations

import ast
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import spiffproxy
from spiffproxy import (
    KINDS,
    LIST_SECONDS,
    Connector,
    Connectors,
    Proxy,
    ProxyError,
    SettingError,
    Unresolved,
    constructor_parameters,
    exception_text,
    find_classes,
    resolve_union,
)

if TYPE_CHECKING:
    from typing import TextIO

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
        yield f"{connector.failure_locations[module]}: {module} cannot be imported: {reason}"
    for kind, modules in connector.modules.items():
        first: dict[str, type] = {}
        for module in modules:
            if module not in connector.failures:
                for cls in find_classes(sys.modules[module]):
                    yield from check_class(cls, kind, first)


def check_class(cls: type, kind: str, first: dict[str, type]) -> Iterator[str]:
    """Yield what is wrong with a class; `first` has those of the connector that are listed, by name."""
    name = cls.__name__
    method = KINDS[kind].method
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
        proxy.run(command_id, body)
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


# --- pack ---------------------------------------------------------------------------------------------------------


class Format(NamedTuple):
    """What makes an archive run."""

    starter: str  # the name of the file that runs first
    source: str
    left_out: list[str]
    has_bytecode: bool
    first_line: bytes
    mode: int


FORMATS = {
    ".pyz": Format(
        starter="__main__.py",
        source="import sys\n\nfrom spiffproxy import main\n\nsys.exit(main())\n",
        left_out=[],
        has_bytecode=False,
        first_line=b"#!/usr/bin/env python3\n",
        mode=0o755,
    ),
    ".zip": Format(
        starter="lambda_function.py",
        source="from spiffproxy_lambda import lambda_handler\n",
        left_out=["connector_postgres"],  # psycopg is not there, unless a folder brings both along
        has_bytecode=True,  # its folder is read-only there, and every import would be compiled
        first_line=b"",
        mode=0o644,
    ),
}
# the first date that a zip file can have: the same sources make the same bytes
DATE = (1980, 1, 1, 0, 0, 0)


def print_pack(proxy: Proxy, target: str, out: TextIO) -> int:
    """Pack the proxy, its parts and connectors, and those of `--connectors`, into an archive; return the exit status.

    A connector of `--connectors` goes in instead of a bundled one of its name.
    """
    path = Path(target)
    if path.suffix not in FORMATS:
        raise SettingError(f"TARGET is {target!r}; its name must end in {' or '.join(FORMATS)}")
    archive_format = FORMATS[path.suffix]
    packed = collect(proxy.settings.connector_folders, archive_format.left_out)
    for connector in proxy.connectors:
        if connector.package in packed:
            for fault in check_connector(connector):
                print(f"spiffproxy: warning: {fault}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        copy_sources(packed, root)
        (root / archive_format.starter).write_text(archive_format.source)
        if archive_format.has_bytecode:
            compile_sources(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_archive(path, root, archive_format)
    print(f"{target}: {path.stat().st_size} bytes", file=out)
    return 0


def collect(folders: list[str], left_out: list[str]) -> dict[str, Path]:
    """Return the files and folders that go into the archive, by name."""
    module = Path(spiffproxy.__file__)
    bundled = Path(__file__).parent
    if not module.is_file():
        raise SettingError(f"pack needs spiffproxy.py as a file, and it is in {module.parent}")
    packed = {module.name: module}
    for pattern in ("connector_*", "spiffproxy_*", "spiffworkflow_connector_command"):
        packed.update({path.name: path for path in bundled.glob(pattern) if path.name not in left_out})
    for folder in folders:
        if not any(Path(folder).glob("connector_*")):
            raise SettingError(f"there is no connector_… in {folder}")
        packed.update({path.name: path for path in Path(folder).iterdir()})
    return packed


def copy_sources(packed: dict[str, Path], root: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "README.md")
    for name, path in packed.items():
        if ignored(str(path.parent), [name]):
            continue
        if path.is_dir():
            shutil.copytree(path, root / name, ignore=ignored)
        else:
            shutil.copy(path, root / name)


def compile_sources(root: Path) -> None:
    """Add bytecode that does not depend on dates; a Python of another version ignores it."""
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(root)]
    subprocess.run(  # noqa: S603 - this Python, and a folder of our own
        [sys.executable, "-S", "-m", "compileall", *options, str(root)],
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPYCACHEPREFIX": ""},  # sets are written in their order
        check=False,  # a file that cannot be compiled fails when it is imported, as `check` says
        stdout=subprocess.DEVNULL,
    )


def write_archive(target: Path, root: Path, archive_format: Format) -> None:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    with target.open("wb") as file:
        file.write(archive_format.first_line)
        with zipfile.ZipFile(file, "w") as archive:
            for path in files:
                info = zipfile.ZipInfo(path.relative_to(root).as_posix(), DATE)
                info.create_system = 3  # Unix, wherever it is packed
                info.external_attr = 0o100644 << 16
                archive.writestr(info, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    target.chmod(archive_format.mode)
