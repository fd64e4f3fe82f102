from __future__ import annotations

from dataclasses import dataclass

from connector_postgres.command import PostgresCommand
from connector_postgres.statements import Statement, drop_table


@dataclass(repr=False)
class DropTable(PostgresCommand):
    """Drop a table, if it exists.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param table_name: `table` or `schema.table`
    """

    database_connection_str: str
    table_name: str

    def make_statement(self) -> Statement:
        return drop_table(self.table_name)
