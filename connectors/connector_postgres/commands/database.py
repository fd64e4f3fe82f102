"""The commands: each makes a statement of its `schema`, which is run within the time."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from spiffproxy_http.command import error_result, result
from spiffproxy_parameters import check_parameters
from spiffworkflow_connector_command.command_interface import ConnectorCommand

from connector_postgres import requires
from connector_postgres.errors import ERRORS, PostgresError, refuse

# a type is not a value: words, and numbers in brackets, as in numeric(10, 2)[] or timestamp(3) with time zone not null
TYPE = re.compile(r"[a-z_][a-z0-9_.]*([ ]+[a-z0-9_.]+|[ ]*\([0-9, ]*\)|[ ]*\[[0-9]*\])*", re.IGNORECASE)
PLACEHOLDER = re.compile(r"%(?:%|s|\(([^)]*)\)s)")  # as in psycopg: %s, %(name)s, and %% for a percent sign
COMPARISONS = ["=", "!=", "<>", "<", "<=", ">", ">=", "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"]
OPERATORS = {**{word: f"{word} ?" for word in COMPARISONS}, "IN": "= ANY ?", "NOT IN": "<> ALL ?"}
NULL_TESTS = {"=": "IS NULL", "IS": "IS NULL", "!=": "IS NOT NULL", "<>": "IS NOT NULL", "IS NOT": "IS NOT NULL"}
PART = r'"(?:[^"]|"")+"|[^".]+'  # of the name of a table
# a value is like its example if it has the same type, and so have the items of a list
EXAMPLES: dict[str, Any] = {
    **{key: ["id", "name"] for key in ("columns", "returning", "update")},
    **dict.fromkeys(["as_objects", "fetch_results", "autocommit"], True),
    **dict.fromkeys(["limit", "offset"], 10),
    "name": "id",
    "type": "numeric(10, 2) not null",
    "column_definitions": [{"name": "id", "type": "integer"}],
    "order_by": [["created", "desc"], ["id", "asc"]],
    "set": {"name": "Jane"},
    "do": "nothing",
    "sql": "SELECT 1",
}
OUT = ["returning", "as_objects"]


@dataclass(repr=False)
class PostgresCommand(ConnectorCommand):
    """A version 2 command on a database.

    :param database_connection_str: such as `postgresql://user:password@host/database`
    :param table_name: `table` or `schema.table`
    """

    database_connection_str: str
    errors = ERRORS

    @abstractmethod
    def make_statement(self) -> tuple[str, list[list[Any]], bool]:
        """Return SQL with $1, $2, … for values, the rows of values that it runs for, and whether to return its rows."""

    def execute(self, config: Any, task_data: Any) -> Any:
        """Return rows, or how many were changed, and an `http_status` by which SpiffArena knows what to do."""
        try:
            check_parameters(self, refuse)
            sql, rows, fetches = self.make_statement()
            from connector_postgres.session import Session  # only now: the connector is listed without psycopg

            session = Session(self.database_connection_str, getattr(self, "schema", {}), config)
            return result(session.run(sql, rows, fetches), [])
        except ImportError:
            message = f"psycopg cannot be imported in the proxy: {requires['psycopg']}"
            return error_result(PostgresError("connector_unavailable", message), [])
        except PostgresError as error:
            return error_result(error, [])


@dataclass(repr=False)
class TableCommand(PostgresCommand):
    """A command on a table and on what `schema` says."""

    table_name: str
    schema: dict[str, Any]

    def make_change(self, sql: str, rows: list[list[Any]]) -> Any:
        """Return a statement whose result is the number of rows, or the columns in `returning`."""
        returning = self.schema.get("returning", [])
        return (f"{sql} RETURNING {quote(*returning)}" if returning else sql), rows, bool(returning)


class SelectValues(TableCommand):
    """Return rows of a table, each as a list, or as an object with `"as_objects": true`.

    A `numeric` is a string, digit for digit; a script converts it before it calculates, as in `Decimal(row["amount"])`.

    :param schema: `{"columns": ["id"], "where": [["n", ">", 7]], "order_by": [["n", "desc"]], "limit": 9, "offset": 9}`
    """

    def make_statement(self) -> Any:
        check(self.schema, ["columns"], ["where", "order_by", "limit", "offset", "as_objects"])
        where, values = make_where(self.schema)
        sql = f"SELECT {quote(*self.schema['columns'])} FROM {quote_table(self.table_name)}{where}"
        return sql + make_order(self.schema), [values], True


class InsertValues(TableCommand):
    """Insert rows into a table: all of them, or none.

    The result is the number of rows, or with `returning` these columns, as SelectValues returns rows.

    :param schema: `{"columns": ["id", "name"], "values": [[7, "Jane"], [8, "Joe"]], "returning": ["id"]}`, and
        `"on_conflict": {"columns": ["id"], "update": ["name"]}` or `{"do": "nothing"}`
    """

    def make_statement(self) -> Any:
        check(self.schema, ["columns", "values"], ["on_conflict", *OUT])
        columns, rows = self.schema["columns"], self.schema["values"]
        if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
            raise refuse(f"schema's values is not a list of rows, each a list of {len(columns)} values, as columns has")
        places = ", ".join(f"${number}" for number, _ in enumerate(columns, 1))
        sql = f"INSERT INTO {quote_table(self.table_name)} ({quote(*columns)}) VALUES ({places})"
        return self.make_change(sql + make_conflict(self.schema), rows)


class UpdateValues(TableCommand):
    """Change values in rows of a table, with a result as that of InsertValues.

    :param schema: `{"set": {"name": "Jane"}, "where": [["id", "=", 7]], "returning": ["id"]}`, or `"all_rows": true`
    """

    def make_statement(self) -> Any:
        check(self.schema, ["set"], ["where", "all_rows", *OUT])
        changes = self.schema["set"]
        where, values = make_where(self.schema, len(changes), is_required=True)
        places = ", ".join(f"{quote(name)} = ${number}" for number, name in enumerate(changes, 1))
        sql = f"UPDATE {quote_table(self.table_name)} SET {places}{where}"
        return self.make_change(sql, [[*changes.values(), *values]])


class DeleteValues(TableCommand):
    """Delete rows of a table, with a result as that of InsertValues.

    :param schema: `{"where": [["id", "=", 7]], "returning": ["id"]}`, or `"all_rows": true` in place of `where`
    """

    def make_statement(self) -> Any:
        check(self.schema, [], ["where", "all_rows", *OUT])
        where, values = make_where(self.schema, is_required=True)
        return self.make_change(f"DELETE FROM {quote_table(self.table_name)}{where}", [values])


class CreateTable(TableCommand):
    """Create a table, unless it exists.

    :param schema: `{"column_definitions": [{"name": "id", "type": "integer primary key"}]}`
    """

    def make_statement(self) -> Any:
        check(self.schema, ["column_definitions"], [])
        definitions = []
        for one in self.schema["column_definitions"]:
            check(one, ["name", "type"], [], "a column definition")
            if not TYPE.fullmatch(one["type"]):
                raise refuse(f"The type of {one['name']} must be words, with numbers in brackets; use DoSQL for others")
            definitions.append(f"{quote(one['name'])} {one['type']}")
        return f"CREATE TABLE IF NOT EXISTS {quote_table(self.table_name)} ({', '.join(definitions)})", [[]], False


@dataclass(repr=False)
class DropTable(PostgresCommand):
    """Drop a table, if it exists."""

    table_name: str

    def make_statement(self) -> Any:
        return f"DROP TABLE IF EXISTS {quote_table(self.table_name)}", [[]], False


@dataclass(repr=False)
class DoSQL(PostgresCommand):
    """Run one statement of SQL, with values bound to it.

    The result is the number of rows, or with `"fetch_results": true` the rows, each as a list, or as an object with
    `"as_objects": true`. A `numeric` is a string, digit for digit; a script converts it: `Decimal(row["amount"])`.

    :param schema: `{"sql": "… id = %s", "values": [7], "fetch_results": true}`, and `"autocommit": true` for `VACUUM`
    """

    schema: dict[str, Any]

    def make_statement(self) -> Any:
        check(self.schema, ["sql"], ["values", "fetch_results", "as_objects", "autocommit"])
        sql = self.schema["sql"]
        values: Any = self.schema.get("values")
        row: list[Any] = []

        def number(match: re.Match[str]) -> str:
            if match[0] == "%%":
                return "%"
            try:
                row.append(values[len(row) if match[0] == "%s" else match[1]])
            except (LookupError, TypeError):  # a list is for %s, an object for %(name)s
                raise refuse(f"schema's values has nothing for {match[0][:80]}") from None
            kind = guess_type(row[-1])
            return f"(${len(row)}::{kind})" if kind else f"${len(row)}"

        if not isinstance(values, (list, dict, type(None))):
            raise refuse("schema's values is neither a list, for %s, nor an object, for %(name)s")
        if values:
            sql = PLACEHOLDER.sub(number, sql)
        if isinstance(values, list) and len(row) != len(values):
            raise refuse(f"schema's sql has %s {len(row)} times, and values has {len(values)}")
        return sql, [row], self.schema.get("fetch_results", self.schema.get("as_objects"))


def guess_type(value: Any) -> str:
    """Return the type of a number as PostgreSQL reads it; the type of a string depends on its place."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return "integer" if -(2**31) <= value < 2**31 else "bigint"
    return "numeric" if isinstance(value, (int, float)) else ""


