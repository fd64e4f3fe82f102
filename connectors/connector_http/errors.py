"""The one exception of this connector."""

from __future__ import annotations


class RequestError(Exception):
    """A request without a usable answer: the code that a boundary event catches, and a message for its author.

    `http_status` tells SpiffArena whether another try may help: 500 says so, 400 and its like do not.
    """

    def __init__(self, error_code: str, message: str, http_status: int = 500) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.http_status = http_status
