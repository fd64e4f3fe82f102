from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spiffproxy_http.files import File
from spiffproxy_http.headers import find_content_type, parse_media_type

from connector_s3.errors import GET_ERRORS
from connector_s3.objects import S3Command, read_etag
from connector_s3.parameters import read_key
from connector_s3.signature import encode_path

if TYPE_CHECKING:
    from spiffproxy_http import Client


@dataclass(repr=False)
class GetObject(S3Command):
    """Get an object as a file: filename, mimetype, content_base64 and size."""

    errors = GET_ERRORS

    bucket: str
    key: str
    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    addressing_style: str | None = "auto"

    def run(self, client: Client) -> dict[str, Any]:
        key = read_key(self.key)
        response = self.send_signed(client, "GET", f"/{encode_path(key)}")
        content_type = find_content_type(response.headers)
        media_type, parameters = parse_media_type(content_type)
        return {
            **File(key, media_type, parameters, response.body).as_object(),
            "content_type": content_type,
            "bucket": self.bucket,
            "key": key,
            "etag": read_etag(response),
            "last_modified": response.headers.get("Last-Modified"),
        }
