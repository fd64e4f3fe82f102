"""Run a statement within a deadline. SQLSTATE and the state of libpq decide what went wrong, never localised words."""

from __future__ import annotations

import ctypes
import json
import os
import re
import select
import socket
import sys
import threading
import time
from contextlib import closing, suppress
from typing import Any

import psycopg
from psycopg import RawCursor, errors, generators, pq
from psycopg.conninfo import conninfo_attempts, conninfo_to_dict, make_conninfo, timeout_from_conninfo
from psycopg.pq import ConnStatus, PollingStatus
from psycopg.rows import dict_row, tuple_row
from spiffproxy_http.sockets import call_until

from connector_postgres.errors import ERRORS, TRANSIENT, PostgresError, refuse
from connector_postgres.values import LOADERS, find_types, to_text, unwrap

# the role may have a shorter timeout
SETTINGS = """SELECT set_config(name, coalesce(value, least({milliseconds}, nullif(setting::int, 0))::text), {is_local})
FROM pg_catalog.pg_settings JOIN (VALUES ('datestyle', 'ISO'), ('intervalstyle', 'iso_8601'), ('bytea_output', 'hex'),
    ('extra_float_digits', '1'), ('statement_timeout', NULL)) AS own (own, value) ON own = lower(name)"""
COPY = "COPY sends or reads data outside of a result, which no command can do. Use SelectValues or InsertValues."
# the detail of other errors is the whole row, or nothing new
DETAILED = {"UniqueViolation", "ForeignKeyViolation", "ExclusionViolation", "DependentObjectsStillExist"}
WRITE = "Write postgresql://user:password@host/database, with %40 for @, %2F for / and %3A for : in the password."
UNESCAPED = re.compile(r"\w+://([^/@]*@[^/]*@|[^/]*/[^?]*@)")  # libpq would take a part of the password for the host
# the name of each SQLSTATE is that of psycopg's exception, unless it says too little
CODES = {error.sqlstate: name for name, error in vars(errors).items() if getattr(error, "sqlstate", None)}
CODES.update({"3D000": "InvalidAuthorizationSpecification", "53300": "CannotConnectNow", "57014": "StatementTimeout"})
# PgBouncer reports nearly everything as 08P01, always in English; these refusals are permanent
POOLER_REFUSALS = re.compile(
    "no such|.*(authentication failed|disabled|not allowed|required)|login (failed|rejected)|bouncer config|unsupported"
)


