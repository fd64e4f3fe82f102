"""The base class of commands that call an HTTP API, and the version 2 envelope of their results."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from spiffproxy_parameters import check_parameters
from spiffworkflow_connector_command.command_interface import ConnectorCommand

from spiffproxy_http.client import Client
from spiffproxy_http.errors import COMMAND_ERRORS, RequestError, invalid_parameter

if TYPE_CHECKING:
    from spiffworkflow_connector_command.command_interface import CommandResponseDict, ConnectorProxyResponseDict


class HttpCommand(ConnectorCommand):
    """A version 2 command that sends HTTP requests. Its author writes `run`, and a constructor or a dataclass.

    `errors` lists the codes that the command can end with, and what each means. `checks_parameters` calls
    `check_parameters` before `run`; unless set, parameters stay as they were sent.
    """

    errors: dict[str, str] = COMMAND_ERRORS
    checks_parameters: ClassVar[bool] = False

    @abstractmethod
    def run(self, client: Client) -> Any:
        """Return the body of the result; raise `RequestError` for an error that a boundary event can catch."""

    def execute(self, config: Any, task_data: Any) -> ConnectorProxyResponseDict:
        """Run the command. The `http_status` of an error tells SpiffArena whether to try again."""
        logs: list[str] = []
        try:
            if self.checks_parameters:
                check_parameters(self, invalid_parameter)
            client = Client(config)
            logs = client.logs
            body = self.run(client)
        except RequestError as error:
            return error_result(error, logs)
        return result(body, logs)


def result(body: Any, logs: list[str]) -> ConnectorProxyResponseDict:
    response: CommandResponseDict = {"body": body, "mimetype": "application/json", "http_status": 200}
    return {"command_response": response, "command_response_version": 2, "error": None, "spiff__logs": logs}


def error_result(error: RequestError, logs: list[str]) -> ConnectorProxyResponseDict:
    response: CommandResponseDict = {"body": {}, "mimetype": "application/json", "http_status": error.http_status}
    return {
        "command_response": response,
        "command_response_version": 2,
        "error": {"error_code": error.error_code, "message": str(error)},
        "spiff__logs": logs,
    }
