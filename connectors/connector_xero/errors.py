"""What the codes mean, and what Xero says of a request that failed, in its own words where it has any."""

from __future__ import annotations

from typing import Any

from spiffproxy_http.errors import NO_RESPONSE
from spiffproxy_http.vendor import Refusal, Vendor

# those of Xero's own that are kept; another is the HttpError of its status
XERO_ERRORS = {
    "ValidationException": "Xero does not take what it was sent; the message has its words",
    "PostDataInvalidException": "Xero cannot read what it was sent; the message has its words",
    "invalid_grant": "the refresh token was used before, is too old, or was withdrawn; sign in again",
    "invalid_client": "the proxy has no client id and secret, or the wrong ones; ask its operator",
    "invalid_scope": "Xero does not give the app a right that it asks for",
    "unauthorized_client": "Xero does not let the app refresh tokens",
}
ERRORS = {
    **NO_RESPONSE,
    **XERO_ERRORS,
    "InvalidTokenSet": 'access_token is no token set; write "secret:xero/OAuth", and sign in first',
    "InvalidHeader": "the token set holds what is no access token; sign in again",
    "NoTenant": "no organisation is connected; sign in again, and choose one",
    "HttpError401": "the access token is not valid for this; sign in again",
    "HttpError403": "whoever signed in may not do this, or not any more; sign in again",
    "HttpError429": "there were more calls than Xero takes",
    "HttpError<status>": "Xero answered with this status, 400 or above; the message has its words",
    "UnexpectedAnswer": "the answer is not what Xero documents",
}
_SIGN_IN = "sign in to Xero again in SpiffArena (Configuration, Authentications)"
_ADVICE = {
    "invalid_grant": f"the refresh token was used before, is too old, or was withdrawn; {_SIGN_IN}",
    "invalid_client": "it does not know the client id, or the client secret is not that of the app",
    "HttpError401": f"the access token is not valid for this; {_SIGN_IN}",
    "HttpError403": f"who signed in may not do this, or not any more; {_SIGN_IN}",
}


def _read_refusal(refusal: Refusal) -> tuple[str, list[str]]:
    status, code = refusal.status, f"HttpError{refusal.status}"
    body = refusal.body if isinstance(refusal.body, dict) else {}
    name = str(body.get("error") or body.get("Type"))  # as OAuth has it (RFC 6749 section 5.2), and as the API has it
    if status in (400, 401) and name in XERO_ERRORS:
        code = name
    words = [_read_words(body), _ADVICE.get(code, "")]
    if status == 429:
        problem = refusal.headers.get("x-rate-limit-problem", "request")
        words.append(f"the {problem} limit is reached; {refusal.say_when()}")
    return code, words


def _read_words(body: dict[str, Any]) -> str:
    """Return what is wrong with each element, else what the API says in general."""
    errors = [error for element in _dicts(body.get("Elements")) for error in _dicts(element.get("ValidationErrors"))]
    texts = [str(error.get("Message")) for error in errors] or [
        str(body[name]) for name in ("Message", "Detail", "Title", "error", "Type") if body.get(name)
    ][:1]
    return "; ".join(texts)[:1000]


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


XERO = Vendor("Xero", "; are CONNECTOR_PROXY_XERO_URL and CONNECTOR_PROXY_XERO_IDENTITY_URL right?", _read_refusal)
