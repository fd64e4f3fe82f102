"""Commands in any language: a class declares what a command accepts, and another program does the work.

    @dataclass
    class SendFax(ProgramCommand):
        \"\"\"Send a document by fax.

        :raises NoAnswer: nobody answered
        \"\"\"

        program = ("node", "send_fax.js")
        number: str

`program` is the program and its arguments; there is no shell. It runs in the folder of the class's file, and names of
files are relative to it. A program without a slash in its name is looked up in PATH. `seconds` limits its time, 40
unless set. Declare your own error codes in `:raises`, or in `errors = {**ProgramCommand.errors, …}`.

The program reads one JSON object from stdin, a line in ASCII, with the fields of the dataclass as parameters:
`{"command": "fax/SendFax", "parameters": {…}, "task_data": {…}, "config": {…}}`.

It prints one JSON value to stdout, in UTF-8, and exits with status 0. A result of version 1 (`response`) or version 2
(`command_response_version`) is the result of the command. `{"error": {"error_code": "NoAnswer", "message": "…"},
"http_status": 400}` is an error, whatever the exit status is. SpiffArena tries again if `http_status`, which is 500
unless set, is 429, or 500 or above. Any other value is the `body` of a version 2 result.

Each line on stderr becomes a warning in the proxy's log, and is not in the response: print no secrets there. After the
program has ended, the processes that it started are killed. If it does not end in time, it is killed, too.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import selectors
import shutil
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from typing import Any, ClassVar

import spiffproxy
from spiffproxy import JSON, SECRET_SETTINGS, ProxyError, encode_json, parse_json

__all__ = ["ProgramCommand"]

GRACE_SECONDS = 2  # for the program to end after SIGTERM
REST_SECONDS = 0.5  # for the output of processes that the program started, after it has ended
POLL_SECONDS = 0.1  # between checks whether it has ended, if such a process keeps its output open
MAX_OUTPUT_BYTES = 64 * 1024**2  # unless CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES is set, as for a response over HTTP
CHUNK_BYTES = 64 * 1024  # the capacity of a pipe
LINE = re.compile(rb"[^\n]{1,8192}")  # of stderr; a longer line becomes several


class ProgramCommand:
    """A version 2 command that another program executes. Its author writes `program`, and a dataclass."""

    program: ClassVar[Sequence[str]] = ()
    seconds: ClassVar[float] = 40  # SpiffArena waits 45
    errors: ClassVar[Mapping[str, str]] = {
        "ProgramFailed": "the program ended with an error; the proxy's log has what it printed to stderr",
        "ProgramTimeout": "the program did not end in time, and was killed",
        "ResponseTooLarge": "the program printed more than the operator allows, and was killed",
        "ValueError": "a parameter or the task data cannot be written as JSON; the message names it",
        "connector_unavailable": "the program is not installed, or cannot be started",
        "invalid_response": "the program did not print a valid result",
    }

    def __init_subclass__(cls, **options: Any) -> None:
        """Raise TypeError for a class that cannot work: `check` names its line."""
        super().__init_subclass__(**options)
        if isinstance(cls.program, str) or not all(isinstance(word, str) for word in cls.program):
            raise TypeError(f'{cls.__name__}: program must be a tuple of strings, such as ("node", "send_fax.js")')

    @classmethod
    def find_missing_requirements(cls) -> list[str]:
        """Return what is missing if the program is not installed; the proxy calls this at each call."""
        folder, name = find_folder(cls), "".join(cls.program[:1]) or "a program"
        if not folder.is_dir():
            return [f"{command_id(cls)} needs {name}, which cannot run in an archive: put the connector into a folder."]
        if find_executable(cls):
            return []
        place = folder if "/" in name else "PATH"
        return [f"{command_id(cls)} needs {name}, which is not installed: {place} has no such executable file."]

    def execute(self, config: Mapping[str, Any], task_data: Any) -> dict[str, Any]:
        """Run the program. By the `http_status` of an error, SpiffArena decides whether to try again."""
        max_bytes = int(config.get("CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES") or MAX_OUTPUT_BYTES)
        try:
            request = encode_request(type(self), read_parameters(self), config, task_data)
            return read_result(*run_program(type(self), request, max_bytes))
        except ProxyError as error:
            return make_result(None, error.status, {"error_code": error.error_code, "message": error.message})


def command_id(cls: type) -> str:
    return f"{cls.__module__.partition('.')[0].removeprefix('connector_')}/{cls.__name__}"


# --- What the program reads, and what it prints -------------------------------------------------------------------


def read_parameters(command: ProgramCommand) -> dict[str, Any]:
    names = [field.name for field in fields(command)] if is_dataclass(command) else []
    names += [name for name in vars(command) if not name.startswith("_")]
    return {name: getattr(command, name) for name in names if hasattr(command, name)}


def encode_request(cls: type, parameters: dict[str, Any], config: Mapping[str, Any], task_data: Any) -> bytes:
    """Raise ProxyError, 400, for a number such as 1e999, which Python reads as infinity."""
    settings = {name: value for name, value in config.items() if is_json([name, value])}
    request = {"command": command_id(cls), "parameters": parameters, "task_data": task_data, "config": settings}
    try:
        return encode_json(request) + b"\n"
    except (ValueError, RecursionError):
        values = {**parameters, "the task data": task_data}
        names = ", ".join(name for name, value in values.items() if not is_json(value))
        message = f"{names}: cannot be written as JSON. Use finite numbers, and do not nest objects too deeply."
        raise ProxyError(400, "ValueError", message) from None


def is_json(value: Any) -> bool:
    """Return whether a value can be written as JSON in UTF-8; a variable of the environment may have other bytes."""
    with suppress(TypeError, ValueError, RecursionError):
        return bool(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    return False


def make_result(body: Any, http_status: int = 200, error: dict[str, str] | None = None) -> dict[str, Any]:
    response = {"body": body, "mimetype": JSON, "http_status": http_status}
    return {"command_response": response, "command_response_version": 2, "error": error, "spiff__logs": []}


def read_result(status: int, output: bytes) -> dict[str, Any]:
    """Return the result of a program that exited with this status, negative for a signal; raise ProxyError."""
    try:
        result, fault = parse_output(output), ""
    except (ValueError, ProxyError) as error:
        reason = str(error).replace("The body is not valid JSON", "it is not valid JSON; print nothing else to stdout")
        result, fault = {}, f"The output of the program is not a valid result: {reason}"
    if status and not isinstance(result.get("error"), dict):
        end = f"exited with status {status}" if status > 0 else f"was ended by signal {-status}"
        raise ProxyError(500, "ProgramFailed", f"The program {end}. The proxy's log has what it printed to stderr.")
    if fault:
        raise ProxyError(500, "invalid_response", fault)
    return result


def parse_output(output: bytes) -> dict[str, Any]:
    """Return the result that a program printed; raise ValueError, or ProxyError if it is not JSON."""
    if not output or output.isspace():
        raise ValueError("it is empty. A program that has nothing to return prints null.")
    value = parse_json(output)
    if not isinstance(value, dict):
        return make_result(value)
    if "command_response_version" in value or "command_response" in value:
        return value
    if "response" in value:
        if value.keys() - {"response", "status", "mimetype"}:
            raise ValueError("beside response it has more than status and mimetype. Print a result of version 2.")
        return value
    error, http_status = value.get("error"), value.get("http_status", 500)
    if not isinstance(error, dict):
        return make_result(value)
    code, message = error.get("error_code"), error.get("message")
    if not isinstance(code, str) or not code or not isinstance(message, (str, type(None))):
        raise ValueError("error_code and message of its error must be strings.")
    if not isinstance(http_status, int) or not 400 <= http_status <= 599:
        raise ValueError("http_status beside its error must be an integer from 400 to 599.")
    return make_result(None, http_status, {"error_code": code, "message": message or ""})


# --- Running the program ------------------------------------------------------------------------------------------

running: set[int] = set()  # the process groups of the programs


def kill(groups: Iterable[int], number: int) -> None:
    for group in list(groups):
        with suppress(OSError):  # it has ended, or belongs to another user
            os.killpg(group, number)


spiffproxy.forced_exit_hooks.append(lambda: kill(running, signal.SIGKILL))


def find_folder(cls: type[ProgramCommand]) -> Path:
    return Path(inspect.getfile(cls)).absolute().parent


def find_executable(cls: type[ProgramCommand]) -> str:
    """Return the absolute path of the program, even if an entry of PATH is relative; "" if it is not installed."""
    name = "".join(cls.program[:1])
    path = shutil.which(str(find_folder(cls) / name) if "/" in name else name)
    return os.path.abspath(path) if path else ""  # noqa: PTH100 - Path has no function that does it without links


def run_program(cls: type[ProgramCommand], request: bytes, max_bytes: int) -> tuple[int, bytes]:
    """Return the exit status of the program, negative for a signal, and its output; raise ProxyError."""
    arguments = [find_executable(cls), *cls.program[1:]]
    environ = {name: value for name, value in os.environ.items() if name not in SECRET_SETTINGS}
    try:  # a session is a group to kill, and has no terminal on which a program could ask for a password
        selector = selectors.DefaultSelector()  # before the program: both fail if there are too many open files
        process = Popen(  # noqa: S603 - the arguments are those of the class
            arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=find_folder(cls), env=environ, start_new_session=True
        )
    except OSError as error:
        message = f"The program of {command_id(cls)} cannot be started: {error.strerror}"
        raise ProxyError(503, "connector_unavailable", message) from None
    running.add(process.pid)
    exchange = Exchange(command_id(cls), process, selector, request, max_bytes)
    try:
        if not exchange.move(cls.seconds):
            kill([process.pid], signal.SIGTERM)
            exchange.move(GRACE_SECONDS)
            raise ProxyError(500, "ProgramTimeout", f"The program did not end within {cls.seconds} s.")
        return process.returncode, bytes(exchange.output)
    finally:
        kill([process.pid], signal.SIGKILL)
        exchange.close()
        running.discard(process.pid)


class Exchange:
    """The pipes of a running program: one thread serves them all, within bounds."""

    def __init__(self, command: str, process: Any, selector: Any, request: bytes, max_bytes: int) -> None:
        self.output = bytearray()  # a list of parts could have a part for each byte
        self._command = command
        self._process = process
        self._unsent = memoryview(request)
        self._max_bytes = max_bytes
        self._line = b""  # the unfinished line of stderr
        self._selector = selector
        self._selector.register(process.stdin, selectors.EVENT_WRITE, self._send)
        self._selector.register(process.stdout, selectors.EVENT_READ, self._keep)
        self._selector.register(process.stderr, selectors.EVENT_READ, self._log)
        os.set_blocking(process.stdin.fileno(), False)

    def move(self, seconds: float) -> bool:
        """Send and receive until the program has ended; return False if the time ends first."""
        deadline = time.monotonic() + seconds
        ended = 0.0
        while True:
            now = time.monotonic()
            is_open = bool(self._selector.get_map())
            if self._process.poll() is not None:
                ended = ended or now
                if not is_open or now > ended + REST_SECONDS:  # another process keeps a pipe open
                    return True
            elif now >= deadline:
                return False
            for key, _ in self._selector.select(POLL_SECONDS if is_open else POLL_SECONDS / 100):
                if not key.data(key.fd):
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()

    def close(self) -> None:
        """Close what is open, and wait for the end of a program that was killed."""
        log_lines(self._command, self._line)
        self._selector.close()
        for pipe in self._process.stdin, self._process.stdout, self._process.stderr:
            pipe.close()
        with suppress(TimeoutExpired):  # it belongs to another user, or hangs in the kernel
            self._process.wait(1)

    def _send(self, stdin: int) -> bool:
        with suppress(BrokenPipeError):  # a program need not read what it does not use
            self._unsent = self._unsent[os.write(stdin, self._unsent) :]
            return len(self._unsent) > 0
        return False

    def _keep(self, stdout: int) -> bool:
        data = os.read(stdout, CHUNK_BYTES)
        self.output += data
        if len(self.output) > self._max_bytes:
            raise ProxyError(413, "ResponseTooLarge", "The output exceeds CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES.")
        return data != b""

    def _log(self, stderr: int) -> bool:
        data = os.read(stderr, CHUNK_BYTES)
        self._line += data
        end = self._line.rfind(b"\n") + 1 or len(self._line) // CHUNK_BYTES * CHUNK_BYTES
        log_lines(self._command, self._line[:end])
        self._line = self._line[end:]
        return data != b""


def log_lines(command: str, lines: bytes) -> None:
    """Log lines of stderr. A control character in one could forge another line, or change a terminal."""
    for line in LINE.findall(lines):
        text = line.decode("utf-8", "backslashreplace").rstrip()
        text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
        if text:
            spiffproxy.logger.warning("%s stderr: %s", command, text)
