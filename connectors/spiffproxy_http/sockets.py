"""Sockets that are connected before a deadline."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any, Callable

from spiffproxy_http.errors import RequestError
from spiffproxy_http.hosts import read_address, refuse_host


def seconds_until(deadline: float) -> float:
    """Return the seconds until the deadline; raise socket.timeout if there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise socket.timeout("the time is up")  # the class that sockets raise, on 3.9 too
    return seconds


def connect_tcp(host: str, port: int, deadline: float, allow: Callable[[str], bool]) -> tuple[socket.socket, str]:
    """Return a socket connected to one of the host's addresses that `allow` accepts, and that address.

    Raises `RequestError`: `ConnectTimeout`, `ConnectionError`, `HostNotAllowed`.
    """
    addresses = [entry for entry in resolve(host, port, deadline) if allow(entry[4][0])]
    if not addresses:
        raise refuse_host(host)
    for left in range(len(addresses), 0, -1):
        family, kind, protocol, _, address = addresses[-left]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(seconds_until(deadline) / left)  # a silent address leaves time for the others
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock, address[0]
        except OSError as problem:
            sock.close()
            error = problem
    if isinstance(error, socket.timeout):
        raise RequestError("ConnectTimeout", f"{host} port {port} does not answer") from None
    raise RequestError("ConnectionError", f"No connection to {host} port {port}: {error.strerror or error}") from None


def resolve(host: str, port: int, deadline: float) -> list[Any]:
    """Return what getaddrinfo() does."""
    is_address = read_address(host) is not None
    name = host.rstrip(".") if is_address else host  # getaddrinfo() would take "127.0.0.1." for a name
    try:
        if is_address:
            return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        return call_until(deadline, lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
    except socket.timeout:
        raise RequestError("ConnectTimeout", f"The name {host} could not be looked up in time") from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError("ConnectionError", f"The name {host} cannot be resolved: {reason}") from None


def call_until(deadline: float, function: Callable[[], Any]) -> Any:
    """Call a function that knows no timeout, such as getaddrinfo(), in a thread; raise socket.timeout if it is late."""
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append(function())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(max(deadline - time.monotonic(), 0))
    if not outcome:
        raise socket.timeout("the time is up")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]
