"""What the commands share: parameters become a request, which is sent, perhaps tried again, and becomes a result."""

from __future__ import annotations

import base64
import json
import re
import time
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode
from xml.parsers.expat import ExpatError

from spiffworkflow_connector_command.command_interface import ConnectorCommand

from spiffproxy import __version__
from spiffproxy_http.content import decode_text, join_headers, parse_body, read_body
from spiffproxy_http.errors import RequestError
from spiffproxy_http.hosts import read_allowed_hosts
from spiffproxy_http.transport import Call, Hop, make_opener
from spiffproxy_http.url import add_params, list_pairs, parse_url

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
_MAX_RESPONSE_BYTES = 64 * 1024**2
_TRIED_AGAIN = {"ConnectionError", "ConnectTimeout", "ReadTimeout", "ChunkedEncodingError", "ProxyError"}
# what belongs to one connection, or is ours to say
_DROPPED_HEADERS = re.compile("content-length|transfer-encoding|te|upgrade|proxy-.*")


class Received(NamedTuple):
    status: int
    headers: Message
    body: bytes


class Request(ConnectorCommand):
    """A version 1 command. Commands are dataclasses that name their method and take some of these parameters.

    :param headers: an object of texts
    :param params: an object, put behind the query of the url; a value may be a list
    :param data: what to send, as JSON unless body_format says otherwise
    :param body_format: json (unless set), form (URL-encoded), raw (a text as it is) or none
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
        """Return the upstream's text and status, or status 500 and `{"error": …}` where there are none."""
        try:
            answer = self.send(self.build(start_call(config, [])), config)
        except RequestError as error:
            return {"response": {"error": str(error)}, "status": 500, "mimetype": _JSON}
        return {"response": decode_text(answer.body, answer.headers), "status": answer.status, "mimetype": _JSON}

    def build(self, call: Call) -> Hop:
        """Raise `RequestError` with status 400 where the parameters make no request."""
        url = add_params(parse_url(self.url), self.params)
        headers = {"User-Agent": f"spiffproxy/{__version__}", "Accept-Encoding": "gzip, deflate", "Accept": "*/*"}
        data, content_type = _encode_data(self.data, self.body_format)
        if content_type:
            headers["Content-Type"] = content_type
        written = {name.lower(): (name, value) for name, value in [*headers.items(), *_check_headers(self.headers)]}
        credentials = url.credentials
        if self.basic_auth_username or self.basic_auth_password:
            credentials = (self.basic_auth_username or "", self.basic_auth_password or "")
        if credentials:
            written["authorization"] = ("Authorization", _encode_credentials(*credentials))
        return Hop(self.method, url, dict(written.values()), data, call)

    def send(self, hop: Hop, config: Any, *, decompress: bool = True) -> Received:
        """Return the answer, whatever its status; raise `RequestError` where there is none."""
        limit = int(config.get("CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES") or _MAX_RESPONSE_BYTES)
        answer = make_opener().open(hop)
        try:
            return Received(answer.status, answer.headers, read_body(answer, limit, decompress=decompress))
        finally:
            answer.finish()


class RequestV2(Request):
    """A version 2 command: no answer, or one of 400 and above, is an error that a boundary event can catch.

    :param attempts: how often to try while the upstream fails, from 1 (unless set) to 10
    :param include_response_headers: true adds the headers of the answer to the result
    """

    follows = True  # redirects; no parameter, but for other connectors to change

    attempts: int | None = None
    include_response_headers: bool = False

    def execute(self, config: Any, task_data: Any) -> ConnectorProxyResponseDict:
        """Send the request, and again while the upstream fails, as often as was asked for and the time allows."""
        if self.data is None and self.method in ("POST", "PUT", "PATCH"):
            self.data = {}
        attempts = self.attempts if type(self.attempts) is int and 1 <= self.attempts <= 10 else 1
        logs: list[str] = []
        try:
            call = start_call(config, logs)
            call.follows = self.follows
            for attempt in range(1, attempts + 1):
                hop = self.build(call)
                response, error = self._try(hop, config)
                outcome = error["error_code"] if error else f"HTTP {response['http_status']}"
                logs.append(f"{self.method} {hop.url.shown()}, attempt {attempt} of {attempts}: {outcome}")
                time_left = call.deadline - time.monotonic() > _SECONDS_BETWEEN_TRIES
                if attempt == attempts or not time_left or not _may_pass(error):
                    break
                time.sleep(_SECONDS_BETWEEN_TRIES)
        except RequestError as failure:  # a setting, or parameters that make no request
            response, error = report(failure)
            logs.append(f"{self.method}: {failure.error_code}")
        return {"command_response": response, "command_response_version": 2, "error": error, "spiff__logs": logs}

    def _try(self, hop: Hop, config: Any) -> tuple[CommandResponseDict, CommandErrorDict | None]:
        try:
            answer = self.send(hop, config)
        except RequestError as failure:
            return report(failure)
        try:
            body, problem = parse_body(answer.body, answer.headers), ""
        except (JSONDecodeError, ExpatError) as error:
            body = {"raw_response": decode_text(answer.body, answer.headers)}
            problem = f"{type(error).__name__}: {error}"
        response: CommandResponseDict = {"body": body, "mimetype": _JSON, "http_status": answer.status}
        if self.include_response_headers:
            response["headers"] = join_headers(answer.headers)
        if answer.status < 400 and not problem:
            return response, None
        code = f"HttpError{answer.status}" if answer.status >= 400 else problem.partition(":")[0]
        start = decode_text(answer.body[:1000], answer.headers)
        message = f"{self.method} {hop.url.shown()} answered {answer.status}{problem and f', {problem}'}: {start}"
        return response, {"error_code": code, "message": message}


