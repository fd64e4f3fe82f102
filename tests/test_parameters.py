"""Parameters: what `/v1/commands` lists of a constructor, in the protocol's fields, and how a call is bound to it."""

import sys

import pytest
from conftest import error_reply

# a constructor's parameters → what is listed, as (id, type, required)
SHAPES = {
    "none": ("", []),
    "plain": ("a, b=1", [("a", "any", True), ("b", "any", False)]),
    "types": (
        "a: str, b: int, c: bool, d: float, e: dict, f: list[str], g: list, h: type(None)",
        [
            ("a", "str", True),
            ("b", "int", True),
            ("c", "bool", True),
            ("d", "any", True),
            ("e", "any", True),
            ("f", "any", True),
            ("g", "any", True),
            ("h", "any", False),
        ],
    ),
    "defaults": (
        "a: str = 'x', b: int = 0, c: bool = False, d: str = None",
        [("a", "str", False), ("b", "int", False), ("c", "bool", False), ("d", "str", False)],
    ),
    "optional": (
        "a: Optional[str], b: Union[str, None], c: Union[None, int], d: Optional[bool], e: Optional[dict]",
        [("a", "str", False), ("b", "str", False), ("c", "int", False), ("d", "bool", False), ("e", "any", False)],
    ),
    "unions": (
        "a: Union[str, int], b: Union[str, int, None], c: Optional[list[str]], d: Union[Optional[str], None], e: 'str | Nowhere'",
        [("a", "any", True), ("b", "any", False), ("c", "any", False), ("d", "str", False), ("e", "any", True)],
    ),
    "any": (
        "a: Any, b: object, c: None, d: Optional[Any], e: 'Any'",
        [("a", "any", True), ("b", "any", True), ("c", "any", False), ("d", "any", False), ("e", "any", True)],
    ),
    "text": (
        "a: 'str', b: 'Optional[str]', c: 'str | None', d: 'None | int', e: 'dict[str, str | int] | None', f: ' bool '",
        [
            ("a", "str", True),
            ("b", "str", False),
            ("c", "str", False),
            ("d", "int", False),
            ("e", "any", False),
            ("f", "bool", True),
        ],
    ),
    "text inside": (
        "a: Optional['str'], b: Union['str | None', None], c: 'Optional[\"int\"]', d: Text, e: 'MaybeText'",
        [("a", "str", False), ("b", "str", False), ("c", "int", False), ("d", "str", True), ("e", "str", False)],
    ),
    "annotated": (
        "a: Annotated[str, 'x'], b: Annotated[Optional[str], 1], c: Optional[Annotated[int, 2]], d: 'Annotated[str, 3]'",
        [("a", "str", True), ("b", "str", False), ("c", "int", False), ("d", "str", True)],
    ),
    "unresolvable": (
        "a: 'Nowhere', b: 'str', c: 'Nowhere | None', d: 'not python', e: 'Loop', f: 'os.nothing', g: 'Nowhere' = 1",
        [
            ("a", "any", True),
            ("b", "str", True),
            ("c", "any", False),
            ("d", "any", True),
            ("e", "any", True),
            ("f", "any", True),
            ("g", "any", False),
        ],
    ),
    "unresolvable inside": (
        "a: 'Optional[Nowhere]', b: 'typing.Optional[Nowhere]', c: 'Union[Nowhere, None]', d: 'Union[None, Nowhere, str]', "
        "e: 'Union[str, Nowhere]', f: 'Optional[Union[str, Nowhere]]', g: 'Annotated[Optional[Nowhere], 1]', "
        "h: 'Optional[dict[str, Nowhere]]', i: 'list[Optional[Nowhere]]', j: 'Optional[\"Nowhere\"]', "
        "k: 'Optional[str] | Nowhere', l: 'Annotated[Nowhere, None]', m: 'nothing.Optional[Nowhere]'",
        [
            ("a", "any", False),
            ("b", "any", False),
            ("c", "any", False),
            ("d", "any", False),
            ("e", "any", True),
            ("f", "any", False),
            ("g", "any", False),
            ("h", "any", False),
            ("i", "any", True),
            ("j", "any", False),
            ("k", "any", False),
            ("l", "any", True),
            ("m", "any", False),
        ],
    ),
    "odd": (
        "a: 1, b: [str], c: {'x': str}, d: Literal['x', None], e: TypeVar('T'), f: Unhashable()",
        [
            ("a", "any", True),
            ("b", "any", True),
            ("c", "any", True),
            ("d", "any", False),
            ("e", "any", True),
            ("f", "any", True),
        ],
    ),
    "final": (
        "a: Final[Optional[str]], b: 'Final[str]', c: 'Optional[Final[Undefined]]', d: Final",
        [("a", "str", False), ("b", "str", True), ("c", "any", False), ("d", "any", True)],
    ),
    "keyword only": ("a: str, *, b: int, c=1", [("a", "str", True), ("b", "int", True), ("c", "any", False)]),
    "positional only": (
        "a: str, b: int = 2, c: int = 3, /, d: int = 4",
        [("a", "str", True), ("b", "int", False), ("c", "int", False), ("d", "int", False)],
    ),
    "variable": ("a: str, *args: str, b=1, **kwargs: int", [("a", "str", True), ("b", "any", False)]),
}
HEADER = """
import os
from typing import Annotated, Any, Final, Literal, Optional, TypeVar, Union

Text = str
MaybeText = Optional["Text"]
Loop = "Loop"

class Unhashable:
    __hash__ = None
    def __eq__(self, other):
        raise RuntimeError("compared")
"""


