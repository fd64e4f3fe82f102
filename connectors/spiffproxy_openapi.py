"""`/v1/openapi.json`: what the proxy offers, as OpenAPI 3.1. Imported at the first request for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from spiffproxy import JSON, Proxy, Response, __version__, decode_json, encode_json

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment  # novm

ANY_OBJECTS = {"type": "array", "items": {"type": "object"}}
ENVELOPE = {
    "description": "The version 2 envelope. If a command has run, the HTTP status is 200, and error is not null if the "
    "command failed; command_response.http_status is the status of the upstream.",
    "type": "object",
    "required": ["command_response", "command_response_version", "error", "spiff__logs"],
    "properties": {
        "command_response": {
            "type": "object",
            "required": ["body", "mimetype"],
            "properties": {
                "body": {"description": "the result of the service task"},
                "mimetype": {"type": "string"},
                "http_status": {"type": ["integer", "null"]},
                "headers": {"type": ["object", "null"]},
            },
        },
        "command_response_version": {"type": "number", "minimum": 2},
        "error": {
            "type": ["object", "null"],
            "required": ["error_code", "message"],
            "properties": {
                "error_code": {"description": "what an error boundary event catches", "type": "string"},
                "message": {"type": "string"},
            },
        },
        "spiff__logs": {"type": "array", "items": {"type": "string"}},
    },
}
NO_ERRORS: Mapping[str, str] = {}
# status → component, and when the proxy itself responds with it
REFUSALS = {
    "400": ("InvalidRequest", "The body is not a JSON object, or a parameter is missing or unknown."),
    "404": ("NotFound", "There is no such connector, command or path."),
    "413": ("RequestTooLarge", "The body is larger than the proxy allows (CONNECTOR_PROXY_MAX_REQUEST_BYTES)."),
    "415": ("UnsupportedMediaType", "The content type is not application/json."),
    "500": (
        "CommandFailed",
        "The command raised an exception, whose class is the error code, or its result is invalid.",
    ),
    "503": ("Unavailable", "The connector is broken, or too many commands are running. Try again later."),
}
READINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "/liveness": ("whether the proxy runs", {"type": "object", "required": ["ok"]}),
    "/v1/commands": ("the commands of every connector", ANY_OBJECTS),
    "/v1/auths": ("what a person can sign in to", ANY_OBJECTS),
    "/v1/status": ("what runs, what is missing, and what is broken", {"type": "object", "required": ["ok"]}),
}


def show_openapi(proxy: Proxy, environ: WSGIEnvironment, names: str) -> Response:
    """Return the document, with each command that `/v1/commands` lists as a path."""
    upstreams = proxy.upstreams
    listed = upstreams.list_entries("commands", environ) if upstreams else proxy.connectors.list_entries("commands")
    descriptions = decode_json(listed.decode())
    entries, _ = proxy.connectors.load_all("commands")
    # the other commands accept any parameter, or are an upstream's, of which this is unknown
    closed = {entry.id for entry in entries if not entry.takes_kwargs}
    paths = {path: {"get": describe_reading(path, *READINGS[path])} for path in READINGS}
    for described in descriptions:
        operation = describe_operation(described, is_closed=described["id"] in closed)
        paths[f"/v1/do/{quote(described['id'])}"] = {"post": operation}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "spiffproxy", "summary": "A connector proxy for SpiffArena", "version": __version__},
        "servers": [{"url": "..", "description": "relative to this document, wherever the proxy is mounted"}],
        "security": [{"key": []}] if proxy.settings.api_keys else [],
        "paths": paths,
        "components": describe_components(),
    }
    return Response(200, encode_json(document))


def describe_components() -> dict[str, Any]:
    responses = {name: describe_result(description) for name, description in REFUSALS.values()}
    unauthorized = {"type": "object", "required": ["error"], "properties": {"error": {"const": "Unauthorized"}}}
    responses["Unauthorized"] = describe_response("The key is missing or wrong.", unauthorized)
    return {
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "Spiff-Connector-Proxy-Api-Key"}},
        "schemas": {"Envelope": ENVELOPE},
        "responses": responses,
    }


def describe_reading(path: str, summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary, "operationId": path.rpartition("/")[2]}
    operation["responses"] = {"200": describe_response(summary, schema)}
    if path == "/liveness":
        return {**operation, "security": []}
    operation["responses"]["401"] = {"$ref": "#/components/responses/Unauthorized"}
    return operation


def describe_operation(described: dict[str, Any], *, is_closed: bool) -> dict[str, Any]:
    """Return the operation of a command, from its entry in `/v1/commands`."""
    body = describe_body(described, is_closed=is_closed)
    operation: dict[str, Any] = {
        "operationId": described["id"],
        "tags": [described["id"].partition("/")[0]],
        "requestBody": {"required": True, "content": {JSON: {"schema": body}}},
        "responses": {
            "200": describe_result("The command has run.", read_field(described, "errors", dict)),
            "202": describe_response("The command will send its result to spiff__callback_url.", {}),
            **{status: {"$ref": f"#/components/responses/{name}"} for status, (name, _) in REFUSALS.items()},
            "401": {"$ref": "#/components/responses/Unauthorized"},
            "default": describe_result("The command has run. A version 1 command chooses its own status."),
        },
    }
    description = read_field(described, "description", str)
    if description:
        operation["summary"] = description.partition("\n\n")[0].replace("\n", " ")
        operation["description"] = description
    if described.get("deprecated"):
        operation["deprecated"] = True
    return operation


def read_field(described: dict[str, Any], name: str, kind: type) -> Any:
    """Return a field that is not of the protocol; an empty one if an upstream has something else under its name."""
    value = described.get(name)
    return value if isinstance(value, kind) else kind()


def describe_body(described: dict[str, Any], *, is_closed: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for parameter in described.get("parameters", ()):
        try:
            schema = make_ids_unique(read_field(parameter, "schema", dict), f"{described['id']}/{parameter['id']}")
        except (RecursionError, ValueError):  # an upstream's, nested too deeply or with half of a surrogate pair
            schema = {}
        if read_field(parameter, "description", str):
            schema["description"] = parameter["description"]
        if "default" in parameter:
            schema["default"] = parameter["default"]
        if parameter.get("secret"):
            schema.update({"format": "password", "writeOnly": True})
        properties[parameter["id"]] = schema
    of_spiffarena = {"^spiff__": {"description": "what SpiffArena adds to every call"}}
    body: dict[str, Any] = {"type": "object", "properties": properties, "patternProperties": of_spiffarena}
    required = [parameter["id"] for parameter in described.get("parameters", ()) if parameter.get("required")]
    if required:
        body["required"] = list(dict.fromkeys(required))  # an upstream may list a parameter twice
    if is_closed:
        body["additionalProperties"] = False
    return body


def make_ids_unique(schema: Any, place: str) -> Any:
    """Return a copy whose `$id`s are unique: two commands may have the same class of pydantic, and thus `$id`."""
    if isinstance(schema, list):
        return [make_ids_unique(item, place) for item in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {key: make_ids_unique(value, place) for key, value in schema.items()}
    if isinstance(schema.get("$id"), str):
        copy["$id"] = quote(f"{place}/{schema['$id']}")
    return copy


def describe_result(description: str, errors: Mapping[str, str] = NO_ERRORS) -> dict[str, Any]:
    """Return a response that is a version 2 envelope, or whatever a version 1 command returns with the same status."""
    codes: list[dict[str, Any]] = [{"title": code, "description": str(text)} for code, text in errors.items()]
    for described in codes:
        if "<" not in described["title"]:  # HttpError<status> stands for many codes
            described["const"] = described["title"]
    envelope: dict[str, Any] = {"$ref": "#/components/schemas/Envelope"}
    if errors:
        envelope["properties"] = {"error": {"properties": {"error_code": {"anyOf": [*codes, {"type": "string"}]}}}}
    response = describe_response(description, {"if": {"required": ["command_response_version"]}, "then": envelope})
    response["content"]["*/*"] = {}
    return response


def describe_response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": schema}}}