def report(failure: RequestError) -> tuple[CommandResponseDict, CommandErrorDict]:
    error: CommandErrorDict = {"error_code": failure.error_code, "message": str(failure)}
    return {"body": {}, "mimetype": _JSON, "http_status": failure.http_status}, error


def _may_pass(error: CommandErrorDict | None) -> bool:
    """Tell whether another try may help."""
    return error is not None and (error["error_code"] in _TRIED_AGAIN or error["error_code"].startswith("HttpError5"))


def start_call(config: Any, logs: list[str]) -> Call:
    """Start the clock of a command, and read what it may call."""
    deadline = time.monotonic() + float(config.get("CONNECTOR_PROXY_HTTP_TIMEOUT") or _SECONDS)
    return Call(deadline, read_allowed_hosts(str(config.get("CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS") or "")), logs)


def _check_headers(headers: Any) -> list[tuple[str, str]]:
    """Return the author's headers but those that are not theirs to set; raise `InvalidHeader`."""
    if headers is not None and not isinstance(headers, dict):
        raise RequestError("InvalidHeader", f"headers must be an object, not {type(headers).__name__}", 400)
    checked = []
    for name, value in (headers or {}).items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise RequestError("InvalidHeader", f"{name!r} is no name of a header", 400)
        if value is None or _DROPPED_HEADERS.fullmatch(name.lower()):
            continue
        if not isinstance(value, str):
            raise RequestError("InvalidHeader", f"The header {name} must be text, not {type(value).__name__}", 400)
        if re.search(r"[\r\n\0]|[^\0-\xff]", value):
            message = f"The header {name} holds a line break, or a letter beyond latin-1"
            raise RequestError("InvalidHeader", message, 400)
        checked.append((name, value.strip()))
    return checked


def _encode_credentials(user: str, password: str) -> str:
    """Return the header of basic authentication, in latin-1 as `requests` has it, where that will do."""
    text = f"{user}:{password}"
    try:
        octets = text.encode("latin-1")
    except UnicodeEncodeError:
        octets = text.encode("utf-8", "replace")
    return "Basic " + base64.b64encode(octets).decode()


def _encode_data(data: Any, body_format: str | None) -> tuple[bytes | None, str | None]:
    """Return the body of a request and its content type, each None where there is none."""
    body_format = str(body_format or "json").lower()
    if body_format not in ("json", "form", "raw", "none"):
        message = f"body_format is {body_format[:20]!r}; it may be 'json', 'form', 'raw' or 'none'"
        raise RequestError("ValueError", message, 400)
    if data is None or body_format == "none":
        return None, None
    try:
        if body_format == "form":
            return _encode_form(data), "application/x-www-form-urlencoded"
        if body_format == "raw" and isinstance(data, (str, bytes)):  # bytes are from another connector
            return data.encode() if isinstance(data, str) else data, None
        return json.dumps(data, allow_nan=False).encode(), _JSON if body_format == "json" else None
    except UnicodeEncodeError:
        raise RequestError("ValueError", "data holds half of a surrogate pair", 400) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError("InvalidJSONError", f"data cannot be written as JSON: {error}", 400) from None


def _encode_form(data: Any) -> bytes:
    if not isinstance(data, dict):
        message = f"body_format 'form' takes data that is an object, not {type(data).__name__}"
        raise RequestError("ValueError", message, 400)
    return urlencode(list_pairs("data", data)).encode()
