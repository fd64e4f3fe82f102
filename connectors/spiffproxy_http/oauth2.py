"""The token endpoint of OAuth 2 (RFC 6749 section 3.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote_plus

from spiffproxy import decode_json
from spiffproxy_http.errors import RequestError

if TYPE_CHECKING:
    from spiffproxy_http.client import Client

MAX_TOKEN_SET_BYTES = 1024**2


def request_token_set(
    client: Client, url: str, form: dict[str, str], client_id: str, client_secret: str
) -> tuple[int, dict[str, Any]]:
    """Send a request for tokens; return the status and the JSON object of the response, {} if it is something else.

    Raises RequestError if there is no response. The client authenticates with HTTP Basic, both parts form-encoded
    (section 2.3.1); without a secret, its id is in the form.
    """
    basic_auth = None
    if client_secret:
        basic_auth = (quote_plus(client_id), quote_plus(client_secret))
    else:
        form = {**form, "client_id": client_id}
    try:
        response = client.send("POST", url, headers={"Accept": "application/json"}, form=form, basic_auth=basic_auth)
    except RequestError as error:
        if error.response is None:
            raise
        response = error.response
    if len(response.body) > MAX_TOKEN_SET_BYTES:
        raise RequestError("ResponseTooLarge", f"it has more than {MAX_TOKEN_SET_BYTES} bytes", 413)
    return response.status, parse_token_set(response.body.decode("utf-8", "replace").strip())


def parse_token_set(text: str) -> dict[str, Any]:
    """Read JSON, or the form encoding that some providers respond with; return {} if it is neither."""
    try:
        token_set = decode_json(text)
    except (ValueError, RecursionError):
        token_set = dict(parse_qsl(text)) if re.fullmatch(r"[^\s<>{}\"']+", text) else {}
    return token_set if isinstance(token_set, dict) else {}


def provider_error(response: Mapping[str, Any]) -> str:
    """Return the error of a provider in its own words (sections 4.1.2.1 and 5.2)."""
    words = [str(response[name])[:300] for name in ("error", "error_description") if response.get(name)]
    return re.sub(r"[\x00-\x1f\x7f]+", " ", ": ".join(words))
