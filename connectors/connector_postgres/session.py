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
from connector_postgres.values import find_types, to_text, unwrap

if TYPE_CHECKING:
    from connector_postgres.statements import Statement

SECONDS = 40  # for a command; SpiffArena waits 45
MAX_BYTES = 64 * 1024**2
VALUE_BYTES = 64  # what a value takes in memory, beside its text
ROW_BYTES = 256  # what PostgreSQL sends for a row of values, beside what the row returns
# the role may have a shorter timeout
SETTINGS = """SELECT set_config(name, coalesce(value, least({milliseconds}, nullif(setting::int, 0))::text), {is_local})
FROM pg_catalog.pg_settings JOIN (VALUES ('datestyle', 'ISO'), ('intervalstyle', 'iso_8601'), ('bytea_output', 'hex'),
    ('extra_float_digits', '1'), ('statement_timeout', NULL)) AS own (own, value) ON own = lower(name)"""
COPY = "COPY sends or reads data outside of a result, which no command can do. Use SelectValues or InsertValues."
LATE = {"connect": "ConnectTimeout", "work": "StatementTimeout", "commit": "OutcomeUnknown"}
# the detail of other errors is the whole row, or nothing new
DETAILED = {"UniqueViolation", "ForeignKeyViolation", "ExclusionViolation", "DependentObjectsStillExist"}
NEEDS_AUTOCOMMIT = {"25001", "2D000"}  # VACUUM inside a transaction, COMMIT inside a procedure


def run(conninfo: Any, statement: Statement, config: Any) -> Any:
    """Return rows, or what was changed; raise `PostgresError`."""
    seconds = float(config.get("CONNECTOR_PROXY_POSTGRES_TIMEOUT") or SECONDS)
    max_bytes = int(config.get("CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES") or MAX_BYTES)
    with closing(connect(conninfo, time.monotonic() + seconds)) as connection:
        try:
            return run_on(connection, statement, max_bytes)
        except (ValueError, RecursionError) as error:  # half of a character, or a number of thousands of digits
            raise refuse(f"A value cannot be written or read: {error}") from None
        except psycopg.Error as error:
            raise explain(error, connection, statement) from None


def run_on(connection: Any, statement: Statement, max_bytes: int) -> Any:
    # 1. settings; outside of a transaction they are the session's
    milliseconds = max(int(seconds_until(connection.deadline) * 900), 1)
    connection.execute(SETTINGS.format(milliseconds=milliseconds, is_local=not statement.autocommit))
    connection.stage = "work"
    # 2. what the statement's places and columns are
    described = describe(connection, statement)
    places = [described.param_type(number) for number in range(described.nparams)]
    columns = [described.ftype(number) for number in range(described.nfields)]
    kinds = find_types(connection, [*places, *columns])
    unwrapped = json.loads(json.dumps(statement.rows), object_hook=unwrap)
    rows = [list(map(to_text, row, kinds)) for row in unwrapped]
    # 3. run it
    if statement.autocommit:
        connection.commit()
        connection.autocommit = True
        connection.stage = "commit"
    try:
        result = fetch(connection, statement, rows, max_bytes, returns=bool(columns))
    finally:
        if statement.autocommit:  # behind a pooler, the session is another client's next
            with suppress(psycopg.Error):
                connection.execute("RESET ALL")
    # 4. keep it
    connection.stage = "commit"
    connection.commit()
    return result


def describe(connection: Any, statement: Statement) -> Any:
    """Ask PostgreSQL what the places are for, and which columns there will be; it accepts one statement only."""
    connection.pgconn.send_prepare(b"", statement.sql.encode())
    read_result(connection)
    connection.pgconn.send_describe_prepared(b"")
    described = read_result(connection)
    if statement.rows and len(statement.rows[0]) != described.nparams:
        count = len(statement.rows[0])
        raise refuse(f"schema's sql has places for {described.nparams} values, and values has {count}")
    names = [described.fname(number).decode() for number in range(described.nfields)]
    twice = [name for name in names if names.count(name) > 1]
    if statement.as_objects and twice:
        raise refuse(f"as_objects: two columns are called {twice[0]}. Give each a name of its own, in DoSQL with AS")
    return described


def read_result(connection: Any) -> Any:
    # not pgconn.prepare(), which waits without letting other threads run
    (result,) = connection.wait(generators.execute(connection.pgconn))
    if result.status != ExecStatus.COMMAND_OK:
        raise errors.error_from_result(result)
    return result


def fetch(connection: Any, statement: Statement, rows: list[Any], max_bytes: int, *, returns: bool) -> Any:
    """Run the statement for each row of values; return what it returns, or the number of rows."""
    cursor = connection.cursor(row_factory=dict_row if statement.as_objects else tuple_row)
    allowance = max_bytes * 3 // 2 + 2**20 + ROW_BYTES * len(rows)  # bytes arrive as hex digits, and not as base64
    connection.limit = connection.received + allowance
    kept: list[Any] = []
    size = count = 0
    for row in execute(cursor, statement.sql, rows, returns=returns):
        connection.limit = connection.received + allowance
        count += 1
        if statement.fetches:
            kept.append(row)
            size += len(json.dumps(row)) + VALUE_BYTES * (len(row) + 1)
        if size > max_bytes:
            message = f"After {count} rows the result is larger than the {max_bytes} bytes that the proxy allows."
            raise PostgresError("ResponseTooLarge", f"{message} Ask for less, as by limit")
    if returns and statement.fetches:
        return kept
    count = count if returns else cursor.rowcount
    return {"result": f"{count} rows affected" if count >= 0 else "ok"}


def execute(cursor: Any, sql: str, rows: list[Any], *, returns: bool) -> Any:
    """Run the statement, and yield the rows that it returns."""
    if len(rows) == 1 and returns:
        yield from cursor.stream(sql, rows[0] or None)
    elif len(rows) == 1:
        cursor.execute(sql, rows[0] or None)
        if not cursor.statusmessage:
            raise refuse("schema's sql has no statement")
    else:
        cursor.executemany(sql, rows, returning=returns)
        while returns and cursor.pgresult:
            yield from cursor
            if not cursor.nextset():
                break


def explain(error: psycopg.Error, connection: Any, statement: Statement) -> PostgresError:
    """Return PostgreSQL's own code and words: the author has sent the data that they may quote."""
    is_lost = not error.sqlstate and isinstance(error, psycopg.OperationalError)
    if is_lost and connection.received > connection.limit:
        return PostgresError("ResponseTooLarge")
    if is_lost and not seconds_until(connection.deadline):
        return PostgresError(LATE[connection.stage])
    if not error.sqlstate and not is_lost:  # psycopg itself refuses, always in English
        return refuse(COPY if str(error).startswith("COPY") else str(error))
    words = [error.diag.message_primary, error.diag.message_hint]
    if type(error).__name__ in DETAILED:
        words.insert(1, error.diag.message_detail)
    if error.sqlstate in NEEDS_AUTOCOMMIT and not statement.autocommit:
        words.append('In DoSQL, add "autocommit": true to schema')
    text = ". ".join(filter(None, words))
    failure = PostgresError("ConnectionFailed") if is_lost else explain_sqlstate(error.sqlstate, text)
    is_cut = is_lost or str(error.sqlstate).startswith(("08", "57"))
    # without a transaction a part may have been kept, which SpiffArena must not do again
    if connection.stage == "commit" and (is_cut or (statement.autocommit and failure.status == 503)):
        return PostgresError("OutcomeUnknown", f"{ERRORS['OutcomeUnknown']}: {failure}")
    return failure
