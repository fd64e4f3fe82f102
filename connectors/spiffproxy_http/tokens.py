"""Access tokens that the proxy requests for a diagram, by client credentials or a refresh token (RFC 6749, 4.4 and 6).

They stay in the memory of the process. No message, log or result has a token or a secret.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from spiffproxy_http import client_certs, hosts
from spiffproxy_http.errors import RequestError
from spiffproxy_http.hiding import describe_error, hide
from spiffproxy_http.oauth2 import App, provider_error, request_token_set
from spiffproxy_http.url import parse_url

if TYPE_CHECKING:
    from spiffproxy_http.client import Client

EXAMPLE = '{"token_url": "https://login.example.org/token", "client_id": "…", "client_secret": "…"}'
AUTH_METHODS = {"basic": "client_secret_basic", "post": "client_secret_post"}
MARGIN_SECONDS = 30  # before a token expires, the proxy requests a new one
DEFAULT_SECONDS = 300  # of a token without `expires_in`; if it ends earlier, the upstream responds with 401
MAX_SECONDS = 24 * 3600
MAX_TOKENS = 1000  # in memory; the one that was not used for the longest time is dropped
MAX_TOKEN_CHARACTERS = 16 * 1024  # servers accept 8 to 16 KiB of headers
# the token endpoint did not respond; it may do so later
TEMPORARY_CODES = {"ConnectionError", "ConnectTimeout", "ReadTimeout", "ChunkedEncodingError", "ProxyError", "SSLError"}
TEMPORARY_ERRORS = {"temporarily_unavailable", "server_error"}  # RFC 6749 section 4.1.2.1


# --- The parameter ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Grant:
    """What entitles the proxy to an access token. A string that the author does not give is empty."""

    token_url: str = ""
    client_id: str = ""
    client_secret: str = ""
    scope: str = ""
    audience: str = ""
    refresh_token: str = ""
    auth: str = ""


def read_grant(parameter: str, value: Any) -> Grant:
    """Return the grant that a parameter describes; raise `RequestError` (`ValueError`) that says what is wrong."""
    # 1. an object of strings, with keys that are known
    if not isinstance(value, dict):
        hint = ", but is a string. Remove the quotes around it" if isinstance(value, str) else ""
        raise invalid_value(f"{parameter} must be an object such as {EXAMPLE}{hint}")
    names = [field.name for field in fields(Grant)]
    for name in value:
        if name not in names:
            raise invalid_value(f"{parameter} has the key {json.dumps(name[:40])}. Its keys are {', '.join(names)}")
    strings = {name: read_string(f"{parameter}.{name}", member) for name, member in value.items()}
    grant = Grant(**strings)
    # 2. nothing is missing
    required = ["token_url", "client_id"] if grant.refresh_token else ["token_url", "client_id", "client_secret"]
    for name in required:
        if not strings.get(name):
            raise invalid_value(f"{parameter}.{name} is missing. {parameter} must be an object such as {EXAMPLE}")
    # 3. where the request goes, and how the client authenticates there
    try:
        url = parse_url(grant.token_url)
    except RequestError as error:
        raise invalid_value(f"{parameter}.token_url: {error}") from None
    if url.credentials:
        raise invalid_value(f"{parameter}.token_url has a user and a password. Use client_id and client_secret")
    if grant.auth and grant.auth not in AUTH_METHODS:
        raise invalid_value(f'{parameter}.auth is {json.dumps(grant.auth[:40])}. Use "basic" or "post"')
    if grant.auth and not grant.client_secret:
        raise invalid_value(f'{parameter}.auth is "{grant.auth}", but client_secret is missing')
    return grant


def read_string(name: str, value: Any) -> str:
    """Return the string, empty for null. The message does not show the value: it may be a secret."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid_value(f"{name} must be a string")
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value):
        raise invalid_value(f"{name} contains a line break, another control character, or half of a surrogate pair")
    return value


def invalid_value(problem: str) -> RequestError:
    return RequestError("ValueError", f"{problem}.", 400)


class InvalidGrant(RequestError):
    """The provider does not accept the refresh token: it was used before, has expired, or was withdrawn."""


# --- The memory ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Token:
    value: str
    expires: float  # on the monotonic clock


