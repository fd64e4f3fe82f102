"""What `/v1/commands` says of a command beyond the protocol's fields: docstrings, schemas, defaults, errors."""

import re
import sys

import pytest
from conftest import run_proxy
from jsonschema import Draft202012Validator

HEADER = """
import enum
from dataclasses import dataclass, field
from typing import Any, Dict, List, Literal, Mapping, Optional, Sequence, Tuple, TypedDict, TypeVar, Union

class Colour(enum.Enum):
    RED = "red"
    GREEN = 2

class Odd(enum.Enum):
    THING = object()

class Address(TypedDict):
    street: str
    floor: Optional[int]

class Person(Address, total=False):
    names: "List[str]"
    anything: Any

@dataclass
class Point:
    x: float
    y: "float | None" = None
    tags: List[str] = field(default_factory=list)
    size: int = field(init=False, default=0)

@dataclass
class Tree:
    branches: "List[Tree]"

Loop = "Loop"
"""
STRING, INTEGER, NULL = {"type": "string"}, {"type": "integer"}, {"type": "null"}
ADDRESS = {"street": STRING, "floor": {"type": ["integer", "null"]}}
# an annotation → its schema, what fits that, and what does not
SCHEMAS = {
    "str": (STRING, ["x"], [1, None]),
    "int": (INTEGER, [1], ["1", 1.5]),
    "bool": ({"type": "boolean"}, [True], [1]),
    "float": ({"type": "number"}, [1, 1.5], ["1"]),
    "None": (NULL, [None], [0]),
    "dict": ({"type": "object"}, [{"a": 1}], [[]]),
    "Dict[str, int]": ({"type": "object", "additionalProperties": INTEGER}, [{"a": 1}, {}], [{"a": "1"}]),
    "Mapping[str, Any]": ({"type": "object"}, [{"a": 1}], [1]),
    "'dict[str, str] | None'": (
        {"anyOf": [{"type": "object", "additionalProperties": STRING}, NULL]},
        [{"a": "b"}, None],
        [{"a": 1}, "x"],
    ),
    "list": ({"type": "array"}, [[1, "x"]], [{}]),
    "List[int]": ({"type": "array", "items": INTEGER}, [[1], []], [["1"]]),
    "Sequence[List[str]]": ({"type": "array", "items": {"type": "array", "items": STRING}}, [[["x"]]], [["x"]]),
    "set[Any]": ({"type": "array"}, [[1, None]], [1]),
    "tuple": ({"type": "array"}, [[1, "x"]], ["x"]),
    "Tuple[int, ...]": ({"type": "array", "items": INTEGER}, [[], [1, 2]], [["x"]]),
    "Tuple[str, Any]": (
        {"type": "array", "prefixItems": [STRING, {}], "minItems": 2, "maxItems": 2},
        [["x", 1], ["x", None]],
        [["x"], [1, 2], ["x", 1, 2]],
    ),
    "Union[str, int, None]": ({"type": ["string", "integer", "null"]}, ["x", 1, None], [1.5, []]),
    "'dict | Dict[str, Any] | None'": ({"type": ["object", "null"]}, [{}, None], [1]),
    "'Union[str, Optional[str]]'": ({"type": ["string", "null"]}, ["x", None], [1]),
    "Union[str, List[str]]": ({"anyOf": [STRING, {"type": "array", "items": STRING}]}, ["x", ["x"]], [[1], 1]),
    "Literal['a', 1, None]": ({"enum": ["a", 1, None]}, ["a", 1, None], ["b"]),
    "Optional[Literal['a']]": ({"anyOf": [{"enum": ["a"]}, NULL]}, ["a", None], ["b"]),
    "Colour": ({"enum": ["red", 2]}, ["red", 2], ["RED"]),
    "Address": (
        {"type": "object", "properties": ADDRESS, "required": ["street", "floor"]},
        [{"street": "s", "floor": None}],
        [{"street": "s"}, {"street": 1, "floor": 1}],
    ),
    "Person": (
        {
            "type": "object",
            "properties": {**ADDRESS, "names": {"type": "array", "items": STRING}, "anything": {}},
            "required": ["street", "floor"],
        },
        [{"street": "s", "floor": 1, "anything": []}],
        [{"street": "s", "floor": 1, "names": [1]}],
    ),
    "Point": (
        {
            "type": "object",
            "properties": {
                "x": {"type": "number"},
                "y": {"type": ["number", "null"]},
                "tags": {"type": "array", "items": STRING},
            },
            "required": ["x"],
        },
        [{"x": 1}, {"x": 1.5, "y": None, "tags": ["a"]}],
        [{}, {"x": 1, "tags": [1]}],
    ),
    **dict.fromkeys(["Any", "object", "Optional[Any]", "Union[str, bytes]", "bytes", "complex", "TypeVar('T')"]),
    **dict.fromkeys(
        ["'Nowhere'", "'Nowhere | None'", "'not python'", "Loop", "Tree", "Odd", "Literal[b'x']", "1", "[str]"]
    ),
}


