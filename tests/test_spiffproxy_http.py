"""The interface for authors of connectors, and how responses are read; against real servers."""

import email.utils
import gzip
import importlib
import json
import math
import subprocess
import sys
import time

import pytest
from conftest import JSON, ROOT, free_port, read_request


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """The package can be imported, as it can beside the proxy."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "connectors")])


@pytest.fixture
def package():
    return importlib.import_module("spiffproxy_http")


@pytest.fixture
def make_client(package):
    """Return a function that makes a client with these settings."""

    def make(seconds=None, **settings):
        config = {f"CONNECTOR_PROXY_HTTP_{name}": str(value) for name, value in settings.items()}
        return package.Client(config, seconds=seconds)

    return make


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture
def hasty_client(make_client):
    """A client that does not wait for servers which keep the connection open."""
    return make_client(TIMEOUT=5)


@pytest.fixture
def catch(package):
    """Return a function that calls another and returns the RequestError that it raises."""

    def call(function, *arguments, **parameters):
        with pytest.raises(package.RequestError) as caught:
            function(*arguments, **parameters)
        return caught.value

    return call


# --- Client.send ---


@pytest.mark.parametrize(
    ("parameters", "content_type", "body"),
    [
        ({}, None, b""),
        ({"json": {"a": [1, "ü"]}}, JSON, b'{"a": [1, "\\u00fc"]}'),
        ({"json": None}, JSON, b"null"),
        ({"json": []}, JSON, b"[]"),
        ({"json": 1, "headers": {"content-type": "a/b"}}, "a/b", b"1"),
        ({"form": {"a": "x y", "b": [1, None, 2]}}, "application/x-www-form-urlencoded", b"a=x+y&b=1&b=2"),
        ({"form": {}}, "application/x-www-form-urlencoded", b""),
        ({"data": b"\xff\0\r\n"}, None, b"\xff\0\r\n"),
        ({"data": "grün", "headers": {"Content-Type": "text/plain"}}, "text/plain", "grün".encode()),
        ({"data": b""}, None, b""),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_bodies(client, upstream, method, parameters, content_type, body):
    client.send(method, upstream.url, **parameters)
    (request,) = upstream.requests
    assert (request.command, request.body) == (method, body)
    assert request.headers.get_all("Content-Type") == (content_type and [content_type])
    has_length = method == "POST" or len(parameters.keys() & {"json", "form", "data"}) > 0
    assert request.headers.get_all("Content-Length") == ([str(len(body))] if has_length else None)


@pytest.mark.parametrize(
    "parameters",
    [
        {"json": None, "form": {}},
        {"form": {}, "data": b""},
        {"json": 1, "data": ""},
        {"multipart": {}, "json": None},
        {"multipart": {}, "file": "data:;base64,"},
    ],
)
def test_two_bodies_are_a_mistake_of_the_author(client, upstream, parameters):
    with pytest.raises(TypeError, match="one body: json, form, data, multipart or file"):
        client.send("POST", upstream.url, **parameters)
    assert upstream.requests == []


def test_the_other_parameters(client, upstream):
    parameters = {"params": {"b": [1, 2], "c": None}, "headers": {"X-One": "1"}, "basic_auth": ("u", "p")}
    response = client.send("GET", f"{upstream.url}/a?x=s3cret", **parameters)
    (request,) = upstream.requests
    assert request.path == "/a?x=s3cret&b=1&b=2"
    assert (request.headers["X-One"], request.headers["Authorization"]) == ("1", "Basic dTpw")
    assert client.logs == [f"GET {upstream.url}/a, attempt 1 of 1: HTTP 200"]
    assert repr(response) == f"<Response 200 to GET {upstream.url}/a>"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"url": "ftp://127.0.0.1"}, "InvalidSchema"),
        ({"headers": {"A": "x\r\ny"}}, "InvalidHeader"),
        ({"params": "a=b"}, "ValueError"),
        ({"form": "a=b"}, "ValueError"),
        ({"form": {"a": "\ud800"}}, "ValueError"),
        ({"json": {1, 2}}, "InvalidJSONError"),
    ],
)
def test_parameters_that_make_no_request(client, upstream, catch, parameters, code):
    error = catch(client.send, "POST", **{"url": upstream.url, **parameters})
    assert (error.error_code, error.http_status, error.response) == (code, 400, None)
    assert client.logs == [f"POST: {code}"]
    assert upstream.requests == []


def test_redirects_are_followed_if_asked_for(client, upstream, other_upstream, catch):
    """Else they are errors, and a token stays with the host that it is for."""
    upstream.answer = lambda request: (302, {"Location": f"{other_upstream.url}/there?q=s3cret"}, b"moved")
    headers = {"X-Token": "s3cret"}
    error = catch(client.send, "GET", upstream.url, headers=headers)
    assert (error.error_code, error.http_status, error.response.body) == ("HttpError302", 302, b"moved")
    assert other_upstream.requests == []
    assert client.send("GET", upstream.url, headers=headers, follow_redirects=True).json() == {"ok": True}
    assert client.logs == [
        f"GET {upstream.url}/, attempt 1 of 1: HttpError302",
        f"GET {upstream.url}/: 302 to {other_upstream.url}/there",
        f"GET {upstream.url}/, attempt 1 of 1: HTTP 200",
    ]


@pytest.mark.parametrize("status", [300, 304, 400, 404, 500])
def test_a_status_that_is_an_error(client, upstream, catch, status):
    body = b"" if status == 304 else b'{"error": "no"}'
    upstream.answer = lambda request: (status, {"Content-Type": JSON, "Content-Length": len(body)}, body)
    error = catch(client.send, "GET", f"{upstream.url}/a?q=s3cret")
    assert (error.error_code, error.http_status) == (f"HttpError{status}", status)
    assert str(error) == f"GET {upstream.url}/a responded with {status}" + (f": {body.decode()}" if body else "")
    assert (error.response.status, error.response.body) == (status, body)


def test_no_response(client, catch):
    error = catch(client.send, "GET", f"http://127.0.0.1:{free_port()}/")
    assert (error.error_code, error.http_status, error.response) == ("ConnectionError", 500, None)


@pytest.mark.parametrize(
    ("server", "was_sent"),
    [("closes", True), ("cuts short", True), ("responds 500", True), ("refuses", False), ("no TLS", False)],
)
def test_whether_the_request_was_sent(client, raw_server, catch, server, was_sent):
    """A caller may need to know whether the upstream may have done what was asked for."""

    def talk(connection, number):
        read_request(connection)
        return {"cuts short": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "closes": b""}.get(
            server, b"HTTP/1.1 500 Words\r\nContent-Length: 0\r\n\r\n"
        )

    url = f"http://127.0.0.1:{free_port()}" if server == "refuses" else raw_server(talk).url
    if server == "no TLS":
        url = url.replace("http", "https")
        client = importlib.import_module("spiffproxy_http").Client({}, seconds=0.5)
    assert catch(client.send, "POST", url, data="x").was_sent is was_sent


def test_hosts_that_are_not_called_get_nothing(make_client, catch):
    assert catch(make_client(ALLOWED_HOSTS="a.example").send, "GET", "http://127.0.0.1").was_sent is False


def test_attempts(client, upstream, catch):
    upstream.answer = lambda request: (503 if len(upstream.requests) == 1 else 200, {}, b"")
    assert client.send("GET", upstream.url, attempts=3).status == 200
    outcomes = [f"GET {upstream.url}/, attempt 1 of 3: HttpError503", f"GET {upstream.url}/, attempt 2 of 3: HTTP 200"]
    assert client.logs == outcomes
    upstream.answer = lambda request: (404, {}, b"")
    assert catch(client.send, "GET", upstream.url, attempts=3).error_code == "HttpError404"
    assert len(upstream.requests) == 3


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ([], None),
        (["5"], 5),
        (["0"], 0),
        (["00005"], 5),
        (["9" * 5000], math.inf),
        (["Sun, 06 Nov 1994 08:50:37 GMT"], 60),
        (["Sunday, 06-Nov-94 08:50:37 GMT"], 60),
        (["Sun Nov  6 08:50:37 1994"], 60),
        (["Sun, 06 Nov 1994 08:49:30 GMT"], 0),
        (["5", "Sun, 06 Nov 1994 08:50:37 GMT", "7"], 60),
        (["5", "-9", "soon"], 5),
        (["-5"], None),
        (["+5"], None),
        (["1.5"], None),
        (["5 s"], None),
        (["5, 7"], None),
        (["\xb2"], None),
        ([""], None),
        (["1994-11-06T08:50:37Z"], None),
        (["Sun, 99 Nov 1994 08:50:37 GMT"], None),
        (["Sun, 06 Nov 99999999999 08:50:37 GMT"], None),
        (["Sunday"], None),
    ],
)
def test_retry_after(package, values, seconds):
    """A date is compared with the clock of the server; what is neither date nor number is ignored."""
    headers = importlib.import_module("spiffproxy_http.headers")
    lines = [("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), *(("Retry-After", value) for value in values)]
    assert headers.find_retry_after(headers.Headers(lines)) == seconds


@pytest.mark.parametrize("dates", [[], [("Date", "today")]])
def test_retry_after_without_the_clock_of_the_server(package, dates):
    headers = importlib.import_module("spiffproxy_http.headers")
    lines = [("Retry-After", email.utils.formatdate(time.time() + 1000, usegmt=True)), *dates]
    assert 900 < headers.find_retry_after(headers.Headers(lines)) <= 1000


def test_a_body_as_it_came(client, upstream):
    body = gzip.compress(b"[1]")
    upstream.answer = lambda request: (200, {"Content-Encoding": "gzip"}, body)
    assert client.send("GET", upstream.url).body == b"[1]"
    assert client.send("GET", upstream.url, decompress=False).body == body


# --- the rules of the operator ---


@pytest.mark.parametrize(
    ("settings", "seconds", "passed", "is_late"),
    [
        ({}, None, 39, False),
        ({}, None, 41, True),
        ({"TIMEOUT": 5}, None, 6, True),
        ({}, 5, 4, False),
        ({}, 5, 6, True),
        ({}, 100, 41, True),
    ],
)
def test_one_clock_for_all_requests(make_client, upstream, catch, clock, settings, seconds, passed, is_late):
    """It starts when the client is made; `seconds` can only lower the time."""
    client = make_client(seconds, **settings)
    upstream.answer = lambda request: (200, {"Connection": "close"}, b"")
    client.send("GET", upstream.url)
    clock.seconds = passed
    if is_late:
        assert catch(client.send, "GET", upstream.url).error_code == "ConnectTimeout"
    else:
        assert client.send("GET", upstream.url).status == 200
    assert len(upstream.requests) == (1 if is_late else 2)


def test_hosts_and_sizes(make_client, upstream, catch):
    error = catch(make_client(ALLOWED_HOSTS="example.org").send, "GET", upstream.url)
    assert (error.error_code, error.http_status) == ("HostNotAllowed", 403)
    assert upstream.requests == []
    error = catch(make_client(MAX_RESPONSE_BYTES=3).send, "GET", upstream.url)
    assert (error.error_code, error.http_status) == ("ResponseTooLarge", 413)
    assert catch(make_client, ALLOWED_HOSTS="http://a").error_code == "ValueError"


# --- Response ---


def test_a_response(client, upstream):
    headers = {"Content-Type": "text/plain; charset=latin-1", "X-Many": ["a", "b"]}
    upstream.answer = lambda request: (201, headers, b'{"a": "gr\xfcn"}')
    response = client.send("GET", upstream.url)
    assert (response.status, response.body, response.text) == (201, b'{"a": "gr\xfcn"}', '{"a": "grün"}')
    assert response.headers.get("x-MANY") == "a"
    assert response.headers.get("X-None") is None
    assert response.headers.get_all("x-many") == ["a", "b"]
    assert response.headers.get_all("X-None") == []
    assert ("X-Many", "b") in response.headers.items()
    assert response.json() == {"a": "grün"}


@pytest.mark.parametrize("body", [b"", b"<html>t0ken", b'{"a": "t0ken"', b'{"t0ken": NaN}'])
def test_a_response_that_is_not_json(client, upstream, catch, body):
    """Its message quotes nothing of it: what came with status 200 may be a token."""
    upstream.answer = lambda request: (200, {"Content-Type": JSON}, body)
    error = catch(client.send("GET", f"{upstream.url}/a?q=s3cret").json)
    assert (error.error_code, error.http_status, error.response) == ("JSONDecodeError", 200, None)
    assert str(error).startswith(f"GET {upstream.url}/a responded with 200, JSONDecodeError: ")
    assert str(error).endswith(". The body is application/json" if body else ". The body is empty")
    assert "t0ken" not in str(error)


# --- HttpCommand ---

COMMAND = """
from dataclasses import dataclass
from spiffproxy_http import HttpCommand, RequestError

