"""The codes of a request without a usable answer, for connectors that send theirs through this one."""

from __future__ import annotations

NO_ANSWER = {
    "ConnectionError": "the host cannot be found, refused, or closed the connection without an answer",
    "ConnectTimeout": "there was no connection within the time",
    "ReadTimeout": "there was no whole answer within the time",
    "ChunkedEncodingError": "the answer was cut short",
    "SSLError": "a certificate is not trusted, or TLS failed",
    "ProxyError": "the outbound HTTP proxy cannot be reached, or refuses",
    "TooManyRedirects": "there were more than 30 redirects",
    "ContentDecodingError": "the answer cannot be decompressed",
    "ResponseTooLarge": "the answer is larger than the operator allows",
    "HostNotAllowed": "the operator's list of hosts does not have this one",
    "MissingSchema": "the URL that the operator set, or a redirect, has no https:// in front",
    "InvalidSchema": "the URL that the operator set, or a redirect, is neither http nor https",
    "InvalidURL": "the URL that the operator set, or a redirect, is none",
}
