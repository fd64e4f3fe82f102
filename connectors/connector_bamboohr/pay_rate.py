"""The pay rate: a text such as "65000.00 USD", taken apart."""

from __future__ import annotations

import re
from typing import Any

from connector_http.errors import RequestError

from connector_bamboohr.errors import BAMBOOHR


def add_amount(employee: dict[str, Any]) -> dict[str, Any]:
    """Return the employee with `amount` and `currency`, both texts, digit for digit; raise `RequestError`."""
    pay_rate = employee.get("payRate")
    if not pay_rate:  # BambooHR leaves out what one may not see
        message = "BambooHR has no pay rate of this employee, or whose key it is may not see it"
        raise RequestError("NoPayRate", message, 404)
    match = re.fullmatch(r"\s*(-?[0-9][0-9.,]*)\s+([A-Z]{3})\s*", pay_rate) if isinstance(pay_rate, str) else None
    if not match:
        raise BAMBOOHR.refuse_answer(': the pay rate is not an amount and a currency, such as "65000.00 USD"')
    return {**employee, "amount": match[1], "currency": match[2]}
