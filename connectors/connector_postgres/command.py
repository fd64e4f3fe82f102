"""What the commands share: a statement is made and run, and its outcome becomes the result."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from spiffworkflow_connector_command.command_interface import ConnectorCommand

from connector_postgres import requires
from connector_postgres.errors import ERRORS, PostgresError, refuse
from connector_postgres.statements import Statement, quote_all


class PostgresCommand(ConnectorCommand):
    """A version 2 command on a database."""

    database_connection_str: str
    errors = ERRORS

    @abstractmethod
    def make_statement(self) -> Statement:
        """Return the statement to run; raise `PostgresError`."""

    def execute(self, config: Any, task_data: Any) -> Any:
        """Return rows, or how many were changed, and an `http_status` by which SpiffArena knows what to do."""
        body: Any = {}
        status, error = 200, None
        try:
            body = self._run(self.make_statement(), config)
        except PostgresError as failure:
            status = failure.status
            error = {"error_code": failure.error_code, "message": str(failure)}
        response = {"body": body, "mimetype": "application/json", "http_status": status}
        return {"command_response": response, "command_response_version": 2, "error": error, "spiff__logs": []}

    def _run(self, statement: Statement, config: Any) -> Any:
        try:  # only when a command runs: the connector is listed without psycopg, and without libpq
            from connector_postgres.session import Session
        except ImportError:
            message = f"psycopg cannot be imported in the proxy: {requires['psycopg']}"
            raise PostgresError("connector_unavailable", message) from None
        return Session(self.database_connection_str, statement, config).run()


@dataclass(repr=False)
class TableCommand(PostgresCommand):
    """The parameters of most commands."""

    database_connection_str: str
    table_name: str
    schema: Any

    def make_change(self, sql: str, rows: list[list[Any]]) -> Statement:
        """Return a statement whose result is the number of rows, or the columns in `returning`."""
        as_objects, returning = self.schema.get("as_objects", False), self.schema.get("returning")
        if as_objects and not returning:
            raise refuse('schema\'s as_objects needs returning, a list of columns or ["*"]')
        clause = f" RETURNING {quote_all(returning, star=True)}" if returning else ""
        return Statement(sql + clause, rows, fetches=bool(returning), as_objects=as_objects)
