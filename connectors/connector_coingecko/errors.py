"""The codes that the commands answer with."""

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
