"""What the operator sets: the app that is registered with Xero, and the hosts in the place of Xero's."""

from __future__ import annotations

from typing import Any

from spiffproxy_http.errors import RequestError


def read_client(config: Any) -> tuple[str, str]:
    """Return the app's client id and secret, also by the names that connector-xero reads; raise `RequestError`."""
    client_id = _read(config, "CONNECTOR_PROXY_XERO_CLIENT_ID", "XERO_CLIENT_ID")
    client_secret = _read(config, "CONNECTOR_PROXY_XERO_CLIENT_SECRET", "XERO_CLIENT_SECRET")
    if not client_id or not client_secret:
        names = "CONNECTOR_PROXY_XERO_CLIENT_ID and CONNECTOR_PROXY_XERO_CLIENT_SECRET"
        raise RequestError("invalid_client", f"The proxy does not know the app at Xero; its operator sets {names}", 400)
    return client_id, client_secret


def api_url(config: Any) -> str:
    return _read(config, "CONNECTOR_PROXY_XERO_URL").rstrip("/") or "https://api.xero.com"


def token_url(config: Any) -> str:
    return f"{_identity_url(config) or 'https://identity.xero.com'}/connect/token"


def authorization_url(config: Any) -> str:
    return f"{_identity_url(config) or 'https://login.xero.com'}/identity/connect/authorize"


def _identity_url(config: Any) -> str:
    return _read(config, "CONNECTOR_PROXY_XERO_IDENTITY_URL").rstrip("/")


def _read(config: Any, *names: str) -> str:
    """Return the first that is set."""
    return next(filter(None, (str(config.get(name) or "").strip() for name in names)), "")
