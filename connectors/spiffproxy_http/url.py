"""The URL: read by RFC 3986, made fit for the wire, and shown without what is secret."""

from __future__ import annotations

import functools
import re
import unicodedata
from ipaddress import IPv6Address
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlencode

from spiffproxy_http.errors import RequestError

# RFC 3986 appendix B; urlsplit() drops line breaks and differs between versions of Python
_PARTS = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(?:(?P<user>.*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]@]+)(?::(?P<port>[0-9]*))?", re.DOTALL)
_LABEL = re.compile("[a-z0-9_-]{1,63}")
_SAFE = "!$&'()*+,/:;=?@[]~%"  # what `requests` leaves alone, too
_FINE = re.compile("[A-Za-z0-9!$&'()*+,/:;=?@~._-]*")


class Url(NamedTuple):
    """Where a request goes. `credentials` are the user and password that the URL held, or None."""

    scheme: str
    host: str  # in lower case and ASCII; an IPv6 address without its brackets
    port: int
    target: str  # path and query, percent-encoded
    credentials: tuple[str, str] | None = None

    @property
    def netloc(self) -> str:
        """Host and port as they stand in a URL and in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """What tells one server from another (RFC 6454)."""
        return self.scheme, self.host, self.port

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.target}"

    def shown(self) -> str:
        """Return the URL for logs and messages: without user, password and query."""
        return str(self).partition("?")[0]


_PORTS = {"http": 80, "https": 443}


def parse_url(text: Any) -> Url:
    """Raise `RequestError` with the codes of `requests` where `text` is no http or https URL."""
    if not isinstance(text, str):
        raise RequestError("InvalidURL", f"The URL must be text, not {type(text).__name__}", 400)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError("InvalidURL", "The URL holds half of a surrogate pair", 400) from None
    match = _PARTS.fullmatch(text.strip())
    scheme, authority, path, query = match.groups() if match else (None, None, "", None)
    if not scheme:
        raise RequestError("MissingSchema", "The URL has no scheme; write https:// in front of it", 400)
    scheme = scheme.lower()
    if scheme not in _PORTS:
        raise RequestError(
            "InvalidSchema", f"The URL begins with {scheme[:20]!r}, and not with http:// or https://", 400
        )
    parts = _AUTHORITY.fullmatch(authority or "")
    if not parts:
        raise RequestError("InvalidURL", "The URL names no host, or more than a host and a port", 400)
    user, _, password = (parts["user"] or "").partition(":")
    credentials = (unquote(user), unquote(password)) if parts["user"] else None
    target = _quote(path or "/") + (f"?{_quote(query)}" if query else "")
    return Url(scheme, _encode_host(parts["host"]), _read_port(parts["port"], scheme), target, credentials)


def add_params(url: Url, params: Any) -> Url:
    """Put `params` behind the query that the URL has; values may be lists, null ones are left out."""
    if not params:
        return url
    if not isinstance(params, dict):
        raise RequestError("ValueError", f"params must be an object, not {type(params).__name__}", 400)
    pairs = list_pairs("params", params)
    sign = "&" if "?" in url.target else "?"
    return url._replace(target=url.target + sign + _urlencode(pairs)) if pairs else url


def list_pairs(parameter: str, values: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return names and values as they are URL-encoded: a list repeats its name, what is null is left out."""
    pairs = []
    for name, value in values.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, (dict, list)):
                message = f"{parameter}: {name} must be a text, a number, or a list of these"
                raise RequestError("ValueError", message, 400)
            if item is not None:
                pairs.append((name, item))
    return pairs


def _urlencode(pairs: list[tuple[str, Any]]) -> str:
    try:
        return urlencode(pairs)
    except UnicodeEncodeError:
        raise RequestError("InvalidURL", "params hold half of a surrogate pair", 400) from None


def _quote(text: str) -> str:
    """Percent-encode what may not stand in a path or query; valid escapes stay as they are, a lone % does not."""
    if _FINE.fullmatch(text):
        return text
    return quote(re.sub("%(?![0-9A-Fa-f]{2})", "%25", text), safe=_SAFE)


@functools.lru_cache(maxsize=1024)
def _encode_host(host: str) -> str:
    """Return the host in lower case and ASCII, by label, as browsers do (UTS 46; a German sharp s stays one)."""
    if host.startswith("["):
        return _read_ipv6(host[1:-1])
    # the dots of other scripts are dots; what lower case makes of a letter may have to be composed again
    host = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", host).lower()).replace("\u3002", ".")
    labels = [x if x.isascii() else "xn--" + x.encode("punycode").decode() for x in host.split(".")]
    if not all(map(_LABEL.fullmatch, labels[:-1] if labels[-1] == "" else labels)) or labels == [""]:
        raise RequestError("InvalidURL", "The URL's host is no name that DNS could know", 400)
    return ".".join(labels)


def _read_ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise RequestError("InvalidURL", "The URL's host is no IPv6 address", 400) from None


def _read_port(text: str | None, scheme: str) -> int:
    port = int(text[-9:]) if text and len(text.lstrip("0")) < 6 else _PORTS[scheme] if not text else 0
    if not 1 <= port <= 65535:
        raise RequestError("InvalidURL", "The URL's port is none: it must be from 1 to 65535", 400)
    return port
