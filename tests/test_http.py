"""The http connector, against a real server."""

import base64
import json

import pytest
from conftest import JSON

VERSION_2 = ["GetRequestV2", "HeadRequestV2", "DeleteRequestV2", "PatchRequestV2", "PostRequestV2", "PutRequestV2"]
WITH_BODY = ["PatchRequestV2", "PostRequestV2", "PutRequestV2"]


@pytest.fixture
def call(make_app):
    """Return a function that calls a command of the connector and returns the answer of the proxy."""
    app = make_app()
    return lambda command, status=200, **body: app.post_json(f"/v1/do/http/{command}", body, status=status)


def test_the_ids_and_parameters_are_those_that_diagrams_use(make_app):
    answer = make_app().get("/v1/commands").json
    listed = {
        entry["id"]: [p["id"] for p in entry["parameters"]] for entry in answer if entry["id"].startswith("http/")
    }
    auth = ["basic_auth_username", "basic_auth_password"]
    assert listed == {
        "http/DeleteRequestV2": ["url", "headers", "params", *auth, "data", "body_format", "include_response_headers"],
        "http/GetRequest": ["url", "headers", "params", *auth],
        "http/GetRequestV2": ["url", "headers", "params", *auth, "attempts", "include_response_headers"],
        "http/HeadRequestV2": ["url", "headers", "params", *auth, "attempts", "include_response_headers"],
        "http/PatchRequestV2": ["url", "headers", *auth, "data", "body_format", "include_response_headers"],
        "http/PostRequest": ["url", "headers", *auth, "data"],
        "http/PostRequestV2": ["url", "headers", *auth, "data", "body_format", "include_response_headers"],
        "http/PutRequestV2": ["url", "headers", *auth, "data", "body_format", "include_response_headers"],
    }
    required = [
        p["id"] for entry in answer if entry["id"].startswith("http/") for p in entry["parameters"] if p["required"]
    ]
    assert required == ["url"] * 8


def test_version_1(call, upstream):
    """The upstream's text and status are the answer, whatever they are."""
    answer = call("GetRequest", url=upstream.url, params={"q": "a b"}, headers={"X-One": "1"})
    assert (answer.body, answer.content_type) == (b'{"ok": true}', JSON)
    assert (upstream.requests[0].path, upstream.requests[0].headers["X-One"]) == ("/?q=a+b", "1")
    upstream.answer = lambda request: (404, {"Content-Type": "text/plain"}, b"no such thing")
    assert call("GetRequest", 404, url=upstream.url).body == b"no such thing"
    upstream.answer = lambda request: (202, {}, b"{}")
    call("GetRequest", 200, url=upstream.url)
    upstream.answer = lambda request: (201, {}, request.body)
    assert call("PostRequest", 201, url=upstream.url, data={"a": 1}).json == {"a": 1}
    assert call("PostRequest", 201, url=upstream.url).body == b""


def test_version_1_without_an_answer(call):
    answer = call("GetRequest", 500, url="http://127.0.0.1:1/")
    assert answer.json == {"error": "No answer from http://127.0.0.1:1/: [Errno 111] Connection refused"}


@pytest.mark.parametrize("command", VERSION_2)
def test_version_2(call, upstream, command):
    method = command[: -len("RequestV2")].upper()
    answer = call(command, url=f"{upstream.url}/path?q=s3cret", headers={"X-One": 1, "X-None": None}).json
    body = {"raw_response": ""} if method == "HEAD" else {"ok": True}
    assert answer == {
        "command_response": {"body": body, "mimetype": JSON, "http_status": 200},
        "command_response_version": 2,
        "error": None,
        "spiff__logs": [f"{method} {upstream.url}/path, attempt 1 of 1: HTTP 200"],
    }
    (request,) = upstream.requests
    assert (request.command, request.path, request.headers["X-One"]) == (method, "/path?q=s3cret", "1")
    assert "X-None" not in request.headers
    assert request.body == (b"{}" if command in WITH_BODY else b"")


@pytest.mark.parametrize("command", VERSION_2)
@pytest.mark.parametrize("status", [400, 404, 503])
def test_version_2_from_400_on(call, upstream, command, status):
    """Is an error that a boundary event can catch, answered 200: the proxy has done its part."""
    upstream.answer = lambda request: (status, {"Content-Type": "text/plain"}, b"words")
    answer = call(command, url=f"{upstream.url}/path?q=s3cret").json
    assert answer["command_response"]["http_status"] == status
    assert answer["error"]["error_code"] == f"HttpError{status}"
    assert f"{upstream.url}/path answered {status}" in answer["error"]["message"]
    assert "s3cret" not in json.dumps(answer)
    if command != "HeadRequestV2":
        assert answer["command_response"]["body"] == {"raw_response": "words"}
        assert "words" in answer["error"]["message"]


