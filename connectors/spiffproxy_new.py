"""The subcommand `new`: write a connector with one command and its test. The command line imports this file for it."""

from __future__ import annotations

import keyword
import os
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from spiffproxy import SettingError

if TYPE_CHECKING:
    from typing import TextIO

CONNECTOR_NAME = re.compile("[a-z][a-z0-9_]*")
COMMAND_NAME = re.compile("[A-Z][A-Za-z0-9]*")
COMMAND = '''\
from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class {command}:
    """Say what the command does, for the author of a diagram.

    :param name: who is greeted
    :raises NameMissing: name is empty; fill it in
    """

    name: str

    def execute(self, config: Any, task_data: Any) -> Any:
        if not self.name:  # 400 is a mistake of the diagram's author; from 500 on, SpiffArena tries again
            message = 'name is empty. Write a name, such as "Jane".'
            return make_result(None, 400, {{"error_code": "NameMissing", "message": message}})
        return make_result({{"text": f"Hello, {{self.name}}!"}})


def make_result(body: Any, http_status: int = 200, error: Any = None) -> Any:
    response = {{"body": body, "mimetype": "application/json", "http_status": http_status}}
    return {{"command_response": response, "command_response_version": 2, "error": error, "spiff__logs": []}}
'''
TEST = """\
import unittest

from {package}.commands.{module} import {command}


class Test{command}(unittest.TestCase):
    def test_the_result(self):
        result = {command}(name="Jane").execute({{}}, {{}})
        self.assertEqual(result["command_response"]["body"], {{"text": "Hello, Jane!"}})
        self.assertIsNone(result["error"])

    def test_the_error(self):
        result = {command}(name="").execute({{}}, {{}})
        self.assertEqual(result["error"]["error_code"], "NameMissing")
        self.assertEqual(result["command_response"]["http_status"], 400)
"""


def print_new(command_id: str, folders: str | None, out: TextIO) -> int:
    """Write `connector_NAME` into the folder of --connectors, or into `my`, and print the next commands to run.

    Raises `SettingError` if a name cannot be used, or a file exists.
    """
    command_id = command_id.removeprefix("connector_")
    connector, _, command = command_id.partition("/")
    check_names(command_id, connector, command)
    if folders and os.pathsep in folders:
        raise SettingError("new writes into one folder; give --connectors once")
    folder = Path(folders or "my")
    if folder.name.startswith("connector_"):
        raise SettingError(f"--connectors is {folder}, a connector; give the folder that it is in, {folder.parent}")
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", command).lower()
    if keyword.iskeyword(module):
        module += "_"
    package = folder / f"connector_{connector}"
    refuse_to_hide(package)
    names = {"package": package.name, "module": module, "command": command}
    test = folder / f"test_{connector}_{module}.py"
    write(
        {package / "commands" / f"{module}.py": COMMAND.format(**names), test: TEST.format(**names)},
        [package / "__init__.py", package / "commands" / "__init__.py"],
    )
    print(f"Written: {package / 'commands' / module}.py and {test}. Go on with:", file=out)
    quoted = shlex.quote(str(folder))
    print(f"  python3 -m unittest discover {quoted}", file=out)
    print(f"  python3 spiffproxy.py call {command_id} name=Jane --connectors {quoted}", file=out)
    print(f"  python3 spiffproxy.py --connectors {quoted}", file=out)
    return 0


def check_names(command_id: str, connector: str, command: str) -> None:
    """Raise SettingError unless the names can be those of a package and of a class."""
    example = suggest_id(connector, command)
    if "/" in command:
        raise SettingError(f"{command_id!r} has more than one /. Write CONNECTOR/COMMAND, such as {example}.")
    if not CONNECTOR_NAME.fullmatch(connector):
        words = "a connector of the letters a to z, digits and _, which begins with a letter"
        raise SettingError(f"{command_id!r} needs {words}, such as {example}")
    if not re.match("[A-Z]", command):
        raise SettingError(f"{command_id!r} needs a command that begins with a capital letter of A to Z: {example}")
    if not COMMAND_NAME.fullmatch(command):
        raise SettingError(f"{command_id!r} needs a command that has only letters of A to Z and digits: {example}")
    if keyword.iskeyword(command):
        raise SettingError(f"{command_id!r} needs another command: {command} is a word of Python; such as {example}")
    if command == "Any":
        raise SettingError(f"{command_id!r}: what new writes uses the name {command}. Choose another name.")


def suggest_id(connector: str, command: str) -> str:
    """Return the id that is nearest to names, some of which may be refused: what no name can be is replaced."""
    connector = re.sub("[^a-z0-9_]+", "_", connector.lower()).strip("_") if connector.isascii() else ""
    words = re.split("[^A-Za-z0-9]+", command) if command.isascii() and "/" not in command else []
    command = "".join(word[:1].upper() + word[1:] for word in words)
    if not CONNECTOR_NAME.fullmatch(connector):
        connector = "greetings"
    if not COMMAND_NAME.fullmatch(command) or keyword.iskeyword(command) or command == "Any":
        command = "Greet"
    return f"{connector}/{command}"


def refuse_to_hide(package: Path) -> None:
    """Raise SettingError if a connector that is installed or bundled has the name: it would not be found any more."""
    spec = find_spec(package.name)
    for place in spec.submodule_search_locations or () if spec else ():
        if Path(place).resolve() != package.resolve():
            raise SettingError(f"{package} would hide {place}. Choose another name for the connector.")


def write(files: dict[Path, str], empty: list[Path]) -> None:
    """Write files that do not exist yet, and the empty ones that a package needs."""
    for path in files:
        if path.exists():
            raise SettingError(f"{path} exists, and is not overwritten. Choose another name, or remove the file.")
    try:
        for path in empty:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for path, source in files.items():
            path.write_text(source, encoding="utf-8")
    except OSError as error:
        raise SettingError(f"cannot write: {error}") from None
