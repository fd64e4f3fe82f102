"""Where the bucket is, and who signs: from the parameters, else from what the operator has set."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from spiffproxy_http.errors import RequestError
from spiffproxy_http.hosts import read_address
from spiffproxy_http.url import Url, parse_url

from connector_s3.parameters import read_bucket, read_header, read_text, refuse
from connector_s3.signature import Signer, encode_path

if TYPE_CHECKING:
    from connector_s3.objects import S3Command

_REGION = "us-east-1"  # what MinIO and Ceph answer to, too


def read_signer(command: S3Command, config: Any) -> Signer:
    """Return who signs; a key of the diagram's does not go with a secret or a token of the operator's."""
    names = ("access_key_id", "secret_access_key", "session_token")
    values = [read_header(name, getattr(command, name)) for name in names]
    if not any(values):
        values = [read_header(name, _read(config, name)) for name in map("AWS_{}".format, map(str.upper, names))]
    key, secret, token = values
    if not (key and secret):
        message = "Both access_key_id and secret_access_key are needed, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise RequestError("NoCredentials", f"{message} from the proxy's operator", 400)
    return Signer(key, read_region(command, config), secret, token)


def read_region(command: S3Command, config: Any) -> str:
    region = read_text("region", command.region).strip() or _read(config, "AWS_REGION") or _REGION
    if not re.fullmatch("[A-Za-z0-9_-]{1,63}", region):
        raise refuse(f"region is {region[:80]!r}, which is no name of a region")
    return region


def find_bucket(command: S3Command, config: Any) -> Url:
    """Return the URL of the bucket, without a slash at its end; raise `RequestError`."""
    bucket = read_bucket(command.bucket)
    text = _read(config, "CONNECTOR_PROXY_S3_URL") or read_text("endpoint_url", command.endpoint_url).strip()
    endpoint = parse_url(text or _aws_url(read_region(command, config)))
    if endpoint.credentials or "?" in endpoint.target:
        raise RequestError("InvalidURL", "The endpoint's URL may have no user and no query", 400)
    path = endpoint.target.rstrip("/")
    if _is_virtual(command.addressing_style, bucket, at_aws=not text):
        if read_address(endpoint.host):
            raise refuse("addressing_style 'virtual' takes an endpoint with a name, not an address")
        return parse_url(f"{endpoint.scheme}://{bucket}.{endpoint.netloc}")._replace(target=path)
    return endpoint._replace(target=f"{path}/{encode_path(bucket)}")


def _aws_url(region: str) -> str:
    return f"https://s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def _is_virtual(style: Any, bucket: str, *, at_aws: bool) -> bool:
    """Tell whether the bucket is a part of the host. A private host seldom has a name for each of its buckets, and
    AWS's certificates have none for a bucket with a dot.
    """
    style = read_text("addressing_style", style) or "auto"
    if style not in ("auto", "path", "virtual"):
        raise refuse("addressing_style may be 'auto', 'path' or 'virtual'")
    if style == "virtual" and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,62}", bucket):
        raise refuse("addressing_style 'virtual' takes a bucket whose name can be a part of a host")
    return style == "virtual" or (style == "auto" and at_aws and bool(re.fullmatch("[a-z0-9][a-z0-9-]{0,62}", bucket)))


def _read(config: Any, name: str) -> str:
    return str(config.get(name) or "").strip()
