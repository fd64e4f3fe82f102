"""The parameters, checked: each function raises `RequestError` that names an invalid one."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import quote

from spiffproxy_http.errors import invalid_parameter
from spiffproxy_http.vendor import invalid_value


def check_names(parameter: str, value: str, example: str) -> list[str]:
    """Return the names in a string with commas between them."""
    names = [name.strip() for name in value.split(",")]
    if not all(names) or not is_unicode(value):
        raise invalid_value(parameter, value, f'names with commas between them, such as "{example}"')
    return names


def check_id(value: str) -> str:
    """Return the id of a coin, encoded for a path."""
    name = value.strip()
    if name in ("", ".", "..") or not is_unicode(name):
        raise invalid_value("id", value, 'the id that CoinGecko has for a coin, such as "bitcoin"')
    return quote(name, safe="")


def check_date(value: str) -> str:
    date = value.strip()
    try:
        datetime.strptime(date, "%d-%m-%Y")
    except ValueError:
        date = ""
    if not re.fullmatch("[0-9]{2}-[0-9]{2}-[0-9]{4}", date):  # strptime() accepts "1-1-2025", too
        raise invalid_value("date", value, 'a day as dd-mm-yyyy, such as "30-12-2025"')
    return date


def check_key(value: str | None) -> str | None:
    """Return the key, or None without one."""
    if not value:
        return None
    if re.fullmatch("[!-~]+", value.strip()):
        return value.strip()
    raise invalid_parameter("api_key is invalid. Use a key of CoinGecko, or leave it empty")


def is_unicode(text: str) -> bool:
    """Return whether the string can be sent: JSON can contain half of a surrogate pair."""
    return not re.search("[\ud800-\udfff]", text)
