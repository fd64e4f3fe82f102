"""Pack the proxy with its connectors into one archive that needs nothing but Python, of the same bytes each time.

    python .ci/pack.py dist/spiffproxy.pyz [FOLDER]
    python .ci/pack.py dist/spiffproxy-lambda.zip [FOLDER]

A connector in FOLDER goes in as well, in place of a bundled one of its name.
"""

from __future__ import annotations

import io
import sys
import tokenize
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip file knows
MODE = 0o100644
MODULE = ROOT / "spiffproxy.py"
CONNECTORS = ROOT / "connectors"
# psycopg is not there on AWS Lambda, unless a folder of one's own brings it and the connector along
LEFT_OUT = {".zip": ["connector_postgres"], ".pyz": []}
STARTERS = {
    ".pyz": ("__main__.py", "import sys\n\nfrom spiffproxy import main\n\nsys.exit(main())\n"),
    ".zip": ("lambda_function.py", "from spiffproxy import lambda_handler\n"),
}


def collect(folders: list[Path], left_out: list[str]) -> dict[str, Path]:
    """Return the module, and the files of the packages in the folders, by their names in the archive."""
    packages = {entry.name: entry for entry in CONNECTORS.iterdir() if entry.name not in left_out}
    packages.update({entry.name: entry for folder in folders for entry in folder.iterdir()})
    files = {MODULE.name: MODULE}
    for name, entry in packages.items():
        for path in [entry, *entry.rglob("*")]:
            inside = Path(name, path.relative_to(entry))
            if path.is_file() and not is_left_out(inside):
                files[inside.as_posix()] = path
    return files


def is_left_out(path: Path) -> bool:
    return path.suffix == ".pyc" or any(part == "__pycache__" or part.startswith(".") for part in path.parts)


def blank_comments(source: bytes) -> bytes:
    """Return Python source of ours without its comments; its lines keep their numbers."""
    lines = source.decode().split("\n")
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type == tokenize.COMMENT:
            number, column = token.start
            lines[number - 1] = lines[number - 1][:column].rstrip()
    return "\n".join(lines).encode()


def pack(target: Path, files: dict[str, bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, DATE)
            info.create_system, info.external_attr = 3, MODE << 16  # as on Unix, wherever it is packed
            archive.writestr(info, content, zipfile.ZIP_DEFLATED, 9)


def main(target: str, *folders: str) -> str | None:
    for folder in folders:
        if not any(Path(folder).glob("connector_*")):
            return f"there is no connector_… in {folder}"
    suffix = Path(target).suffix
    name, source = STARTERS[suffix]
    contents = {name: source.encode()}
    for name, path in collect([Path(folder) for folder in folders], LEFT_OUT[suffix]).items():
        is_ours = path == MODULE or CONNECTORS in path.parents
        # AWS Lambda's is to stay below 100 kB
        contents[name] = blank_comments(path.read_bytes()) if suffix == ".zip" and is_ours else path.read_bytes()
    pack(Path(target), contents)
    print(f"{target}: {Path(target).stat().st_size} bytes")
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
