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
    """Return what getaddrinfo() does. It knows no timeout, so a name is looked up in a thread of its own."""
    found: list[Any] = []
    is_address = read_address(host) is not None
    name = host.rstrip(".") if is_address else host  # getaddrinfo() would take "127.0.0.1." for a name

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    if is_address:
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
