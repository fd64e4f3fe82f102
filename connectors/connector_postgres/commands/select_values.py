from __future__ import annotations

from connector_postgres.command import TableCommand
from connector_postgres.statements import Statement, select_values


class SelectValues(TableCommand):
    """Return rows of a table, each as a list.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param table_name: `table` or `schema.table`
    :param schema: `{"columns": ["id", "name"], "where": [["id", "=", 7]]}`
    """

    def make_statement(self) -> Statement:
        return select_values(self.table_name, self.schema)
