"""The error codes and their meanings, and what Xero says about a request that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spiffproxy_http.errors import NO_RESPONSE
from spiffproxy_http.vendor import Vendor, advise_retry, read_json

if TYPE_CHECKING:
    from spiffproxy_http import Response

# Xero's own codes that are error codes here, too; any other code becomes the HttpError of its status
XERO_ERRORS = {
    "ValidationException": "Xero refuses the invoice; the message has Xero's words",
    "PostDataInvalidException": "Xero cannot read the request; the message has Xero's words",
    "invalid_grant": "the refresh token was used before, is too old, or was withdrawn; sign in again",
    "invalid_client": "the proxy has no client id and secret, or the wrong ones; ask its operator",
    "invalid_scope": "Xero does not give the app a right that it needs; ask the operator of the proxy",
    "unauthorized_client": "Xero does not let the app refresh tokens; ask the operator of the proxy",
}
ERRORS = {
    **NO_RESPONSE,
    **XERO_ERRORS,
    "InvalidTokenSet": 'access_token is not a token set; write "secret:xero/OAuth", and sign in first',
    "InvalidHeader": "the token set contains an invalid access token; sign in again",
    "NoTenant": "no organisation is connected; sign in again, and choose one",
    "HttpError401": "the access token is not valid for this; sign in again",
    "HttpError403": "the person who signed in may not do this, or no longer; sign in again as a person who may",
    "HttpError429": "there were too many calls; the message says when to try again",
    "HttpError<status>": "Xero responded with this status, 400 or above; the message has Xero's words",
    "UnexpectedAnswer": "the response is not what Xero documents; ask the operator of the proxy",
}
SIGN_IN = "sign in to Xero again in SpiffArena (Configuration, Authentications)"
ADVICE = {
    "invalid_grant": f"the refresh token was used before, is too old, or was withdrawn; {SIGN_IN}",
    "invalid_client": "Xero does not know the client id, or the client secret is wrong; ask the operator of the proxy",
    "HttpError401": f"the access token is not valid for this; {SIGN_IN}",
    "HttpError403": f"the person who signed in may not do this, or no longer; {SIGN_IN}",
}


def explain(response: Response) -> tuple[str, list[str]]:
    """Return the code of an error response, Xero's words, and what to do."""
    status, code = response.status, f"HttpError{response.status}"
    body = read_json(response)
    if not isinstance(body, dict):
        body = {}
    name = str(body.get("error") or body.get("Type"))  # as in OAuth (RFC 6749 section 5.2), and as in the API
    if status in (400, 401) and name in XERO_ERRORS:
        code = name
    words = [read_message(body), ADVICE.get(code, "")]
    if status == 429:
        problem = response.headers.get("X-Rate-Limit-Problem") or "request"
        words.append(f"the {problem} limit is reached; {advise_retry(response)}")
    return code, words


def read_message(body: dict[str, Any]) -> str:
    """Return what is wrong with each element, else what the API says in general."""
    messages = []
    for element in list_objects(body.get("Elements")):
        for error in list_objects(element.get("ValidationErrors")):
            messages.append(str(error.get("Message")))
    if not messages:
        for name in ("Message", "Detail", "Title", "error", "Type"):
            if body.get(name):
                return str(body[name])[:1000]
    return "; ".join(messages)[:1000]


def list_objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


XERO = Vendor("Xero", ". Check CONNECTOR_PROXY_XERO_URL and CONNECTOR_PROXY_XERO_IDENTITY_URL", explain)
