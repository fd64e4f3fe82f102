"""Login with an access token: where it comes from, and how it is sent (XOAUTH2, and OAUTHBEARER of RFC 7628)."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from spiffproxy_http import Client, RequestError
from spiffproxy_http.excerpts import show
from spiffproxy_http.hiding import hide
from spiffproxy_http.sockets import seconds_until
from spiffproxy_http.tokens import Grant, is_token, read_grant, read_string, token_cache

from connector_smtp.errors import ERRORS, TokenError

PARAMETER = "smtp_oauth2"


class TokenLogin:
    """The user and the token of a login. The author gives the token, or a grant by which the proxy gets a token."""

    def __init__(self, user: str, token: str, grant: Grant | None, client: Client) -> None:
        self.user = user
        self.token = token
        self._grant = grant
        self._client = client

    def renew(self) -> bool:
        """Get a new token after the server did not accept this one, and return whether there is one."""
        refused = self.token
        if self._grant:
            self.token = get_token(self._grant, self._client, refused)
        return self.token != refused

    def encode_response(self, mechanism: str, host: str, port: int) -> str:
        """Return the response of the mechanism, in base64."""
        if mechanism == "XOAUTH2":
            text = f"user={self.user}\x01auth=Bearer {self.token}\x01\x01"
        else:
            user = self.user.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 section 4
            text = f"n,a={user},\x01host={host}\x01port={port}\x01auth=Bearer {self.token}\x01\x01"
        return base64.b64encode(text.encode()).decode()

    def describe_refusal(self, words: bytes, reason: bytes) -> bytes:
        """Return what a server says about a refusal, without the token."""
        text = words.decode("utf-8", "replace")
        details = hide(read_reason(reason), [self.token])
        if details:
            text = f"{text} ({details})".lstrip()
        return text.encode()


def read_token_login(value: dict[str, Any], user: str, password: str, config: Any, deadline: float) -> TokenLogin:
    """Return the login that the parameters describe, with its token; raise ValueError, or TokenError, which is one."""
    if not user:
        raise ValueError(f"{PARAMETER} needs smtp_user, the mailbox that the token is for.")
    if re.search(r"[\x00-\x1f\x7f]", user):
        raise ValueError("smtp_user contains a control character. Remove it.")
    if password:
        raise ValueError(f"{PARAMETER} cannot be combined with smtp_password. Remove one of them.")
    try:
        client = Client(config, seconds=seconds_until(deadline))
        if value.get("access_token") is not None:
            return TokenLogin(user, read_token(value), None, client)
        grant = read_grant(PARAMETER, {name: member for name, member in value.items() if name != "access_token"})
    except RequestError as error:
        raise to_token_error(error) from None
    return TokenLogin(user, get_token(grant, client), grant, client)


def read_token(value: dict[str, Any]) -> str:
    others = [name for name, member in value.items() if name != "access_token" and member is not None]
    if others:
        raise ValueError(f"{PARAMETER}.access_token cannot be combined with {show(others[0])}. Remove one of them.")
    token = read_string(f"{PARAMETER}.access_token", value["access_token"])
    if not is_token(token):
        raise ValueError(f"{PARAMETER}.access_token is not a token. Use up to 16,384 visible ASCII characters.")
    return token


def get_token(grant: Grant, client: Client, refused: str | None = None) -> str:
    try:
        return token_cache.get(grant, client, refused=refused)
    except RequestError as error:
        raise to_token_error(error) from None


def to_token_error(error: RequestError) -> TokenError:
    code = error.error_code if error.error_code in ERRORS else "OAuth2Error"  # such as InvalidURL
    return TokenError(str(error), code, error.http_status)


def read_reason(challenge: bytes) -> str:
    """Return why a server refuses: base64 of a JSON object (RFC 7628 section 3.2.2), or an empty string."""
    try:
        reason = json.loads(base64.b64decode(challenge + b"=="))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(reason, dict):
        return ""
    details = ", ".join(f"{name} {value}" for name, value in reason.items() if isinstance(value, (str, int)))
    return re.sub(r"[\x00-\x1f\x7f]+", " ", details)
