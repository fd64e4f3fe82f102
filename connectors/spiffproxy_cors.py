"""CORS: pages of other origins can call the proxy. Imported when CONNECTOR_PROXY_CORS_ORIGINS is set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spiffproxy import Response, SettingError, read_list

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment  # novm

    from spiffproxy import HeaderList


def read_origins(values: Mapping[str, Any]) -> set[str]:
    name = "CONNECTOR_PROXY_CORS_ORIGINS"
    origins = read_list(values, name)
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#*]+", origin, re.IGNORECASE):
            raise SettingError(f"{name}: {origin!r} is not an origin; write https://host or https://host:port, or *")
    # browsers leave out the port of the scheme (RFC 6454 section 6.2)
    return {re.sub("^(https(?=.*:443$)|http(?=.*:80$))(.*):[0-9]+$", r"\1\2", origin.lower()) for origin in origins}


def cors_headers(listed: set[str], environ: WSGIEnvironment, response: Response) -> HeaderList:
    """Return the headers with which pages of the listed origins can read a response below `/v1/`, and others cannot."""
    if not environ.get("PATH_INFO", "").lstrip("/").startswith("v1/"):
        return []
    headers = [("Vary", "Origin")]
    origin = environ.get("HTTP_ORIGIN", "")
    if origin.lower() in listed or ("*" in listed and re.fullmatch("[!-~]+", origin)):
        headers.append(("Access-Control-Allow-Origin", origin))
        if environ["REQUEST_METHOD"] == "OPTIONS" and "Allow" in response.headers:
            headers.append(("Access-Control-Allow-Methods", response.headers["Allow"]))
            headers.append(("Access-Control-Allow-Headers", "Content-Type, Spiff-Connector-Proxy-Api-Key"))
    return headers
