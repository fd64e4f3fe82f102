"""The endpoint and the keys: from the parameters of the command, else from the operator's settings."""

from __future__ import annotations

import re
from typing import Any

from spiffproxy_http.errors import RequestError, invalid_parameter
from spiffproxy_http.excerpts import show
from spiffproxy_http.hosts import read_address
from spiffproxy_http.url import Url, parse_url

from connector_s3.parameters import read_bucket, read_header, read_text
from connector_s3.signature import Signer, encode_path

DEFAULT_REGION = "us-east-1"  # which MinIO and Ceph accept, too
REGION = "[A-Za-z0-9_-]{1,63}"
VIRTUAL_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")  # a name that can be a part of a host
BUCKET_WITH_CERTIFICATE = re.compile("[a-z0-9][a-z0-9-]{0,62}")  # AWS's certificates do not cover a name with a dot


def read_signer(
    access_key_id: str | None, secret_access_key: str | None, session_token: str | None, region: str, config: Any
) -> Signer:
    """Return the signer. The keys of the diagram are never combined with those of the operator."""
    key = read_header("access_key_id", access_key_id)
    secret = read_header("secret_access_key", secret_access_key)
    token = read_header("session_token", session_token)
    if not (key or secret or token):
        key = read_header("AWS_ACCESS_KEY_ID", read_setting(config, "AWS_ACCESS_KEY_ID"))
        secret = read_header("AWS_SECRET_ACCESS_KEY", read_setting(config, "AWS_SECRET_ACCESS_KEY"))
        token = read_header("AWS_SESSION_TOKEN", read_setting(config, "AWS_SESSION_TOKEN"))
    if not (key and secret):
        message = "access_key_id or secret_access_key is missing. Set both, or ask the operator"
        raise RequestError("NoCredentials", f"{message} to set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", 400)
    return Signer(key, region, secret, token)


def read_region(region: str | None, config: Any) -> str:
    name = read_text("region", region).strip()
    name = name or read_setting(config, "AWS_REGION") or read_setting(config, "AWS_DEFAULT_REGION") or DEFAULT_REGION
    if not re.fullmatch(REGION, name):
        raise invalid_parameter(f"region is {show(name)}. Use the name of a region, such as eu-central-1")
    return name


def find_bucket(
    bucket: str, endpoint_url: str | None, addressing_style: str | None, region: str | None, config: Any
) -> Url:
    """Return the URL of the bucket, without a slash at its end; raise `RequestError`."""
    name = read_bucket(bucket)
    setting = read_setting(config, "CONNECTOR_PROXY_S3_URL")
    text = setting or read_text("endpoint_url", endpoint_url).strip()
    source = "CONNECTOR_PROXY_S3_URL" if setting else "endpoint_url"
    endpoint = read_endpoint(source, text or aws_url(read_region(region, config)))
    path = endpoint.target.rstrip("/")
    if is_virtual(addressing_style, name, at_aws=not text):
        if read_address(endpoint.host):
            raise invalid_parameter('addressing_style is "virtual", but the endpoint is an address. Use "path"')
        return parse_url(f"{endpoint.scheme}://{name}.{endpoint.netloc}")._replace(target=path)
    return endpoint._replace(target=f"{path}/{encode_path(name)}")


def read_endpoint(source: str, text: str) -> Url:
    """Return the URL; raise `RequestError` that names its source, a parameter or a setting."""
    try:
        endpoint = parse_url(text)
    except RequestError as error:
        raise RequestError(error.error_code, f"{source}: {error}", error.http_status) from None
    if endpoint.credentials or "?" in endpoint.target:
        raise RequestError("InvalidURL", f"{source} contains a user or a query. Remove it", 400)
    return endpoint


def aws_url(region: str) -> str:
    return f"https://s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def is_virtual(style: str | None, bucket: str, *, at_aws: bool) -> bool:
    """Return whether the bucket is a part of the host. A private host seldom has a name for each of its buckets."""
    if style == "virtual":
        if not VIRTUAL_BUCKET.fullmatch(bucket):
            raise invalid_parameter('addressing_style is "virtual", but no host can have this bucket name. Use "path"')
        return True
    return style == "auto" and at_aws and bool(BUCKET_WITH_CERTIFICATE.fullmatch(bucket))


def read_setting(config: Any, name: str) -> str:
    return str(config.get(name) or "").strip()
