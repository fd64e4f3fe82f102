"""The base class of the commands: it sends a signed request, and parses the response."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote_plus
from xml.parsers.expat import ExpatError

from spiffproxy_http import HttpCommand, RequestError
from spiffproxy_http.excerpts import shorten
from spiffproxy_http.xml import decode_xml, parse_xml

from connector_s3.endpoint import REGION, find_bucket, read_region, read_signer
from connector_s3.errors import SHARED_ERRORS

if TYPE_CHECKING:
    from spiffproxy_http import Client, Response
    from spiffproxy_http.url import Url

    from connector_s3.signature import Signer

# errors that another attempt may avoid, but whose status SpiffArena does not try again
RETRYABLE_CODES = {"OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown", "TemporaryRedirect"}


class S3Command(HttpCommand):
    """Commands are dataclasses that accept these parameters, and some of their own.

    :param endpoint_url: empty for the operator's endpoint, else that of AWS
    :param region: empty for the operator's, else us-east-1
    :param access_key_id: empty for the operator's keys
    :param session_token: only with temporary keys
    :param addressing_style: path (https://host/bucket/key), virtual (https://bucket.host/key) or auto (unless set)
    """

    errors = SHARED_ERRORS
    checks_parameters = True
    parameter_schemas: ClassVar[dict[str, Any]] = {"addressing_style": {"enum": ["auto", "path", "virtual", None]}}

    bucket: str
    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    addressing_style: str | None = "auto"

    def find_bucket(self, config: Any) -> Url:
        return find_bucket(self.bucket, self.endpoint_url, self.addressing_style, self.region, config)

    def read_signer(self, config: Any) -> Signer:
        region = read_region(self.region, config)
        return read_signer(self.access_key_id, self.secret_access_key, self.session_token, region, config)

    def send_signed(
        self,
        client: Client,
        method: str,
        target: str,
        *,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> Response:
        """Return the response to a signed request; `target` is appended to the bucket. Raise `RequestError`.

        An object that was stored compressed is returned as it was stored.
        """
        url = self.find_bucket(client.config)
        url = url._replace(target=url.target + target)
        signer = self.read_signer(client.config)
        signed = signer.sign(method, url.netloc, url.target, headers or {}, data or b"", datetime.now(timezone.utc))
        signed["Accept-Encoding"] = "identity"
        try:
            return client.send(method, url, headers=signed, data=data, decompress=False)
        except RequestError as error:
            if error.response is None:
                raise
            raise read_error(error.response, self.errors, signer.region) from None


def read_etag(response: Response) -> str:
    """Return the entity tag; a response without it is not from S3."""
    etag = unquote_etag(response.headers.get("ETag"))
    if not etag:
        raise unexpected_response()
    return etag


def unquote_etag(value: Any) -> str:
    """Return an entity tag without its quotes, and without the mark of a weak one (RFC 9110 section 8.8.3)."""
    text = str(value or "").strip()
    return (text[2:] if text.startswith('W/"') else text).strip('"')


def read_xml(response: Response, root: str, *, keep_blanks: bool = False) -> dict[str, Any]:
    """Return the root element of the response; raise `RequestError` if it has another name, or is not XML."""
    try:
        element = parse_xml(decode_xml(response.body, None), keep_blanks=keep_blanks).get(root)
    except (ExpatError, LookupError, ValueError):
        element = None
    if not isinstance(element, dict):
        raise unexpected_response()
    return element


def read_listing(response: Response) -> dict[str, Any]:
    """Return the objects and, if a delimiter was given, the prefixes that several of them share."""
    result = read_xml(response, "ListBucketResult", keep_blanks=True)
    is_encoded = read_field(result, "EncodingType") == "url"  # some implementations of S3 ignore the request for it
    prefixes = [text for entry in list_elements(result.get("CommonPrefixes")) for text in as_list(entry.get("Prefix"))]
    is_truncated, token = read_continuation(result)
    return {
        "objects": [read_object(entry, is_encoded=is_encoded) for entry in list_elements(result.get("Contents"))],
        "common_prefixes": [decode_key(text, is_encoded=is_encoded) for text in prefixes],
        "is_truncated": is_truncated,
        "next_continuation_token": token,
    }


def read_continuation(result: dict[str, Any]) -> tuple[bool, str | None]:
    """Return whether there is another page, and its token; raise `RequestError` if one of the two is missing.

    A diagram that asks for the next page would get the first one again, or would never ask for it.
    """
    token = result.get("NextContinuationToken")
    text = read_field(result, "IsTruncated").lower()
    is_truncated = text in ("true", "1")  # of XML Schema
    if text not in ("true", "1", "false", "0") and (text or token):
        raise unexpected_response()
    if is_truncated and not isinstance(token, str):
        raise unexpected_response()
    return is_truncated, token if is_truncated else None


def read_object(entry: dict[str, Any], *, is_encoded: bool) -> dict[str, Any]:
    size = read_field(entry, "Size")
    return {
        "key": decode_key(entry.get("Key"), is_encoded=is_encoded),
        "size": int(size) if size.isdecimal() else None,
        "etag": unquote_etag(entry.get("ETag")),
        "last_modified": read_field(entry, "LastModified") or None,
    }


def read_field(element: dict[str, Any], name: str) -> str:
    """Return the text of a child element, without the blanks at its ends; empty if there is none."""
    return str(element.get(name) or "").strip()


def decode_key(text: Any, *, is_encoded: bool) -> str:
    """Return a key or a prefix, exactly as it is stored."""
    if not isinstance(text, str):
        raise unexpected_response()
    return unquote_plus(text) if is_encoded else text


def as_list(value: Any) -> list[Any]:
    """Return the elements of one name: a single one is not a list in the parsed XML."""
    return value if isinstance(value, list) else [value]


def list_elements(value: Any) -> list[dict[str, Any]]:
    """Return the elements of one name that contain other elements."""
    return [entry for entry in as_list(value) if isinstance(entry, dict)]


def unexpected_response() -> RequestError:
    return RequestError("UnexpectedAnswer", "The response is not what S3 documents. Check the endpoint", 502)


def read_error(response: Response, errors: dict[str, str], region: str) -> RequestError:
    """Return the error with S3's own code and words; some gateways respond with HTML instead."""
    try:
        element = read_xml(response, "Error")
    except RequestError:
        element = {}
    code, words = str(element.get("Code") or ""), shorten(str(element.get("Message") or ""))
    if not re.fullmatch("[A-Za-z0-9.]{1,80}", code):
        code = ""
    start = f"S3 at {response.last_request.url.netloc} responded with {response.status}"
    message = ": ".join(filter(None, [start, code, words or errors.get(code)]))
    right_region = find_region(response, element)
    if right_region not in ("", region):
        message = f"{message}. The bucket is in another region: set region to {right_region}"
    status = 503 if code in RETRYABLE_CODES else response.status
    return RequestError(code if code in errors else "S3Error", message, status)


def find_region(response: Response, error: dict[str, Any]) -> str:
    """Return the region of the bucket if S3 names it, else an empty string."""
    region = response.headers.get("x-amz-bucket-region") or error.get("Region")
    return region if isinstance(region, str) and re.fullmatch(REGION, region) else ""
