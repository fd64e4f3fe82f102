from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from connector_s3.objects import S3Command, read_listing
from connector_s3.parameters import read_text
from connector_s3.signature import encode_query

if TYPE_CHECKING:
    from spiffproxy_http import Client


@dataclass(repr=False)
class ListObjects(S3Command):
    """List the objects of a bucket.

    :param prefix: lists only the objects whose keys begin with it
    :param delimiter: "/" lists each folder as one prefix
    :param max_keys: from 1 to 1000 (unless set)
    :param continuation_token: the next_continuation_token of the previous list
    """

    parameter_schemas: ClassVar[dict[str, Any]] = {"max_keys": {"minimum": 1, "maximum": 1000}}  # in one response

    bucket: str
    prefix: str | None = None
    delimiter: str | None = None
    max_keys: int | None = 1000
    continuation_token: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    addressing_style: str | None = "auto"

    def run(self, client: Client) -> dict[str, Any]:
        names = ("prefix", "delimiter", "continuation_token")
        given = {name.replace("_", "-"): read_text(name, getattr(self, name)) for name in names}
        query = {
            "list-type": "2",
            "encoding-type": "url",  # XML cannot hold every key
            "max-keys": str(self.max_keys),
            **{name: value for name, value in given.items() if value},
        }
        response = self.send_signed(client, "GET", f"/?{encode_query(query)}")
        return read_listing(response)
