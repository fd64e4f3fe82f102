"""The built-in server's threads: its limits, slow clients, bursts, signals, and how it stops."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from client import CALL, EXAMPLES, HEAD, call, connect, read_answer, request, secure, start_command, wait_until
from conftest import error_reply, with_code

KEY = {"CONNECTOR_PROXY_API_KEY": "k"}


def with_limits(**constants):
    """How to start the server with other limits than those that take too long to wait for."""
    return with_code("".join(f"spiffproxy.{name} = {value}\n" for name, value in constants.items()))


def thread_ids(server):
    return {entry.name for entry in Path(f"/proc/{server.process.pid}/task").iterdir()}


# the main thread, the one that accepts, and the one that watches it
IDLE_THREADS = 3


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


def test_a_command_that_turns_slow_holds_nobody_up(start_server):
    """It was quick before, so that its thread kept the turn to accept."""
    server = start_server(*EXAMPLES)
    for _ in range(3):
        assert call(server, "example/Wait", seconds=0)[0] == 200
    with start_command(server, "Wait", seconds=60), start_command(server, "Wait", seconds=60):
        assert request(server, "GET", "/liveness")[0] == 200
        assert call(server, "example/Wait", seconds=0)[0] == 200


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
    python = with_limits(HEAD_SECONDS=0.5, BODY_SECONDS=0.5, BODY_BYTES_PER_SECOND=10**9, REST_SECONDS=0.5)
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
    server = start_server(*EXAMPLES, python=with_limits(BODY_SECONDS=0.1, BODY_BYTES_PER_SECOND=1))
    body = b'{"value": 1}'.ljust(20)
    with connect(server) as connection:
        connection.sendall(CALL + b"Content-Length: 20\r\n\r\n" + body[:5])
        time.sleep(1)  # longer than a body has that is as good as empty
        connection.sendall(body[5:])
        assert read_answer(connection)[0] == 200


def test_an_answer_that_is_not_taken_is_given_up(start_server):
    server = start_server(*EXAMPLES, python=with_limits(RESPONSE_SECONDS=0.5))
    with start_command(server, "Echo", value="a" * 20_000_000) as connection:
        wait_until(lambda: threads(server) == IDLE_THREADS + 1)
        connection.recv(1000)
        _, log = server.stop(2)
        assert re.search("example/Echo undelivered:[tT]ime", log)


def test_no_more_connections_are_held_than_there_are_places(start_server):
    """More wait until one is let go."""
    server = start_server(*EXAMPLES, python=with_limits(MAX_CONNECTIONS=4, HEAD_SECONDS=2))
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connect(server)).sendall(HEAD)
        wait_until(lambda: threads(server) == IDLE_THREADS + 4)
        assert request(server, "GET", "/liveness")[0] == 200
        assert threads(server) <= IDLE_THREADS + 4


@pytest.mark.parametrize("sent", [b"", HEAD, CALL + b"Content-Length: 9\r\n\r\n{"], ids=["nothing", "head", "body"])
def test_those_who_are_slow_give_up_their_places(start_server, sent):
    """The one that has waited longest, for a request that is complete; one that runs a command keeps its place."""
    server = start_server(*EXAMPLES, python=with_limits(MAX_CONNECTIONS=20))
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(start_command(server, "Wait", seconds=2))
        slow = [stack.enter_context(connect(server)) for _ in range(30)]
        for connection in slow:
            with contextlib.suppress(OSError):
                connection.sendall(sent)
        for _ in range(5):
            assert request(server, "GET", "/liveness")[0] == 200
        assert read_answer(busy)[0] == 200


# --- bursts ---


def test_a_burst_of_calls(start_server):
    """440 calls of 220 clients: none is refused, reset or lost, and each gets its own answer."""
    server = start_server(*EXAMPLES)
    call(server, "example/Echo")
    start = threading.Barrier(220)

    def one_client(number):
        start.wait(20)
        for _ in range(2):
            status, answer = call(server, "example/Echo", value=number)
            assert (status, answer["command_response"]["body"]["value"]) == (200, number)
            done.append(number)

    done = []
    with ThreadPoolExecutor(220) as clients:
        for result in [clients.submit(one_client, number) for number in range(220)]:
            result.result()
    assert len(done) == 440


def test_threads_are_used_again_and_end_when_there_is_nothing_to_do(start_server):
    server = start_server(*EXAMPLES, python=with_limits(IDLE_THREAD_SECONDS=0.5))
    seen = set()
    for _ in range(20):
        request(server, "GET", "/liveness")
        seen |= thread_ids(server)
    assert len(seen) <= IDLE_THREADS + 10  # an answer may be read before its thread is free
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(connect(server)).sendall(HEAD)
        wait_until(lambda: threads(server) >= 50)
    wait_until(lambda: threads(server) == IDLE_THREADS)
    assert request(server, "GET", "/liveness")[0] == 200


def test_a_thread_that_cannot_be_started_costs_no_connection(start_server):
    """As where a container has its number of processes bounded: it is tried again, and until then the others wait."""
    code = """
class Thread(threading.Thread):
    started = []
    def start(self):
        if "accept_and_handle" in str(self._target):
            self.started.append(self)
            if 2 <= len(self.started) < 10:
                raise RuntimeError("can't start new thread")
        super().start()
