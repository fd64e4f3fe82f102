"""The error of a request, and the tables of codes that commands share, each with its meaning.

`<status>` in a code stands for the digits of a status: one entry for HttpError400, HttpError404 and the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NO_RESPONSE_HEADERS = {
    "ValueError": "a parameter, or the operator's list of hosts, is invalid; correct what the message names",
    "MissingSchema": "the URL in a parameter, a setting or a redirect has no scheme; write https:// in front of it",
    "InvalidSchema": "the URL in a parameter, a setting or a redirect is not an http or https URL; correct it",
    "InvalidURL": "the URL in a parameter, a setting or a redirect is invalid; correct it as the message says",
    "HostNotAllowed": "the operator does not allow requests to this host; ask the operator",
    "ConnectionError": "the host does not exist, refused, or closed the connection without a response; "
    "check host and port, or try again",
    "ConnectTimeout": "there was no connection within the time; try again, or check host and port",
    "ReadTimeout": "there was no complete response within the time; try again, or request less",
    "SSLError": "a certificate is not trusted, or TLS failed; check the URL, or ask the operator",
    "ProxyError": "the outbound HTTP proxy cannot be reached, or refuses; ask the operator",
    "InvalidResponse": "the upstream sent something that is not a valid HTTP response; check host and port",
}
NO_RESPONSE = {
    **NO_RESPONSE_HEADERS,
    "ChunkedEncodingError": "the response is incomplete; try again",
    "ContentDecodingError": "the response cannot be decompressed, or has an unknown content coding; "
    "tell the operator of the upstream",
    "ResponseTooLarge": "the response is larger than the operator allows; request less, or ask the operator",
}
# every code that a command can end with if its author declares no table
COMMAND_ERRORS = {
    **NO_RESPONSE,
    "HttpError<status>": "the upstream responded with this status, 300 or above; the message quotes the response",
    "InvalidHeader": "a header is not a string, or has an invalid character; correct what the message names",
    "InvalidJSONError": "the request body cannot be written as JSON; correct it as the message says",
    "JSONDecodeError": "the response is not valid JSON; check the URL",
    "TooManyRedirects": "there were more than 30 redirects; use the URL that they should lead to",
}


class RequestError(Exception):
    """A request that failed: the code that a boundary event catches, and a message for the author of the diagram.

    `http_status` tells SpiffArena whether another attempt may help: it tries again on 429, and on 500 and above.
    `response` is the `Response` if a status of 300 or above is the error; other errors of `Client.send` have None.
    `was_sent` is false if it is certain that the upstream received nothing of the request; after redirects, or with
    several attempts, nothing of the last request.
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
