"""Replaces secrets that an upstream repeats with *** before anything of its response is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from spiffproxy_http.headers import Headers

if TYPE_CHECKING:
    from spiffproxy_http.client import Response
    from spiffproxy_http.errors import RequestError

CHARSETS = ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]  # those of JSON and XML
NOTHING = "(?!)"  # a pattern that is found nowhere
MIN_SECRET_CHARACTERS = 6  # a shorter secret is not hidden: a response may contain it by chance
ENTITIES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;",
    "/": "&sol;",
    "+": "&plus;",
    "=": "&equals;",
}
QUOTING_CODES = {"InvalidResponse", "ContentDecodingError", "InvalidURL", "InvalidSchema"}  # by the upstream's doing


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return the text with *** for each secret."""
    return make_pattern(secrets).sub("***", text)


def make_pattern(secrets: Iterable[str]) -> re.Pattern[str]:
    """Return what finds the secrets in a text, in each form; of two at the same place the longer one."""
    ordered = sorted((secret for secret in secrets if len(secret) >= MIN_SECRET_CHARACTERS), key=len, reverse=True)
    return re.compile("|".join(map(write_pattern, ordered)) or NOTHING)


def hide_in_response(response: Response, token: str) -> None:
    """Replace the token in the headers and the body of a response, before the body is decoded or encoded in base64."""
    if len(token) < MIN_SECRET_CHARACTERS:
        return
    for charset in CHARSETS if b"\0" in response.body else CHARSETS[:1]:  # the others write ASCII with NUL
        pattern = re.compile(write_pattern(token, charset).encode("latin-1"))
        response.body = pattern.sub("***".encode(charset), response.body)
    in_text = make_pattern([token])
    response.headers = Headers([(name, in_text.sub("***", value)) for name, value in response.headers.items()])


def describe_error(error: RequestError) -> str:
    """Return the message of an error, but only its code if it may quote a part of a response: a message has at most
    80 characters of it, and a secret that was cut is not found.
    """
    if error.response is None and error.error_code in QUOTING_CODES:
        return f"The response is invalid ({error.error_code}). It is not quoted, because it may contain a secret"
    return str(error)


def hide_in_json(value: Any, secrets: list[str]) -> None:
    """Replace the secrets in the strings and keys of an object or a list, however deep: parsing has unescaped them."""
    pattern = make_pattern(secrets)

    def hide_in_item(item: Any) -> Any:
        if isinstance(item, (dict, list)):
            containers.append(item)
        return pattern.sub("***", item) if isinstance(item, str) else item

    containers = [value]
    while containers:  # recursion would end at some depth
        container = containers.pop()
        if isinstance(container, dict):
            items = [(pattern.sub("***", name), hide_in_item(item)) for name, item in container.items()]
            container.clear()
            container.update(items)
        else:
            container[:] = map(hide_in_item, container)


def write_pattern(secret: str, charset: str = "") -> str:
    """Return a pattern that finds a secret in text, or in bytes of a charset, each of which it has as latin-1.

    Each character but letters and digits may be written as in URLs (%2B), in JSON (\\u002B, \\/) and in HTML (&#x2B;).
    """

    def literal(text: str) -> str:
        return re.escape(text.encode(charset).decode("latin-1") if charset else text)

    def write_character(character: str) -> str:
        if character.isascii() and character.isalnum():
            return literal(character)
        # each form begins with a literal character, by which `re` can search quickly
        percent = character.encode("utf-8", "surrogatepass").hex("%")
        json = "u" + re.sub("(....)(?=.)", r"\1\\u", character.encode("utf-16-be", "surrogatepass").hex())
        backslash, zeros, end = literal("\\"), f"(?:{literal('0')})*", f"(?:{literal(';')})?"
        forms = [
            f"{literal('%')}(?i:{literal(percent)})",
            f"{backslash}(?i:{literal(json)})",
            f"{literal('&')}(?i:{literal('#x')}{zeros}{literal(f'{ord(character):x}')}){end}",
            f"{literal('&#')}{zeros}{literal(str(ord(character)))}{end}",
        ]
        others = [ENTITIES.get(character, ""), "+" if character == " " else "", f"\\{character}", character]
        return f"(?:{'|'.join([*forms, *(literal(form) for form in others if form)])})"

    return "".join(map(write_character, secret))
