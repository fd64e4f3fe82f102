"""The statements: what the author gives in `schema`, checked, with names quoted and a place for each value."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from connector_postgres.errors import refuse
from connector_postgres.values import as_text

_LIST_OPERATORS = {"IN": "= ANY", "NOT IN": "<> ALL"}
_OPERATORS = {"=", "!=", "<>", "<", "<=", ">", ">=", "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE", *_LIST_OPERATORS}
_NULL_TESTS = {"=": "IS NULL", "IS": "IS NULL", "!=": "IS NOT NULL", "<>": "IS NOT NULL", "IS NOT": "IS NOT NULL"}
_PART = r'"(?:[^"]|"")+"|[^".]+'
# a type cannot be bound: words, and numbers in brackets, as in numeric(10, 2)[] or timestamp(3) with time zone not null
_TYPE = re.compile(r"[a-z_][a-z0-9_.]*([ ]+[a-z0-9_.]+|[ ]*\([0-9, ]*\)|[ ]*\[[0-9]*\])*", re.IGNORECASE)
# as in psycopg: %s, %(name)s, and %% for a percent sign
_PLACEHOLDER = re.compile(r"%(?:%|s|\(([^)]*)\)s)")


class Statement(NamedTuple):
    """SQL with $1, $2, … for each value; it is run for every row, or for none."""

    sql: str
    rows: list[list[Any]] = [[]]  # noqa: RUF012 - nobody adds to it
    fetches: bool = False


def do_sql(schema: Any) -> Statement:
    _check_keys(schema, ["sql"], ["values", "fetch_results"])
    sql, values, fetches = schema["sql"], schema.get("values"), schema.get("fetch_results", False)
    if not isinstance(sql, str) or "\0" in sql:
        raise refuse("schema's sql is no text of SQL")
    if not isinstance(values, (list, dict, type(None))):
        raise refuse("schema's values is neither a list, for %s, nor an object, for %(name)s")
    sql, row = _number_placeholders(sql, values) if values else (sql, [])
    return Statement(sql, [row], bool(fetches))


def select_values(table_name: Any, schema: Any) -> Statement:
    _check_keys(schema, ["columns"], ["where"])
    listed = ", ".join("*" if column == "*" else _quote(column) for column in _read_columns(schema, star=True))
    where, values = _read_where(schema.get("where", []))
    return Statement(f"SELECT {listed} FROM {_read_table(table_name)}{where}", [values], True)


def insert_values(table_name: Any, schema: Any) -> Statement:
    _check_keys(schema, ["columns", "values"], [])
    columns, rows = _read_columns(schema), schema["values"]
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
        raise refuse(f"schema's values is no list of rows, each a list of {len(columns)} values, one for each column")
    listed = ", ".join(map(_quote, columns))
    places = ", ".join(f"${number}" for number, _ in enumerate(columns, 1))
    sql = f"INSERT INTO {_read_table(table_name)} ({listed}) VALUES ({places})"
    return Statement(sql, [list(map(as_text, row)) for row in rows])


def update_values(table_name: Any, schema: Any) -> Statement:
    _check_keys(schema, ["set"], ["where", "all_rows"])
    changes = schema["set"]
    if not isinstance(changes, dict) or not changes:
        raise refuse("schema's set is no object with a value for each column that is to change")
    listed = ", ".join(f"{_quote(_read_name(column, 'set'))} = ${number}" for number, column in enumerate(changes, 1))
    where, values = _read_where(_read_rows(schema), len(changes))
    sql = f"UPDATE {_read_table(table_name)} SET {listed}{where}"
    return Statement(sql, [[*map(as_text, changes.values()), *values]])


def delete_values(table_name: Any, schema: Any) -> Statement:
    _check_keys(schema, [], ["where", "all_rows"])
    where, values = _read_where(_read_rows(schema))
    return Statement(f"DELETE FROM {_read_table(table_name)}{where}", [values])


def create_table(table_name: Any, schema: Any) -> Statement:
    _check_keys(schema, ["column_definitions"], [])
    definitions = schema["column_definitions"]
    if not isinstance(definitions, list) or not all(isinstance(one, dict) for one in definitions):
        raise refuse("schema's column_definitions is no list of objects, each with name and type")
    for definition in definitions:
        _check_keys(definition, ["name", "type"], [], "a column definition")
        if not isinstance(definition["type"], str) or not _TYPE.fullmatch(definition["type"]):
            raise refuse('a type is words, with numbers in brackets: "numeric(10, 2) not null"; DoSQL takes all others')
    names = [_quote(_read_name(definition["name"], "column_definitions")) for definition in definitions]
    listed = ", ".join(f"{name} {definition['type']}" for name, definition in zip(names, definitions))
    return Statement(f"CREATE TABLE IF NOT EXISTS {_read_table(table_name)} ({listed})")


def drop_table(table_name: Any) -> Statement:
    return Statement(f"DROP TABLE IF EXISTS {_read_table(table_name)}")


def _check_keys(schema: Any, needs: list[str], takes: list[str], what: str = "schema") -> None:
    """A misspelt `where` must not be taken for none."""
    if not isinstance(schema, dict):
        raise refuse(f"{what} is no object; it takes {', '.join(needs + takes)}")
    problems = [f"lacks {key!r}" for key in needs if key not in schema]
    problems += [f"has an unknown {key[:80]!r}" for key in schema if key not in needs + takes]
    if problems:
        raise refuse(f"{what} {problems[0]}; it takes {', '.join(needs + takes)}")


def _number_placeholders(sql: str, values: Any) -> tuple[str, list[Any]]:
    """Return the SQL with $1, $2, …, as PostgreSQL itself has them, and the values in this order."""
    row: list[Any] = []

    def number(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        try:
            row.append(values[len(row) if match[0] == "%s" else match[1]])
        except (LookupError, TypeError):  # a list is for %s, an object for %(name)s
            raise refuse(f"schema's values has nothing for {match[0][:80]}") from None
        return f"${len(row)}"

    numbered = _PLACEHOLDER.sub(number, sql)
    if isinstance(values, list) and len(row) != len(values):
        raise refuse(f"schema's sql has %s {len(row)} times, and values has {len(values)}")
    return numbered, row


def _quote(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _read_table(table_name: Any) -> str:
    """Return `table` or `schema.table`, quoted; a part with a dot in it stands in quotes already."""
    text = table_name if isinstance(table_name, str) and "\0" not in table_name else ""
    if not re.fullmatch(rf"({_PART})(\.({_PART}))?", text):
        raise refuse("table_name is no name of a table, such as invoices or accounting.invoices")
    return ".".join(part if part[0] == '"' else _quote(part) for part in re.findall(_PART, text))


def _read_name(name: Any, where: str) -> str:
    if not isinstance(name, str) or not name or "\0" in name:
        raise refuse(f"schema's {where} has {json.dumps(name)[:80]} where it takes a column's name")
    return name


def _read_columns(schema: dict[str, Any], *, star: bool = False) -> list[str]:
    columns = schema["columns"]
    if not isinstance(columns, list) or not columns:
        raise refuse(f"schema's columns is no list of names{', or of *, for all' if star else ''}")
    return [_read_name(column, "columns") for column in columns]


def _read_rows(schema: dict[str, Any]) -> Any:
    """Return the conditions for the rows that change: all of them have to be asked for."""
    if bool(schema.get("where")) == (schema.get("all_rows") is True):
        raise refuse('schema takes a where that is not empty, or "all_rows": true, for every row of the table')
    return schema.get("where") or []


def _read_where(conditions: Any, count: int = 0) -> tuple[str, list[Any]]:
    """Return the clause and its values, which are numbered from behind `count`."""
    if not isinstance(conditions, list) or not all(isinstance(one, list) and len(one) == 3 for one in conditions):
        raise refuse('schema\'s where is no list of conditions, each as in ["amount", ">=", 100]')
    tests: list[str] = []
    values: list[Any] = []
    for column, operator, value in conditions:
        name = _quote(_read_name(column, "where"))
        word = " ".join(operator.upper().split()) if isinstance(operator, str) else ""
        if value is None and word in _NULL_TESTS:
            tests.append(f"{name} {_NULL_TESTS[word]}")
        elif value is None or word not in _OPERATORS:
            takes = ", ".join(sorted(_NULL_TESTS if value is None else _OPERATORS))
            raise refuse(f"schema's where has {str(operator)[:20]!r}; before this value it takes {takes}")
        elif word in _LIST_OPERATORS and (not isinstance(value, list) or not value or None in value):
            raise refuse(f"schema's where has {word} without a list of values, none of them null")
        else:
            values.append(as_text(value))
            tests.append(f"{name} {_LIST_OPERATORS.get(word, word)} (${count + len(values)})")
    return f" WHERE {' AND '.join(tests)}" if tests else "", values
