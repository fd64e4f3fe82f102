"""What can go wrong with a request: its error, and the codes that commands share, each with its meaning."""

from __future__ import annotations

NO_RESPONSE_HEADERS = {
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
NO_RESPONSE = {
    **NO_RESPONSE_HEADERS,
    "ChunkedEncodingError": "the answer was cut short",
    "ContentDecodingError": "the answer cannot be decompressed",
    "ResponseTooLarge": "the answer is larger than the operator allows",
}


class RequestError(Exception):
    """A request without a usable answer: the code that a boundary event catches, and a message for its author.

    `http_status` tells SpiffArena whether another try may help: 429, and 500 and above, say so.
    """

    def __init__(self, error_code: str, message: str, http_status: int = 500) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.http_status = http_status
