"""Values on their way in: what JSON has, as PostgreSQL takes it."""

from __future__ import annotations

import base64
import json
import re
from decimal import Decimal
from typing import Any

from connector_postgres.errors import refuse

# the numbers of types never change (pg_type.dat)
_BOOL, _BYTEA, _INT8, _INT4, _JSON, _NUMERIC, _JSONB = 16, 17, 20, 23, 114, 1700, 3802


def unwrap(value: Any) -> Any:
    """Return the value with what SpiffArena wraps (dates, times, UUIDs, durations) as text, however deep it is."""
    if isinstance(value, list):
        return [unwrap(one) for one in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("typename"), str):
        if value.keys() == {"typename", "value"}:
            return unwrap(value["value"])
        if value.keys() == {"typename", "days", "seconds"}:
            return f"{value['days']} days {value['seconds']} seconds"
    return {key: unwrap(one) for key, one in value.items()}


def as_text(value: Any) -> Any:
    """Return a number or a truth value as text, of which PostgreSQL makes what the column's type is."""
    if isinstance(value, (bool, int)):
        return json.dumps(value)
    if isinstance(value, float):  # the 5.0 of 10 / 2 may go into a column of integers
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return value


def guess_type(value: Any) -> int:
    """Return the type of a literal as PostgreSQL reads it; 0, which is decided by what is around it, for a text."""
    if isinstance(value, bool):
        return _BOOL
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return _INT4 if -(2**31) <= value < 2**31 else _INT8
    return _NUMERIC if isinstance(value, (int, float)) else 0


def to_postgres(value: Any, oid: int) -> Any:
    """Return the value for a place of this type: lists are JSON where JSON is meant, else arrays."""
    value = unwrap(value)
    if isinstance(value, float):
        return Decimal(repr(value))  # digit for digit
    if isinstance(value, dict) or (isinstance(value, list) and oid in (_JSON, _JSONB)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return list(map(_to_element, value))
    if isinstance(value, str) and oid == _BYTEA and not value.startswith("\\x"):
        try:  # also of SpiffArena's file data
            return base64.b64decode(re.sub("^data:[^,]*;base64,", "", value), validate=True)
        except ValueError:
            raise refuse("A value for a column of bytes is no base64") from None
    return value


def _to_element(value: Any) -> Any:
    """Return texts alone, for PostgreSQL to tell the type of the array by its column."""
    return as_text(to_postgres(value, 0) if isinstance(value, (list, dict)) else value)
