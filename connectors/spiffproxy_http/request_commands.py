"""The base classes of the commands of `connector_http`: the diagram's parameters are a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

from spiffworkflow_connector_command.command_interface import ConnectorCommand

from spiffproxy_http.client import Client, Response
from spiffproxy_http.command import error_result, result
from spiffproxy_http.content import decode_text, parse_body
from spiffproxy_http.errors import RequestError
from spiffproxy_http.headers import join_headers
from spiffproxy_http.request import encode_json

if TYPE_CHECKING:
    from spiffworkflow_connector_command.command_interface import CommandResultDictV1, ConnectorProxyResponseDict


class RequestV1(ConnectorCommand):
    """A version 1 command. Commands are dataclasses that name their method and accept some of these parameters.

    :param headers: an object of strings
    :param params: an object, appended to the query of the url; a value may be a list
    :param data: the request body, as JSON unless body_format says otherwise
    :param body_format: json (unless set), form (URL-encoded), raw (a string as it is) or none
    """

    method: str
    url: str
    headers: dict[str, Any] | None = None
    params: dict[str, Any] | None = None
    data: Any = None
    body_format: str | None = "json"
    basic_auth_username: str | None = None
    basic_auth_password: str | None = None

    def execute(self, config: Any, task_data: Any) -> CommandResultDictV1 | ConnectorProxyResponseDict:
        """Return the upstream's text and status, or `{"error": …}` if there is no response.

        The status is 400 for a mistake in a parameter, and 500 for everything else.
        """
        try:
            response = self.send(Client(config))
        except RequestError as error:
            if error.response is None:
                status = 400 if error.http_status == 400 else 500
                return {"response": {"error": str(error)}, "status": status, "mimetype": "application/json"}
            response = error.response
        return {"response": response.text, "status": response.status, "mimetype": "application/json"}

    def send(self, client: Client, attempts: int = 1) -> Response:
        """Send the request and follow redirects; raise `RequestError`."""
        basic_auth = None
        if self.basic_auth_username or self.basic_auth_password:
            basic_auth = (self.basic_auth_username or "", self.basic_auth_password or "")
        return client.send(
            self.method,
            self.url,
            params=self.params,
            headers=self.headers,
            basic_auth=basic_auth,
            follow_redirects=True,
            attempts=attempts,
            **choose_body(self.data, self.body_format),
        )


class RequestV2(RequestV1):
    """A version 2 command: no response, or a status of 400 and above, is an error that a boundary event can catch.

    :param attempts: how often to send while the upstream fails, from 1 (unless set) to 10
    :param include_response_headers: true adds the headers of the response to the result
    """

    attempts: int | None = None
    include_response_headers: bool = False

    def execute(self, config: Any, task_data: Any) -> ConnectorProxyResponseDict:
        """Return the parsed body of the response, also if its status is the error."""
        if self.data is None and self.method in ("POST", "PUT", "PATCH"):
            self.data = {}
        attempts = self.attempts if type(self.attempts) is int and 1 <= self.attempts <= 10 else 1
        logs: list[str] = []
        try:
            client = ParsingClient(config)
            logs = client.logs
            response = self.send(client, attempts)
            envelope = result(client.content, logs)
        except RequestError as error:
            envelope = error_result(error, logs)
            if error.response is None:
                return envelope
            response = error.response
            envelope["command_response"]["body"] = client.content
        envelope["command_response"]["http_status"] = response.status
        if self.include_response_headers:
            envelope["command_response"]["headers"] = join_headers(response.headers)
        return envelope


class ParsingClient(Client):
    """A client that parses each body by its content type, as `content`, and for which 400 is the first error."""

    content: Any = None

    def check(self, response: Response) -> None:
        """Raise `RequestError` for a status of 400 and above, and for a body that is not what its type says."""
        code = problem = ""
        try:
            self.content = parse_body(response.body, response.headers, self.logs)
        except (ValueError, ExpatError) as error:
            self.content = {"raw_response": decode_text(response.body, response.headers, self.logs)}
            code = type(error).__name__
            problem = f", {code}: {error}"
        if response.status >= 400:
            code = f"HttpError{response.status}"
        if code:
            raise response.to_error(code, problem)


def choose_body(data: Any, body_format: str | None) -> dict[str, Any]:
    """Return the body as a parameter of `Client.send`; raise `RequestError` if data and format do not fit."""
    name = str(body_format or "json").lower()
    if name not in ("json", "form", "raw", "none"):
        message = f"body_format is {name[:20]!r}; it may be 'json', 'form', 'raw' or 'none'"
        raise RequestError("ValueError", message, 400)
    if data is None or name == "none":
        return {}
    if name == "json":
        return {"json": data}
    if name == "raw":
        return {"data": data if isinstance(data, str) else encode_json(data)}
    if not isinstance(data, dict):
        message = f"body_format 'form' takes data that is an object, not {type(data).__name__}"
        raise RequestError("ValueError", message, 400)
    return {"form": data}
