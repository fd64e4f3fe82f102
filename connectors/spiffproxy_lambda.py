"""AWS Lambda: an event becomes a WSGI request, and the response becomes what Lambda expects.

The zip's `lambda_function` imports it.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlencode

import spiffproxy
from spiffproxy import ProxyError, add_headers, response_from_error

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment  # novm

    from spiffproxy import HeaderList

# AWS's limit for a response, encoded as JSON
MAX_RESPONSE_BYTES = 6 * 1024**2


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Respond to an event of a function URL, an HTTP API, a REST API, a load balancer or VPC Lattice.

    An event without a method is a GET: `{"rawPath": "/"}` of a test, or the event of a timer that keeps the function
    warm. Returns an object from which the service makes the HTTP response.
    """
    event = event if isinstance(event, dict) else {}
    try:
        environ = environ_from_event(event)
    except ProxyError as error:
        return result_from_error(event, error)
    except (AttributeError, TypeError, ValueError) as error:
        return result_from_error(
            event, ProxyError(400, "bad_request", f"The event cannot be read as a request: {error}")
        )
    status, headers, body = spiffproxy.app.respond(environ)
    result = result_from_response(event, status, headers, body)
    # one byte may become six in JSON
    if len(body) > MAX_RESPONSE_BYTES // 6 and len(json.dumps(result)) > MAX_RESPONSE_BYTES:
        message = f"The response has {len(body)} bytes, and is larger than the 6 MB of JSON that AWS Lambda allows"
        return result_from_error(event, ProxyError(413, "response_too_large", message))
    return result


# --- From the event -----------------------------------------------------------------------------------------------


def environ_from_event(event: Mapping[str, Any]) -> WSGIEnvironment:
    """Return the request of an event (PEP 3333); raise ProxyError, 400, if its kind is not known."""
    request = read_request(event)
    if not isinstance(request.method, str):
        raise TypeError("its method is not a string")
    headers = headers_from_event(event)
    body = body_from_event(event)
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": request.script_name,
        "PATH_INFO": request.path,
        "QUERY_STRING": wsgi_string(request.query),
        "SERVER_NAME": "localhost",  # if there is no Host
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http" if ("x-forwarded-proto", "http") in headers else "https",
        "wsgi.input": io.BytesIO(body),
    }
    add_headers(environ, headers)
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def wsgi_string(text: str) -> str:
    """Return a string as PEP 3333 requires it: each of its bytes is a character."""
    return text.encode().decode("latin-1")


