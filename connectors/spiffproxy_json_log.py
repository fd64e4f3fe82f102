"""The log as JSON: what is printed becomes lines of it, too. Imported when the built-in server logs as JSON."""

from __future__ import annotations

import io
import sys
import threading
import time
from typing import Any

from spiffproxy import write_line

MAX_LINE = 8 * 1024  # characters that are kept until the line ends


def capture_output() -> None:
    """Write what is printed, warnings included, as lines of the log."""
    sys.stdout = sys.stderr = LineStream()


class LineStream(io.TextIOBase):
    """A text stream whose lines become lines of the log. Each thread has a line of its own that is not ended yet."""

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
    """What takes the bytes of a `LineStream`, in UTF-8."""

    def __init__(self, stream: LineStream) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        self._stream.write(bytes(data).decode(errors="backslashreplace"))
        return len(data)
