"""Connect to PostgreSQL within a deadline, and decide by SQLSTATE and by the state of libpq what went wrong.

The words of PostgreSQL and of libpq are localised and quote names: they are shown as the reason, and decide nothing.
"""

from __future__ import annotations

import ctypes
import math
import os
import re
import select
import socket
import sys
import time
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import RawCursor, errors, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ConnStatus, PollingStatus
from psycopg.waiting import Wait

from connector_postgres.errors import PostgresError, describe_sqlstate, refuse
from connector_postgres.values import ADAPTERS

WRITE = "Write postgresql://user:password@host/database, with %40 for @, %2F for / and %3A for : in the password."
UNESCAPED = re.compile(r"\w+://([^/@]*@[^/]*@|[^/]*/[^?]*@)")  # libpq would take a part of the password for the host
CHUNK = 32768  # bytes; less than what the system buffers for a pair of sockets
VERBOSE = 2  # PQERRORS_VERBOSE: the SQLSTATE precedes the words
REFUSALS = {
    "28P01": "InvalidPassword",
    # the user; no such database; no CONNECT privilege; a database that accepts no connections
    "28|3D|42501|55000": "InvalidAuthorizationSpecification",
    "53|57": "CannotConnectNow",
}
# PgBouncer reports nearly everything as 08P01, and always in English; these refusals do not pass, all others may
POOLER_REFUSALS = {
    "(password|SASL|certificate|PAM) authentication failed|no such user": "InvalidPassword",
    "no such database|database .* is disabled|(TLS|SSL) |bouncer config": "InvalidAuthorizationSpecification",
    "not allowed|unix socket|login (failed|rejected)": "InvalidAuthorizationSpecification",
    "unsupported startup parameter": "ValueError",
}


class Connection(psycopg.Connection):  # type: ignore[misc]
    """A connection that says why it failed, and that refuses a message that is too large while it arrives."""

    limit = sys.maxsize  # of bytes received; libpq has none: it reads a message whole, however long it is
    received = 0
    unsent = b""

    @classmethod
    def _connect_gen(cls, conninfo: str = "", *, timeout: float = 0) -> Any:
        """Connect to one address; psycopg does the same, and forgets the state in which it failed."""
        pgconn = pq.PGconn.connect_start(conninfo.encode())
        show_sqlstate(pgconn)
        deadline = time.monotonic() + (timeout or math.inf)
        has_tls = is_open = False
        while pgconn.status != ConnStatus.BAD:
            with socket.socket(fileno=os.dup(pgconn.socket)) as peer:  # libpq closes its own
                has_tls = pgconn.status == ConnStatus.SSL_STARTUP and (pgconn.ssl_in_use or peek(peer) in (b"S", b"N"))
                polled = pgconn.connect_poll()
                is_open = peek(peer) != b""
            if polled == PollingStatus.OK:
                pgconn.nonblocking = 1
                return cls(pgconn)
            wanted = Wait.R if polled == PollingStatus.READING else Wait.W
            while pgconn.status != ConnStatus.BAD and not (yield pgconn.socket, wanted):
                if time.monotonic() > deadline:
                    raise errors.ConnectionTimeout("there was no answer in time")
        try:
            raise explain(pgconn, conninfo_to_dict(conninfo), has_tls=has_tls, is_open=is_open)
        finally:
            pgconn.finish()

    def __init__(self, pgconn: Any, *arguments: Any, **options: Any) -> None:
        """Put a pair of sockets between libpq and PostgreSQL: libpq gets its bytes from here."""
        super().__init__(pgconn, *arguments, **options)
        self.peer = socket.socket(fileno=os.dup(pgconn.socket))
        self.valve, end = socket.socketpair()
        with end:
            os.dup2(end.fileno(), pgconn.socket, inheritable=False)
        for one in (self.peer, self.valve):
            one.setblocking(False)
        os.set_blocking(pgconn.socket, False)

    def wait(self, generator: Any, *arguments: Any, **options: Any) -> Any:
        """Run a generator of psycopg, which yields what it waits for: to read, to write, or both."""
        try:
            wanted = next(generator)
            while True:
                wanted = generator.send(self.exchange(wanted))
        except StopIteration as end:
            return end.value

    def exchange(self, wanted: int) -> int:
        """Pass bytes on in both directions until libpq can do what it waits for."""
        while True:
            self.unsent = self.unsent or receive(self.valve) or b""
            ready = poll(self.pgconn.socket, wanted, 0)
            if ready:
                return ready
            if poll(self.peer.fileno(), Wait.RW if self.unsent else Wait.R) & Wait.W:
                with suppress(OSError):  # reading finds out that the connection is lost
                    self.unsent = self.unsent[self.peer.send(self.unsent) :]
            data = receive(self.peer)
            self.received += len(data or b"")
            if self.received > self.limit:
                raise PostgresError("ResponseTooLarge")
            if data:
                self.valve.sendall(data)
            elif data is not None:
                self.valve.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        super().close()
        with self.peer, self.valve, suppress(OSError):
            self.peer.sendall(self.unsent + (receive(self.valve) or b""))  # that the session ends


def poll(descriptor: int, wanted: int, milliseconds: float | None = None) -> int:
    """Return which of reading and writing is possible, as psycopg numbers them; an error is found by reading."""
    poller = select.poll()
    poller.register(descriptor, (wanted & Wait.R and select.POLLIN) | (wanted & Wait.W and select.POLLOUT))
    events = dict(poller.poll(milliseconds)).get(descriptor, 0)
    return (Wait.R if events & ~select.POLLOUT else 0) | (Wait.W if events & select.POLLOUT else 0)