def described(app, name):
    """What is listed of a connector: a dict from the ids of its commands to their parameters."""
    prefix = f"{name}/"
    return {
        entry["id"][len(prefix) :]: [(p["id"], p["type"], p["required"]) for p in entry["parameters"]]
        for entry in app.get("/v1/commands").json
        if entry["id"].startswith(prefix)
    }


@pytest.mark.parametrize(("parameters", "expected"), SHAPES.values(), ids=SHAPES)
def test_a_constructor_is_described(make_command, parameters, expected):
    call = make_command(f"""{HEADER}
class C:
    def __init__(self, {parameters}):
        pass
    def execute(self, config, task_data):
        return {{"response": {{}}}}
""")
    assert described(call.app, call.name) == {"C": expected}
    call("C", **{name: None for name, _, required in expected if required})


def test_a_future_import_makes_text_of_every_annotation(make_command):
    call = make_command("""
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from somewhere import Thing

class C:
    Kind = int
    def __init__(self, a: str, b: str | None, c: Thing, d: Thing | None, e: Kind, f: C | None = None):
        pass
    def execute(self, config, task_data):
        return {"response": {}}
""")
    expected = [("a", "str", True), ("b", "str", False), ("c", "any", True), ("d", "any", False), ("e", "int", True)]
    assert described(call.app, call.name) == {"C": [*expected, ("f", "any", False)]}


@pytest.mark.skipif(sys.version_info < (3, 10), reason="Python 3.9 has no such syntax at run time")
def test_a_union_by_a_bar(make_command):
    source = "class C:\n    def __init__(self, a: str | None, b: None | int, c: str | int): pass\n    def execute(self, c, t): pass"
    call = make_command(source)
    assert described(call.app, call.name) == {"C": [("a", "str", False), ("b", "int", False), ("c", "any", True)]}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 brought `type`")
def test_a_type_alias(make_command):
    source = """
type Text = str
type Maybe = Text | None
class C:
    def __init__(self, a: Text, b: Maybe, c: 'Maybe'): pass
    def execute(self, c, t): pass
"""
    call = make_command(source)
    assert described(call.app, call.name) == {"C": [("a", "str", True), ("b", "str", False), ("c", "str", False)]}


def test_annotations_are_looked_up_where_the_constructor_was_written(write_connector, make_app, tmp_path):
    """And not in the class, whose methods may have the names of types."""
    base = """
from __future__ import annotations
Text = int
class Base:
    def __init__(self, a: Text, b: str): pass
    def str(self): pass
    def execute(self, config, task_data): pass
"""
    name = write_connector("from ..base import Base\nText = str\nclass C(Base): pass\n", base=base)
    assert described(make_app(tmp_path), name) == {"C": [("a", "int", True), ("b", "str", True)]}


DATACLASSES = """
from __future__ import annotations
from dataclasses import InitVar, dataclass, field
from typing import ClassVar, Optional
from ..base import Base

class _Report:
    def execute(self, config, task_data):
        return {"response": dict(sorted(vars(self).items()))}

@dataclass
class Plain(_Report):
    url: str
    count: int = 1
    tags: list[str] = field(default_factory=list)
    note: Optional[str] = None
    derived: str = field(init=False, default="x")
    shared: ClassVar[int] = 1
    start: InitVar[int] = 3

@dataclass
class Inheriting(Base, _Report):
    more: str | None

class Inherited(Inheriting):
    pass

class NoConstructor(_Report):
    pass

class Builtin(dict):
    def execute(self, config, task_data):
        return {"response": dict(self)}

class WithNew(_Report):
    def __new__(cls, a: str, b: int = 1):
        self = super().__new__(cls)
        self.a, self.b = a, b
        return self
"""
BASE = """
from __future__ import annotations
from dataclasses import dataclass
from typing import Optional as Perhaps

@dataclass
class Base:
    first: Perhaps[int]
    second: Word

Word = str
"""


