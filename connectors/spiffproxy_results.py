"""Messages about invalid results: which value is wrong, and what to return. Imported when a result is invalid."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

MAX_DEPTH = 50  # a result may contain itself
# types that JSON does not have, and the Python code that converts their values
REPLACEMENTS: list[tuple[Any, str]] = [
    ((date, time), "value.isoformat()"),
    (timedelta, "value.total_seconds()"),
    ((Decimal, UUID), "str(value)"),
    ((bytes, bytearray), "base64.b64encode(value).decode()"),
    ((set, frozenset), "sorted(value)"),
    (enum.Enum, "value.value"),
]


def explain_invalid(result: Any) -> str:
    """Return a sentence about the first value that JSON does not have, after a full stop, or "" if there is none."""
    if result is None:
        return ". Does execute end with return?"
    if isinstance(result, str):
        return ". Return the dictionary itself, without json.dumps()."
    for path, value in walk(result, "result", 0):
        fault = find_fault(value)
        if fault:
            return f". {path} is {fault}"
    return ""


def walk(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of each part of a result, as Python writes them: `result['body'][0]`."""
    yield path, value
    if depth < MAX_DEPTH:
        items: Any = ()
        if isinstance(value, Mapping):
            items = value.items()
        elif isinstance(value, (list, tuple)):
            items = enumerate(value)
        for key, item in items:
            yield from walk(item, f"{path}[{key!r}]", depth + 1)


def find_fault(value: Any) -> str:
    """Return what a value is, if JSON does not have it, and what to return instead."""
    kind = type(value).__name__
    for types, code in REPLACEMENTS:
        if isinstance(value, types) and not isinstance(value, (str, int)):
            return f"of type {kind}; return {code}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value}, which JSON does not have; return None"
    if isinstance(value, Mapping):
        names = [key for key in value if not isinstance(key, (str, int, float, bool, type(None)))]
        return f"an object with the key {names[0]!r}; keys must be strings" if names else ""
    if value is None or isinstance(value, (str, int, float, list, tuple)):
        return ""
    return f"of type {kind}; return a string, a number, a list or a dictionary"
