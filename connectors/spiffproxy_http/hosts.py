"""Where requests may go: to the hosts that the operator allows, and never to a cloud's metadata by accident."""

from __future__ import annotations

import functools
import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple, Union

from spiffproxy_http.errors import RequestError

if TYPE_CHECKING:
    from spiffproxy_http.url import Url

Address = Union[IPv4Address, IPv6Address]
SETTING = "CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS"
# the servers at these addresses give away the credentials of the machine that the proxy runs on
METADATA_ADDRESSES = {ip_address("169.254.169.254"), ip_address("fd00:ec2::254")}
ENTRY = re.compile(
    r"""(?: \[(?P<bracketed>[^\]]+)\](?P<bits>/[0-9]+)?
          | (?P<many>[^\[\]]*:[^\[\]]*:[^\[\]]*)  # an IPv6 address without brackets
          | (?P<plain>[^\[\]:]+)
        )(?::(?P<port>[0-9]{1,5}))?""",
    re.VERBOSE,
)


class Rule(NamedTuple):
    host: str | Address | IPv4Network | IPv6Network  # a name may begin with `*.`
    port: int | None


class AllowedHosts:
    """The hosts of the setting. A name or an address is compared with the host in the URL, a network with the address
    that the host resolves to.
    """

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules
        self.has_networks = any(isinstance(rule.host, (IPv4Network, IPv6Network)) for rule in rules)

    def allow(self, url: Url, address: str | None) -> bool:
        """Return whether a request to `url` may go to `address`, which is None if it is not known."""
        numeric = read_address(address or url.host)
        rules = [rule.host for rule in self._rules if rule.port in (None, url.port)]
        if numeric in METADATA_ADDRESSES and numeric not in rules and url.name not in rules:
            return False
        if not self._rules:
            return True
        return any(matches(host, url.name, numeric) for host in rules)


def matches(rule: str | Address | IPv4Network | IPv6Network, host: str, address: Address | None) -> bool:
    if isinstance(rule, str):
        return host == rule or (rule.startswith("*.") and host.endswith(rule[1:]))
    if isinstance(rule, (IPv4Network, IPv6Network)):
        return address is not None and address in rule
    return read_address(host) == rule


def refuse_host(host: str) -> RequestError:
    return RequestError("HostNotAllowed", f"The proxy may not call {host} ({SETTING})", 403)


@functools.lru_cache(maxsize=8)
def read_allowed_hosts(text: str) -> AllowedHosts:
    """Parse the setting; raise `RequestError` that names it if an entry is invalid."""
    rules = []
    for part in text.split(","):
        entry = part.strip().lower()
        if not entry:
            continue
        try:
            rules.append(read_rule(entry))
        except ValueError:
            message = f"{SETTING}: {entry!r} is not a host. Use a name, *.suffix, an address or a network"
            raise RequestError("ValueError", message, 400) from None
    if text.strip() and not rules:  # an empty list would allow all hosts
        raise RequestError("ValueError", f"{SETTING} is {text!r}, which contains no host. Name at least one", 400)
    return AllowedHosts(rules)


def read_rule(text: str) -> Rule:
    match = ENTRY.fullmatch(text)
    if not match:
        raise ValueError(text)
    host = (match["bracketed"] or match["many"] or match["plain"]).rstrip(".") + (match["bits"] or "")
    if match["port"] and not 1 <= int(match["port"]) <= 65535:
        raise ValueError(text)
    return Rule(read_rule_host(host), int(match["port"]) if match["port"] else None)


def read_rule_host(text: str) -> str | Address | IPv4Network | IPv6Network:
    if "/" in text:
        return ip_network(text, strict=False)
    address = read_address(text)
    if address is None and not re.fullmatch(r"(?![0-9.]+$)(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*", text):
        raise ValueError(text)
    return text if address is None else address


@functools.lru_cache(maxsize=1024)
def read_address(text: str) -> Address | None:
    """Return the address that a host is, in any notation that the system understands, or None for a name."""
    try:
        address = ip_address(text.partition("%")[0].rstrip("."))
    except ValueError:
        try:
            return IPv4Address(socket.inet_aton(text.rstrip(".")))  # decimal, hexadecimal, with fewer dots
        except (OSError, UnicodeError, ValueError):
            return None
    return getattr(address, "ipv4_mapped", None) or address
