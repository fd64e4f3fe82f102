"""AWS Lambda: an event becomes a WSGI request, and the response becomes what Lambda expects.

The zip's `lambda_function` imports it.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlencode

import spiffproxy
from spiffproxy import ProxyError, add_headers, response_from_error

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment  # novm

    from spiffproxy import HeaderList

# of a response, encoded as JSON
MAX_RESPONSE_BYTES = 6 * 1024**2


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer an event of a function URL or an HTTP API (payload format 2.0 or 1.0), a REST API or a load balancer.

    An event as bare as `{"rawPath": "/"}` is answered, too. Returns what Lambda makes an HTTP response of.
    """
    event = event if isinstance(event, dict) else {}
    try:
        environ = environ_from_event(event)
    except (AttributeError, TypeError, ValueError) as error:
        return result_from_error(
            event, ProxyError(400, "bad_request", f"The event cannot be read as a request: {error}")
        )
    status, headers, body = spiffproxy.app.respond(environ)
    result = result_from_response(event, status, headers, body)
    # encoding as JSON makes up to six bytes of one
    if len(body) > MAX_RESPONSE_BYTES // 6 and len(json.dumps(result)) > MAX_RESPONSE_BYTES:
        message = f"The answer has {len(body)} bytes, and AWS Lambda lets no more than 6 MB pass, as it encodes them"
        return result_from_error(event, ProxyError(413, "response_too_large", message))
    return result


# --- From the event -----------------------------------------------------------------------------------------------


def environ_from_event(event: Mapping[str, Any]) -> WSGIEnvironment:
    """Return the request of an event (PEP 3333)."""
    context = event.get("requestContext") or {}
    headers = headers_from_event(event)
    # the body is here as a whole
    headers.pop("transfer-encoding", None)
    body = body_from_event(event)
    headers["content-length"] = str(len(body))
    script_name, path = paths_from_event(event, context)
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": (context.get("http") or {}).get("method") or event.get("httpMethod") or "GET",
        "SCRIPT_NAME": unquote_to_bytes(script_name).decode("latin-1"),  # in PEP 3333 a byte is a letter
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query_from_event(event, context),
        "SERVER_NAME": "localhost",  # if there is no Host
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http" if headers.get("x-forwarded-proto") == "http" else "https",
        "wsgi.input": io.BytesIO(body),
    }
    add_headers(environ, headers.items())
    return environ


def headers_from_event(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers by name in lower case, repeated ones as one."""
    many = event.get("multiValueHeaders")
    if not many:
        many = {name: [value] for name, value in (event.get("headers") or {}).items()}
    headers = {}
    for name, values in many.items():
        separator = "; " if name.lower() == "cookie" else ", "
        headers[name.lower()] = separator.join(values)
    if event.get("cookies"):
        headers["cookie"] = "; ".join(event["cookies"])
    return {name: value.encode().decode("latin-1") for name, value in headers.items()}


def body_from_event(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        return base64.b64decode(body, validate=True)
    encoded: bytes = body.encode()
    return encoded


def paths_from_event(event: Mapping[str, Any], context: Mapping[str, Any]) -> tuple[str, str]:
    """Return SCRIPT_NAME, which is a named stage or the base path of a custom domain, and PATH_INFO after it.

    | event of                        | its path                                                       | PATH_INFO |
    |---------------------------------|----------------------------------------------------------------|-----------|
    | function URL, load balancer     | rawPath or path "/v1/auths"                                    | /v1/auths |
    | HTTP API with a stage           | rawPath or path "/prod/v1/auths", context.stage "prod"         | /v1/auths |
    | the same, route /{proxy+}       | and pathParameters.proxy "v1/auths"                            | /v1/auths |
    | REST API, resource /{proxy+}    | path "/v1/auths", context.path "/prod/v1/auths"                | /v1/auths |
    | REST API, resource /            | path "/base", a custom domain's base path                      | /         |
    """
    path = "/" + (event.get("rawPath") or event.get("path") or "").lstrip("/")
    whole = context.get("path") or path  # a REST API has its stage here
    rest = (event.get("pathParameters") or {}).get("proxy")
    stage = f"/{context.get('stage')}"
    is_http_api = "rawPath" in event or "version" in event
    if event.get("resource") == "/":
        path = "/"
    elif rest and path.endswith(f"/{rest}"):
        path = f"/{rest}"
    elif is_http_api and f"{path}/".startswith(f"{stage}/"):
        path = path[len(stage) :] or "/"
    if path == "/" or whole.endswith(path):
        return whole.removesuffix(path), path
    return "", path


def query_from_event(event: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    if "rawQueryString" in event:
        return str(event["rawQueryString"])
    many = event.get("multiValueQueryStringParameters")
    if not many:
        many = {name: [value] for name, value in (event.get("queryStringParameters") or {}).items()}
    pairs = [(name, value) for name, values in many.items() for value in values]
    if "elb" in context:  # a load balancer leaves them encoded
        return "&".join(f"{name}={value}" for name, value in pairs)
    return urlencode(pairs)


# --- To Lambda ----------------------------------------------------------------------------------------------------


def result_from_response(event: Mapping[str, Any], status: str, headers: HeaderList, body: bytes) -> dict[str, Any]:
    """Return the response in the format of the event; base64 only for what is not UTF-8."""
    try:
        text, is_base64 = body.decode(), False
    except UnicodeDecodeError:
        text, is_base64 = base64.b64encode(body).decode(), True
    result: dict[str, Any] = {"statusCode": int(status[:3]), "body": text, "isBase64Encoded": is_base64}
    if "httpMethod" in event and "resource" not in event:  # a load balancer; a REST API would call it malformed
        result["statusDescription"] = status
    if "multiValueHeaders" in event:
        result["multiValueHeaders"] = {name: [value] for name, value in headers}
    elif "httpMethod" in event:
        result["headers"] = dict(headers)
    else:
        result["headers"] = {name: value for name, value in headers if name != "Set-Cookie"}
        result["cookies"] = [value for name, value in headers if name == "Set-Cookie"]
    return result


def result_from_error(event: Mapping[str, Any], error: ProxyError) -> dict[str, Any]:
    response = response_from_error(error)
    return result_from_response(event, *response.status_and_headers(), response.body)
