"""The built-in server, as a process of its own: requests and responses, TLS, its start, and what it logs."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from client import CALL, EXAMPLES, HEAD, call, connect, exchange, read_answer, request, secure, wait_until
from conftest import JSON, MODULE, error_reply, run_proxy, with_code

SECRET = "s3cret"
KEY = {"CONNECTOR_PROXY_API_KEY": "k"}
GOODBYE = ["stopping", "stopped"]  # the last lines of the log


# --- requests and responses ---


def test_a_command_runs(example_server):
    status, headers, body = request(example_server, "GET", "/v1/commands")
    assert (status, headers["Content-Type"], int(headers["Content-Length"])) == (200, JSON, len(body))
    assert "example/Echo" in [entry["id"] for entry in json.loads(body)]
    status, answer = call(example_server, "example/Echo", value="grün", spiff__task_data={"a": 1})
    assert status == 200
    assert answer["command_response"]["body"] == {"value": "grün", "others": {}, "task_data": {"a": 1}}


def test_a_204_has_neither_type_nor_length(example_server):
    status, headers, body = request(example_server, "OPTIONS", "/v1/commands")
    assert (status, body, headers["Allow"]) == (204, b"", "GET, HEAD, OPTIONS")
    assert headers["Content-Type"] is None
    assert headers["Content-Length"] is None


def test_head_has_no_body(example_server):
    answer = exchange(example_server, b"HEAD /liveness HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"Connection: close\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n")


BAD_REQUESTS = [
    (b"nonsense\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/9.9\r\n\r\n", 505, "bad_request"),
    (b"GET / NONSENSE\r\n\r\n", 400, "bad_request"),
    (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "bad_request"),
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431, "bad_request"),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", 431, "bad_request"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \xff \xff\r\n\r\n", 400, "bad_request"),
    (b"POST /v1/do/example/Echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 415, "unsupported_media_type"),
    (CALL + b"\r\n", 411, "length_required"),
    (CALL + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 411, "length_required"),
    (CALL + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400, "invalid_content_length"),
    (CALL + b"Content-Length: -1\r\n\r\n", 400, "invalid_content_length"),
    (CALL + b"Content-Length: +2\r\n\r\n{}", 400, "invalid_content_length"),
    (CALL + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, "invalid_content_length"),
    (CALL + b"Content-Length: 99999999999999999999999999\r\n\r\n", 413, "request_too_large"),
    (CALL + b"Content-Length: 10\r\n\r\n{}", 400, "incomplete_request"),
    (CALL + b"Content-Length: 2\r\n\r\n{]", 400, "invalid_json"),
    (b"GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400, "bad_request"),
    (b"GET /v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found"),
    (b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found"),
    (b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    (b"GET liveness HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    (b"OPTIONS %2A HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    (b"GET http://[::1/liveness HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    (b"GET http:///liveness HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    (b"G(T /liveness HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    (b"G\xc3\xa9T /liveness HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
]


@pytest.mark.parametrize(("data", "status", "code"), BAD_REQUESTS)
def test_whatever_is_sent_the_answer_is_json(example_server, data, status, code):
    """And the next request works."""
    head, _, body = exchange(example_server, data).partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] %d " % status, head)
    assert b"\r\nContent-Type: application/json\r\n" in head
    assert b"\r\nServer: spiffproxy\r\n" in head
    assert b"Python" not in head + body
    assert json.loads(body) == error_reply(code, "")
    assert request(example_server, "GET", "/liveness")[0] == 200


def test_what_a_client_does_wrong_leaves_no_traceback(start_server):
    server = start_server(*EXAMPLES)
    for data, _, _ in BAD_REQUESTS:
        exchange(server, data)
    _, log = server.stop(len(BAD_REQUESTS))
    assert len(log.splitlines()) == 1 + len(BAD_REQUESTS) + len(GOODBYE)
    assert not re.search("Traceback|File |Python", log)


def test_the_target_may_name_a_host(start_server):
    """RFC 9112 section 3.2.2."""
    server = start_server()
    assert exchange(server, b"GET http://user:s3cret@host/liveness HTTP/1.1\r\nHost: host\r\n\r\n").endswith(
        b'{"ok": true}'
    )
    assert exchange(server, b"GET http://host HTTP/1.1\r\nHost: host\r\n\r\n").endswith(b"/v1/commands\n")
    assert SECRET not in server.stop()[1]


def test_the_host_in_the_target_counts(start_server):
    """Host is ignored then (RFC 9112 section 3.2.2): it shows in the URL to which a provider sends the browser back."""
    server = start_server(
        CONNECTOR_PROXY_AUTH_REDIRECT_URLS="https://arena.example",
        CONNECTOR_PROXY_XERO_CLIENT_ID="c",
        CONNECTOR_PROXY_XERO_CLIENT_SECRET="s",
    )
    target = "http://proxy.example/v1/auth/xero/OAuth?redirect_url=https://arena.example/"
    answer = exchange(server, f"GET {target} HTTP/1.1\r\nHost: other.example\r\n\r\n".encode())
    assert b"proxy.example%2Fv1%2Fauth" in answer
    assert b"other.example" not in answer


def test_half_a_head_is_no_request(start_server):
    """The standard parser would take it for a whole one."""
    server = start_server(*EXAMPLES)
    assert exchange(server, b"POST /v1/do/example/Echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n") == b""
    assert exchange(server, b"GET /liveness HTTP/1.1\r\nHost: x\r\nX") == b""
    assert exchange(server, b"") == b""
    assert server.stop(2)[1].count("disconnected, was too slow, or did not speak TLS: ConnectionAbortedError\n") == 2


def test_a_head_is_bounded(start_server):
    server = start_server()
    for name in b"A", b"":  # the second is a line that goes on
        head = b"GET /liveness HTTP/1.1\r\nHost: x\r\n" + (name + b": " + b"b" * 60_000 + b"\r\n") * 90
        assert exchange(server, head + b"\r\n").startswith(b"HTTP/1.1 431 ")


def test_an_empty_line_before_a_request_is_skipped(start_server):
    assert exchange(start_server(), b"\r\n" + HEAD + b"\r\n").startswith(b"HTTP/1.1 200 ")


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
        while "environ" not in frame.f_locals:
            frame = frame.f_back
        return {"response": sorted(frame.f_locals["environ"])}
""")
    server = start_server("--connectors", str(tmp_path), OTHER_PASSWORD=SECRET)
    names = call(server, "frames/Look")[1]
    assert "PATH_INFO" in names
    assert "OTHER_PASSWORD" not in names
    assert "HOME" not in names


