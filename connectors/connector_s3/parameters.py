"""The parameters, checked: an invalid one is a `ValueError` that names it."""

from __future__ import annotations

import re
from typing import Any

from spiffproxy_http.errors import RequestError
from spiffproxy_http.files import decode_base64, encode_content_type, is_file, read_file

DEFAULT_SECONDS = 60 * 60
MAX_SECONDS = 7 * 24 * 60 * 60  # the longest that a signature is valid
MAX_KEYS = 1000  # the most that S3 lists in one response


def invalid(message: str) -> RequestError:
    return RequestError("ValueError", message, 400)


def read_text(parameter: str, value: Any) -> str:
    """Return the string; an empty one for null."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid(f"{parameter} must be text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise invalid(f"{parameter} holds half of a surrogate pair") from None
    return value


def read_bucket(value: Any) -> str:
    """Return a name that can be a part of a path; S3's own rules are stricter. Ceph allows `tenant:bucket`."""
    text = read_text("bucket", value)
    if not re.fullmatch(r"(?!\.+$)[A-Za-z0-9._:-]{1,255}", text):
        raise invalid(f"bucket is {text[:80]!r}, which is no name of a bucket")
    return text


def read_key(value: Any) -> str:
    """Return the key: any string but an empty one, which would be the bucket."""
    text = read_text("key", value)
    if not text:
        raise invalid("key is empty")
    return text


def read_header(parameter: str, value: Any) -> str:
    """Return a string that a header can contain. Messages do not quote it: it may be a secret."""
    text = read_text(parameter, value).strip()
    if not re.fullmatch(r"[ -~]*", text):
        raise invalid(f"{parameter} holds a line break, or a letter beyond ASCII")
    return text


def read_file_data(value: Any) -> tuple[bytes, str]:
    """Return the content and its type, which is empty if the content is nothing but base64."""
    if value is None:  # to store nothing in its place would surprise
        raise invalid("file_data is null")
    if is_file(value) or not isinstance(value, str):
        try:
            file = read_file("file_data", value)
            return file.content, encode_content_type("file_data", file)
        except ValueError as error:
            raise invalid(str(error)) from None
    try:
        return decode_base64("file_data", value), ""
    except ValueError:
        shapes = "a data URL, data:<mimetype>;name=<name>;base64,<data>"
        raise invalid(f"file_data is neither base64 nor {shapes}") from None


def read_number(parameter: str, value: Any, *, default: int, most: int) -> int:
    if value is None:
        return default
    number = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value) else value
    if type(number) is not int or not 1 <= number <= most:
        raise invalid(f"{parameter} must be a whole number from 1 to {most}")
    return number


def read_seconds(value: Any) -> int:
    return read_number("expires_in", value, default=DEFAULT_SECONDS, most=MAX_SECONDS)


def read_max_keys(value: Any) -> int:
    return read_number("max_keys", value, default=MAX_KEYS, most=MAX_KEYS)


def read_method(value: Any) -> str:
    text = read_text("method", value).upper() or "GET"
    if text not in ("GET", "PUT", "DELETE", "HEAD"):
        raise invalid("method may be 'GET', 'PUT', 'DELETE' or 'HEAD'")
    return text
