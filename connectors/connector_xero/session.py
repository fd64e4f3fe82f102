"""The session: the requests of one command, with the tokens that they need and the time that they share."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import quote_plus

from connector_http.commands.get_request_v2 import GetRequestV2
from connector_http.commands.post_request_v2 import PostRequestV2
from spiffproxy_http.errors import RequestError
from spiffproxy_http.request import RequestV2

from connector_xero.errors import XERO
from connector_xero.settings import api_url, read_client, token_url

_SECONDS = 40  # for a command; SpiffArena waits 45
_MARGIN_SECONDS = 60  # an access token is to last for the whole command


class Session:
    """Starts the clock. `tokens` is the token set in use, and `is_refreshed` tells whether it is a new one."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._deadline = time.monotonic() + float(config.get("CONNECTOR_PROXY_HTTP_TIMEOUT") or _SECONDS)
        self._headers: dict[str, Any] = {"Accept": "application/json"}  # the API would answer with XML
        self.tokens: dict[str, Any] = {}
        self.is_refreshed = False

    def sign_in(self, tokens: dict[str, Any]) -> None:
        """Find the organisation that the token set is for, the first if there are several; raise `RequestError`.

        Each refresh takes a new refresh token for the old one, so there is none but where it is needed: before the
        access token ends, or where Xero refuses it here, at the one address that asks for no scope.
        """
        self.tokens = tokens
        if not _is_fresh(tokens):
            self._refresh()
        try:
            connections = self._list_connections()
        except RequestError as error:
            if error.http_status != 401 or self.is_refreshed:
                raise
            self._refresh()
            connections = self._list_connections()
        for connection in connections:
            if connection.get("tenantType") == "ORGANISATION":
                self._headers["xero-tenant-id"] = connection.get("tenantId")
                return
        message = "No organisation is connected; sign in to Xero again, and choose one there"
        raise RequestError("NoTenant", message, 403)

    def ask(self, request: RequestV2) -> Any:
        """Return the body of the API's answer; raise `RequestError`."""
        request.headers = {**self._headers, "Authorization": f"Bearer {self.tokens['access_token']}"}
        return self._send(request)

    def _list_connections(self) -> list[dict[str, Any]]:
        connections = self.ask(GetRequestV2(f"{api_url(self._config)}/connections"))
        if not isinstance(connections, list) or not all(isinstance(connection, dict) for connection in connections):
            raise XERO.refuse_answer()
        return connections

    def _refresh(self) -> None:
        """Exchange the refresh token (RFC 6749 section 6); the client authenticates by section 2.3.1."""
        client_id, client_secret = read_client(self._config)
        old = self.tokens["refresh_token"]
        request = PostRequestV2(
            token_url(self._config),
            headers=self._headers,
            data={"grant_type": "refresh_token", "refresh_token": old},
            body_format="form",
            basic_auth_username=quote_plus(client_id),
            basic_auth_password=quote_plus(client_secret),
        )
        tokens = self._send(request)
        if not isinstance(tokens, dict) or not isinstance(tokens.get("access_token"), str):
            raise XERO.refuse_answer()
        self.tokens = {**tokens, "refresh_token": tokens.get("refresh_token") or old}
        self.is_refreshed = True

    def _send(self, request: RequestV2) -> Any:
        left = max(self._deadline - time.monotonic(), 0.001)  # 0 would be the default
        return XERO.ask(request, {**self._config, "CONNECTOR_PROXY_HTTP_TIMEOUT": left}, [])


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


def _is_fresh(tokens: dict[str, Any]) -> bool:
    """Tell whether the access token says that it lasts long enough: Xero's are JWTs (RFC 7519 section 4.1.4)."""
    try:
        claims = tokens["access_token"].split(".")[1]
        expires = float(json.loads(base64.urlsafe_b64decode(f"{claims}=="))["exp"])
    except Exception:  # whatever it is, it does not say so
        return False
    return expires - time.time() > _MARGIN_SECONDS
