"""What the author gives, checked: every mistake is a `ValueError` that names the parameter."""

from __future__ import annotations

import base64
import re
from typing import Any

from spiffproxy_http.errors import RequestError

# SpiffArena writes data:<mimetype>;name=<name>;base64,<data>
_DATA_URL = re.compile(r"data:(?P<type>([^;,]+(;charset=[^;,]+)?)?)(;[^;,]*)*;base64,(?P<data>.*)", re.DOTALL)
_SECONDS = 60 * 60
_MAX_SECONDS = 7 * 24 * 60 * 60  # a signature is good for no longer
_MAX_KEYS = 1000  # S3 tells no more at once


def refuse(message: str) -> RequestError:
    return RequestError("ValueError", message, 400)


def read_text(parameter: str, value: Any) -> str:
    """Return the text; empty where there is none."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise refuse(f"{parameter} must be text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise refuse(f"{parameter} holds half of a surrogate pair") from None
    return value


def read_bucket(value: Any) -> str:
    """Return what can be a part of a path; S3 has its own, stricter rules. Ceph puts a tenant and a colon in front."""
    text = read_text("bucket", value)
    if not re.fullmatch(r"(?!\.+$)[A-Za-z0-9._:-]{1,255}", text):
        raise refuse(f"bucket is {text[:80]!r}, which is no name of a bucket")
    return text


def read_key(value: Any) -> str:
    """Return the key: any text but an empty one, which would be the bucket."""
    text = read_text("key", value)
    if not text:
        raise refuse("key is empty")
    return text


def read_header(parameter: str, value: Any) -> str:
    """Return a text that can stand in a header; its value is not told, as it may be a secret."""
    text = read_text(parameter, value).strip()
    if not re.fullmatch(r"[ -~]*", text):
        raise refuse(f"{parameter} holds a line break, or a letter beyond ASCII")
    return text


def read_file_data(value: Any) -> tuple[bytes, str]:
    """Return the content, and its type where a data URL has one."""
    if value is None:  # to store nothing in its place would surprise
        raise refuse("file_data is null")
    text = read_text("file_data", value)
    match = _DATA_URL.fullmatch(text)
    try:
        content = base64.b64decode(re.sub(r"\s", "", match["data"] if match else text), validate=True)
    except ValueError as error:
        shape = "data:<mimetype>;name=<name>;base64,<data>"
        raise refuse(f"file_data is neither base64 nor a data URL, {shape}: {error}") from None
    return content, match["type"] if match else ""


def _read_number(parameter: str, value: Any, *, default: int, most: int) -> int:
    if value is None:
        return default
    number = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value) else value
    if type(number) is not int or not 1 <= number <= most:
        raise refuse(f"{parameter} must be a whole number from 1 to {most}")
    return number


def read_seconds(value: Any) -> int:
    return _read_number("expires_in", value, default=_SECONDS, most=_MAX_SECONDS)


def read_max_keys(value: Any) -> int:
    return _read_number("max_keys", value, default=_MAX_KEYS, most=_MAX_KEYS)


def read_method(value: Any) -> str:
    text = read_text("method", value).upper() or "GET"
    if text not in ("GET", "PUT", "DELETE", "HEAD"):
        raise refuse("method may be 'GET', 'PUT', 'DELETE' or 'HEAD'")
    return text