def test_what_is_said_to_be_json_and_is_not(call, upstream):
    upstream.answer = lambda request: (200, {"Content-Type": "application/json; charset=utf-8"}, b"<html>")
    answer = call("GetRequestV2", url=upstream.url).json
    assert answer["command_response"] == {"body": {"raw_response": "<html>"}, "mimetype": JSON, "http_status": 200}
    assert answer["error"]["error_code"] == "JSONDecodeError"


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/plain", b"text", {"raw_response": "text"}),
        ("text/plain; charset=latin-1", b"gr\xfcn", {"raw_response": "grün"}),
        ("text/plain", "grün".encode(), {"raw_response": "grün"}),
        ("text/plain", b"gr\xfcn", {"raw_response": "grün"}),
        ("text/plain; charset=nonsense", b"text", {"raw_response": "text"}),
        ("Application/JSON", b"[1]", [1]),
        (JSON, b"", {"raw_response": ""}),
    ],
)
def test_bodies(call, upstream, content_type, body, expected):
    upstream.answer = lambda request: (200, {"Content-Type": content_type}, body)
    answer = call("GetRequestV2", url=upstream.url).json
    assert (answer["command_response"]["body"], answer["error"]) == (expected, None)


@pytest.mark.parametrize(
    ("parameters", "content_type", "body"),
    [
        ({"data": {"a": [1, "ü"]}}, JSON, b'{"a": [1, "\\u00fc"]}'),
        ({"data": [1]}, JSON, b"[1]"),
        ({"data": "text"}, JSON, b'"text"'),
        ({"data": False}, JSON, b"false"),
        ({"data": None}, JSON, b"{}"),
        ({}, JSON, b"{}"),
        ({"data": {}, "headers": {"content-TYPE": "a/b"}}, "a/b", b"{}"),
        (
            {"data": {"a": "x y", "b": [1, 2]}, "body_format": "Form"},
            "application/x-www-form-urlencoded",
            b"a=x+y&b=1&b=2",
        ),
        ({"data": "grün", "body_format": "raw"}, None, "grün".encode()),
        ({"data": {"a": 1}, "body_format": "raw"}, None, b'{"a": 1}'),
        ({"data": {"a": 1}, "body_format": "none"}, None, b""),
    ],
)
def test_bodies_of_requests(call, upstream, parameters, content_type, body):
    upstream.answer = lambda request: (200, {}, b"")
    call("PostRequestV2", url=upstream.url, **parameters)
    (request,) = upstream.requests
    assert request.body == body
    if content_type:
        assert request.headers.get_all("Content-Type") == [content_type]


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        ({"url": "example.org/x"}, "MissingSchema", "write https://example.org/x"),
        ({"url": "file:///etc/passwd"}, "InvalidSchema", "http or https"),
        ({"url": "ftp://127.0.0.1/x"}, "InvalidSchema", "http or https"),
        ({"url": "data:,x"}, "InvalidSchema", "http or https"),
        ({"data": 1, "body_format": "form"}, "ValueError", "takes data that is an object"),
        ({"body_format": "xml"}, "ValueError", "'json', 'form', 'raw' or 'none'"),
    ],
)
def test_mistakes_of_the_author_are_permanent(call, upstream, parameters, code, words):
    answer = call("PostRequestV2", **{"url": upstream.url, **parameters}).json
    assert (answer["error"]["error_code"], answer["command_response"]["http_status"]) == (code, 400)
    assert words in answer["error"]["message"]
    assert upstream.requests == []


def test_a_redirect_does_not_lead_out_of_http(call, upstream):
    upstream.answer = lambda request: (302, {"Location": "file:///etc/passwd"}, b"")
    response = call("GetRequestV2", url=upstream.url).json["command_response"]
    assert (response["http_status"], response["body"]) == (302, {"raw_response": ""})


@pytest.mark.parametrize(("credentials", "sent"), [(("u", "p:q"), "u:p:q"), (("ü", "ß"), "ü:ß"), ((None, None), None)])
def test_basic_credentials(call, upstream, credentials, sent):
    call("GetRequestV2", url=upstream.url, basic_auth_username=credentials[0], basic_auth_password=credentials[1])
    header = upstream.requests[0].headers["Authorization"]
    assert header == (sent and "Basic " + base64.b64encode(sent.encode("latin-1")).decode())


def test_response_headers_where_asked_for(call, upstream):
    upstream.answer = lambda request: (200, {"X-Many": ["a", "b"]}, b"")
    headers = call("GetRequestV2", url=upstream.url, include_response_headers=True).json["command_response"]["headers"]
    assert headers["X-Many"] == "a, b"


def test_attempts(call, upstream):
    """Only while the upstream fails; what succeeds leaves no error behind."""
    upstream.answer = lambda request: (503 if len(upstream.requests) < 2 else 200, {"Content-Type": JSON}, b"{}")
    answer = call("GetRequestV2", url=upstream.url, attempts=5).json
    assert len(upstream.requests) == 2
    assert (answer["error"], answer["command_response"]["http_status"]) == (None, 200)
    assert [line.rpartition(", ")[2] for line in answer["spiff__logs"]] == [
        "attempt 1 of 5: HttpError503",
        "attempt 2 of 5: HTTP 200",
    ]


@pytest.mark.parametrize("attempts", [0, -1, 11, "3", None, True])
def test_attempts_that_make_no_sense_are_one(call, upstream, attempts):
    upstream.answer = lambda request: (503, {}, b"")
    call("GetRequestV2", url=upstream.url, attempts=attempts)
    assert len(upstream.requests) == 1
