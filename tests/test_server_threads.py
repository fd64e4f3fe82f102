"""The built-in server under load and with careless clients; its start, its end, TLS, and what it logs."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme
from conftest import JSON, MODULE, error_reply, run_proxy
from test_server import CALL, EXAMPLES, call, request, send_raw

KEY = {"CONNECTOR_PROXY_API_KEY": "k"}
HEAD = b"GET /liveness HTTP/1.1\r\nHost: x\r\n"


def with_code(code):
    """How to start the server where something has happened before."""
    start = f"import sys; sys.path.insert(0, {str(MODULE.parent)!r}); import spiffproxy\n{code}\n"
    return sys.executable, "-c", start + "sys.exit(spiffproxy.main(sys.argv[2:]))"


def with_limits(**constants):
    """How to start the server with other limits than those that take too long to wait for."""
    return with_code("".join(f"spiffproxy.{name} = {value}\n" for name, value in constants.items()))


def wait_until(condition):
    """Poll, since there is nothing to be told by; a failure ends it."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def connect(server):
    return socket.create_connection((server.host, server.port), timeout=20)


def start_command(server, command, **body):
    """Send a call and return its connection, the answer unread."""
    connection, data = connect(server), json.dumps(body).encode()
    connection.sendall(CALL.replace(b"Echo", command.encode()) + b"Content-Length: %d\r\n\r\n" % len(data) + data)
    return connection


def read_answer(connection):
    """Return the status, headers in one text, and body."""
    with connection.makefile("rb") as file:
        head, _, body = file.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body


def thread_ids(server):
    return {entry.name for entry in Path(f"/proc/{server.process.pid}/task").iterdir()}


def threads(server):
    return len(thread_ids(server))


# --- stuck commands ---


def test_stuck_commands_stop_nothing_else(start_server):
    """Of five that come at once two run, and the others are refused; all else is answered."""
    server = start_server(*EXAMPLES, "--threads", "2", **KEY)
    key = {"Spiff-Connector-Proxy-Api-Key": "k"}
    call = CALL.replace(b"Echo", b"Wait") + b"Spiff-Connector-Proxy-Api-Key: k\r\nContent-Length: 15\r\n\r\n"
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(connect(server)) for _ in range(5)]
        for connection in waiting:
            connection.sendall(call + b'{"seconds": 60}')
        for _ in range(3):
            refused = select.select(waiting, [], [], 20)[0][0]
            waiting.remove(refused)
            status, head, body = read_answer(refused)
            assert (status, "\r\nRetry-After: 1\r\n" in head) == (503, True)
            assert json.loads(body) == error_reply("too_busy", "CONNECTOR_PROXY_THREADS")
        assert request(server, "GET", "/liveness")[0] == 200
        assert request(server, "GET", "/v1/commands", **key)[0] == 200
        assert request(server, "GET", "/v1/commands")[0] == 401
        assert request(server, "GET", "/nothing")[0] == 404


# --- slow clients ---


def test_three_hundred_stalled_connections_stop_nobody(start_server):
    server = start_server(*EXAMPLES)
    with contextlib.ExitStack() as stack:
        for number in range(300):
            connection = stack.enter_context(connect(server))
            connection.sendall((HEAD, CALL + b"Content-Length: 10\r\n\r\n{", b"", b"G")[number % 4])
        assert request(server, "GET", "/liveness")[0] == 200
        assert call(server, "example/Echo", value=1)[0] == 200
        wait_until(lambda: threads(server) > 300)


def drip(connection, data, pause):
    """Send a byte at a time, until the other side has had enough; each is in time by itself."""
    with contextlib.suppress(OSError):
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(pause)


@pytest.mark.parametrize("drips", [False, True], ids=["stalls", "drips"])
@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (HEAD + b"X: ", b""),
        (CALL + b"Content-Length: 1000000\r\n\r\n{", b"HTTP/1.1 408 Request Timeout\r\n"),
    ],
    ids=["nothing", "head", "body"],
)
def test_a_slow_request_is_let_go(start_server, sent, answer, drips):
    python = with_limits(_HEAD_SECONDS=0.5, _BODY_SECONDS=0.5, _BODY_BYTES_PER_SECOND=10**9, _LINGER_SECONDS=0.5)
    server = start_server(*EXAMPLES, python=python)
    with connect(server) as connection:
        connection.sendall(sent)
        if drips:
            threading.Thread(target=drip, args=(connection, b"a" * 100, 0.1), daemon=True).start()
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                received += part
    assert received.startswith(answer)
    assert bool(received) == bool(answer)


