from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connector_bamboohr.employee import EmployeeCommand, add_amount
from connector_bamboohr.errors import PAY_RATE_ERRORS

if TYPE_CHECKING:
    from spiffproxy_http import Client


@dataclass(repr=False)
class GetPayRate(EmployeeCommand):
    """Get an employee's pay rate of today, with its amount and currency."""

    errors = PAY_RATE_ERRORS

    api_key: str
    subdomain: str
    employee_id: str

    def list_fields(self) -> str:
        return "payRate"

    def run(self, client: Client) -> dict[str, Any]:
        return add_amount(super().run(client))
