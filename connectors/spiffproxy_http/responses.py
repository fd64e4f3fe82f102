"""A response as it arrives (RFC 9112): its status line, its headers, and the parts of its body."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from spiffproxy import parse_header_lines
from spiffproxy_http.headers import Headers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

MAX_LINE_BYTES = 65_536  # of a status line, and of the line with the size of a chunk
MAX_HEADER_LINES = 1000
MAX_HEADER_BYTES = 256 * 1024
PART_BYTES = 64 * 1024
STATUS_LINE = re.compile(r"HTTP/(0\.9|1\.[0-9]+)\s+([0-9]{3})(\s.*)?", re.DOTALL)
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;.*)?\r?\n", re.DOTALL)


class InvalidResponse(Exception):
    """The server sent something that is not an HTTP response, or only a part of one."""


class IncomingResponse:
    """A response whose body is still to be read.

    `length` is the number of bytes of the body, or None if the body ends with its last chunk or with the connection.
    `is_complete` is set when the body was read to its end. `keeps_connection` is false if the connection cannot be used
    for another request.
    """

    def __init__(self, reader: BufferedReader, method: str) -> None:
        """Read up to the body; skip interim responses such as 103 Early Hints."""
        self._reader = reader
        self.is_complete = False
        while True:
            self.version, self.status = read_status_line(reader)
            self.headers = Headers(parse_header_lines(read_header_block(reader), strict=False))
            if not 100 <= self.status < 200 or self.status == 101:
                break
        if not 200 <= self.status <= 599:  # after 101 the connection speaks another protocol
            raise InvalidResponse(f"the status {self.status}")
        self.is_chunked, self.length = find_framing(method, self.status, self.headers)
        self.keeps_connection = self._read_connection_header()

    def _read_connection_header(self) -> bool:
        if not self.is_chunked and self.length is None:
            return False  # the body ends with the connection
        if self.is_chunked and "Content-Length" in self.headers:
            return False  # another program on the way may have read it in the other way (RFC 9112 section 6.1)
        options = self.headers.get_list("Connection")
        if self.version in ("0.9", "1.0"):
            return "keep-alive" in options
        return "close" not in options

    def info(self) -> Headers:
        """Return the headers, where http.cookiejar looks for them."""
        return self.headers

    def read_parts(self) -> Iterator[bytes]:
        """Yield the parts of the body; raise InvalidResponse if it is cut short."""
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
                raise InvalidResponse("the body was cut short")
            size -= len(part)
            yield part

    def _read_chunks(self) -> Iterator[bytes]:
        while True:
            line = self._reader.readline(MAX_LINE_BYTES)
            match = CHUNK_SIZE.fullmatch(line)
            if not match:
                raise InvalidResponse("a chunk has no size")
            size = int(match[1], 16)
            if size == 0:
                break
            yield from self._read_exactly(size)
            if self._reader.read(2) != b"\r\n":
                raise InvalidResponse("a chunk is longer than its size")
        try:
            read_header_block(self._reader)  # trailers, which nobody needs
        except InvalidResponse:
            self.keeps_connection = False  # the body is complete all the same


def read_status_line(reader: BufferedReader) -> tuple[str, int]:
    """Return the version of HTTP and the status."""
    line = reader.readline(MAX_LINE_BYTES + 1)
    if len(line) > MAX_LINE_BYTES:
        raise InvalidResponse(f"got more than {MAX_LINE_BYTES} bytes when reading status line")
    if not line:
        raise InvalidResponse("Remote end closed connection without response")
    text = line.decode("latin-1")
    match = STATUS_LINE.fullmatch(text)
    if not match:
        raise InvalidResponse(text[:200].strip() or "an empty status line")
    return match[1], int(match[2])


def read_header_block(reader: BufferedReader) -> bytes:
    """Return the header lines up to the empty line that ends them."""
    lines: list[bytes] = []
    size = 0
    while True:
        line = reader.readline(MAX_HEADER_BYTES + 1 - size)
        size += len(line)
        if size > MAX_HEADER_BYTES:
            raise InvalidResponse(f"got more than {MAX_HEADER_BYTES} bytes of headers")
        if not line.endswith(b"\n"):
            raise InvalidResponse("the headers were cut short")
        if line in (b"\r\n", b"\n"):
            return b"".join(lines)
        lines.append(line)
        if len(lines) > MAX_HEADER_LINES:
            raise InvalidResponse(f"got more than {MAX_HEADER_LINES} header lines")


def find_framing(method: str, status: int, headers: Headers) -> tuple[bool, int | None]:
    """Return whether the body comes in chunks, and its length if that is known (RFC 9112 section 6.3)."""
    if method in ("HEAD", "CONNECT") or status in (204, 304):
        return False, 0
    codings = [coding for coding in headers.get_list("Transfer-Encoding") if coding != "identity"]
    if codings == ["chunked"]:
        return True, None
    if codings:  # the client has accepted no other (RFC 9110 section 10.1.4)
        raise InvalidResponse(f"the transfer encoding {', '.join(codings)[:200]}")
    lengths = set(headers.get_list("Content-Length"))
    if not lengths:
        return False, None
    length = lengths.pop()
    if lengths or not re.fullmatch("[0-9]{1,18}", length):
        raise InvalidResponse("its Content-Length is not one number")
    return False, int(length)