class Session:
    """A connection for one statement."""

    def __init__(self, conninfo: Any, options: dict[str, Any], config: Any) -> None:
        seconds = float(config.get("CONNECTOR_PROXY_POSTGRES_TIMEOUT") or 40)  # SpiffArena waits 45
        self._max_bytes = int(config.get("CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES") or 64 * 1024**2)
        self._autocommit = options.get("autocommit", False)
        self._as_objects = options.get("as_objects", False)
        self._stage = "connect"  # then "work", then "commit"
        self._connection = connect(conninfo, time.monotonic() + seconds)

    def run(self, sql: str, rows: list[list[Any]], fetches: bool) -> Any:
        """Return rows, or what was changed; raise `PostgresError`."""
        with closing(self._connection):
            try:
                return self._run(sql, rows, fetches=fetches)
            except (ValueError, RecursionError) as error:  # half of a character, or a number of thousands of digits
                raise refuse(f"A value cannot be written or read: {error}") from None
            except psycopg.Error as error:
                raise self._explain(error) from None

    def _run(self, sql: str, rows: list[list[Any]], *, fetches: bool) -> Any:
        connection = self._connection
        # 1. settings; outside of a transaction they are the session's
        milliseconds = max(int(seconds_until(connection.deadline) * 900), 1)
        connection.execute(SETTINGS.format(milliseconds=milliseconds, is_local=not self._autocommit))
        self._stage = "work"
        # 2. what the statement's places and columns are
        described = self._describe(sql)
        places = [described.param_type(number) for number in range(described.nparams)]
        columns = [described.ftype(number) for number in range(described.nfields)]
        if rows and len(rows[0]) != len(places):
            raise refuse(f"schema's sql has places for {len(places)} values, and values has {len(rows[0])}")
        kinds = find_types(connection, [*places, *columns])
        texts = [list(map(to_text, row, kinds)) for row in json.loads(json.dumps(rows), object_hook=unwrap)]
        # 3. run it
        if self._autocommit:
            connection.commit()
            connection.autocommit = True
            self._stage = "commit"
        try:
            found, count = self._execute(sql, texts, returns=bool(columns), fetches=fetches)
        finally:
            if self._autocommit:  # behind a pooler, the session is another client's next
                with suppress(psycopg.Error):
                    connection.execute("RESET ALL")
        # 4. keep it
        self._stage = "commit"
        connection.commit()
        return found if columns and fetches else {"result": f"{count} rows affected" if count >= 0 else "ok"}

    def _describe(self, sql: str) -> Any:
        """Ask PostgreSQL what the places are for, and which columns there will be; it accepts one statement only."""
        pgconn = self._connection.pgconn
        for send, *arguments in ((pgconn.send_prepare, b"", sql.encode()), (pgconn.send_describe_prepared, b"")):
            send(*arguments)
            # not pgconn.prepare(), which waits without letting other threads run
            (described,) = self._connection.wait(generators.execute(pgconn))
            if described.status != pq.ExecStatus.COMMAND_OK:
                raise errors.error_from_result(described)
        names = [described.fname(number).decode() for number in range(described.nfields)]
        twice = [name for name in names if names.count(name) > 1]
        if self._as_objects and twice:
            raise refuse(f"as_objects: two columns are called {twice[0]}. Give each its own name, in DoSQL with AS")
        return described

    def _execute(self, sql: str, rows: list[Any], *, returns: bool, fetches: bool) -> tuple[list[Any], int]:
        """Run the statement for each row of values; return the rows to keep, and the number of all."""
        cursor = self._connection.cursor(row_factory=dict_row if self._as_objects else tuple_row)
        # bytes arrive as hex digits, and not as base64; for each row of values, something arrives
        allowance = self._max_bytes * 3 // 2 + 2**20 + 256 * len(rows)
        self._connection.limit = self._connection.received + allowance
        found: list[Any] = []
        size = count = 0
        for row in (row for values in rows if returns for row in cursor.stream(sql, values or None)):
            self._connection.limit = self._connection.received + allowance
            count += 1
            if fetches:
                found.append(row)
                size += len(json.dumps(row)) + 64 * (len(row) + 1)  # what a value takes in memory, beside its text
            if size > self._max_bytes:
                message = f"After {count} rows the result is larger than the {self._max_bytes} bytes that the proxy"
                raise PostgresError("ResponseTooLarge", f"{message} allows. Ask for less, as by limit")
        if returns:
            return found, count
        if len(rows) == 1:
            cursor.execute(sql, rows[0] or None)
            if not cursor.statusmessage:
                raise refuse("schema's sql has no statement")
        else:
            cursor.executemany(sql, rows)
        return found, cursor.rowcount

    def _explain(self, error: psycopg.Error) -> PostgresError:
        """Return PostgreSQL's own code and words: the author has sent the data that they may quote."""
        is_lost = not error.sqlstate and isinstance(error, psycopg.OperationalError)
        if is_lost and self._connection.received > self._connection.limit:
            return PostgresError("ResponseTooLarge")
        if is_lost:
            late = "ConnectTimeout" if self._stage == "connect" else "StatementTimeout"
            failure = PostgresError("ConnectionFailed" if seconds_until(self._connection.deadline) else late)
        elif error.sqlstate:
            words = [error.diag.message_primary, error.diag.message_hint]
            if type(error).__name__ in DETAILED:
                words.insert(1, error.diag.message_detail)
            if error.sqlstate in ("25001", "2D000") and not self._autocommit:  # as VACUUM, or COMMIT in a procedure
                words.append('In DoSQL, add "autocommit": true to schema')
            failure = explain_sqlstate(error.sqlstate, ". ".join(filter(None, words)))
        else:  # psycopg itself refuses, always in English
            return refuse(COPY if str(error).startswith("COPY") else str(error))
        is_cut = is_lost or str(error.sqlstate).startswith(("08", "57"))
        # without a transaction a part may have been kept, which SpiffArena must not do again
        if self._stage == "commit" and (is_cut or (self._autocommit and failure.http_status == 503)):
            return PostgresError("OutcomeUnknown", f"{ERRORS['OutcomeUnknown']}: {failure}")
        return failure


class Connection(psycopg.Connection):  # type: ignore[misc]
    """A connection that ends at its deadline, or if more bytes arrive than `limit`; libpq itself knows neither."""

    def __init__(self, pgconn: Any, deadline: float) -> None:
        super().__init__(pgconn)
        self.cursor_factory = RawCursor
        self.prepare_threshold = None  # PgBouncer may send the next transaction to another server
        for oid, loader in LOADERS.items():
            self.adapters.register_loader(oid, loader)
        self.deadline, self.limit, self.received = deadline, sys.maxsize, 0
        self.peer = socket.socket(fileno=os.dup(pgconn.socket))
        self.near, far = socket.socketpair()  # libpq gets the far end, and two threads pass the bytes on
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
                data = source.recv(65536)
                if not data:
                    break
                self.received += len(data) if source is self.peer else 0
                target.sendall(data)
        for end in (source, target):  # the other thread waits for one of them
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        with self.peer, self.near:
            for thread in self.threads:
                thread.join()


def seconds_until(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0)


