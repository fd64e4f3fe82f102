"""What the commands share: a question to CoinGecko, and its answer, the numbers as they came."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from connector_http.commands.get_request_v2 import GetRequestV2
from spiffproxy_http.errors import RequestError
from spiffproxy_http.vendor import VendorCommand

from connector_coingecko.errors import COINGECKO, ERRORS
from connector_coingecko.parameters import check_key

_URL = "https://api.coingecko.com/api/v3"


class MarketCommand(VendorCommand):
    """Commands are dataclasses that take a key, which CoinGecko does not insist on.

    :param api_key: of a Demo or a Pro plan; without one, CoinGecko takes few calls
    """

    errors = ERRORS

    api_key: str | None

    @abstractmethod
    def make_question(self) -> tuple[str, dict[str, str]]:
        """Return the path and the query of what is asked; raise `RequestError`."""

    @abstractmethod
    def check_answer(self, answer: Any) -> None:
        """Raise `RequestError` where the answer is none, or has not what was asked for."""

    def run(self, config: Any, logs: list[str]) -> Any:
        url = str(config.get("CONNECTOR_PROXY_COINGECKO_URL") or _URL).rstrip("/")
        path, params = self.make_question()
        headers = {"Accept": "application/json"}
        key = check_key(self.api_key)
        if key:  # nothing in a key says of which kind it is, but each has a host of its own
            headers["x-cg-pro-api-key" if "pro-api" in url else "x-cg-demo-api-key"] = key
        answer = COINGECKO.ask(GetRequestV2(f"{url}/{path}", headers=headers, params=params), config, logs)
        self.check_answer(answer)
        return answer


def check_prices(answer: Any, ids: str, currencies: str) -> None:
    """Raise `RequestError` where one of the prices of the coins in the currencies is not there."""
    if not isinstance(answer, dict) or not all(isinstance(prices, dict) for prices in answer.values()):
        raise COINGECKO.refuse_answer()
    asked = [(coin.strip(), currency.strip()) for coin in ids.split(",") for currency in currencies.split(",")]
    missing = [f"{coin} in {name}" for coin, name in asked if answer.get(coin.lower(), {}).get(name.lower()) is None]
    if missing:
        hint = 'a coin goes by its id at CoinGecko, such as "bitcoin", and not by its symbol'
        raise RequestError("NoPrice", f"CoinGecko has no price of {', '.join(missing)[:500]}; {hint}", 404)


def check_market_data(answer: Any, date: str) -> None:
    """Raise `RequestError` where there is a coin, but no price of that day."""
    if not isinstance(answer, dict) or "id" not in answer:
        raise COINGECKO.refuse_answer()
    if not answer.get("market_data"):
        raise RequestError("NoPrice", f"CoinGecko has no price of {answer['id']} of {date.strip()}", 404)
