"""The commands on one table."""

from __future__ import annotations

from dataclasses import dataclass

from connector_postgres import statements as parts
from connector_postgres.command import PostgresCommand, TableCommand
from connector_postgres.errors import refuse
from connector_postgres.statements import Statement

OUT = ["returning", "as_objects"]


class SelectValues(TableCommand):
    """Return rows of a table, each as a list, or as an object with `"as_objects": true`.

    A `numeric` is a string, digit for digit; a script converts it before it calculates, as in `Decimal(row["amount"])`.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param table_name: `table` or `schema.table`
    :param schema: `{"columns": ["id", "name"]}`, and if you like `"where": [["id", ">", 7]]`,
        `"order_by": [["name", "desc"], ["id", "asc"]]`, `"limit": 10`, `"offset": 20`, `"as_objects": true`
    """

    def make_statement(self) -> Statement:
        schema = self.schema
        parts.check(schema, ["columns"], ["where", "order_by", "limit", "offset", "as_objects"])
        where, values = parts.make_where(schema.get("where", []))
        table, columns = parts.quote_table(self.table_name), parts.quote_all(schema["columns"], star=True)
        sql = f"SELECT {columns} FROM {table}{where}{parts.make_order(schema)}"
        return Statement(sql, [values], fetches=True, as_objects=schema.get("as_objects", False))


class InsertValues(TableCommand):
    """Insert rows into a table: all of them, or none.

    The result is the number of rows, or the columns in `returning`, each row as a list, or as an object with
    `"as_objects": true`. A `numeric` is a string, digit for digit; a script converts it: `Decimal(row["amount"])`.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param table_name: `table` or `schema.table`
    :param schema: `{"columns": ["id", "name"], "values": [[7, "Jane"], [8, "Joe"]]}`, and if you like
        `"on_conflict": {"columns": ["id"], "update": ["name"]}`, or `{"do": "nothing"}`, and `"returning": ["id"]`
    """

    def make_statement(self) -> Statement:
        parts.check(self.schema, ["columns", "values"], ["on_conflict", *OUT])
        columns, rows = self.schema["columns"], self.schema["values"]
        if not parts.is_list_of(lambda row: isinstance(row, list) and len(row) == len(columns), rows):
            raise refuse(f"schema's values is not a list of rows, each a list of {len(columns)} values, as columns has")
        places = ", ".join(f"${number}" for number, _ in enumerate(columns, 1))
        sql = f"INSERT INTO {parts.quote_table(self.table_name)} ({parts.quote_all(columns)}) VALUES ({places})"
        return self.make_change(sql + parts.make_conflict(self.schema), rows)


class UpdateValues(TableCommand):
    """Change values in rows of a table.

    The result is as that of InsertValues.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param table_name: `table` or `schema.table`
    :param schema: `{"set": {"name": "Jane"}, "where": [["id", "=", 7]]}`, or `"all_rows": true` in place of `where`,
        and if you like `"returning": ["id"]`, `"as_objects": true`
    """

    def make_statement(self) -> Statement:
        parts.check(self.schema, ["set"], ["where", "all_rows", *OUT])
        changes = self.schema["set"]
        where, values = parts.make_where(parts.require_where(self.schema), len(changes))
        places = ", ".join(f"{parts.quote(name)} = ${number}" for number, name in enumerate(changes, 1))
        sql = f"UPDATE {parts.quote_table(self.table_name)} SET {places}{where}"
        return self.make_change(sql, [[*changes.values(), *values]])


class DeleteValues(TableCommand):
    """Delete rows of a table.

    The result is as that of InsertValues.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param table_name: `table` or `schema.table`
    :param schema: `{"where": [["id", "=", 7]]}`, or `{"all_rows": true}`, and if you like `"returning": ["id"]`,
        `"as_objects": true`
    """

    def make_statement(self) -> Statement:
        parts.check(self.schema, [], ["where", "all_rows", *OUT])
        where, values = parts.make_where(parts.require_where(self.schema))
        return self.make_change(f"DELETE FROM {parts.quote_table(self.table_name)}{where}", [values])


class CreateTable(TableCommand):
    """Create a table, unless it exists.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param table_name: `table` or `schema.table`
    :param schema: `{"column_definitions": [{"name": "id", "type": "integer primary key"}]}`
    """

    def make_statement(self) -> Statement:
        parts.check(self.schema, ["column_definitions"], [])
        definitions = self.schema["column_definitions"]
        for one in definitions:
            parts.check(one, ["name", "type"], [], "a column definition")
        listed = ", ".join(f"{parts.quote(one['name'])} {one['type']}" for one in definitions)
        return Statement(f"CREATE TABLE IF NOT EXISTS {parts.quote_table(self.table_name)} ({listed})")


@dataclass(repr=False)
class DropTable(PostgresCommand):
    """Drop a table, if it exists.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param table_name: `table` or `schema.table`
    """

    database_connection_str: str
    table_name: str

    def make_statement(self) -> Statement:
        return Statement(f"DROP TABLE IF EXISTS {parts.quote_table(self.table_name)}")
