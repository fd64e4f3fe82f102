"""Connections that are reused, and the pool of idle connections."""

from __future__ import annotations

import atexit
import io
import select
import socket
import threading
import time
from typing import Any, Callable, NamedTuple

from spiffproxy_http.responses import IncomingResponse
from spiffproxy_http.sockets import seconds_until

IDLE_SECONDS = 15  # most servers close an idle connection later
MAX_IDLE_PER_ROUTE = 16
MAX_IDLE = 128


class Route(NamedTuple):
    """What a connection leads to: an origin, directly or through the proxy that is named by its host and port.

    `client_cert` is the file of the certificate that the origin may have seen.
    """

    origin: tuple[str, str, int]
    proxy: str | None
    client_cert: str | None


class Stream(io.RawIOBase):
    """A connected socket; each operation on it ends by the deadline.

    `received` counts the bytes since the last `start`.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadline: float | None = None
        self.received = 0

    def start(self, deadline: float) -> None:
        self.deadline, self.received = deadline, 0

    def stop(self) -> None:
        """Stop reading from the socket: the reader gets the end of the stream."""
        self.deadline = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.deadline is None:
            return 0
        self.sock.settimeout(seconds_until(self.deadline))
        count = self.sock.recv_into(buffer)
        self.received += count
        return count

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view and self.deadline is not None:
            self.sock.settimeout(seconds_until(self.deadline))
            view = view[self.sock.send(view) :]


class Connection:
    """A connected socket, and the address that it has reached (None if a proxy connects to it)."""

    def __init__(self, sock: socket.socket, route: Route, address: str | None) -> None:
        self.route = route
        self.address = address
        self.stream = Stream(sock)
        # one for all responses, so that nothing between them is lost
        self._reader: io.BufferedReader = io.BufferedReader(self.stream)

    def send(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None, deadline: float
    ) -> IncomingResponse:
        """Send a request and return the response, its body unread. Target and headers are already encoded.

        Raises OSError and InvalidResponse.
        """
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "\r\n"]
        self.stream.start(deadline)
        try:
            self.stream.sendall("\r\n".join(lines).encode("latin-1"))
            self.stream.sendall(body or b"")  # separately: joining them would copy a large body
        except socket.timeout:
            raise
        except OSError:
            pass  # a server may respond, as with 413, before it has read the body
        return IncomingResponse(self._reader, method)

    def finish(self, response: IncomingResponse) -> None:
        """Put the connection into the pool if it can be used for another request, else close it."""
        if response.is_complete and response.can_reuse_connection and self._is_silent():
            idle_connections.put(self)
        else:
            self.close()

    def _is_silent(self) -> bool:
        """Return whether the server has sent nothing after the response."""
        self.stream.stop()
        sock = self.stream.sock
        # what TLS has decrypted is no longer in the socket, where is_alive() looks; only sockets of TLS have pending()
        decrypted = getattr(sock, "pending", None)
        return not self._reader.peek() and not (decrypted and decrypted())

    def is_alive(self) -> bool:
        """Return whether an idle connection is still open and silent."""
        sock = self.stream.sock
        poll = select.poll()  # select() does not support descriptors above 1023
        poll.register(sock, select.POLLIN)
        if not poll.poll(0):
            return True
        sock.settimeout(0)
        try:
            sock.recv(1)
        except OSError as error:
            return type(error).__name__ == "SSLWantReadError"  # TLS has received only a session ticket
        return False

    def close(self) -> None:
        self.stream.sock.close()


class IdleConnections:
    """Connections that wait for their next request, the one that has waited longest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, Connection]] = []

    def take(self, route: Route, allow: Callable[[str | None], bool]) -> Connection | None:
        """Return a connection that is alive and has reached an address that `allow` accepts, or None."""
        while True:
            with self._lock:
                self._close_expired()
                found = [index for index, (_, connection) in enumerate(self._waiting) if connection.route == route]
                if not found:
                    return None
                _, connection = self._waiting.pop(found[-1])
            if allow(connection.address) and connection.is_alive():
                return connection
            connection.close()

    def put(self, connection: Connection) -> None:
        with self._lock:
            self._waiting.append((time.monotonic(), connection))
            self._close_expired()
            same = [index for index, (_, other) in enumerate(self._waiting) if other.route == connection.route]
            if len(same) > MAX_IDLE_PER_ROUTE:
                self._waiting.pop(same[0])[1].close()
            elif len(self._waiting) > MAX_IDLE:
                self._waiting.pop(0)[1].close()

    def _close_expired(self) -> None:
        oldest = time.monotonic() - IDLE_SECONDS
        while self._waiting and self._waiting[0][0] < oldest:
            self._waiting.pop(0)[1].close()

    def close_all(self) -> None:
        with self._lock:
            for _, connection in self._waiting:
                connection.close()
            self._waiting.clear()


idle_connections = IdleConnections()
atexit.register(idle_connections.close_all)
