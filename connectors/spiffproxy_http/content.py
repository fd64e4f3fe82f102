"""The answer: its body read within bounds, decompressed, decoded, and parsed by its content type."""

from __future__ import annotations

import http.client
import json
import math
import re
import socket
import zlib
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

from spiffproxy_http.errors import RequestError
from spiffproxy_http.xml import decode_xml, parse_xml

if TYPE_CHECKING:
    from email.message import Message

    from spiffproxy_http.connections import Answer

_CHUNK = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_MAX_MEMBERS = 1000  # of a gzip file; each costs, however small it is


def read_body(answer: Answer, limit: int, *, decompress: bool = True) -> bytes:
    """Return the body, decompressed unless it is wanted as it came. Raise `RequestError`: `ReadTimeout`,
    `ChunkedEncodingError` where it is cut short, `ContentDecodingError`, and `ResponseTooLarge` above `limit` bytes,
    compressed or not.
    """
    if answer.length is not None and answer.length > limit:
        raise _too_large(limit)
    parts, size = [], 0
    try:
        while not answer.isclosed() and (chunk := answer.read(_CHUNK)):
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
    except socket.timeout:
        raise RequestError("ReadTimeout", "The answer did not arrive in time") from None
    except (OSError, http.client.HTTPException):
        raise _cut_short() from None
    if answer.length:  # read() does not tell
        raise _cut_short()
    body = b"".join(parts)
    if not decompress:
        return body
    for encoding in reversed(answer.headers.get("Content-Encoding", "").lower().split(",")):
        if body:
            body = _decompress(body, encoding.strip(), limit)
    return body


def _too_large(limit: int) -> RequestError:
    message = f"The answer has more than {limit} bytes (CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES)"
    return RequestError("ResponseTooLarge", message, 413)


def _cut_short() -> RequestError:
    return RequestError("ChunkedEncodingError", "The answer was cut short")


def _decompress(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding in ("gzip", "x-gzip"):
        wbits = _GZIP
    elif encoding == "deflate":  # by RFC 9110 with the header of zlib, by many servers without
        wbits = zlib.MAX_WBITS if body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0 else -zlib.MAX_WBITS
    else:
        return body
    parts, size, position = [], 0, 0
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(wbits)
        while not member.eof:
            chunk = body[position : position + _CHUNK]
            try:
                part = member.decompress(chunk, _CHUNK)  # zlib takes twice the memory of what it returns at once
            except zlib.error as error:
                raise RequestError("ContentDecodingError", f"The answer is no valid {encoding}: {error}") from None
            if not (chunk or part):
                raise _cut_short()
            position += len(chunk) - len(member.unused_data if member.eof else member.unconsumed_tail)
            parts.append(part)
            size += len(part)
            if size > limit:
                raise _too_large(limit)
        if wbits != _GZIP or not body.startswith(b"\x1f\x8b", position):
            return b"".join(parts)
    raise RequestError("ContentDecodingError", f"The answer is made of more than {_MAX_MEMBERS} gzip members")


def decode_text(body: bytes, headers: Message) -> str:
    """Decode by the charset of the content type, or as UTF-8 where it is valid, or as latin-1."""
    charset = _read_charset(headers)
    if charset:
        try:
            return body.decode(charset, "replace")
        except (LookupError, ValueError):  # no charset at all
            pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("latin-1")


def _read_charset(headers: Message) -> str | None:
    try:
        return headers.get_content_charset()
    except ValueError:  # email's, of a parameter in numbered parts (RFC 2231)
        return None


def join_headers(headers: Message) -> dict[str, str]:
    """Return the headers by name, repeated ones joined by a comma, folded ones in one line."""
    names: dict[str, str] = {}
    joined: dict[str, str] = {}
    for name, value in headers.items():
        first = names.setdefault(name.lower(), name)
        line = re.sub(r"\r?\n[ \t]+", " ", value)
        joined[first] = f"{joined[first]}, {line}" if first in joined else line
    return joined


def parse_body(body: bytes, headers: Message) -> Any:
    """Return JSON or XML as what it holds, anything else as `{"raw_response": …}`.

    Raises JSONDecodeError or ExpatError where it is not what the content type says.
    """
    content_type = headers.get("Content-Type", "").lower()
    if body and "application/json" in content_type:
        return _parse_json(body, headers)
    if body and headers.get_content_type() in ("application/xml", "text/xml"):
        try:
            return parse_xml(decode_xml(body, _read_charset(headers)))
        except (LookupError, ValueError) as error:
            raise ExpatError(f"the charset is not what it says: {error}") from None
    return {"raw_response": decode_text(body, headers)}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _read_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


_decode_json = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_read_float).decode


def _parse_json(body: bytes, headers: Message) -> Any:
    """Read UTF-8, UTF-16 or UTF-32, or what else the header names; nothing that could not be sent on as JSON."""
    try:
        text = body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        text = decode_text(body, headers)
    try:
        return _decode_json(text.removeprefix("\ufeff"))
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError(str(error), "", 0) from None
