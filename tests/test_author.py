"""`check`, `list --verbose` and `call --help`: what the command line tells the author of a connector."""

import linecache
import re
import shutil
import subprocess
import sys

import pytest
from conftest import CONNECTORS, MODULE, ROOT, run_proxy

from spiffproxy import main

EXECUTE = "    def execute(self, config, task_data):\n        return {'response': {}}\n"
GOOD = f"class C:\n{EXECUTE}"
# the source of a module of commands → the line and the words of each fault
FAULTS = {
    "good": (GOOD, []),
    "nothing but what need not be listed": (
        """
import abc, enum, typing
from typing import NamedTuple
class _Private: pass
class Fault(Exception): pass
class Kind(enum.Enum):
    A = 1
class Fields(typing.TypedDict):
    a: str
class Pair(NamedTuple):
    a: str
class Base(abc.ABC):
    @abc.abstractmethod
    def execute(self, config, task_data): pass
""",
        [],
    ),
    "no execute": (
        "\n\n@staticmethod\nclass C:\n    '''C'''\n    pass\nC = C.__func__\n",
        [(4, "C has no execute, and is not listed; add it, or begin the name with _")],
    ),
    "indented": ("if True:\n    class C:\n        pass\n", [(2, "C has no execute, and is not listed")]),
    "execute is no function": ("class C:\n    execute = 1\n", [(1, "C has no execute, and is not listed")]),
    "run": (
        "class C:\n    '''run'''\n    x = 'run'\n    def run(self, config, task_data): pass\n",
        [(4, r"C has run, but what is called is execute\(self, config, task_data\); rename it")],
    ),
    "spiff__": (
        f"class C:\n    def __init__(self, url,\n        spiff__task_id=None): pass\n{EXECUTE}",
        [(3, "spiff__task_id never arrives, for what begins with spiff__ is SpiffArena's own; rename it")],
    ),
    "inherited": (
        f"class _Base:\n    def __init__(self, spiff__a): pass\nclass C(_Base):\n    x = 1\n{EXECUTE}",
        [(2, "spiff__a never arrives")],
    ),
    "annotation": (
        f"class C:\n    '''a: b'''\n    def __init__(\n        self,\n        a: 'Thing | None',\n        b: 'two words',\n    ): pass\n{EXECUTE}",
        [
            (5, "the annotation of a cannot be resolved: name 'Thing' is not defined; it is needed at run time"),
            (6, "the annotation of b cannot be resolved: SyntaxError: "),
        ],
    ),
    "annotation of a dataclass": (
        f"from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass C:\n    a: str\n    b: Thing\n{EXECUTE}",
        [(6, "the annotation of b cannot be resolved: name 'Thing' is not defined")],
    ),
    "syntax": ("class C:\n    def\n", [(2, ".*things cannot be imported: SyntaxError: invalid syntax")]),
    "import": (
        "def f():\n    import a_module_that_nobody_has\n\nf()\n",
        [(2, ".*things cannot be imported: ModuleNotFoundError: No module named 'a_module_that_nobody_has'")],
    ),
    "import elsewhere": (
        "import json\njson.loads('x')\n",
        [(2, ".*things cannot be imported: JSONDecodeError: Expecting value")],
    ),
}


@pytest.fixture
def check(imports, capsys):
    """Return a function that checks, and returns the status and the lines."""

    def run(*arguments):
        status = main(["check", *map(str, arguments)])
        return status, capsys.readouterr().out.splitlines()

    return run


