"""The one exception of this connector, and the codes that its commands answer with."""

from __future__ import annotations

from connector_http.codes import NO_ANSWER

ERRORS = {
    **NO_ANSWER,
    "ValueError": "a parameter is not what it should be; the message names it",
    "NoPrice": "CoinGecko has no price of a coin, in that currency or of that day",
    "HttpError400": "CoinGecko does not take the request; the message has its words",
    "HttpError401": "the API key is not valid, or its plan does not include this",
    "HttpError403": "CoinGecko does not let the proxy in",
    "HttpError404": "there is no such coin",
    "HttpError429": "there were more calls than CoinGecko takes",
    "HttpError500": "CoinGecko has a fault",
    "UnexpectedAnswer": "the answer is not what CoinGecko documents",
}


class CoinGeckoError(Exception):
    """A failure: the code that a boundary event catches, a message for the diagram's author, and an HTTP status.

    SpiffArena tries again on 429 and from 500 on, where the author has asked for that.
    """

    def __init__(self, error_code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.status = status
