"""The content ids of attachments, by which the HTML of a message refers to them: `<img src="cid:logo">`."""

from __future__ import annotations

import re
from typing import Any

from spiffproxy_http.excerpts import show
from spiffproxy_http.files import read_text

# an id of RFC 5322 section 3.6.4, but its domain may be missing; without what a URL or HTML would have to escape
CONTENT_ID = re.compile(r"[A-Za-z0-9!$*+._=~-]{1,200}(?:@[A-Za-z0-9!$*+._=~-]{1,200})?")


def read_content_ids(attachments: Any, html: Any) -> list[str]:
    """Return the content id of each attachment, or an empty string; an id needs HTML that can refer to it."""
    items = attachments if isinstance(attachments, list) else [attachments] if attachments else []
    content_ids: list[str] = []
    for index, item in enumerate(items):
        content_id = read_content_id(f"email_attachments[{index}]", item)
        place = f"email_attachments[{index}]: content_id is {show(content_id)}"
        if content_id and not html:
            raise ValueError(f"{place}, which is for an image in email_html. Set email_html, or remove content_id.")
        if content_id and content_id in content_ids:
            raise ValueError(f"{place}, which another attachment has, too. Change one of them.")
        content_ids.append(content_id)
    return content_ids


def read_content_id(place: str, item: Any) -> str:
    value = item.get("content_id") if isinstance(item, dict) else None
    if value is None or value == "":
        return ""
    content_id = read_text(f"{place}: content_id", value)
    if not CONTENT_ID.fullmatch(content_id):
        hint = "Use at most 200 letters, digits and !$*+._=~-, and at most one @. Leave out < > and cid:"
        raise ValueError(f"{place}: content_id is {show(content_id)}. {hint}")
    return content_id
