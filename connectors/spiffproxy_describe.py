"""What `/v1/commands` lists beyond SpiffArena's protocol: docstrings, defaults, JSON Schemas and errors.

Imported when a list is made. Without this file, a list has only the fields of the protocol.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from spiffproxy_schema import SECRET_NAME, schema_of_parameter

from spiffproxy import Entry, Parameter, decode_json, encode_json


def describe_entry(entry: Entry) -> dict[str, Any]:
    """Return what is listed of an entry: the fields of the protocol, then further fields if they have a value.

    A parameter may have `description`, `default`, `schema` (JSON Schema 2020-12) and `secret`; the entry may have
    `description`, `deprecated` and `errors`, which maps error codes to their meaning.
    """
    docs = Docstrings()
    with suppress(BaseException):  # docstrings and mappings are foreign code, and may be anything
        docs.read(entry.cls)
    described: dict[str, Any] = {
        "id": entry.id,
        "parameters": [describe_parameter(parameter, docs, entry.cls) for parameter in entry.parameters],
    }
    if docs.prose:
        described["description"] = docs.prose
    if re.search(r"(\A|\n\n)deprecated\b", docs.prose, re.IGNORECASE):
        described["deprecated"] = True
    if docs.errors:
        described["errors"] = docs.errors
    return described


def describe_parameter(parameter: Parameter, docs: Docstrings, cls: type) -> dict[str, Any]:
    described = parameter.as_listed()
    is_secret = parameter.type in ("str", "any") and bool(SECRET_NAME.search(parameter.name))
    if parameter.name in docs.parameters:
        described["description"] = docs.parameters[parameter.name]
    if parameter.has_default:
        with suppress(BaseException):  # it may not be JSON, or be foreign code that fails
            default = decode_json(encode_json(parameter.signature.default).decode())
            if not (is_secret and default) and not contains_secret(default):
                described["default"] = default
    with suppress(BaseException):  # the annotation cannot be read or refers to itself, or a keyword is not JSON
        schema = schema_of_parameter(parameter.name, parameter.signature.annotation, cls)
        if schema:
            described["schema"] = decode_json(encode_json(schema).decode())
    if is_secret:
        described["secret"] = True
    return described


URL_WITH_PASSWORD = re.compile('://[^/"]*:[^/"]+@')


def contains_secret(value: Any) -> bool:
    """Return whether a JSON value has a URL with a password, or a string under the name of a secret."""
    if isinstance(value, str):
        return bool(URL_WITH_PASSWORD.search(value))
    if isinstance(value, dict):
        named = [key for key, item in value.items() if SECRET_NAME.search(key) and isinstance(item, str) and item]
        return bool(named) or contains_secret([*value.keys(), *value.values()])
    return isinstance(value, list) and any(contains_secret(item) for item in value)


# --- Docstrings ---------------------------------------------------------------------------------------------------

PARAMETER_WORDS = {
    *("param", "parameter", "arg", "argument", "key", "keyword"),  # Sphinx: one parameter each
    *("parameters", "other parameters", "args", "arguments", "keyword args", "keyword arguments", "attributes"),
}
ERROR_WORDS = {"raises", "raise", "except", "exception"}
WORDS = PARAMETER_WORDS | ERROR_WORDS | {"type", "returns", "return", "rtype", "yields"}  # the last five are not listed


class Docstrings:
    """The docstrings of a class: its prose, and the descriptions of its parameters and errors."""

    def __init__(self) -> None:
        self.prose = ""
        self.parameters: dict[str, str] = {}
        self.errors: dict[str, str] = {}

    def read(self, cls: type) -> None:
        """Read the docstrings of the class, its constructor and `execute`; base classes complete them."""
        declared = getattr(cls, "errors", None)
        if isinstance(declared, Mapping):
            for code, text in declared.items():
                self.errors[str(getattr(code, "value", code))] = str(text)  # a code may be a member of an enumeration
        for base in cls.__mro__[:-1]:
            for source in (base, vars(base).get("__init__"), vars(base).get("execute")):
                text = getattr(source, "__doc__", None) if source else None
                if not isinstance(text, str) or text.startswith(f"{base.__name__}("):  # which @dataclass has written
                    continue
                prose = self._read_one(text)
                if base is cls and source is not vars(base).get("execute"):
                    self.prose = self.prose or prose

    def _read_one(self, text: str) -> str:
        """Record parameters and errors in the style of Sphinx, Google or NumPy; return the other paragraphs."""
        text = inspect.cleandoc(text).replace(".. deprecated::", "Deprecated:")
        prose = []
        for block in split_blocks(text):
            for parse in (parse_sphinx, parse_numpy, parse_google):
                items = parse(block)
                if items is not None:
                    for word, name, description in items:
                        self._record(word, name, description)
                    break
            else:
                prose.append(block)
        return "".join(prose).strip()

    def _record(self, word: str, name: str, text: str) -> None:
        if not text.strip():
            return
        name = name.lstrip("\\*")
        if word in PARAMETER_WORDS:
            self.parameters.setdefault(name, " ".join(text.split()))
        elif word in ERROR_WORDS:
            self.errors.setdefault(name, " ".join(text.split()))


Items = Iterator[tuple[str, str, str]]  # a word such as "raises", a name, and its description
NUMPY_TITLE = r"^\w[\w ]*\n-{3,}\n"


def split_blocks(text: str) -> list[str]:
    """Return the lines that begin at the margin, each with the indented ones after it; a NumPy section as a whole."""
    blocks = []
    for part in re.split(rf"(?m)(?={NUMPY_TITLE})", text):
        if re.match(NUMPY_TITLE, part):
            blocks.append(part)
        else:
            blocks += re.split(r"(?m)^(?=\S)", part)
    return blocks


def parse_sphinx(block: str) -> Items | None:
    """Read `:param name: text`, `:param type name: text` and `:raises A, B: text`."""
    field = re.match(r":(\w+)\s*([^:]*):(?!\S)", block)
    if not field or field[1] not in WORDS:
        return None
    names = [name.split()[-1] for name in field[2].split(",") if name.strip()]
    return ((field[1], name, block[field.end() :]) for name in names)


def parse_numpy(block: str) -> Items | None:
    """Read a title that is underlined, and below it items with their text indented."""
    title = re.match(NUMPY_TITLE, block)
    if not title:
        return None
    word = block.partition("\n")[0].lower()
    return parse_items(word, block[title.end() :]) if word in WORDS else None


def parse_google(block: str) -> Items | None:
    """Read `Args:` or `Raises:`, and below it indented items."""
    head, _, body = block.partition("\n")
    word = head[:-1].lower()
    if not head.endswith(":") or not body.strip() or word not in WORDS:
        return None
    return parse_items(word, body)


def parse_items(word: str, body: str) -> Items:
    for item in re.split(r"(?m)^(?=\S)", textwrap.dedent(body)):
        # "name: text", "name (type): text" (Google); "name", "name : type", with the text below (NumPy)
        named = re.match(r"([\\*\w<>.-]+(?:, [\\*\w<>.-]+)*)(?: ?\(.*?\))?(?:: | : .*|:?$)", item, re.MULTILINE)
        if named:
            for name in named[1].split(", "):
                yield word, name, item[named.end() :]
