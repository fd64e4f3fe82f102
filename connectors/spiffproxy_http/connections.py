"""Connections: made within a deadline, to addresses that are allowed, and kept to be used again."""

from __future__ import annotations

import atexit
import functools
import http.client
import io
import os
import select
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Callable, cast

from spiffproxy_http.errors import RequestError
from spiffproxy_http.hosts import read_address, refuse_host

_IDLE_SECONDS = 15  # below what servers commonly wait
_IDLE_PER_ORIGIN = 16
_IDLE_IN_ALL = 128


class Stream(io.RawIOBase):
    """A connected socket in the shape that http.client takes; each operation on it ends by the deadline.

    `received` counts the bytes since the last `start`; `ended` is set where the other side has closed.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadline: float | None = None
        self.received = 0
        self.ended = False
        self._reader = _Reader(self)

    def start(self, deadline: float) -> None:
        self.deadline, self.received = deadline, 0

    def rest(self) -> bool:
        """Stop reading, and tell whether all that came was asked for."""
        self.deadline = None
        # what TLS has decrypted is no longer in the socket, where is_alive() looks
        return not (self._reader.peek() or (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()))

    def is_alive(self) -> bool:
        """Tell whether a stream at rest is still connected and silent."""
        poll = select.poll()  # select() knows no descriptor above 1023
        poll.register(self.sock, select.POLLIN)
        if not poll.poll(0):
            return True
        self.sock.settimeout(0)
        try:
            self.sock.recv(1)
        except ssl.SSLWantReadError:  # TLS has sent a session ticket, and nothing more
            return True
        except OSError:
            return False
        return False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.deadline is None:
            return 0
        self.sock.settimeout(remaining(self.deadline))
        count = self.sock.recv_into(buffer)
        self.received += count
        self.ended = count == 0
        return count

    def sendall(self, data: Any) -> None:
        view = memoryview(data)
        while view and self.deadline is not None:
            self.sock.settimeout(remaining(self.deadline))
            view = view[self.sock.send(view) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        return self._reader

    def close(self) -> None:
        """Do nothing: http.client closes before the body is read. See `disconnect`."""

    def disconnect(self) -> None:
        self.sock.close()


class _Reader(io.BufferedReader):
    """One for all the answers of a connection, so that nothing is lost between them."""

    def close(self) -> None:
        """Do nothing: http.client closes it behind each answer."""


def remaining(deadline: float) -> float:
    """Return the seconds until the deadline; raise TimeoutError where there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise socket.timeout("the time is up")  # the class that sockets raise, on 3.9 too
    return seconds


class Answer(http.client.HTTPResponse):
    """The answer to a request, from the first line on; `finish` has to be called in the end."""

    connection: Connection

    @property
    def _stream(self) -> Stream:
        return cast("Stream", self.fp.raw)

    def begin(self) -> None:
        """Read up to the body. http.client takes an interim answer but 100 for the final one."""
        super().begin()
        while 100 <= self.status < 200 and self.status != 101:
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        if self._stream.ended:  # which http.client takes for the end of the headers
            raise http.client.HTTPException("the headers were cut short")
        if not 200 <= self.status <= 599:  # 101 would be another protocol, and the rest is none
            raise http.client.BadStatusLine(f"the status {self.status}")

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0 or self._stream.ended:  # http.client would read without a bound, or take 0 of 0a for the end
            raise http.client.HTTPException("a chunk without a size")
        return size

    def finish(self) -> None:
        """Keep the connection if the answer is read to its end and leaves it open, else close it."""
        if self.isclosed() and not self.will_close and self.connection.stream.rest():
            _idle.give(self.connection)
        else:
            self.connection.stream.disconnect()


class Connection:
    """A connected stream to `route`, an origin and perhaps the proxy on the way, that has reached `address`."""

    def __init__(self, stream: Stream, route: tuple[Any, ...], address: str | None) -> None:
        self.stream = stream
        self.route = route
        self.address = address

    def exchange(
        self, method: str, target: str, headers: list[tuple[str, str]], data: bytes | None, deadline: float
    ) -> Answer:
        """Send a request and return the answer, its body unread. Target and headers are fit for the wire already,
        which http.client.HTTPConnection would spend a tenth of the call to check again.
        """
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "\r\n"]
        self.stream.start(deadline)
        try:
            self.stream.sendall("\r\n".join(lines).encode("latin-1"))
            self.stream.sendall(data or b"")  # apart: to join them would copy what may be megabytes
        except socket.timeout:
            raise
        except OSError:
            pass  # the answer may be there already: a 413 does not wait for the body
        answer = Answer(cast("socket.socket", self.stream), method=method)
        answer.begin()
        answer.connection = self
        return answer


