"""The error of a request, and the tables of codes that commands share, each with its meaning.

`<status>` in a code stands for the digits of a status: one entry for HttpError400, HttpError404 and the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NO_RESPONSE_HEADERS = {
    "ValueError": "a parameter, or the operator's list of hosts, is not what it should be; the message names it",
    "MissingSchema": "the URL in a parameter, a setting or a redirect has no https:// in front",
    "InvalidSchema": "the URL in a parameter, a setting or a redirect is neither http nor https",
    "InvalidURL": "the URL in a parameter, a setting or a redirect is invalid",
    "HostNotAllowed": "the operator's list of hosts does not have this one",
    "ConnectionError": "the host cannot be found, refused, or closed the connection without a response",
    "ConnectTimeout": "there was no connection within the time",
    "ReadTimeout": "there was no complete response within the time",
    "SSLError": "a certificate is not trusted, or TLS failed",
    "ProxyError": "the outbound HTTP proxy cannot be reached, or refuses",
    "InvalidResponse": "the upstream sent something that is not a valid HTTP response",
}
NO_RESPONSE = {
    **NO_RESPONSE_HEADERS,
    "ChunkedEncodingError": "the response was cut short",
    "ContentDecodingError": "the response cannot be decompressed, or has an unknown content coding",
    "ResponseTooLarge": "the response is larger than the operator allows",
}
# every code that a command can end with if its author declares no table
COMMAND_ERRORS = {
    **NO_RESPONSE,
    "HttpError<status>": "the upstream responded with this status, 300 or above",
    "InvalidHeader": "a header is not a string, or has a line break; the message names it",
    "InvalidJSONError": "the request body cannot be written as JSON",
    "JSONDecodeError": "the response is not valid JSON",
    "TooManyRedirects": "there were more than 30 redirects",
}


class RequestError(Exception):
    """A request that failed: the code that a boundary event catches, and a message for the author of the diagram.

    `http_status` tells SpiffArena whether another attempt may help: it tries again on 429, and on 500 and above.
    `response` is the `Response` if a status of 300 or above is the error; other errors of `Client.send` have None.
    `was_sent` is false if it is certain that the upstream got nothing of the request; after redirects, or with several
    attempts, of the last request.
    """

    was_sent = True

    def __init__(self, error_code: str, message: str, http_status: int = 500, response: Any = None) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.http_status = http_status
        self.response = response


def invalid_parameter(message: str) -> RequestError:
    return RequestError("ValueError", message, 400)


@contextmanager
def before_sending() -> Iterator[None]:
    """Note in a `RequestError` that the request was not sent."""
    try:
        yield
    except RequestError as error:
        error.was_sent = False
        raise
