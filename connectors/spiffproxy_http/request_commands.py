"""The base classes of the commands of `connector_http`: the diagram's parameters are a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from xml.parsers.expat import ExpatError

from spiffproxy_parameters import check_parameters
from spiffworkflow_connector_command.command_interface import ConnectorCommand

from spiffproxy_http.client import Client, Response
from spiffproxy_http.command import error_result, result
from spiffproxy_http.content import decode_text, parse_body, parse_json, parse_xml_body
from spiffproxy_http.errors import RequestError, invalid_parameter
from spiffproxy_http.headers import check_headers, join_headers
from spiffproxy_http.hiding import describe_error, hide_in_json, hide_in_response
from spiffproxy_http.request import encode_json
from spiffproxy_http.url import parse_url

if TYPE_CHECKING:
    from spiffworkflow_connector_command.command_interface import CommandResultDictV1, ConnectorProxyResponseDict

# responses without a body, whatever the format (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5)
STATUSES_WITHOUT_BODY = {204, 205, 304}
# diagrams that were made before parameters were checked may have a number here
CREDENTIAL = {"type": ["string", "integer", "null"]}


class RequestV1(ConnectorCommand):
    """A version 1 command. Commands are dataclasses that name their method and accept some of these parameters.

    :param headers: an object of strings
    :param params: an object, appended to the query of the url; a value may be a list
    :param data: the request body, as JSON unless body_format says otherwise
    :param body_format: json (unless set), form (URL-encoded), multipart (a form with files), file (data is a file, sent
        as it is), raw (a string as it is) or none
    """

    method: str
    url: str
    headers: dict[str, Any] | None = None
    params: dict[str, Any] | None = None
    data: Any = None
    body_format: str | None = "json"
    basic_auth_username: str | None = None
    basic_auth_password: str | None = None
    parameter_schemas: ClassVar[dict[str, Any]] = {
        "headers": {"examples": [{"Accept": "text/plain"}]},
        "params": {"examples": [{"page": 2}]},
        "basic_auth_username": CREDENTIAL,
        "basic_auth_password": CREDENTIAL,
        "body_format": {"enum": ["json", "form", "multipart", "file", "raw", "none", None]},
    }

    def execute(self, config: Any, task_data: Any) -> CommandResultDictV1 | ConnectorProxyResponseDict:
        """Return the upstream's text and status, or `{"error": …}` if there is no response.

        The status is 400 for a mistake in a parameter, and 500 for everything else.
        """
        try:
            check_parameters(self, invalid_parameter, declared_in=RequestV1)
            response = self.send(Client(config))
        except RequestError as error:
            if error.response is None:
                status = 400 if error.http_status == 400 else 500
                return {"response": {"error": str(error)}, "status": status, "mimetype": "application/json"}
            response = error.response
        return {"response": response.text, "status": response.status, "mimetype": "application/json"}

    def send(self, client: Client, attempts: int = 1, headers: dict[str, str] | None = None) -> Response:
        """Send the request, with `headers` in place of the author's, and follow redirects; raise `RequestError`."""
        return client.send(
            self.method,
            self.url,
            params=self.params,
            headers=self.headers if headers is None else headers,
            basic_auth=self.read_basic_auth(),
            follow_redirects=True,
            attempts=attempts,
            **choose_body(self.data, self.body_format),
        )

    def read_basic_auth(self) -> tuple[str, str] | None:
        values: tuple[Any, Any] = (self.basic_auth_username, self.basic_auth_password)
        user, password = ("" if value is None else str(value) for value in values)
        return (user, password) if user or password else None


