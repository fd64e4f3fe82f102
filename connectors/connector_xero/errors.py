"""The one exception of this connector."""

from __future__ import annotations


class XeroError(Exception):
    """A failure: the code that a boundary event catches, a message for the diagram's author, and an HTTP status.

    SpiffArena tries again on 429 and from 500 on, where the author has asked for that.
    """

    def __init__(self, error_code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.status = status