# --- answers before the request is read ---


def test_a_client_that_waits_is_bid_to_send_its_body(start_server):
    server = start_server(*EXAMPLES, **KEY)
    head = CALL + b"Expect: 100-continue\r\nContent-Length: 2\r\n"
    with connect(server) as connection:
        connection.sendall(head + b"Spiff-Connector-Proxy-Api-Key: k\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert read_answer(connection)[0] == 200
    with connect(server) as connection:
        connection.sendall(head + b"\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert read_answer(connection)[0] == 401


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"POST /v1/do/example/Echo HTTP/1.1\r\nHost: x\r\nContent-Length: 40000000\r\n\r\n", 401),
        (CALL + b"Spiff-Connector-Proxy-Api-Key: k\r\nContent-Length: 40000000\r\n\r\n", 413),
        (CALL + b"Spiff-Connector-Proxy-Api-Key: k\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"NONSENSE\r\n\r\n", 400),
    ],
    ids=["401", "413", "411", "400"],
)
def test_an_early_answer_reaches_a_client_that_is_still_sending(
    start_server, authority, certificate, with_tls, request_head, status
):
    server = start_server(*EXAMPLES, *(certificate if with_tls else ()), **KEY)
    for _ in range(5):
        with connect(server) as plain, secure(plain, authority, server) if with_tls else plain as connection:
            connection.sendall(request_head)
            for _ in range(40):
                connection.sendall(b"x" * 1_000_000)
            assert read_answer(connection)[0] == status


# --- TLS ---


def test_https(start_server, authority, certificate):
    server = start_server(*EXAMPLES, *certificate)
    assert server.first_line.count("listening on https://127.0.0.1:") == 1
    with connect(server) as plain, secure(plain, authority, server) as connection:
        connection.sendall(HEAD + b"\r\n")
        status, _, body = read_answer(connection)
    assert (status, body) == (200, b'{"ok": true}')


