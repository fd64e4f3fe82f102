from __future__ import annotations

from connector_postgres.command import TableCommand
from connector_postgres.statements import Statement, insert_values


class InsertValues(TableCommand):
    """Insert rows into a table: all of them, or none.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param table_name: `table` or `schema.table`
    :param schema: `{"columns": ["id", "name"], "values": [[7, "Jane"], [8, "Joe"]]}`
    """

    def make_statement(self) -> Statement:
        return insert_values(self.table_name, self.schema)
