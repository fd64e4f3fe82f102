from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connector_coingecko.market import MarketCommand, check_prices
from connector_coingecko.parameters import check_names


@dataclass(repr=False)
class GetPrice(MarketCommand):
    """Get the prices of coins as they are now.

    :param ids: CoinGecko's ids with commas between them: "bitcoin,ethereum"
    :param vs_currencies: with commas between them: "usd,eur"
    """

    ids: str
    vs_currencies: str
    api_key: str | None = None

    def make_query(self) -> tuple[str, dict[str, str]]:
        ids = check_names("ids", self.ids, "bitcoin,ethereum")
        currencies = check_names("vs_currencies", self.vs_currencies, "usd,eur")
        return "simple/price", {"ids": ",".join(ids), "vs_currencies": ",".join(currencies)}

    def check_result(self, result: Any) -> None:
        check_prices(result, self.ids, self.vs_currencies)