def test_one_file_may_hold_certificate_and_key(start_server, authority, tmp_path):
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    server = start_server("--certfile", str(tmp_path / "both.pem"))
    with connect(server) as plain, secure(plain, authority, server) as connection:
        connection.sendall(HEAD + b"\r\n")
        assert read_answer(connection)[0] == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_no_tls_below_1_2(start_server, authority, certificate):
    server = start_server(*certificate)
    with connect(server) as plain, pytest.raises((ssl.SSLError, OSError)):
        secure(
            plain,
            authority,
            server,
            minimum_version=ssl.TLSVersion.TLSv1_1,
            maximum_version=ssl.TLSVersion.TLSv1_1,
        )


def test_those_who_speak_no_tls_harm_nobody(start_server, authority, certificate):
    """One sends plain HTTP, and many never finish the handshake."""
    server = start_server(*certificate)
    with contextlib.ExitStack() as stack:
        for number in range(100):
            stack.enter_context(connect(server)).sendall((b"", b"\x16\x03\x01")[number % 2])
        with connect(server) as plain, contextlib.suppress(ConnectionResetError):
            plain.sendall(HEAD + b"\r\n")
            plain.recv(1000)
        with connect(server) as plain, secure(plain, authority, server) as connection:
            connection.sendall(HEAD + b"\r\n")
            assert read_answer(connection)[0] == 200
    _, log = server.stop(1)
    assert re.search("INFO a client disconnected, was too slow, or did not speak TLS: SSLError\n", log)
    assert "Traceback" not in log


def encrypt_key(path):
    key = ["openssl", "pkey", "-aes128", "-passout", "pass:x", "-in", path / "key.pem", "-out", path / "locked.pem"]
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    subprocess.run(key, check=True, capture_output=True, timeout=30)


def test_tls_at_a_port_without_tls_is_refused_at_once(start_server):
    """The client would wait for the server, and the server for the client."""
    server = start_server()
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 32)
        sock.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"it is TLS, and this port expects http://" in answer


def test_the_log_tells_a_missing_key_from_a_wrong_one(start_server):
    server = start_server(CONNECTOR_PROXY_API_KEY="right")
    for headers in {}, {"Spiff-Connector-Proxy-Api-Key": "wrong"}:
        assert request(server, "GET", "/v1/commands", **headers)[0] == 401
    log = server.stop(2)[1]
    assert re.search(r"GET /v1/commands 401 .* no_key\n", log)
    assert re.search(r"GET /v1/commands 401 .* wrong_key\n", log)


