"""What the codes mean, and what CoinGecko says of a request that failed, in its own words where it has any."""

from __future__ import annotations

from typing import Any

from spiffproxy_http.errors import NO_RESPONSE
from spiffproxy_http.vendor import Refusal, Vendor

ERRORS = {
    **NO_RESPONSE,
    "NoPrice": "CoinGecko has no price of a coin, in that currency or of that day",
    "HttpError400": "CoinGecko does not take the request; the message has its words",
    "HttpError401": "the API key is not valid, or its plan does not include this",
    "HttpError403": "CoinGecko does not let the proxy in",
    "HttpError404": "there is no such coin",
    "HttpError429": "there were more calls than CoinGecko takes",
    "HttpError500": "CoinGecko has a fault",
    "UnexpectedAnswer": "the answer is not what CoinGecko documents",
}
_PRO = "a Pro key is for CONNECTOR_PROXY_COINGECKO_URL=https://pro-api.coingecko.com/api/v3, a Demo key for the default"


def _read_refusal(refusal: Refusal) -> tuple[str, list[str]]:
    code = refusal.find_code(ERRORS)
    more = {401: _PRO, 429: refusal.say_when()}
    return code, [_read_words(refusal.body) or ERRORS[code], more.get(refusal.status, "")]


def _read_words(body: Any) -> str:
    """Return what is wrong: `{"error": text}`, or `{"status": {"error_message": text}}`, by itself or as the error."""
    for name in ("error", "status", "error_message"):
        if isinstance(body, dict):
            body = body.get(name, body)
    return body[:1000] if isinstance(body, str) else ""


COINGECKO = Vendor("CoinGecko", "; is CONNECTOR_PROXY_COINGECKO_URL right?", _read_refusal)
