"""The URL: parsed by RFC 3986, encoded for the wire, and redacted for logs and messages."""

from __future__ import annotations

import functools
import re
import socket
import unicodedata
from ipaddress import IPv6Address, IPv6Network
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlencode

from spiffproxy_http.errors import RequestError
from spiffproxy_http.excerpts import name_character, name_type, show

HINT = "Write it as in https://api.example.org/path"
DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 3986 appendix B; urlsplit() drops line breaks and differs between versions of Python
URL_PARTS = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
HOST = r"\[(?P<ipv6>[0-9A-Fa-f:.]+)(?P<zone>%[^\]]*)?\]|(?P<name>[^:\[\]@]+)"
AUTHORITY = re.compile(rf"(?:(?P<user>.*)@)?(?:{HOST})(?::(?P<port>[^@]*))?", re.DOTALL)
ZONE = re.compile(r"%25((?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+)")  # RFC 6874 section 2
LINK_LOCAL = IPv6Network("fe80::/10")  # from Python 3.13 on, is_link_local includes other addresses
LABEL = re.compile("[a-z0-9_-]{1,63}")
SAFE_CHARACTERS = "!$&'()*+,/:;=?@[]~%"  # which `requests` does not encode either
SECRET_PREFIXES = {"secret", "spiff_secret"}  # which SpiffArena replaces by the secret
# a URL without a scheme, up to its query, which may be secret
LOCAL_URL = re.compile(r"localhost:[0-9]{1,5}(?![^/?#])(?:/[^?#@\s]{0,80}(?![^?#]))?", re.IGNORECASE)
NOTHING_TO_QUOTE = re.compile("[A-Za-z0-9!$&'()*+,/:;=?@~._-]*")


class Url(NamedTuple):
    """Where a request goes. `credentials` are the user and password in the URL, or None."""

    scheme: str
    host: str  # in lower case and ASCII; an IPv6 address without its brackets
    port: int
    target: str  # path and query, percent-encoded
    credentials: tuple[str, str] | None = None
    zone: str = ""  # the network interface of a link-local address; it is for this machine alone (RFC 6874)

    @property
    def scoped_host(self) -> str:
        """The host as getaddrinfo() accepts it: with the zone."""
        return f"{self.host}%{self.zone}" if self.zone else self.host

    @property
    def name(self) -> str:
        """The host without a dot at its end: the name in certificates (RFC 6066 section 3), cookies and lists."""
        return self.host.rstrip(".")

    @property
    def netloc(self) -> str:
        """Host and port, as in a URL and in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """What distinguishes one server from another (RFC 6454)."""
        return self.scheme, self.name, self.port

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.target}"

    def redacted(self) -> str:
        """Return the URL for logs and messages: without user, password and query."""
        return str(self).partition("?")[0]


def parse_url(text: Any) -> Url:
    """Return the URL; raise `RequestError` with the codes of `requests` if `text` is not an http or https URL."""
    if isinstance(text, Url):
        return text
    if not isinstance(text, str):
        raise invalid_url(f"The URL must be a string, but is {name_type(text)}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid_url("The URL contains half of a surrogate pair. Remove it") from None
    match = URL_PARTS.fullmatch(text.strip())
    scheme, authority, path, query = match.groups() if match else (None, None, "", None)
    if not text.strip():
        raise RequestError("MissingSchema", f"The URL is empty. {HINT}", 400)
    if not scheme:
        raise RequestError("MissingSchema", describe_start(text.strip(), ""), 400)
    scheme = scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise RequestError("InvalidSchema", describe_start(text.strip(), scheme), 400)
    if not authority:
        raise invalid_url(f"The URL has no host. {HINT}")
    parts = AUTHORITY.fullmatch(authority)
    if not parts:
        raise invalid_url(f"The URL's host is {show_part(authority, text)}. {HINT} or https://[2001:db8::1]:8443")
    user, _, password = (parts["user"] or "").partition(":")
    credentials = (unquote(user), unquote(password)) if parts["user"] else None
    target = percent_encode(path or "/") + (f"?{percent_encode(query)}" if query else "")
    host = encode_host(parts["name"]) if parts["name"] else read_ipv6(parts["ipv6"])
    zone = read_zone(host, parts["zone"])
    port = read_port(parts["port"], show_part(parts["port"], text)) or DEFAULT_PORTS[scheme]
    return Url(scheme, host, port, target, credentials, zone)


def describe_start(text: str, scheme: str) -> str:
    """Return what is wrong with a URL that does not begin with https:// or http://.

    It quotes no more than the scheme and an address of this machine: the URL may be a secret in the wrong place.
    """
    if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]:
        return "The URL is in two pairs of quotes. Remove one"
    if not scheme:
        return "The URL has no scheme. Write https:// in front of it"
    start = f"The URL begins with {show(scheme[:20] + ':')}."
    if scheme in SECRET_PREFIXES:
        return f"{start} SpiffArena did not replace the secret. Check its name"
    local = LOCAL_URL.match(text)
    hint = f". Write http://{local.group()}" if local else ""
    return f"{start} It must begin with https:// or http://{hint}"


def invalid_url(message: str) -> RequestError:
    return RequestError("InvalidURL", message, 400)


def show_part(part: str | None, url: str) -> str:
    """Return a part of a URL for a message; if there is an @, each part may be a piece of a password."""
    return "invalid" if "@" in url else show(part or "")


def add_params(url: Url, params: Any) -> Url:
    """Append `params` to the query of the URL. A list repeats its name; null values are left out."""
    if not params:
        return url
    if not isinstance(params, dict):
        raise RequestError("ValueError", f"params must be an object, but is {name_type(params)}", 400)
    pairs = list_pairs("params", params)
    if not pairs:
        return url
    separator = "&" if "?" in url.target else "?"
    return url._replace(target=url.target + separator + encode_pairs(pairs))


def list_pairs(parameter: str, values: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return names and values to URL-encode: a list repeats its name, null values are left out."""
    pairs = []
    for name, value in values.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, (dict, list)):
                message = f"{parameter}: {name} must be a string, a number, or a list of these"
                raise RequestError("ValueError", message, 400)
            if item is not None:
                pairs.append((name, item))
    return pairs


