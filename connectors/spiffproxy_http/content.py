"""The body of a response: read within bounds, decompressed, decoded, and parsed."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import zlib
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

from spiffproxy_http.errors import RequestError
from spiffproxy_http.headers import find_content_type, parse_media_type
from spiffproxy_http.responses import IncompleteResponse, InvalidResponse
from spiffproxy_http.xml import decode_bytes, decode_xml, parse_xml

if TYPE_CHECKING:
    from spiffproxy_http.headers import Headers
    from spiffproxy_http.responses import IncomingResponse

CHUNK_BYTES = 64 * 1024  # of input and of output at a time: zlib needs twice as much memory
GZIP_WBITS = 16 + zlib.MAX_WBITS
MAX_GZIP_MEMBERS = 1000  # each costs time, even an empty one


def read_body(response: IncomingResponse, limit: int, *, decompress: bool = True) -> bytes:
    """Return the body, decompressed unless the caller wants it as it came.

    Raises `RequestError`: `ReadTimeout`, `ChunkedEncodingError` if it is incomplete, `InvalidResponse`,
    `ContentDecodingError`, and `ResponseTooLarge` above `limit` bytes, compressed or not.
    """
    if response.length is not None and response.length > limit:
        raise too_large(limit)
    parts, size = [], 0
    try:
        for part in response.read_parts():
            parts.append(part)
            size += len(part)
            if size > limit:
                raise too_large(limit)
    except socket.timeout:
        raise RequestError("ReadTimeout", "The response did not arrive in time") from None
    except InvalidResponse as error:
        raise RequestError("InvalidResponse", f"The response is not valid HTTP: {error}", 502) from None
    except (OSError, IncompleteResponse):
        raise incomplete("the upstream closed the connection") from None
    body = b"".join(parts)
    if not decompress:
        return body
    for encoding in reversed(response.headers.get_list("Content-Encoding")):
        if body:
            body = decompress_body(body, encoding, limit)
    return body


def too_large(limit: int) -> RequestError:
    message = f"The response has more than {limit} bytes (CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES)"
    return RequestError("ResponseTooLarge", message, 413)


def incomplete(reason: str) -> RequestError:
    return RequestError("ChunkedEncodingError", f"The response is incomplete: {reason}")


# --- Decompression ------------------------------------------------------------------------------------------------


def decompress_body(body: bytes, encoding: str, limit: int) -> bytes:
    """Return the body without a content coding; raise `RequestError` if the coding is unknown."""
    parts: list[bytes] = []
    if encoding in ("gzip", "x-gzip"):
        inflate_gzip(body, parts, limit)
    elif encoding == "deflate":
        # in RFC 9110 this is the format of zlib, whose header is a multiple of 31; many servers omit the header
        has_header = body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
        inflate(body, 0, parts, zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS, limit)
    elif encoding in ("identity", "none"):  # the second is not in the standard, and curl accepts it
        return body
    else:
        message = f"The response has the content coding {encoding[:80]}. The proxy can read gzip and deflate"
        raise RequestError("ContentDecodingError", message)
    return b"".join(parts)


def inflate_gzip(body: bytes, parts: list[bytes], limit: int) -> None:
    """Append the content of all members of a gzip file to `parts`; ignore other data after them."""
    position = 0
    for _ in range(MAX_GZIP_MEMBERS):
        position = inflate(body, position, parts, GZIP_WBITS, limit)
        if not body.startswith(b"\x1f\x8b", position):
            return
    raise RequestError("ContentDecodingError", f"The response has more than {MAX_GZIP_MEMBERS} gzip members")


def inflate(body: bytes, position: int, parts: list[bytes], wbits: int, limit: int) -> int:
    """Append the content of the compressed stream at `position` to `parts`; return the position after it."""
    size = sum(map(len, parts))
    stream = zlib.decompressobj(wbits)
    while not stream.eof:
        chunk = body[position : position + CHUNK_BYTES]
        try:
            part = stream.decompress(chunk, CHUNK_BYTES)
        except zlib.error as error:
            encoding = "gzip" if wbits == GZIP_WBITS else "deflate"
            raise RequestError("ContentDecodingError", f"The response is not valid {encoding}: {error}") from None
        if not chunk and not part:
            raise incomplete("its compressed data has no end")
        unread = stream.unused_data if stream.eof else stream.unconsumed_tail
        position += len(chunk) - len(unread)
        parts.append(part)
        size += len(part)
        if size > limit:
            raise too_large(limit)
    return position


# --- Text, JSON and XML -------------------------------------------------------------------------------------------


def find_charset(headers: Headers) -> str | None:
    return parse_media_type(find_content_type(headers))[1].get("charset") or None


def decode_text(body: bytes, headers: Headers, logs: list[str] | None = None) -> str:
    """Decode by the charset of the content type, or as UTF-8 if there is none.

    A body that is not valid in this charset is decoded as latin-1, which keeps every byte. `logs` gets a line about it.
    """
    charset = find_charset(headers) or "UTF-8"
    try:
        return decode_bytes(body, charset)
    except UnicodeDecodeError:
        pass
    except (LookupError, ValueError):  # there is no such charset
        charset = "UTF-8"
        with contextlib.suppress(UnicodeDecodeError):
            return body.decode()
    line = f"The body is not valid {charset[:40]} and was read as latin-1, which keeps every byte"
    if logs is not None and line not in logs:
        logs.append(line)
    return body.decode("latin-1")


def parse_body(body: bytes, headers: Headers, logs: list[str] | None = None) -> Any:
    """Return JSON or XML as Python objects, everything else as `{"raw_response": …}`.

    Raises JSONDecodeError or ExpatError if the body is not valid JSON or XML.
    """
    media_type = parse_media_type(find_content_type(headers))[0]
    if body and media_type == "application/json":
        return parse_json(body, headers, logs)
    if body and media_type in ("application/xml", "text/xml"):
        return parse_xml_body(body, headers)
    return {"raw_response": decode_text(body, headers, logs)}


def parse_xml_body(body: bytes, headers: Headers) -> dict[str, Any]:
    try:
        return parse_xml(decode_xml(body, find_charset(headers)))
    except (LookupError, ValueError) as error:
        raise ExpatError(f"the body is not valid in its charset: {error}") from None


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


def read_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


decode_json = json.JSONDecoder(parse_constant=refuse_constant, parse_float=read_float).decode


def parse_json(body: bytes, headers: Headers, logs: list[str] | None = None) -> Any:
    """Read JSON in UTF-8, UTF-16, UTF-32, or the charset of the content type.

    Raises JSONDecodeError, also for NaN and for numbers that the proxy could not write as JSON again.
    """
    try:
        text = body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        text = decode_text(body, headers, logs)
    try:
        return decode_json(text.removeprefix("\ufeff"))
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError(str(error), "", 0) from None
