"""What a command is and returns, for type checkers and as documentation; the proxy itself requires no base class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypedDict


class CommandErrorDict(TypedDict):
    """An error that a boundary event can catch by its code."""

    error_code: str
    message: str


class _CommandResponse(TypedDict):
    body: Any
    mimetype: str


class CommandResponseDict(_CommandResponse, total=False):
    """The result of the service task."""

    http_status: int | None
    headers: dict[str, str]


class _ConnectorProxyResponse(TypedDict):
    command_response: CommandResponseDict
    error: CommandErrorDict | None
    command_response_version: int


class ConnectorProxyResponseDict(_ConnectorProxyResponse, total=False):
    """The version 2 result of a command, sent to SpiffArena as it is. The logs go to SpiffArena's log: no secrets."""

    spiff__logs: list[str] | None


class CommandResultDictV1(TypedDict):
    """The version 1 result of a command: the body of the response, its HTTP status and its content type."""

    response: Any
    status: int
    mimetype: str


class ConnectorCommand(ABC):
    """A command: its constructor accepts the parameters, `execute` does the work.

    `task_data` is the data of the workflow at this task; `config` is the configuration of the proxy, a mapping.
    """

    @abstractmethod
    def execute(self, config: Any, task_data: Any) -> CommandResultDictV1 | ConnectorProxyResponseDict:
        """Run the command. An exception becomes an error whose code is the name of its class."""

    def app_description(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Describe the application that a person signs in to. Only authentications have this method."""
        raise NotImplementedError(f"{type(self).__name__} describes no application")
