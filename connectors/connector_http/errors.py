"""What can go wrong, here and in the connectors that send their requests through this one.

`<status>` in a code stands for the digits of a status: one entry for HttpError400, HttpError404 and the others.
"""

from __future__ import annotations

_NO_HEAD = {
    "ValueError": "a parameter, or the operator's list of hosts, is not what it should be; the message names it",
    "MissingSchema": "the URL in a parameter, a setting or a redirect has no https:// in front",
    "InvalidSchema": "the URL in a parameter, a setting or a redirect is neither http nor https",
    "InvalidURL": "the URL in a parameter, a setting or a redirect is none",
    "HostNotAllowed": "the operator's list of hosts does not have this one",
    "ConnectionError": "the host cannot be found, refused, or closed the connection without an answer",
    "ConnectTimeout": "there was no connection within the time",
    "ReadTimeout": "there was no whole answer within the time",
    "SSLError": "a certificate is not trusted, or TLS failed",
    "ProxyError": "the outbound HTTP proxy cannot be reached, or refuses",
}
NO_ANSWER = {
    **_NO_HEAD,
    "ChunkedEncodingError": "the answer was cut short",
    "ContentDecodingError": "the answer cannot be decompressed",
    "ResponseTooLarge": "the answer is larger than the operator allows",
}
_SHARED = {
    "HttpError<status>": "the upstream answered with this status, 400 or above",
    "InvalidHeader": "a header is no text, or has a line break; the message names it",
    "TooManyRedirects": "there were more than 30 redirects",
}
HEAD_ERRORS = {**_SHARED, **_NO_HEAD}
GET_ERRORS = {
    **_SHARED,
    **NO_ANSWER,
    "JSONDecodeError": "the answer is not the JSON that it says it is",
    "ExpatError": "the answer is not the XML that it says it is",
}
DATA_ERRORS = {**GET_ERRORS, "InvalidJSONError": "the data cannot be written as JSON"}


class RequestError(Exception):
    """A request without a usable answer: the code that a boundary event catches, and a message for its author.

    `http_status` tells SpiffArena whether another try may help: 429, and 500 and above, say so.
    """

    def __init__(self, error_code: str, message: str, http_status: int = 500) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.http_status = http_status
