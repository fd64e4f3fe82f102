"""The statements: what the author gives in `schema`, checked, with a place for each name and each value."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from connector_postgres.errors import refuse
from connector_postgres.values import as_text

_OPERATORS = {"=", "!=", "<>", "<", "<=", ">", ">=", "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE", "IN", "NOT IN"}
_NULL_TESTS = {"=": "IS NULL", "IS": "IS NULL", "!=": "IS NOT NULL", "<>": "IS NOT NULL", "IS NOT": "IS NOT NULL"}
_PART = r'"(?:[^"]|"")+"|[^".]+'
# a type cannot be bound: words, and numbers in brackets, as in numeric(10, 2)[] or timestamp(3) with time zone not null
_TYPE = re.compile(r"[a-z_][a-z0-9_.]*([ ]+[a-z0-9_.]+|[ ]*\([0-9, ]*\)|[ ]*\[[0-9]*\])*", re.IGNORECASE)
# as in psycopg: %s, %(name)s, and %% for a percent sign
_PLACEHOLDER = re.compile(r"%(?:%|s|\(([^)]*)\)s)")


class Statement(NamedTuple):
    """SQL with `{}` for each name, if any, and $1, $2, … for each value; it is run for every row, or for none."""

    sql: str
    names: list[tuple[str, ...]] = []  # noqa: RUF012 - nobody adds to it
    rows: list[list[Any]] = [[]]  # noqa: RUF012
    fetches: bool = False


def do_sql(schema: Any) -> Statement:
    _check_keys(schema, ["sql"], ["values", "fetch_results"])
    sql, values, fetches = schema["sql"], schema.get("values"), schema.get("fetch_results", False)
    if not isinstance(sql, str) or "\0" in sql:
        raise refuse("schema's sql is no text of SQL")
    if not isinstance(values, (list, dict, type(None))):
        raise refuse("schema's values is neither a list, for %s, nor an object, for %(name)s")
    sql, row = _number_placeholders(sql, values) if values else (sql, [])
    return Statement(sql, rows=[row], fetches=bool(fetches))


def select_values(table_name: Any, schema: Any) -> Statement:
    _check_keys(schema, ["columns"], ["where"])
    columns = _read_columns(schema, star=True)
    where, names, values = _read_where(schema.get("where", []))
    named = [(column,) for column in columns if column != "*"]
    listed = ", ".join("*" if column == "*" else "{}" for column in columns)
    return Statement(f"SELECT {listed} FROM {{}}{where}", [*named, _read_table(table_name), *names], [values], True)


def insert_values(table_name: Any, schema: Any) -> Statement:
    _check_keys(schema, ["columns", "values"], [])
    columns, rows = _read_columns(schema), schema["values"]
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
        raise refuse(f"schema's values is no list of rows, each a list of {len(columns)} values, one for each column")
    places = ", ".join(f"${number}" for number, _ in enumerate(columns, 1))
    listed = ", ".join("{}" for _ in columns)
    names = [_read_table(table_name), *((column,) for column in columns)]
    return Statement(f"INSERT INTO {{}} ({listed}) VALUES ({places})", names, [list(map(as_text, r)) for r in rows])


def update_values(table_name: Any, schema: Any) -> Statement:
    _check_keys(schema, ["set"], ["where", "all_rows"])
    changes = schema["set"]
    if not isinstance(changes, dict) or not changes:
        raise refuse("schema's set is no object with a value for each column that is to change")
    where, names, values = _read_where(_read_rows(schema), len(changes))
    listed = ", ".join(f"{{}} = ${number}" for number, _ in enumerate(changes, 1))
    named = [_read_table(table_name), *((_read_name(column, "set"),) for column in changes), *names]
    return Statement(f"UPDATE {{}} SET {listed}{where}", named, [[*map(as_text, changes.values()), *values]])


def delete_values(table_name: Any, schema: Any) -> Statement:
    _check_keys(schema, [], ["where", "all_rows"])
    where, names, values = _read_where(_read_rows(schema))
    return Statement(f"DELETE FROM {{}}{where}", [_read_table(table_name), *names], [values])


def create_table(table_name: Any, schema: Any) -> Statement:
    _check_keys(schema, ["column_definitions"], [])
    definitions = schema["column_definitions"]
    if not isinstance(definitions, list) or not all(isinstance(one, dict) for one in definitions):
        raise refuse("schema's column_definitions is no list of objects, each with name and type")
    for definition in definitions:
        _check_keys(definition, ["name", "type"], [], "a column definition")
        if not isinstance(definition["type"], str) or not _TYPE.fullmatch(definition["type"]):
            raise refuse('a type is words, with numbers in brackets: "numeric(10, 2) not null"; DoSQL takes all others')
    listed = ", ".join(f"{{}} {definition['type']}" for definition in definitions)
    names = [(_read_name(definition["name"], "column_definitions"),) for definition in definitions]
    return Statement(f"CREATE TABLE IF NOT EXISTS {{}} ({listed})", [_read_table(table_name), *names])


def drop_table(table_name: Any) -> Statement:
    return Statement("DROP TABLE IF EXISTS {}", [_read_table(table_name)])


def _check_keys(schema: Any, needs: list[str], takes: list[str], what: str = "schema") -> None:
    """A misspelt `where` must not be taken for none."""
    if not isinstance(schema, dict):
        raise refuse(f"{what} is no object; it takes {', '.join(needs + takes)}")
    problems = [f"lacks {key!r}" for key in needs if key not in schema]
    problems += [f"has an unknown {key[:80]!r}" for key in schema if key not in needs + takes]
    if problems:
        raise refuse(f"{what} {problems[0]}; it takes {', '.join(needs + takes)}")


def _number_placeholders(sql: str, values: list[Any] | dict[str, Any]) -> tuple[str, list[Any]]:
    """Return the SQL with $1, $2, …, as PostgreSQL itself has them, and the values in this order."""
    row: list[Any] = []

    def number(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if isinstance(values, list) != (match[0] == "%s"):
            raise refuse("schema's sql has %s and values is an object, or it has %(name)s and values is a list")
        if isinstance(values, dict):
            if match[1] not in values:
                raise refuse(f"schema's values has nothing for {match[0][:80]}")
            row.append(values[match[1]])
        else:
            row.append(values[len(row)] if len(row) < len(values) else None)
        return f"${len(row)}"

    numbered = _PLACEHOLDER.sub(number, sql)
    if isinstance(values, list) and len(row) != len(values):
        raise refuse(f"schema's sql has %s {len(row)} times, and values has {len(values)}")
    return numbered, row


def _read_table(table_name: Any) -> tuple[str, ...]:
    """Return the parts of `table` or `schema.table`, each of which may stand in double quotes, for one with a dot."""
    text = table_name if isinstance(table_name, str) and "\0" not in table_name else ""
    if not re.fullmatch(rf"({_PART})(\.({_PART}))?", text):
        raise refuse("table_name is no name of a table, such as invoices or accounting.invoices")
    parts = re.findall(_PART, text)
    return tuple(part[1:-1].replace('""', '"') if part[0] == '"' else part for part in parts)


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


def _read_where(conditions: Any, count: int = 0) -> tuple[str, list[tuple[str, ...]], list[Any]]:
    """Return the clause, its names and its values, which are numbered from behind `count`."""
    if not isinstance(conditions, list) or not all(isinstance(one, list) and len(one) == 3 for one in conditions):
        raise refuse('schema\'s where is no list of conditions, each as in ["amount", ">=", 100]')
    tests: list[str] = []
    values: list[Any] = []
    for column, operator, value in conditions:
        _read_name(column, "where")
        word = " ".join(operator.upper().split()) if isinstance(operator, str) else ""
        if value is None and word in _NULL_TESTS:
            tests.append(f"{{}} {_NULL_TESTS[word]}")
            continue
        if word not in _OPERATORS or value is None:
            takes = ", ".join(sorted(_NULL_TESTS if value is None else _OPERATORS))
            raise refuse(f"schema's where has {str(operator)[:20]!r}; before this value it takes {takes}")
        if "IN" not in word.split():
            values.append(as_text(value))
            tests.append(f"{{}} {word} ${count + len(values)}")
            continue
        if not isinstance(value, list) or None in value or not value:
            raise refuse(f"schema's where has {word} without a list of values, none of them null")
        values += map(as_text, value)
        places = [f"${count + len(values) - left}" for left in range(len(value) - 1, -1, -1)]
        tests.append(f"{{}} {word} ({', '.join(places)})")
    return f" WHERE {' AND '.join(tests)}" if tests else "", [(one[0],) for one in conditions], values
