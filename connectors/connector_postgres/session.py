"""One place makes a connection, one runs SQL, one says what went wrong."""

from __future__ import annotations

import json
import math
import re
import socket
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import RawCursor, errors, generators  # psycopg 3.1 has no RawCursor

from connector_postgres.errors import ERRORS, PostgresError, refuse
from connector_postgres.loaders import ADAPTERS
from connector_postgres.values import guess_type, to_postgres

if TYPE_CHECKING:
    from connector_postgres.statements import Statement

_SECONDS = 40  # for a command; SpiffArena waits 45
_MAX_BYTES = 64 * 1024**2
_MAX_VALUES = 65535  # as PostgreSQL has it
_FIRST_OWN_TYPE = 16384  # FirstNormalObjectId: those below are PostgreSQL's
_VALUE_BYTES = 64  # what a value takes in memory, beside its text
_SETTINGS = (
    # the role may have a shorter one
    "SELECT set_config(name, least({}, nullif(setting::int, 0))::text, true) FROM pg_catalog.pg_settings "
    "WHERE name = 'statement_timeout'; SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'iso_8601'; "
    "SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1"
)
# of a refused connection there is nothing but libpq's text, which names host, user and database, and is not shown
_REFUSALS = {
    "password|pgpass": "InvalidPassword",
    "timeout": "ConnectTimeout",
    "too many|connection slots|the database system is": "CannotConnectNow",
    "authentication|pg_hba|does not exist|not permitted": "InvalidAuthorizationSpecification",
}
# the detail of others is the whole row, or nothing new
_DETAILED = {"UniqueViolation", "ForeignKeyViolation", "ExclusionViolation", "DependentObjectsStillExist"}
_TRANSIENT = ("08", "40", "53", "57", "58")  # classes of SQLSTATE (PostgreSQL's appendix A)


class Session:
    """A connection for one statement, within the time.

    The work is done in a thread that can be left behind: a look-up of a name, and a server that is silent, know no
    deadline. It has ended by then, or finds its connection cut.
    """

    def __init__(self, conninfo: Any, config: Any) -> None:
        seconds = float(config.get("CONNECTOR_PROXY_POSTGRES_TIMEOUT") or _SECONDS)
        self._max_bytes = int(config.get("CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES") or _MAX_BYTES)
        self._deadline = time.monotonic() + seconds
        self._conninfo = conninfo
        self._stage = "connect"  # then "work", then "commit"
        self._is_over = False
        self._socket: socket.socket | None = None
        self._outcome: list[Any] = []  # the body of the result, or an exception

    def run(self, statement: Statement) -> Any:
        """Return rows, or what was changed; raise `PostgresError`."""
        thread = threading.Thread(target=self._work, args=(statement,), daemon=True)
        thread.start()
        thread.join(self._left())
        self._is_over = True
        if not self._outcome:
            self._cut()
            raise _refuse_late(self._stage)  # which is looked at when nothing more can be sent
        outcome = self._outcome[0]
        if isinstance(outcome, BaseException):
            raise self._translate(outcome) from None
        return outcome

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0)

    def _cut(self) -> None:
        if self._socket:
            with suppress(OSError):  # closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _work(self, statement: Statement) -> None:
        try:
            with closing(self._connect()) as connection, self._take_socket(connection):
                if self._is_over:  # nobody waits any more
                    return
                body = self._execute(connection, statement)
                self._stage = "commit"
                connection.commit()  # else it is undone
                self._outcome.append(body)
        except BaseException as error:  # is raised where it is waited for
            self._outcome.append(error)

    def _connect(self) -> Any:
        try:
            given = psycopg.conninfo.conninfo_to_dict(self._conninfo)
        except Exception:  # its text quotes the string
            write = "postgresql://user:password@host/database"
            raise refuse(f"database_connection_str is no connection string of PostgreSQL's; write {write}") from None
        hosts = str(given.get("host")).count(",") + 1
        seconds = math.ceil(self._left() / hosts)  # of one that is silent, so that the next has its turn
        return psycopg.connect(
            **{"connect_timeout": max(seconds, 2), **given, "client_encoding": "UTF8"},  # 1 is 2, to libpq
            context=ADAPTERS,
            cursor_factory=RawCursor,
            prepare_threshold=None,  # which PgBouncer would not like
        )

    def _take_socket(self, connection: Any) -> socket.socket:
        self._socket = socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        self._stage = "work"
        return self._socket

    def _execute(self, connection: Any, statement: Statement) -> Any:
        cursor = connection.cursor()
        # a little less than is left, for what PostgreSQL says of it is clearer than a connection that was cut
        cursor.execute(_SETTINGS.format(max(int(self._left() * 900), 1)))
        first = statement.rows[0] if statement.rows else []
        if len(first) > _MAX_VALUES:
            raise refuse(f"A statement takes {_MAX_VALUES} values, and not {len(first)}")
        described = _describe(connection, statement.sql, [guess_type(value) for value in first])
        types = [described.param_type(number) for number in range(described.nparams)]
        if statement.rows and len(first) != len(types):
            raise refuse(f"schema's sql has places for {len(types)} values, and values has {len(first)}")
        types = _find_base_types(connection, types)
        rows = [list(map(to_postgres, row, types)) for row in statement.rows]
        if described.nfields:
            return self._fetch(cursor.stream(statement.sql, rows[0] or None), fetches=statement.fetches)
        if len(rows) == 1:
            cursor.execute(statement.sql, rows[0] or None)
        else:
            cursor.executemany(statement.sql, rows)
        return _count(cursor.rowcount)

    def _fetch(self, stream: Any, *, fetches: bool) -> Any:
        """Read row by row: a query of millions is not to fill the memory of the proxy."""
        rows: list[Any] = []
        size = count = 0
        for row in stream:
            count += 1
            if fetches:
                rows.append(row)
                size += len(json.dumps(row)) + _VALUE_BYTES * (len(row) + 1)
            if size > self._max_bytes:
                message = f"After {count} rows the answer is larger than {self._max_bytes} bytes, which is all that the"
                raise PostgresError("ResponseTooLarge", f"{message} proxy takes; ask for less, as by LIMIT in DoSQL")
        return rows if fetches else _count(count)

    def _translate(self, error: BaseException) -> BaseException:
        if isinstance(error, UnicodeError):
            return refuse("A text has half of a character, which cannot be written as UTF-8")
        if isinstance(error, RecursionError):
            return refuse("A value is nested too deeply")
        if not isinstance(error, psycopg.Error):
            return error
        if self._stage == "connect":
            return _refuse_connection(str(error))
        is_lost = not error.sqlstate and isinstance(error, psycopg.OperationalError)
        if self._stage == "commit" and (is_lost or str(error.sqlstate).startswith(("08", "57"))):
            return PostgresError("OutcomeUnknown")
        return PostgresError("ConnectionFailed") if is_lost else _refuse_statement(error)