spiffproxy.threading.Thread = Thread
"""
    server = start_server(*EXAMPLES, python=with_code(f"import threading\n{code}"))
    with connect(server) as connection, start_command(server, "Wait", seconds=60):
        assert request(server, "GET", "/liveness")[0] == 200
        connection.sendall(b"GET /liveness HTTP/1.0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert " ERROR " not in server.kill()


def test_without_descriptors_it_waits_for_some(start_server):
    shell = ("bash", "-c", 'ulimit -n 40; exec "$0" "$@"', sys.executable, "-S")
    server = start_server(python=shell)
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(connect(server)).sendall(HEAD)
        line = server.process.stderr.readline().decode()
    assert line.endswith(" ERROR no connection can be accepted: Too many open files\n")
    assert request(server, "GET", "/liveness")[0] == 200
    assert "Traceback" not in server.stop()[1]


def test_what_a_connector_sets_for_its_sockets_is_not_for_the_servers(start_server, write_connector, tmp_path):
    name = write_connector(
        "import socket\nsocket.setdefaulttimeout(0.1)\nclass C:\n    def execute(self, *_): return {'response': {}}"
    )
    server = start_server("--connectors", str(tmp_path))
    assert call(server, f"{name}/C")[0] == 200
    with connect(server) as connection:
        connection.sendall(HEAD)
        time.sleep(0.3)  # longer than that timeout
        connection.sendall(b"\r\n")
        assert read_answer(connection)[0] == 200


def test_a_client_that_sends_more_than_its_request_gets_the_answer(start_server):
    """A connection that is closed with bytes unread is reset, and the answer may be lost with it."""
    server = start_server(*EXAMPLES)
    with start_command(server, "Wait", seconds=0.1) as connection:
        connection.sendall(b"x" * 10_000_000)
        assert read_answer(connection)[0] == 200


# --- signals ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_runs_is_answered_before_the_end(start_server, number):
    """And nothing new is accepted."""
    server = start_server(*EXAMPLES)
    with start_command(server, "Wait", seconds=2) as connection, connect(server) as half:
        half.sendall(HEAD)
        wait_until(lambda: threads(server) == IDLE_THREADS + 2)
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
        wait_until(lambda: threads(server) == IDLE_THREADS + 1)
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
        wait_until(lambda: threads(server) == IDLE_THREADS + 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset it
    _, log = server.stop(2)
    assert re.search(r" POST /v1/do/example/Wait 200 2 \d+\.\d ms 127.0.0.1 example/Wait undelivered:\w+\n", log)
    assert "disconnected" not in log


def is_refused(server):
    try:
        connect(server).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_comes_twice_within_a_second_counts_once(start_server, number):
    """As from process managers that signal a group and its leader."""
    server = start_server(*EXAMPLES)
    with start_command(server, "Wait", seconds=2) as connection:
        wait_until(lambda: threads(server) == IDLE_THREADS + 1)
        for _ in range(3):
            server.process.send_signal(number)
            time.sleep(0.05)  # signals that wait are merged
        assert read_answer(connection)[0] == 200
        assert server.process.wait(20) == 0


def test_nohup_keeps_it_running(start_server):
    """Who ignores SIGHUP for it wants it to go on."""
    server = start_server(python=["sh", "-c", 'trap "" HUP; exec "$0" "$@"', sys.executable, "-S"])
    server.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)  # longer than it takes to stop
    assert request(server, "GET", "/liveness")[0] == 200


def test_a_connection_that_has_said_nothing_does_not_delay_the_end(start_server):
    """The limit is longer than the test waits."""
    server = start_server()
    with connect(server), connect(server) as half:
        half.sendall(HEAD)
        wait_until(lambda: threads(server) == IDLE_THREADS + 2)
        server.process.terminate()
        assert server.process.wait(10) == 0


def test_places_that_are_all_taken_do_not_delay_the_end(start_server):
    server = start_server(python=with_limits(MAX_CONNECTIONS=4))
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(connect(server)).sendall(HEAD)
        wait_until(lambda: threads(server) == IDLE_THREADS + 4)
        server.process.terminate()
        assert server.process.wait(10) == 0


def test_a_client_that_has_its_answer_does_not_delay_the_end(start_server):
    """It has not sent its body, which is waited for."""
    server = start_server()
    with connect(server) as connection:
        connection.sendall(b"POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
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
            wait_until(lambda: threads(server) == IDLE_THREADS + 1)
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
    server = start_server("--connectors", str(tmp_path), python=with_limits(STOP_SECONDS=1))
    assert call(server, f"{name}/C") == (200, {})
    server.process.terminate()
    assert server.process.wait(20) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(start_server, number):
    server = start_server(*EXAMPLES)
    with start_command(server, "Wait", seconds=60):
        wait_until(lambda: threads(server) == IDLE_THREADS + 1)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server))
        if number == signal.SIGTERM:
            time.sleep(1.1)  # within a second it would count as the same one
        server.process.send_signal(number)
        assert server.process.wait(20) == 1
    log = server.stop()[1]
    assert log.endswith(" WARNING stopped before all running calls had finished\n")
    assert "Traceback" not in log


def test_what_does_not_end_is_not_waited_for_any_longer(start_server):
    server = start_server(*EXAMPLES, python=with_limits(STOP_SECONDS=0.5))
    with start_command(server, "Wait", seconds=60):
        wait_until(lambda: threads(server) == IDLE_THREADS + 1)
        server.process.terminate()
        assert server.process.wait(20) == 1
    assert server.stop()[1].endswith(" WARNING stopped before all running calls had finished\n")
