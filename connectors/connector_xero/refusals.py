"""Refusals: what Xero says of a request that failed, in the words of Xero where it has any."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from connector_xero.errors import XeroError

if TYPE_CHECKING:
    from spiffworkflow_connector_command.command_interface import CommandErrorDict, CommandResponseDict

_SIGN_IN = "sign in to Xero again in SpiffArena (Configuration, Authentications)"
_ADVICE = {
    "invalid_grant": f"the refresh token was used before, is too old, or was withdrawn; {_SIGN_IN}",
    "invalid_client": "it does not know the client id, or the client secret is not that of the app",
    "HttpError401": f"the access token is not valid for this; {_SIGN_IN}",
    "HttpError403": f"who signed in may not do this, or not any more; {_SIGN_IN}",
}


def read_refusal(response: CommandResponseDict, error: CommandErrorDict) -> XeroError:
    """Return the error of a request from what the http connector returned."""
    code, status, body = error["error_code"], response.get("http_status") or 500, response["body"]
    if not code.startswith("HttpError"):
        # the message about an answer quotes it, which may be a token set; without an answer there is no body
        return refuse_answer() if body else XeroError(code, error["message"], status)
    body = body if isinstance(body, dict) else {}
    name = body.get("error") or body.get("Type")  # as OAuth has it (RFC 6749 section 5.2), and as the API has it
    if status in (400, 401) and isinstance(name, str) and re.fullmatch("[A-Za-z_]{1,60}", name):
        code = name
    words = [_read_words(body), _ADVICE.get(code, "")]
    if status == 429:
        headers = {name.lower(): value for name, value in response.get("headers", {}).items()}
        problem, seconds = headers.get("x-rate-limit-problem", "request"), headers.get("retry-after", "some")
        words.append(f"the {problem} limit is reached; try again in {seconds} seconds")
    return XeroError(code, ": ".join([f"Xero answered {status}", *filter(None, words)]), status)


def refuse_answer() -> XeroError:
    names = "CONNECTOR_PROXY_XERO_URL and CONNECTOR_PROXY_XERO_IDENTITY_URL"
    return XeroError("UnexpectedAnswer", f"Xero's answer is not what Xero documents; are {names} right?", 502)


def _read_words(body: dict[str, Any]) -> str:
    """Return what is wrong with each element, else what the API says in general."""
    errors = [error for element in _dicts(body.get("Elements")) for error in _dicts(element.get("ValidationErrors"))]
    texts = [str(error.get("Message")) for error in errors] or [
        str(body[name]) for name in ("Message", "Detail", "Title", "error") if body.get(name)
    ][:1]
    return "; ".join(texts)[:1000]


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