def test_a_large_body_has_more_time_than_a_small_one(start_server):
    """A second for each 64 KiB, here for each byte."""
    server = start_server(*EXAMPLES, python=with_limits(_BODY_SECONDS=0.1, _BODY_BYTES_PER_SECOND=1))
    body = b'{"value": 1}'.ljust(20)
    with connect(server) as connection:
        connection.sendall(CALL + b"Content-Length: 20\r\n\r\n" + body[:5])
        time.sleep(1)  # longer than a body has that is as good as empty
        connection.sendall(body[5:])
        assert read_answer(connection)[0] == 200


def test_an_answer_that_is_not_taken_is_given_up(start_server):
    server = start_server(*EXAMPLES, python=with_limits(_ANSWER_SECONDS=0.5))
    with start_command(server, "Echo", value="a" * 20_000_000) as connection:
        wait_until(lambda: threads(server) == 3)
        connection.recv(1000)
        _, log = server.stop(2)
        assert re.search("example/Echo undelivered:[tT]ime", log)


def test_no_more_connections_are_held_than_there_are_places(start_server):
    """More wait until one is let go."""
    server = start_server(*EXAMPLES, python=with_limits(_MAX_CONNECTIONS=4, _HEAD_SECONDS=2))
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connect(server)).sendall(HEAD)
        wait_until(lambda: threads(server) == 2 + 4)
        assert request(server, "GET", "/liveness")[0] == 200
        assert threads(server) <= 2 + 4


# --- bursts ---


def test_a_burst_of_calls(start_server):
    """600 calls of 220 clients: none is refused, reset or lost, and each gets its own answer."""
    server = start_server(*EXAMPLES)
    call(server, "example/Echo")
    start = threading.Barrier(220)

    def one_client(number):
        start.wait(20)
        for _ in range(3 if number < 160 else 2):
            status, answer = call(server, "example/Echo", value=number)
            assert (status, answer["command_response"]["body"]["value"]) == (200, number)
            done.append(number)

    done = []
    with ThreadPoolExecutor(220) as clients:
        for result in [clients.submit(one_client, number) for number in range(220)]:
            result.result()
    assert len(done) == 600


def test_threads_are_used_again_and_end_when_there_is_nothing_to_do(start_server):
    server = start_server(*EXAMPLES, python=with_limits(_IDLE_SECONDS=0.5))
    seen = set()
    for _ in range(20):
        request(server, "GET", "/liveness")
        seen |= thread_ids(server)
    assert len(seen) <= 2 + 10  # an answer may be read before its thread is free
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(connect(server)).sendall(HEAD)
        wait_until(lambda: threads(server) >= 50)
    wait_until(lambda: threads(server) == 2)
    assert request(server, "GET", "/liveness")[0] == 200


def test_a_thread_that_cannot_be_started_costs_one_connection(start_server):
    """As where a container has its number of processes bounded."""
    code = """
class Thread(threading.Thread):
    failures = [1]
    def start(self):
        if "_work" in str(self._target) and self.failures:
            self.failures.pop()
            raise RuntimeError("can't start new thread")
        super().start()
spiffproxy.threading.Thread = Thread
"""
    server = start_server(*EXAMPLES, python=with_code(f"import threading\n{code}"))
    with connect(server) as connection:
        assert connection.recv(1) == b""
    with start_command(server, "Wait", seconds=60):
        assert request(server, "GET", "/liveness")[0] == 200
    assert "ERROR the server raised RuntimeError\n" in server.kill()


def test_without_descriptors_it_waits_for_some(start_server):
    shell = ("bash", "-c", 'ulimit -n 40; exec "$0" "$@"', sys.executable)
    server = start_server(python=shell)
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(connect(server)).sendall(HEAD)
        wait_until(lambda: len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) == 40)
    assert request(server, "GET", "/liveness")[0] == 200
    _, log = server.stop()
    assert "ERROR no connection can be accepted: Too many open files\n" in log
    assert "Traceback" not in log


# --- heads ---


def test_half_a_head_is_no_request(start_server):
    """The standard parser would take it for a whole one."""
    server = start_server(*EXAMPLES)
    assert send_raw(server, b"POST /v1/do/example/Echo HTTP/1.1\r\nContent-Length: 0\r\n") == b""
    assert send_raw(server, b"GET /liveness HTTP/1.1\r\nX") == b""
    assert send_raw(server, b"") == b""
    assert server.stop(2)[1].count("hung up, was too slow, or spoke no TLS: ConnectionAbortedError\n") == 2


def test_a_head_is_bounded(start_server):
    server = start_server()
    for name in b"A", b"":  # the second is a line that goes on
        head = b"GET /liveness HTTP/1.1\r\n" + (name + b": " + b"b" * 60_000 + b"\r\n") * 90
        assert send_raw(server, head + b"\r\n").startswith(b"HTTP/1.1 431 ")


def test_an_empty_line_before_a_request_is_skipped(start_server):
    assert send_raw(start_server(), b"\r\n" + HEAD + b"\r\n").startswith(b"HTTP/1.1 200 ")


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
        (b"POST /v1/do/example/Echo HTTP/1.1\r\nContent-Length: 40000000\r\n\r\n", 401),
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