class RequestV2(RequestV1):
    """A version 2 command: no response, or a status of 400 and above, is an error that a boundary event can catch.

    :param attempts: how often to send while the upstream fails or responds with 429, from 1 (unless set) to 10
    :param include_response_headers: true adds the headers of the response to the result
    :param response_format: auto (unless set: by the content type), json, xml, text, or file (an object with filename,
        mimetype, content_base64 and size)
    :param oauth2: an object by which the proxy gets an access token, which it sends in the header Authorization:
        token_url, client_id, client_secret; optionally scope, audience, refresh_token, auth (basic or post)
    """

    attempts: int | None = None
    include_response_headers: bool = False
    response_format: str | None = "auto"
    oauth2: dict[str, Any] | None = None
    parameter_schemas: ClassVar[dict[str, Any]] = {
        "attempts": {"minimum": 1, "maximum": 10},
        "response_format": {"enum": ["auto", "json", "xml", "text", "file", None]},
        "oauth2": {"examples": [{"token_url": "https://login.example.org/token", "client_id": "workflow"}]},
    }

    def execute(self, config: Any, task_data: Any) -> ConnectorProxyResponseDict:
        """Return the parsed body of the response, also if its status is the error."""
        if self.data is None and self.method in ("POST", "PUT", "PATCH"):
            self.data = {}
        logs: list[str] = []
        tokens: list[str] = []
        try:
            check_parameters(self, invalid_parameter, declared_in=RequestV2)
            client = ParsingClient(config, "auto" if self.method == "HEAD" else self.response_format or "auto")
            logs, tokens = client.logs, client.tokens
            attempts = self.attempts or 1
            response = self.send(client, attempts) if self.oauth2 is None else self.send_with_token(client, attempts)
            envelope = result(client.content, logs)
        except RequestError as error:
            response = error.response
            if tokens:
                error.args = (describe_error(error),)
            envelope = error_result(error, logs)
            if response is not None:
                envelope["command_response"]["body"] = client.content
        if response is not None:
            envelope["command_response"]["http_status"] = response.status
            if self.include_response_headers:
                envelope["command_response"]["headers"] = join_headers(response.headers)
        if tokens:
            hide_in_json(envelope, tokens)
        return envelope

    def send_with_token(self, client: ParsingClient, attempts: int) -> Response:
        """Send the request with an access token, and once more with a new one if the upstream does not accept it."""
        from spiffproxy_http.tokens import read_grant, token_cache  # most calls do not need them

        headers = check_headers(self.headers)
        has_credentials = self.read_basic_auth() or parse_url(self.url).credentials
        if has_credentials or "authorization" in map(str.lower, headers):
            message = "oauth2 cannot be combined with basic authentication or an Authorization header"
            raise RequestError("ValueError", f"{message}. Remove one of them.", 400)
        grant = read_grant("oauth2", self.oauth2)
        token = token_cache.get(grant, client)
        client.tokens.append(token)
        try:
            return self.send(client, attempts, {**headers, "Authorization": f"Bearer {token}"})
        except RequestError as error:
            if error.response is None or not has_refused_token(error.response, self.method):
                raise
        token = token_cache.get(grant, client, refused=token)
        client.tokens.append(token)
        return self.send(client, attempts, {**headers, "Authorization": f"Bearer {token}"})


def has_refused_token(response: Response, method: str) -> bool:
    """Return whether the upstream refused the token. After a redirect, a 401 may be from another host, or for the GET
    that followed a POST, which the upstream has carried out.
    """
    request = response.last_request
    return response.status == 401 and request.method == method and "Authorization" in request.headers


class ParsingClient(Client):
    """A client that parses each body by the format, as `content`. Of the statuses, only 400 and above are errors.

    `tokens` are the access tokens that it sends. They are removed from responses, so that no result contains them.
    """

    content: Any = None

    def __init__(self, config: Any, response_format: str) -> None:
        super().__init__(config)
        self.tokens: list[str] = []
        self._response_format = response_format

    def check(self, response: Response) -> None:
        """Raise `RequestError` for a status of 400 and above, and for a body that is not in the format."""
        for token in self.tokens:
            hide_in_response(response, token)
        code = problem = ""
        try:
            self.content = read_content(response, self._response_format, self.logs)
        except (ValueError, ExpatError) as error:
            self.content = {"raw_response": decode_text(response.body, response.headers, self.logs)}
            code = type(error).__name__
            other = "text" if self._response_format == "auto" else "auto"
            hint = f'Set response_format to "{other}". ' if response.status < 400 else ""
            problem = f", {code}: {error}. {hint}{response.describe_body()}"
        if response.status >= 400:
            code = f"HttpError{response.status}"
        if code:
            raise response.to_error(code, problem)


def read_content(response: Response, response_format: str, logs: list[str]) -> Any:
    """Return the body in the format; raise JSONDecodeError or ExpatError if it is not JSON or XML.

    With `file`, the body of an error is read by its content type, because it is not the file.
    """
    body, headers = response.body, response.headers
    has_body = response.status not in STATUSES_WITHOUT_BODY
    if response_format == "json" and has_body:
        return parse_json(body, headers, logs)
    if response_format == "xml" and has_body:
        return parse_xml_body(body, headers)
    if response_format == "text":
        return {"raw_response": decode_text(body, headers, logs)}
    if response_format == "file" and has_body and response.status < 400:
        from spiffproxy_http.files import file_from_response  # slow to import, and rarely needed

        return file_from_response(headers, response.last_request.url, body).as_object()
    return parse_body(body, headers, logs)


def choose_body(data: Any, body_format: str | None) -> dict[str, Any]:
    """Return the body as a parameter of `Client.send`; raise `RequestError` if data and format do not fit."""
    name = body_format or "json"
    if data is None or name == "none":
        return {}
    if name == "raw":
        return {"data": data if isinstance(data, str) else encode_json(data)}
    if name in ("form", "multipart") and not isinstance(data, dict):
        raise invalid_parameter(f'data must be an object such as {{"name": "Jane"}}, because body_format is "{name}"')
    return {name: data}
