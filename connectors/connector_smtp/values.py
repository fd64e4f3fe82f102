"""Parameters: each is read, or refused with a ValueError that names it, shows its value and says what to write."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import Any

from spiffproxy_http.excerpts import show
from spiffproxy_http.files import read_text

MAX_DOMAIN = 253  # RFC 1035 section 2.3.4, without the length bytes
LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"  # with the underscore that many private names have
DOMAIN = re.compile(rf"{LABEL}(?:\.{LABEL})*")
ADDRESS_LITERAL = re.compile(r"\[(?:IPv6:(?P<v6>[^\]]+)|(?P<v4>[^\]]+))\]", re.IGNORECASE)  # RFC 5321 section 4.1.3


def read_login(user: str | None, password: str | None) -> tuple[str, str]:
    """Return user and password; both are empty without a login. PLAIN separates them by null characters (RFC 4616)."""
    for parameter, value in ("smtp_user", user), ("smtp_password", password):
        if "\0" in read_text(parameter, value or ""):
            raise ValueError(f"{parameter} contains a null character. Remove it.")
    if bool(user) != bool(password):
        given, missing = ("smtp_user", "smtp_password") if user else ("smtp_password", "smtp_user")
        raise ValueError(f"{given} is set, but {missing} is empty. Set both, or neither to send without a login.")
    return user or "", password or ""


def read_host(value: str) -> str:
    """Return a name in ASCII, or an IP address."""
    text = read_text("smtp_host", value)
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if is_ip_address(host):
        return host
    domain = encode_domain(text)
    if not is_domain(domain[:-1] if domain.endswith(".") else domain):
        shown = "invalid" if "@" in text else show(text)  # a URL may have a password
        raise ValueError(
            f"smtp_host is {shown}. Use only a host name, such as mail.example.org, or an IP address."
            " A port belongs in smtp_port."
        )
    return domain


def read_helo_name(config: Any) -> str:
    """Return the name that the proxy gives in EHLO.

    The default is not the machine's own name, which mail servers often cannot look up. It is an address, which RFC 5321
    section 4.1.4 allows.
    """
    return str(config.get("CONNECTOR_PROXY_SMTP_HELO_NAME") or "").strip() or "[127.0.0.1]"


def encode_domain(domain: str) -> str:
    """Return a domain in ASCII, label by label: a header cannot contain other letters in a domain.

    A domain with invisible characters stays as it is, and is refused later: it is not the domain that it looks like.
    """
    if not domain.isprintable():
        return domain
    labels = unicodedata.normalize("NFKC", domain).lower().replace("。", ".").split(".")
    return ".".join(x if x.isascii() else "xn--" + x.encode("punycode").decode() for x in labels)


def is_domain(text: str) -> bool:
    return len(text) <= MAX_DOMAIN and DOMAIN.fullmatch(text) is not None


def is_address_literal(text: str) -> bool:
    match = ADDRESS_LITERAL.fullmatch(text)
    if not match:
        return False
    address = match["v6"] or match["v4"]
    return is_ip_address(address) and (":" in address) == bool(match["v6"])


def is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
