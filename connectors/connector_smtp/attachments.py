"""Attachments: SpiffArena's file data, and objects with `filename`, `content_base64` and `mimetype`."""

from __future__ import annotations

from typing import Any, NamedTuple

from connector_smtp.content_ids import read_content_id
from connector_smtp.values import read_text


class Attachment(NamedTuple):
    filename: str
    media_type: str
    parameters: dict[str, str]
    content: bytes
    content_id: str = ""  # for an image in the HTML of the message


def read_attachments(value: Any) -> list[Attachment]:
    items = value if isinstance(value, list) else [value] if value else []
    attachments = []
    for number, item in enumerate(items, 1):
        place = f"email_attachments, number {number}"
        attachments.append(read_attachment(place, item)._replace(content_id=read_content_id(place, item)))
    return attachments


def read_attachment(place: str, item: Any) -> Attachment:
    from spiffproxy_http.files import read_file  # brings the HTTP client, which most mails do not need

    filename, media_type, parameters, content = read_file(place, item)
    filename = read_text(f"{place}: filename", filename or "attachment", one_line=True)
    return Attachment(filename, media_type, parameters, content)
