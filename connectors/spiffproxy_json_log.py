"""The log as JSON: what is printed becomes lines of it, too. Imported when the built-in server logs as JSON."""

from __future__ import annotations

import io
import sys
import threading
import time

from spiffproxy import log_frames, write_line


def capture_output() -> None:
    """Write what is printed, and warnings, as lines of the log; an exception that nobody handles without its text."""
    sys.stdout = sys.stderr = LineStream()
    sys.unraisablehook = lambda failure: log_frames(
        failure.exc_value or failure.exc_type(), "%s in %r", failure.exc_type.__name__, failure.object
    )


class LineStream(io.TextIOBase):
    """A text stream whose lines become lines of the log. Each thread has a line of its own that is not ended yet."""

    def __init__(self) -> None:
        self._local = threading.local()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, rest = (getattr(self._local, "rest", "") + text).split("\n")
        self._local.rest = rest
        for line in lines:
            write_line("json", time.time(), "INFO", line)
        return len(text)
