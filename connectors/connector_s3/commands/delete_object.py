from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connector_s3.errors import OBJECT_ERRORS
from connector_s3.objects import S3Command, unexpected_response
from connector_s3.parameters import read_key
from connector_s3.signature import encode_path

if TYPE_CHECKING:
    from spiffproxy_http import Client


@dataclass(repr=False)
class DeleteObject(S3Command):
    """Delete an object, if it exists."""

    errors = OBJECT_ERRORS

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
        if self.send_signed(client, "DELETE", f"/{encode_path(key)}").body:  # S3 sends no body; a login page has one
            raise unexpected_response()
        return {"bucket": self.bucket, "key": key}