def is_like(value: Any, example: Any) -> bool:
    if isinstance(example, str):
        return isinstance(value, str) and value != "" and "\0" not in value
    if isinstance(example, list):
        is_list = isinstance(value, list) and all(is_like(item, example[0]) for item in value)
        return is_list and (value != [] or not isinstance(example[0], str))  # no columns is a mistake
    if isinstance(example, dict):
        return isinstance(value, dict) and is_like(list(value), list(example))
    if isinstance(example, bool) or isinstance(value, bool):
        return type(example) is type(value)
    return isinstance(value, (int, float)) and 0 <= value < 2**63 and value % 1 == 0  # 10 / 2 is 5.0 in a script


def check(schema: Any, required: list[str], optional: list[str], what: str = "schema") -> None:
    """Refuse what has another shape, and unknown keys: a misspelt `where` must not count as missing."""
    expected = f"it expects {', '.join(required + optional)}"
    if not isinstance(schema, dict):
        raise refuse(f"{what} is not an object; {expected}")
    for key in [*required, *schema]:
        if key not in schema or key not in required + optional:
            raise refuse(f"{what} {'has an unknown' if key in schema else 'lacks'} {key[:80]!r}; {expected}")
        if key in EXAMPLES and not is_like(schema[key], EXAMPLES[key]):
            raise refuse(f"{what}'s {key} must be like {json.dumps(EXAMPLES[key])}")


