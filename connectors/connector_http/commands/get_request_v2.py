from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spiffproxy_http.request_commands import RequestV2

from connector_http.errors import GET_ERRORS


@dataclass(repr=False)
class GetRequestV2(RequestV2):
    """Send a GET request and return the response, JSON and XML as objects."""

    method = "GET"
    errors = GET_ERRORS

    url: str
    headers: dict[str, Any] | None = None
    params: dict[str, Any] | None = None
    basic_auth_username: str | None = None
    basic_auth_password: str | None = None
    attempts: int | None = None
    include_response_headers: bool = False
    response_format: str | None = "auto"
    oauth2: dict[str, Any] | None = None