@pytest.fixture
def certificate(authority, tmp_path):
    """The flags of a server with a certificate."""
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return "--certfile", str(tmp_path / "cert.pem"), "--keyfile", str(tmp_path / "key.pem")


def secure(connection, authority, server, **versions):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    for name, value in versions.items():
        setattr(context, name, value)
    return context.wrap_socket(connection, server_hostname=server.host)


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
    assert re.search("INFO a client hung up, was too slow, or spoke no TLS: SSLError\n", log)
    assert "Traceback" not in log


def encrypt_key(path):
    key = ["openssl", "pkey", "-aes128", "-passout", "pass:x", "-in", path / "key.pem", "-out", path / "locked.pem"]
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    subprocess.run(key, check=True, capture_output=True, timeout=30)


@pytest.mark.parametrize(
    ("certfile", "keyfile", "words"),
    [
        ("nowhere.pem", "key.pem", "No such file or directory: .*nowhere.pem"),
        ("cert.pem", "nowhere.pem", "No such file or directory: .*nowhere.pem"),
        ("cert.pem", ".", "Is a directory"),
        ("cert.pem", "other.pem", "the key is not that of the certificate"),
        ("cert.pem", "empty.pem", "no PEM file"),
        ("empty.pem", "key.pem", "no PEM file"),
        ("cert.pem", None, "no PEM file"),
        ("cert.pem", "locked.pem", "locked.pem is encrypted; give a key without a password"),
        (None, "key.pem", "CONNECTOR_PROXY_CERTFILE is not; HTTPS takes both"),
    ],
)
def test_certificates_that_cannot_be_used(certificate, tmp_path, certfile, keyfile, words):
    """Are refused in one line, before anything listens or anybody is asked for a password."""
    trustme.CA().issue_cert("x.example").private_key_pem.write_to_path(tmp_path / "other.pem")
    (tmp_path / "empty.pem").touch()
    if keyfile == "locked.pem":
        encrypt_key(tmp_path)
    flags = {"--certfile": certfile, "--keyfile": keyfile}
    ended = run_proxy("--port", "0", *[f"{flag}={tmp_path / file}" for flag, file in flags.items() if file])
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(f"spiffproxy: CONNECTOR_PROXY_.*{words}.*\n", ended.stderr)


# --- start ---


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


def test_all_addresses_of_both_families(start_server):
    server = start_server("--host", "::", **KEY)
    assert server.url == f"http://[::]:{server.port}"
    for address in "::1", "127.0.0.1":
        with socket.create_connection((address, server.port), timeout=20) as connection:
            connection.sendall(HEAD + b"\r\n")
            assert read_answer(connection)[0] == 200


def test_names_are_not_looked_up(start_server):
    """Neither its own at the start, nor that of a client."""
    code = "import socket; socket.getfqdn = socket.gethostbyaddr = socket.getnameinfo = None"
    server = start_server(python=with_code(code))
    assert request(server, "GET", "/liveness")[0] == 200


# --- signals ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_runs_is_answered_before_the_end(start_server, number):
    """And nothing new is accepted."""
    server = start_server(*EXAMPLES)
    with start_command(server, "Wait", seconds=2) as connection, connect(server) as half:
        half.sendall(HEAD)
        wait_until(lambda: threads(server) == 2 + 2)
        server.process.send_signal(number)
        wait_until(lambda: is_refused(server))
        assert read_answer(connection)[0] == 200
        assert server.process.wait(20) == 0
    log = server.stop()[1]
    assert "POST /v1/do/example/Wait 200" in log
    assert log.endswith(" INFO stopped\n")
    assert "Traceback" not in log


def test_a_body_that_is_on_its_way_is_waited_for(start_server):
    server = start_server(*EXAMPLES)
    with connect(server) as connection:
        connection.sendall(CALL + b"Content-Length: 12\r\n\r\n{")
        wait_until(lambda: threads(server) == 2 + 1)
        server.process.terminate()
        wait_until(lambda: is_refused(server))
        time.sleep(1)  # longer than connections that have asked for nothing are kept
        connection.sendall(b'"value": 1}')
        assert read_answer(connection)[0] == 200
        assert server.process.wait(10) == 0


def test_what_was_sent_before_the_signal_is_answered(start_server):
    """Though nobody has accepted it yet but the kernel."""
    server = start_server(*EXAMPLES)
    with contextlib.ExitStack() as stack:
        sent = [stack.enter_context(connect(server)) for _ in range(150)]
        for connection in sent:
            connection.sendall(CALL + b"Content-Length: 2\r\n\r\n{}")
        server.process.terminate()
        assert [read_answer(connection)[0] for connection in sent] == [200] * 150
        assert server.process.wait(10) == 0


