"""XML as a dict, in the shape that `xmltodict` gives it."""

from __future__ import annotations

import codecs
import re
from typing import Any
from xml.parsers import expat

MAX_DEPTH = 200  # parsers of JSON have a limit; expat has none
# codecs of Python that decode bytes to text and are not charsets; some take quadratic time
NOT_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}
BYTE_ORDER_MARKS = {  # UTF-32 is first, because one of its marks begins with one of UTF-16
    "utf-32": (codecs.BOM_UTF32_BE, codecs.BOM_UTF32_LE),
    "utf-16": (codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE),
}


class TreeBuilder:
    """The handlers of an expat parser. `root` is the result."""

    def __init__(self, *, keeps_blanks: bool) -> None:
        self._keeps_blanks = keeps_blanks
        self.root: dict[str, Any] = {}
        self._elements: list[dict[str, Any]] = [self.root]
        self._texts: list[list[str]] = [[]]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._elements) > MAX_DEPTH:
            raise expat.ExpatError(f"more than {MAX_DEPTH} nested elements")
        self._elements.append({f"@{key}": value for key, value in attributes.items()})
        self._texts.append([])

    def text(self, data: str) -> None:
        self._texts[-1].append(data)

    def end(self, name: str) -> None:
        element: Any = self._elements.pop()
        text = "".join(self._texts.pop())
        if not self._keeps_blanks:
            text = text.strip()
        if element and text:
            element["#text"] = text
        self._add(self._elements[-1], name, element or text or None)

    def _add(self, parent: dict[str, Any], name: str, value: Any) -> None:
        """Put an element into its parent; one that is repeated becomes a list."""
        if name not in parent:
            parent[name] = value
        elif isinstance(parent[name], list):
            parent[name].append(value)
        else:
            parent[name] = [parent[name], value]

    def refuse_entity(self, name: str, *_: object) -> None:
        raise expat.ExpatError(f"the document declares the entity {name!r}. Entities are not supported")


def decode_bytes(body: bytes, charset: str) -> str:
    """Decode by a charset that an upstream names; raise LookupError or ValueError if there is none of that name."""
    if codecs.lookup(charset).name in NOT_CHARSETS:
        raise LookupError(f"unknown encoding: {charset}")
    return body.decode(charset)


def decode_xml(body: bytes, charset: str | None) -> str:
    """Decode by the byte order mark, else by the header's charset, else by the declaration, else as UTF-8.

    This is the order of RFC 7303 section 3.
    """
    if body.startswith(codecs.BOM_UTF8):
        return body.decode("utf-8-sig")
    for encoding, marks in BYTE_ORDER_MARKS.items():
        if body.startswith(marks):
            return body.decode(encoding)
    if charset is None:
        declared = re.match(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)", body)
        charset = declared[1].decode() if declared else "utf-8"
    return decode_bytes(body, charset).removeprefix("\ufeff")


def parse_xml(text: str, *, keep_blanks: bool = False) -> dict[str, Any]:
    """Return the document as a dict with its root element; raise ExpatError if it is invalid, or declares entities.

    With `keep_blanks`, the blanks at both ends of a string stay.
    """
    builder = TreeBuilder(keeps_blanks=keep_blanks)
    parser = expat.ParserCreate("utf-8")  # which overrides what the document declares
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.EntityDeclHandler = builder.refuse_entity
    parser.Parse(text.encode(), True)
    return builder.root