def _describe(connection: Any, text: str, types: list[int]) -> Any:
    """Ask PostgreSQL what the places are for, and whether there will be rows; it takes one statement, and no more."""
    connection.pgconn.send_prepare(b"", text.encode(), types)
    _check(connection)
    connection.pgconn.send_describe_prepared(b"")
    return _check(connection)


def _find_base_types(connection: Any, types: list[int]) -> list[int]:
    """Return the types with those in the place of domains that the domains are made of."""
    own = [oid for oid in types if oid >= _FIRST_OWN_TYPE]
    if not own:
        return types
    query = "SELECT oid, typbasetype FROM pg_catalog.pg_type WHERE oid = ANY($1::oid[]) AND typbasetype <> 0"
    bases = dict(connection.execute(query, [own]).fetchall())
    return [bases.get(oid, oid) for oid in types]


def _check(connection: Any) -> Any:
    # not pgconn.prepare(), which waits without letting other threads run
    (result,) = connection.wait(generators.execute(connection.pgconn))
    if result.status != psycopg.pq.ExecStatus.COMMAND_OK:
        raise errors.error_from_result(result)
    return result


def _count(rows: int) -> dict[str, str]:
    return {"result": f"{rows} rows affected" if rows >= 0 else "ok"}


def _refuse_late(stage: str) -> PostgresError:
    return PostgresError({"connect": "ConnectTimeout", "work": "StatementTimeout", "commit": "OutcomeUnknown"}[stage])


def _refuse_connection(text: str) -> PostgresError:
    codes = (code for pattern, code in _REFUSALS.items() if re.search(pattern, text))
    return PostgresError(next(codes, "ConnectionFailed"))


def _refuse_statement(error: Any) -> PostgresError:
    """Return PostgreSQL's own code and words: the author has sent the data that they may quote."""
    code, words = type(error).__name__, error.diag.message_primary
    if not error.sqlstate:  # psycopg itself does
        return refuse(str(error))
    if code == "QueryCanceled":
        return PostgresError("StatementTimeout", words)
    if code not in ERRORS or code == "DatabaseError":
        status = 503 if error.sqlstate.startswith(_TRANSIENT) else 400
        return PostgresError("DatabaseError", f"SQLSTATE {error.sqlstate}: {words}", status)
    detail = error.diag.message_detail if code in _DETAILED else None
    return PostgresError(code, ". ".join(filter(None, [words, detail, error.diag.message_hint])))