def command(parameters, before=""):
    """The source of a command whose constructor has these parameters, after other source."""
    return f"{before}\nclass C:\n    def __init__(self, {parameters}): pass\n    def execute(self, *_): pass\n"


def listed(call, command="C"):
    (entry,) = (entry for entry in call.app.get("/v1/commands").json if entry["id"] == f"{call.name}/{command}")
    return entry


def parameters(call, command="C"):
    return {parameter["id"]: parameter for parameter in listed(call, command)["parameters"]}


def test_the_schema_of_an_annotation(make_command):
    """Is left out where it cannot be told."""
    taken = ", ".join(f"p{number}: {annotation}" for number, annotation in enumerate(SCHEMAS))
    call = make_command(command(taken, HEADER))
    told = {parameter["id"]: parameter.get("schema") for parameter in listed(call)["parameters"]}
    assert len(told) == len(SCHEMAS)
    for number, (annotation, expected) in enumerate(SCHEMAS.items()):
        schema, fits, does_not = expected or (None, [], [])
        assert told[f"p{number}"] == schema, annotation
        Draft202012Validator.check_schema(schema or {})
        assert [value for value in fits if not Draft202012Validator(schema).is_valid(value)] == [], annotation
        assert [value for value in does_not if Draft202012Validator(schema).is_valid(value)] == [], annotation


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.11 brought NotRequired")
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_what_a_typed_dict_does_not_require(make_command, future):
    source = """
from typing import NotRequired, TypedDict
class Thing(TypedDict):
    a: str
    b: NotRequired[int]
"""
    schema = {"type": "object", "properties": {"a": STRING, "b": INTEGER}, "required": ["a"]}
    call = make_command(command("thing: Thing", future + source))
    assert parameters(call)["thing"]["schema"] == schema


def test_a_schema_has_an_end(make_command):
    """Four objects within each other are told; of more, each twice in the one around it, nothing is."""
    classes = [f"class T{n}(TypedDict):\n    a: 'T{n + 1}'\n    b: 'T{n + 1}'\n" for n in range(20)]
    source = "from typing import TypedDict\n" + "".join(classes) + "class T20(TypedDict):\n    a: int\n    b: str\n"
    told = parameters(make_command(command("a: T17, b: T16, c: T0", source)))
    schema = told["a"]["schema"]
    for _ in range(3):
        schema = schema["properties"]["b"]
    assert schema == {"type": "object", "properties": {"a": INTEGER, "b": STRING}, "required": ["a", "b"]}
    assert ("schema" in told["b"], "schema" in told["c"]) == (False, False)


def test_a_type_that_refers_to_itself_twice(write_connector, tmp_path):
    """Is not followed into its branches for ever, at whatever depth the recursion ends."""
    write_connector("""
from __future__ import annotations
from dataclasses import dataclass
from typing import List, Optional, TypedDict
@dataclass
class _Tree:
    left: Optional[_Tree]
    right: Optional[_Tree]
class _Folder(TypedDict):
    first: _Folder
    second: _Folder
class C:
    def __init__(self, a: _Tree, b: List[_Tree], c: List[List[_Tree]], d: List[List[List[_Tree]]],
        e: _Folder, f: List[_Folder], g: List[List[_Folder]], h: List[List[List[_Folder]]]): pass
    def execute(self, *_): pass
""")
    told = run_proxy("list", "--verbose", "--connectors", str(tmp_path))
    assert re.search(r"/C\(.*\)\n      parameters\n" + "          [a-h]\n" * 8, told.stdout)


def test_types_of_another_module(write_connector, make_app, tmp_path):
    """Are looked up where they were written."""
    source = """
from dataclasses import dataclass
from typing import List, TypedDict
Text = str
@dataclass
class _Point:
    x: "List[Text]"
class _Place(TypedDict):
    y: "List[Text]"
"""
    name = write_connector(
        command("point: _Point, place: _Place", "from .other import _Place, _Point"),
        commands__in__other=source,
    )
    (entry,) = (one for one in make_app(tmp_path).get("/v1/commands").json if one["id"] == f"{name}/C")
    texts = {"type": "array", "items": STRING}
    assert [parameter["schema"] for parameter in entry["parameters"]] == [
        {"type": "object", "properties": {"x": texts}, "required": ["x"]},
        {"type": "object", "properties": {"y": texts}, "required": ["y"]},
    ]


