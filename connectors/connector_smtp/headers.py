"""Header fields as lines: text (RFC 2047), mailboxes (RFC 5322) and parameters (RFC 2231).

The standard library folds headers in ways that lose blanks and quotes, and that differ from one Python to the next.
Here a string is encoded before it is folded, and folded only between whole tokens.
"""

from __future__ import annotations

import itertools
import re
from email.charset import Charset
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from connector_smtp.addresses import Mailbox

MAX_LINE = 76  # of a line that has an encoded word (RFC 2047 section 2)
MAX_WORD = 75
MAX_LINE_BYTES = 998  # of any line (RFC 5322 section 2.1.1)
MAX_PARAMETER = MAX_LINE - len(" ;")
WORD_OVERHEAD = len("=?utf-8?b??=")
UTF_8 = Charset("utf-8")  # writes an encoded word as base64 or quoted-printable, whichever is shorter
PRINTABLE = re.compile(r"[ -~]*")
ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+")  # RFC 5322 section 3.2.3
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+")  # RFC 2045 section 5.1


def fold(name: str, tokens: Iterable[str]) -> str:
    """Return a header field: the tokens with a blank or a folded line between them."""
    lines = [f"{name}:"]
    for token in tokens:
        if len(lines[-1]) + len(" ") + len(token) > MAX_LINE:
            lines.append("")
        lines[-1] += f" {token}"
    return "\r\n".join(lines)


def encode_text(name: str, text: str) -> str:
    """Return a field such as the subject. Readers see the text exactly as it was written."""
    first = MAX_LINE - len(f"{name}: ")
    tokens = split_at_blanks(text)
    if not is_plain(text) or text != text.strip(" ") or max(map(len, tokens)) > first:
        tokens = list(encode_words(text, first))
    return fold(name, tokens)


def encode_mailboxes(name: str, mailboxes: list[Mailbox]) -> str:
    """Return a field such as From or To."""
    tokens: list[str] = []
    for mailbox in mailboxes:
        if tokens:
            tokens[-1] += ","
        if mailbox.name:
            tokens += [*encode_phrase(mailbox.name), f"<{mailbox.address}>"]
        else:
            tokens.append(mailbox.address)
    return fold(name, tokens)


def encode_phrase(text: str) -> list[str]:
    """Return the tokens of a display name (RFC 5322 section 3.2.5): a quoted string, or atoms and encoded words.

    Words that need no encoding stay atoms: some readers, of which Python is one, leave a blank between encoded words.
    """
    words = split_at_blanks(text)
    quoted = quote_string(text)
    if is_plain(text) and not all(map(is_atom, words)) and len(quoted) < MAX_LINE:
        return [quoted]  # in one piece: many mail programs do not support folded quoted strings
    tokens: list[str] = []
    for are_atoms, neighbors in itertools.groupby(words, is_atom):
        group = list(neighbors)
        tokens += group if are_atoms else encode_words(" ".join(group), MAX_WORD)
    return tokens


def encode_parameters(name: str, value: str, parameters: dict[str, str]) -> str:
    """Return a field such as Content-Type, with its parameters."""
    tokens = [value]
    for key, text in parameters.items():
        for token in encode_parameter(key, text):
            tokens[-1] += ";"
            tokens.append(token)
    return fold(name, tokens)


def encode_parameter(key: str, text: str) -> list[str]:
    """Return a parameter in one token or, if it is long, in several (RFC 2231 sections 3 and 4)."""
    plain = f"{key}={text}" if TOKEN.fullmatch(text) else f'{key}="{text}"'
    # many mail programs do not support escaped quotes and backslashes in a parameter
    if is_plain(text) and not re.search(r'["\\]', text) and len(plain) <= MAX_PARAMETER:
        return [plain]
    escaped = [quote(character, safe="") for character in text]
    whole = f"{key}*=UTF-8''{''.join(escaped)}"
    if len(whole) <= MAX_PARAMETER:
        return [whole]
    tokens = [f"{key}*0*=UTF-8''"]
    for character in escaped:
        if len(tokens[-1]) + len(character) > MAX_PARAMETER:
            tokens.append(f"{key}*{len(tokens)}*=")
        tokens[-1] += character
    return tokens


def encode_words(text: str, first: int) -> Iterator[str]:
    """Return encoded words, the first of at most `first` characters. Readers drop the blanks between them."""
    whole = UTF_8.header_encode(text)
    if len(whole) <= first:
        yield whole
        return
    part, size, limit = "", 0, max_bytes(first)
    for character in text:
        length = len(character.encode())
        if size + length > limit:
            yield UTF_8.header_encode(part)
            part, size, limit = "", 0, max_bytes(MAX_WORD)
        part += character
        size += length
    yield UTF_8.header_encode(part)


def max_bytes(length: int) -> int:
    """Return how many bytes an encoded word of this length contains in base64."""
    return (length - WORD_OVERHEAD) // 4 * 3


def split_at_blanks(text: str) -> list[str]:
    """Split a string at single blanks. Mail programs and relays would remove several blanks, or a blank at an end."""
    return re.split("(?<! ) (?! )", text)


def is_atom(word: str) -> bool:
    return ATOM.fullmatch(word) is not None and is_plain(word) and len(word) < MAX_LINE


def is_plain(text: str) -> bool:
    """Return whether a string can be in a header as it is. If it looked like an encoded word, it would be decoded."""
    return PRINTABLE.fullmatch(text) is not None and "=?" not in text


def quote_string(text: str) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'
