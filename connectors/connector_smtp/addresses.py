"""Addresses as people write them (RFC 5322 section 3.4), parsed without the standard library, whose versions differ."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from spiffproxy_http.excerpts import show
from spiffproxy_http.files import read_line

from connector_smtp.values import encode_domain, is_address_literal, is_domain

MAX_ADDRESS = 254  # octets (RFC 5321 section 4.5.3.1.3)
PIECE = re.compile(
    r"""
      "(?P<quoted>(?:[^"\\]|\\.)*)"                                   # a quoted string
    | \((?P<comment>(?:[^()\\]|\\.|\((?:[^()\\]|\\.)*\))*)\)          # a comment, which may hold another
    | <(?P<address>(?:"(?:[^"\\]|\\.)*"|[^<>"])*)>
    | (?P<comma>,)
    | (?P<text>[^"()<>,;]+)
    """,
    re.VERBOSE,
)
LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\u00a1-\U0010ffff-]+")  # dots anywhere, as some providers have them
EXAMPLES = "jane@example.org or Jane <jane@example.org>"
QUOTED_LOCAL = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])+"')


class Mailbox(NamedTuple):
    """An address, and the display name or an empty string."""

    name: str
    local: str
    domain: str

    @property
    def address(self) -> str:
        return f"{self.local}@{self.domain}"


def read_addresses(parameter: str, value: Any) -> list[Mailbox]:
    """Read a string of addresses with commas between them, or a list of such strings. Null and "" are an empty list."""
    texts = value if isinstance(value, list) else [] if value is None or value == "" else [value]
    mailboxes = []
    for text in texts:
        if isinstance(text, str) and len(f"{text}.".splitlines()) > 1:
            raise ValueError(
                f"{parameter} contains a line break: {show(text)}. Use commas between addresses, or a list."
            )
        content = read_line(parameter, text).strip(" \t,")
        for pieces in split(parameter, content):
            mailboxes.append(read_mailbox(parameter, content, pieces))
    return mailboxes


def split(parameter: str, text: str) -> list[list[re.Match[str]]]:
    """Split a string at its commas, but not at those in quotes or parentheses."""
    mailboxes: list[list[re.Match[str]]] = [[]]
    position = 0
    while position < len(text):
        piece = PIECE.match(text, position)
        if not piece:
            if text[position] == ";":
                raise ValueError(
                    f"{parameter}: {show(text)} contains a semicolon. Use commas between addresses, or a list."
                )
            raise invalid_address(parameter, text)
        if piece["comma"]:
            mailboxes.append([])
        else:
            mailboxes[-1].append(piece)
        position = piece.end()
    return mailboxes


def read_mailbox(parameter: str, text: str, pieces: list[re.Match[str]]) -> Mailbox:
    """Read `Jane <jane@example.org>`, `jane@example.org`, or the old `jane@example.org (Jane)`."""
    brackets = [index for index, piece in enumerate(pieces) if piece["address"] is not None]
    if not brackets:
        address = "".join(piece.group() for piece in pieces if piece["comment"] is None).strip()
        name = " ".join(piece["comment"] for piece in pieces if piece["comment"] is not None).strip()
        return make_mailbox(parameter, text, name, address)
    before, after = pieces[: brackets[0]], pieces[brackets[0] + 1 :]
    address = pieces[brackets[0]]["address"].strip()
    # outside quotes, an @ in the name or anything after the address means that a comma is missing
    unquoted = "".join(piece["text"] or "" for piece in before).strip()
    if ("@" in unquoted and unquoted != address) or "".join(piece.group() for piece in after).strip():
        raise invalid_address(parameter, text)
    return make_mailbox(parameter, text, read_name(before), address)


def read_name(pieces: list[re.Match[str]]) -> str:
    """Return a display name without its quotes; parentheses are a part of it."""
    words = []
    for piece in pieces:
        if piece["quoted"] is not None:
            words.append(re.sub(r"\\(.)", r"\1", piece["quoted"]))
        else:
            words.append(piece.group())
    return "".join(words).strip()


def make_mailbox(parameter: str, text: str, name: str, address: str) -> Mailbox:
    local, _, domain = address.rpartition("@")
    if QUOTED_LOCAL.fullmatch(local) and LOCAL.fullmatch(local[1:-1]):
        local = local[1:-1]  # the quotes mean nothing
    if not is_address_literal(domain):
        domain = encode_domain(domain[:-1] if domain.endswith(".") else domain)
        if not is_domain(domain):
            raise invalid_address(parameter, text)
    if not (LOCAL.fullmatch(local) or QUOTED_LOCAL.fullmatch(local)) or "=?" in local or not local.isprintable():
        raise invalid_address(parameter, text)
    mailbox = Mailbox(name, local, domain)
    if len(mailbox.address.encode()) > MAX_ADDRESS:
        raise ValueError(f"{parameter}: {show(text)} is longer than {MAX_ADDRESS} bytes, the maximum of an address.")
    return mailbox


def invalid_address(parameter: str, text: str) -> ValueError:
    several = "" if parameter == "email_from" else ", with commas between several"
    return ValueError(f"{parameter}: {show(text)} is not an address. Write {EXAMPLES}{several}.")
