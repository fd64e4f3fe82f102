from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connector_postgres.command import PostgresCommand
from connector_postgres.statements import Statement, do_sql


@dataclass(repr=False)
class DoSQL(PostgresCommand):
    """Run one statement of SQL, with values bound to it.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param schema: `{"sql": "… WHERE id = %s", "values": [7], "fetch_results": true}`
    """

    database_connection_str: str
    schema: Any

    def make_statement(self) -> Statement:
        return do_sql(self.schema)
