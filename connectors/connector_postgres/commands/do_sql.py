from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connector_postgres import statements as parts
from connector_postgres.command import PostgresCommand
from connector_postgres.errors import refuse
from connector_postgres.statements import Statement


@dataclass(repr=False)
class DoSQL(PostgresCommand):
    """Run one statement of SQL, with values bound to it.

    The result is the number of rows, or with `"fetch_results": true` the rows, each as a list, or as an object with
    `"as_objects": true`. A `numeric` is a string, digit for digit; a script converts it: `Decimal(row["amount"])`.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param schema: `{"sql": "… WHERE id = %s", "values": [7], "fetch_results": true}`, and `"autocommit": true` for
        what cannot run in a transaction, such as `VACUUM`
    """

    database_connection_str: str
    schema: dict[str, Any]

    def make_statement(self) -> Statement:
        parts.check(self.schema, ["sql"], ["values", "fetch_results", "as_objects", "autocommit"])
        values = self.schema.get("values")
        row: list[Any] = []
        if not isinstance(values, (list, dict, type(None))):
            raise refuse("schema's values is neither a list, for %s, nor an object, for %(name)s")
        sql = self.schema["sql"]
        if values:
            sql, row = parts.number_placeholders(sql, values)
        as_objects = self.schema.get("as_objects", False)
        fetches = self.schema.get("fetch_results", as_objects)
        if as_objects and not fetches:
            raise refuse("schema's as_objects needs fetch_results to be true")
        return Statement(sql, [row], fetches, as_objects, self.schema.get("autocommit", False), guesses=True)
