"""The page at `/`, for people. Imported when a browser asks.

`index.html` contains its style and its script, and sends requests only to this proxy.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import pkgutil
import re
from typing import TYPE_CHECKING

from spiffproxy import Response

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment  # novm


def show_page(environ: WSGIEnvironment, text: Response) -> Response:
    """Return the page if the client prefers HTML to plain text, and else the response `text`."""
    if not prefers_html(environ.get("HTTP_ACCEPT", "")):
        return text
    page, headers = load_page()
    tags = [tag.strip().removeprefix("W/") for tag in environ.get("HTTP_IF_NONE_MATCH", "").split(",")]
    if headers["ETag"] in tags or "*" in tags:
        return Response(304, headers=headers)
    return Response(200, page, "text/html; charset=utf-8", headers)


def prefers_html(accept: str) -> bool:
    """Return whether an Accept header names text/html, and does not prefer text/plain (RFC 9110 section 12.5.1)."""
    weights: dict[str, float] = {}
    for item in accept.lower().split(","):
        media_type, *parameters = [part.strip() for part in item.split(";")]
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        is_weight = re.fullmatch(r"(0(\.[0-9]{0,3})?|1(\.0{0,3})?)", weight)
        weights[media_type] = max(float(weight) if is_weight else 0.0, weights.get(media_type, 0.0))
    html = weights.get("text/html", 0.0)
    plain = weights.get("text/plain", weights.get("text/*", weights.get("*/*", 0.0)))
    return html > 0 and html >= plain


@functools.cache
def load_page() -> tuple[bytes, dict[str, str]]:
    """Return the page and its headers. Only the script and the style that are in the file run (CSP level 2 hashes)."""
    page = pkgutil.get_data(__name__, "index.html") or b""  # works in an archive, too
    policy = [
        "default-src 'none'",
        f"script-src {hash_of(page, b'script')}",
        f"style-src {hash_of(page, b'style')}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return page, {
        "Content-Security-Policy": "; ".join(policy),
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
        "ETag": f'"{hashlib.sha256(page).hexdigest()[:32]}"',
        "Vary": "Accept",
    }


def hash_of(page: bytes, tag: bytes) -> str:
    content = page.partition(b"<%s>" % tag)[2].partition(b"</%s>" % tag)[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"
