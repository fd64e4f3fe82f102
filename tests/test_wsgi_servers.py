"""`spiffproxy:app` under the WSGI servers of others: what has to be the same under each of them."""

import contextlib
import http.client
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import CONNECTORS, JSON, ROOT, error_reply, make_environ

KEY = "correct horse"
AUTHS = ["example/OldSignIn", "example/SignIn", "xero/OAuth"]
SETTINGS = {
    "CONNECTORS": str(CONNECTORS),
    "API_KEY": KEY,
    "CORS_ORIGINS": "https://a.example",
    "THREADS": "1",
    "MAX_REQUEST_BYTES": "100000",
}
# its own command line would not say what is wrong with a setting
CHEROOT = """
import sys
from MODULE import app
from cheroot.wsgi import Server
server = Server(("127.0.0.1", 0), app)
server.prepare()
print(f"serving on http://127.0.0.1:{server.bind_addr[1]}", file=sys.stderr, flush=True)
server.serve()
"""
SCRIPTS = Path(sys.executable).parent
COMMANDS = {
    "gunicorn": [str(SCRIPTS / "gunicorn"), "--bind", "127.0.0.1:0", "MODULE:app"],
    "gunicorn --threads": [str(SCRIPTS / "gunicorn"), "--bind", "127.0.0.1:0", "--threads", "8", "MODULE:app"],
    "waitress": [str(SCRIPTS / "waitress-serve"), "--listen", "127.0.0.1:0", "MODULE:app"],
    "cheroot": [sys.executable, "-c", CHEROOT],
}
# an application that was there before, and has the proxy under one of its paths
DISPATCHER = """
from spiffproxy import app as proxy

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/connectors" or path.startswith("/connectors/"):
        environ["SCRIPT_NAME"] += "/connectors"
        environ["PATH_INFO"] = path[len("/connectors"):]
        return proxy(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"other"]
"""


