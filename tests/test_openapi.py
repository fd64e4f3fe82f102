"""`/v1/openapi.json`: valid as OpenAPI 3.1, and true to what the proxy answers."""

import importlib.util
import shutil
import subprocess
import sysconfig
import threading

import pytest
from conftest import JSON

TYPED = '''
from __future__ import annotations
from dataclasses import dataclass
from typing import Any, Literal, Optional, TypedDict

class Point(TypedDict):
    x: float
    y: float

@dataclass
class Place:
    name: str
    points: list[Point]

def envelope(body, error=None):
    response = {"body": body, "mimetype": "application/json"}
    return {"command_response": response, "command_response_version": 2, "error": error}

class Everything:
    """Accept every kind of value.

    And return it.

    :param text: a string
    :raises IsOdd: the number is odd; use an even one
    :raises HttpError<status>: the upstream refused
    """

    def __init__(self, text: str, number: int, ratio: float = 0.5, size: Literal["s", "l"] = "s",
                 token: Optional[str] = None, place: Optional[Place] = None, anything: Any = None):
        self.values = [text, number, place, anything]

    def execute(self, config, task_data):
        is_odd = isinstance(self.values[1], int) and self.values[1] % 2
        return envelope(self.values, {"error_code": "IsOdd", "message": "it is odd"} if is_odd else None)

    def execute_async(self, config, task_data, callback_url):
        return envelope(None)

class Others:
    """Deprecated: use Everything."""

    def __init__(self, **others):
        self.others = others

    def execute(self, config, task_data):
        return {"response": self.others}

class Größe:
    def execute(self, config, task_data):
        return {"response": "ä", "mimetype": "text/plain", "status": 404}
'''


@pytest.fixture
def document(make_app, write_connector, tmp_path):
    """The document of a proxy with a connector that has every kind of parameter, its name as `x-name`."""
    name = write_connector(TYPED)
    return {**make_app(tmp_path).get("/v1/openapi.json").json, "x-name": name}


def operation_of(document, command):
    return document["paths"][f"/v1/do/{document['x-name']}/{command}"]["post"]


def test_each_command_is_a_path_with_its_parameters(document):
    operation = operation_of(document, "Everything")
    assert operation["summary"] == "Accept every kind of value."
    assert operation["description"] == "Accept every kind of value.\n\nAnd return it."
    body = operation["requestBody"]["content"][JSON]["schema"]
    assert (body["required"], body["additionalProperties"]) == (["text", "number"], False)
    assert body["properties"]["text"] == {"type": "string", "description": "a string"}
    assert body["properties"]["size"] == {"enum": ["s", "l"], "default": "s"}
    secret = {"type": ["string", "null"], "default": None, "format": "password", "writeOnly": True}
    assert body["properties"]["token"] == secret
    assert body["properties"]["place"]["anyOf"][0]["properties"]["points"]["items"]["required"] == ["x", "y"]


def test_a_command_that_accepts_any_parameter(document):
    operation = operation_of(document, "Others")
    assert "additionalProperties" not in operation["requestBody"]["content"][JSON]["schema"]
    assert operation["deprecated"] is True
    assert operation_of(document, "Gr%C3%B6%C3%9Fe")["operationId"].endswith("/Größe")


def test_the_errors_of_a_command_are_in_its_response(document):
    """A code that stands for many is not a value by itself, and a code that is not declared is possible."""
    schema = operation_of(document, "Everything")["responses"]["200"]["content"][JSON]["schema"]["then"]
    assert schema["properties"]["error"]["properties"]["error_code"]["anyOf"] == [
        {"title": "IsOdd", "description": "the number is odd; use an even one", "const": "IsOdd"},
        {"title": "HttpError<status>", "description": "the upstream refused"},
        {"type": "string"},
    ]


def test_it_is_valid(make_app, document):
    """With the bundled connectors, those of the tests, and none but them."""
    validator = pytest.importorskip("openapi_spec_validator", reason="openapi-spec-validator is not installed")
    validator.validate(document)
    validator.validate(make_app().get("/v1/openapi.json").json)


def test_the_ids_of_schemas_are_unique(make_app, write_connector, tmp_path):
    """A class of pydantic may be a parameter of several commands; its references stay within it."""
    name = write_connector(
        """
class Model:
    @staticmethod
    def model_json_schema():
        return {"$defs": {"Inner": {"type": "string"}}, "properties": {"inner": {"$ref": "#/$defs/Inner"}}}
class First:
    def __init__(self, model: Model, models: "list[Model]"): ...
    def execute(self, *_): ...
class Second(First): ...
"""
    )
    document = make_app(tmp_path).get("/v1/openapi.json").json
    ids = []
    for command in "First", "Second":
        body = document["paths"][f"/v1/do/{name}/{command}"]["post"]["requestBody"]["content"][JSON]["schema"]
        ids += [body["properties"]["model"]["$id"], body["properties"]["models"]["items"]["$id"]]
    assert ids == [f"{name}/{path}/Model" for path in ("First/model", "First/models", "Second/model", "Second/models")]


def test_it_works_below_a_path(make_app):
    """And asks for the key; the document says where that belongs."""
    app = make_app(API_KEY="k")
    app.get("/v1/openapi.json", status=401)
    environ = {"SCRIPT_NAME": "/proxy"}
    key = {"Spiff-Connector-Proxy-Api-Key": "k"}
    document = app.get("/v1/openapi.json", headers=key, extra_environ=environ).json
    assert [server["url"] for server in document["servers"]] == [".."]
    assert document["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"]["key"]["name"] == "Spiff-Connector-Proxy-Api-Key"


def test_schemathesis_finds_nothing(start_server, write_connector, tmp_path):
    """A command that ran is answered with 200 even if it refuses a parameter: one check would call that a fault."""
    if not importlib.util.find_spec("schemathesis"):
        pytest.skip("schemathesis is not installed (the dependency group openapi)")
    name = write_connector(TYPED)
    hosts = {"CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS": "nothing.invalid"}
    server = start_server("--connectors", str(tmp_path), CONNECTOR_PROXY_API_KEY="k", **hosts)
    threading.Thread(target=server.process.stderr.read, daemon=True).start()  # or the log would fill the pipe
    program = shutil.which("schemathesis", path=sysconfig.get_path("scripts"))
    ended = subprocess.run(
        [
            *(program, "run", f"{server.url}/v1/openapi.json", "--header", "Spiff-Connector-Proxy-Api-Key: k"),
            *("--checks", "all", "--exclude-checks", "negative_data_rejection", "--max-examples", "10"),
            *("--seed", "1", "--no-color", "--include-path-regex", f"{name}|http/[A-Z][a-z]+RequestV2|/v1/[a-z]+$"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "12 selected" in ended.stdout
