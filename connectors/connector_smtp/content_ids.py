"""The content ids of attachments, by which the HTML of a message refers to them: `<img src="cid:logo">`."""

from __future__ import annotations

import re
from typing import Any

from connector_smtp.values import read_text, show

# an id of RFC 5322 section 3.6.4, but its domain may be missing; without what a URL or HTML would have to escape
CONTENT_ID = re.compile(r"[A-Za-z0-9!$*+._=~-]{1,200}(?:@[A-Za-z0-9!$*+._=~-]{1,200})?")


def read_content_id(place: str, item: Any) -> str:
    """Return the content id of an attachment, or an empty string if it has none."""
    value = item.get("content_id") if isinstance(item, dict) else None
    if value is None or value == "":
        return ""
    content_id = read_text(f"{place}: content_id", value)
    if not CONTENT_ID.fullmatch(content_id):
        hint = (
            'Use letters, digits and any of !$*+._=~-, and at most one @, without < and > and without cid:, as "logo".'
        )
        raise ValueError(f"{place}: content_id is {show(content_id)}. {hint}")
    return content_id


def check_content_ids(content_ids: list[str], html: Any) -> None:
    """Raise ValueError if an id of the attachments occurs twice, or if there is no HTML that can refer to it."""
    for number, content_id in enumerate(content_ids, 1):
        place = f"email_attachments, number {number}: content_id is {show(content_id)}"
        if content_id and not html:
            raise ValueError(f"{place}, which is for an image in email_html. Set email_html, or remove content_id.")
        if content_id and content_id in content_ids[: number - 1]:
            raise ValueError(f"{place}, as of another attachment. Change one of them.")
