from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from connector_xero.accounting import AccountingCommand
from connector_xero.invoice import make_invoice


@dataclass(repr=False)
class CreateInvoice(AccountingCommand):
    """Create an approved sales invoice of one line, due in a week.

    :param amount: a string such as "1234.50", with four decimals at most
    """

    resource = "Invoices"
    parameter_schemas: ClassVar[dict[str, Any]] = {"amount": {"type": ["string", "number"], "examples": ["1234.50"]}}

    access_token: Any
    description: str
    contact_name: str
    contact_email: str
    amount: str

    def make_request(self) -> dict[str, Any]:
        invoice = make_invoice(
            description=self.description,
            contact_name=self.contact_name,
            contact_email=self.contact_email,
            amount=self.amount,
        )
        # Xero accepts a PUT too, but a PUT may be sent twice; without unitdp it would keep two decimals
        return {"method": "POST", "params": {"unitdp": 4}, "json": {"Invoices": [invoice]}}