def test_the_standard_fields_are_as_they_were_and_come_first(make_command):
    entry = listed(make_command(command("a: str, *, b: dict = {}")))
    assert list(entry) == ["id", "parameters"]
    a, b = entry["parameters"]
    assert list(a.items()) == [("id", "a"), ("type", "str"), ("required", True), ("schema", STRING)]
    assert list(b.items())[:3] == [("id", "b"), ("type", "any"), ("required", False)]


def test_a_default_that_is_json(make_command):
    source = """
from dataclasses import dataclass, field
class C:
    def __init__(self, a=None, b=0, c="x", d=(1, [2]), e={"k": False}, f=float("nan"), g=object(), h=b"", i={1: {2}}): pass
    def execute(self, *_): pass
@dataclass
class D:
    a: int = 5
    b: list = field(default_factory=list)
    def execute(self, *_): pass
"""
    call = make_command(source)
    told = {name: parameter["default"] for name, parameter in parameters(call).items() if "default" in parameter}
    assert told == {"a": None, "b": 0, "c": "x", "d": [1, [2]], "e": {"k": False}}
    assert parameters(call, "D")["a"]["default"] == 5
    assert "default" not in parameters(call, "D")["b"]


def test_what_is_named_like_a_secret(make_command):
    """Has no default that is worth hiding; what is a number or a truth is none."""
    secrets = "password smtp_password accessToken client_secret api_key apikey passphrase database_connection_str"
    secrets += " pwd credentials authorization secret_access_key access_key oauth2 smtp_oauth2"
    others = "key tokens max_tokens monkey pass_on author passenger authorization_url access_key_id"
    others += " continuation_token next_token page_token token_url tokenizer"
    taken = ", ".join([*secrets.split(), *others.split(), "a_token: int", "b_token: bool", "c_token='x'", "d_token=''"])
    told = parameters(make_command(command(taken)))
    assert [name for name, parameter in told.items() if "secret" in parameter] == [
        *secrets.split(),
        "c_token",
        "d_token",
    ]
    assert all(parameter["secret"] is True for parameter in told.values() if "secret" in parameter)
    assert [parameter["default"] for parameter in told.values() if "default" in parameter] == [""]


def test_a_default_that_holds_a_secret(make_command):
    """Is not told, whatever the parameter is called; what merely could hold one is."""
    secrets = ["'postgres://me:pw@host/db'", "{'user': 'me', 'password': 'pw'}", "[{'Authorization': 'Bearer x'}]"]
    others = [
        "'postgres://host:5432/me@db'",
        "{'user': 'me', 'password': ''}",
        "'a password, please: x'",
        "{'a': 'token'}",
    ]
    taken = ", ".join(f"p{number}={default}" for number, default in enumerate([*secrets, *others]))
    told = parameters(make_command(command(taken)))
    assert [name for name, parameter in told.items() if "default" in parameter] == ["p3", "p4", "p5", "p6"]


PROSE = "Greet somebody.\n\nWith words."
DOCSTRINGS = {
    "Sphinx": """
    Greet somebody.

    With words.

    :param str name: who
        it is
    :type name: str
    :param dict[str, int] counts: of what
    :param greeting: the word: one
    :param others:
    :param \\*more: the rest
    :raises NoName: there is
      none
    :raises Busy, HttpError<status>, not-there: later
    :returns: nothing
    :rtype: dict
    """,
    "Google": """Greet somebody.

    With words.

    Args:
        name (str, optional): who
            it is
        counts(dict[str, int]): of what
        greeting: the word: one
        others (list):
        *more:
            the rest

        A line that is no parameter.

    Returns:
        nothing: at all

    Raises:
        NoName: there is
            none
        Busy, HttpError<status>, not-there: later
    """,
    "NumPy": """
    Greet somebody.

    With words.

    Parameters
    ----------
    name : str, optional
        who
        it is
    counts : dict[str, int]
        of what
    greeting
        the word: one
    others : list

    *more
        the rest

    Returns
    -------
    str
        nothing

    Raises
    ------
    NoName
        there is none
    Busy, HttpError<status>, not-there
        later
    """,
}