@pytest.mark.parametrize(("source", "faults"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_with_its_line(check, write_connector, tmp_path, source, faults):
    name = write_connector(source)
    status, lines = check(name, "--connectors", tmp_path)
    path = tmp_path / f"connector_{name}" / "commands" / "things.py"
    assert status == bool(faults)
    for line, (number, words) in zip(lines, faults or [(None, "")]):
        assert re.match(f"{re.escape(str(path))}:{number}: {words}" if faults else r"Nothing is wrong\.$", line), line
    assert len(lines) == max(len(faults), 1)


def test_a_missing_init(check, tmp_path):
    """Of the connector, and of what it has; a folder without Python is nobody's connector."""
    (tmp_path / "connector_left" / "__pycache__").mkdir(parents=True)
    commands = tmp_path / "connector_mine" / "commands"
    commands.mkdir(parents=True)
    (commands / "things.py").write_text(GOOD)
    missing = "is missing, so Python takes the folder for no package; add it, empty"
    lines = [f"{folder}/__init__.py: {missing}" for folder in (commands.parent, commands)]
    assert check("--connectors", tmp_path) == (1, lines)
    (commands.parent / "__init__.py").touch()
    assert check("mine", "--connectors", tmp_path) == (1, lines[1:])
    (commands / "__init__.py").touch()
    assert check("mine", "--connectors", tmp_path) == (0, ["Nothing is wrong."])


def test_a_folder_of_another_name(check, tmp_path):
    (tmp_path / "connector_mine" / "comands").mkdir(parents=True)
    (tmp_path / "connector_mine" / "__init__.py").touch()
    line = f"{tmp_path}/connector_mine: has none of the folders commands, auths, typeaheads, so nothing in it is listed"
    assert check("mine", "--connectors", tmp_path) == (1, [line])


def test_a_source_is_read_where_something_is_wrong(check, write_connector, tmp_path):
    """Python parses a whole module for the line of one class: minutes, where it has 1,000."""
    name = write_connector(f"class C:\n    def __init__(self, a: str): pass\n{EXECUTE}")
    assert check(name, "--connectors", tmp_path) == (0, ["Nothing is wrong."])
    assert not [path for path in linecache.cache if path.startswith(str(tmp_path))]


def test_a_class_without_a_source(check, write_connector, tmp_path):
    """Is told by its module."""
    name = write_connector("C = type('C', (), {'__module__': __name__})")
    line = f"connector_{name}.commands.things: C has no execute, and is not listed; add it, or begin the name with _"
    assert check(name, "--connectors", tmp_path) == (1, [line])


def test_two_of_one_id(check, write_connector, tmp_path):
    name = write_connector(f"import json\n{GOOD}", commands__in__another=GOOD)
    folder = tmp_path / f"connector_{name}" / "commands"
    line = f"{folder}/things.py:2: the C of {folder}/another.py:1 is used, not this; rename one"
    assert check("--connectors", tmp_path) == (1, [line])


def test_a_connector_that_another_hides(check, tmp_path):
    """A bundled one, too; a folder that is named twice hides nothing."""
    for folder in "first", "second":
        shutil.copytree(CONNECTORS / "connector_example", tmp_path / folder / "connector_example")
    shutil.copytree(CONNECTORS / "connector_example", tmp_path / "second" / "connector_smtp")
    flags = [flag for folder in ("first", "second", "first") for flag in ("--connectors", tmp_path / folder)]
    hidden = "is found before it; rename one, unless that is meant"
    line = f"{tmp_path}/second/connector_example: is hidden by {tmp_path}/first/connector_example, which {hidden}"
    bundled = f"{ROOT}/connectors/connector_smtp: is hidden by {tmp_path}/second/connector_smtp, which {hidden}"
    assert check(*flags) == (1, [line, bundled])
    assert check("example", *flags) == (1, [line])


def test_an_authentication_without_its_method(check, write_connector, tmp_path):
    source = "class SignIn:\n    def run(self): pass\n"
    name = write_connector(GOOD, auths__in____init__="", auths__in__things=source)
    line = f"{tmp_path}/connector_{name}/auths/things.py:1: SignIn has no app_description, and is not listed; "
    assert check(name, "--connectors", tmp_path) == (1, [line + "add it, or begin the name with _"])


def test_a_connector_that_is_not_there(check, tmp_path):
    status, (line,) = check("nobody", "--connectors", tmp_path)
    assert (status, re.match(f"There is no connector_nobody in any of: {tmp_path}, ", line) is not None) == (1, True)


def test_what_a_connector_lacks(check, write_connector, tmp_path):
    """Is told, and is no fault of its author."""
    name = write_connector(GOOD, __init__="requires = {'a_module_that_nobody_has': 'pip install nothing'}")
    line = f"connector_{name} needs a_module_that_nobody_has, which is not installed: pip install nothing"
    assert check(name, "--connectors", tmp_path) == (0, [line, "Nothing is wrong."])


RESULTS = {
    "{'response': {}}": None,
    "None": "invalid_response: .*/C returned no valid result: it is no mapping, but of type NoneType",
    "'text'": "invalid_response: .*it is no mapping, but of type str",
    "{'status': 200}": "invalid_response: .*it has no 'response' .*, only: status",
    "{'response': {}, 'status': 99}": "invalid_response: .*its status is 99",
    "{'response': {1, 2}}": "invalid_response: .*set is not JSON serializable",
    "{'command_response_version': 2, 'error': 'no'}": "invalid_response: .*its error is no mapping",
    "{}[self.x]": "KeyError: 5",
}


@pytest.mark.parametrize(("result", "words"), RESULTS.items())
def test_a_result_that_is_none(check, write_connector, tmp_path, result, words):
    source = f"class C:\n    def __init__(self, x): self.x = x\n    def execute(self, c, t):\n        return {result}\n"
    name = write_connector(source)
    status, (line,) = check("--connectors", tmp_path, "--call", f"{name}/C", "x:=5")
    assert status == bool(words)
    place = f"{tmp_path}/connector_{name}/commands/things.py:3: "
    assert re.match(place + words if words else "Nothing is wrong", line)


def test_a_call_that_cannot_be_made(check, write_connector, tmp_path):
    name = write_connector(GOOD)
    assert check("--connectors", tmp_path, "--call", f"{name}/D")[1] == [
        f"{name}/D: command_not_found: The connector '{name}' has no command 'D'; there are: C"
    ]
    (line,) = check("--connectors", tmp_path, "--call", f"{name}/C", "y=1")[1]
    assert line.endswith(f"things.py:2: invalid_parameters: {name}/C: unknown: y. It takes no parameters.")


def test_nothing_is_wrong_with_the_bundled_ones():
    ended = run_proxy("check")
    assert (ended.stdout.splitlines()[-1], ended.returncode, ended.stderr) == ("Nothing is wrong.", 0, "")


TOLD = '''
class C:
    """Greet somebody.

    Deprecated: use D.

    :param name: who it is
    :param api_key: a key
    :raises NoName: there is none
    """
    def __init__(self, name: str, api_key="", count=1): pass
    def execute(self, config, task_data): pass
'''
TELLS = """/C(name*: str, api_key: any, count: any)
      Greet somebody.

      Deprecated: use D.
      deprecated
      parameters
          name: who it is
              schema: {"type": "string"}
          api_key: a key
              default: ""
              secret: true
          count
              default: 1
      errors
          NoName: there is none
"""


def test_list_and_call_tell_all(write_connector, tmp_path):
    name = write_connector(TOLD)
    told = run_proxy("list", "--verbose", "--connectors", str(tmp_path))
    assert (f"  {name}{TELLS}" in told.stdout, told.returncode) == (True, 0)
    for arguments in ["--help", f"{name}/C"], [f"{name}/C", "-h"], [f"{name}/C", "name=x", "--help"]:
        told = run_proxy("call", "--connectors", str(tmp_path), *arguments)
        assert (told.stdout, told.stderr, told.returncode) == (f"{name}{TELLS}", "", 0)
    told = run_proxy("call", "--help", f"{name}/D", "--connectors", str(tmp_path))
    words = f"spiffproxy: The connector '{name}' has no command 'D'; there are: C\n"
    assert (told.stdout, told.stderr, told.returncode) == ("", words, 1)


def test_a_reader_that_has_seen_enough():
    """Ends the output without a traceback."""
    command = f"'{sys.executable}' '{MODULE}' list --verbose | (read line; sleep 0.5)"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    assert ended.stderr == ""
