"""Values both ways: JSON as PostgreSQL reads it, and what PostgreSQL writes as JSON."""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Any, Callable, NamedTuple

import psycopg
from psycopg.adapt import Loader
from psycopg.types import TypeInfo

from connector_postgres.errors import refuse

BYTEA, JSON, TEXT = 17, (114, 3802), (25, 1042, 1043)  # the numbers of types never change (pg_type.dat)
TYPES = """
WITH RECURSIVE known (oid) AS (
    SELECT unnest($1::oid[])
    UNION SELECT unnest(ARRAY[typbasetype, typelem]) FROM known JOIN pg_catalog.pg_type USING (oid)
)
SELECT oid, typbasetype, CASE typinput WHEN 'pg_catalog.array_in'::regproc THEN typelem ELSE 0 END, typdelim
FROM known JOIN pg_catalog.pg_type USING (oid)
"""


class Type(NamedTuple):
    """A type; `element` is the type of an array's elements; `has_bytes` if it is bytea, or an array of it."""

    oid: int
    element: Any
    delimiter: str
    has_bytes: bool


def find_types(connection: Any, oids: list[int]) -> list[Type]:
    """Return the types of these numbers; in place of a domain, the type that it is made of. Arrays become lists."""
    rows = {oid: row for oid, *row in connection.execute(TYPES, [oids])}

    def resolve(oid: int) -> Type:
        base, element, delimiter = rows[oid]
        if base:
            return resolve(base)
        if not element:
            return Type(oid, None, delimiter, oid == BYTEA)
        inner = resolve(element)
        TypeInfo(str(oid), inner.oid, oid, delimiter=delimiter).register(connection)
        return Type(oid, inner, delimiter, inner.has_bytes)

    return [resolve(oid) for oid in oids]


def unwrap(wrapped: dict[str, Any]) -> Any:
    """Return the string in what SpiffArena wraps (a date, time, UUID or duration), and any other object as it is."""
    if wrapped.keys() == {"typename", "value"} and isinstance(wrapped["typename"], str):
        return wrapped["value"]
    if wrapped.keys() == {"typename", "days", "seconds"}:
        return f"{wrapped['days']} days {wrapped['seconds']} seconds"
    return wrapped


def to_text(value: Any, kind: Type) -> Any:
    """Return what PostgreSQL reads as a value of this type; None is null."""
    if value is None:
        return None
    if isinstance(value, list) and kind.element:
        return to_array(value, kind)
    if kind.oid == BYTEA:
        if isinstance(value, str) and re.fullmatch(r"\\x([0-9A-Fa-f]{2})*", value):
            return value  # as PostgreSQL itself writes bytes
        try:  # also of SpiffArena's file data
            return "\\x" + base64.b64decode(re.sub("^data:[^,]*;base64,", "", value), validate=True).hex()
        except (TypeError, ValueError):
            raise refuse("A value for bytes must be a string of valid base64") from None
    if kind.oid not in JSON:
        if isinstance(value, list) or (isinstance(value, dict) and kind.oid not in TEXT):
            raise refuse("A list needs an array or JSON, an object JSON or text; in DoSQL write a cast as in %s::jsonb")
        if kind.has_bytes:  # base64 inside of PostgreSQL's own notation would be stored as it is
            raise refuse("An array of bytes must be a list of strings of base64")
        if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
            value = int(value)  # the 5.0 of 10 / 2 may go into a column of integers
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)  # a string is JSON already


def to_array(items: list[Any], kind: Type) -> str:
    """Return PostgreSQL's notation of an array: `{"a",NULL}`."""
    inner = kind.element
    if inner.element or not any(isinstance(item, list) for item in items):
        parts = (to_text(item, inner) for item in items)
        quoted = ("NULL" if part is None else '"' + re.sub(r'(["\\])', r"\\\1", part) + '"' for part in parts)
        return "{" + kind.delimiter.join(quoted) + "}"
    if inner.oid in JSON:
        raise refuse("A list inside a list for an array of JSON is ambiguous; write each item as a string of JSON")
    measure(items)
    return "{" + kind.delimiter.join(to_array(item, kind) for item in items) + "}"


def measure(items: Any) -> tuple[int, ...]:
    """Return the lengths of the dimensions; PostgreSQL knows full tables and cubes only."""
    if not isinstance(items, list):
        return ()
    shapes = {measure(item) for item in items}
    if len(shapes) != 1:
        raise refuse("The lists inside a list for an array must be of one length, and not empty")
    return (len(items), *shapes.pop())


def load_time(text: str) -> str:
    """ISO 8601: PostgreSQL writes 2026-11-25 09:00:00+00."""
    text = re.sub(r"^(\d{4,}-\d\d-\d\d) ", r"\1T", text)
    return re.sub(r":\d\d(\.\d+)?[+-]\d\d$", r"\g<0>:00", text)


def load_float(text: str) -> Any:
    """Return a number, or the text of a number that JSON does not have."""
    return float(text) if math.isfinite(float(text)) else text


# what JSON has no word for is the text that PostgreSQL writes
LOADS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(["json", "jsonb"], lambda text: json.loads(text, parse_float=load_float)),
    **dict.fromkeys(["time", "timetz", "timestamp", "timestamptz"], load_time),
    **dict.fromkeys(["float4", "float8"], load_float),
    "bytea": lambda text: base64.b64encode(bytes.fromhex(text[2:])).decode(),
}


def make_loader(load: Callable[[str], Any]) -> Any:
    return type("TextLoader", (Loader,), {"load": lambda _, data: load(bytes(data).decode())})


LOADERS = {
    info.oid: make_loader(LOADS.get(info.name, str))
    for info in psycopg.adapters.types
    if info.name not in {"bool", "int2", "int4", "int8", "oid"}  # which psycopg loads as JSON has them
}
