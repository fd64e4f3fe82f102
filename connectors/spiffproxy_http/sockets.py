"""Sockets that are connected before a deadline."""

from __future__ import annotations

import contextlib
import errno
import itertools
import math
import os
import select
import socket
import threading
import time
from typing import Any, Callable

from spiffproxy_http.errors import RequestError
from spiffproxy_http.hosts import read_address, refuse_host
from spiffproxy_http.url import LINK_LOCAL

SECONDS_BETWEEN_ADDRESSES = 0.25  # the recommendation of RFC 8305 section 5
MAX_OPEN_ATTEMPTS = 8  # to one host; after that, the oldest attempt is closed for the next address
# nothing was sent to the address: the error of another address says more
NOT_SENT = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EINVAL}


def seconds_until(deadline: float) -> float:
    """Return the seconds until the deadline; raise socket.timeout if there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise socket.timeout("the time is up")  # the class that sockets raise, on 3.9 too
    return seconds


def connect_tcp(host: str, port: int, deadline: float, allow: Callable[[str], bool]) -> tuple[socket.socket, str]:
    """Return a socket connected to one of the host's addresses that `allow` accepts, and that address.

    Raises `RequestError`: `ConnectTimeout`, `ConnectionError`, `HostNotAllowed`, `InvalidURL`.
    """
    addresses = [entry for entry in resolve(host, port, deadline) if allow(entry[4][0])]
    if not addresses:
        raise refuse_host(host)
    try:
        return connect_first(addresses, deadline)
    except socket.timeout:
        raise RequestError("ConnectTimeout", f"{host} port {port} does not respond") from None
    except OSError as error:
        reason = error.strerror or error
        address = read_address(host)
        if error.errno == errno.EINVAL and address is not None and address in LINK_LOCAL:
            reason = f"a link-local address needs the network interface in the URL, as in [{host}%25eth0]"
        raise RequestError("ConnectionError", f"No connection to {host} port {port}: {reason}") from None


def resolve(host: str, port: int, deadline: float) -> list[Any]:
    """Return what getaddrinfo() returns; raise `RequestError`."""
    zone = host.partition("%")[2]
    if zone and not has_interface(zone):  # getaddrinfo() accepts any number
        message = f"The URL names the network interface {zone}, which the proxy's machine does not have"
        raise RequestError("InvalidURL", message, 400)
    try:
        return look_up(host, port, deadline)
    except socket.timeout:
        raise RequestError("ConnectTimeout", f"The name {host} could not be looked up in time") from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError("ConnectionError", f"The name {host} cannot be resolved: {reason}") from None


def has_interface(zone: str) -> bool:
    """Return whether a zone is the name or the number of a network interface (RFC 4007 section 11.2)."""
    return any(zone in (name, str(index)) for index, name in socket.if_nameindex())


def look_up(host: str, port: int, deadline: float) -> list[Any]:
    """Return what getaddrinfo() returns; raise OSError, of which socket.timeout is one, or UnicodeError."""
    is_address = read_address(host) is not None
    name = host.rstrip(".") if is_address else host  # getaddrinfo() would look up "127.0.0.1." as a name
    if is_address:
        return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    found: list[Any] = call_until(deadline, lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
    return found


def call_until(deadline: float, function: Callable[[], Any]) -> Any:
    """Call a function that has no timeout, such as getaddrinfo(), in a thread; raise socket.timeout if it is late."""
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


# --- Happy Eyeballs -----------------------------------------------------------------------------------------------


def connect_first(addresses: list[Any], deadline: float) -> tuple[socket.socket, str]:
    """Return a socket connected to the first address that accepts, and that address (RFC 8305, Happy Eyeballs).

    `addresses` are as getaddrinfo() returns them. The next one is tried after 250 ms, or less if the time is short,
    or at once if one fails. Raises OSError: socket.timeout if the time is up, else the most useful error.
    """
    waiting = interleave(addresses)
    with contextlib.closing(Race()) as race:
        while waiting or race.is_open:
            seconds = seconds_until(deadline)
            if waiting:
                seconds = min(SECONDS_BETWEEN_ADDRESSES, seconds / len(waiting))
                if not race.start(waiting.pop(0)):
                    continue
            connected = race.wait(seconds)
            if connected:
                return connected
        raise race.find_error()


def interleave(addresses: list[Any]) -> list[Any]:
    """Return each address once, IPv6 and IPv4 in turn, the system's first choice first (RFC 8305 section 4)."""
    unique = list(dict.fromkeys(addresses))
    first = [entry for entry in unique if entry[0] == unique[0][0]]
    second = [entry for entry in unique if entry[0] != unique[0][0]]
    pairs = itertools.zip_longest(first, second)
    return [entry for pair in pairs for entry in pair if entry]


class Race:
    """Connections that are being opened to the addresses of one host. The first that is open wins."""

    def __init__(self) -> None:
        self._poll = select.poll()  # select() does not support descriptors above 1023
        self._sockets: dict[int, tuple[socket.socket, str]] = {}  # with their addresses, by descriptor
        self._errors: list[OSError] = []

    @property
    def is_open(self) -> bool:
        return bool(self._sockets)

    def start(self, entry: Any) -> bool:
        """Begin to connect to an address; return whether that is under way."""
        family, kind, protocol, _, address = entry
        if len(self._sockets) == MAX_OPEN_ATTEMPTS:
            self._remove(next(iter(self._sockets)))[0].close()
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            self._errors.append(error)
            return False
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            sock.connect(address)
        except BlockingIOError:
            pass  # it is under way
        except OSError as error:
            sock.close()
            self._errors.append(error)
            return False
        self._sockets[sock.fileno()] = sock, address[0]
        self._poll.register(sock, select.POLLOUT)
        return True

    def wait(self, seconds: float) -> tuple[socket.socket, str] | None:
        """Return the first socket that is connected, with its address; None if one has failed, or the time is up."""
        for descriptor, _ in self._poll.poll(math.ceil(seconds * 1000)):
            sock, address = self._remove(descriptor)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return sock, address
            sock.close()
            self._errors.append(OSError(code, os.strerror(code)))
        return None

    def find_error(self) -> OSError:
        """Return the last error of an address to which something was sent, or else the last."""
        sent = [error for error in self._errors if error.errno not in NOT_SENT]
        return (sent or self._errors)[-1]

    def close(self) -> None:
        for sock, _ in self._sockets.values():
            sock.close()

    def _remove(self, descriptor: int) -> tuple[socket.socket, str]:
        self._poll.unregister(descriptor)
        return self._sockets.pop(descriptor)
