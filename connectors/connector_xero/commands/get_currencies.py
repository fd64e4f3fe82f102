from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connector_http.commands.get_request_v2 import GetRequestV2

from connector_xero.accounting import AccountingCommand

if TYPE_CHECKING:
    from spiffproxy_http.request import RequestV2


@dataclass(repr=False)
class GetCurrencies(AccountingCommand):
    """List the currencies of the organisation."""

    resource = "Currencies"

    access_token: Any

    def make_request(self, url: str) -> RequestV2:
        return GetRequestV2(url, params={"order": "Code ASC"})