def connect(conninfo: Any, deadline: float) -> Connection:
    """Return a connection to the first address that accepts; raise `PostgresError`."""
    given = read_conninfo(conninfo)
    try:
        attempts = call_until(deadline, lambda: conninfo_attempts(given))
    except socket.timeout:
        raise PostgresError("ConnectTimeout") from None
    except psycopg.Error as error:
        code = "ValueError" if given.get("hostaddr") else "ConnectionFailed"  # an address is not looked up
        raise PostgresError(code, f"No connection to port {given.get('port') or 5432}: {error}") from None
    while True:
        given = attempts.pop(0)
        # the next address has its turn even if this one is silent
        seconds = min(seconds_until(deadline) / (len(attempts) + 1), timeout_from_conninfo(given))
        pgconn = pq.PGconn.connect_start(make_conninfo(**given).encode())
        try:
            wait_until_open(pgconn, time.monotonic() + seconds)
            return Connection(pgconn, deadline)
        except PostgresError as error:
            pgconn.finish()
            place = f"{given.get('host') or given.get('hostaddr') or 'PostgreSQL'} port {given.get('port') or 5432}"
            error.args = (f"No connection to {place}: {redact(error, given)}",)
            if error.http_status != 503 or not attempts:
                raise


def read_conninfo(conninfo: Any) -> dict[str, Any]:
    """Return the parts of a connection string. Messages do not quote it: any part may be a piece of the password."""
    if isinstance(conninfo, str) and not conninfo.strip():
        raise refuse(f"database_connection_str is empty. {WRITE}")
    try:
        given = {**conninfo_to_dict(conninfo.encode().decode()), "client_encoding": "UTF8"}
        timeout_from_conninfo(given)
        if UNESCAPED.match(conninfo):
            raise ValueError
    except Exception:
        raise refuse(f"database_connection_str is not PostgreSQL's, or has @ or / in the password. {WRITE}") from None
    # libpq checks the options before it connects, and if they are valid fails at a socket that does not exist
    count = str(given.get("hostaddr") or given.get("host") or "").count(",") + 1
    nowhere = {**given, "hostaddr": "", "host": ",".join(["/nonexistent"] * count)}
    reason = pq.PGconn.connect_start(make_conninfo(**nowhere).encode()).get_error_message("utf-8")
    if "/nonexistent" not in reason:
        raise refuse(f"database_connection_str cannot be used: {redact(reason, given)}")
    return given


def wait_until_open(pgconn: Any, deadline: float) -> None:
    """Connect as psycopg does, which forgets the state in which libpq has failed; raise `PostgresError`."""
    # 1. PQERRORS_VERBOSE, which psycopg has no function for, puts the SQLSTATE of a refusal into libpq's message
    with suppress(OSError, AttributeError):  # if libpq is inside of psycopg; then refusals have no SQLSTATE
        path = sys.modules[type(pgconn).__module__].__file__
        ctypes.CDLL(path).PQsetErrorVerbosity(ctypes.c_void_p(pgconn.pgconn_ptr), 2)
    polled, in_tls, has_tls, is_open = PollingStatus.WRITING, False, False, False
    while pgconn.status != ConnStatus.BAD and polled != PollingStatus.OK:  # 2. connect, step by step
        poller = select.poll()
        poller.register(pgconn.socket, select.POLLIN if polled == PollingStatus.READING else select.POLLOUT)
        if not poller.poll(seconds_until(deadline) * 1000):
            raise PostgresError("ConnectTimeout")
        in_tls, has_tls = pgconn.status == ConnStatus.SSL_STARTUP, pgconn.ssl_in_use
        with socket.socket(fileno=os.dup(pgconn.socket)) as peer:
            polled = pgconn.connect_poll()
            try:
                is_open = peer.recv(1, socket.MSG_PEEK) != b""
            except OSError as error:
                is_open = isinstance(error, BlockingIOError)
    if polled == PollingStatus.OK:
        pgconn.nonblocking = 1
        return
    text = pgconn.get_error_message("utf-8").strip()  # 3. say why that failed
    refusal = re.search(r":  ([0-9A-Z]{5}): (.*)", text)
    if refusal:  # 55000 is a database that accepts no connections
        raise explain_sqlstate(refusal[1].replace("55000", "28000"), refusal[2])
    reason = text.partition("\n")[0].rpartition(" failed: ")[2]
    if in_tls and (has_tls or is_open):
        raise PostgresError("SSLError", f"TLS failed, or the certificate is not trusted: {reason}")
    # if the connection is open, libpq has given it up because of an option
    raise PostgresError("ValueError" if is_open else "ConnectionFailed", reason)


def explain_sqlstate(sqlstate: str, message: str) -> PostgresError:
    """Return the error for what PostgreSQL or PgBouncer refuses."""
    code = CODES.get(sqlstate, "DatabaseError")
    if sqlstate == "08P01" and POOLER_REFUSALS.match(message):
        code = "InvalidAuthorizationSpecification"
    if code in ERRORS and code != "DatabaseError":
        return PostgresError(code, message)
    status = 503 if sqlstate.startswith(TRANSIENT) else 400
    return PostgresError("DatabaseError", f"SQLSTATE {sqlstate}: {message}", status)


def redact(text: Any, given: dict[str, Any]) -> str:
    """Return the text without the names and secrets of the connection string."""
    for name in ("password", "user", "dbname", "sslpassword", "port"):
        if given.get(name):
            text = re.sub(rf"(?<!\w){re.escape(str(given[name]))}(?!\w)", "…", str(text))
    return str(text)
