"""The prices in an answer: CoinGecko leaves out what it does not know, and calls that a success."""

from __future__ import annotations

from typing import Any

from connector_http.errors import RequestError

from connector_coingecko.errors import COINGECKO


def check_prices(answer: Any, ids: str, currencies: str) -> None:
    """Raise `RequestError` where one of the prices of the coins in the currencies is not there."""
    if not isinstance(answer, dict) or not all(isinstance(prices, dict) for prices in answer.values()):
        raise COINGECKO.refuse_answer()
    known = {
        (coin.lower(), currency.lower())
        for coin, prices in answer.items()
        for currency, price in prices.items()
        if price is not None
    }
    asked = [(coin.strip(), currency.strip()) for coin in ids.split(",") for currency in currencies.split(",")]
    missing = [f"{coin} in {currency}" for coin, currency in asked if (coin.lower(), currency.lower()) not in known]
    if missing:
        hint = 'a coin goes by its id at CoinGecko, such as "bitcoin", and not by its symbol'
        raise RequestError("NoPrice", f"CoinGecko has no price of {', '.join(missing)[:500]}; {hint}", 404)


def check_market_data(answer: Any, date: str) -> None:
    """Raise `RequestError` where there is a coin, but no price of that day."""
    if not isinstance(answer, dict) or "id" not in answer:
        raise COINGECKO.refuse_answer()
    if not answer.get("market_data"):
        raise RequestError("NoPrice", f"CoinGecko has no price of {answer['id']} of {date.strip()}", 404)
