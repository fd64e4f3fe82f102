"""Attachments: SpiffArena's file data, and objects with `filename`, `content_base64` and `mimetype`."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, NamedTuple
from urllib.parse import unquote

from connector_smtp.values import read_text, show

DATA_URL = re.compile(r"data:(?P<type>.*?);base64,(?P<data>.*)", re.DOTALL | re.IGNORECASE)
DEFAULT_TYPE = "application/octet-stream"
MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")  # RFC 6838 section 4.2
EXAMPLE = "text/calendar; charset=utf-8; method=REQUEST"
PARAMETER = re.compile(
    r"""
    \s* ; \s*
    (?: (?P<name>[A-Za-z0-9!#$&^_.+-]{1,40}) \s* = \s* (?: "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<plain>[^";]*) ) \s* )?
    """,
    re.VERBOSE,
)


class Attachment(NamedTuple):
    filename: str
    media_type: str
    parameters: dict[str, str]
    content: bytes


def read_attachments(value: Any) -> list[Attachment]:
    items = value if isinstance(value, list) else [value] if value else []
    return [read_attachment(f"email_attachments, number {number}", item) for number, item in enumerate(items, 1)]


def read_attachment(place: str, item: Any) -> Attachment:
    if isinstance(item, str):
        match = DATA_URL.fullmatch(item)
        if not match:
            raise ValueError(f"{place}: a string must be a data URL, data:<mimetype>;name=<name>;base64,<data>")
        filename, data = None, match["data"]
        media_type, parameters = read_media_type(place, match["type"], is_escaped=True)
    elif isinstance(item, dict) and "content_base64" in item:
        filename, data = item.get("filename"), item["content_base64"]
        media_type, parameters = read_media_type(place, item.get("mimetype") or DEFAULT_TYPE)
    else:
        raise ValueError(f"{place} must be a data URL, or an object with filename, content_base64 and mimetype")
    filename = filename or parameters.get("name") or "attachment"
    content = decode_base64(place, data)
    return Attachment(
        read_text(f"{place}: filename", filename, one_line=True), media_type or DEFAULT_TYPE, parameters, content
    )


def read_media_type(place: str, value: Any, *, is_escaped: bool = False) -> tuple[str, dict[str, str]]:
    """Return a media type and its parameters. In a data URL they are percent-encoded, and the type may be missing."""
    text = read_text(f"{place}: mimetype", value, one_line=True)
    media_type, semicolon, rest = text.partition(";")
    media_type = media_type.strip().lower()
    if not MEDIA_TYPE.fullmatch(media_type) and not (is_escaped and not media_type):
        raise ValueError(f"{place}: {show(text)} is not a media type such as application/pdf")
    parameters: dict[str, str] = {}
    position, rest = 0, semicolon + rest
    while position < len(rest):
        match = PARAMETER.match(rest, position)
        if not match or (match["name"] and match["name"].lower() in parameters):
            raise ValueError(f"{place}: the parameters of {show(text)} are invalid. Write them as in {EXAMPLE}")
        position = match.end()
        if match["name"]:
            content = unquote_parameter(place, match, is_escaped=is_escaped)
            parameters[match["name"].lower()] = read_text(f"{place}: mimetype", content, one_line=True)
    return media_type, parameters


def unquote_parameter(place: str, match: re.Match[str], *, is_escaped: bool) -> str:
    quoted, plain = match["quoted"], match["plain"]
    text = plain.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    try:
        return unquote(text, errors="strict") if is_escaped else text
    except UnicodeDecodeError:
        raise ValueError(f"{place}: {show(text)} is not percent-encoded UTF-8") from None


def decode_base64(place: str, data: Any) -> bytes:
    try:
        return base64.b64decode(re.sub(r"\s", "", read_text(place, data)), validate=True)
    except binascii.Error as error:
        raise ValueError(f"{place}: its data is not base64: {error}") from None
