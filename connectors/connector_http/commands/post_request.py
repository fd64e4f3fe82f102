from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spiffproxy_http.request_commands import RequestV1


@dataclass(repr=False)
class PostRequest(RequestV1):
    """Send a POST request and return the text of the response."""

    method = "POST"

    url: str
    headers: dict[str, Any] | None = None
    basic_auth_username: str | None = None
    basic_auth_password: str | None = None
    data: Any = None
