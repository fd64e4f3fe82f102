"""The session: the requests of one command, with the tokens that they need and the time that they share."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import quote_plus

from spiffproxy_http import Client, RequestError

from connector_xero.errors import XERO
from connector_xero.settings import api_url, read_client, token_url

MARGIN_SECONDS = 60  # an access token must last for the whole command


class Session:
    """Starts the clock. `tokens` is the token set in use; `is_refreshed` is true if it is a new one."""

    def __init__(self, config: Any) -> None:
        self._client = Client(config)
        self._headers: dict[str, Any] = {"Accept": "application/json"}  # the API would respond with XML
        self.tokens: dict[str, Any] = {}
        self.is_refreshed = False

    def sign_in(self, tokens: dict[str, Any]) -> None:
        """Find the organisation that the token set is for, the first if there are several; raise `RequestError`.

        Each refresh replaces the refresh token, so it happens only if it is needed: before the access token expires, or
        if Xero refuses it here, at the one address that requires no scope.
        """
        self.tokens = tokens
        if not is_fresh(tokens):
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
        message = "No organisation is connected. Sign in to Xero again, and choose one there"
        raise RequestError("NoTenant", message, 403)

    def send(self, method: str, path: str, **parameters: Any) -> Any:
        """Return the JSON of the API's response; raise `RequestError`."""
        url = f"{api_url(self._client.config)}/{path}"
        headers = {**self._headers, "Authorization": f"Bearer {self.tokens['access_token']}"}
        return XERO.send(self._client, method, url, headers=headers, **parameters)

    def _list_connections(self) -> list[dict[str, Any]]:
        connections = self.send("GET", "connections")
        if not isinstance(connections, list) or not all(isinstance(connection, dict) for connection in connections):
            raise XERO.unexpected_response()
        return connections

    def _refresh(self) -> None:
        """Exchange the refresh token (RFC 6749 section 6); the client authenticates by section 2.3.1."""
        config = self._client.config
        client_id, client_secret = read_client(config)
        old = self.tokens["refresh_token"]
        tokens = XERO.send(
            self._client,
            "POST",
            token_url(config),
            headers=self._headers,
            form={"grant_type": "refresh_token", "refresh_token": old},
            basic_auth=(quote_plus(client_id), quote_plus(client_secret)),
        )
        if not isinstance(tokens, dict) or not isinstance(tokens.get("access_token"), str):
            raise XERO.unexpected_response()
        self.tokens = {**tokens, "refresh_token": tokens.get("refresh_token") or old}
        self.is_refreshed = True


def read_token_set(value: Any) -> dict[str, Any]:
    """Return the token set of a parameter, which is JSON or an object; raise `RequestError`."""
    try:
        tokens = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        tokens = None
    if not isinstance(tokens, dict) or not isinstance(tokens.get("refresh_token"), str):
        message = 'access_token must be the whole token set, with its refresh_token. Write "secret:xero/OAuth"'
        raise RequestError("InvalidTokenSet", message, 400)
    return tokens


def is_fresh(tokens: dict[str, Any]) -> bool:
    """Return whether the access token lasts long enough by its own claim: Xero's are JWTs (RFC 7519 section 4.1.4)."""
    try:
        claims = tokens["access_token"].split(".")[1]
        expires = float(json.loads(base64.urlsafe_b64decode(f"{claims}=="))["exp"])
    except Exception:  # it is not a JWT with an expiry
        return False
    return expires - time.time() > MARGIN_SECONDS
