"""What the commands of this connector share: a request is built, sent, perhaps tried again, and its answer read."""

from __future__ import annotations

import base64
import functools
import http.client
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urlsplit, urlunsplit

from spiffworkflow_connector_command.command_interface import ConnectorCommand

if TYPE_CHECKING:
    from email.message import Message

    from spiffworkflow_connector_command.command_interface import (
        CommandErrorDict,
        CommandResponseDict,
        CommandResultDictV1,
        ConnectorProxyResponseDict,
    )

_JSON = "application/json"
_SECONDS = 40  # for a command; SpiffArena waits 45
_SECONDS_BETWEEN_TRIES = 1
# `requests`, which diagrams were drawn for, has these codes for what the standard library raises
_ERROR_CODES: list[tuple[type[Exception], str]] = [
    (ssl.SSLError, "SSLError"),
    (socket.timeout, "ReadTimeout"),
    (http.client.IncompleteRead, "ChunkedEncodingError"),
    (OSError, "ConnectionError"),
    (http.client.HTTPException, "ConnectionError"),
]


class RequestError(Exception):
    """A request that got no answer: 400 where its author has to mend it, 500 where another try may help."""

    def __init__(self, error_code: str, message: str, http_status: int) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.http_status = http_status


class Answer(NamedTuple):
    """What the upstream answered."""

    status: int
    headers: Message
    text: str


class Request(ConnectorCommand):
    """A version 1 command. Commands are dataclasses that name their method and take some of these parameters."""

    method: str
    url: str
    headers: dict[str, Any] | None = None
    params: dict[str, Any] | None = None
    data: Any = None
    body_format: str | None = "json"
    basic_auth_username: str | None = None
    basic_auth_password: str | None = None

    def execute(self, config: Any, task_data: Any) -> CommandResultDictV1 | ConnectorProxyResponseDict:
        """Return the upstream's text and status, or status 500 and `{"error": …}` where there are none."""
        try:
            answer = self.send(config)
        except RequestError as error:
            return {"response": {"error": str(error)}, "status": 500, "mimetype": _JSON}
        return {"response": answer.text, "status": answer.status, "mimetype": _JSON}

    def send(self, config: Any) -> Answer:
        """Send the request once and return the answer, whatever its status; raise `RequestError` without one."""
        timeout = float(config.get("CONNECTOR_PROXY_HTTP_TIMEOUT") or _SECONDS)
        request = self._build()
        try:
            with _make_opener().open(request, timeout=timeout) as answer:
                return Answer(answer.status, answer.headers, _decode(answer.read(), answer.headers))
        except urllib.error.HTTPError as answer:  # an answer like any other, to us
            with answer:
                return Answer(answer.code, answer.headers, _decode(answer.read(), answer.headers))
        except (OSError, http.client.HTTPException) as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            code = next((code for kind, code in _ERROR_CODES if isinstance(cause, kind)), "ConnectionError")
            raise RequestError(code, f"No answer from {shorten_url(self.url)}: {cause}", 500) from None

    def _build(self) -> urllib.request.Request:
        data, content_type = _encode_data(self.data, self.body_format)
        headers = {name: str(value) for name, value in (self.headers or {}).items() if value is not None}
        if content_type and "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = content_type
        if self.basic_auth_username or self.basic_auth_password:
            credentials = f"{self.basic_auth_username or ''}:{self.basic_auth_password or ''}"
            headers["Authorization"] = "Basic " + base64.b64encode(_encode_credentials(credentials)).decode()
        return urllib.request.Request(_add_params(self.url, self.params), data, headers, method=self.method)


