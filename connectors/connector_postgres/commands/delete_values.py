from __future__ import annotations

from connector_postgres.command import TableCommand
from connector_postgres.statements import Statement, delete_values


class DeleteValues(TableCommand):
    """Delete rows of a table.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param table_name: `table` or `schema.table`
    :param schema: `{"where": [["id", "=", 7]]}`
    """

    def make_statement(self) -> Statement:
        return delete_values(self.table_name, self.schema)