class TokenRequest:
    """A request for a token that is under way, and its outcome: a token, an error, or neither."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.is_done = threading.Event()
        self.token: str | None = None
        self.error: RequestError | None = None


class TokenCache:
    """The tokens of the process. Keys are hashes of all that decides which token the provider gives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: OrderedDict[str, Token] = OrderedDict()
        self._refresh_tokens: OrderedDict[str, str] = OrderedDict()  # which the provider gave instead of an older one
        self._requests: dict[str, TokenRequest] = {}

    def get(self, grant: Grant, client: Client, *, refused: str | None = None) -> str:
        """Return an access token, a new one if the cache has only `refused`, which an upstream did not accept.

        Of the calls that need a token at the same time, one requests it. All of them get its outcome, also if it is an
        error; a later call tries again. Raises `RequestError`: `OAuth2Error`, `HostNotAllowed`.
        """
        settings = [client.config.get(name) for name in (hosts.SETTING, client_certs.SETTING)]
        account = make_key(settings, grant.token_url, grant.client_id, grant.client_secret, grant.refresh_token)
        key = make_key(account, grant.scope, grant.audience, grant.auth)
        # with another scope, too, the provider may replace the refresh token: such requests come one after another
        turn = account if grant.refresh_token else key
        while True:
            with self._lock:
                token = self._find(key)
                if token and token != refused:
                    return token
                request = self._requests.get(turn)
                if request is None:
                    own_request = self._requests[turn] = TokenRequest(key)
                    break
            if not request.is_done.wait(max(client.seconds_left(), 0)):
                raise RequestError("OAuth2Error", f"{describe(grant)} did not respond in time", 503)
            if request.key == key and request.token:
                return request.token
            if request.key == key and request.error:
                raise RequestError(request.error.error_code, str(request.error), request.error.http_status)
        try:
            return self._request(own_request, account, grant, client)
        except RequestError as error:
            if client.seconds_left() > 0:  # else the error is only about the time of this call
                own_request.error = error
            raise
        finally:
            with self._lock:
                del self._requests[turn]
            own_request.is_done.set()

    def _request(self, request: TokenRequest, account: str, grant: Grant, client: Client) -> str:
        """Request a token, and remember it and the refresh token that is to be used next."""
        started = time.monotonic()
        with self._lock:
            refresh_token = self._refresh_tokens.get(account, grant.refresh_token)
        try:
            token_set = request_token(grant, refresh_token, client)
        except InvalidGrant:
            with self._lock:
                self._refresh_tokens.pop(account, None)  # the next request begins with the author's own
            raise
        seconds = read_lifetime(token_set.get("expires_in")) - MARGIN_SECONDS
        request.token = str(token_set["access_token"])
        with self._lock:
            remember(self._tokens, request.key, Token(request.token, started + seconds))
            if grant.refresh_token:
                new = token_set.get("refresh_token")
                remember(self._refresh_tokens, account, new if is_token(new) else refresh_token)
        return request.token

    def _find(self, key: str) -> str | None:
        token = self._tokens.get(key)
        if token is None:
            return None
        if token.expires <= time.monotonic():
            del self._tokens[key]
            return None
        self._tokens.move_to_end(key)
        return token.value


def remember(values: OrderedDict[str, Any], key: str, value: Any) -> None:
    values[key] = value
    values.move_to_end(key)
    if len(values) > MAX_TOKENS:
        values.popitem(last=False)


def make_key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


token_cache = TokenCache()


# --- The token endpoint -------------------------------------------------------------------------------------------


def request_token(grant: Grant, refresh_token: str, client: Client) -> dict[str, Any]:
    """Return the token set of the provider; raise `RequestError` with the provider's words if there is none."""
    form = {"grant_type": "client_credentials"}
    if refresh_token:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    for name, value in ("scope", grant.scope), ("audience", grant.audience):
        if value:
            form[name] = value
    method = AUTH_METHODS[grant.auth or "basic"] if grant.client_secret else "none"
    app = App(grant.client_id, grant.client_secret, "", grant.token_url, grant.scope, method)
    try:
        status, token_set = request_token_set(client.sibling(), app, form)
    except RequestError as error:
        if error.http_status in (400, 403):  # a setting is wrong, or the host is not allowed
            raise
        http_status = 503 if error.error_code in TEMPORARY_CODES else 502
        message = f"{describe(grant)} gave no token: {describe_error(error)}"
        raise RequestError("OAuth2Error", message, http_status) from None
    if status >= 300 or not is_token(token_set.get("access_token")):
        raise refusal(grant, status, token_set, [grant.client_secret, grant.refresh_token, refresh_token])
    # Apigee has its own name for Bearer; a token of another type would need more than a header (RFC 6749 section 7.1)
    if str(token_set.get("token_type") or "bearer").lower() not in ("bearer", "bearertoken"):
        raise RequestError("OAuth2Error", f"{describe(grant)} gave a token that is not a Bearer token", 502)
    return token_set


def refusal(grant: Grant, status: int, response: Mapping[str, Any], secrets: list[str]) -> RequestError:
    credentials = f"{quote_plus(grant.client_id)}:{quote_plus(grant.client_secret)}"
    secrets = [*secrets, base64.b64encode(credentials.encode()).decode()]
    words = {name: hide(value, secrets) for name, value in response.items() if isinstance(value, str)}
    error = words.get("error")
    if status >= 500 or status in (408, 429) or error in TEMPORARY_ERRORS:
        http_status = 503
    elif status >= 300 or error:
        http_status = 400
    else:
        http_status = 502
    error_class = InvalidGrant if error == "invalid_grant" else RequestError
    reason = provider_error(words) or "no access token, and no reason"
    return error_class("OAuth2Error", f"{describe(grant)} responded with {status}: {reason}", http_status)


def describe(grant: Grant) -> str:
    return f"The token endpoint {parse_url(grant.token_url).redacted()}"


def is_token(value: Any) -> bool:
    """Return whether the value fits into a header and into the cache."""
    return isinstance(value, str) and len(value) <= MAX_TOKEN_CHARACTERS and bool(re.fullmatch("[!-~]+", value))


def read_lifetime(value: Any) -> float:
    """Return the seconds of `expires_in`, which some providers write as a string."""
    try:
        seconds = DEFAULT_SECONDS if value is None or isinstance(value, bool) else float(value)
    except OverflowError:
        seconds = MAX_SECONDS
    except (TypeError, ValueError):
        seconds = DEFAULT_SECONDS
    if seconds != seconds:  # "nan"
        seconds = DEFAULT_SECONDS
    return min(seconds, MAX_SECONDS)