@contextlib.contextmanager
def starting(name, folder, module="spiffproxy", **settings):
    """Start a server as a process of its own."""
    package = name.partition(" ")[0]
    if not importlib.util.find_spec(package):
        pytest.skip(f"{package} is not installed")
    process = subprocess.Popen(
        [part.replace("MODULE", module) for part in COMMANDS[name]],
        cwd=folder,
        env=make_environ(
            **{f"CONNECTOR_PROXY_{name}": value for name, value in settings.items()},
            PYTHONPATH=f"{ROOT}{os.pathsep}{folder}",
            HOME=str(folder),  # gunicorn writes there
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=10)


@contextlib.contextmanager
def serving(name, folder, module="spiffproxy"):
    with starting(name, folder, module, **SETTINGS) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if match := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                yield SimpleNamespace(port=int(match[1]))
                return
        raise AssertionError("".join(lines))


@pytest.fixture(scope="module", params=COMMANDS)
def server(request, tmp_path_factory):
    with serving(request.param, tmp_path_factory.mktemp("server")) as server:
        yield server


def ask(server, method, path, body=None, headers=None):
    """Make one request; the answer may come before all of it has been sent."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, body, {"Spiff-Connector-Proxy-Api-Key": KEY, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


def call(server, command, prefix="", **parameters):
    status, headers, answer = ask(server, "POST", f"{prefix}/v1/do/{command}", json.dumps(parameters), CALL)
    return status, headers, json.loads(answer)


CALL = {"Content-Type": JSON}
ECHO = "/v1/do/example/Echo"


def echoed(value):
    body = {"value": value, "others": {}, "task_data": {}}
    return {
        "command_response": {"body": body, "mimetype": JSON, "http_status": 200},
        "command_response_version": 2,
        "error": None,
        "spiff__logs": [],
    }


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "answer"),
    [
        ("GET", "/liveness?query", {"Spiff-Connector-Proxy-Api-Key": ""}, None, 200, {"ok": True}),
        ("GET", "/v1//auths/", {}, None, 200, [{"id": name, "parameters": []} for name in AUTHS]),
        ("POST", ECHO, CALL, '{"value": "grün, 绿 and \\u2764"}'.encode(), 200, echoed("grün, 绿 and ❤")),
        ("POST", ECHO, CALL, None, 200, echoed(None)),
        ("POST", ECHO, CALL, [b'{"val', b'ue": "in chunks"}'], 200, echoed("in chunks")),
        ("POST", ECHO, CALL, b'{"value": "%s"}' % (b"a" * 90_000), 200, echoed("a" * 90_000)),
        ("POST", ECHO, {**CALL, "Spiff-Connector-Proxy-Api-Key": "wrong"}, b"{}", 401, {"error": "Unauthorized"}),
        ("GET", "/v1/nothing", {}, None, 404, error_reply("not_found", "/v1/nothing")),
        ("PUT", ECHO, CALL, b"{}", 405, error_reply("method_not_allowed", "POST")),
        ("POST", ECHO, {"Content-Type": "text/plain"}, b"{}", 415, error_reply("unsupported_media_type", "text/plain")),
        ("POST", ECHO, {}, b"{}", 415, error_reply("unsupported_media_type", "content type is missing")),
        ("POST", ECHO, CALL, b"a" * 5_000_000, 413, error_reply("request_too_large", "100000")),
        ("POST", ECHO, CALL, [b"a" * 70_000, b"a" * 70_000], 413, error_reply("request_too_large", "100000")),
        ("POST", ECHO, CALL, b'{"value": \xff}', 400, error_reply("invalid_json", "not UTF-8 at byte 10")),
        ("POST", "/v1/do/gr%C3%BCn/Echo", CALL, b"{}", 404, error_reply("command_not_found", "'grün'")),
        ("POST", "/v1/do/example/Status", CALL, b'{"status": 418, "body": {}}', 418, {}),
    ],
)
def test_an_answer(server, method, path, headers, body, status, answer):
    """Is the same everywhere; a body that is a list here is sent in chunks."""
    got, got_headers, content = ask(server, method, path, body, headers)
    assert (got, json.loads(content)) == (status, answer)
    assert int(got_headers["Content-Length"]) == len(content)


def test_the_commands_are_listed(server):
    status, headers, body = ask(server, "GET", "/v1/commands")
    assert (status, headers["Content-Type"]) == (200, JSON)
    assert {"example/Echo", "half/Good", "http/GetRequest"} <= {entry["id"] for entry in json.loads(body)}


def test_head_has_no_body(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"HEAD /liveness HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        with connection.makefile("rb") as answer:
            head, blank, body = answer.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 12" in head
    assert (blank, body) == (b"\r\n\r\n", b"")


def test_preflight(server):
    """The key is not asked for, and a 204 has no type."""
    headers = {"Origin": "https://a.example", "Spiff-Connector-Proxy-Api-Key": ""}
    status, answered, body = ask(server, "OPTIONS", ECHO, None, headers)
    assert (status, body) == (204, b"")
    assert answered["Access-Control-Allow-Origin"] == "https://a.example"
    assert answered["Access-Control-Allow-Methods"] == answered["Allow"] == "POST, OPTIONS"
    assert answered["Access-Control-Allow-Headers"] == "Content-Type, Spiff-Connector-Proxy-Api-Key"
    assert "Content-Type" not in answered


# a sync worker of gunicorn has one request at a time: the next one waits
@pytest.mark.parametrize("server", [name for name in COMMANDS if name != "gunicorn"], indirect=True)
def test_too_many_commands_at_once(server, upstream):
    """While one hangs, the next is refused, and what needs no command is answered."""
    hanging, go_on = threading.Event(), threading.Event()

    def answer(request):
        hanging.set()
        go_on.wait(20)
        return 200, {}, b"{}"

    upstream.answer = answer
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, server, "http/GetRequest", url=upstream.url)
        try:
            assert hanging.wait(20)
            status, headers, refusal = call(server, "example/Echo")
            assert ask(server, "GET", "/liveness")[0] == 200
        finally:
            go_on.set()
        assert first.result()[0] == 200
    assert (status, headers["Retry-After"]) == (503, "1")
    assert refusal == error_reply("too_busy", "CONNECTOR_PROXY_THREADS")
    assert call(server, "example/Echo")[0] == 200


@pytest.mark.parametrize("name", COMMANDS)
def test_a_setting_that_makes_no_sense_stops_the_server(name, tmp_path):
    """At its start, with the line that names the setting."""
    with starting(name, tmp_path, THREADS="many") as process:
        _, log = process.communicate(timeout=30)
    assert process.returncode
    assert "CONNECTOR_PROXY_THREADS is 'many'. Use a whole number from 1 to 448.\n" in log


@pytest.mark.parametrize("name", COMMANDS)
def test_mounted_in_another_application(name, tmp_path):
    (tmp_path / "dispatcher.py").write_text(DISPATCHER)
    with serving(name, tmp_path, "dispatcher") as server:
        assert ask(server, "GET", "/")[2] == b"other"
        for path in "/connectors", "/connectors/":
            assert ask(server, "GET", path)[2].endswith(b" Its commands: /connectors/v1/commands\n")
        assert ask(server, "GET", "/connectors/v1/commands")[0] == 200
        assert call(server, "example/Echo", "/connectors", value=1)[2] == echoed(1)