def receive(source: socket.socket, size: int = CHUNK, flags: int = 0) -> bytes | None:
    """Return what has arrived: b"" if the other side has closed the connection, None if there is nothing yet."""
    try:
        return source.recv(size, flags)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def peek(peer: socket.socket) -> bytes | None:
    """Return the next byte as `receive` does, and leave it to libpq."""
    return receive(peer, 1, socket.MSG_PEEK)


def connect(conninfo: Any, seconds: float) -> Any:
    """Return a connection to the first address that accepts; raise `PostgresError`."""
    given = read_conninfo(conninfo)
    hosts = str(given.get("host")).count(",") + 1
    timeout = max(math.ceil(seconds / hosts), 2)  # of a silent host, so that the next has its turn; 1 is 2, to libpq
    options = {"connect_timeout": timeout, **given, "client_encoding": "UTF8"}
    try:
        # PgBouncer may send each transaction to another server, where a prepared statement does not exist
        return Connection.connect(**options, context=ADAPTERS, cursor_factory=RawCursor, prepare_threshold=None)
    except psycopg.Error as error:
        words = redact(str(error).partition("\n")[0], given)
        if error.sqlstate:
            raise explain_refusal(error.sqlstate, words) from None
        code = "ConnectTimeout" if isinstance(error, errors.ConnectionTimeout) else "ConnectionFailed"
        raise PostgresError(code, f"No connection to {name_place(given)}: {words}") from None


def read_conninfo(conninfo: Any) -> dict[str, Any]:
    """Return the parts of a connection string. Messages do not quote it: any part may be a piece of the password."""
    if isinstance(conninfo, str) and not conninfo.strip():
        raise refuse(f"database_connection_str is empty. {WRITE}")
    try:
        given = conninfo_to_dict(conninfo.encode().decode())
    except Exception:
        raise refuse(f"database_connection_str is not a connection string of PostgreSQL. {WRITE}") from None
    hosts, addresses, ports = (str(given.get(name) or "").split(",") for name in ("host", "hostaddr", "port"))
    if UNESCAPED.match(conninfo):
        raise refuse(f"database_connection_str has @ or / in the password. {WRITE}")
    if not all(re.fullmatch("[0-9]{0,5}", port) and int(port or 5432) <= 65535 for port in ports):
        raise refuse(f"database_connection_str has a port that is not a number from 1 to 65535. {WRITE}")
    if len(ports) not in (1, len(hosts)) or (len(addresses) > 1 and len(addresses) != len(hosts)):
        raise refuse("database_connection_str must have as many of port and hostaddr as of host")
    if not re.fullmatch("-?[0-9]*", str(given.get("connect_timeout") or "")):
        raise refuse("connect_timeout in database_connection_str must be a number of seconds")
    return given


def name_place(given: dict[str, Any]) -> str:
    return f"{given.get('host') or given.get('hostaddr') or 'PostgreSQL'} port {given.get('port') or 5432}"


def show_sqlstate(pgconn: Any) -> None:
    """Have libpq put the SQLSTATE of a refusal into its message; psycopg has no function for it."""
    module = sys.modules[type(pgconn).__module__]
    path = str(module.__file__)
    if path.endswith(".py"):  # psycopg without its binary part
        path = pq.misc.find_libpq_full_path() or path
    with suppress(OSError, AttributeError):  # where libpq is inside of psycopg; then refusals have no SQLSTATE
        ctypes.CDLL(path).PQsetErrorVerbosity(ctypes.c_void_p(pgconn.pgconn_ptr), VERBOSE)


def explain(pgconn: Any, given: dict[str, Any], *, has_tls: bool, is_open: bool) -> Exception:
    """Return the error for an attempt: psycopg tries the next host after its own, and not after a `PostgresError`."""
    text = pgconn.get_error_message("utf-8")
    refusals = re.findall(r":  ([0-9A-Z]{5}): (.*)", text)
    if refusals:
        sqlstate, words = refusals[-1]
        with suppress(KeyError):
            return errors.lookup(sqlstate)(words)
        return explain_refusal(sqlstate, redact(words, given))
    lines = [line for line in text.splitlines() if line] or [text]
    reason = redact([line for line in lines if " failed: " in line or line == lines[0]][-1], given)
    reason = reason.rpartition(" failed: ")[2]
    if pgconn.needs_password:
        return PostgresError("InvalidPassword", f"The connection string has no password: {reason}")
    place = name_place(given)
    if has_tls:
        return PostgresError("SSLError", f"TLS with {place} failed, or its certificate is not trusted: {reason}")
    if is_open or has_invalid_options(given):
        return refuse(f"database_connection_str cannot be used for {place}: {reason}")
    return psycopg.OperationalError(reason)


def has_invalid_options(given: dict[str, Any]) -> bool:
    """Ask libpq whether it would try at all, at a socket that does not exist: nothing is sent to a server."""
    elsewhere = {**given, "host": "/nonexistent", "hostaddr": None, "port": None}
    return pq.PGconn.ping(make_conninfo(**elsewhere).encode()) == pq.Ping.NO_ATTEMPT


def explain_refusal(sqlstate: str, words: str) -> PostgresError:
    """Return the error for what PostgreSQL or PgBouncer says to a new connection."""
    table, text = (POOLER_REFUSALS, words) if sqlstate == "08P01" else (REFUSALS, sqlstate)
    for pattern, code in table.items():
        if re.match(pattern, text):
            return PostgresError(code, f"SQLSTATE {sqlstate}: {words}")
    return describe_sqlstate(sqlstate, words)


def redact(text: str, given: dict[str, Any]) -> str:
    """Return the text without the names and secrets of the connection string."""
    for name in ("password", "user", "dbname", "sslpassword"):
        if given.get(name):
            text = re.sub(rf"(?<!\w){re.escape(str(given[name]))}(?!\w)", "…", text)
    return text
