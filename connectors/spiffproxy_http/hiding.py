"""Replaces secrets that an upstream repeats with *** before anything of its response is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from spiffproxy_http.headers import Headers

if TYPE_CHECKING:
    from spiffproxy_http.client import Response

MIN_SECRET_CHARACTERS = 6  # a shorter secret is not hidden: a response may contain it by chance


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return the text with *** for each secret."""
    forms = [form for secret in secrets for form in list_forms(secret)]
    for form in sorted(forms, key=len, reverse=True):  # one may be the start of another
        text = text.replace(form, "***")
    return text


def hide_in_response(response: Response, token: str) -> None:
    """Replace the token in the headers and the body of a response."""
    for form in list_forms(token):
        response.body = response.body.replace(form.encode(), b"***")
    response.headers = Headers([(name, hide(value, [token])) for name, value in response.headers.items()])


def list_forms(secret: str) -> list[str]:
    """Return how a secret may be written: as it is, URL-encoded, and with the slashes that some escape in JSON."""
    if len(secret) < MIN_SECRET_CHARACTERS:
        return []
    return [secret, quote_plus(secret), secret.replace("/", "\\/")]
