"""The parameters, checked: an invalid one is a `ValueError` that names it."""

from __future__ import annotations

import re
from typing import Any

from spiffproxy_http.errors import invalid_parameter
from spiffproxy_http.excerpts import show
from spiffproxy_http.files import decode_base64, encode_content_type, is_file, read_file


def read_text(parameter: str, value: str | None) -> str:
    """Return the string, or an empty string for null."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise invalid_parameter(f"{parameter} contains half of a surrogate pair. Remove it") from None
    return value or ""


def read_bucket(value: str) -> str:
    """Return a name that can be a part of a path; S3's own rules are stricter. Ceph allows `tenant:bucket`."""
    text = read_text("bucket", value)
    if not re.fullmatch(r"(?!\.+$)[A-Za-z0-9._:-]{1,255}", text):
        raise invalid_parameter(f"bucket is {show(text)}. Use the name of a bucket, such as my-bucket")
    return text


def read_key(value: str) -> str:
    """Return the key, which may be any string but an empty one: that would be the bucket."""
    text = read_text("key", value)
    if not text:
        raise invalid_parameter("key is empty. Use the key of an object")
    return text


def read_header(parameter: str, value: str | None) -> str:
    """Return a string that a header can contain. Messages do not quote it: it may be a secret."""
    text = read_text(parameter, value).strip()
    if not re.fullmatch(r"[ -~]*", text):
        raise invalid_parameter(f"{parameter} contains a line break, or a letter beyond ASCII. Remove it")
    return text


def read_file_data(value: str | dict[str, Any]) -> tuple[bytes, str]:
    """Return the content and its type, which is empty if the value is only base64."""
    try:
        if is_file(value) or not isinstance(value, str):
            file = read_file("file_data", value)
            return file.content, encode_content_type("file_data", file)
    except ValueError as error:
        raise invalid_parameter(str(error)) from None
    try:
        return decode_base64("file_data", value), ""
    except ValueError:
        shapes = "a data URL, data:<mimetype>;name=<name>;base64,<data>"
        raise invalid_parameter(f"file_data is neither base64 nor {shapes}") from None
