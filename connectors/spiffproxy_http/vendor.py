"""What connectors for one API have in common: a question to it, its refusals, and the envelope of a result."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from spiffworkflow_connector_command.command_interface import ConnectorCommand

from spiffproxy_http.errors import RequestError
from spiffproxy_http.request import RequestV2, report

if TYPE_CHECKING:
    from spiffworkflow_connector_command.command_interface import (
        CommandErrorDict,
        CommandResponseDict,
        ConnectorProxyResponseDict,
    )


class VendorCommand(ConnectorCommand):
    """A version 2 command. Commands are dataclasses; `errors` says what each of their codes means."""

    errors: dict[str, str]

    @abstractmethod
    def run(self, config: Any, logs: list[str]) -> Any:
        """Return the body of the result; raise `RequestError`."""

    def execute(self, config: Any, task_data: Any) -> ConnectorProxyResponseDict:
        """Return what came of it, and an `http_status` by which SpiffArena knows whether to try again."""
        logs: list[str] = []
        error: CommandErrorDict | None = None
        try:
            body = self.run(config, logs)
            response: CommandResponseDict = {"body": body, "mimetype": "application/json", "http_status": 200}
        except RequestError as failure:
            response, error = report(failure)
        return {"command_response": response, "command_response_version": 2, "error": error, "spiff__logs": logs}


class Refusal(NamedTuple):
    """An answer of 400 or above; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: Any

    def find_code(self, errors: dict[str, str]) -> str:
        """Return the code of the status, else what a client takes an unknown one for (RFC 9110 section 15)."""
        code = f"HttpError{self.status}"
        return code if code in errors else f"HttpError{self.status // 100}00"

    def say_when(self) -> str:
        seconds = self.headers.get("retry-after", "")  # or a date
        return f"try again in {seconds if seconds.isdecimal() else 'some'} seconds"


class Vendor(NamedTuple):
    """An API: whose it is, what may be wrong with an answer that cannot be read, and what reads a refusal, as a code
    and words.
    """

    name: str
    problem: str
    read_refusal: Callable[[Refusal], tuple[str, list[str]]]

    def ask(self, request: RequestV2, config: Any, logs: list[str]) -> Any:
        """Return the body of the answer; raise `RequestError`."""
        request.include_response_headers = True
        request.follows = False  # keys and tokens are for this host
        result = request.execute(config, {})
        logs += result["spiff__logs"] or []
        response, error = result["command_response"], result["error"]
        status = response.get("http_status") or 500
        if not error:
            if status >= 300:
                raise self.refuse_answer()
            return response["body"]
        if not error["error_code"].startswith("HttpError"):
            if response["body"]:  # without an answer there is none; with one, the message quotes it, secrets included
                raise self.refuse_answer()
            raise RequestError(error["error_code"], error["message"], status)
        headers = {name.lower(): value for name, value in response.get("headers", {}).items()}
        code, words = self.read_refusal(Refusal(status, headers, response["body"]))
        raise RequestError(code, ": ".join([f"{self.name} answered {status}", *filter(None, words)]), status)

    def refuse_answer(self, problem: str = "") -> RequestError:
        message = f"{self.name}'s answer is not what {self.name} documents{problem or self.problem}"
        return RequestError("UnexpectedAnswer", message, 502)


def refuse_value(parameter: str, value: Any, takes: str) -> RequestError:
    return RequestError("ValueError", f"{parameter} is {str(value)[:30]!r}; it takes {takes}", 400)