def test_dataclasses_and_inherited_constructors(write_connector, make_app, tmp_path):
    """Annotations are looked up in the modules of all base classes."""
    name = write_connector(DATACLASSES, base=BASE)
    app = make_app(tmp_path)
    inherited = [("first", "int", False), ("second", "str", True), ("more", "str", False)]
    assert described(app, name) == {
        "Builtin": [],
        "Inherited": inherited,
        "Inheriting": inherited,
        "NoConstructor": [],
        "Plain": [
            ("url", "str", True),
            ("count", "int", False),
            ("tags", "any", False),
            ("note", "str", False),
            ("start", "int", False),
        ],
        "WithNew": [("a", "str", True), ("b", "int", False)],
    }

    def call(command, status=200, **body):
        return app.post_json(f"/v1/do/{name}/{command}", body, status=status).json

    assert call("Plain", url="u") == {"count": 1, "note": None, "tags": [], "url": "u"}
    assert call("Inherited", second="s") == {"first": None, "more": None, "second": "s"}
    assert call("NoConstructor") == {}
    assert call("WithNew", a="x") == {"a": "x", "b": 1}
    assert call("Builtin") == {}
    assert call("Builtin", 400, a=1) == error_reply("invalid_parameters", "accepts no parameters")
    assert call("Plain", 400, url="u", derived="y") == error_reply("invalid_parameters", "unknown: derived")


BINDING = """
from typing import Optional

class _Report:
    def execute(self, config, task_data):
        return {"response": {name: value for name, value in vars(self).items()}}

class Positional(_Report):
    def __init__(self, a, b=2, c: Optional[int] = 3, /, d=4):
        self.got = [a, b, c, d]

class Keyword(_Report):
    def __init__(self, *args, a, b: Optional[str], **kwargs):
        self.got = [args, a, b, kwargs]

class Mixed(_Report):
    def __init__(self, a: Optional[str], /, b: Optional[dict], *, c: "str | None"):
        self.got = [a, b, c]

class Takes(_Report):
    def __init__(self, url: str, headers: Optional[dict] = None, *, count: int, limit: Optional[int] = 3):
        self.got = [url, headers, count, limit]

class Nothing(_Report):
    def __init__(self):
        self.got = []

class Single(_Report):
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)
    def __init__(self, url: str, more=1):
        self.got = [url, more]

class Meta(type):
    def __call__(cls, *args, **kwargs):
        return super().__call__(*args, **kwargs)

class WithMeta(_Report, metaclass=Meta):
    def __init__(self, url: str):
        self.got = [url]

class This(_Report):
    def __init__(this, **others):
        this.got = others

class Hidden(_Report):
    def __init__(self, /, **others):
        self.got = others

class Raises(_Report):
    def __init__(self, a):
        raise TypeError("of its own")
"""


@pytest.mark.parametrize(
    ("command", "body", "got"),
    [
        ("Positional", {"a": 1}, [1, 2, 3, 4]),
        ("Positional", {"a": 1, "c": 5, "d": 6}, [1, 2, 5, 6]),
        ("Positional", {"a": 1, "c": None}, [1, 2, None, 4]),
        ("Keyword", {"a": 1}, [[], 1, None, {}]),
        ("Keyword", {"a": 1, "b": "x", "more": [2], "": 3}, [[], 1, "x", {"more": [2], "": 3}]),
        ("Keyword", {"a": 1, "args": 2, "kwargs": 3}, [[], 1, None, {"args": 2, "kwargs": 3}]),
        ("Mixed", {}, [None, None, None]),
        ("Mixed", {"a": "x", "b": None, "c": "y"}, ["x", None, "y"]),
        ("Takes", {"url": "u", "count": "not a number"}, ["u", None, "not a number", 3]),
        ("Takes", {"url": "u", "count": 1, "limit": None}, ["u", None, 1, None]),
        ("Single", {"url": "u"}, ["u", 1]),
        ("WithMeta", {"url": "u"}, ["u"]),
        ("This", {"self": 1, "x": 2}, {"self": 1, "x": 2}),
        ("Hidden", {"self": 1}, {"self": 1}),
        ("Nothing", {"spiff__anything": 1, "spiff__task_data": {"x": 1}}, []),
    ],
)
def test_parameters_are_bound_by_name(make_command, command, body, got):
    assert make_command(BINDING)(command, **body).json == {"got": got}


@pytest.mark.parametrize(
    ("command", "body", "words"),
    [
        ("Takes", {}, r"Takes: missing: count, url. It accepts url \(required\), headers, count \(required\), limit."),
        ("Takes", {"url": 1, "cuont": 2}, r"missing: count; unknown: cuont."),
        ("Nothing", {"b": 1, "a": 2}, r"unknown: a, b. It accepts no parameters."),
        ("Positional", {"b": 1}, r"missing: a. It accepts a \(required\), b, c, d."),
        ("Keyword", {"b": 1}, r"missing: a. It accepts a \(required\), b."),
        ("Keyword", {"a": 1, "self": 1}, r"unknown: self."),
        ("This", {"this": 1}, r"unknown: this."),
        ("Single", {"x": 1}, r"missing: url; unknown: x. It accepts url \(required\), more."),
        ("WithMeta", {}, r"missing: url."),
    ],
)
def test_parameters_that_do_not_fit(make_command, command, body, words):
    answer = make_command(BINDING)(command, status=400, **body)
    assert answer.json == error_reply("invalid_parameters", words)


def test_a_type_error_of_the_command_is_the_commands(make_command):
    assert make_command(BINDING)("Raises", 500, a=1).json == error_reply("TypeError", "^of its own$")
