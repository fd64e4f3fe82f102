"""The token set: what Xero gives to who has signed in, and SpiffArena keeps as the secret `xero/OAuth`."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from connector_http.errors import RequestError

_MARGIN_SECONDS = 60  # an access token is to last for the whole command


def read_token_set(value: Any) -> dict[str, Any]:
    """Return the token set that a parameter holds, as JSON or read already; raise `RequestError`."""
    try:
        tokens = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        tokens = None
    if not isinstance(tokens, dict) or not isinstance(tokens.get("refresh_token"), str):
        message = 'access_token must be the whole token set, with its refresh_token: write "secret:xero/OAuth"'
        raise RequestError("InvalidTokenSet", message, 400)
    return tokens


def is_fresh(tokens: dict[str, Any]) -> bool:
    """Tell whether the access token says that it lasts long enough: Xero's are JWTs (RFC 7519 section 4.1.4)."""
    try:
        claims = tokens["access_token"].split(".")[1]
        expires = float(json.loads(base64.urlsafe_b64decode(f"{claims}=="))["exp"])
    except Exception:  # whatever it is, it does not say so
        return False
    return expires - time.time() > _MARGIN_SECONDS
