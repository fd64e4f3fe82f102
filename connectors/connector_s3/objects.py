"""What the commands share: a signed request, and its answer, read."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus
from xml.parsers.expat import ExpatError

from spiffproxy_http.errors import RequestError
from spiffproxy_http.request import RequestV2, start_call
from spiffproxy_http.vendor import VendorCommand
from spiffproxy_http.xml import decode_xml, parse_xml

from connector_s3.endpoint import find_bucket, read_signer
from connector_s3.errors import SHARED_ERRORS

if TYPE_CHECKING:
    from spiffproxy_http.request import Received

# what may pass, but has a status that SpiffArena does not try again
_PASSING = {"OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown", "TemporaryRedirect"}


class S3Command(VendorCommand):
    """Commands are dataclasses that take these parameters, and some of their own.

    :param endpoint_url: empty for AWS, or what the operator has set
    :param region: empty for the operator's, else us-east-1
    :param access_key_id: empty for the operator's keys
    :param session_token: where the keys are temporary ones
    :param addressing_style: path (https://host/bucket/key), virtual (https://bucket.host/key) or auto (unless set)
    """

    errors = SHARED_ERRORS

    bucket: str
    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    addressing_style: str | None = "auto"

    def ask(
        self,
        method: str,
        target: str,
        config: Any,
        logs: list[str],
        *,
        headers: dict[str, str] | None = None,
        data: bytes = b"",
    ) -> Received:
        """Return the answer to a signed request; `target` goes behind the bucket. Raise `RequestError`."""
        url = find_bucket(self, config)
        url = url._replace(target=url.target + target)
        signer = read_signer(self, config)
        signed = signer.sign(method, url.netloc, url.target, headers or {}, data, datetime.now(timezone.utc))
        request = RequestV2()
        request.method, request.url, request.headers = method, str(url), {**signed, "Accept-Encoding": "identity"}
        if method == "PUT":
            request.data, request.body_format = data, "raw"
        call = start_call(config, logs)
        call.follows = False  # the signature is for this host, and so is the session token
        # an object that was stored compressed is returned as it was stored
        answer = request.send(request.build(call), config, decompress=False)
        if answer.status >= 300:
            raise _read_refusal(answer, self.errors)
        return answer


def read_etag(answer: Received) -> str:
    """Return what S3 calls the content; an answer without it is from something else."""
    etag = answer.headers.get("ETag", "").strip('"')
    if not etag:
        raise refuse_answer()
    return etag


def read_xml(answer: Received, root: str) -> dict[str, Any]:
    try:
        element = parse_xml(decode_xml(answer.body, None)).get(root)
    except (ExpatError, LookupError, ValueError):
        element = None
    if not isinstance(element, dict):
        raise refuse_answer()
    return element


def read_listing(result: dict[str, Any]) -> dict[str, Any]:
    """Return the objects, and the prefixes that stand for several where a delimiter was given."""
    is_encoded = result.get("EncodingType") == "url"  # not every S3 does what it is asked for
    contents, prefixes = (_dicts(result.get(name)) for name in ("Contents", "CommonPrefixes"))
    return {
        "objects": [_read_object(entry, is_encoded=is_encoded) for entry in contents],
        "common_prefixes": [_decode(entry.get("Prefix"), is_encoded=is_encoded) for entry in prefixes],
        "is_truncated": result.get("IsTruncated") == "true",
        "next_continuation_token": result.get("NextContinuationToken"),
    }


def _read_object(entry: dict[str, Any], *, is_encoded: bool) -> dict[str, Any]:
    size = str(entry.get("Size"))
    return {
        "key": _decode(entry.get("Key"), is_encoded=is_encoded),
        "size": int(size) if size.isdecimal() else None,
        "etag": str(entry.get("ETag") or "").strip('"'),
        "last_modified": entry.get("LastModified"),
    }


def _decode(text: Any, *, is_encoded: bool) -> str:
    return unquote_plus(str(text or "")) if is_encoded else str(text or "")


def _dicts(value: Any) -> list[dict[str, Any]]:
    """Return the elements of that name: XML does not tell one from a list of one."""
    return [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, dict)]


def refuse_answer() -> RequestError:
    return RequestError("UnexpectedAnswer", "The answer is not what S3 documents; is the endpoint right?", 502)


def _read_refusal(answer: Received, errors: dict[str, str]) -> RequestError:
    """Return S3's own code and words; some gateways have none, and HTML in their place."""
    try:
        error = read_xml(answer, "Error")
    except RequestError:
        error = {}
    code, words = str(error.get("Code") or ""), str(error.get("Message") or "")[:1000]
    if not re.fullmatch("[A-Za-z0-9.]{1,80}", code):
        code = ""
    message = ": ".join(filter(None, [f"S3 answered {answer.status}", code, words or errors.get(code)]))
    return RequestError(code if code in errors else "S3Error", message, 503 if code in _PASSING else answer.status)
