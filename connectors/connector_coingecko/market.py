"""The base class of the commands. The numbers of CoinGecko are returned as they came."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from spiffproxy_http import HttpCommand, RequestError

from connector_coingecko.errors import COINGECKO, ERRORS
from connector_coingecko.parameters import check_key

if TYPE_CHECKING:
    from spiffproxy_http import Client

URL = "https://api.coingecko.com/api/v3"


class MarketCommand(HttpCommand):
    """Commands are dataclasses that accept a key, which CoinGecko does not require.

    :param api_key: of a Demo or a Pro plan; without a key, CoinGecko allows few calls
    """

    errors = ERRORS
    checks_parameters = True
    parameter_schemas: ClassVar[dict[str, Any]] = {
        "ids": {"examples": ["bitcoin,ethereum"]},
        "vs_currencies": {"examples": ["usd,eur"]},
        "id": {"examples": ["bitcoin"]},
        "date": {"examples": ["30-12-2025"]},
    }

    api_key: str | None

    @abstractmethod
    def make_query(self) -> tuple[str, dict[str, str]]:
        """Return the path and the query of the request; raise `RequestError`."""

    @abstractmethod
    def check_result(self, result: Any) -> None:
        """Raise `RequestError` if the response is not as documented, or a price is missing from it."""

    def run(self, client: Client) -> Any:
        url = str(client.config.get("CONNECTOR_PROXY_COINGECKO_URL") or URL).rstrip("/")
        path, params = self.make_query()
        headers = {"Accept": "application/json"}
        key = check_key(self.api_key)
        if key:  # a key does not show its kind, but each kind has its own host
            headers["x-cg-pro-api-key" if "pro-api" in url else "x-cg-demo-api-key"] = key
        result = COINGECKO.send(client, "GET", f"{url}/{path}", params=params, headers=headers)
        self.check_result(result)
        return result


def check_prices(result: Any, ids: str, currencies: str) -> None:
    """Raise `RequestError` if the price of one of the coins in one of the currencies is missing."""
    if not isinstance(result, dict) or not all(isinstance(prices, dict) for prices in result.values()):
        raise COINGECKO.unexpected_response()
    missing = []
    for coin in ids.split(","):
        prices = result.get(coin.strip().lower(), {})
        for currency in currencies.split(","):
            if prices.get(currency.strip().lower()) is None:
                missing.append(f"{coin.strip()} in {currency.strip()}")
    if missing:
        hint = 'Use the id of a coin at CoinGecko, such as "bitcoin", not its symbol'
        raise RequestError("NoPrice", f"CoinGecko has no price of {', '.join(missing)[:500]}. {hint}", 404)


def check_market_data(result: Any, date: str) -> None:
    """Raise `RequestError` if there is a coin, but no price of that day."""
    if not isinstance(result, dict) or "id" not in result:
        raise COINGECKO.unexpected_response()
    if not result.get("market_data"):
        raise RequestError("NoPrice", f"CoinGecko has no price of {result['id']} of {date.strip()}", 404)
