from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connector_xero.accounting import AccountingCommand


@dataclass(repr=False)
class GetCurrencies(AccountingCommand):
    """List the currencies of the organisation."""

    resource = "Currencies"

    access_token: Any

    def make_request(self) -> dict[str, Any]:
        return {"method": "GET", "params": {"order": "Code ASC"}}
