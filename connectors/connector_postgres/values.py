"""Values both ways: JSON as PostgreSQL reads it, and what PostgreSQL writes as JSON."""

from __future__ import annotations

import base64
import json
import math
import re
from decimal import Decimal
from typing import Any, Callable, NamedTuple

import psycopg
from psycopg.adapt import Loader
from psycopg.types import TypeInfo
from psycopg.types.numeric import Int4, Int8

from connector_postgres.errors import refuse

# the numbers of types never change (pg_type.dat)
BOOL, BYTEA, INT8, INT4, JSON, NUMERIC, JSONB = 16, 17, 20, 23, 114, 1700, 3802
# of each type, and of the types that it is made of: its base if it is a domain, its element if it is an array
TYPES = """
WITH RECURSIVE types AS (
    SELECT *, members || typbasetype || typelem AS parts FROM pg_catalog.pg_type, LATERAL (SELECT ARRAY(
        SELECT atttypid FROM pg_catalog.pg_attribute WHERE attrelid = typrelid AND attnum > 0 AND NOT attisdropped
    )) AS composite (members)
), known (oid) AS (
    SELECT unnest($1::oid[])
    UNION SELECT unnest(parts) FROM known JOIN types USING (oid)
)
SELECT oid, typbasetype, CASE typinput WHEN 'pg_catalog.array_in'::regproc THEN typelem ELSE 0 END, typdelim,
    typcategory = 'S', members FROM known JOIN types USING (oid)
"""


class Type(NamedTuple):
    """A type; `element` is the type of an array's elements; `has_bytes` if there is a bytea anywhere in it."""

    oid: int
    element: Any
    delimiter: str
    is_string: bool
    has_bytes: bool


def find_types(connection: Any, oids: list[int]) -> list[Type]:
    """Return the types of these numbers; in place of a domain, the type that it is made of."""
    rows = {oid: row for oid, *row in connection.execute(TYPES, [oids])}

    def resolve(oid: int) -> Type:
        base, element, delimiter, is_string, members = rows[oid]
        if base:
            return resolve(base)
        has_bytes = oid == BYTEA or any(resolve(part).has_bytes for part in [element, *members] if part)
        return Type(oid, resolve(element) if element else None, delimiter, is_string, has_bytes)

    return [resolve(oid) for oid in oids]


# --- from JSON to PostgreSQL ---


def unwrap(wrapped: dict[str, Any]) -> Any:
    """Return the string in what SpiffArena wraps (a date, time, UUID or duration), and any other object as it is."""
    if wrapped.keys() == {"typename", "value"}:
        return wrapped["value"]
    if wrapped.keys() == {"typename", "days", "seconds"}:
        return f"{wrapped['days']} days {wrapped['seconds']} seconds"
    return wrapped


def guess(value: Any) -> tuple[int, Any]:
    """Return the type of a literal as PostgreSQL reads it, and the value of this type; 0 leaves it to the context."""
    if isinstance(value, bool):
        return BOOL, value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return (INT4, Int4(value)) if -(2**31) <= value < 2**31 else (INT8, Int8(value))
    return (NUMERIC, Decimal(repr(value))) if isinstance(value, (int, float)) else (0, value)


def to_parameter(value: Any, kind: Type) -> Any:
    """Return the value as psycopg binds it: of the type that was guessed, or as a string that PostgreSQL reads."""
    oid, guessed = guess(value)
    return guessed if oid == kind.oid else to_text(value, kind)


def to_text(value: Any, kind: Type) -> Any:
    """Return what PostgreSQL reads as a value of this type; None is null."""
    if value is None:
        return None
    if isinstance(value, list) and kind.element:
        return to_array(value, kind)
    if kind.oid == BYTEA:
        return to_bytes(value)
    if kind.oid not in (JSON, JSONB):
        if isinstance(value, list) or (isinstance(value, dict) and not kind.is_string):
            raise refuse(
                "A list needs an array or JSON, an object JSON or text; in DoSQL write a cast, as in %s::jsonb"
            )
        if kind.has_bytes:  # base64 inside of PostgreSQL's own notation would be stored as it is
            raise refuse("Bytes inside of a type: write an array as a list, and in DoSQL a row as ROW(%s::bytea, …)")
        if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
            value = int(value)  # the 5.0 of 10 / 2 may go into a column of integers
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)  # a string is JSON already


def to_bytes(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"\\x([0-9A-Fa-f]{2})*", value):
        return value  # as PostgreSQL itself writes bytes
    try:  # also of SpiffArena's file data
        return "\\x" + base64.b64decode(re.sub("^data:[^,]*;base64,", "", value), validate=True).hex()
    except (TypeError, ValueError):
        raise refuse("A value for bytes must be a string of valid base64") from None


def to_array(items: list[Any], kind: Type) -> str:
    """Return PostgreSQL's notation of an array: `{"a",NULL}`."""
    inner = kind.element
    if inner.element or not any(isinstance(item, list) for item in items):
        parts = (to_text(item, inner) for item in items)
        quoted = ("NULL" if part is None else '"' + re.sub(r'(["\\])', r"\\\1", part) + '"' for part in parts)
        return "{" + kind.delimiter.join(quoted) + "}"
    if inner.oid in (JSON, JSONB):
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


# --- from PostgreSQL to JSON ---


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


def register_array(connection: Any, oid: int, kind: Type) -> None:
    """Have an array loaded as a list, whatever its elements are."""
    if kind.element:
        register_array(connection, kind.element.oid, kind.element)
        TypeInfo(str(oid), kind.element.oid, oid, delimiter=kind.delimiter).register(connection)
