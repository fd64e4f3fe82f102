"""The subcommand `pack`: write the proxy, its parts and its connectors into one archive, the same bytes each time.

The command line imports this file for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from spiffproxy_author import check_connector

import spiffproxy
from spiffproxy import Proxy, SettingError

if TYPE_CHECKING:
    from typing import TextIO


class Format(NamedTuple):
    """What an archive needs to run."""

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
        left_out=["connector_postgres"],  # psycopg is not bundled; a folder of --connectors may have both
        has_bytecode=True,  # its folder is read-only there: without bytecode, each start would compile all imports
        first_line=b"",
        mode=0o644,
    ),
}
# the first date that a zip file can have: the same sources make the same bytes
DATE = (1980, 1, 1, 0, 0, 0)


def print_pack(proxy: Proxy, target: str, out: TextIO) -> int:
    """Pack the proxy, its parts and connectors, and those of `--connectors`, into an archive; return the exit status.

    A connector of `--connectors` replaces the bundled one of the same name.
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
        raise SettingError(f"pack needs spiffproxy.py as a file, but it is inside {module.parent}")
    packed = {module.name: module}
    for pattern in ("connector_*", "spiffproxy_*", "spiffworkflow_connector_command"):
        packed.update({path.name: path for path in bundled.glob(pattern) if path.name not in left_out})
    for folder in folders:
        if not any(Path(folder).glob("connector_*")):
            raise SettingError(f"there is no connector_… in {folder}")
        packed.update({path.name: path for path in Path(folder).iterdir()})
    return packed


def copy_sources(packed: dict[str, Path], root: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "README.md", "screenshot.png")
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
    subprocess.run(  # noqa: S603 - this Python, and a temporary folder
        [sys.executable, "-S", "-m", "compileall", *options, str(root)],
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPYCACHEPREFIX": ""},  # bytecode has sets in hash order
        check=False,  # a file that cannot be compiled fails when it is imported, which `check` reports
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
