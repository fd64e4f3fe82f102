"""Connect to PostgreSQL within a deadline, and decide by SQLSTATE and by the state of libpq why that failed.

The messages of PostgreSQL and of libpq are localised and quote names: they are shown as the reason, and decide nothing.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import RawCursor, errors, pq
from psycopg.conninfo import conninfo_attempts, conninfo_to_dict, make_conninfo, timeout_from_conninfo
from psycopg.pq import ConnStatus, PollingStatus

from connector_postgres.errors import ERRORS, TRANSIENT, PostgresError, refuse
from connector_postgres.values import LOADERS

WRITE = "Write postgresql://user:password@host/database, with %40 for @, %2F for / and %3A for : in the password."
UNESCAPED = re.compile(r"\w+://([^/@]*@[^/]*@|[^/]*/[^?]*@)")  # libpq would take a part of the password for the host
NOWHERE = {"host": "/nonexistent", "hostaddr": "", "port": "5432"}
CHUNK_BYTES = 65536
VERBOSE = 2  # PQERRORS_VERBOSE: the SQLSTATE precedes the message
# codes whose name in psycopg says less
CODES = {"3D000": "InvalidAuthorizationSpecification", "53300": "CannotConnectNow", "57014": "StatementTimeout"}
# PgBouncer reports nearly everything as 08P01, always in English; these refusals are permanent
POOLER_REFUSALS = re.compile(
    "(password|SASL|certificate|PAM) authentication failed|no such (user|database)|database .* is disabled|(TLS|SSL) "
    "|bouncer config|not allowed|unix socket|login (failed|rejected)|unsupported startup parameter"
)


class Connection(psycopg.Connection):  # type: ignore[misc]
    """A connection that ends at its deadline, or if more bytes arrive than `limit`.

    libpq itself waits without end and reads a message of any size. Therefore it has one end of a pair of sockets, and
    two threads pass the bytes on.
    """

    def __init__(self, pgconn: Any, deadline: float) -> None:
        super().__init__(pgconn)
        self.cursor_factory = RawCursor
        # PgBouncer may send each transaction to another server, which does not know a prepared statement
        self.prepare_threshold = None
        for oid, loader in LOADERS.items():
            self.adapters.register_loader(oid, loader)
        self.deadline, self.limit, self.received = deadline, sys.maxsize, 0
        self.stage = "connect"  # then "work", then "commit"
        self.peer = socket.socket(fileno=os.dup(pgconn.socket))
        self.near, far = socket.socketpair()
        with far:
            far.setblocking(False)
            os.dup2(far.fileno(), pgconn.socket, inheritable=False)
        ways = (self.peer, self.near), (self.near, self.peer)
        self.threads = [threading.Thread(target=self.pass_on, args=way, daemon=True) for way in ways]
        for thread in self.threads:
            thread.start()

    def pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while seconds_until(self.deadline) and self.received <= self.limit:
                source.settimeout(seconds_until(self.deadline))
                data = source.recv(CHUNK_BYTES)
                if not data:
                    break
                self.received += len(data) if source is self.peer else 0
                target.sendall(data)
        for end in (source, target):  # the other thread waits for one of them
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        for thread in self.threads:
            thread.join()
        self.peer.close()
        self.near.close()


def seconds_until(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0)


def connect(conninfo: Any, deadline: float) -> Connection:
    """Return a connection to the first address that accepts; raise `PostgresError`."""
    attempts = look_up(read_conninfo(conninfo), deadline)
    for number, given in enumerate(attempts):
        # the next address has its turn even if this one is silent
        seconds = min(seconds_until(deadline) / (len(attempts) - number), timeout_from_conninfo(given))
        pgconn = pq.PGconn.connect_start(make_conninfo(**given).encode())
        try:
            wait_until_open(pgconn, time.monotonic() + seconds)
            return Connection(pgconn, deadline)
        except PostgresError as error:
            pgconn.finish()
            place = f"{given.get('host') or given.get('hostaddr') or 'PostgreSQL'} port {given.get('port') or 5432}"
            failure = PostgresError(error.error_code, f"No connection to {place}: {redact(error, given)}", error.status)
        if failure.status != 503:
            break
    raise failure


def read_conninfo(conninfo: Any) -> dict[str, Any]:
    """Return the parts of a connection string. Messages do not quote it: any part may be a piece of the password."""
    if isinstance(conninfo, str) and not conninfo.strip():
        raise refuse(f"database_connection_str is empty. {WRITE}")
    try:
        given = {**conninfo_to_dict(conninfo.encode().decode()), "client_encoding": "UTF8"}
        timeout_from_conninfo(given)
    except Exception:
        raise refuse(f"database_connection_str is not a connection string of PostgreSQL. {WRITE}") from None
    ports = str(given.get("port") or "").split(",")
    is_valid = all(re.fullmatch("[0-9]{0,5}", port) and int(port or 5432) <= 65535 for port in ports)
    if UNESCAPED.match(conninfo) or not is_valid:
        raise refuse(f"database_connection_str has @ or / in the password, or an invalid port. {WRITE}")
    # libpq checks the options before it connects, and fails at a socket that does not exist if they are valid
    reason = pq.PGconn.connect_start(make_conninfo(**{**given, **NOWHERE}).encode()).get_error_message("utf-8")
    if NOWHERE["host"] not in reason:
        raise refuse(f"database_connection_str cannot be used: {redact(reason, given)}")
    return given


def look_up(given: dict[str, Any], deadline: float) -> list[dict[str, Any]]:
    """Return what to connect to, with an address for each host. The resolver, in its thread, knows no deadline."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(conninfo_attempts(given))
        except psycopg.Error as error:
            code = "ValueError" if str(error).startswith("could not match") else "ConnectionFailed"
            outcome.append(PostgresError(code, f"No connection to port {given.get('port') or 5432}: {error}"))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds_until(deadline))
    if not outcome or isinstance(outcome[0], PostgresError):
        raise outcome[0] if outcome else PostgresError("ConnectTimeout")
    return outcome[0]


