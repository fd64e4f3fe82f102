"""The invoice, as connector-xero creates it: one line, approved, due in a week."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

from spiffproxy_http.vendor import invalid_value

DAYS_UNTIL_DUE = 7


def make_invoice(*, description: str, contact_name: str, contact_email: str, amount: Any) -> dict[str, Any]:
    """Return a sales invoice as the accounting API expects it; raise `RequestError` that names the parameter."""
    today = date.today()
    return {
        "Type": "ACCREC",
        "Contact": {
            "Name": contact_name,
            "EmailAddress": contact_email,
        },
        "Date": today.isoformat(),
        "DueDate": (today + timedelta(days=DAYS_UNTIL_DUE)).isoformat(),
        "LineItems": [
            {
                "Description": description,
                "Quantity": 1,
                "UnitAmount": format_amount(amount),
                "AccountCode": "400",
                "TaxType": "NONE",
            }
        ],
        "Reference": "Created by SpiffWorkflow",
        "Status": "AUTHORISED",
    }


def format_amount(amount: Any) -> str:
    """Return the amount as a string, which Xero accepts too: a string keeps every digit."""
    text = f"{amount:.4f}" if isinstance(amount, float) else str(amount).strip()  # Xero keeps four decimals
    if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,4})?", text):
        raise invalid_value("amount", text, 'a number such as "1234.50", with four decimals at most')
    return text