def headers_from_event(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the headers, names in lower case, without those about the length of the body, which is complete here."""
    headers = []
    for name, values in (event.get("multiValueHeaders") or event.get("headers") or {}).items():
        name = name.lower()
        if name not in ("content-length", "transfer-encoding") and not (name == "cookie" and event.get("cookies")):
            headers += [(name, value) for value in as_list(values)]
    headers += [("cookie", cookie) for cookie in event.get("cookies") or []]
    if "raw_path" in event:  # VPC Lattice, version 1, joins repeated headers with a comma, which no cookie can have
        headers = [(name, value.replace(",", "; ") if name == "cookie" else value) for name, value in headers]
    return [(name, wsgi_string(value)) for name, value in headers]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def body_from_event(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    if event.get("isBase64Encoded") or event.get("is_base64_encoded"):
        return base64.b64decode(body, validate=True)
    encoded: bytes = body.encode()
    return encoded


# --- Method, path and query, by the kind of the event ---------------------------------------------------------------


class EventRequest(NamedTuple):
    """SCRIPT_NAME and PATH_INFO are as PEP 3333 requires them; the query is percent-encoded, or has raw UTF-8."""

    method: str
    script_name: str
    path: str
    query: str


def read_request(event: Mapping[str, Any]) -> EventRequest:
    """Recognise the kind of the event; raise ProxyError, 400, if it has a method but its kind is unknown."""
    context = event.get("requestContext") or {}
    if context.get("http"):
        return read_http_api_2(event, context)
    if "raw_path" in event:
        return read_lattice_1(event)
    if event.get("method") and "path" in event and event.get("version") == "2.0":
        return read_lattice_2(event)
    if event.get("httpMethod") and "path" in event:
        if "resource" not in event:
            return read_load_balancer(event)
        if event.get("version") == "1.0":
            return read_http_api_1(event, context)
        return read_rest_api(event, context)
    if has_method(event):
        message = "The event has a method, but it is not an event of a function URL, an HTTP API, a REST API (with the "
        message += "Lambda proxy integration), a load balancer or VPC Lattice. Call the function through one of them"
        raise ProxyError(400, "bad_request", message)
    return EventRequest("GET", "", decode_path(event.get("rawPath") or event.get("path")), read_query(event))


def has_method(event: Mapping[str, Any]) -> bool:
    """Return whether an event of an unknown kind is that of an HTTP request.

    With the template of AWS, a REST API without the proxy integration sends  {"context": {"http-method": "POST"}}.
    """
    places = [event, *(event.get(name) for name in ("context", "http", "request", "requestContext"))]
    names = ("method", "httpMethod", "http-method", "http_method", "requestMethod")
    return any(isinstance(place, dict) and place.get(name) for place in places for name in names)


def read_http_api_2(event: Mapping[str, Any], context: Mapping[str, Any]) -> EventRequest:
    """Read an event of a function URL, or of an HTTP API in format 2.0.

    function URL:  {"rawPath": "/v1/auths", "routeKey": "$default"},  the stage "$default"
    HTTP API:      {"rawPath": "/prod/v1/auths", "routeKey": "ANY /v1/{proxy+}", "pathParameters": {"proxy": "auths"}},
                   the stage "prod";  with a custom domain's base path  "rawPath": "/base/v1/auths"
    """
    route = (event.get("routeKey") or "").rpartition(" ")[2]
    script_name, path = split_http_api_path(event, context, route, event.get("rawPath"))
    return EventRequest(context["http"].get("method") or "GET", script_name, path, read_query(event))


def read_http_api_1(event: Mapping[str, Any], context: Mapping[str, Any]) -> EventRequest:
    """Read an event of an HTTP API in format 1.0.

    {"version": "1.0", "path": "/prod/v1/auths", "resource": "/v1/{proxy+}", "pathParameters": {"proxy": "auths"}},
    the stage "prod"
    """
    script_name, path = split_http_api_path(event, context, event["resource"], event["path"])
    return EventRequest(event["httpMethod"], script_name, path, read_query(event))


def split_http_api_path(
    event: Mapping[str, Any], context: Mapping[str, Any], route: str, path: str | None
) -> tuple[str, str]:
    """Return SCRIPT_NAME and PATH_INFO. With the route `$default`, only the stage can be before the path."""
    whole = decode_path(path)
    stage = f"/{context.get('stage') or '$default'}"
    split = split_path(whole, expand_route(event, route))
    if not split and f"{whole}/".startswith(f"{stage}/"):
        split = stage, whole[len(stage) :] or "/"
    return split or ("", whole)


def read_rest_api(event: Mapping[str, Any], context: Mapping[str, Any]) -> EventRequest:
    """Read an event of a REST API, whose `path` is without the stage, and with the base path of a custom domain.

    stage:      {"path": "/v1/auths", "resource": "/v1/{proxy+}", "pathParameters": {"proxy": "auths"}},
                requestContext.path "/prod/v1/auths"
    base path:  {"path": "/base/v1/auths", …},  requestContext.path "/base/v1/auths"
    """
    path, whole = decode_path(event["path"]), decode_path(context.get("path") or event["path"])
    route = expand_route(event, event["resource"])
    # a test in the console has only the resource as requestContext.path
    split = split_path(whole, route) or split_path(path, route) or split_path(whole, path) or ("", path)
    return EventRequest(event["httpMethod"], *split, read_query(event))


def read_load_balancer(event: Mapping[str, Any]) -> EventRequest:
    """Read  {"httpMethod": "GET", "path": "/v1/auths", …},  whose query is still percent-encoded."""
    pairs = query_pairs(event.get("multiValueQueryStringParameters") or event.get("queryStringParameters"))
    query = "&".join(f"{name}={value}" for name, value in pairs)
    return EventRequest(event["httpMethod"], "", decode_path(event["path"]), query)


def read_lattice_1(event: Mapping[str, Any]) -> EventRequest:
    """Read  {"method": "GET", "raw_path": "/v1/auths", "query_string_parameters": {…}, "is_base64_encoded": false}."""
    path, query = split_lattice_path(event["raw_path"], event.get("query_string_parameters"))
    return EventRequest(event.get("method") or "GET", "", decode_path(path), query)


def read_lattice_2(event: Mapping[str, Any]) -> EventRequest:
    """Read  {"version": "2.0", "method": "GET", "path": "/v1/auths", "queryStringParameters": {"limit": ["3"]}}."""
    path, query = split_lattice_path(event["path"], event.get("queryStringParameters"))
    return EventRequest(event["method"], "", decode_path(path), query)


def split_lattice_path(path: str, parameters: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return path and query. A query in the path is used if there is one, because it is as the client sent it."""
    path, _, query = path.partition("?")
    return path, query or urlencode(query_pairs(parameters))


def read_query(event: Mapping[str, Any]) -> str:
    if "rawQueryString" in event:
        query: str = event["rawQueryString"] or ""
        return query
    return urlencode(query_pairs(event.get("multiValueQueryStringParameters") or event.get("queryStringParameters")))


def query_pairs(parameters: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    return [(name, value) for name, values in (parameters or {}).items() for value in as_list(values)]


# --- SCRIPT_NAME and PATH_INFO --------------------------------------------------------------------------------------


def decode_path(path: str | None) -> str:
    return "/" + unquote_to_bytes((path or "").lstrip("/")).decode("latin-1")


def expand_route(event: Mapping[str, Any], route: str) -> str:
    """Return the route with its parameters filled in: `/v1/{proxy+}` is `/v1/auths`; `$default` is an empty string."""
    for name, value in (event.get("pathParameters") or {}).items():
        route = route.replace(f"{{{name}+}}", value or "").replace(f"{{{name}}}", value or "")
    return decode_path(route) if route.startswith("/") else ""


def split_path(path: str, end: str) -> tuple[str, str] | None:
    """Split a path before `end`; return None if it does not end so. AWS removes a last slash from `proxy`."""
    stripped, end_stripped = path.rstrip("/"), end.rstrip("/")
    if not end or not stripped.endswith(end_stripped):
        return None
    prefix = stripped[: len(stripped) - len(end_stripped)]
    return prefix, path[len(prefix) :] or "/"


# --- To Lambda ----------------------------------------------------------------------------------------------------


def result_from_response(event: Mapping[str, Any], status: str, headers: HeaderList, body: bytes) -> dict[str, Any]:
    """Return the response in the format of the event; the body is base64 only if it is not UTF-8."""
    try:
        text, is_base64 = body.decode(), False
    except UnicodeDecodeError:
        text, is_base64 = base64.b64encode(body).decode(), True
    result: dict[str, Any] = {"statusCode": int(status[:3]), "body": text, "isBase64Encoded": is_base64}
    if "httpMethod" in event and "resource" not in event:  # a load balancer; a REST API would call it malformed
        result["statusDescription"] = status
    if "multiValueHeaders" in event:
        result["multiValueHeaders"] = {name: [value] for name, value in headers}
    elif "httpMethod" in event or "method" in event or "raw_path" in event:  # the last two: VPC Lattice
        result["headers"] = dict(headers)
    else:
        result["headers"] = {name: value for name, value in headers if name != "Set-Cookie"}
        result["cookies"] = [value for name, value in headers if name == "Set-Cookie"]
    return result


def result_from_error(event: Mapping[str, Any], error: ProxyError) -> dict[str, Any]:
    response = response_from_error(error)
    return result_from_response(event, *response.status_and_headers(), response.body)