@pytest.mark.parametrize(
    ("certfile", "keyfile", "words"),
    [
        ("nowhere.pem", "key.pem", "No such file or directory: .*nowhere.pem"),
        ("cert.pem", "nowhere.pem", "No such file or directory: .*nowhere.pem"),
        ("cert.pem", ".", "Is a directory"),
        ("cert.pem", "other.pem", "the key does not belong to the certificate"),
        ("cert.pem", "empty.pem", "--keyfile: .*empty.pem has no private key; it needs one in PEM format"),
        ("empty.pem", "key.pem", "--certfile: .*empty.pem has no certificate; it needs one in PEM format"),
        ("cert.pem", None, "--certfile: .*cert.pem has no private key; name the file that has it with "),
        ("key.pem", "cert.pem", "--certfile: .*key.pem has no certificate; --keyfile has one: swap the two"),
        ("key.pem", None, "--certfile: .*key.pem has no certificate; it needs one in PEM format"),
        ("cert.pem", "cert.pem", "--keyfile: .*cert.pem has no private key; it needs one in PEM format"),
        ("damaged.pem", "key.pem", "--certfile, --keyfile: a file is damaged: "),
        ("cert.pem", "locked.pem", "locked.pem is encrypted; give a key without a password"),
        (None, "key.pem", "CONNECTOR_PROXY_CERTFILE is not. Set both"),
    ],
)
def test_certificates_that_cannot_be_used(certificate, tmp_path, certfile, keyfile, words):
    """Are refused in one line, before anything listens or anybody is asked for a password."""
    trustme.CA().issue_cert("x.example").private_key_pem.write_to_path(tmp_path / "other.pem")
    (tmp_path / "empty.pem").touch()
    (tmp_path / "damaged.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    if keyfile == "locked.pem":
        encrypt_key(tmp_path)
    flags = {"--certfile": certfile, "--keyfile": keyfile}
    ended = run_proxy("--port", "0", *[f"{flag}={tmp_path / file}" for flag, file in flags.items() if file])
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(f"spiffproxy: .*{words}.*\n", ended.stderr)


# --- start ---


def test_the_first_line_says_where_and_what(start_server):
    server = start_server(*EXAMPLES)
    assert f"listening on http://127.0.0.1:{server.port}; " in server.first_line
    assert "; commands at once: 64\n" in server.first_line
    assert (
        "connectors: bamboohr, broken, coingecko, example, exits, half, hollow, http, postgres, s3, smtp, xero; "
        in server.first_line
    )
    assert "API key: none;" in server.first_line
    assert "API key: set;" in start_server(CONNECTOR_PROXY_API_KEY="k").first_line


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


def test_all_addresses_of_both_families(start_server):
    server = start_server("--host", "::", **KEY)
    assert server.url == f"http://[::]:{server.port}"
    for address in "::1", "127.0.0.1":
        with socket.create_connection((address, server.port), timeout=20) as connection:
            connection.sendall(HEAD + b"\r\n")
            assert read_answer(connection)[0] == 200


def test_a_port_in_use_is_said_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_proxy("--port", str(taken.getsockname()[1]))
    assert ended.returncode == 2
    assert re.fullmatch(r"spiffproxy: cannot listen on 127.0.0.1 port \d+: .*Address already in use\n", ended.stderr)


@pytest.mark.parametrize(
    ("host", "words"),
    [("ü..x", "cannot listen on ü..x port 0: "), ("192.0.2.1", "cannot listen on 192.0.2.1 port 0: .*assign")],
)
def test_an_address_that_is_not_ours(host, words):
    ended = run_proxy("--host", host, "--port", "0", PYTHONIOENCODING="utf-8")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(f"spiffproxy: {words}.*\n", ended.stderr)


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
@pytest.mark.skipif(
    not Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").exists()
    or int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80,
    reason="here anybody may listen on port 80",
)
def test_a_port_that_needs_root():
    without = ["setpriv", "--bounding-set=-net_bind_service"] if os.geteuid() == 0 else []
    ended = subprocess.run(
        [*without, sys.executable, str(MODULE), "--port", "80"], capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch("spiffproxy: cannot listen on 127.0.0.1 port 80: .*Permission denied\n", ended.stderr)


def test_names_are_not_looked_up(start_server):
    """Neither its own at the start, nor that of a client."""
    code = "import socket; socket.getfqdn = socket.gethostbyaddr = socket.getnameinfo = None"
    server = start_server(python=with_code(code))
    assert request(server, "GET", "/liveness")[0] == 200


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


# --- the log ---


def test_a_line_of_the_log(start_server):
    """Method, path, status, bytes, milliseconds; control characters cannot forge another line."""
    server = start_server()
    request(server, "GET", "/liveness?query")
    request(server, "GET", "/v1/%0Aforged")
    exchange(server, "GET /\x1b[2J\u2028é HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    exchange(server, "GET /\u2028é HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    lines = sorted(server.stop(4)[1].splitlines()[1:-2], key=lambda line: line.partition("INFO")[2])
    patterns = [
        r"- - 400 \d+ \d+\.\d ms 127.0.0.1 bad_request",
        r"GET /%E2%80%A8%C3%A9 404 \d+ \d+\.\d ms 127.0.0.1 not_found",
        r"GET /liveness 200 12 \d+\.\d ms 127.0.0.1",
        r"GET /v1/%0Aforged 404 \d+ \d+\.\d ms 127.0.0.1 not_found",
    ]
    assert len(lines) == len(patterns)
    for line, pattern in zip(lines, patterns):
        assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d,\d{{3}} INFO {pattern}", line), line


def test_a_command_is_logged_with_its_id_and_its_error_code(start_server):
    server = start_server(*EXAMPLES)
    call(server, "example/Echo")
    call(server, "example/Fail", secret="s3cret")
    call(server, "example/Nothing")
    exchange(server, b"GET /liveness HTTP/1.1\r\nHost: x\r\n\r\n")
    lines = [line.partition(" INFO ")[2] for line in server.stop(4)[1].splitlines()]
    patterns = [
        r"POST /v1/do/example/Echo 200 \d+ \d+\.\d ms 127.0.0.1 example/Echo",
        r"POST /v1/do/example/Fail 500 \d+ \d+\.\d ms 127.0.0.1 example/Fail LookupError",
        r"POST /v1/do/example/Nothing 404 \d+ \d+\.\d ms 127.0.0.1 example/Nothing command_not_found",
        r"GET /liveness 200 12 \d+\.\d ms 127.0.0.1",
    ]
    for pattern in patterns:
        assert [line for line in lines if re.fullmatch(pattern, line)], (pattern, lines)


def test_what_is_logged_of_a_request_is_one_short_line(start_server, write_connector, tmp_path):
    """Whatever a command gives as its error code, and however long the path."""
    source = "class C:\n    def execute(self, *_):\n        return {'command_response_version': 2, 'error': {'error_code': %r}}"
    name = write_connector(source % "\ud800 \n" + "\n")
    server = start_server("--connectors", str(tmp_path))
    assert call(server, f"{name}/C")[0] == 200
    request(server, "GET", "/" + "%C3%BC" * 10_000)
    _, log = server.stop(2)
    assert f" {name}/C %3F%20%0A\n" in log
    assert max(map(len, log.splitlines())) < 2000


def test_the_log_as_json(start_server, write_connector, tmp_path):
    """A traceback included."""
    name = write_connector(
        "import logging\nclass Fail:\n    def __init__(self, x):\n        self.x = x\n    def execute(self, *_):\n"
        "        logging.getLogger('lib').warning('got %s', {'level': 'FAKE'})\n        raise LookupError(self.x)"
    )
    server = start_server("--connectors", str(tmp_path), "--log-format", "json")
    answer = request(server, "POST", f"/v1/do/{name}/Fail", '{"x": "s3cret"}', **{"Content-Type": JSON})[2]
    request(server, "GET", "/liveness?s3cret")
    _, log = server.stop()
    entries = [json.loads(line) for line in log.splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time")) for entry in entries)
    assert [type(entry.pop("milliseconds")) for entry in entries if "milliseconds" in entry] == [float, float]
    assert {entry.pop("client") for entry in entries if "client" in entry} == {"127.0.0.1"}
    failed = {"level": "INFO", "method": "POST", "path": f"/v1/do/{name}/Fail", "status": 500, "bytes": len(answer)}
    assert {**failed, "command": f"{name}/Fail", "error_code": "LookupError"} in entries
    assert {"level": "INFO", "method": "GET", "path": "/liveness", "status": 200, "bytes": 12} in entries
    messages = "\0".join(entry.get("message", "") for entry in entries)
    assert "listening on " in messages
    assert {"level": "WARNING", "message": "got {'level': 'FAKE'}"} in entries
    assert re.search("raised LookupError\n *File ", messages)
    assert "s3cret" not in log


def test_a_log_format_that_does_not_exist():
    ended = run_proxy("--log-format", "xml")
    assert (ended.returncode, ended.stderr) == (
        2,
        "spiffproxy: --log-format is 'xml'. Use text or json.\n",
    )


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
        f"GET https://u:{SECRET}@host/{'a' * 70000}?{SECRET} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET http://u:{SECRET}@host/liveness?{SECRET} HTTP/1.1\r\nHost: x\r\n{'A: b' * 200}\r\n\r\n",
        f"GET https://u:{SECRET}@host/ HTTP/1.1\r\nHost: x\r\n" + "A: b\r\n" * 200 + "\r\n",
        f"CONNECT u:{SECRET}@host:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        f"AUTH PLAIN {SECRET}\r\n\r\n",
        f"{SECRET} {SECRET}\r\n\r\n",
        f"GET /liveness {SECRET}\r\n\r\n",
    ):
        exchange(server, data.encode())
    out, log = server.stop()
    assert "POST /v1/do/example/Fail 500" in log
    assert SECRET not in out + log


@pytest.mark.parametrize("count", [10, 9_000, 70_000])
def test_what_follows_a_request_does_not_cost_its_response(example_server, count):
    """The server closes after one response: on bytes that it has not read, it would reset the connection."""
    for _ in range(10):
        response = exchange(example_server, b"GET /liveness HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * count)
        assert response.endswith(b'{"ok": true}')


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
    assert re.search(r"INFO a client disconnected, was too slow, or did not speak TLS: ConnectionResetError\n", log)
    assert log.count("\n") == 2 + len(GOODBYE)


def test_what_commands_print_does_not_reach_stdout(start_server):
    server = start_server(*EXAMPLES)
    call(server, "example/Echo")
    out, log = server.stop()
    assert out == ""
    assert "printed by a command" in log


# --- requests that can be read in two ways ---

ASK = b"GET /v1/auths HTTP/1.1\r\n"
HOST = b"Host: x\r\n"
KEY_LINE = b"Spiff-Connector-Proxy-Api-Key: k"
AMBIGUOUS = {
    "a bare CR": ASK + HOST + b"X: a\r" + KEY_LINE,
    "a bare CR at the end of a value": ASK + HOST + b"X: a\r\r\n" + KEY_LINE,
    "NUL": ASK + HOST + b"X: a\0\r\n" + KEY_LINE,
    "a control character": ASK + HOST + b"X: a\x1b\r\n" + KEY_LINE,
    "a blank before the colon": ASK + HOST + b"Transfer-Encoding : chunked\r\n" + KEY_LINE,
    "a tab before the colon": ASK + HOST + b"X\t: a\r\n" + KEY_LINE,
    "no colon": ASK + HOST + b"nonsense\r\n" + KEY_LINE,
    "no name": ASK + HOST + b": a\r\n" + KEY_LINE,
    "a name with a blank": ASK + HOST + b"X Y: a\r\n" + KEY_LINE,
    "a name beyond ASCII": ASK + HOST + "Café: a\r\n".encode() + KEY_LINE,
    "a name with a slash": ASK + HOST + b"X/Y: a\r\n" + KEY_LINE,
    "a folded line": ASK + HOST + b"X: a\r\n b\r\n" + KEY_LINE,
    "a first line that is folded": ASK + b" X: a\r\n" + HOST + KEY_LINE,
    "no host": ASK + KEY_LINE,
    "two hosts": ASK + HOST + HOST + KEY_LINE,
    "two hosts in HTTP/1.0": ASK.replace(b"1.1", b"1.0") + HOST + b"host: y\r\n" + KEY_LINE,
    "a list of hosts": ASK + b"Host: a, b\r\n" + KEY_LINE,
    "a blank in the host": ASK + b"Host: a b\r\n" + KEY_LINE,
    "a path in the host": ASK + b"Host: a/c\r\n" + KEY_LINE,
    "a user in the host": ASK + b"Host: a@d\r\n" + KEY_LINE,
    "a port that is not a number": ASK + b"Host: a:b\r\n" + KEY_LINE,
    "an address without brackets": ASK + b"Host: ::1\r\n" + KEY_LINE,
}


@pytest.mark.parametrize("head", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused(guarded_server, head):
    """Whatever the rest says; RFC 9112 sections 2.2, 3.2 and 5."""
    response = exchange(guarded_server, head + b"\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 400 Bad Request\r\n"), response
    assert b'"bad_request"' in response


@pytest.mark.parametrize(
    "host",
    [b"x", b"x:7004", b"127.0.0.1", b"[::1]:7004", b"", b"x:", b"a_b.example", b"xn--bcher-kva.example", b"a.b."],
)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_hosts_that_are_valid(guarded_server, host, version):
    head = ASK.replace(b"1.1", version) + b"Host: " + host + b"\r\n" + KEY_LINE
    assert exchange(guarded_server, head + b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"Spiff_Connector_Proxy_Api_Key: k", 401),
        (b"Spiff-Connector_Proxy-Api-Key: k", 401),
        (KEY_LINE + b"\r\nTransfer_Encoding: x\r\nContent_Length: 5\r\nContent_Type: x", 200),
        (KEY_LINE + b"\r\nContent_Encoding: gzip", 200),
    ],
)
def test_names_with_an_underscore_do_not_count(guarded_server, line, status):
    """In the environ they could not be told from the same names with a hyphen."""
    head = b"POST /v1/do/example/Echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    assert exchange(guarded_server, head + line + b"\r\n\r\n{}").startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("prefix", ["Zürich".encode(), b"Z%C3%BCrich", b"Z%c3%bcrich"])
def test_a_query_is_utf_8_however_it_is_written(guarded_server, prefix):
    """As the path is."""
    response = exchange(guarded_server, b"GET /v1/typeahead/asked?prefix=%b HTTP/1.1\r\nHost: x\r\n\r\n" % prefix)
    assert json.loads(response.partition(b"\r\n\r\n")[2])[0]["prefix"] == "Zürich"


def test_options_of_the_whole_server(guarded_server):
    response = exchange(guarded_server, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"\r\nAllow: GET, HEAD, POST, OPTIONS\r\n" in response


# --- the end of a connection ---

FORKS = """
import os, subprocess, sys, time
class Fork:
    def execute(self, *_):
        pid = os.fork()
        if not pid:
            time.sleep(30)
            os._exit(0)
        return {"response": {"pid": pid}}
class Spawn:
    def execute(self, *_):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], close_fds=False)
        return {"response": {"pid": child.pid}}
class Multiprocess:
    def execute(self, *_):
        import multiprocessing
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,))
        child.start()
        return {"response": {"pid": child.pid}}
"""


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("command", ["Fork", "Spawn", "Multiprocess"])
def test_a_child_that_lives_on_holds_neither_connection_nor_port(
    start_server, authority, certificate, write_connector, tmp_path, command, with_tls
):
    name = write_connector(FORKS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    flags = ("--port", port, "--connectors", str(tmp_path), *(certificate if with_tls else ()))
    server = start_server(*flags)
    with connect(server) as plain, secure(plain, authority, server) if with_tls else plain as connection:
        connection.sendall(CALL.replace(b"example/Echo", f"{name}/{command}".encode()) + b"Content-Length: 2\r\n\r\n{}")
        status, _, body = read_answer(connection)  # which reads to the end of the connection
    assert status == 200
    try:
        server.process.terminate()
        wait_until(lambda: not is_listening(int(port)))
        assert start_server(*flags).port == int(port)
    finally:
        os.kill(json.loads(body)["pid"], signal.SIGKILL)


def test_tls_ends_with_close_notify(start_server, authority, certificate):
    """RFC 8446 section 6.1: the client knows that nothing was cut off."""
    server = start_server(*EXAMPLES, *certificate)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    for data, end in (HEAD + b"\r\n", b'{"ok": true}'), (CALL + b"Content-Length: 99999999\r\n\r\n{", b"[]}"):
        with connect(server) as plain:
            secured = context.wrap_socket(plain, server_hostname=server.host, suppress_ragged_eofs=False)
            with secured as connection:
                connection.sendall(data)
                received = b""
                while part := connection.recv(65536):  # raises SSLEOFError without close_notify
                    received += part
        assert received.endswith(end)


# --- start ---


@pytest.mark.parametrize("closed", ["0", "1", "2", "01", "02", "12", "012"])
def test_closed_descriptors(closed):
    """As some process managers leave them: nothing else gets their numbers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code = f"""
import os, sys
for descriptor in {[int(number) for number in closed]}:
    os.close(descriptor)
os.execv(sys.executable, [sys.executable, {str(MODULE)!r}, "--port", "{port}"])
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_listening(port))
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"GET /liveness HTTP/1.0\r\n\r\n")
            with connection.makefile("rb") as response:
                assert response.read().endswith(b'{"ok": true}')
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("ends", "status"),
    [("sys.exit(3)", 3), ("sys.exit()", 0), ("sys.exit('words')", 1), ("raise ValueError", 1)],
)
def test_a_child_process_that_a_command_forks_ends_as_it_says(start_server, write_connector, tmp_path, ends, status):
    """It neither answers nor serves."""
    source = """
import os, sys
class Fork:
    def execute(self, *_):
        child = os.fork()
        if not child:
            %s
        return {"response": {"status": os.waitpid(child, 0)[1] >> 8}}
"""
    name = write_connector(source % ends)
    server = start_server("--connectors", str(tmp_path))
    assert call(server, f"{name}/Fork") == (200, {"status": status})
    assert server.stop(1)[1].count("POST ") == 1
