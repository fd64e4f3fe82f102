"""The built-in server, as a process of its own, over real sockets."""

import http.client
import json
import re
import socket
import sys

import pytest
from conftest import CONNECTORS, JSON, error_reply, run_proxy

SECRET = "s3cret"
EXAMPLES = ("--connectors", str(CONNECTORS))


def request(server, method, path, body=None, **headers):
    """Make one request over a connection of its own, as SpiffArena's backend does."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def call(server, command, **body):
    status, _, answer = request(server, "POST", f"/v1/do/{command}", json.dumps(body), **{"Content-Type": JSON})
    return status, json.loads(answer)


def send_raw(server, data):
    """Send bytes as they are and return all that comes back."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            return answer.read()


def test_a_command_runs(example_server):
    status, headers, body = request(example_server, "GET", "/v1/commands")
    assert (status, headers["Content-Type"], int(headers["Content-Length"])) == (200, JSON, len(body))
    assert "example/Echo" in [entry["id"] for entry in json.loads(body)]
    status, answer = call(example_server, "example/Echo", value="grün", spiff__task_data={"a": 1})
    assert status == 200
    assert answer["command_response"]["body"] == {"value": "grün", "others": {}, "task_data": {"a": 1}}


def test_the_first_line_says_where_and_what(start_server):
    server = start_server(*EXAMPLES)
    assert f"listening on http://127.0.0.1:{server.port}; " in server.first_line
    assert "; at most 64 commands run at once\n" in server.first_line
    assert (
        "connectors: bamboohr, broken, coingecko, example, exits, half, hollow, http, postgres, s3, smtp, xero; "
        in server.first_line
    )
    assert "no key is asked for" in server.first_line
    assert "a key is asked for" in start_server(CONNECTOR_PROXY_API_KEY="k").first_line


@pytest.mark.parametrize(
    ("host", "environ", "warned"),
    [
        ("0.0.0.0", {}, True),
        ("0.0.0.0", {"CONNECTOR_PROXY_API_KEY": "k"}, False),
        ("127.0.0.1", {}, False),
        ("127.1.2.3", {}, False),
        ("localhost", {}, False),
    ],
)
def test_a_warning_where_others_could_run_commands(start_server, host, environ, warned):
    server = start_server("--host", host, **environ)
    request(server, "GET", "/liveness")
    _, log = server.stop()
    assert log.count("WARNING") == (1 if warned else 0)
    assert ("set CONNECTOR_PROXY_API_KEY" in log) == warned


