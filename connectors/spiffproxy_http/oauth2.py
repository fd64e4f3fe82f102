"""OAuth 2 (RFC 6749): what a connector's `app_description` names, and the token endpoint (section 3.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, quote_plus, urlsplit

from spiffproxy_http.content import decode_text, parse_json
from spiffproxy_http.errors import RequestError

if TYPE_CHECKING:
    from spiffproxy_http.client import Client
    from spiffproxy_http.headers import Headers

MAX_TOKEN_SET_BYTES = 1024**2
URL = re.compile(r"https?://[\w.:\[\]-]+([/?#][!-~]*)?", re.IGNORECASE | re.ASCII)
AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")  # names of RFC 7591 section 2


class App(NamedTuple):
    """An application that is registered with a provider."""

    client_id: str
    client_secret: str
    authorization_url: str
    access_token_url: str
    scope: str
    token_endpoint_auth_method: str


def read_app(description: Mapping[str, Any]) -> App:
    """Return the application of a description; raise ValueError that says what is wrong with it.

    `scope` is a string, or a list or tuple of strings. The other values are strings, and may be empty.
    """
    # 1. the URLs and the client
    urls = description["authorization_url"], description["access_token_url"]
    if not (description["client_id"] and all(URL.fullmatch(url) for url in urls)):
        raise ValueError("has no valid client_id, authorization_url or access_token_url in its app_description")
    for name, value in parse_qsl(urlsplit(urls[0]).query):
        if name == "response_mode" and value != "query":  # such as form_post or fragment
            message = f"has response_mode={value} in its authorization_url, but the proxy reads the code from the query"
            raise ValueError(f"{message}. Remove response_mode from the URL")
    # 2. how the client authenticates at the token endpoint
    method = description["token_endpoint_auth_method"]
    if not method:
        method = "client_secret_basic" if description["client_secret"] else "none"
    if method not in AUTH_METHODS:
        raise ValueError(f"has token_endpoint_auth_method {method!r}. Use one of {', '.join(AUTH_METHODS)}")
    if method != "none" and not description["client_secret"]:
        raise ValueError(f"has token_endpoint_auth_method {method!r}, but no client_secret. Add it, or use 'none'")
    # 3. the scope
    scope = description["scope"] or ""
    if isinstance(scope, (list, tuple)) and all(isinstance(word, str) for word in scope):
        scope = " ".join(" ".join(scope).split())
    if not isinstance(scope, str):
        raise ValueError("has a scope that is not a string or a list of strings in its app_description")
    return App(description["client_id"], description["client_secret"], *urls, scope, method)


def request_token_set(client: Client, app: App, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Send a request for tokens; return the status and the JSON object of the response, {} if it is something else.

    Raises RequestError if there is no response. The client authenticates by section 2.3.1: with HTTP Basic, both parts
    form-encoded, or in the form.
    """
    method, basic_auth = app.token_endpoint_auth_method, None
    if method == "client_secret_basic":
        basic_auth = (quote_plus(app.client_id), quote_plus(app.client_secret))
    else:
        form = {**form, "client_id": app.client_id}
    if method == "client_secret_post":
        form["client_secret"] = app.client_secret
    headers = {"Accept": "application/json"}
    try:
        response = client.send("POST", app.access_token_url, headers=headers, form=form, basic_auth=basic_auth)
    except RequestError as error:
        if error.response is None:
            raise
        response = error.response
    if len(response.body) > MAX_TOKEN_SET_BYTES:
        raise RequestError("ResponseTooLarge", f"it has more than {MAX_TOKEN_SET_BYTES} bytes", 413)
    return response.status, parse_token_set(response.body, response.headers)


def parse_token_set(body: bytes, headers: Headers) -> dict[str, Any]:
    """Read JSON, or the form encoding that some providers respond with; return {} if it is neither."""
    try:
        token_set = parse_json(body, headers)
    except ValueError:
        text = decode_text(body, headers).removeprefix("\ufeff").strip()
        token_set = dict(parse_qsl(text)) if re.fullmatch(r"[^\s<>{}\"']+", text) else {}
    return token_set if isinstance(token_set, dict) else {}


def provider_error(response: Mapping[str, Any]) -> str:
    """Return the error of a provider in its own words (sections 4.1.2.1 and 5.2)."""
    words = [str(response[name])[:300] for name in ("error", "error_description") if response.get(name)]
    return re.sub(r"[\x00-\x1f\x7f]+", " ", ": ".join(words))
