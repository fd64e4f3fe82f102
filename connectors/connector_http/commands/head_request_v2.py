from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spiffproxy_http.request_commands import RequestV2

from connector_http.errors import HEAD_ERRORS


@dataclass(repr=False)
class HeadRequestV2(RequestV2):
    """Send a HEAD request and return the headers of the response if include_response_headers is true."""

    method = "HEAD"
    errors = HEAD_ERRORS

    url: str
    headers: dict[str, Any] | None = None
    params: dict[str, Any] | None = None
    basic_auth_username: str | None = None
    basic_auth_password: str | None = None
    attempts: int | None = None
    include_response_headers: bool = False
    response_format: str | None = "auto"
    oauth2: dict[str, Any] | None = None
