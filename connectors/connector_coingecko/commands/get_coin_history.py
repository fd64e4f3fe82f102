from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connector_coingecko.market import MarketCommand, check_market_data
from connector_coingecko.parameters import check_date, check_id


@dataclass(repr=False)
class GetCoinHistory(MarketCommand):
    """Get what a coin was worth on a day, at 00:00 UTC.

    :param id: CoinGecko's id of the coin: "bitcoin"
    :param date: dd-mm-yyyy; without a paid plan, within 365 days
    """

    id: str
    date: str
    api_key: str | None = None

    def make_query(self) -> tuple[str, dict[str, str]]:
        # localization would be the coin's name in some thirty languages
        return f"coins/{check_id(self.id)}/history", {"date": check_date(self.date), "localization": "false"}

    def check_result(self, result: Any) -> None:
        check_market_data(result, self.date)
