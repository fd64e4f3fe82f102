"""The request: its URL, headers and body, encoded for the wire."""

from __future__ import annotations

from dataclasses import dataclass
from json import dumps
from typing import Any
from urllib.parse import urlencode

from spiffproxy import __version__
from spiffproxy_http.errors import RequestError
from spiffproxy_http.excerpts import name_type
from spiffproxy_http.headers import check_headers, encode_basic_auth
from spiffproxy_http.url import Url, add_params, list_pairs, parse_url

UNSET: Any = object()  # the default of a parameter that may be None
OWN_HEADERS = {
    "User-Agent": f"spiffproxy/{__version__}",
    "Accept-Encoding": "gzip, deflate",
    "Accept": "*/*",
}


@dataclass(frozen=True, repr=False)
class Request:
    """A request. The names of its headers are as they are sent; each occurs once in any case of letters."""

    method: str
    url: Url
    headers: dict[str, str]
    body: bytes | None

    def __str__(self) -> str:
        """Return the method and the URL, for logs and messages."""
        return f"{self.method} {self.url.redacted()}"


def build_request(
    method: str,
    url: str | Url,
    *,
    params: dict[str, Any] | None = None,
    headers: dict[str, Any] | None = None,
    json: Any = UNSET,
    form: dict[str, Any] | None = None,
    data: bytes | str | None = None,
    multipart: dict[str, Any] | None = None,
    file: Any = None,
    basic_auth: tuple[str, str] | None = None,
) -> Request:
    """Return the request; raise `RequestError` with status 400 if the parameters are wrong."""
    parsed_url = add_params(parse_url(url), params)
    body, content_type = encode_body(json, form, data, multipart, file)
    fields = {name.lower(): (name, value) for name, value in OWN_HEADERS.items()}
    if content_type:
        fields["content-type"] = ("Content-Type", content_type)
    for name, value in check_headers(headers).items():
        if multipart is not None and name.lower() == "content-type":
            message = "headers has a Content-Type, but a multipart body has its own, with its boundary. Remove it."
            raise RequestError("ValueError", message, 400)
        fields[name.lower()] = (name, value)
    credentials = basic_auth or parsed_url.credentials
    if credentials:
        fields["authorization"] = ("Authorization", encode_basic_auth(*credentials))
    return Request(method, parsed_url, dict(fields.values()), body)


def encode_body(
    json: Any, form: Any, data: bytes | str | None, multipart: Any, file: Any
) -> tuple[bytes | None, str | None]:
    """Return the body of a request and its content type, each None if there is none."""
    bodies = [json is not UNSET, *(value is not None for value in (form, data, multipart, file))]
    if sum(bodies) > 1:
        raise TypeError("a request has one body: json, form, data, multipart or file")
    try:
        if json is not UNSET:
            return encode_json(json), "application/json"
        if form is not None:
            return encode_form(form), "application/x-www-form-urlencoded"
        if multipart is not None:
            from spiffproxy_http.multipart import encode_multipart  # slow to import, and rarely needed

            return encode_multipart(multipart)
        if file is not None:
            return encode_file(file)
        return data.encode() if isinstance(data, str) else data, None
    except UnicodeEncodeError:
        raise RequestError("ValueError", "data contains half of a surrogate pair. Remove it", 400) from None
    except ValueError as error:
        raise RequestError("ValueError", str(error), 400) from None


def encode_file(value: Any) -> tuple[bytes, str]:
    from spiffproxy_http.files import encode_content_type, read_file  # slow to import, and rarely needed

    file = read_file("data", value)
    return file.content, encode_content_type("data", file)


def encode_json(value: Any) -> bytes:
    try:
        return dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError("InvalidJSONError", f"data cannot be written as JSON: {error}", 400) from None


def encode_form(form: Any) -> bytes:
    if not isinstance(form, dict):
        raise RequestError("ValueError", f"data must be an object, but is {name_type(form)}", 400)
    return urlencode(list_pairs("data", form)).encode()
