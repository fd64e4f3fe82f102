"""The body of a form with files: multipart/form-data (RFC 7578), its names written as browsers do (WHATWG HTML)."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

from spiffproxy_http.excerpts import name_type, show
from spiffproxy_http.files import DEFAULT_FILENAME, encode_content_type, is_file, read_file


def encode_multipart(data: Any) -> tuple[bytes, str]:
    """Return the body and its content type; raise ValueError if `data` is not an object of strings, files and so on.

    A list repeats its name, null values are left out.
    """
    if not isinstance(data, dict):
        raise ValueError(f"data must be an object, but is {name_type(data)}")
    boundary = secrets.token_hex(16)
    chunks: list[bytes] = []
    for name, value in data.items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                header, content = encode_part(name, item)
                chunks += [f"--{boundary}\r\n{header}\r\n\r\n".encode(), content, b"\r\n"]
    chunks.append(f"--{boundary}--\r\n".encode())
    return b"".join(chunks), f"multipart/form-data; boundary={boundary}"


def encode_part(name: str, value: Any) -> tuple[str, bytes]:
    """Return the headers and the content of a part. Strings are sent in UTF-8, as they are."""
    place = f"data: {name}"
    header = f'Content-Disposition: form-data; name="{escape(unify_line_breaks(name))}"'
    if is_file(value):
        file = read_file(place, value)
        filename = escape(file.filename or DEFAULT_FILENAME)
        content_type = encode_content_type(place, file)
        return f'{header}; filename="{filename}"\r\nContent-Type: {content_type}', file.content
    if isinstance(value, str):
        return header, value.encode()
    if isinstance(value, (bool, int, float)):
        return header, json.dumps(value, allow_nan=False).encode()
    raise ValueError(
        f"{place} must be a string, a number, a boolean, a file or a list of these, but is {name_type(value)}."
        ' A file is a data URL, or an object such as {"filename": "a.pdf", "content_base64": "…"}.'
    )


def unify_line_breaks(text: str) -> str:
    return re.sub("\r\n|\r|\n", "\r\n", text)


def escape(text: str) -> str:
    """Return a name for a header. Backslashes stay as they are, as in browsers, but one at the end is refused.

    Many servers would read it, and the quote after it, as a part of the name.
    """
    if "\0" in text or text.endswith("\\"):
        raise ValueError(
            f"data: {show(text)} is a name with a null character, or with a backslash at its end. Remove it."
        )
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
