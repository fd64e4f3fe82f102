"""Values on their way out: what PostgreSQL has, as JSON takes it. What is not said here is the text that it writes."""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Any

import psycopg
from psycopg.adapt import AdaptersMap, Loader

_OWN = ["bool", "int2", "int4", "int8", "oid"]  # are right as psycopg has them


class _Text(Loader):  # type: ignore[misc]
    def load(self, data: Any) -> str:
        return bytes(data).decode()


class _Time(_Text):
    """ISO 8601: PostgreSQL writes 2026-11-25 09:00:00+00."""

    def load(self, data: Any) -> str:
        text = re.sub(r"^(\d{4,}-\d\d-\d\d) ", r"\1T", super().load(data))
        return re.sub(r":\d\d(\.\d+)?[+-]\d\d$", r"\g<0>:00", text)


class _Float(_Text):
    def load(self, data: Any) -> Any:
        return _read_float(super().load(data))


class _Json(_Text):
    def load(self, data: Any) -> Any:
        text = super().load(data)
        try:
            return json.loads(text, parse_float=_read_float)
        except ValueError:  # a number with thousands of digits
            return text


class _Bytes(_Text):
    def load(self, data: Any) -> str:
        return base64.b64encode(bytes.fromhex(super().load(data)[2:])).decode()


def _read_float(text: str) -> Any:
    """Return the text itself of what JSON does not know."""
    number = float(text)
    return number if math.isfinite(number) else text


ADAPTERS = AdaptersMap(psycopg.adapters)
for _info in psycopg.adapters.types:
    if _info.name not in _OWN:
        ADAPTERS.register_loader(_info.oid, _Text)
for _names, _loader in {
    "time timetz timestamp timestamptz": _Time,
    "float4 float8": _Float,
    "json jsonb": _Json,
    "bytea": _Bytes,
}.items():
    for _name in _names.split():
        ADAPTERS.register_loader(_name, _loader)
