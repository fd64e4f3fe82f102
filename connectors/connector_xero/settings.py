"""The operator's settings: the app that is registered with Xero, and hosts in place of Xero's."""

from __future__ import annotations

from typing import Any

from spiffproxy_http.errors import RequestError


def read_client(config: Any) -> tuple[str, str]:
    """Return the app's client id and secret. The names that connector-xero reads work, too; raise `RequestError`."""
    client_id = read_setting(config, "CONNECTOR_PROXY_XERO_CLIENT_ID", "XERO_CLIENT_ID")
    client_secret = read_setting(config, "CONNECTOR_PROXY_XERO_CLIENT_SECRET", "XERO_CLIENT_SECRET")
    if not client_id or not client_secret:
        names = "CONNECTOR_PROXY_XERO_CLIENT_ID and CONNECTOR_PROXY_XERO_CLIENT_SECRET"
        raise RequestError("invalid_client", f"The proxy has no app at Xero. Its operator must set {names}", 400)
    return client_id, client_secret


def api_url(config: Any) -> str:
    return read_setting(config, "CONNECTOR_PROXY_XERO_URL").rstrip("/") or "https://api.xero.com"


def token_url(config: Any) -> str:
    return f"{identity_url(config) or 'https://identity.xero.com'}/connect/token"


def authorization_url(config: Any) -> str:
    return f"{identity_url(config) or 'https://login.xero.com'}/identity/connect/authorize"


def identity_url(config: Any) -> str:
    return read_setting(config, "CONNECTOR_PROXY_XERO_IDENTITY_URL").rstrip("/")


def read_setting(config: Any, *names: str) -> str:
    """Return the first setting that has a value, or an empty string."""
    for name in names:
        value = str(config.get(name) or "").strip()
        if value:
            return value
    return ""
