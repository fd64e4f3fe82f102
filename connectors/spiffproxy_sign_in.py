"""Signing in: OAuth 2 with an authorization code (RFC 6749 section 4.1) and PKCE (RFC 7636).

Imported when the first request below `/v1/auth/` comes.

1. A person's browser comes from SpiffArena's page with a `redirect_url`. The proxy sends it to the provider.
2. What the proxy needs when the browser comes back is in a cookie: the id of the authentication, `redirect_url`, the
   verifier of PKCE, and the time when the sign-in expires. So any replica can continue.
3. `state`, which goes through the provider, is the signature of that cookie, and reveals nothing of it.
4. The browser comes back with `state` and a code. The signature is checked, then the id and the time; the code is
   exchanged for the token set, and the browser is sent to `redirect_url` with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable
from urllib.parse import quote, unquote, urlencode, urlsplit
from wsgiref.util import application_uri

from spiffproxy_http import Client, RequestError
from spiffproxy_http.oauth2 import App, provider_error, read_app, request_token_set
from spiffproxy_settings import parse_url_prefix, read_url_prefix

from spiffproxy import (
    Entry,
    Proxy,
    ProxyError,
    Response,
    SettingError,
    Settings,
    bind_parameters,
    convert_exceptions,
    encode_json,
    parse_query,
    response_from_error,
    run_to_end,
)

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment  # novm

SIGN_IN_SECONDS = 600  # for a person to sign in
TOKEN_SECONDS = 20  # for the token endpoint
places = threading.BoundedSemaphore(32)  # for requests at once; see MAX_CONNECTIONS and MAX_RUNNING_COMMANDS
MAX_COOKIE_BYTES = 3800  # of its value (RFC 6265 section 6.1: 4096 bytes with its name and attributes)
AGAIN = "Start to sign in again."


# --- The two requests of the browser ------------------------------------------------------------------------------


def begin_sign_in(proxy: Proxy, environ: WSGIEnvironment, auth_id: str) -> Response:
    """Send the browser to the provider."""
    return show_errors(send_to_provider, proxy, environ, auth_id)


def end_sign_in(proxy: Proxy, environ: WSGIEnvironment, auth_id: str) -> Response:
    """Exchange the code that the browser brings for the token set, and send the browser on with it."""
    return show_errors(send_back, proxy, environ, auth_id)


def show_errors(
    answer: Callable[[Entry, WSGIEnvironment, Settings], Response],
    proxy: Proxy,
    environ: WSGIEnvironment,
    auth_id: str,
) -> Response:
    """Return an error as JSON, or as a short page for a browser."""
    try:
        with acquire_place():
            return answer(load_auth(proxy, auth_id), environ, proxy.settings)
    except ProxyError as error:
        response = response_from_error(error)
        if "text/html" not in environ.get("HTTP_ACCEPT", "").lower():
            return response
        page = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Not signed in</title><h1>Not signed in</h1>'
            f"<p>{html.escape(error.message)}</p><p><code>{html.escape(error.error_code)}</code></p></html>"
        )
        body = page.encode("ascii", "xmlcharrefreplace")  # a message may have half of a surrogate pair
        return response._replace(body=body, content_type="text/html; charset=utf-8")


@contextmanager
def acquire_place() -> Iterator[None]:
    """Limit the requests at once: they need no key, and must leave connections for requests that do."""
    if not places.acquire(blocking=False):
        raise ProxyError(503, "too_busy", "Too many people are signing in at once; try again.", {"Retry-After": "1"})
    try:
        yield
    finally:
        places.release()


def load_auth(proxy: Proxy, auth_id: str) -> Entry:
    """Return an authentication. If the proxy has a key, errors do not describe the connectors: browsers have none."""
    try:
        return proxy.connectors.load_entry("auths", auth_id)
    except ProxyError as error:
        if proxy.settings.api_keys:
            message = "There is no such authentication, or it cannot be used now. GET /v1/auths lists what there is."
            raise ProxyError(error.status, error.error_code, message) from None
        raise


def send_to_provider(entry: Entry, environ: WSGIEnvironment, settings: Settings) -> Response:
    redirect_url = read_redirect_url(environ.get("QUERY_STRING", ""))
    check_redirect_url(redirect_url, settings)
    app = describe_app(entry, settings.config)
    callback = sign_in_callback_url(entry, environ, settings)
    verifier = encode_base64url(os.urandom(32))
    attempt = [entry.id, redirect_url, verifier, int(time.time()) + SIGN_IN_SECONDS]
    cookie = encode_base64url(encode_json(attempt))
    if len(cookie) > MAX_COOKIE_BYTES:
        message = f"The redirect_url is too long: {len(redirect_url)} characters"
        raise ProxyError(400, "invalid_redirect_url", message)
    state = sign(cookie, settings.secret_key)
    query = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": callback,
        "state": state,
        "code_challenge": encode_base64url(hashlib.sha256(verifier.encode()).digest()),
        "code_challenge_method": "S256",
    }
    if app.scope:
        query["scope"] = app.scope
    return redirect(app.authorization_url, query, make_cookie(state, cookie, callback, SIGN_IN_SECONDS))


def send_back(entry: Entry, environ: WSGIEnvironment, settings: Settings) -> Response:
    query = parse_query(environ)
    state = query.get("state", "")
    callback = sign_in_callback_url(entry, environ, settings)
    redirect_url, verifier = read_attempt(environ, state, entry.id, settings.secret_key)
    check_redirect_url(redirect_url, settings)
    if "code" not in query:
        words = provider_error(query) or "it sent neither a code nor a reason"
        raise ProxyError(400, "sign_in_refused", f"The provider has not signed you in: {words}")
    app = describe_app(entry, settings.config)
    token_set = fetch_token_set(app, query["code"], callback, verifier, settings.config)
    return redirect(redirect_url, {"response": json.dumps(token_set)}, make_cookie(state, "", callback, 0))


# --- What the connector and the request contain -------------------------------------------------------------------


def describe_app(entry: Entry, config: Mapping[str, Any]) -> App:
    """Return the app of an authentication; raise ProxyError: 500 if it is incomplete, 501 if it is not of OAuth 2."""
    arguments, keywords = bind_parameters(entry, {})
    with convert_exceptions(entry.id):
        description = run_to_end(entry.cls(*arguments, **keywords).app_description(config))
        values = {name: str(description.get(name) or "") for name in ("version", *App._fields)}
        scope = description.get("scope")  # which may be a list
    if values["version"] != "2":
        message = f"{entry.id} needs version {values['version']!r} of OAuth, but this proxy supports only version '2'"
        raise ProxyError(501, "oauth_version_unsupported", message)
    try:
        return read_app({**values, "scope": scope})
    except ValueError as error:
        raise ProxyError(500, "invalid_auth", f"{entry.id} {error}") from None


def sign_in_callback_url(entry: Entry, environ: WSGIEnvironment, settings: Settings) -> str:
    """Return where the provider sends the browser back to; raise ProxyError, 400, if the Host header is invalid."""
    base = settings.public_url or application_uri(environ).rstrip("/")
    try:
        read_url_prefix("The Host header", base)
    except SettingError as error:
        raise ProxyError(400, "bad_request", str(error)) from None
    return f"{base}/v1/auth/{quote(entry.id)}/callback"


def read_redirect_url(query: str) -> str:
    """Return the URL in a query.

    SpiffArena's page does not escape it:  redirect_url=https://host/callback?token=x&y=z  is one URL to its end.
    Other pages do:  redirect_url=https%3A%2F%2Fhost%2Fcallback&other=1
    """
    url = query.partition("redirect_url=")[2]
    first = url.partition("&")[0]
    if "://" in first:
        return url
    return unquote(first)


def check_redirect_url(url: str, settings: Settings) -> None:
    """Raise ProxyError if tokens may not be sent to a URL. It names only the host, because the URL contains a token."""
    try:
        prefix = parse_url_prefix(url)
    except ValueError as error:
        raise ProxyError(400, "invalid_redirect_url", f"The redirect_url cannot be used: {error}") from None
    if not any(parse_url_prefix(allowed).contains(prefix) for allowed in settings.auth_redirect_urls):
        name = "CONNECTOR_PROXY_AUTH_REDIRECT_URLS"
        reason = f"it is not within {name}" if settings.auth_redirect_urls else f"{name} is unset"
        message = f"Tokens may not be sent to this redirect_url, on {prefix.host}: {reason}. Ask the operator"
        raise ProxyError(403, "redirect_url_not_allowed", message)


# --- Cookie and state ---------------------------------------------------------------------------------------------


def read_attempt(environ: WSGIEnvironment, state: str, auth_id: str, key: bytes) -> tuple[str, str]:
    """Return redirect_url and verifier of the sign-in that comes back; raise ProxyError, 400, if it is not valid."""
    cookie = None
    if re.fullmatch("[A-Za-z0-9_-]{43}", state):
        pattern = rf"(?:^|[; ])spiffproxy_{state[:16]}=([A-Za-z0-9_-]+)"
        cookie = re.search(pattern, environ.get("HTTP_COOKIE", ""))
    if not cookie:
        message = f"This browser did not begin to sign in here, or too long ago. {AGAIN}"
        raise ProxyError(400, "invalid_state", message)
    if not hmac.compare_digest(sign(cookie[1], key), state):
        message = f"The state is invalid. All workers and replicas need the same CONNECTOR_PROXY_SECRET_KEY. {AGAIN}"
        raise ProxyError(400, "invalid_state", message)
    began_id, redirect_url, verifier, expires = json.loads(base64.urlsafe_b64decode(cookie[1] + "=="))
    if began_id != auth_id or expires < time.time():
        message = f"The sign-in took longer than {SIGN_IN_SECONDS // 60} minutes, or was for another one. {AGAIN}"
        raise ProxyError(400, "invalid_state", message)
    return redirect_url, verifier


def make_cookie(state: str, value: str, callback: str, seconds: int) -> str:
    """Return a cookie for one sign-in, so that two tabs can do it at once, and for its callback alone."""
    parts = urlsplit(callback)
    secure = "; Secure" if parts.scheme == "https" else ""
    return f"spiffproxy_{state[:16]}={value}; Path={parts.path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"


def sign(text: str, key: bytes) -> str:
    return encode_base64url(hmac.digest(key, text.encode(), "sha256"))


def encode_base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def redirect(url: str, query: Mapping[str, str], cookie: str) -> Response:
    url, hash_sign, fragment = url.partition("#")
    separator = "&" if "?" in url else "?"
    location = f"{url}{separator}{urlencode(query, quote_via=quote)}{hash_sign}{fragment}"
    headers = {
        "Location": location,
        "Set-Cookie": cookie,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
    return Response(302, b"", "text/plain", headers)


# --- The token endpoint -------------------------------------------------------------------------------------------


def fetch_token_set(app: App, code: str, callback: str, verifier: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Exchange the code for the token set; raise ProxyError, 502, with the provider's words if there is none."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": verifier}
    try:
        status, token_set = request_token_set(Client(config, seconds=TOKEN_SECONDS), app, form)
    except RequestError as error:
        message = f"The provider's token endpoint sent no complete response: {error}"
        raise ProxyError(502, "token_endpoint_failed", message) from None
    token = token_set.get("access_token")
    if status >= 300 or not isinstance(token, str) or not token:
        words = provider_error(token_set) or "it sent neither a token nor a reason"
        raise ProxyError(502, "token_refused", f"The provider's token endpoint responded with {status}: {words}")
    return token_set
