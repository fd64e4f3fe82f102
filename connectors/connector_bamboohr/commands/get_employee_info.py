from __future__ import annotations

from dataclasses import dataclass

from connector_bamboohr.employee import EmployeeCommand, check_field_names


@dataclass(repr=False)
class GetEmployeeInfo(EmployeeCommand):
    """Get what BambooHR stores about an employee.

    :param fields: BambooHR's names with commas between them, such as "firstName,jobTitle"
    """

    api_key: str
    subdomain: str
    employee_id: str
    fields: str

    def list_fields(self) -> str:
        return check_field_names(self.fields)
