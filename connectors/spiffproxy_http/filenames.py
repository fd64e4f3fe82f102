"""The name of a file in a response: of its headers (RFC 6266) or of its URL, and never a path."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from spiffproxy_http.headers import parse_media_type

if TYPE_CHECKING:
    from spiffproxy_http.headers import Headers
    from spiffproxy_http.url import Url

MAX_FILENAME_BYTES = 255  # NAME_MAX of Linux, and of most file systems
MAX_SUFFIX_BYTES = 20  # of the extension that stays when a name is cut
# control and format characters, which include those that turn the direction of writing; halves of surrogate pairs;
# line and paragraph separators
UNSAFE_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
EXTENDED_VALUE = re.compile(r"(UTF-8|ISO-8859-1)'[^']*'((?:%[0-9A-Fa-f]{2}|[A-Za-z0-9!#$&+.^_`|~-])*)", re.IGNORECASE)


def find_filename(headers: Headers, url: Url) -> str:
    """Return the name in `Content-Disposition`, else the last segment of the URL's path, or an empty string."""
    disposition = decode_header(headers.get("Content-Disposition") or "")
    parameters = parse_media_type(f";{disposition}")[1]
    extended = decode_extended_value(parameters.get("filename*", ""))
    plain = parameters.get("filename", "").lstrip('"')  # a quote that remains at the start has no end
    segment = url.target.partition("?")[0].rpartition("/")[2]
    names = (clean_filename(name) for name in (extended, plain, decode_bytes(unquote_to_bytes(segment))))
    return next(filter(None, names), "")


def decode_header(value: str) -> str:
    """Return a header, which was read as latin-1, as UTF-8 if it is valid in that: most servers write UTF-8."""
    return decode_bytes(value.encode("latin-1"))


def decode_bytes(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def decode_extended_value(value: str) -> str:
    """Return the value of a parameter such as `filename*` (RFC 8187); empty if it is invalid: it is then ignored."""
    match = EXTENDED_VALUE.fullmatch(value)
    try:
        return unquote_to_bytes(match[2]).decode(match[1]) if match else ""
    except UnicodeDecodeError:
        return ""


def clean_filename(text: str) -> str:
    """Return the last segment of a path, without characters that cannot be seen, and not too long.

    Empty if there is no such name: a name of dots alone is a folder.
    """
    visible = "".join(character for character in text if unicodedata.category(character) not in UNSAFE_CATEGORIES)
    name = re.split(r"[/\\]", visible)[-1]
    name = re.sub(r"^(\s*[A-Za-z]:)+", "", name).strip()  # a drive of Windows
    name = shorten_filename(name).strip()
    return name if name.strip(". ") else ""


def shorten_filename(name: str) -> str:
    """Return a name of at most 255 bytes; a longer one is cut before its extension."""
    if len(name.encode()) <= MAX_FILENAME_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    suffix = dot + extension
    if not stem or len(suffix.encode()) > MAX_SUFFIX_BYTES:
        stem, suffix = name, ""
    return stem.encode()[: MAX_FILENAME_BYTES - len(suffix.encode())].decode(errors="ignore") + suffix
