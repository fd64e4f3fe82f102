"""The headers of responses, and the headers that an author may send."""

from __future__ import annotations

import base64
import re
import time
import wsgiref.headers
from typing import Any

from spiffproxy_http.errors import RequestError
from spiffproxy_http.excerpts import name_character, name_type, show

NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# a parameter of a media type (RFC 9110 section 5.6.6): name, value with quotes, value without quotes
PARAMETER = re.compile(rf';\s*({NAME})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))')
# with parameters, whose semicolon some servers forget
MEDIA_TYPE = re.compile(rf"({NAME}/{NAME})([;\s].*)?", re.DOTALL)
# an element of a list, which may have commas in quotes; a quote without its end reaches to the end, as for browsers
ELEMENT = re.compile(r'(?:"(?:[^"\\]|\\.?)*(?:"|\Z)|[^,"])+', re.DOTALL)
# headers that belong to one connection, or that the client sets itself
DROPPED_HEADERS = re.compile("content-length|transfer-encoding|te|upgrade|proxy-.*")


class Headers(wsgiref.headers.Headers):
    """The headers of a response: `get`, `get_all` and `items`, with names in any case of letters."""

    def get_all(self, name: str, default: Any = None) -> Any:
        """Return the values of all headers of that name, or `default`, as http.cookiejar needs it."""
        return super().get_all(name) or ([] if default is None else default)

    def get_list(self, name: str) -> list[str]:
        """Return the elements of a header that is a list (RFC 9110 section 5.6.1), in lower case."""
        elements = [element.strip(" \t") for element in ",".join(self.get_all(name)).lower().split(",")]
        return [element for element in elements if element]


def join_headers(headers: Headers) -> dict[str, str]:
    """Return the headers by name, repeated ones joined by a comma."""
    first_names: dict[str, str] = {}
    joined: dict[str, str] = {}
    for name, value in headers.items():
        first_name = first_names.setdefault(name.lower(), name)
        joined[first_name] = f"{joined[first_name]}, {value}" if first_name in joined else value
    return joined


def find_content_type(headers: Headers) -> str:
    """Return the content type. Of several, in one line or more, the last valid one counts (RFC 9110 section 8.3)."""
    elements = [element.strip() for element in ELEMENT.findall(",".join(headers.get_all("Content-Type")))]
    valid = [element for element in elements if MEDIA_TYPE.fullmatch(element)]
    return (valid or elements or [""])[-1]


def parse_media_type(value: str) -> tuple[str, dict[str, str]]:
    """Return the media type in lower case, or an empty string, and its parameters by their names in lower case.

    `Text/HTML; Charset="utf-8"` is `("text/html", {"charset": "utf-8"})`. The first of equal names counts.
    """
    parameters: dict[str, str] = {}
    for name, quoted, plain in PARAMETER.findall(value):
        parameters.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain.strip(" \t"))
    match = MEDIA_TYPE.fullmatch(value.strip(" \t"))
    return match[1].lower() if match else "", parameters


def find_retry_after(headers: Headers) -> float | None:
    """Return for how many seconds a server asks to wait (RFC 9110 section 10.2.3), or None if it does not.

    Of several headers the longest time counts. A date is compared with the `Date` of the response, because clocks
    differ. Every other value is ignored, including a negative number.
    """
    seconds: list[float] = []
    for value in headers.get_all("Retry-After"):
        if re.fullmatch("[0-9]+", value):
            seconds.append(float(value))  # infinite if it has too many digits; int() would raise an error
        elif read_date(value):
            now = max(map(read_date, headers.get_all("Date")), default=0) or time.time()
            seconds.append(max(read_date(value) - now, 0))
    return max(seconds, default=None)


def read_date(value: str) -> float:
    """Return a date in one of the three formats of HTTP (RFC 9110 section 5.6.7) as a time, or 0."""
    from datetime import timezone
    from email.utils import parsedate_to_datetime  # slow to import, and few responses have Retry-After

    if not re.match("[A-Z][a-z]{2}", value):  # each begins with the day of the week
        return 0
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError, IndexError):
        return 0
    return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()


def check_headers(headers: Any) -> dict[str, str]:
    """Return the headers to send, without those that only the client may set; raise `InvalidHeader`."""
    if headers is not None and not isinstance(headers, dict):
        raise RequestError("InvalidHeader", f"headers must be an object, but is {name_type(headers)}", 400)
    checked = {}
    for name, value in (headers or {}).items():
        if not re.fullmatch(NAME, name):
            character = re.search("[^!#$%&'*+.^_`|~0-9A-Za-z-]", name)
            problem = f": it contains {name_character(character[0])}" if character else ""
            message = f"headers: {show(name)} is not the name of a header{problem}. Use letters, digits and hyphens"
            raise RequestError("InvalidHeader", message, 400)
        if value is None or DROPPED_HEADERS.fullmatch(name.lower()):
            continue
        if not isinstance(value, str):
            hint = ". Put quotes around it" if isinstance(value, (bool, int, float)) else ""
            message = f"The header {name} must be a string, but is {name_type(value)}{hint}"
            raise RequestError("InvalidHeader", message, 400)
        invalid = re.search(r"[\0-\x08\x0a-\x1f\x7f]|[^\0-\xff]", value)  # RFC 9110 section 5.5
        if invalid:
            hint = "Remove it" if invalid[0] <= "\xff" else "Use only characters of latin-1 (ISO-8859-1)"
            message = f"The header {name} contains {name_character(invalid[0])}. {hint}"
            raise RequestError("InvalidHeader", message, 400)
        checked[name] = value.strip(" \t")  # strip() would remove bytes of UTF-8, too
    return checked


def encode_basic_auth(user: str, password: str) -> str:
    """Return the value of `Authorization`, in latin-1 if it can be, as `requests` does, else in UTF-8."""
    credentials = f"{user}:{password}"
    try:
        octets = credentials.encode("latin-1")
    except UnicodeEncodeError:
        octets = credentials.encode("utf-8", "replace")
    return "Basic " + base64.b64encode(octets).decode()
