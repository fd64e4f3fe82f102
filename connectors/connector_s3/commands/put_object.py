from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from connector_s3.errors import PUT_ERRORS
from connector_s3.objects import S3Command, read_etag
from connector_s3.parameters import read_file_data, read_header, read_key
from connector_s3.signature import encode_path

if TYPE_CHECKING:
    from spiffproxy_http import Client


@dataclass(repr=False)
class PutObject(S3Command):
    """Store an object.

    :param file_data: a file: SpiffArena's file data, or an object with filename, mimetype and content_base64; or base64
    :param content_type: empty for the type of the file
    """

    errors = PUT_ERRORS
    parameter_schemas: ClassVar[dict[str, Any]] = {"file_data": {"type": ["string", "object"]}}

    bucket: str
    key: str
    file_data: str
    content_type: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    addressing_style: str | None = "auto"

    def run(self, client: Client) -> dict[str, Any]:
        key = read_key(self.key)
        data, type_of_data = read_file_data(self.file_data)
        content_type = read_header("content_type", self.content_type or type_of_data) or "application/octet-stream"
        headers = {"Content-Type": content_type}
        response = self.send_signed(client, "PUT", f"/{encode_path(key)}", headers=headers, data=data)
        return {"bucket": self.bucket, "key": key, "size": len(data), "etag": read_etag(response)}
