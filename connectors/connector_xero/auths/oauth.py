from __future__ import annotations

from typing import Any

from connector_xero.settings import api_url, authorization_url, read_client, token_url


class OAuth:
    def app_description(self, config: Any) -> dict[str, str]:
        client_id, client_secret = read_client(config)
        return {
            "name": "xero",
            "version": "2",
            "client_id": client_id,
            "client_secret": client_secret,
            "authorization_url": authorization_url(config),
            "access_token_url": token_url(config),
            "refresh_token_url": token_url(config),
            "endpoint_url": f"{api_url(config)}/",
            # what the commands need; accounting.transactions is closed to apps registered since March 2026
            "scope": "offline_access accounting.invoices accounting.contacts accounting.settings.read",
        }
