"""Replaces secrets that an upstream repeats with *** before anything of its response is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from spiffproxy_http.headers import Headers

if TYPE_CHECKING:
    from spiffproxy_http.client import Response

CHARSETS = ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]  # those of JSON and XML
NOTHING = "(?!)"  # a pattern that is found nowhere
MIN_SECRET_CHARACTERS = 6  # a shorter secret is not hidden: a response may contain it by chance


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return the text with *** for each secret."""
    return make_pattern(secrets).sub("***", text)


def make_pattern(secrets: Iterable[str]) -> re.Pattern[str]:
    """Return what finds the secrets in a text, in each form; of two at the same place the longer one."""
    forms = sorted((form for secret in secrets for form in list_forms(secret)), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, forms)) or NOTHING)


def hide_in_response(response: Response, token: str) -> None:
    """Replace the token in the headers and the body of a response, before the body is decoded or encoded in base64."""
    for form in list_forms(token):
        for charset in CHARSETS:
            response.body = response.body.replace(form.encode(charset), "***".encode(charset))
    response.headers = Headers([(name, hide(value, [token])) for name, value in response.headers.items()])


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


def list_forms(secret: str) -> list[str]:
    """Return how a secret may be written: as it is, URL-encoded, and with the slashes that some escape in JSON."""
    if len(secret) < MIN_SECRET_CHARACTERS:
        return []
    return list(dict.fromkeys([secret, quote_plus(secret), secret.replace("/", "\\/")]))
