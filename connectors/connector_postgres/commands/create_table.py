from __future__ import annotations

from connector_postgres.command import TableCommand
from connector_postgres.statements import Statement, create_table


class CreateTable(TableCommand):
    """Create a table, unless it exists.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param table_name: `table` or `schema.table`
    :param schema: `{"column_definitions": [{"name": "id", "type": "integer primary key"}]}`
    """

    def make_statement(self) -> Statement:
        return create_table(self.table_name, self.schema)
