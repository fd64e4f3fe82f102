"""A response as it arrives (RFC 9112): its status line, its headers, and the parts of its body."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from spiffproxy import BLANK, CONTROL, TOKEN
from spiffproxy_http.headers import NAME, Headers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

MAX_LINE_BYTES = 65_536  # of a status line, and of the line with the size of a chunk
MAX_HEADER_LINES = 1000  # Microsoft 365 sends more than 100
MAX_HEADER_BYTES = 256 * 1024
MAX_QUOTED = 80  # characters of the response, in a message
PART_BYTES = 64 * 1024
STATUS_LINE = re.compile(rb"HTTP/(0\.9|1\.[0-9]+)[ \t]+([0-9]{3})([ \t][^\r\n]*)?\r?\n")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;.*)?\r?\n", re.DOTALL)
# the part of such a line that has arrived
CHUNK_SIZE_START = re.compile(rb"[0-9A-Fa-f]{1,16}[ \t]*([;\r\n]|\Z)")
TLS_ALERT = b"\x15\x03"  # RFC 8446 section 5.1
# a line, not folded, with the name of a header that says where the body ends; and its colon
FRAMING_LINE = re.compile(rb"(?:\A|\n(?![ \t]))([^:\n]*(?:content-length|transfer-encoding)[^:\n]*)(:?)", re.IGNORECASE)


class InvalidResponse(Exception):
    """The server sent something that is not a valid HTTP response."""


class IncompleteResponse(Exception):
    """The server closed the connection before the end of the response."""


class IncomingResponse:
    """A response whose body is still to be read.

    `length` is the number of bytes of the body, or None if the body ends with its last chunk or with the connection.
    `is_complete` is set when the body was read to its end. `can_reuse_connection` is false if the connection cannot be
    used for another request.
    """

    def __init__(self, reader: BufferedReader, method: str) -> None:
        """Read up to the body; skip interim responses such as 103 Early Hints."""
        self._reader = reader
        self.is_complete = False
        while True:
            self.version, self.status = read_status_line(reader)
            self.headers = read_headers(reader)
            if not 100 <= self.status < 200 or self.status == 101:
                break
        if not 200 <= self.status <= 599:  # after 101 the connection speaks another protocol
            raise InvalidResponse(f"its status is {self.status}")
        self.is_chunked, self.length = find_framing(method, self.status, self.headers)
        self.can_reuse_connection = self._read_connection_header()

    def _read_connection_header(self) -> bool:
        if not self.is_chunked and self.length is None:
            return False  # the body ends with the connection
        if self.is_chunked and "Content-Length" in self.headers:
            return False  # a program on the way may have used the length instead (RFC 9112 section 6.1)
        options = self.headers.get_list("Connection")
        if self.version in ("0.9", "1.0"):  # these versions have no chunks
            return "keep-alive" in options and not self.is_chunked
        return "close" not in options

    def read_parts(self) -> Iterator[bytes]:
        """Yield the parts of the body; raise IncompleteResponse or InvalidResponse."""
        if self.is_chunked:
            yield from self._read_chunks()
        elif self.length is None:
            while part := self._reader.read(PART_BYTES):
                yield part
        else:
            yield from self._read_exactly(self.length)
        self.is_complete = True

    def _read_exactly(self, size: int) -> Iterator[bytes]:
        while size:
            part = self._reader.read(min(size, PART_BYTES))
            if not part:
                raise IncompleteResponse("the body was cut short")
            size -= len(part)
            yield part

    def _read_chunks(self) -> Iterator[bytes]:
        while size := read_chunk_size(self._reader):
            yield from self._read_exactly(size)
            for expected in (b"\r", b"\n"):
                end = self._reader.read(1)
                if not end:
                    raise IncompleteResponse("a chunk was cut short")
                if end != expected:
                    raise InvalidResponse("a chunk is longer than its size")
        try:
            read_header_block(self._reader)  # trailers, which nobody needs
        except (InvalidResponse, IncompleteResponse):
            self.can_reuse_connection = False  # the body is complete nevertheless


# --- Status line and headers --------------------------------------------------------------------------------------


def read_status_line(reader: BufferedReader) -> tuple[str, int]:
    """Return the version of HTTP and the status. Other data is refused at once, even without a line end."""
    start = reader.peek(1)
    if not start:
        raise IncompleteResponse("closed the connection without a response")
    if start.startswith(TLS_ALERT):
        raise InvalidResponse("it is a TLS alert. The port expects https://")
    if not b"HTTP/".startswith(start[:5]):
        raise InvalidResponse(f"it starts with {quote(start.splitlines()[0])}")
    line = reader.readline(MAX_LINE_BYTES + 1)
    if len(line) > MAX_LINE_BYTES:
        raise InvalidResponse(f"its status line has more than {MAX_LINE_BYTES} bytes")
    if not line.endswith(b"\n"):
        raise IncompleteResponse("closed the connection in the middle of the status line")
    match = STATUS_LINE.fullmatch(line)
    if not match:
        raise InvalidResponse(f"its status line is {quote(line.rstrip())}")
    return match[1].decode(), int(match[2])


def quote(data: bytes) -> str:
    return repr(data[:MAX_QUOTED].decode("latin-1"))


def read_headers(reader: BufferedReader) -> Headers:
    """Return the headers; lines that are not field lines are skipped."""
    block = read_header_block(reader)
    fields = parse_header_lines(block)
    if len(fields) < block.count(b"\n"):
        check_skipped_lines(block)
    return Headers(fields)


def parse_header_lines(block: bytes) -> list[tuple[str, str]]:
    """Return the names and values of header lines, as latin-1.

    What a server would refuse is read as well as possible: a folded line continues the line before it, control
    characters become blanks, and other lines that are invalid are skipped.
    """
    fields: list[tuple[str, str]] = []
    is_field = False  # the last line that was not folded
    for line in CONTROL.sub(" ", block.decode("latin-1")).split("\n"):
        if line[:1] in (" ", "\t"):
            if is_field:
                before, start = fields[-1]
                fields[-1] = (before, f"{start} {line.strip(BLANK)}".strip(BLANK))
            continue
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        is_field = bool(colon and TOKEN.fullmatch(name))
        if is_field:
            fields.append((name, value.strip(BLANK)))
    return fields


def check_skipped_lines(block: bytes) -> None:
    """Raise InvalidResponse if a skipped line is about the length of the body, whose end would be unclear."""
    for name, colon in FRAMING_LINE.findall(block):
        if not colon or not re.fullmatch(NAME, name.decode("latin-1").rstrip(" \t")):
            raise InvalidResponse(f"it has the header line {quote(name.strip())}")


def read_header_block(reader: BufferedReader) -> bytes:
    """Return the header lines up to the empty line that ends them."""
    lines: list[bytes] = []
    size = 0
    while True:
        line = reader.readline(MAX_HEADER_BYTES + 1 - size)
        size += len(line)
        if size > MAX_HEADER_BYTES:
            raise InvalidResponse(f"it has more than {MAX_HEADER_BYTES} bytes of headers")
        if not line.endswith(b"\n"):
            raise IncompleteResponse("closed the connection in the middle of the headers")
        if line in (b"\r\n", b"\n"):
            return b"".join(lines)
        lines.append(line)
        if len(lines) > MAX_HEADER_LINES:
            raise InvalidResponse(f"it has more than {MAX_HEADER_LINES} header lines")


# --- Framing of the body (RFC 9112 sections 6 and 7) --------------------------------------------------------------


def find_framing(method: str, status: int, headers: Headers) -> tuple[bool, int | None]:
    """Return whether the body comes in chunks, and its length if that is known."""
    if method in ("HEAD", "CONNECT") or status in (204, 304):
        return False, 0
    codings = headers.get_list("Transfer-Encoding")
    unknown = [coding for coding in codings if coding != "identity"]
    if unknown == ["chunked"] and codings[-1] == "chunked":
        return True, None
    if unknown:  # the client accepts only chunked (RFC 9110 section 10.1.4)
        raise InvalidResponse(f"its transfer coding is {', '.join(codings)[:MAX_QUOTED]}")
    return False, read_length(headers)


def read_length(headers: Headers) -> int | None:
    """Return the length of the body, None if there is none; equal values count as one."""
    values = headers.get_all("Content-Length")
    if not values:
        return None
    numbers = [number.strip(" \t") for value in values for number in value.split(",")]
    if not all(re.fullmatch("[0-9]{1,18}", number) for number in numbers) or len(set(map(int, numbers))) > 1:
        raise InvalidResponse(f"its Content-Length is {', '.join(values)[:MAX_QUOTED]!r}, which is not one number")
    return int(numbers[0])


def read_chunk_size(reader: BufferedReader) -> int:
    """Return the size of the next chunk. An invalid size is refused at once, even without a line end."""
    start = reader.peek(1)
    if start and not CHUNK_SIZE_START.match(start):
        raise InvalidResponse("a chunk has no valid size")
    line = reader.readline(MAX_LINE_BYTES)
    match = CHUNK_SIZE.fullmatch(line)
    if match:
        return int(match[1], 16)
    if len(line) < MAX_LINE_BYTES and not line.endswith(b"\n"):
        raise IncompleteResponse("a chunk was cut short")
    raise InvalidResponse("a chunk has no valid size")
