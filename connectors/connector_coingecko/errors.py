"""The error codes and their meanings, and what CoinGecko says about a request that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spiffproxy_http.errors import NO_RESPONSE
from spiffproxy_http.vendor import Vendor, advise_retry, code_of_status, read_json

if TYPE_CHECKING:
    from spiffproxy_http import Response

ERRORS = {
    **NO_RESPONSE,
    "NoPrice": "CoinGecko has no price of a coin, in that currency or of that day",
    "HttpError400": "CoinGecko does not take the request; the message has its words",
    "HttpError401": "the API key is not valid, or its plan does not include this",
    "HttpError403": "CoinGecko does not let the proxy in",
    "HttpError404": "there is no such coin",
    "HttpError429": "there were more calls than CoinGecko takes",
    "HttpError500": "CoinGecko has a fault",
    "UnexpectedAnswer": "the response is not what CoinGecko documents",
}
PRO_KEY = (
    "a Pro key is for CONNECTOR_PROXY_COINGECKO_URL=https://pro-api.coingecko.com/api/v3, a Demo key for the default"
)


def explain(response: Response) -> tuple[str, list[str]]:
    """Return the code of an error response, CoinGecko's words or what the code means, and what to do."""
    code = code_of_status(response.status, ERRORS)
    words = [read_message(read_json(response)) or ERRORS[code]]
    if response.status == 401:
        words.append(PRO_KEY)
    if response.status == 429:
        words.append(advise_retry(response))
    return code, words


def read_message(body: Any) -> str:
    """Return the message of an error: a string in `error`, or the `error_message` in `status`, also within `error`."""
    for name in ("error", "status", "error_message"):
        if isinstance(body, dict):
            body = body.get(name, body)
    return body[:1000] if isinstance(body, str) else ""


COINGECKO = Vendor("CoinGecko", "; is CONNECTOR_PROXY_COINGECKO_URL right?", explain)
