"""The client: the requests of one call of a command, and their responses."""

from __future__ import annotations

import time
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from spiffproxy_http.client_certs import SETTING, read_client_certs
from spiffproxy_http.content import decode_text, parse_json, read_body
from spiffproxy_http.errors import RequestError
from spiffproxy_http.excerpts import make_excerpt
from spiffproxy_http.headers import find_content_type, find_retry_after, parse_media_type
from spiffproxy_http.hosts import read_allowed_hosts
from spiffproxy_http.request import UNSET, Request, build_request
from spiffproxy_http.transport import Call, send_following_redirects, send_request

if TYPE_CHECKING:
    from spiffproxy_http.headers import Headers
    from spiffproxy_http.url import Url

TIMEOUT_SECONDS = 40  # for all requests of a command; SpiffArena waits 45
SECONDS_BETWEEN_ATTEMPTS = 1
MAX_RESPONSE_BYTES = 64 * 1024**2
RETRYABLE_CODES = {
    "ConnectionError",
    "ConnectTimeout",
    "ReadTimeout",
    "ChunkedEncodingError",
    "ProxyError",
    "HttpError429",
}


class Response:
    """A response: `status`, `headers` (`get`, `get_all`, `items`; names in any case of letters) and `body` (bytes).

    `last_request` is the request that led to it: after a redirect, the last one.
    """

    def __init__(self, request: Request, last_request: Request, status: int, headers: Headers, body: bytes) -> None:
        self._request = request
        self.last_request = last_request
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"<Response {self.status} to {self._request}>"

    @property
    def text(self) -> str:
        """The body, decoded by the charset of its content type (else as UTF-8), or as latin-1 if that fails."""
        return decode_text(self.body, self.headers)

    def json(self) -> Any:
        """Return the body, parsed as JSON whatever its content type; raise `RequestError` (`JSONDecodeError`).

        The message does not quote the body: a response that is not an error may contain secrets.
        """
        try:
            return parse_json(self.body, self.headers)
        except JSONDecodeError as error:
            problem = f"JSONDecodeError: {error}. {self.describe_body()}"
            message = f"{self._request} responded with {self.status}, {problem}"
            raise RequestError("JSONDecodeError", message, self.status) from None

    def describe_body(self) -> str:
        """Return a sentence about the body that does not quote it."""
        media_type = parse_media_type(find_content_type(self.headers))[0]
        return f"The body is {media_type or 'without a content type'}" if self.body else "The body is empty"

    def to_error(self, error_code: str, problem: str = "") -> RequestError:
        """Return an error with the status of the response, whose message quotes the start of the body."""
        excerpt = make_excerpt(self.text, parse_media_type(find_content_type(self.headers))[0])
        message = ": ".join(filter(None, [f"{self._request} responded with {self.status}{problem}", excerpt]))
        return RequestError(error_code, message, self.status, self)


class Client:
    """Sends the requests of one call of a command, by the rules of the operator.

    Its clock starts when it is created: all of its requests together take at most `CONNECTOR_PROXY_HTTP_TIMEOUT`
    seconds (40 unless set), or `seconds` if that is less. `config` is the configuration that the command received;
    `logs` has a line for each attempt and each redirect, without query strings.
    """

    def __init__(self, config: Any, *, seconds: float | None = None) -> None:
        self.config = config
        self.logs: list[str] = []
        timeout = float(config.get("CONNECTOR_PROXY_HTTP_TIMEOUT") or TIMEOUT_SECONDS)
        if seconds is not None:
            timeout = min(timeout, seconds)
        allowed_hosts = read_allowed_hosts(str(config.get("CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS") or ""))
        client_certs = read_client_certs(str(config.get(SETTING) or ""))
        self._call = Call(time.monotonic() + timeout, allowed_hosts, client_certs, self.logs)
        self._max_bytes = int(config.get("CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES") or MAX_RESPONSE_BYTES)

    def send(
        self,
        method: str,
        url: str | Url,
        *,
        params: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        json: Any = UNSET,
        form: dict[str, Any] | None = None,
        data: bytes | str | None = None,
        multipart: dict[str, Any] | None = None,
        file: Any = None,
        basic_auth: tuple[str, str] | None = None,
        follow_redirects: bool = False,
        decompress: bool = True,
        attempts: int = 1,
    ) -> Response:
        """Send a request and return the response. Raise `RequestError` if there is none, or its status is 300 or above.

        `params` are appended to the query of the URL. The body is `json` (None is sent as null), `form` (URL-encoded),
        `data` (as it is, without a content type; a string as UTF-8), `multipart` (strings, numbers, booleans and files
        by name), `file` (as it is, with its type), or none of them; `spiffproxy_http.files` says what a file is. In
        `params`, `form` and `multipart` a list repeats its name, and None leaves it out. Redirects are not followed
        by default, because keys and tokens are for one host. `attempts` is how often to send while the upstream fails
        (no response, 429, or 500 and above). The client waits between attempts as long as `Retry-After` says, else one
        second. If the time ends before that, the error is raised at once.
        """
        try:
            body = {"json": json, "form": form, "data": data, "multipart": multipart, "file": file}
            request = build_request(method, url, params=params, headers=headers, basic_auth=basic_auth, **body)
        except RequestError as error:
            self.logs.append(f"{method}: {error.error_code}")
            raise
        attempt = 1
        while True:
            try:
                response = self._exchange(request, follow_redirects=follow_redirects, decompress=decompress)
                self.check(response)
            except RequestError as error:
                self.logs.append(f"{request}, attempt {attempt} of {attempts}: {error.error_code}")
                seconds = find_seconds_to_wait(error)
                if attempt >= attempts or not self._may_retry(error, seconds):
                    if attempt > 1:
                        error.args = (f"{error} (after {attempt} attempts)",)
                    raise
            else:
                self.logs.append(f"{request}, attempt {attempt} of {attempts}: HTTP {response.status}")
                return response
            time.sleep(seconds)
            attempt += 1

    def sibling(self) -> Client:
        """Return another client with the same clock, rules and logs, which checks responses as this class does."""
        client = Client(self.config)
        client.logs, client._call = self.logs, self._call
        return client

    def seconds_left(self) -> float:
        """Return the time that the command has left, which may be below 0."""
        return self._call.deadline - time.monotonic()

    def check(self, response: Response) -> None:
        """Raise `RequestError` if the response is an error. A subclass may have other rules."""
        if response.status >= 300:
            raise response.to_error(f"HttpError{response.status}")

    def _exchange(self, request: Request, *, follow_redirects: bool, decompress: bool) -> Response:
        last_request = request
        if follow_redirects:
            connection, incoming, last_request = send_following_redirects(request, self._call)
        else:
            connection, incoming = send_request(request, self._call)
        try:
            body = read_body(incoming, self._max_bytes, decompress=decompress)
        finally:
            connection.finish(incoming)
        return Response(request, last_request, incoming.status, incoming.headers, body)

    def _may_retry(self, error: RequestError, seconds: float) -> bool:
        """Return whether another attempt may succeed, and there is time for it."""
        has_time = self.seconds_left() > seconds
        is_retryable = error.error_code in RETRYABLE_CODES or error.error_code.startswith("HttpError5")
        return has_time and is_retryable


def find_seconds_to_wait(error: RequestError) -> float:
    """Return how long to wait before the next attempt: as long as the response says, else one second."""
    seconds = find_retry_after(error.response.headers) if error.response is not None else None
    return SECONDS_BETWEEN_ATTEMPTS if seconds is None else seconds