def test_a_client_that_is_gone_when_its_answer_comes_is_one_line(start_server):
    server = start_server(*EXAMPLES)
    with start_command(server, "Wait", seconds=1) as connection:
        wait_until(lambda: threads(server) == 2 + 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset it
    _, log = server.stop(2)
    assert re.search(r" POST /v1/do/example/Wait 200 2 \d+\.\d ms example/Wait undelivered:\w+\n", log)
    assert "hung up" not in log


def is_refused(server):
    try:
        connect(server).close()
    except OSError:
        return True
    return False


def test_a_connection_that_has_said_nothing_does_not_delay_the_end(start_server):
    """The limit is longer than the test waits."""
    server = start_server()
    with connect(server), connect(server) as half:
        half.sendall(HEAD)
        wait_until(lambda: threads(server) == 2 + 2)
        server.process.terminate()
        assert server.process.wait(10) == 0


def test_places_that_are_all_taken_do_not_delay_the_end(start_server):
    server = start_server(python=with_limits(_MAX_CONNECTIONS=4))
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(connect(server)).sendall(HEAD)
        wait_until(lambda: threads(server) == 2 + 4)
        server.process.terminate()
        assert server.process.wait(10) == 0


def test_a_client_that_has_its_answer_does_not_delay_the_end(start_server):
    """It has not sent its body, which is waited for."""
    server = start_server()
    with connect(server) as connection:
        connection.sendall(b"POST /v1/nothing HTTP/1.1\r\nContent-Length: 100\r\n\r\n")
        assert read_answer(connection)[0] == 404
        server.process.terminate()
        assert server.process.wait(10) == 0


@pytest.mark.parametrize("sent", [HEAD, b""], ids=["half a head", "handshake"])
def test_at_the_end_nothing_leaves_a_tls_port_in_plain_text(start_server, authority, certificate, sent):
    server = start_server(*certificate)
    with connect(server) as plain:
        descriptor = os.dup(plain.fileno())
        with contextlib.ExitStack() as stack:
            if sent:
                stack.enter_context(secure(plain, authority, server)).sendall(sent)
            wait_until(lambda: threads(server) == 2 + 1)
            server.process.terminate()
            assert server.process.wait(10) == 0
            with socket.socket(fileno=descriptor) as raw:
                raw.settimeout(20)
                received = b""
                with contextlib.suppress(ConnectionResetError):
                    while part := raw.recv(65536):
                        received += part
    assert b"HTTP/" not in received


def test_threads_that_a_command_leaves_behind_do_not_keep_it_alive(start_server, write_connector, tmp_path):
    name = write_connector(
        "import threading, time\nclass C:\n    def execute(self, *_):\n"
        "        threading.Thread(target=time.sleep, args=(60,), daemon=False).start()\n"
        "        return {'response': {}}"
    )
    server = start_server("--connectors", str(tmp_path), python=with_limits(_STOP_SECONDS=1))
    assert call(server, f"{name}/C") == (200, {})
    server.process.terminate()
    assert server.process.wait(20) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(start_server, number):
    server = start_server(*EXAMPLES)
    with start_command(server, "Wait", seconds=60):
        wait_until(lambda: threads(server) == 2 + 1)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server))
        server.process.send_signal(number)
        assert server.process.wait(20) == 1
    log = server.stop()[1]
    assert log.endswith(" WARNING stopped before everything was done\n")
    assert "Traceback" not in log


def test_what_does_not_end_is_not_waited_for_any_longer(start_server):
    server = start_server(*EXAMPLES, python=with_limits(_STOP_SECONDS=0.5))
    with start_command(server, "Wait", seconds=60):
        wait_until(lambda: threads(server) == 2 + 1)
        server.process.terminate()
        assert server.process.wait(20) == 1
    assert server.stop()[1].endswith(" WARNING stopped before everything was done\n")


# --- the log ---


def test_a_command_is_logged_with_its_id_and_its_error_code(start_server):
    server = start_server(*EXAMPLES)
    call(server, "example/Echo")
    call(server, "example/Fail", secret="s3cret")
    call(server, "example/Nothing")
    send_raw(server, b"GET /liveness HTTP/1.1\r\n\r\n")
    lines = [line.partition(" INFO ")[2] for line in server.stop(4)[1].splitlines()]
    patterns = [
        r"POST /v1/do/example/Echo 200 \d+ \d+\.\d ms example/Echo",
        r"POST /v1/do/example/Fail 500 \d+ \d+\.\d ms example/Fail LookupError",
        r"POST /v1/do/example/Nothing 404 \d+ \d+\.\d ms example/Nothing command_not_found",
        r"GET /liveness 200 12 \d+\.\d ms",
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
        "spiffproxy: CONNECTOR_PROXY_LOG_FORMAT is 'xml'; it may be text or json\n",
    )