def test_ipv6(start_server):
    server = start_server("--host", "::1")
    assert server.url == f"http://[::1]:{server.port}"
    with socket.create_connection(("::1", server.port), timeout=10) as connection:
        connection.sendall(b"GET /liveness HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert "WARNING" not in server.stop()[1]


def test_a_port_in_use_is_said_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_proxy("--port", str(taken.getsockname()[1]))
    assert ended.returncode == 2
    assert re.fullmatch(r"spiffproxy: cannot listen on 127.0.0.1 port \d+: .*Address already in use\n", ended.stderr)


def test_a_204_has_neither_type_nor_length(example_server):
    status, headers, body = request(example_server, "OPTIONS", "/v1/commands")
    assert (status, body, headers["Allow"]) == (204, b"", "GET, HEAD, OPTIONS")
    assert headers["Content-Type"] is None
    assert headers["Content-Length"] is None


def test_head_has_no_body(example_server):
    answer = send_raw(example_server, b"HEAD /liveness HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"Connection: close\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n")


GOODBYE = ["stopping", "stopped"]  # the last lines of the log
CALL = b"POST /v1/do/example/Echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


BAD_REQUESTS = [
    (b"nonsense\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/9.9\r\n\r\n", 505, "bad_request"),
    (b"GET / NONSENSE\r\n\r\n", 400, "bad_request"),
    (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414, "bad_request"),
    (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431, "bad_request"),
    (b"GET / HTTP/1.1\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", 431, "bad_request"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \xff \xff\r\n\r\n", 400, "bad_request"),
    (b"POST /v1/do/example/Echo HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 415, "unsupported_media_type"),
    (CALL + b"\r\n", 411, "length_required"),
    (CALL + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 411, "length_required"),
    (CALL + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 411, "length_required"),
    (CALL + b"Content-Length: -1\r\n\r\n", 400, "invalid_content_length"),
    (CALL + b"Content-Length: +2\r\n\r\n{}", 400, "invalid_content_length"),
    (CALL + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, "invalid_content_length"),
    (CALL + b"Content-Length: 99999999999999999999999999\r\n\r\n", 413, "request_too_large"),
    (CALL + b"Content-Length: 10\r\n\r\n{}", 400, "incomplete_request"),
    (CALL + b"Content-Length: 2\r\n\r\n{]", 400, "invalid_json"),
    (b"GET /a\x00b HTTP/1.1\r\n\r\n", 404, "not_found"),
    (b"GET /v1/../../etc/passwd HTTP/1.1\r\n\r\n", 404, "not_found"),
    (b"GET * HTTP/1.1\r\n\r\n", 404, "not_found"),
    (b"CONNECT elsewhere:443 HTTP/1.1\r\n\r\n", 404, "not_found"),
]


@pytest.mark.parametrize(("data", "status", "code"), BAD_REQUESTS)
def test_whatever_is_sent_the_answer_is_json(example_server, data, status, code):
    """And the next request works."""
    head, _, body = send_raw(example_server, data).partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] %d " % status, head)
    assert b"\r\nContent-Type: application/json\r\n" in head
    assert b"\r\nServer: spiffproxy\r\n" in head
    assert b"Python" not in head + body
    assert json.loads(body) == error_reply(code, "")
    assert request(example_server, "GET", "/liveness")[0] == 200


def test_what_a_client_does_wrong_leaves_no_traceback(start_server):
    server = start_server(*EXAMPLES)
    for data, _, _ in BAD_REQUESTS:
        send_raw(server, data)
    _, log = server.stop(len(BAD_REQUESTS))
    assert len(log.splitlines()) == 1 + len(BAD_REQUESTS) + len(GOODBYE)
    assert not re.search("Traceback|File |Python", log)


def test_the_target_may_name_a_host(start_server):
    """RFC 9112 section 3.2.2."""
    server = start_server()
    assert send_raw(server, b"GET http://user:s3cret@host/liveness HTTP/1.1\r\nHost: host\r\n\r\n").endswith(
        b'{"ok": true}'
    )
    assert send_raw(server, b"GET http://host HTTP/1.1\r\nHost: host\r\n\r\n").endswith(b"/v1/commands\n")
    assert SECRET not in server.stop()[1]


def test_nothing_secret_is_logged(start_server, tmp_path):
    """A secret in every place that a request, the environment and a config file have."""
    (tmp_path / "config.py").write_text(f"PASSWORD = '{SECRET}'\n")
    server = start_server(
        *EXAMPLES, "--config", str(tmp_path / "config.py"), CONNECTOR_PROXY_API_KEY=SECRET, OTHER_PASSWORD=SECRET
    )
    headers = {"Spiff-Connector-Proxy-Api-Key": SECRET, "Authorization": SECRET, "Cookie": SECRET, "Content-Type": JSON}
    bodies = [
        {"secret": SECRET},
        {"secret": SECRET, "unknown": SECRET},
        {"secret": {"spiff__": SECRET}},
        {
            "secret": SECRET,
            "spiff__task_data": {SECRET: SECRET},
            "spiff__callback_url": f"http://u:{SECRET}@x/?{SECRET}",
        },
    ]
    for body in [json.dumps(body) for body in bodies] + [f'"{SECRET}', f'{{"{SECRET}": NaN}}']:
        for command in "Fail", "Echo", "Nothing":
            request(server, "POST", f"/v1/do/example/{command}?key={SECRET}", body, **headers)
    request(server, "GET", f"/v1/commands?key={SECRET}", **{"Spiff-Connector-Proxy-Api-Key": f"{SECRET}!"})
    request(server, "POST", f"/v1/nothing?{SECRET}", SECRET, **{"Content-Type": SECRET, "Origin": SECRET})
    for data in (
        f"GET https://u:{SECRET}@host/{'a' * 70000}?{SECRET} HTTP/1.1\r\n\r\n",
        f"GET http://u:{SECRET}@host/liveness?{SECRET} HTTP/1.1\r\n{'A: b' * 200}\r\n\r\n",
        f"GET https://u:{SECRET}@host/ HTTP/1.1\r\n" + "A: b\r\n" * 200 + "\r\n",
        f"CONNECT u:{SECRET}@host:80 HTTP/1.1\r\n\r\n",
        f"AUTH PLAIN {SECRET}\r\n\r\n",
        f"{SECRET} {SECRET}\r\n\r\n",
        f"GET /liveness {SECRET}\r\n\r\n",
    ):
        send_raw(server, data.encode())
    out, log = server.stop()
    assert "POST /v1/do/example/Fail 500" in log
    assert SECRET not in out + log


def test_a_line_of_the_log(start_server):
    """Method, path, status, bytes, milliseconds; control characters cannot forge another line."""
    server = start_server()
    request(server, "GET", "/liveness?query")
    request(server, "GET", "/v1/%0Aforged")
    send_raw(server, "GET /\x1b[2J\u2028é HTTP/1.1\r\n\r\n".encode())
    send_raw(server, b"G\x1b[2J\x9b /liveness HTTP/1.1\r\n\r\n")
    lines = sorted(server.stop(4)[1].splitlines()[1:-2], key=lambda line: line.partition("INFO")[2])
    patterns = [
        r"G%1B%5B2J%\S+ /liveness 405 \d+ \d+\.\d ms method_not_allowed",
        r"GET /%1B%5B2J%\S+ 404 \d+ \d+\.\d ms not_found",
        r"GET /liveness 200 12 \d+\.\d ms",
        r"GET /v1/%0Aforged 404 \d+ \d+\.\d ms not_found",
    ]
    assert len(lines) == len(patterns)
    for line, pattern in zip(lines, patterns):
        assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d,\d{{3}} INFO {pattern}", line), line


def test_a_client_that_hangs_up_is_one_short_line(start_server):
    server = start_server(*EXAMPLES)
    body = json.dumps({"value": "a" * 20_000_000})
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(CALL + b"Content-Length: %d\r\n\r\n" % len(body) + body.encode())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset it
    assert request(server, "GET", "/liveness")[0] == 200
    _, log = server.stop()
    assert "Traceback" not in log
    assert "File " not in log


def test_a_connection_that_is_reset_before_it_says_anything_is_one_short_line(start_server):
    server = start_server()
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset it
    _, log = server.stop(1)
    assert re.search(r"INFO a client hung up, was too slow, or spoke no TLS: ConnectionResetError\n", log)
    assert log.count("\n") == 2 + len(GOODBYE)


def test_what_commands_print_does_not_reach_stdout(start_server):
    server = start_server(*EXAMPLES)
    call(server, "example/Echo")
    out, log = server.stop()
    assert out == ""
    assert "printed by a command" in log


def test_the_environment_does_not_reach_the_application(start_server, tmp_path):
    """wsgiref would put all of it, with its secrets, into the environ of each request."""
    commands = tmp_path / "connector_frames" / "commands"
    commands.mkdir(parents=True)
    for file in commands / "__init__.py", commands.parent / "__init__.py":
        file.touch()
    (commands / "look.py").write_text("""
import sys
class Look:
    def execute(self, config, task_data):
        frame = sys._getframe()
        while "start_response" not in frame.f_locals:
            frame = frame.f_back
        return {"response": sorted(frame.f_locals["environ"])}
""")
    server = start_server("--connectors", str(tmp_path), OTHER_PASSWORD=SECRET)
    names = call(server, "frames/Look")[1]
    assert "PATH_INFO" in names
    assert "OTHER_PASSWORD" not in names
    assert "HOME" not in names


@pytest.mark.parametrize("where", ["/", "tmp_path"])
def test_runs_from_any_folder_without_site_packages_and_with_warnings_as_errors(start_server, tmp_path, where):
    """`python -S -W error spiffproxy.py`, the bundled connectors included."""
    cwd = tmp_path if where == "tmp_path" else where
    server = start_server(python=(sys.executable, "-S", "-W", "error"), cwd=cwd)
    ids = [entry["id"] for entry in json.loads(request(server, "GET", "/v1/commands")[2])]
    assert ids[0] == "bamboohr/GetEmployeeInfo"
    assert len(ids) == 28
    assert call(server, "http/GetRequest", url=f"{server.url}/liveness") == (200, {"ok": True})
    _, log = server.stop()
    assert not re.search("Warning|ERROR|Traceback", log)