@dataclass
class GetTicket(HttpCommand):
    number: int

    def run(self, client):
        if self.number < 0:
            raise RequestError("NoTicket", "number is below 0", 400)
        return client.send("GET", f"{client.config['TICKETS_URL']}/tickets/{self.number}").json()

class Renamed(GetTicket):
    errors = {**HttpCommand.errors, "NoTicket": "there is no such ticket"}
"""


@pytest.fixture
def call_ticket(write_connector, make_app, tmp_path, upstream):
    name = write_connector(COMMAND)
    app = make_app(tmp_path, {"TICKETS_URL": upstream.url})

    def call(number):
        return app.post_json(f"/v1/do/{name}/GetTicket", {"number": number}).json

    call.app, call.name = app, name
    return call


def test_the_result_of_a_command(call_ticket, upstream):
    assert call_ticket(7) == {
        "command_response": {"body": {"ok": True}, "mimetype": JSON, "http_status": 200},
        "command_response_version": 2,
        "error": None,
        "spiff__logs": [f"GET {upstream.url}/tickets/7, attempt 1 of 1: HTTP 200"],
    }


def test_the_error_of_a_command(call_ticket, upstream):
    """Its own, and that of a response."""
    upstream.answer = lambda request: (404, {}, b"no such ticket")
    for number, code, status, message, logs in [
        (-1, "NoTicket", 400, "number is below 0", []),
        (
            8,
            "HttpError404",
            404,
            f"GET {upstream.url}/tickets/8 responded with 404: no such ticket",
            [f"GET {upstream.url}/tickets/8, attempt 1 of 1: HttpError404"],
        ),
    ]:
        assert call_ticket(number) == {
            "command_response": {"body": {}, "mimetype": JSON, "http_status": status},
            "command_response_version": 2,
            "error": {"error_code": code, "message": message},
            "spiff__logs": logs,
        }


def test_the_errors_of_a_command_are_listed(call_ticket, package):
    """Those that every such command can end with, or those that its author declares."""
    listed = {entry["id"]: entry for entry in call_ticket.app.get("/v1/commands").json}
    commands = {key.partition("/")[2]: listed[key] for key in listed if key.startswith(f"{call_ticket.name}/")}
    assert sorted(commands) == ["GetTicket", "Renamed"]
    assert commands["GetTicket"]["errors"] == package.HttpCommand.errors
    assert commands["Renamed"]["errors"]["NoTicket"] == "there is no such ticket"
    assert {"ReadTimeout", "HttpError<status>", "JSONDecodeError", "HostNotAllowed"} < commands["GetTicket"][
        "errors"
    ].keys()
    assert [p["id"] for p in commands["GetTicket"]["parameters"]] == ["number"]


def test_a_setting_of_the_operator_is_an_error_of_the_result(package):
    class Command(package.HttpCommand):
        def run(self, client):
            raise AssertionError("it has a client")

    result = Command().execute({"CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS": "a b"}, {})
    assert (result["error"]["error_code"], result["command_response"]["http_status"]) == ("ValueError", 400)


# --- how a response is read ---


def respond(*parts):
    """Return what answers each request of a connection with these bytes."""

    def talk(connection, number):
        while read_request(connection):
            connection.sendall(b"".join(parts))

    return talk


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["X-\u00dcmlaut: 1"], []),
        (["Caf\xe9: 1"], []),
        (["X-One\t : 1"], [("X-One", "1")]),
        (["X One: 1"], []),
        (["X(One): 1"], []),
        (['"X-One": 1'], []),
        (["X\0One: 1"], []),
        (["X\rOne: 1"], []),
        (["\r"], []),
        (["X-One: 1\r"], [("X-One", "1")]),
        (["HTTP/1.1 200 OK"], []),
        (
            ["X-One: a", " Content-Length: 99", "\tTransfer-Encoding: gzip"],
            [("X-One", "a Content-Length: 99 Transfer-Encoding: gzip")],
        ),
        (["X-Content-Length: 99"], [("X-Content-Length", "99")]),
        (["X-One: Transfer-Encoding: gzip"], [("X-One", "Transfer-Encoding: gzip")]),
        (["X-One : 1"], [("X-One", "1")]),
        (["no colon at all"], []),
        (["X-One: a\rX-Bad: b"], [("X-One", "a X-Bad: b")]),
        (["X-One: a\0b\x7fc"], [("X-One", "a b c")]),
        (["X-One: a", "  b", "\tc"], [("X-One", "a b c")]),
        ([" before the first"], []),
        ([": no name"], []),
        (["From here: on"], []),
        ([f"X-{number}: {'x' * 200}" for number in range(900)], [(f"X-{number}", "x" * 200) for number in range(900)]),
    ],
)
def test_odd_header_lines(client, raw_server, lines, expected):
    """Do not hide those that follow, the length of the body included, and the connection stays in order."""
    block = "".join(f"{line}\r\n" for line in lines).encode()
    server = raw_server(respond(b"HTTP/1.1 200 OK\r\n", block, b"Content-Length: 2\r\nX-Last: z\r\n\r\n{}"))
    for _ in range(2):
        response = client.send("GET", server.url)
        assert response.headers.items() == [*expected, ("Content-Length", "2"), ("X-Last", "z")]
        assert response.body == b"{}"
    assert server.connections == 1


ODD_LINES = ["Caf\u00e9: 1", "X-One : 1", "no colon at all", "X-One: a\rb", "X\0One: 1", "X-One: a\r\n b", ""]


@pytest.mark.parametrize("line", ODD_LINES)
@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_odd_line_among_others(client, raw_server, catch, line, version, position):
    """Wherever it is, a body is read to its end, one that is cut short is seen, and redirects and cookies work."""

    def talk(connection, number):
        target = read_request(connection).split()[1]
        lines, body = bodies[target]
        lines = [*lines[:position], *([line] if line else []), *lines[position:]]
        return "\r\n".join([f"{version} {302 if target == b'/moved' else 200} OK", *lines, "\r\n"]).encode() + body

    bodies = {
        b"/chunked": (["Content-Type: application/json", "Transfer-Encoding: chunked"], TWO_CHUNKS),
        b"/moved": (["Set-Cookie: a=1", "Location: /chunked"], b""),
        b"/length": (["Content-Type: application/json", "Content-Length: 3"], b"{}"),
        b"/cut": (["Content-Type: application/json", "Transfer-Encoding: chunked"], TWO_CHUNKS[:-10]),
    }
    server = raw_server(talk)
    for path in "/chunked", "/moved":
        response = client.send("GET", server.url + path, follow_redirects=True)
        assert (response.body, response.headers.get("Content-Type")) == (b"{}", "application/json")
    for path in "/length", "/cut":
        assert catch(client.send, "GET", server.url + path).error_code == "ChunkedEncodingError"


@pytest.mark.parametrize(
    "line",
    [
        b"\x0bTransfer-Encoding: chunked",
        b"\rTransfer-Encoding: chunked",
        b"Transfer-Encoding\xa0: chunked",
        b"\xef\xbb\xbfTransfer-Encoding: chunked",
        b"Transfer-Encoding chunked",
        b"Transfer-Encoding",
        b'"Content-Length": 2',
        b"Content\xad-Length Content-Length: 2",
        b"Content-Length=2",
    ],
)
@pytest.mark.parametrize("before", [b"", b"X-One: 1\r\n"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_line_about_the_body_that_cannot_be_read(hasty_client, raw_server, catch, before, line, method):
    """Cannot be skipped as others are: nobody knows where the body ends."""
    server = raw_server(respond(b"HTTP/1.1 200 OK\r\n", before, line, b"\r\n\r\n", TWO_CHUNKS))
    error = catch(hasty_client.send, method, server.url)
    assert (error.error_code, error.http_status) == ("InvalidResponse", 502)


def test_a_blank_before_the_first_line(hasty_client, raw_server, catch):
    """It continues nothing."""
    server = raw_server(respond(b"HTTP/1.1 200 OK\r\n Transfer-Encoding: chunked\r\n\r\n", TWO_CHUNKS))
    assert catch(hasty_client.send, "GET", server.url).error_code == "InvalidResponse"


def test_lines_that_end_with_lf_alone(client, raw_server):
    server = raw_server(respond(b"HTTP/1.1 200 OK\nContent-Length: 2\nX-One: 1\n\n{}"))
    response = client.send("GET", server.url)
    assert (response.body, response.headers.get("X-One")) == (b"{}", "1")


TWO_CHUNKS = b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\nT: x\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (["Transfer-Encoding: chunked"], TWO_CHUNKS),
        (["Transfer-Encoding: Chunked \t"], TWO_CHUNKS),
        (["Transfer-Encoding: identity, chunked"], TWO_CHUNKS),
        (["Transfer-Encoding: identity", "Transfer-Encoding: chunked"], TWO_CHUNKS),
        (["Transfer-Encoding: ,chunked ,"], TWO_CHUNKS),
        (["Transfer-Encoding:", "\tchunked"], TWO_CHUNKS),
        (["Transfer-Encoding : chunked"], TWO_CHUNKS),
        (["Transfer-Encoding: chunked"], b"02  \r\n{}\r\n000\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b'2;x="\r\n{}\r\n0;y\r\n\r\n'),
        (["Transfer-Encoding: chunked"], b"2\n{}\r\n0\n\n"),
        (["Transfer-Encoding: identity", "Content-Length: 2"], b"{}"),
        (["Transfer-Encoding:", "Content-Length: 2"], b"{}"),
        (["Content-Length: 2"], b"{}"),
        (["Content-Length: 2", "Content-Length: 2"], b"{}"),
        (["Content-Length: 2, 2"], b"{}"),
        (["Content-Length: 2,2 ,\t2"], b"{}"),
        (["Content-Length: 02", "content-length : 2"], b"{}"),
        (["Content-Length:", " 2"], b"{}"),
        (["Content-Length: 2", "Connection: x, Keep-Alive"], b"{}"),
    ],
)
def test_bodies_that_leave_the_connection_in_order(client, raw_server, headers, body):
    server = raw_server(respond("\r\n".join(["HTTP/1.1 200 OK", *headers, "\r\n"]).encode(), body))
    for _ in range(3):
        assert client.send("GET", server.url).body == b"{}"
    assert server.connections == 1


@pytest.mark.parametrize(
    ("start", "headers", "body"),
    [
        ("HTTP/1.1", ["Transfer-Encoding: chunked", "Content-Length: 5"], TWO_CHUNKS),
        ("HTTP/1.1", ["Content-Length: 2", "Connection: x, CLOSE"], b"{}"),
        ("HTTP/1.0", ["Content-Length: 2"], b"{}"),
        ("HTTP/1.0", ["Transfer-Encoding: chunked", "Connection: keep-alive"], TWO_CHUNKS),
    ],
)
def test_bodies_after_which_the_connection_is_closed(client, raw_server, start, headers, body):
    """By the client: the server keeps it open."""
    server = raw_server(respond("\r\n".join([f"{start} 200 OK", *headers, "\r\n"]).encode(), body))
    for _ in range(2):
        assert client.send("GET", server.url).body == b"{}"
    assert server.connections == 2


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], b"{}"),
        (["Transfer-Encoding: identity"], b"{}"),
        (["Transfer-Encoding: chunked"], TWO_CHUNKS[:-2] + b"no end of the trailers"),
    ],
)
def test_bodies_that_end_with_the_connection(client, raw_server, headers, body):
    def talk(connection, number):
        read_request(connection)
        return "\r\n".join(["HTTP/1.1 200 OK", *headers, "\r\n"]).encode() + body

    server = raw_server(talk)
    for _ in range(2):
        assert client.send("GET", server.url).body == b"{}"
    assert server.connections == 2


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        *(
            (lines, b"{} ", "its Content-Length is ")
            for lines in [
                ["Content-Length: 2", "Content-Length: 3"],
                ["Content-Length: 3", "Content-Length: 2"],
                ["Content-Length: 2", "Content-Length: two"],
                ["Content-Length: 2", "Content-Length:"],
                *(
                    [f"Content-Length: {value}"]
                    for value in ["2, 3", "two", "-2", "+2", "0x2", "2.0", "2 2", "2;", "2,"]
                ),
                *([f"Content-Length: {value}"] for value in ["", "\u00b2", "2\u00a0", "2" * 19]),
            ]
        ),
        *(
            ([f"Transfer-Encoding: {value}"], TWO_CHUNKS, f"its transfer coding is {value.lower()}")
            for value in ["gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked, identity", "chunked;a=b", "X"]
        ),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], TWO_CHUNKS, "coding is chunked, chunked"),
        (["Transfer-Encoding: chunked\u00a0"], TWO_CHUNKS, "its transfer coding is chunked"),
        (["Transfer-Encoding: nonsense", "Content-Length: 2"], b"{}", "its transfer coding is nonsense"),
    ],
)
@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_length_that_can_be_read_in_two_ways(hasty_client, raw_server, catch, method, version, headers, body, words):
    """Is refused at once: the server keeps the connection open."""
    server = raw_server(respond("\r\n".join([f"{version} 200 OK", *headers, "\r\n"]).encode("latin-1"), body))
    error = catch(hasty_client.send, method, server.url)
    assert (error.error_code, error.http_status) == ("InvalidResponse", 502)
    assert words in str(error)


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz",
        b'{"a": 1}',
        b"2 2",
        b" 2\r\n{}\r\n0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"1_0\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}\n",
        b"2\r\n{}\r0",
        b"2;" + b"x" * 70_000,
        b"1\r\n{}\r\n0\r\n\r\n",
        b"0x2\r\n{}\r\n0\r\n\r\n",
        b"+2\r\n{}\r\n0\r\n\r\n",
        b"\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}0\r\n\r\n",
        b"11111111111111111\r\n{}\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("before", [b"", b"1\r\nx\r\n"])
def test_chunks_that_are_wrong(hasty_client, raw_server, catch, before, chunks):
    """Are refused at once: the server keeps the connection open."""
    server = raw_server(respond(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", before, chunks))
    error = catch(hasty_client.send, "GET", server.url)
    assert (error.error_code, error.http_status) == ("InvalidResponse", 502)
    assert str(error).startswith("The response is not valid HTTP: a chunk ")


def test_a_length_without_a_body(client, raw_server):
    """Is never read: it may be wrong."""
    for method, status in ("HEAD", 200), ("GET", 204):
        block = f"HTTP/1.1 {status} OK\r\nContent-Length: 5\r\nContent-Length: x\r\nTransfer-Encoding: gzip\r\n\r\n"
        server = raw_server(respond(block.encode()))
        for _ in range(2):
            assert client.send(method, server.url).body == b""
        assert server.connections == 1


def test_content_encodings_in_several_lines(client, upstream):
    body = gzip.compress(gzip.compress(b"{}"))
    upstream.answer = lambda request: (200, {"Content-Encoding": ["gzip", "identity, gzip"]}, body)
    assert client.send("GET", upstream.url).body == b"{}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Text/HTML", ("text/html", {})),
        ('text/html; Charset="UTF-8"', ("text/html", {"charset": "UTF-8"})),
        ("text/html;charset = utf-8 ;x=y", ("text/html", {"charset": "utf-8", "x": "y"})),
        ('a/b; x="; charset=no; \\"q\\""; charset=yes', ("a/b", {"x": '; charset=no; "q"', "charset": "yes"})),
        ("a/b; charset=one; charset=two", ("a/b", {"charset": "one"})),
        ("a/b; charset", ("a/b", {})),
        ("a/b;", ("a/b", {})),
        ("a/b charset=c", ("a/b", {})),
        ("a", ("", {})),
        ("a/b/c; charset=d", ("", {"charset": "d"})),
        ('a/b; charset="', ("a/b", {"charset": '"'})),
        ("", ("", {})),
    ],
)
def test_media_types(value, expected):
    assert importlib.import_module("spiffproxy_http.headers").parse_media_type(value) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], ""),
        (["text/plain"], "text/plain"),
        (["text/plain", "application/json"], "application/json"),
        (["application/json", "text/plain;x=y"], "text/plain;x=y"),
        (["text/plain, application/json; a=b ,"], "application/json; a=b"),
        (["application/json", "", "nonsense"], "application/json"),
        (["application/json", "*"], "application/json"),
        (["application/json, charset=utf-8"], "application/json"),
        (['text/plain; a="x, application/json"'], 'text/plain; a="x, application/json"'),
        (['text/plain; a="\\", b/c"', "d/e"], "d/e"),
        (['text/plain; a="b', "application/json"], 'text/plain; a="b,application/json'),
        *((["a/b", start + r"\"" * 100_000 + end], "a/b") for start in ("", '"') for end in ("", "\\")),
        (["nonsense; charset=latin-1"], "nonsense; charset=latin-1"),
    ],
)
def test_the_last_content_type_counts(lines, expected):
    headers = importlib.import_module("spiffproxy_http.headers")
    assert headers.find_content_type(headers.Headers([("content-type", line) for line in lines])) == expected


# --- what a message quotes ---


@pytest.mark.parametrize(
    ("media_type", "text", "expected"),
    [
        ("text/plain", "x" * 300, "x" * 300),
        ("text/plain", "x" * 301, "x" * 299 + "…"),
        ("application/json", '{"error": "<b>"}', '{"error": "<b>"}'),
        ("text/html", '{"error": "<b>"}', '{"error": "<b>"}'),
        ("text/html", '\n ["<b>"]', '\n ["<b>"]'),
        ("text/plain", "a <b> c", "a <b> c"),
        ("application/xml", "<error>no</error>", "<error>no</error>"),
        ("text/html", "a <b>b</b>&amp;&lt;c&gt;\n&nbsp; d", "a b &<c> d"),
        ("text/html", "<H1 title='a\n'>Not found</H1>1 < 2", "Not found 1 < 2"),
        ("text/html", "<style>s</style><script>a<b</script><!-- <p>c -->d", "d"),
        ("text/html", "<SCRIPT src=x>s</SCRIPT >d<script>s", "d"),
        ("text/html", "d<!-- c", "d"),
        ("text/html", "d<p class=", "d"),
        ("text/html", "<p>" + "x" * 400, "x" * 299 + "…"),
        ("text/html", "<style>" + "s" * 9000 + "</style>d", "d"),
        ("text/html", "<p>", ""),
        ("text/plain", " <!DOCTYPE html><title>a</title><p>b", "a b"),
        ("", "<html lang=x>a", "a"),
        ("application/xhtml+xml", "<?xml version='1.0'?><p>a", "a"),
        ("text/html", "<script>" * 1_000_000, ""),
        ("text/html", "<" * 1_000_000, "<" * 299 + "…"),
    ],
)
def test_excerpts(media_type, text, expected):
    assert importlib.import_module("spiffproxy_http.excerpts").make_excerpt(text, media_type) == expected


def test_an_excerpt_in_a_message(client, upstream, catch):
    """The cut falls between characters, not between the bytes of one."""
    upstream.answer = lambda request: (500, {"Content-Type": "text/plain; charset=utf-8"}, b"x" + "ü".encode() * 700)
    start = f"GET {upstream.url}/ responded with 500: "
    assert str(catch(client.send, "GET", upstream.url)) == f"{start}x{'ü' * 298}…"
    upstream.answer = lambda request: (500, {"Content-Type": "text/html"}, b"<html><h1>Bad Gateway</h1><p>nginx")
    assert str(catch(client.send, "GET", upstream.url)) == f"{start}Bad Gateway nginx"


# --- which proxy ---


@pytest.mark.parametrize(
    ("environ", "is_used"),
    [
        ({"HTTP_PROXY": "nonsense://"}, True),
        ({"http_proxy": "nonsense://"}, True),
        ({"HTTPS_PROXY": "nonsense://"}, False),
        ({"HTTP_PROXY": "nonsense://", "http_proxy": ""}, False),
        ({"HTTP_PROXY": "", "http_proxy": "nonsense://"}, True),
        ({"HTTP_PROXY": "nonsense://", "REQUEST_METHOD": "GET"}, False),
        ({"http_proxy": "nonsense://", "REQUEST_METHOD": "GET"}, True),
        ({"HTTP_PROXY": "nonsense://", "NO_PROXY": "*"}, False),
        ({"HTTP_PROXY": "nonsense://", "NO_PROXY": "127.0.0.1", "no_proxy": ""}, True),
    ],
)
def test_variables_of_the_environment(make_caller, upstream, environ, is_used):
    """Those in lower case override the others; in a CGI script HTTP_PROXY would be a header of the request."""
    unset = dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"], "")
    answer = make_caller(**{**unset, **environ})("http/GetRequestV2", url=upstream.url)
    assert (answer["error"] or {}).get("error_code") == ("ProxyError" if is_used else None)


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_excluded"),
    [
        ("", "http://a.example/", False),
        (" * ", "http://a.example/", True),
        ("a.example", "http://a.example/", True),
        ("a.example", "http://A.example:81/", True),
        ("example", "http://a.example/", True),
        (".example", "http://a.example/", True),
        (".a.example", "http://a.example/", True),
        ("ample", "http://a.example/", False),
        ("b.example, A.Example", "http://a.example/", True),
        ("a.example:81", "http://a.example:81/", True),
        ("a.example:81", "http://a.example/", False),
        ("127.0.0.1", "http://127.0.0.1:81/", True),
        ("::1", "http://[::1]:81/", True),
        ("[::1]:81", "http://[::1]:81/", True),
        ("*", "http://127.0.0.1/", True),
        ("x, *", "https://[::1]/", True),
        ("..a.example", "http://a.example/", True),
        ("*.a.example", "http://b.a.example/", True),
        ("*.a.example", "http://a.example/", True),
        ("*a.example", "http://a.example/", False),
        ("a.example b.example\tc.example", "http://b.example/", True),
        (" ,, a.example ,", "http://a.example/", True),
        ("a.example:80", "http://a.example/", True),
        ("a.example:80", "https://a.example/", False),
        ("a.example:443", "https://b.a.example/", True),
        (".example:81", "http://a.example:81/", True),
        (".example:81", "http://a.example:82/", False),
        ("a.example.", "http://a.example/", True),
        ("a.example", "http://b.a.example./", True),
        ("a.example", "http://a.example.org/", False),
        ("a.example", "http://ba.example/", False),
        ("localhost", "http://127.0.0.1/", False),
        ("127.0.0.1", "http://127.0.0.2/", False),
        ("127.0.0.1", "http://2130706433/", True),
        ("127.0.0.1", "http://127.1./", True),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]/", True),
        ("127.0.0.1:80", "http://127.0.0.1/", True),
        ("127.0.0.1:80", "http://127.0.0.1:81/", False),
        ("0.0.1", "http://127.0.0.1/", False),
        ("1", "http://127.0.0.1/", False),
        ("10.0.0.0/8,127.0.0.0/8", "http://127.0.0.1:81/", True),
        ("10.0.0.0/8", "http://127.0.0.1/", False),
        ("127.9.9.9/8", "http://127.0.0.1/", True),
        ("127.0.0.1/32", "http://127.0.0.1/", True),
        ("127.0.0.1/31", "http://127.0.0.2/", False),
        ("0.0.0.0/0", "http://127.0.0.1/", True),
        ("0.0.0.0/0", "http://a.example/", False),
        ("0.0.0.0/0", "http://[::1]/", False),
        ("127.0.0.0/33, 127.0.0.0/x, a b:c:d, [", "http://127.0.0.1/", False),
        ("127.0.0.0/33 127.0.0.1", "http://127.0.0.1/", True),
        ("127.0.0.0/8:81", "http://127.0.0.1:81/", True),
        ("127.0.0.0/8:81", "http://127.0.0.1/", False),
        ("[::1]", "http://[::1]:81/", True),
        ("[::1]:81", "http://[::1]/", False),
        ("0:0:0:0:0:0:0:1", "http://[::1]/", True),
        ("FD00::/8", "http://[fd12::1]/", True),
        ("[fd00::/8]", "http://[fd12::1]/", True),
        ("[fd00::]/8", "http://[fd12::1]/", True),
        ("[fd00::]/8:81", "http://[fd12::1]/", False),
        ("fd00::/8", "http://[fe80::1]/", False),
        ("::/0", "http://127.0.0.1/", False),
    ],
)
def test_hosts_that_no_proxy_names(no_proxy, url, is_excluded):
    parse_url = importlib.import_module("spiffproxy_http.url").parse_url
    proxies = importlib.import_module("spiffproxy_http.proxies")
    assert proxies.is_excluded(parse_url(url), no_proxy) == is_excluded


@pytest.mark.parametrize(
    ("value", "url", "authorization"),
    [
        ("proxy.example", "http://proxy.example/", None),
        ("HTTP://proxy.example:3128/", "http://proxy.example:3128/", None),
        ("u:p@proxy.example", "http://proxy.example/", "Basic dTpw"),
        ("http://us%65r:s3cret@proxy.example:3128", "http://proxy.example:3128/", "Basic dXNlcjpzM2NyZXQ="),
        ("http://u:p#?@proxy.example", "http://proxy.example/", "Basic dTpwIz8="),
        ("http://u@proxy.example", "http://proxy.example/", None),
        ("http://token:@proxy.example", "http://proxy.example/", "Basic dG9rZW46"),
        ("http://:s3cret@proxy.example", "http://proxy.example/", "Basic OnMzY3JldA=="),
        ("http://[::1]:3128", "http://[::1]:3128/", None),
    ],
)
def test_proxies(value, url, authorization):
    proxy = importlib.import_module("spiffproxy_http.proxies").read_proxy(value, "HTTP_PROXY")
    assert (str(proxy.url), proxy.authorization) == (url, authorization)


# --- the package ---


def test_the_import_is_light():
    """What is slow to import, and seldom needed, is imported when it is needed."""
    code = f"""
import json, sys, spiffproxy
before = set(sys.modules)
sys.path.append({str(ROOT / "connectors")!r})
import spiffproxy_http
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    run = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    imported = json.loads(run.stdout)
    assert "spiffproxy_http.transport" in imported
    assert not {"urllib.request", "http.cookiejar", "email.message", "tempfile"} & set(imported)
