"""The certificates that the proxy shows to hosts that ask for one (mutual TLS), by the operator's setting."""

from __future__ import annotations

import functools
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, NamedTuple

from spiffproxy_http.errors import RequestError
from spiffproxy_http.hosts import Rule, matches, read_address, read_rule

if TYPE_CHECKING:
    from spiffproxy_http.url import Url

SETTING = "CONNECTOR_PROXY_HTTP_CLIENT_CERTS"
EXAMPLE = "api.example.org=/etc/spiffproxy/client.pem"


class ClientCert(NamedTuple):
    """A file with a certificate and its key, and the hosts that it is for."""

    rule: Rule
    path: str


@functools.lru_cache(maxsize=8)
def read_client_certs(text: str) -> list[ClientCert]:
    """Parse the setting, the most specific rule first; raise `RequestError` that names the setting."""
    certs: list[ClientCert] = []
    for part in text.split(","):
        if not part.strip():
            continue
        cert = read_entry(part.strip())
        if any(cert.rule == other.rule for other in certs):
            raise invalid_setting(f"{part.strip()!r} is the second entry for its host. Remove one of them")
        certs.append(cert)
    if text.strip() and not certs:
        raise invalid_setting(f"{text!r} names no host. Write {EXAMPLE}")
    return sorted(certs, key=rank)


def read_entry(text: str) -> ClientCert:
    host, _, path = (piece.strip() for piece in text.partition("="))
    if not path:
        raise invalid_setting(f"{text!r} is not a host and a file. Write {EXAMPLE}")
    try:
        rule = read_rule(host.lower())
    except ValueError:
        raise invalid_setting(f"{host!r} is not a host. Write {EXAMPLE}") from None
    if isinstance(rule.host, (IPv4Network, IPv6Network)):
        raise invalid_setting(f"{host!r} is a network. Write each host, or *.suffix")
    return ClientCert(rule, path)


def rank(cert: ClientCert) -> tuple[bool, int, bool]:
    """Sort a host before `*.suffix`, a longer suffix before a shorter one, and an entry with a port before without."""
    host = str(cert.rule.host)
    return host.startswith("*."), -len(host), cert.rule.port is None


def find_client_cert(certs: list[ClientCert], url: Url) -> str | None:
    """Return the file for the host of an https URL, or None."""
    if url.scheme != "https":
        return None
    for (host, port), path in certs:
        if port in (None, url.port) and matches(host, url.name, read_address(url.host)):
            return path
    return None


def invalid_setting(problem: str) -> RequestError:
    return RequestError("ValueError", f"{SETTING}: {problem}", 400)