@pytest.mark.parametrize("style", DOCSTRINGS)
@pytest.mark.parametrize("place", ["class", "constructor"])
def test_a_docstring(make_command, style, place):
    """Of the class, or of its constructor."""
    text = {"class": "", "constructor": "pass", place: f'r"""{DOCSTRINGS[style]}"""'}
    call = make_command(f"""
class C:
    {text["class"]}
    def __init__(self, name, counts, greeting, others, more, untold=0):
        {text["constructor"]}
    def execute(self, *_): pass
""")
    entry = listed(call)
    assert entry["description"] == PROSE
    told = {parameter["id"]: parameter.get("description") for parameter in entry["parameters"]}
    assert told == {
        "name": "who it is",
        "counts": "of what",
        "greeting": "the word: one",
        "others": None,
        "more": "the rest",
        "untold": None,
    }
    assert entry["errors"] == {
        "NoName": "there is none",
        **dict.fromkeys(["Busy", "HttpError<status>", "not-there"], "later"),
    }


def test_the_words_of_a_docstring(make_command):
    """Each that Sphinx knows, in its fields and its sections."""
    fields = ["param", "parameter", "arg", "argument", "key", "keyword"]
    sections = [
        "Args",
        "Arguments",
        "Parameters",
        "Other Parameters",
        "Keyword Args",
        "Keyword Arguments",
        "Attributes",
    ]
    failures, others = ["raises", "raise", "except", "exception"], ["type", "return", "returns", "rtype"]
    lines = [f":{word} a{number}: x" for number, word in enumerate([*fields, *sections]) if word in fields]
    lines += [f":{word} E{number}: x" for number, word in enumerate(failures)] + [f":{word}: x" for word in others]
    lines += [f"{word}:\n        a{len(fields) + number}: x" for number, word in enumerate(sections)]
    lines += [
        "Raises:\n        E4: x",
        "Returns:\n        x",
        "Yields:\n        x",
        ":meta private: x",
        "Note:\n        x",
    ]
    taken = ", ".join(f"a{number}" for number in range(len(fields) + len(sections)))
    text = "\n    ".join(lines)
    call = make_command(
        f'class C:\n    """Text.\n\n    {text}\n    """\n    def __init__(self, {taken}): pass\n    def execute(self, *_): pass'
    )
    assert [parameter.get("description") for parameter in listed(call)["parameters"]] == ["x"] * 13
    assert listed(call)["errors"] == {f"E{number}": "x" for number in range(5)}
    assert listed(call)["description"] == "Text.\n\n:meta private: x\nNote:\n    x"


def test_what_has_no_docstring_has_no_description(make_command):
    """Nor has one that a dataclass, a base class or Python wrote."""
    call = make_command('''
import threading
from dataclasses import dataclass
class _Base:
    """What developers read.

    :param b: from the base
    :raises Failed: it
    """
@dataclass
class C(_Base):
    a: int = 1
    b: int = 2
    def execute(self, *_): pass
class D(threading.local):
    def execute(self, *_): pass
class E(dict):
    def execute(self, *_): pass
''')
    assert "description" not in listed(call)
    assert "description" not in parameters(call)["a"]
    assert parameters(call)["b"]["description"] == "from the base"
    assert listed(call)["errors"] == {"Failed": "it"}
    assert listed(call, "D") == {"id": f"{call.name}/D", "parameters": []}
    assert listed(call, "E") == {"id": f"{call.name}/E", "parameters": []}


def test_errors_from_a_mapping_and_from_execute(make_command):
    """The mapping goes before; the class before the base."""
    call = make_command('''
class Base:
    """Base.

    :raises A: of the base
    :raises D: of the base
    """
    errors = {"C": "the mapping's", "F": 5}
class C(Base):
    """C.

    :raises A: of the class
    :raises C: of the class
    """
    def execute(self, config, task_data):
        """Do it.

        Raises:
            E: of execute
        """
''')
    told = {"C": "the mapping's", "F": "5", "A": "of the class", "E": "of execute", "D": "of the base"}
    assert listed(call)["errors"] == told
    assert listed(call)["description"] == "C."


def test_errors_by_the_members_of_an_enum(make_command):
    """Are told by their values, as they are answered."""
    source = """
import enum
class Code(str, enum.Enum):
    FULL = "TrainFull"
class C:
    errors = {Code.FULL: "there is no seat"}
    def execute(self, *_): pass
"""
    assert listed(make_command(source))["errors"] == {"TrainFull": "there is no seat"}


