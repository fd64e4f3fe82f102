"""The header fields that an author adds to a message."""

from __future__ import annotations

import itertools
import re
from typing import Any

from spiffproxy_http.excerpts import show
from spiffproxy_http.files import read_line

from connector_smtp.addresses import read_addresses
from connector_smtp.headers import (
    MAX_LINE_BYTES,
    MAX_WORD,
    PRINTABLE,
    encode_mailboxes,
    encode_words,
    fold,
    split_at_blanks,
)

NAME = re.compile("[!-9;-~]{1,75}")  # RFC 5322 section 2.2, and short enough for a line
# the headers that the command writes, each with the parameter for it
OWN_HEADERS = {
    "from": "email_from",
    "to": "email_to",
    "cc": "email_cc",
    "bcc": "email_bcc",
    "reply-to": "email_reply_to",
    "subject": "email_subject",
    "date": None,
    "message-id": None,
}
OWN_PREFIXES = ("mime-", "content-")
# in these headers, the names of people may be encoded, but not their addresses
ADDRESS_HEADERS = {"sender", "disposition-notification-to", "return-receipt-to", "errors-to"}
ENCODED_WORD = re.compile(r"=\?[^?]*\?[BbQq]\?.*?\?=")


def encode_headers(headers: dict[str, Any] | None) -> list[str]:
    """Return header fields from an object of strings. Null and "" are left out."""
    fields: dict[str, str] = {}
    for name, content in (headers or {}).items():
        check_name(name)
        if name.lower() in fields:
            raise ValueError(f"email_headers has {name} twice, in upper and lower case. Remove one of them.")
        fields[name.lower()] = encode_header(name, content)
    return [field for field in fields.values() if field]


def check_name(name: str) -> None:
    """Raise ValueError if a name is invalid, or if the command writes this header itself."""
    if not NAME.fullmatch(name):
        hint = "Use letters, digits and hyphens, such as X-Priority, and at most 75 characters."
        raise ValueError(f"email_headers: {show(name)} is not the name of a header. {hint}")
    if name.lower() in OWN_HEADERS or name.lower().startswith(OWN_PREFIXES):
        parameter = OWN_HEADERS.get(name.lower())
        hint = f"Use {parameter} instead." if parameter else "Remove it."
        raise ValueError(f"email_headers: the command writes {name} itself. {hint}")


def encode_header(name: str, value: Any) -> str:
    """Return a header field, or an empty string if it has no value."""
    place = f"email_headers: {name}"
    text = read_line(place, "" if value is None else value).strip(" \t")
    if not text:
        return ""
    if name.lower() in ADDRESS_HEADERS:
        field = encode_mailboxes(name, read_addresses(place, text))
    else:
        field = fold(name, encode_tokens(text))
    if max(map(len, field.encode().split(b"\r\n"))) > MAX_LINE_BYTES:
        raise ValueError(f"{place} has a word of more than {MAX_LINE_BYTES} bytes, the maximum of a line. Shorten it.")
    return field


def encode_tokens(text: str) -> list[str]:
    """Return the words of a header. Words with characters beyond ASCII are encoded (RFC 2047).

    The other words stay as they are, however long: an address, a URL or an id would lose its meaning.
    """
    # mail programs would decode words that look encoded, alone or together with the word next to them
    may_look_encoded = ENCODED_WORD.search(text) is not None or not PRINTABLE.fullmatch(text)

    def is_plain(word: str) -> bool:
        return PRINTABLE.fullmatch(word) is not None and not (may_look_encoded and re.search(r"=\?|\?=", word))

    tokens: list[str] = []
    for are_plain, words in itertools.groupby(split_at_blanks(text), is_plain):
        group = list(words)
        tokens += group if are_plain else encode_words(" ".join(group), MAX_WORD)
    return tokens
