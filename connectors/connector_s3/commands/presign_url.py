from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from connector_s3.errors import PRESIGN_ERRORS
from connector_s3.objects import S3Command
from connector_s3.parameters import read_key
from connector_s3.signature import encode_path

if TYPE_CHECKING:
    from spiffproxy_http import Client


@dataclass(repr=False)
class PresignUrl(S3Command):
    """Create a URL that lets everybody who has it get, store or delete one object.

    :param method: GET (unless set), PUT, DELETE or HEAD
    :param expires_in: seconds, 3600 unless set, a week at most
    """

    errors = PRESIGN_ERRORS
    parameter_schemas: ClassVar[dict[str, Any]] = {
        "method": {"enum": ["GET", "PUT", "DELETE", "HEAD", None]},
        "expires_in": {"minimum": 1, "maximum": 7 * 24 * 60 * 60},  # the longest that a signature is valid
    }

    bucket: str
    key: str
    method: str | None = "GET"
    expires_in: int | None = 3600
    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    addressing_style: str | None = "auto"

    def run(self, client: Client) -> dict[str, Any]:
        """Return the URL. No request is sent."""
        url = self.find_bucket(client.config)
        path = f"{url.target}/{encode_path(read_key(self.key))}"
        method, seconds = self.method or "GET", self.expires_in or 3600
        target = self.read_signer(client.config).presign(method, url.netloc, path, seconds, datetime.now(timezone.utc))
        return {"url": str(url._replace(target=target)), "method": method, "expires_in": seconds}