class _Idle:
    """Connections that wait to be used again, the one that has waited longest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, Connection]] = []

    def take(self, route: tuple[Any, ...], allow: Callable[[str | None], bool]) -> Connection | None:
        """Return a connection that is alive and leads where the caller may go now, or None."""
        while True:
            with self._lock:
                self._sweep()
                found = [index for index, (_, connection) in enumerate(self._waiting) if connection.route == route]
                if not found:
                    return None
                _, connection = self._waiting.pop(found[-1])
            if allow(connection.address) and connection.stream.is_alive():
                return connection
            connection.stream.disconnect()

    def give(self, connection: Connection) -> None:
        with self._lock:
            self._waiting.append((time.monotonic(), connection))
            self._sweep()
            same = [index for index, (_, other) in enumerate(self._waiting) if other.route == connection.route]
            if len(same) > _IDLE_PER_ORIGIN:
                self._waiting.pop(same[0])[1].stream.disconnect()
            elif len(self._waiting) > _IDLE_IN_ALL:
                self._waiting.pop(0)[1].stream.disconnect()

    def _sweep(self) -> None:
        oldest = time.monotonic() - _IDLE_SECONDS
        while self._waiting and self._waiting[0][0] < oldest:
            self._waiting.pop(0)[1].stream.disconnect()

    def clear(self) -> None:
        with self._lock:
            for _, connection in self._waiting:
                connection.stream.disconnect()
            self._waiting.clear()


_idle = _Idle()
atexit.register(_idle.clear)
take_idle = _idle.take


def connect_tcp(host: str, port: int, deadline: float, allow: Callable[[str], bool]) -> tuple[socket.socket, str]:
    """Return a socket connected to one of the host's addresses that `allow` lets through, and that address.

    Raises `RequestError`: `ConnectTimeout`, `ConnectionError`, `HostNotAllowed`.
    """
    addresses = [entry for entry in _resolve(host, port, deadline) if allow(entry[4][0])]
    if not addresses:
        raise refuse_host(host)
    for left in range(len(addresses), 0, -1):
        family, kind, protocol, _, address = addresses[-left]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(remaining(deadline) / left)  # an address that is silent leaves time for the others
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock, address[0]
        except OSError as problem:
            sock.close()
            error = problem
    if isinstance(error, socket.timeout):
        raise RequestError("ConnectTimeout", f"{host} port {port} does not answer") from None
    raise RequestError("ConnectionError", f"No connection to {host} port {port}: {error.strerror or error}") from None


def _resolve(host: str, port: int, deadline: float) -> list[Any]:
    """Look up a name in a thread of its own: getaddrinfo() knows no timeout."""
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    if read_address(host):
        look_up()
    else:
        thread = threading.Thread(target=look_up, daemon=True)
        thread.start()
        thread.join(max(deadline - time.monotonic(), 0))
    if not found:
        raise RequestError("ConnectTimeout", f"The name {host} could not be looked up in time")
    if isinstance(found[0], Exception):
        reason = getattr(found[0], "strerror", None) or found[0]
        raise RequestError("ConnectionError", f"The name {host} cannot be resolved: {reason}")
    return list(found[0])


def wrap_tls(sock: socket.socket, host: str, deadline: float) -> ssl.SSLSocket:
    """Return the socket with TLS, the certificate checked; raise `RequestError`: `SSLError`, `ReadTimeout`."""
    try:
        return _shake_hands(sock, host, deadline)
    except BaseException:
        sock.close()
        raise


def _shake_hands(sock: socket.socket, host: str, deadline: float) -> ssl.SSLSocket:
    try:
        sock.settimeout(remaining(deadline))
        return _make_context().wrap_socket(sock, server_hostname=host)
    except socket.timeout:
        raise RequestError("ReadTimeout", f"The TLS handshake with {host} was not done in time") from None
    except ssl.SSLCertVerificationError as error:
        raise RequestError("SSLError", f"The certificate of {host} is not trusted: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise RequestError("SSLError", f"TLS with {host} failed: {error.reason or error}") from None
    except OSError as error:
        raise RequestError(
            "ConnectionError", f"{host} broke off the TLS handshake: {error.strerror or error}"
        ) from None


@functools.cache
def _make_context() -> ssl.SSLContext:
    """Make the one context of the process: reading all certificate authorities takes 20 ms."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    try:
        if bundle and Path(bundle).is_dir():
            context = ssl.create_default_context(capath=bundle)
        else:
            context = ssl.create_default_context(cafile=bundle or None)
    except OSError as error:
        raise RequestError("SSLError", f"The CA bundle {bundle} cannot be read: {error.strerror or error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # 3.13 demands of private authorities what many of them lack
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    return context
