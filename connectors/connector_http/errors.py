"""The one exception of this connector, and of those that send their requests through it."""

from __future__ import annotations


class RequestError(Exception):
    """A request without a usable answer: the code that a boundary event catches, and a message for its author.

    `http_status` tells SpiffArena whether another try may help: 429, and 500 and above, say so.
    """

    def __init__(self, error_code: str, message: str, http_status: int = 500) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.http_status = http_status
