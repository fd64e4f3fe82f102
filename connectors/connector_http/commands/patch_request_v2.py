from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spiffproxy_http.request_commands import RequestV2

from connector_http.errors import DATA_ERRORS


@dataclass(repr=False)
class PatchRequestV2(RequestV2):
    """Send a PATCH request and return the response, JSON and XML as objects."""

    method = "PATCH"
    errors = DATA_ERRORS

    url: str
    headers: dict[str, Any] | None = None
    basic_auth_username: str | None = None
    basic_auth_password: str | None = None
    data: Any = None
    body_format: str | None = "json"
    include_response_headers: bool = False
    response_format: str | None = "auto"
    oauth2: dict[str, Any] | None = None