def test_the_description_is_of_the_class(make_command):
    """Else of its constructor; not of `execute`, which developers read."""
    source = """
from types import MappingProxyType
class C:
    {}
    errors = MappingProxyType({{"A": "a"}})
    def __init__(self):
        {}
    def execute(self, *_):
        "Execute."
"""
    for texts, told in {
        ('"Class."', '"Constructor."'): "Class.",
        ("", '"Constructor."'): "Constructor.",
        ("", "pass"): None,
    }.items():
        call = make_command(source.format(*texts))
        assert listed(call).get("description") == told
        assert listed(call)["errors"] == {"A": "a"}


@pytest.mark.parametrize(
    ("docstring", "description"),
    [
        ("Old.\n\n    .. deprecated:: 2.0\n       Use D.\n", "Old.\n\nDeprecated: 2.0\n   Use D."),
        ("Old.\n\n    .. deprecated::\n       Use D.\n", "Old.\n\nDeprecated:\n   Use D."),
        ("Deprecated: use D.", "Deprecated: use D."),
        ("Old.\n\n    DEPRECATED since 2.0.\n\n    :param a: x", "Old.\n\nDEPRECATED since 2.0."),
        ("Old.\n\n    Deprecated:\n        Use D.", "Old.\n\nDeprecated:\n    Use D."),
    ],
)
def test_deprecated(make_command, docstring, description):
    call = make_command(f'class C:\n    """{docstring}"""\n    def execute(self, *_): pass')
    assert listed(call) == {"id": f"{call.name}/C", "parameters": [], "description": description, "deprecated": True}


def test_not_deprecated(make_command):
    text = '"""Not deprecated.\n\n    It goes on, and is\n    deprecated by nobody.\n    """'
    assert "deprecated" not in listed(make_command(f"class C:\n    {text}\n    def execute(self, *_): pass"))


def test_what_cannot_be_described_is_listed(make_command):
    """With what can be told of the rest."""
    call = make_command('''
from collections.abc import Mapping
class Bad(Mapping):
    def __getitem__(self, key): raise SystemError
    def __iter__(self): raise SystemError
    def __len__(self): return 1
class Repr:
    def __eq__(self, other): raise SystemError
    __hash__ = None
class Meta(type):
    @property
    def errors(cls): raise SystemError
class A:
    errors = Bad()
    def __init__(self, a: str): pass
    def execute(self, *_): pass
class B:
    __doc__ = 5
    errors = ["E"]
    def __init__(self, a: Repr() = Repr(), b: int = 1): pass
    def execute(self, *_): pass
class C(metaclass=Meta):
    """Text."""
    def execute(self, *_): pass
''')
    assert parameters(call, "A") == {"a": {"id": "a", "type": "str", "required": True, "schema": STRING}}
    assert parameters(call, "B")["b"] == {"id": "b", "type": "int", "required": False, "default": 1, "schema": INTEGER}
    assert set(listed(call, "B")) == {"id", "parameters"}
    assert listed(call, "C")["id"] == f"{call.name}/C"


FOREIGN = {
    "a default without a truth": """
class Odd(list):
    def __bool__(self): raise ValueError
    def __iter__(self): raise SystemExit
class C:
    def __init__(self, a_token=Odd([1]), api_key=object()): pass
""",
    "a default that changes": """
class Odd(dict):
    def items(self):
        self.pop("a")
        return [("b", 1)]
class C:
    def __init__(self, a=Odd(a=1, b=2)): pass
""",
    "a signature that changes": """
import inspect, itertools
numbers = itertools.count()
class Meta(type):
    @property
    def __signature__(cls):
        return inspect.Signature([inspect.Parameter(f"a{next(numbers)}", inspect.Parameter.KEYWORD_ONLY)])
class C(metaclass=Meta):
""",
    "errors that end the process": """
class Meta(type):
    @property
    def errors(cls): raise SystemExit
class C(metaclass=Meta):
""",
    "an annotation that ends the process": """
class Meta(type):
    @property
    def __required_keys__(cls): raise SystemExit
class Odd(metaclass=Meta): pass
class C:
    def __init__(self, a: Odd): pass
""",
}


@pytest.mark.parametrize("source", FOREIGN.values(), ids=FOREIGN)
def test_what_fails_as_it_is_described_is_listed(make_command, source):
    """And so are all the others."""
    call = make_command(source + "    def execute(self, *_): pass")
    assert listed(call)["id"] == f"{call.name}/C"
    assert any(entry["id"] == "http/GetRequest" for entry in call.app.get("/v1/commands").json)
