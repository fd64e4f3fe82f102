from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connector_http.commands.post_request_v2 import PostRequestV2

from connector_xero.accounting import AccountingCommand
from connector_xero.invoice import make_invoice

if TYPE_CHECKING:
    from spiffproxy_http.request import RequestV2


@dataclass(repr=False)
class CreateInvoice(AccountingCommand):
    """Create an approved sales invoice of one line, due in a week.

    :param amount: a text such as "1234.50", with four decimals at most
    """

    resource = "Invoices"

    access_token: Any
    description: str
    contact_name: str
    contact_email: str
    amount: str

    def make_request(self, url: str) -> RequestV2:
        invoice = make_invoice(
            description=self.description,
            contact_name=self.contact_name,
            contact_email=self.contact_email,
            amount=self.amount,
        )
        # Xero takes a PUT too, but a PUT may be sent twice; without unitdp it would keep two decimals
        return PostRequestV2(f"{url}?unitdp=4", data={"Invoices": [invoice]})
