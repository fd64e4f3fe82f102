"""The outbound HTTP proxy that the environment of the process names for a URL."""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import re
from typing import NamedTuple
from urllib.parse import unquote

from spiffproxy_http.errors import RequestError
from spiffproxy_http.hosts import Rule, matches, read_address, read_rule
from spiffproxy_http.url import Url, parse_url

# http:// may be left out, user and password too
PROXY = re.compile(r"(?:http://)?(?:(?P<credentials>[^/\s]*)@)?(?P<host>[^/\s@]+)/?", re.IGNORECASE)


class Proxy(NamedTuple):
    """An HTTP proxy, and its `Proxy-Authorization` or None."""

    url: Url
    authorization: str | None


@functools.cache
def read_proxy_variables() -> dict[str, str]:
    """Return `http_proxy`, `https_proxy` and `no_proxy` of the environment, read once; unset ones are empty.

    A name in lower case overrides the one in upper case, even with an empty value.
    """
    variables = {}
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        value = os.environ.get(name.upper(), "")
        if name == "http_proxy" and "REQUEST_METHOD" in os.environ:
            value = ""  # in a CGI script it is the header `Proxy` of a request (CVE-2016-1000110)
        variables[name] = os.environ.get(name, value)
    return variables


def find_proxy(url: Url) -> Proxy | None:
    """Return the proxy for the URL; raise `ProxyError` if the variable is not the URL of an HTTP proxy."""
    variables = read_proxy_variables()
    value = variables[f"{url.scheme}_proxy"]
    if not value or is_excluded(url, variables["no_proxy"]):
        return None
    return read_proxy(value, f"{url.scheme.upper()}_PROXY")


def is_excluded(url: Url, no_proxy: str) -> bool:
    """Return whether `NO_PROXY` has the host of the URL, a domain or a network that it belongs to, or `*`.

    An entry with a port is for that port alone. A name is not looked up to find out whether it is in a network.
    """
    address = read_address(url.name)
    for rule in read_no_proxy(no_proxy):
        if rule.port in (None, url.port) and (matches(rule.host, url.name, address) or rule.host == "*"):
            return True
    return False


@functools.lru_cache(maxsize=8)
def read_no_proxy(text: str) -> list[Rule]:
    """Return the entries, with commas or blanks between them; those that are not valid are ignored, as by curl."""
    rules = []
    for entry in re.split(r"[,\s]+", text.lower()):
        if entry == "*":
            rules.append(Rule("*", None))
            continue
        with contextlib.suppress(ValueError):
            rule = read_rule(re.sub(r"^\*?\.+", "", entry))
            rules.append(rule)
            if isinstance(rule.host, str):
                rules.append(Rule(f"*.{rule.host}", rule.port))
    return rules


@functools.lru_cache(maxsize=8)
def read_proxy(value: str, variable: str) -> Proxy:
    """Read the value of a variable. A proxy that expects TLS is refused: its credentials would be sent without TLS."""
    match = PROXY.fullmatch(value)
    try:
        if not match:
            raise ValueError(value)
        url = parse_url(f"http://{match['host']}")
    except (RequestError, ValueError):
        raise RequestError("ProxyError", f"{variable} is not the URL of a proxy. Use http://host:port") from None
    user, colon, password = (match["credentials"] or "").partition(":")
    authorization = None
    if colon:  # either of the two may be empty (RFC 7617 section 2)
        credentials = f"{unquote(user)}:{unquote(password)}"
        authorization = "Basic " + base64.b64encode(credentials.encode()).decode()
    return Proxy(url, authorization)
