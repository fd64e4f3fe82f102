"""The base class of the commands, which read fields of an employee."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from spiffproxy_http import HttpCommand, RequestError
from spiffproxy_http.errors import invalid_parameter
from spiffproxy_http.vendor import invalid_value

from connector_bamboohr.errors import BAMBOOHR, ERRORS

if TYPE_CHECKING:
    from spiffproxy_http import Client

GATEWAY = "https://api.bamboohr.com/api/gateway.php"


class EmployeeCommand(HttpCommand):
    """Commands are dataclasses that accept these parameters.

    :param subdomain: the "mycompany" of mycompany.bamboohr.com
    :param employee_id: BambooHR's number of the employee, or "0" for the owner of the key
    """

    errors = ERRORS
    checks_parameters = True
    parameter_schemas: ClassVar[dict[str, Any]] = {
        "subdomain": {"examples": ["mycompany"]},
        "employee_id": {"type": ["string", "integer"], "examples": ["123"]},
        "fields": {"examples": ["firstName,lastName"]},
    }

    api_key: str
    subdomain: str
    employee_id: str

    @abstractmethod
    def list_fields(self) -> str:
        """Return the names of the fields, with commas between them; raise `RequestError`."""

    def run(self, client: Client) -> dict[str, Any]:
        """Return the employee's fields; raise `RequestError`."""
        key = check("api_key", self.api_key, r"[!-9;-~]+", "an API key of BambooHR", secret=True)
        employee = BAMBOOHR.send(
            client,
            "GET",
            self._make_url(str(client.config.get("CONNECTOR_PROXY_BAMBOOHR_URL") or GATEWAY)),
            headers={"Accept": "application/json"},  # BambooHR would respond with XML
            params={"fields": self.list_fields(), "onlyCurrent": "true"},  # no rate of pay that begins next month
            basic_auth=(key, "x"),  # any password will do
        )
        if not isinstance(employee, dict) or "id" not in employee:
            raise BAMBOOHR.unexpected_response()
        return employee

    def _make_url(self, gateway: str) -> str:
        # one label of a name (RFC 1123 section 2.1), so that nothing else gets into the path
        label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
        subdomain = check("subdomain", self.subdomain, label, 'the "mycompany" of mycompany.bamboohr.com')
        number = check(
            "employee_id",
            str(self.employee_id),
            "[0-9]{1,20}",
            'a number, or "0" for the owner of the key',
        )
        return f"{gateway.rstrip('/')}/{subdomain}/v1/employees/{number}"


def check(parameter: str, value: str, pattern: str, expected: str, *, secret: bool = False) -> str:
    """Return the value without the blanks around it; raise `RequestError` if it does not match the pattern."""
    if re.fullmatch(pattern, value.strip()):
        return value.strip()
    if secret:
        problem = "invalid" if value.strip() else "empty"
        raise invalid_parameter(f"{parameter} is {problem}. Use {expected}")
    raise invalid_value(parameter, value, expected)


def check_field_names(fields: str) -> str:
    """Return the names of fields as BambooHR expects them; raise `RequestError`."""
    names = fields.split(",")
    if not all(name.strip() for name in names):
        raise invalid_value("fields", fields, 'names of fields with commas between them, such as "firstName,lastName"')
    return ",".join(name.strip() for name in names)


def add_amount(employee: dict[str, Any]) -> dict[str, Any]:
    """Return the employee with `amount` and `currency`, two strings, digit for digit; raise `RequestError`."""
    pay_rate = employee.get("payRate")
    if not pay_rate:  # BambooHR leaves out what the owner of the key may not see
        message = "BambooHR has no pay rate of this employee, or the owner of the key may not see it"
        raise RequestError("NoPayRate", message, 404)
    match = re.fullmatch(r"\s*(-?[0-9][0-9.,]*)\s+([A-Z]{3})\s*", pay_rate) if isinstance(pay_rate, str) else None
    if not match:
        raise BAMBOOHR.unexpected_response(': the pay rate is not an amount and a currency, such as "65000.00 USD"')
    return {**employee, "amount": match[1], "currency": match[2]}