def quote(*names: str) -> str:
    """Return the names with commas; * means every column."""
    return ", ".join(name if name == "*" else '"' + name.replace('"', '""') + '"' for name in names)


def quote_table(table_name: Any) -> str:
    """Return `table` or `schema.table`, quoted; a part with a dot in it stands in quotes already."""
    if not is_like(table_name, "invoices") or not re.fullmatch(rf"({PART})(\.({PART}))?", table_name):
        raise refuse("table_name is not a name of a table, such as invoices or accounting.invoices")
    return ".".join(part if part[0] == '"' else quote(part) for part in re.findall(PART, table_name))


def make_where(schema: dict[str, Any], count: int = 0, *, is_required: bool = False) -> tuple[str, list[Any]]:
    """Return the clause and its values, which are numbered after `count`. A change of every row must be asked for."""
    if is_required and bool(schema.get("where")) == (schema.get("all_rows") is True):
        raise refuse('schema needs a where that is not empty, or "all_rows": true, for every row of the table')
    conditions = schema.get("where", [])
    if not isinstance(conditions, list) or not all(isinstance(one, list) and len(one) == 3 for one in conditions):
        raise refuse('schema\'s where is not a list of conditions, each as in ["amount", ">=", 100]')
    tests: list[str] = []
    values: list[Any] = []
    for column, operator, value in conditions:
        word = " ".join(str(operator).upper().split())
        choices = NULL_TESTS if value is None else OPERATORS
        if not is_like(column, "amount") or word not in choices:
            found, expected = json.dumps([column, operator])[:80], ", ".join(sorted(choices))
            raise refuse(f"schema's where has {found}; before this value it expects a column, and one of {expected}")
        if word in ("IN", "NOT IN") and (not isinstance(value, list) or not value or None in value):
            raise refuse(f"schema's where has {word} without a list of values, none of them null")
        if value is not None:
            values.append(value)
        tests.append(quote(column) + " " + choices[word].replace("?", f"(${count + len(values)})"))
    return f" WHERE {' AND '.join(tests)}" if tests else "", values


def make_order(schema: dict[str, Any]) -> str:
    terms = schema.get("order_by", [])
    if not all(len(term) == 2 and term[1].upper() in ("ASC", "DESC") for term in terms):
        raise refuse(f"schema's order_by must be like {json.dumps(EXAMPLES['order_by'])}")
    order = ", ".join(f"{quote(column)} {direction}" for column, direction in terms)
    counts = "".join(f" {key.upper()} {int(schema[key])}" for key in ("limit", "offset") if key in schema)
    return f" ORDER BY {order}{counts}" if order else counts


def make_conflict(schema: dict[str, Any]) -> str:
    """Return ON CONFLICT, by which a row that exists is changed, or left as it is."""
    if "on_conflict" not in schema:
        return ""
    conflict = schema["on_conflict"]
    check(conflict, [], ["columns", "update", "do"], "schema's on_conflict")
    target = f" ({quote(*conflict['columns'])})" if "columns" in conflict else ""
    updated = conflict.get("update", [])
    if conflict.get("do") == "nothing" and not updated:
        return f" ON CONFLICT{target} DO NOTHING"
    if not (updated and target) or "do" in conflict or not set(updated) <= set(schema["columns"]):
        raise refuse('on_conflict needs "columns", the key, and "update", some of the columns, or "do": "nothing"')
    return f" ON CONFLICT{target} DO UPDATE SET {', '.join(f'{quote(one)} = EXCLUDED.{quote(one)}' for one in updated)}"
