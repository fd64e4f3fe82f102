"""The log of the built-in server: whole lines, whatever connectors do, and JSON in every one of them."""

import contextlib
import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import time

import pytest
from client import EXAMPLES, call, request
from conftest import MODULE, with_code

LOGS = """
import logging, logging.config
{configure}
class C:
    def execute(self, *_):
        return {{"response": {{}}}}
"""
CONFIGURATIONS = {
    "dictConfig": 'logging.config.dictConfig({"version": 1})',
    "dictConfig of root": 'logging.config.dictConfig({"version": 1, "root": {"level": "CRITICAL", "handlers": []}})',
    "basicConfig": "logging.basicConfig(force=True, level=logging.CRITICAL)",
    "disable": "logging.disable(logging.CRITICAL)",
    "no handlers": "logging.getLogger().handlers.clear()",
    "our name": 'logging.getLogger("spiffproxy").disabled = True',
    "shutdown": "logging.shutdown()",
}


@pytest.mark.parametrize("where", ["import", "execute"])
@pytest.mark.parametrize("configure", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_connector_that_configures_logging_takes_no_line_away(
    start_server, write_connector, tmp_path, configure, where
):
    source = LOGS.format(configure=configure)
    if where == "execute":
        source = LOGS.format(configure="").replace("        return", f"        {configure}\n        return")
    name = write_connector(source)
    server = start_server("--connectors", str(tmp_path))
    assert call(server, f"{name}/C")[0] == 200
    request(server, "GET", "/liveness")
    _, log = server.stop(2)
    assert re.search(rf"INFO POST /v1/do/{name}/C 200 .* {name}/C\n", log)
    assert " INFO GET /liveness 200 " in log
    assert log.endswith(" INFO stopped\n")


PRINTS = """
import sys, threading, warnings
class C:
    def __init__(self, secret): self.secret = secret
    def execute(self, *_):
        print("printed", end="")
        print(" in two parts")
        sys.stdout.buffer.write("bytes: ü\\n".encode(sys.stdout.encoding))
        sys.stdout.reconfigure(line_buffering=True)
        print("to stderr\\nin two lines", file=sys.stderr)
        warnings.warn("a warning of a command")
        def fail():
            raise LookupError(self.secret)
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        class Bad:
            def __del__(bad): raise KeyError(self.secret)
        Bad()
        return {"response": {}}
"""


def test_every_line_of_the_json_log_is_json(start_server, write_connector, tmp_path):
    """What is printed, warnings, and what fails in a thread of a command; without the text of an exception."""
    name = write_connector(PRINTS)
    server = start_server("--connectors", str(tmp_path), "--log-format", "json")
    assert call(server, f"{name}/C", secret="s3cret")[0] == 200
    out, log = server.stop(1)
    assert out == ""
    messages = [json.loads(line).get("message", "") for line in log.splitlines()]
    for line in "printed in two parts", "bytes: ü", "to stderr", "in two lines":
        assert line in messages
    assert any("UserWarning: a warning of a command" in message for message in messages)
    assert any(message.startswith("a thread or an object raised LookupError\n  File ") for message in messages)
    assert any("KeyError" in message for message in messages)
    assert "s3cret" not in log


def test_a_thread_of_a_command_that_raises_is_logged_without_its_text(start_server, write_connector, tmp_path):
    name = write_connector(PRINTS)
    server = start_server("--connectors", str(tmp_path))
    assert call(server, f"{name}/C", secret="s3cret")[0] == 200
    _, log = server.stop(1)
    assert " ERROR a thread or an object raised LookupError\n  File " in log
    assert "s3cret" not in log


@pytest.mark.parametrize("blocks", [True, False], ids=["blocking", "non-blocking"])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_slow_reader_gets_whole_lines(kind, blocks):
    """More than fits into the pipe, and read only then: no line is lost, and none is torn."""
    reader, writer = os.pipe() if kind == "pipe" else [end.detach() for end in socket.socketpair()]
    if not blocks:
        fcntl.fcntl(writer, fcntl.F_SETFL, fcntl.fcntl(writer, fcntl.F_GETFL) | os.O_NONBLOCK)
    process = subprocess.Popen(
        [sys.executable, "-S", str(MODULE), "--port", "0", "--log-format", "json", *EXAMPLES], stderr=writer
    )
    os.close(writer)
    try:
        with os.fdopen(reader, "rb", buffering=0) as log:
            first = b""
            while b"\n" not in first:
                first += log.read(1)
            port = int(re.search(rb"http://127.0.0.1:([0-9]+)", first)[1])
            sockets = []
            for _ in range(300):
                connection = socket.create_connection(("127.0.0.1", port))
                path = b"a" * 400
                connection.sendall(b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
                sockets.append(connection)
            time.sleep(0.5)  # until the server has to wait for this reader
            received = b""
            while received.count(b"\n") < 300:
                received += log.read(65536)
            for connection in sockets:
                connection.close()
        entries = [json.loads(line) for line in received.splitlines()]
        assert len([entry for entry in entries if entry.get("status") == 404]) == 300
    finally:
        process.kill()
        process.wait()


def test_a_log_that_nobody_reads_any_more_stops_nothing():
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, "-S", str(MODULE), "--port", "0"], stderr=writer)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb", buffering=0) as log:
            port = int(re.search(rb"http://127.0.0.1:([0-9]+)", log.readline())[1])
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(b"GET /liveness HTTP/1.0\r\n\r\n")
                with connection.makefile("rb") as response:
                    assert response.read().endswith(b'{"ok": true}')
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_a_log_that_is_stuck_does_not_keep_it_from_stopping():
    """As where what reads it is stopped, and the pipe is full."""
    code = f"import sys; sys.path.insert(0, {str(MODULE.parent)!r}); import spiffproxy; spiffproxy.STOP_SECONDS = 1"
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", f"{code}\nsys.exit(spiffproxy.main(['--port', '0']))"], stderr=writer
    )
    try:
        with os.fdopen(reader, "rb", buffering=0) as log:
            log.readline()
            os.set_blocking(writer, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writer, b"x")
            os.set_blocking(writer, True)
            process.terminate()
            assert process.wait(20) == 1
    finally:
        os.close(writer)
        process.kill()
        process.wait()


def test_a_process_that_a_command_forks_can_log(start_server, write_connector, tmp_path):
    """Though another thread writes a line at that moment."""
    source = """
import os, threading, spiffproxy, spiffproxy_log
class Fork:
    def execute(self, *_):
        written = threading.Event()
        has_lock = threading.Event()
        def write():
            with spiffproxy_log.write_lock:
                has_lock.set()
                written.wait()
        threading.Thread(target=write).start()
        has_lock.wait()
        child = os.fork()
        if not child:
            spiffproxy.logger.info("from the child")
            os._exit(0)
        written.set()
        return {"response": {"status": os.waitpid(child, 0)[1]}}
"""
    name = write_connector(source)
    server = start_server("--connectors", str(tmp_path), python=with_code(""))
    assert call(server, f"{name}/Fork") == (200, {"status": 0})
    assert " INFO from the child\n" in server.stop()[1]