class RequestV2(Request):
    """A version 2 command: no answer, or one of 400 and above, is an error that a boundary event can catch."""

    attempts: int | None = None
    include_response_headers: bool = False

    def execute(self, config: Any, task_data: Any) -> ConnectorProxyResponseDict:
        """Send the request, and again for as many attempts as were asked for, while the upstream fails."""
        if self.data is None and self.method in ("POST", "PUT", "PATCH"):
            self.data = {}
        attempts = self.attempts if type(self.attempts) is int and 1 <= self.attempts <= 10 else 1
        logs: list[str] = []
        for attempt in range(1, attempts + 1):
            if attempt > 1:
                time.sleep(_SECONDS_BETWEEN_TRIES)
            response, error = self._try(config)
            status = response["http_status"] or 0
            outcome = error["error_code"] if error else f"HTTP {status}"
            logs.append(f"{self.method} {shorten_url(self.url)}, attempt {attempt} of {attempts}: {outcome}")
            if status < 500:
                break
        return {"command_response": response, "command_response_version": 2, "error": error, "spiff__logs": logs}

    def _try(self, config: Any) -> tuple[CommandResponseDict, CommandErrorDict | None]:
        try:
            answer = self.send(config)
        except RequestError as failure:
            error: CommandErrorDict = {"error_code": failure.error_code, "message": str(failure)}
            return {"body": {}, "mimetype": _JSON, "http_status": failure.http_status}, error
        body, problem = _parse(answer)
        response: CommandResponseDict = {"body": body, "mimetype": _JSON, "http_status": answer.status}
        if self.include_response_headers:
            names = dict.fromkeys(answer.headers)
            response["headers"] = {name: ", ".join(answer.headers.get_all(name, [])) for name in names}
        if answer.status >= 400:
            problem = f"HttpError{answer.status}"
        if problem is None:
            return response, None
        message = f"{self.method} {shorten_url(self.url)} answered {answer.status}: {answer.text[:1000]}"
        return response, {"error_code": problem, "message": message}


def shorten_url(url: str) -> str:
    """Return what of a URL may be shown: not its user and password, its query, or its fragment."""
    try:
        scheme, host, path, _, _ = urlsplit(url)
    except ValueError:
        return "the URL"
    return urlunsplit((scheme, host.rpartition("@")[2], path, "", ""))


@functools.cache
def _make_opener() -> urllib.request.OpenerDirector:
    """Make the one opener of the process, for http and https alone: the standard one reads files, too."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _add_params(url: str, params: dict[str, Any] | None) -> str:
    """Put `params` behind the query that the URL has; values may be lists, null ones are left out."""
    try:
        scheme, host, path, query, _ = urlsplit(url)
    except ValueError as error:
        raise RequestError("InvalidURL", f"This is no URL: {error}", 400) from None
    if not scheme:
        raise RequestError("MissingSchema", f"The URL has no scheme; write https://{shorten_url(url)}", 400)
    if scheme not in ("http", "https"):
        raise RequestError("InvalidSchema", f"The URL begins with {scheme}:, and not with http or https", 400)
    if not host:
        raise RequestError("InvalidURL", "The URL names no host", 400)
    more = urlencode({name: value for name, value in (params or {}).items() if value is not None}, doseq=True)
    return urlunsplit((scheme, host, path, "&".join(filter(None, (query, more))), ""))


def _encode_credentials(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _encode_data(data: Any, body_format: str | None) -> tuple[bytes | None, str | None]:
    """Return the body of a request and its content type, each None where there is none."""
    body_format = (body_format or "json").lower()
    if body_format not in ("json", "form", "raw", "none"):
        message = f"body_format is {body_format!r}; it may be 'json', 'form', 'raw' or 'none'"
        raise RequestError("ValueError", message, 400)
    if data is None or body_format == "none":
        return None, None
    if body_format == "form":
        if not isinstance(data, dict):
            raise RequestError("ValueError", "body_format 'form' takes data that is an object", 400)
        return urlencode(data, doseq=True).encode(), "application/x-www-form-urlencoded"
    if body_format == "raw" and isinstance(data, str):
        return data.encode(), None
    try:
        body = json.dumps(data, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise RequestError("InvalidJSONError", f"data cannot be written as JSON: {error}", 400) from None
    return body, _JSON if body_format == "json" else None


def _decode(body: bytes, headers: Message) -> str:
    try:
        return body.decode(headers.get_content_charset() or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return body.decode("latin-1")


def _parse(answer: Answer) -> tuple[Any, str | None]:
    """Return the body as JSON where it says that it is, and the error code where it is not after all."""
    if _JSON in answer.headers.get("Content-Type", "").lower() and answer.text:
        try:
            return json.loads(answer.text), None
        except json.JSONDecodeError:
            return {"raw_response": answer.text}, "JSONDecodeError"
    return {"raw_response": answer.text}, None
