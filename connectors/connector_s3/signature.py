"""Signature Version 4 for S3, as AWS documents it ("Authenticating Requests"): pure functions of the request.

S3 differs from AWS's other services: paths are signed as they are on the wire, neither normalised nor encoded twice.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from datetime import datetime

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"  # the body of a presigned URL is not known yet


@dataclass(frozen=True)
class Signer:
    """The keys to sign with, and the region."""

    access_key_id: str
    region: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False, default=None)

    def sign(
        self, method: str, host: str, target: str, headers: dict[str, str], body: bytes, time: datetime
    ) -> dict[str, str]:
        """Return the headers to send: those given and those of the signature, which covers them all and the host.

        `target` is path and query in their final form; `time` is UTC.
        """
        payload = hashlib.sha256(body).hexdigest()
        headers = {**headers, "x-amz-content-sha256": payload, "x-amz-date": timestamp(time)}
        if self.session_token:
            headers["x-amz-security-token"] = self.session_token
        # the signature covers names in lower case and sorted, and values with single blanks
        lines = {name.lower(): " ".join(value.split()) for name, value in {**headers, "host": host}.items()}
        signature = self._make_signature(method, target, lines, payload, time)
        names = ";".join(sorted(lines))
        credential = f"{self.access_key_id}/{self._scope(time)}"
        headers["Authorization"] = f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        return headers

    def presign(self, method: str, host: str, path: str, seconds: int, time: datetime) -> str:
        """Return path and query of a URL that is valid for `seconds` from `time` on."""
        query = {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{self.access_key_id}/{self._scope(time)}",
            "X-Amz-Date": timestamp(time),
            "X-Amz-Expires": str(seconds),
            "X-Amz-SignedHeaders": "host",
        }
        if self.session_token:
            query["X-Amz-Security-Token"] = self.session_token
        target = f"{path}?{encode_query(query)}"
        signature = self._make_signature(method, target, {"host": host}, UNSIGNED_PAYLOAD, time)
        return f"{target}&X-Amz-Signature={signature}"

    def _scope(self, time: datetime) -> str:
        return f"{time:%Y%m%d}/{self.region}/s3/aws4_request"

    def _make_signature(self, method: str, target: str, lines: dict[str, str], payload: str, time: datetime) -> str:
        path, _, query = target.partition("?")
        headers = "".join(f"{name}:{lines[name]}\n" for name in sorted(lines))
        request = "\n".join([method, path, query, headers, ";".join(sorted(lines)), payload])
        text = "\n".join([ALGORITHM, timestamp(time), self._scope(time), hashlib.sha256(request.encode()).hexdigest()])
        key = f"AWS4{self.secret_access_key}".encode()
        for part in (*self._scope(time).split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        return key.hex()


def timestamp(time: datetime) -> str:
    return f"{time:%Y%m%dT%H%M%SZ}"


def encode_path(text: str) -> str:
    """Percent-encode all characters but slashes and those that RFC 3986 calls unreserved."""
    return quote(text, safe="/-_.~")


def encode_query(query: dict[str, str]) -> str:
    """Return a query in the order and the encoding that the signature covers."""
    return "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query.items()))