def wait_until_open(pgconn: Any, deadline: float) -> None:
    """Connect as psycopg does, which forgets the state in which libpq has failed; raise `PostgresError`."""
    # libpq puts the SQLSTATE of a refusal into its message; psycopg has no function for it
    with suppress(OSError, AttributeError):  # if libpq is inside of psycopg; then refusals have no SQLSTATE
        path = sys.modules[type(pgconn).__module__].__file__
        ctypes.CDLL(path).PQsetErrorVerbosity(ctypes.c_void_p(pgconn.pgconn_ptr), VERBOSE)
    polled, answer, has_tls = PollingStatus.WRITING, b"", False
    while pgconn.status != ConnStatus.BAD and polled != PollingStatus.OK:
        poller = select.poll()
        poller.register(pgconn.socket, select.POLLIN if polled == PollingStatus.READING else select.POLLOUT)
        if not poller.poll(seconds_until(deadline) * 1000):
            raise PostgresError("ConnectTimeout")
        answer = b""
        with socket.socket(fileno=os.dup(pgconn.socket)) as peer, suppress(OSError):
            if polled == PollingStatus.READING:
                answer = peer.recv(1, socket.MSG_PEEK)
        has_tls = pgconn.status == ConnStatus.SSL_STARTUP and bool(answer or pgconn.ssl_in_use)
        polled = pgconn.connect_poll()
    if polled == PollingStatus.OK:
        pgconn.nonblocking = 1
        return
    text = pgconn.get_error_message("utf-8").strip()
    refusal = re.search(r":  ([0-9A-Z]{5}): (.*)", text)
    if refusal:  # 55000 is a database that accepts no connections
        raise explain_sqlstate(refusal[1].replace("55000", "28000"), refusal[2])
    reason = text.partition("\n")[0].rpartition(" failed: ")[2]
    if has_tls:
        raise PostgresError("SSLError", f"TLS failed, or the certificate is not trusted: {reason}")
    # if there is an answer, libpq is not content with it
    raise PostgresError("ValueError" if answer else "ConnectionFailed", reason)


def explain_sqlstate(sqlstate: str, message: str) -> PostgresError:
    """Return the error for what PostgreSQL or PgBouncer refuses, by the name that psycopg has for its SQLSTATE."""
    code = CODES.get(sqlstate, "")
    with suppress(KeyError):
        code = code or errors.lookup(sqlstate).__name__
    if sqlstate == "08P01" and POOLER_REFUSALS.match(message):
        code = "InvalidAuthorizationSpecification"
    if code in ERRORS:
        return PostgresError(code, message)
    status = 503 if sqlstate.startswith(TRANSIENT) else 400
    return PostgresError("DatabaseError", f"SQLSTATE {sqlstate}: {message}", status)


def redact(text: Any, given: dict[str, Any]) -> str:
    """Return the text without the names and secrets of the connection string."""
    for name in ("password", "user", "dbname", "sslpassword"):
        if given.get(name):
            text = re.sub(rf"(?<!\w){re.escape(str(given[name]))}(?!\w)", "…", str(text))
    return str(text)
