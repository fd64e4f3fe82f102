"""`check`, `list --verbose` and `call --help`: what the command line tells the author of a connector."""

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
    "what need not be listed": (
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
class _Shared:
    def execute(self, config, task_data): pass
class C(_Shared): pass
""",
        [],
    ),
    "helpers of the commands": (
        f"""
import dataclasses, json
class _Meta(type): pass
class Meta(type): pass
class Base: pass
class _Cursor:
    def execute(self, sql): pass
class Encoder(json.JSONEncoder): pass
@dataclasses.dataclass
class Address:
    street: str
class City: pass
def execute(sql): _Cursor().execute(json.dumps(sql, cls=Encoder))
class C(Base, metaclass=_Meta):
    def __init__(self, a: Address, b: "list[City]"): pass
{EXECUTE}
class D(metaclass=Meta):
{EXECUTE}
""",
        [],
    ),
    "a constructor with another word for self": (
        f"class C:\n    def __init__(this, a):\n        this.a = a\n{EXECUTE}class D:\n    def __init__(_, a): pass\n{EXECUTE}",
        [],
    ),
    "a constructor that is generated": (
        f"class C:\n    exec('def __init__(obj, a): object.__setattr__(obj, \"a\", a)')\n{EXECUTE}",
        [],
    ),
    "decorated": (
        f"def all(f):\n    return lambda *a, **k: f(*a, **k)\nclass C:\n    @all\n    def __init__(self, a): pass\n{EXECUTE}",
        [],
    ),
    "execute of a metaclass": (
        "class Meta(type):\n    def __getattr__(cls, name):\n        if name == 'execute': return print\n        raise AttributeError(name)\nclass C(metaclass=Meta): pass\n",
        [],
    ),
    "execute is an object": (
        "class _Run:\n    def __call__(self, config, task_data): pass\nclass C:\n    execute = _Run()\n",
        [],
    ),
    "a default of each object": (  # as pydantic has them
        f"import inspect\nclass C:\n    def __init__(self, **_): pass\n    __signature__ = inspect.Signature([inspect.Parameter('a', inspect.Parameter.KEYWORD_ONLY, default=[])])\n{EXECUTE}",
        [],
    ),
    "errors by a descriptor": (f"class C:\n    @property\n    def errors(self): return {{}}\n{EXECUTE}", []),
    "fields that are set later": (
        f"from typing import ClassVar\nclass C:\n    a: int\n    b: ClassVar[str]\n    c: str = ''\n    _d: str\n    def set(self): self.a = 1\n{EXECUTE}",
        [],
    ),
    "fields without a dataclass": (
        f"class C:\n    a: str\n    b: str\n{EXECUTE}",
        [(2, "a is not a parameter of C; write @dataclass above the class$")],
    ),
    "abstract": (
        f"import abc\nclass C(abc.ABC):\n    @abc.abstractmethod\n    def a(self): pass\n{EXECUTE}",
        [(2, "C is not listed, because it does not define a; add that$")],
    ),
    "unused beside a command": (
        f'{GOOD}class Greet:\n    """Greet a person."""\n    def copy(self): return Greet()\n',
        [(4, "Greet has no execute, so it is not listed")],
    ),
    "null byte": ("a = '\0'\n", [(None, ".*things cannot be imported: .*null byte")]),
    "no execute": (
        "\n\n@staticmethod\nclass C:\n    '''C'''\n    pass\nC = C.__func__\n",
        [(4, "C has no execute, so it is not listed; add execute, or begin the name with _")],
    ),
    "indented": ("if True:\n    class C:\n        pass\n", [(2, "C has no execute, so it is not listed")]),
    "execute is no function": ("class C:\n    execute = 1\n", [(1, "C has no execute, so it is not listed")]),
    "run": (
        "class C:\n    '''run'''\n    x = 'run'\n    def run(self, config, task_data): pass\n",
        [(4, r"C has run, but the proxy calls execute\(self, config, task_data\); rename it")],
    ),
    "spiff__": (
        f"class C:\n    def __init__(self, url,\n        spiff__task_id=None): pass\n{EXECUTE}",
        [(3, "spiff__task_id never arrives, because names with spiff__ in front are SpiffArena's own; rename it")],
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
    "private": (
        f"class _C:\n{EXECUTE}",
        [(1, "_C is not listed, because its name begins with _; rename it")],
    ),
    "no class": (
        "def execute(config, task_data):\n    return {'response': {}}\n",
        [(1, "execute must be a method of a class; write the class around it$")],
    ),
    "twice": (
        f"{GOOD}\n\n{GOOD}",
        [(1, "C is defined again in line 6; rename one$")],
    ),
    "execute has no parameters": (
        "class C:\n    def execute(self): pass\n",
        [(2, r"execute of C cannot be called with two arguments; write execute\(self, config, task_data\)$")],
    ),
    "execute has no self": (
        "class C:\n    def execute(config, task_data): pass\n",
        [(2, "execute of C cannot be called with two arguments")],
    ),
    "execute has three parameters": (
        "class C:\n    async def execute(self, config, task_data, more): pass\n",
        [(2, "execute of C cannot be called with two arguments")],
    ),
    "execute with other names": ("class C:\n    def execute(self, *_): pass\n", []),
    "execute is static": ("class C:\n    @staticmethod\n    def execute(config, task_data): pass\n", []),
    "swapped": (
        "class C:\n    def execute(self, task_data, config): pass\n",
        [(2, r"execute of C has its parameters swapped; write execute\(self, config, task_data\)$")],
    ),
    "no self": (
        f"class C:\n    def __init__(name, greeting='x'): pass\n{EXECUTE}",
        [(2, "__init__ of C must begin with self, not with name$")],
    ),
    "no parameters": (
        f"class C:\n    def __init__(): pass\n{EXECUTE}",
        [(2, "__init__ of C needs the parameter self$")],
    ),
    "errors": (
        f"class C:\n    errors = ['NoAnswer']\n{EXECUTE}",
        [(2, r"errors of C must map error codes to what to do: errors = {\"NoAnswer\": \"try again\"}$")],
    ),
    "a text of errors": (
        f"class C:\n    errors = {{'A': 3, 4: 'b', 'C': 'c'}}\n{EXECUTE}",
        [
            (2, r"errors of C must map error codes to what to do: .*; the value of 'A' is a number, not a string$"),
            (2, r"errors of C must map error codes to what to do: .*; a code is a number, not a string$"),
        ],
    ),
    "mutable default": (
        f"class C:\n    def __init__(self, a=(), b={{}}): pass\n{EXECUTE}",
        [(2, "all calls share the default of b; write None, and create the value in execute$")],
    ),
    "make_dataclass": (
        "from dataclasses import make_dataclass\nC = make_dataclass('C', ['a'], namespace={'execute': lambda *_: None})\n",
        [],
    ),
    "make_dataclass without execute": (
        "from dataclasses import make_dataclass\nC = make_dataclass('C', ['a'])\nC.__module__ = __name__\n",
        [(None, "C has no execute, so it is not listed")],
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
        *lines, conclusion = capsys.readouterr().out.splitlines()
        words = (
            r"\d+ commands?( and \d \w+)* checked, (no fault|1 fault|\d+ faults) found\. (.*/. was|None was) called.*"
        )
        assert re.fullmatch(words, conclusion)
        assert ("no fault" in conclusion) == (not status)
        return status, lines

    return run


@pytest.mark.parametrize(("source", "faults"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_with_its_line(check, write_connector, tmp_path, source, faults):
    name = write_connector(source)
    status, lines = check(name, "--connectors", tmp_path)
    path = tmp_path / f"connector_{name}" / "commands" / "things.py"
    assert status == bool(faults)
    for line, (number, words) in zip(lines, faults):
        place = f"{path}:{number}" if number else str(path)
        assert re.match(f"{re.escape(place)}: {words}", line), line
    assert len(lines) == len(faults)


def test_a_missing_init(check, tmp_path):
    """Of the connector, and of what it has; a folder without Python is nobody's connector."""
    (tmp_path / "connector_left" / "__pycache__").mkdir(parents=True)
    commands = tmp_path / "connector_mine" / "commands"
    commands.mkdir(parents=True)
    (commands / "things.py").write_text(GOOD)
    missing = "is missing, so the folder is not a package; create it as an empty file"
    lines = [f"{folder}/__init__.py: {missing}" for folder in (commands.parent, commands)]
    assert check("--connectors", tmp_path) == (1, lines)
    (commands.parent / "__init__.py").touch()
    assert check("mine", "--connectors", tmp_path) == (1, lines[1:])
    (commands / "__init__.py").touch()
    assert check("mine", "--connectors", tmp_path) == (0, [])


def test_a_folder_of_another_name(check, tmp_path):
    (tmp_path / "connector_mine" / "comands").mkdir(parents=True)
    (tmp_path / "connector_mine" / "__init__.py").touch()
    line = f"{tmp_path}/connector_mine: has none of the folders commands, auths, typeaheads, so nothing in it is listed"
    assert check("mine", "--connectors", tmp_path) == (1, [line])


def test_a_class_without_a_source(check, write_connector, tmp_path):
    """Is told by its file."""
    name = write_connector("C = type('C', (), {'__module__': __name__})")
    path = tmp_path / f"connector_{name}" / "commands" / "things.py"
    line = f"{path}: C has no execute, so it is not listed; add execute, or begin the name with _"
    assert check(name, "--connectors", tmp_path) == (1, [line])


def test_two_of_one_id(check, write_connector, tmp_path):
    name = write_connector(f"import json\n{GOOD}", commands__in__another=GOOD)
    folder = tmp_path / f"connector_{name}" / "commands"
    words = f"is left out, because {folder}/another.py:1 has the same name; rename one"
    line = f"{folder}/things.py:2: C {words}"
    assert check("--connectors", tmp_path) == (1, [line])


def test_a_connector_that_another_hides(check, tmp_path):
    """A bundled one, too; a folder that is named twice hides nothing."""
    for folder in "first", "second":
        shutil.copytree(CONNECTORS / "connector_example", tmp_path / folder / "connector_example")
    shutil.copytree(CONNECTORS / "connector_example", tmp_path / "second" / "connector_smtp")
    flags = [flag for folder in ("first", "second", "first") for flag in ("--connectors", tmp_path / folder)]
    hidden = "is found first; rename one of them, unless this is intended"
    line = f"{tmp_path}/second/connector_example: is hidden by {tmp_path}/first/connector_example, which {hidden}"
    bundled = f"{ROOT}/connectors/connector_smtp: is hidden by {tmp_path}/second/connector_smtp, which {hidden}"
    assert check(*flags) == (1, [line, bundled])
    assert check("example", *flags) == (1, [line])


def test_an_authentication_without_its_method(check, write_connector, tmp_path):
    source = "class SignIn:\n    def run(self): pass\n"
    name = write_connector(GOOD, auths__in____init__="", auths__in__things=source)
    line = f"{tmp_path}/connector_{name}/auths/things.py:1: SignIn has no app_description, so it is not listed; "
    assert check(name, "--connectors", tmp_path) == (1, [line + "add app_description, or begin the name with _"])


@pytest.mark.parametrize("name", ["nobody", "**nobody", "["])
def test_a_connector_that_is_not_there(check, tmp_path, name):
    status, (line,) = check(name, "--connectors", tmp_path)
    assert (status, line.startswith(f"No connector '{name}' here; there are: bamboohr, ")) == (1, True)


def test_what_a_connector_lacks(check, write_connector, tmp_path):
    """Is told, and is no fault of its author."""
    name = write_connector(GOOD, __init__="requires = {'a_module_that_nobody_has': 'pip install nothing'}")
    line = f"connector_{name} needs a_module_that_nobody_has, which is not installed: pip install nothing"
    assert check(name, "--connectors", tmp_path) == (0, [line])


def test_a_command_in_a_file_that_is_not_looked_at(check, write_connector, tmp_path):
    """Beside `commands`, in a folder of another name, or below a folder in `commands`; a test is not a command."""
    name = write_connector("from ..base import Base\nclass C(Base): pass\n")
    folder = tmp_path / f"connector_{name}"
    (folder / "base.py").write_text("class Base:\n    def execute(self, config, task_data): pass\n")
    places = ["comands/a.py", "commands/deep/b.py", "hello.py"]
    for place in [*places, "tests/test_c.py"]:
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_text(f"\n{GOOD}")
    words = f"C is not listed, because the file is not in {folder / 'commands'}; move it there"
    assert check(name, "--connectors", tmp_path) == (1, [f"{folder / place}:2: {words}" for place in places])


def test_a_module_that_only_helps_the_others(check, write_connector, tmp_path):
    """Needs no class."""
    name = write_connector("from .helpers import x\n" + GOOD, commands__in__helpers="x = 1\n")
    assert check(name, "--connectors", tmp_path) == (0, [])


def test_a_connector_that_offers_nothing(check, write_connector, tmp_path):
    name = write_connector("class Fault(Exception): pass\n")
    words = "offers nothing; write a class with execute(self, config, task_data) in its folder commands"
    assert check(name, "--connectors", tmp_path) == (1, [f"connector_{name}: {words}"])


def test_each_that_offers_nothing_is_named(check, write_connector, tmp_path):
    """Even if the name of one is in the fault of another."""
    empty = write_connector("")
    shutil.copytree(tmp_path / f"connector_{empty}", tmp_path / f"connector_{empty}0")
    (tmp_path / f"connector_{empty}0" / "commands" / "things.py").write_text("class C: pass\n")
    status, lines = check("--connectors", tmp_path)
    assert (status, len(lines)) == (1, 2)
    assert lines[0].startswith(f"connector_{empty}: offers nothing; ")


@pytest.mark.parametrize("name", ["demo", "Connector_demo", "connectors-demo"])
def test_a_folder_of_a_name_that_is_not_found(check, tmp_path, name):
    (tmp_path / name / "commands").mkdir(parents=True)
    (tmp_path / name / "commands" / "hello.py").write_text(GOOD)
    line = f"{tmp_path}/{name}: is not found under this name; rename it to connector_demo"
    for arguments in [], ["demo"]:
        assert check(*arguments, "--connectors", tmp_path) == (1, [line])


def test_a_file_that_is_meant_as_a_connector(check, tmp_path):
    (tmp_path / "connector_demo.py").write_text(GOOD)
    target = tmp_path / "connector_demo" / "commands" / "connector_demo.py"
    line = f"{tmp_path}/connector_demo.py: is a file, and a connector is a folder; move it to {target}"
    for arguments in [], ["demo"], ["connector_demo"]:
        assert check(*arguments, "--connectors", tmp_path) == (1, [line])


def test_an_environment_in_a_connector_is_not_looked_at(check, write_connector, tmp_path):
    """Its thousands of files are not the connector's."""
    name = write_connector(GOOD)
    packages = tmp_path / f"connector_{name}" / "venv" / "lib" / "python3.11" / "site-packages" / "engine"
    packages.mkdir(parents=True)
    (packages / "core.py").write_text(GOOD.replace("C", "Engine"))
    assert check(name, "--connectors", tmp_path) == (0, [])


def test_a_helper_that_is_imported_late(check, write_connector, tmp_path):
    source = GOOD.replace("return", "from ..database import Database; return")
    name = write_connector(source)
    (tmp_path / f"connector_{name}" / "database.py").write_text("class Database:\n    def execute(self, sql): pass\n")
    assert check(name, "--connectors", tmp_path) == (0, [])


def test_a_command_in_an_init(check, write_connector, tmp_path):
    """Unless other commands inherit from it."""
    name = write_connector(
        "from . import Base\nclass C(Base): pass\n", commands__in____init__=GOOD.replace("C", "Base")
    )
    assert check(name, "--connectors", tmp_path) == (0, [])
    name = write_connector("", commands__in____init__=GOOD)
    folder = tmp_path / f"connector_{name}" / "commands"
    words = f"C is not listed, because it is in an __init__.py; move it to a file in {folder}"
    assert check(name, "--connectors", tmp_path) == (1, [f"{folder}/__init__.py:1: {words}"])


def test_no_traceback_stands_in_front(write_connector, tmp_path):
    name = write_connector("1 / 0\n")
    ended = run_proxy("check", name, "--connectors", str(tmp_path))
    assert (ended.returncode, ended.stderr) == (1, "")
    assert re.match(r"\S+things.py:1: \S+ cannot be imported: ZeroDivisionError", ended.stdout)


RESULTS = {
    "{'response': {}}": None,
    "None": "invalid_response: .*/C returned no valid result: it must be an object with response, or command_response, but is null. Does execute end with return",
    "'text'": "invalid_response: .*it must be an object .*, but is a string",
    "{'status': 200}": "invalid_response: .*it has no 'response' .*, only: status",
    "{'response': {}, 'status': 99}": "invalid_response: .*its status is 99",
    "{'response': {1, 2}}": "invalid_response: .*set is not JSON serializable. result.'response'. is of type set; return sorted.value",
    "{'command_response_version': 2, 'error': 'no'}": "invalid_response: .*its error must be an object with error_code and message, but is a string",
    "{}[self.x]": "KeyError: 5",
}


@pytest.mark.parametrize(("result", "words"), RESULTS.items())
def test_a_result_that_is_none(check, write_connector, tmp_path, result, words):
    source = f"class C:\n    def __init__(self, x): self.x = x\n    def execute(self, c, t):\n        return {result}\n"
    name = write_connector(source)
    status, lines = check("--connectors", tmp_path, "--call", f"{name}/C", "x:=5")
    assert (status, len(lines)) == (bool(words), 1 if words else 0)
    place = f"{tmp_path}/connector_{name}/commands/things.py:3: "
    assert not words or re.match(place + words, lines[0])


def test_a_call_that_cannot_be_made(check, write_connector, tmp_path):
    name = write_connector(GOOD)
    assert check("--connectors", tmp_path, "--call", f"{name}/D")[1] == [
        f"{name}/D: command_not_found: The connector '{name}' has no command 'D'; there are: C"
    ]
    (line,) = check("--connectors", tmp_path, "--call", f"{name}/C", "y=1")[1]
    assert line.endswith(f"things.py:2: invalid_parameters: {name}/C: unknown: y. It accepts no parameters.")


def test_nothing_is_wrong_with_the_bundled_ones():
    ended = run_proxy("check")
    words = r"\d+ commands and 1 authentication checked, no fault found\. None was called: add --call\.$"
    assert re.match(words, ended.stdout.splitlines()[-1])
    assert (ended.returncode, ended.stderr) == (0, "")


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
