from __future__ import annotations

from connector_postgres.command import TableCommand
from connector_postgres.statements import Statement, update_values


class UpdateValues(TableCommand):
    """Change values in rows of a table.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param table_name: `table` or `schema.table`
    :param schema: `{"set": {"name": "Jane"}, "where": [["id", "=", 7]]}`
    """

    def make_statement(self) -> Statement:
        return update_values(self.table_name, self.schema)
