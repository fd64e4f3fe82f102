"""Attachments: SpiffArena's file data, and objects with `filename`, `content_base64` and `mimetype`."""

from __future__ import annotations

from typing import Any, NamedTuple

from spiffproxy_http.files import read_file, read_line


class Attachment(NamedTuple):
    filename: str
    media_type: str
    parameters: dict[str, str]
    content: bytes


def read_attachments(value: Any) -> list[Attachment]:
    items = value if isinstance(value, list) else [value] if value else []
    return [read_attachment(f"email_attachments[{index}]", item) for index, item in enumerate(items)]


def read_attachment(place: str, item: Any) -> Attachment:
    filename, media_type, parameters, content = read_file(place, item)
    filename = read_line(f"{place}: filename", filename or "attachment")
    return Attachment(filename, media_type, parameters, content)
