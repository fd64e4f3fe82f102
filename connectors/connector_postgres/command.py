"""What the commands share: a statement is made, run, and its outcome told."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spiffworkflow_connector_command.command_interface import ConnectorCommand

from connector_postgres import requires
from connector_postgres.errors import ERRORS, PostgresError

if TYPE_CHECKING:
    from spiffworkflow_connector_command.command_interface import CommandErrorDict, ConnectorProxyResponseDict

    from connector_postgres.statements import Statement


class PostgresCommand(ConnectorCommand):
    """A version 2 command on a database."""

    database_connection_str: str
    errors = ERRORS

    @abstractmethod
    def make_statement(self) -> Statement:
        """Return what is to be run; raise `PostgresError`."""

    def execute(self, config: Any, task_data: Any) -> ConnectorProxyResponseDict:
        """Return the rows, or how many were changed, and an `http_status` by which SpiffArena knows what to do."""
        body: Any = {}
        status = 200
        error: CommandErrorDict | None = None
        try:
            body = self._run(self.make_statement(), config)
        except PostgresError as failure:
            status = failure.status
            error = {"error_code": failure.error_code, "message": str(failure)}
        return {
            "command_response": {"body": body, "mimetype": "application/json", "http_status": status},
            "command_response_version": 2,
            "error": error,
            "spiff__logs": [],
        }

    def _run(self, statement: Statement, config: Any) -> Any:
        try:
            # not before a command runs: the connector is listed where psycopg is not, or has no libpq
            from connector_postgres.session import Session
        except ImportError:
            message = f"psycopg cannot be imported in the proxy: {requires['psycopg']}"
            raise PostgresError("connector_unavailable", message) from None
        return Session(self.database_connection_str, config).run(statement)


@dataclass(repr=False)
class TableCommand(PostgresCommand):
    """What most commands take."""

    database_connection_str: str
    table_name: str
    schema: Any