def encode_pairs(pairs: list[tuple[str, Any]]) -> str:
    try:
        return urlencode(pairs)
    except UnicodeEncodeError:
        raise invalid_url("params contains half of a surrogate pair. Remove it") from None


def percent_encode(text: str) -> str:
    """Percent-encode what a path or query may not contain. Valid escapes stay as they are; a lone % is encoded."""
    if NOTHING_TO_QUOTE.fullmatch(text):
        return text
    return quote(re.sub("%(?![0-9A-Fa-f]{2})", "%25", text), safe=SAFE_CHARACTERS)


@functools.lru_cache(maxsize=1024)
def encode_host(host: str) -> str:
    """Return the host in lower case and ASCII, by label, as browsers do (UTS 46; a German sharp s stays)."""
    # NFKC turns the dots of other scripts into dots; a letter in lower case may have to be composed again
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", host).lower()).replace("\u3002", ".")
    labels = [label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in name.split(".")]
    checked = labels[:-1] if labels[-1] == "" else labels  # the name may end with a dot
    if not checked or not name.isprintable() or not all(LABEL.fullmatch(label) for label in checked):
        character = next((character for character in host if not is_possible(character)), None)
        reason = f", which contains {name_character(character)}" if character else ""
        raise invalid_url(f"The URL's host is {show(host)}{reason}. Use a name such as api.example.org, or an address")
    if re.fullmatch("[0-9.]+", name):  # four numbers or fewer, as all resolvers read them
        try:
            socket.inet_aton(name.rstrip("."))
        except OSError:
            raise invalid_url(f"The URL's host is {show(host)}. Use an address such as 192.0.2.1") from None
    return ".".join(labels)


def is_possible(character: str) -> bool:
    """Return whether a host may contain the character; some beyond ASCII are impossible only after NFKC."""
    return bool(re.fullmatch("[A-Za-z0-9._-]", character)) or (not character.isascii() and character.isprintable())


def read_ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise invalid_url(f"The URL's host is {show(f'[{text}]')}. Use an IPv6 address such as [2001:db8::1]") from None


def read_zone(host: str, text: str | None) -> str:
    """Return the zone of an IPv6 address, `eth0` of `%25eth0`. `%eth0` is refused: `%ee1` could be read in two ways."""
    if text is None:
        return ""
    match = ZONE.fullmatch(text)
    zone = unquote(match[1]) if match else ""
    if not re.fullmatch("[!-~]+", zone):
        message = "The zone in the URL's host must be a network interface after %25, as in [fe80::1%25eth0]"
        raise invalid_url(message)
    if IPv6Address(host) not in LINK_LOCAL:
        message = f"The URL's host {host} is not link-local (fe80::/10) and cannot have a zone. Remove {text}"
        raise invalid_url(message)
    return zone


def read_port(text: str | None, shown: str) -> int | None:
    """Return the port in a URL, or None; `shown` is the port for a message."""
    if not text:
        return None
    digits = text.lstrip("0")
    if not re.fullmatch("[0-9]{1,5}", digits) or int(digits) > 65535:
        hint = ", and put an IPv6 address in brackets: [2001:db8::1]" if ":" in text else ""
        raise invalid_url(f"The URL's port is {shown}. Use a number from 1 to 65535{hint}")
    return int(digits)
