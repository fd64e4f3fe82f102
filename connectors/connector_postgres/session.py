"""Run one statement within a deadline, and translate what went wrong."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors, generators
from psycopg.pq import ExecStatus, TransactionStatus

from connector_postgres.connection import connect, explain_refusal
from connector_postgres.errors import ERRORS, PostgresError, describe_sqlstate, refuse
from connector_postgres.values import find_types, guess, register_arrays, to_parameter

if TYPE_CHECKING:
    from connector_postgres.statements import Statement

SECONDS = 40  # for a command; SpiffArena waits 45
MAX_BYTES = 64 * 1024**2
MAX_VALUES = 65535  # of PostgreSQL's protocol
BATCH = 500  # rows inserted between two checks of the size
VALUE_BYTES = 64  # what a value takes in memory, beside its text
# the role may have a shorter timeout
SETTINGS = """SELECT set_config(name, coalesce(value, least({milliseconds}, nullif(setting::int, 0))::text), {is_local})
FROM pg_catalog.pg_settings JOIN (VALUES ('datestyle', 'ISO'), ('intervalstyle', 'iso_8601'), ('bytea_output', 'hex'),
    ('extra_float_digits', '1'), ('statement_timeout', NULL)) AS own (own, value) ON own = lower(name)"""
COPY = "COPY sends or reads data outside of a result, which no command can do. Use SelectValues or InsertValues."
LATE = {"connect": "ConnectTimeout", "work": "StatementTimeout", "commit": "OutcomeUnknown"}
# the detail of other errors is the whole row, or nothing new
DETAILED = {"UniqueViolation", "ForeignKeyViolation", "ExclusionViolation", "DependentObjectsStillExist"}
NEEDS_AUTOCOMMIT = {"25001", "2D000"}  # VACUUM inside a transaction, COMMIT inside a procedure


class Session:
    """A connection for one statement, within the time.

    A thread does the work, which is left behind at the deadline: a look-up of a name, and a server that is silent,
    know no deadline. Then its connection is cut.
    """

    def __init__(self, conninfo: Any, config: Any) -> None:
        seconds = float(config.get("CONNECTOR_PROXY_POSTGRES_TIMEOUT") or SECONDS)
        self._max_bytes = int(config.get("CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES") or MAX_BYTES)
        self._deadline = time.monotonic() + seconds
        self._conninfo = conninfo
        self._stage = "connect"  # then "work", then "commit"
        self._is_over = False
        self._peer: socket.socket | None = None
        self._outcome: list[Any] = []  # the body of the result, or an exception
        self._rows: list[Any] = []
        self._size = 0

    def run(self, statement: Statement) -> Any:
        """Return rows, or what was changed; raise `PostgresError`."""
        thread = threading.Thread(target=self._work, args=(statement,), daemon=True)
        thread.start()
        thread.join(self._left())
        self._is_over = True
        if not self._outcome:
            if self._peer:
                with suppress(OSError):  # closed already
                    self._peer.shutdown(socket.SHUT_RDWR)
            raise PostgresError(LATE[self._stage])  # the stage when nothing more can be sent
        outcome = self._outcome[0]
        if isinstance(outcome, BaseException):
            raise self._translate(outcome, statement) from None
        return outcome

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0)

    def _work(self, statement: Statement) -> None:
        try:
            with closing(connect(self._conninfo, self._left())) as connection:
                self._peer = connection.peer
                if not self._is_over:  # else nobody waits any more
                    self._outcome.append(self._run(connection, statement))
        except BaseException as error:  # is raised in the thread that waits
            self._outcome.append(error)

    def _run(self, connection: Any, statement: Statement) -> Any:
        # 1. settings; outside of a transaction they are the session's
        self._stage = "work"
        self._configure(connection, is_local=not statement.autocommit)
        # 2. what the statement's places and columns are
        described = describe(connection, statement)
        places = [described.param_type(number) for number in range(described.nparams)]
        columns = [described.ftype(number) for number in range(described.nfields)]
        kinds = find_types(connection, [*places, *columns])
        rows = [list(map(to_parameter, row, kinds)) for row in statement.rows]
        for oid, kind in zip(columns, kinds[len(places) :]):
            register_arrays(connection, oid, kind)
        names = read_names(described) if statement.as_objects else []
        # 3. run it
        connection.limit = self._max_bytes * 3 // 2 + 2**20  # bytes arrive as hex digits, more than those of base64
        if statement.autocommit:
            connection.commit()
            connection.autocommit = True
            self._stage = "commit"
        try:
            count = self._execute(connection, statement, rows, names, returns=bool(columns))
        finally:
            if statement.autocommit:  # behind a pooler, the session is another client's next
                with suppress(psycopg.Error, PostgresError):
                    connection.execute("RESET ALL")
        # 4. keep it
        self._stage = "commit"
        connection.commit()
        if columns and statement.fetches:
            return self._rows
        return {"result": f"{count} rows affected" if count >= 0 else "ok"}

    def _configure(self, connection: Any, *, is_local: bool) -> None:
        try:
            connection.execute(SETTINGS.format(milliseconds=max(int(self._left() * 900), 1), is_local=is_local))
        except psycopg.Error as error:
            if not error.sqlstate:
                raise
            # a pooler says only now that it has no server
            raise explain_refusal(error.sqlstate, str(error.diag.message_primary)) from None

    def _execute(self, connection: Any, statement: Statement, rows: Any, names: list[str], *, returns: bool) -> int:
        """Run the statement for each row of values, and return the number of rows that it returned or changed."""
        cursor = connection.cursor()
        count = 0
        if len(rows) == 1 and returns:
            for row in cursor.stream(statement.sql, rows[0] or None):
                count += 1
                connection.received = 0
                self._keep(row, names, statement)
        elif len(rows) == 1:
            execute(cursor, statement.sql, rows[0] or None)
            count = cursor.rowcount
        else:
            for start in range(0, len(rows), BATCH):
                connection.received = 0
                cursor.executemany(statement.sql, rows[start : start + BATCH], returning=returns)
                count += cursor.rowcount
                for row in list_rows(cursor) if returns else ():
                    self._keep(row, names, statement)
        return count

    def _keep(self, row: Any, names: list[str], statement: Statement) -> None:
        if statement.fetches:
            self._rows.append(dict(zip(names, row)) if names else list(row))
            self._size += len(json.dumps(self._rows[-1])) + VALUE_BYTES * (len(row) + 1)
        if self._size > self._max_bytes:
            message = f"After {len(self._rows)} rows the result is larger than the {self._max_bytes} bytes that the"
            raise PostgresError("ResponseTooLarge", f"{message} proxy allows. Ask for less, as by limit")

    def _translate(self, error: BaseException, statement: Statement) -> BaseException:
        """Return the `PostgresError` for an exception of the thread."""
        if isinstance(error, UnicodeError):
            return refuse("A string has half of a character, which cannot be written as UTF-8")
        if isinstance(error, RecursionError):
            return refuse("A value is nested too deeply")
        if not isinstance(error, psycopg.Error):
            return error
        is_lost = not error.sqlstate and isinstance(error, psycopg.OperationalError)
        failure = PostgresError("ConnectionFailed") if is_lost else explain_statement(error, statement)
        is_cut = is_lost or str(error.sqlstate).startswith(("08", "57"))
        # without a transaction a part may have been kept, which SpiffArena must not do again
        if self._stage == "commit" and (is_cut or (statement.autocommit and failure.status == 503)):
            return PostgresError("OutcomeUnknown", f"{ERRORS['OutcomeUnknown']}: {failure}")
        return failure


def describe(connection: Any, statement: Statement) -> Any:
    """Ask PostgreSQL what the places are for, and which columns there will be; it accepts one statement only."""
    first = statement.rows[0] if statement.rows else []
    if len(first) > MAX_VALUES:
        raise refuse(f"A statement takes {MAX_VALUES} values at most, and not {len(first)}")
    types = [guess(value)[0] if statement.guesses else 0 for value in first]
    connection.pgconn.send_prepare(b"", statement.sql.encode(), types)
    read_result(connection)
    connection.pgconn.send_describe_prepared(b"")
    described = read_result(connection)
    if statement.rows and len(first) != described.nparams:
        raise refuse(f"schema's sql has places for {described.nparams} values, and values has {len(first)}")
    return described


def read_result(connection: Any) -> Any:
    # not pgconn.prepare(), which waits without letting other threads run
    (result,) = connection.wait(generators.execute(connection.pgconn))
    if result.status != ExecStatus.COMMAND_OK:
        raise errors.error_from_result(result)
    return result


def read_names(described: Any) -> list[str]:
    names = [described.fname(number).decode() for number in range(described.nfields)]
    for name in names:
        if names.count(name) > 1:
            raise refuse(f"as_objects: two columns are called {name}. Give each a name of its own, in DoSQL with AS")
    return names


def list_rows(cursor: Any) -> Any:
    yield from cursor.fetchall()
    while cursor.nextset():
        yield from cursor.fetchall()


def execute(cursor: Any, sql: str, row: Any) -> None:
    try:
        cursor.execute(sql, row)
    except psycopg.ProgrammingError as error:
        if not error.sqlstate and cursor.connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
            raise refuse(COPY) from None
        raise
    if cursor.pgresult.status == ExecStatus.EMPTY_QUERY:
        raise refuse("schema's sql has no statement")


def explain_statement(error: Any, statement: Statement) -> PostgresError:
    """Return PostgreSQL's own code and words: the author has sent the data that they may quote."""
    code, words = type(error).__name__, error.diag.message_primary
    if not error.sqlstate:  # psycopg itself refuses
        return refuse(str(error))
    if code == "QueryCanceled":
        return PostgresError("StatementTimeout", words)
    if error.sqlstate in NEEDS_AUTOCOMMIT and not statement.autocommit:
        words = f'{words}. In DoSQL, add "autocommit": true to schema'
    if code not in ERRORS or code == "DatabaseError":
        return describe_sqlstate(error.sqlstate, words)
    detail = error.diag.message_detail if code in DETAILED else None
    return PostgresError(code, ". ".join(filter(None, [words, detail, error.diag.message_hint])))
