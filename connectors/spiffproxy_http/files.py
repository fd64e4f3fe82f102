"""A file as diagrams know it: an object with `filename`, `mimetype` and `content_base64`, or SpiffArena's data URL.

Every command that accepts or returns a file does it by this module. An invalid file is a ValueError. Its message begins
with the place, such as the name of the parameter.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from spiffproxy_http.excerpts import name_type, show
from spiffproxy_http.filenames import clean_filename, find_filename
from spiffproxy_http.headers import find_content_type, parse_media_type

if TYPE_CHECKING:
    from spiffproxy_http.headers import Headers
    from spiffproxy_http.url import Url

DEFAULT_FILENAME = "file"
DEFAULT_TYPE = "application/octet-stream"
# SpiffArena writes data:<mimetype>;name=<name>;base64,<data>, the name percent-encoded
DATA_URL = re.compile(r"data:(?P<type>.*?);base64,(?P<data>.*)", re.DOTALL | re.IGNORECASE)
MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")  # RFC 6838 section 4.2
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 section 5.6.2
PARAMETER = re.compile(
    r"""
    \s* ; \s*
    (?: (?P<name>[A-Za-z0-9!#$&^_.+-]{1,40}) \s* = \s* (?: "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<plain>[^";]*) ) \s* )?
    """,
    re.VERBOSE,
)
EXAMPLE = "text/calendar; charset=utf-8; method=REQUEST"


class File(NamedTuple):
    """A file. The filename is empty if it has none; the media type is in lower case, its parameters are by name."""

    filename: str
    media_type: str
    parameters: dict[str, str]
    content: bytes

    def as_object(self) -> dict[str, Any]:
        """Return the object that a command returns. Its filename is never a path, and never empty."""
        is_known = MEDIA_TYPE.fullmatch(self.media_type)
        return {
            "filename": clean_filename(self.filename) or DEFAULT_FILENAME,
            "mimetype": self.media_type if is_known else DEFAULT_TYPE,
            "content_base64": base64.b64encode(self.content).decode(),
            "size": len(self.content),
        }


def is_file(value: Any) -> bool:
    """Return whether a value is meant as a file: an object with `content_base64`, or a data URL in base64."""
    if isinstance(value, str):
        return DATA_URL.match(value) is not None
    return isinstance(value, dict) and "content_base64" in value


def read_file(place: str, value: Any) -> File:
    """Return the file. In an object, `filename` and `mimetype` may be missing, and other keys are ignored."""
    if isinstance(value, str):
        match = DATA_URL.fullmatch(value)
        if not match:
            raise ValueError(f"{place}: a string must be a data URL, data:<mimetype>;name=<name>;base64,<data>")
        # RFC 2397: it may be percent-encoded; unquote() needs up to 80 times as much memory
        data = re.sub("%([0-7][0-9A-Fa-f])", lambda escape: chr(int(escape[1], 16)), match["data"])
        filename, content = None, decode_base64(f"{place}: the part after the comma", data)
        media_type, parameters = read_media_type(place, match["type"], is_escaped=True)
    elif isinstance(value, dict):
        if not is_file(value):
            hint = "Use an object with filename, content_base64 and mimetype, or a data URL"
            raise ValueError(f"{place}: content_base64 is missing. {hint}")
        filename, content = value.get("filename"), decode_base64(f"{place}: content_base64", value["content_base64"])
        media_type, parameters = read_media_type(place, value.get("mimetype") or DEFAULT_TYPE)
    else:
        raise ValueError(f"{place} must be a data URL, or an object with filename, content_base64 and mimetype")
    filename = read_text(f"{place}: filename", filename or parameters.get("name") or "")
    if not media_type:
        return File(filename, DEFAULT_TYPE, {}, content)
    return File(filename, media_type, parameters, content)


def file_from_response(headers: Headers, url: Url, body: bytes) -> File:
    """Return the body of a response as a file, whatever its content type."""
    media_type, parameters = parse_media_type(find_content_type(headers))
    return File(find_filename(headers, url), media_type, parameters, body)


def decode_base64(place: str, data: Any) -> bytes:
    """Return the bytes; line breaks and blanks in base64 are ignored."""
    text = re.sub(r"\s", "", read_text(place, data))
    if is_file(text):
        raise ValueError(f"{place} is a data URL. Use the part after its comma.")
    try:
        if len(text) % 4:  # Python up to 3.10 reads "=" as nothing
            raise ValueError("its length is not a multiple of 4")
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"{place} is not base64: {error}") from None


def encode_content_type(place: str, file: File) -> str:
    """Return the media type with its parameters for a header; without `name`, which is the filename."""
    parts = [file.media_type]
    for name, value in file.parameters.items():
        if name == "name":
            continue
        if not re.fullmatch("[ -~]*", value):
            raise ValueError(f"{place}: {name} in the mimetype is {show(value)}. Use only ASCII characters.")
        quoted = re.sub(r'(["\\])', r"\\\1", value)
        parts.append(f"{name}={value}" if TOKEN.fullmatch(value) else f'{name}="{quoted}"')
    return ";".join(parts)


# --- Media types --------------------------------------------------------------------------------------------------


def read_media_type(place: str, value: Any, *, is_escaped: bool = False) -> tuple[str, dict[str, str]]:
    """Return a media type and its parameters. In a data URL they are percent-encoded, and the type may be missing."""
    text = read_line(f"{place}: mimetype", value)
    media_type, semicolon, rest = text.partition(";")
    media_type = media_type.strip().lower()
    if not MEDIA_TYPE.fullmatch(media_type) and not (is_escaped and not media_type):
        raise ValueError(f"{place}: {show(text)} is not a media type such as application/pdf")
    parameters: dict[str, str] = {}
    position, rest = 0, semicolon + rest
    while position < len(rest):
        match = PARAMETER.match(rest, position)
        if not match or (match["name"] and match["name"].lower() in parameters):
            raise ValueError(f"{place}: the parameters of {show(text)} are invalid. Write them as in {EXAMPLE}")
        position = match.end()
        if match["name"]:
            content = unquote_parameter(place, match, is_escaped=is_escaped)
            parameters[match["name"].lower()] = read_line(f"{place}: mimetype", content)
    return media_type, parameters


def unquote_parameter(place: str, match: re.Match[str], *, is_escaped: bool) -> str:
    quoted, plain = match["quoted"], match["plain"]
    text = plain.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    try:
        return unquote(text, errors="strict") if is_escaped else text
    except UnicodeDecodeError:
        raise ValueError(f"{place}: {show(text)} is not percent-encoded UTF-8") from None


# --- Strings ------------------------------------------------------------------------------------------------------


def read_text(place: str, value: Any) -> str:
    """Return a string that can be sent."""
    if not isinstance(value, str):
        raise ValueError(f"{place} must be a string, but is {name_type(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{place} contains half of a surrogate pair. Remove it.") from None
    return value


def read_line(place: str, value: Any) -> str:
    """Return a string that can be a part of a header: a line break would let its author add other headers."""
    text = read_text(place, value)
    if len(f"{text}.".splitlines()) > 1 or "\0" in text:
        raise ValueError(f"{place} contains a line break or a null character. Remove it.")
    return text
