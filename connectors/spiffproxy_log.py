"""The log: whole lines, as text or JSON, even if a connector configures `logging`, or the pipe is full.

Without this file the proxy logs with `logging` alone.
"""

from __future__ import annotations

import io
import json
import logging
import os
import select
import sys
import threading
import time
from contextlib import suppress
from typing import Any, Callable

import spiffproxy
from spiffproxy import quote_fields

MAX_LINE = 8 * 1024  # characters of a line that has not ended; a longer line is split


def start(log_format: str) -> Callable[[dict[str, Any]], None]:
    """Log to stderr. The proxy's own lines have a logger that connectors do not reach when they configure `logging`.

    Returns the function that logs a request of the built-in server. With "json", printed lines are logged, too.
    """
    handler = LineHandler(log_format)
    handler.setFormatter(logging.Formatter())  # the message, and the traceback of an exception
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    logger = logging.Logger("spiffproxy", logging.INFO)
    logger.manager = logging.Manager(logger)  # type: ignore[arg-type] # logging.disable() changes the usual manager
    logger.addHandler(handler)
    spiffproxy.logger = logger
    if log_format == "json":
        sys.stdout = sys.stderr = LineStream()
    return handler.log_request


class LineHandler(logging.Handler):
    """Writes each record of `logging` as one line."""

    def __init__(self, log_format: str) -> None:
        super().__init__()
        self._log_format = log_format

    def emit(self, record: logging.LogRecord) -> None:
        write_line(self._log_format, record.created, record.levelname, self.format(record))

    def log_request(self, fields: dict[str, Any]) -> None:
        """Write the line of a request. A record of `logging` would cost 25 µs."""
        quoted = quote_fields(fields)
        words = [f"{value} ms" if name == "milliseconds" else str(value) for name, value in quoted.items()]
        write_line(self._log_format, time.time(), "INFO", " ".join(words), quoted)


def write_line(log_format: str, time_of_line: float, level: str, message: str, fields: Any = None) -> None:
    """Write a line to stderr as a whole, as text, or as a JSON object of the fields instead of the message."""
    milliseconds = int(time_of_line % 1 * 1000)
    if log_format == "json":
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_of_line))
        line = json.dumps({"time": f"{when}.{milliseconds:03}Z", "level": level, **(fields or {"message": message})})
    else:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_of_line))
        line = f"{when},{milliseconds:03} {level} {message}"
    data = f"{line}\n".encode("utf-8", "backslashreplace")
    with write_lock, suppress(OSError):  # the reader has closed the pipe
        while data:
            try:
                data = data[os.write(2, data) :]
            except BlockingIOError:  # stderr was made non-blocking, and is full
                select.select([], [2], [])


write_lock = threading.Lock()


def renew_lock() -> None:
    """Create the lock again in a process that a command forks: a thread of the parent may hold the old one."""
    global write_lock
    write_lock = threading.Lock()


os.register_at_fork(after_in_child=renew_lock)


class LineStream(io.TextIOBase):
    """A text stream whose lines become lines of the log. Each thread has its own unfinished line."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self) -> None:
        self._local = threading.local()
        self.buffer = LineBuffer(self)

    def writable(self) -> bool:
        return True

    def reconfigure(self, **_: object) -> None:
        """Change nothing: the log is in UTF-8."""

    def fileno(self) -> int:
        return 2  # where a child process writes to

    def write(self, text: str) -> int:
        *lines, rest = (getattr(self._local, "rest", "") + text).split("\n")
        if len(rest) > MAX_LINE:
            lines.append(rest)
            rest = ""
        self._local.rest = rest
        for line in lines:
            write_line("json", time.time(), "INFO", line)
        return len(text)


class LineBuffer(io.RawIOBase):
    """The `buffer` of a `LineStream`, which accepts bytes in UTF-8."""

    def __init__(self, stream: LineStream) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        self._stream.write(bytes(data).decode(errors="backslashreplace"))
        return len(data)
