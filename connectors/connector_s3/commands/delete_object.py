from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connector_s3.errors import OBJECT_ERRORS
from connector_s3.objects import S3Command, refuse_answer
from connector_s3.parameters import read_key
from connector_s3.signature import encode_path


@dataclass(repr=False)
class DeleteObject(S3Command):
    """Delete an object; one that is not there is no error."""

    errors = OBJECT_ERRORS

    bucket: str
    key: str
    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    addressing_style: str | None = "auto"

    def run(self, config: Any, logs: list[str]) -> dict[str, Any]:
        key = read_key(self.key)
        if self.ask("DELETE", f"/{encode_path(key)}", config, logs).body:  # S3's has none; a page to log in is one
            raise refuse_answer()
        return {"bucket": self.bucket, "key": key}
