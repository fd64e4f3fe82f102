"""The error codes and their meanings, and what CoinGecko says about a request that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spiffproxy_http.errors import NO_RESPONSE
from spiffproxy_http.vendor import Vendor, advise_retry, code_of_status, read_json

if TYPE_CHECKING:
    from spiffproxy_http import Response

ERRORS = {
    **NO_RESPONSE,
    "NoPrice": "CoinGecko has no price of a coin, in that currency or of that day; correct what the message names",
    "HttpError400": "CoinGecko refuses the request; the message has CoinGecko's words",
    "HttpError401": "the API key is not valid, or its plan does not include this; use another key",
    "HttpError403": "CoinGecko blocks the proxy; ask the operator of the proxy",
    "HttpError404": "there is no such coin; correct the id",
    "HttpError429": "there were too many calls; wait before you try again",
    "HttpError500": "CoinGecko has a fault; try again",
    "UnexpectedAnswer": "the response is not what CoinGecko documents; ask the operator of the proxy",
}
PRO_KEY = "a Pro key needs CONNECTOR_PROXY_COINGECKO_URL=https://pro-api.coingecko.com/api/v3, a Demo key the default"


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


COINGECKO = Vendor("CoinGecko", ". Check CONNECTOR_PROXY_COINGECKO_URL", explain)
