"""Run one statement within a deadline, and translate what went wrong."""

from __future__ import annotations

import json
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors, generators
from psycopg.pq import ExecStatus
from psycopg.rows import dict_row, tuple_row

from connector_postgres.connection import connect, explain_sqlstate, seconds_until
from connector_postgres.errors import ERRORS, PostgresError, refuse
from connector_postgres.values import find_types, guess, register_array, to_parameter, unwrap

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
    """A connection for one statement."""

    def __init__(self, conninfo: Any, statement: Statement, config: Any) -> None:
        seconds = float(config.get("CONNECTOR_PROXY_POSTGRES_TIMEOUT") or SECONDS)
        self._max_bytes = int(config.get("CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES") or MAX_BYTES)
        self._deadline = time.monotonic() + seconds
        self._statement = statement
        self._stage = "connect"  # then "work", then "commit"
        self._rows: list[Any] = []
        self._size = 0
        self._connection = connect(conninfo, self._deadline)

    def run(self) -> Any:
        """Return rows, or what was changed; raise `PostgresError`."""
        with closing(self._connection):
            try:
                return self._run()
            except (ValueError, RecursionError) as error:  # half of a character, or a number of thousands of digits
                raise refuse(f"A value cannot be written or read: {error}") from None
            except psycopg.Error as error:
                raise self._translate(error) from None

    def _run(self) -> Any:
        connection, statement = self._connection, self._statement
        # 1. settings; outside of a transaction they are the session's
        milliseconds = max(int(seconds_until(self._deadline) * 900), 1)
        connection.execute(SETTINGS.format(milliseconds=milliseconds, is_local=not statement.autocommit))
        self._stage = "work"
        # 2. what the statement's places and columns are
        described = describe(connection, statement)
        places = [described.param_type(number) for number in range(described.nparams)]
        columns = [described.ftype(number) for number in range(described.nfields)]
        kinds = find_types(connection, [*places, *columns])
        unwrapped = json.loads(json.dumps(statement.rows), object_hook=unwrap)
        rows = [list(map(to_parameter, row, kinds)) for row in unwrapped]
        for oid, kind in zip(columns, kinds[len(places) :]):
            register_array(connection, oid, kind)
        # 3. run it
        if statement.autocommit:
            connection.commit()
            connection.autocommit = True
            self._stage = "commit"
        try:
            count = self._execute(rows, returns=bool(columns))
        finally:
            if statement.autocommit:  # behind a pooler, the session is another client's next
                with suppress(psycopg.Error):
                    connection.execute("RESET ALL")
        # 4. keep it
        self._stage = "commit"
        connection.commit()
        if columns and statement.fetches:
            return self._rows
        return {"result": f"{count} rows affected" if count >= 0 else "ok"}

    def _execute(self, rows: list[Any], *, returns: bool) -> int:
        """Run the statement for each row of values, and return the number of rows that it returned or changed."""
        sql = self._statement.sql
        cursor = self._connection.cursor(row_factory=dict_row if self._statement.as_objects else tuple_row)
        self._allow_more()
        if len(rows) == 1 and returns:
            return self._keep(cursor.stream(sql, rows[0] or None))
        if len(rows) == 1:
            cursor.execute(sql, rows[0] or None)
            if not cursor.statusmessage:
                raise refuse("schema's sql has no statement")
            return cursor.rowcount
        count = 0
        for start in range(0, len(rows), BATCH):
            cursor.executemany(sql, rows[start : start + BATCH], returning=returns)
            count += cursor.rowcount
            while returns and (self._keep(cursor) or cursor.nextset()):
                pass
            self._allow_more()
        return count

    def _keep(self, rows: Any) -> int:
        """Keep the rows if they are the result, and return their number."""
        count = 0
        for row in rows:
            count += 1
            self._allow_more()
            if self._statement.fetches:
                self._rows.append(row)
                self._size += len(json.dumps(row)) + VALUE_BYTES * (len(row) + 1)
            if self._size > self._max_bytes:
                message = f"After {len(self._rows)} rows the result is larger than the {self._max_bytes} bytes that the"
                raise PostgresError("ResponseTooLarge", f"{message} proxy allows. Ask for less, as by limit")
        return count

    def _allow_more(self) -> None:  # bytes arrive as hex digits, more than those of base64
        self._connection.limit = self._connection.received + self._max_bytes * 3 // 2 + 2**20

    def _translate(self, error: psycopg.Error) -> PostgresError:
        is_lost = not error.sqlstate and isinstance(error, psycopg.OperationalError)
        if is_lost and self._connection.received > self._connection.limit:
            return PostgresError("ResponseTooLarge")
        if is_lost and not seconds_until(self._deadline):
            return PostgresError(LATE[self._stage])
        failure = PostgresError("ConnectionFailed") if is_lost else explain(error, self._statement)
        is_cut = is_lost or str(error.sqlstate).startswith(("08", "57"))
        # without a transaction a part may have been kept, which SpiffArena must not do again
        if self._stage == "commit" and (is_cut or (self._statement.autocommit and failure.status == 503)):
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
    names = [described.fname(number).decode() for number in range(described.nfields)]
    twice = {name for name in names if names.count(name) > 1}
    if statement.as_objects and twice:
        message = f"as_objects: two columns are called {min(twice)}. Give each a name of its own, in DoSQL with AS"
        raise refuse(message)
    return described


def read_result(connection: Any) -> Any:
    # not pgconn.prepare(), which waits without letting other threads run
    (result,) = connection.wait(generators.execute(connection.pgconn))
    if result.status != ExecStatus.COMMAND_OK:
        raise errors.error_from_result(result)
    return result


def explain(error: psycopg.Error, statement: Statement) -> PostgresError:
    """Return PostgreSQL's own code and words: the author has sent the data that they may quote."""
    if not error.sqlstate:  # psycopg itself refuses, always in English
        return refuse(COPY if str(error).startswith("COPY") else str(error))
    words = [error.diag.message_primary, error.diag.message_hint]
    if type(error).__name__ in DETAILED:
        words.insert(1, error.diag.message_detail)
    if error.sqlstate in NEEDS_AUTOCOMMIT and not statement.autocommit:
        words.append('In DoSQL, add "autocommit": true to schema')
    return explain_sqlstate(error.sqlstate, ". ".join(filter(None, words)))
