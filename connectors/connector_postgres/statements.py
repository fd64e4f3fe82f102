"""What the author gives in `schema`: its shape is checked, names are quoted, and each value has a place, as $1."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from connector_postgres.errors import refuse

LIST_OPERATORS = {"IN": "= ANY", "NOT IN": "<> ALL"}
OPERATORS = {"=", "!=", "<>", "<", "<=", ">", ">=", "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE", *LIST_OPERATORS}
NULL_TESTS = {"=": "IS NULL", "IS": "IS NULL", "!=": "IS NOT NULL", "<>": "IS NOT NULL", "IS NOT": "IS NOT NULL"}
PART = r'"(?:[^"]|"")+"|[^".]+'  # of the name of a table
# a type cannot be bound: words, and numbers in brackets, as in numeric(10, 2)[] or timestamp(3) with time zone not null
TYPE = re.compile(r"[a-z_][a-z0-9_.]*([ ]+[a-z0-9_.]+|[ ]*\([0-9, ]*\)|[ ]*\[[0-9]*\])*", re.IGNORECASE)
PLACEHOLDER = re.compile(r"%(?:%|s|\(([^)]*)\)s)")  # as in psycopg: %s, %(name)s, and %% for a percent sign


class Statement(NamedTuple):
    """SQL with $1, $2, … for each value; it runs once for each of `rows`."""

    sql: str
    rows: list[list[Any]] = [[]]  # noqa: RUF012 - nobody adds to it
    fetches: bool = False  # whether rows are the result, and not their number
    as_objects: bool = False
    autocommit: bool = False
    guesses: bool = False  # whether a number has a type of its own, and not that of its column


# --- shapes ---


def is_name(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def is_list_of(test: Any, value: Any) -> bool:
    return isinstance(value, list) and all(map(test, value))


def is_names(value: Any) -> bool:
    return bool(value) and is_list_of(is_name, value)


def is_count(value: Any) -> bool:  # 10 / 2 is 5.0 in a script
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**63 and value % 1 == 0


def is_term(value: Any) -> bool:
    is_pair = isinstance(value, list) and len(value) == 2
    return is_pair and is_name(value[0]) and str(value[1]).upper() in ("ASC", "DESC")


NAMES = (is_names, "a list of columns' names")
COUNT = (is_count, "a number of rows, such as 10")
FLAG = (lambda value: isinstance(value, bool), "true or false")
SHAPES: dict[str, Any] = {
    "columns": NAMES,
    "returning": NAMES,
    "update": NAMES,
    "limit": COUNT,
    "offset": COUNT,
    "as_objects": FLAG,
    "fetch_results": FLAG,
    "autocommit": FLAG,
    "do": (lambda value: value == "nothing", '"nothing"'),
    "name": (is_name, "a column's name"),
    "type": (
        lambda value: isinstance(value, str) and TYPE.fullmatch(value),
        'words, with numbers in brackets, such as "numeric(10, 2) not null"; use DoSQL for anything else',
    ),
    "column_definitions": (lambda value: is_list_of(lambda one: isinstance(one, dict), value), "a list of objects"),
    "order_by": (lambda value: is_list_of(is_term, value), 'a list such as [["created", "desc"], ["id", "asc"]]'),
    "set": (lambda value: isinstance(value, dict) and is_names(list(value)), "an object with a value for each column"),
    "sql": (
        lambda value: isinstance(value, str) and "\0" not in value and value.strip(),
        "a string of SQL that is not empty",
    ),
}


def check(schema: Any, required: list[str], optional: list[str], what: str = "schema") -> None:
    """Refuse what has another shape, and unknown keys: a misspelt `where` must not count as missing."""
    expected = f"it expects {', '.join(required + optional)}"
    if not isinstance(schema, dict):
        raise refuse(f"{what} is not an object; {expected}")
    problems = [f"lacks {key!r}" for key in required if key not in schema]
    problems += [f"has an unknown {key[:80]!r}" for key in schema if key not in required + optional]
    if problems:
        raise refuse(f"{what} {problems[0]}; {expected}")
    for key in schema:
        test, shape = SHAPES.get(key, (lambda _: True, ""))
        if not test(schema[key]):
            raise refuse(f"{what}'s {key} must be {shape}")


# --- clauses ---


def quote(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def quote_all(names: list[str], *, star: bool = False) -> str:
    """Return the names with commas; with `star`, * means every column."""
    return ", ".join("*" if star and name == "*" else quote(name) for name in names)


def quote_table(table_name: Any) -> str:
    """Return `table` or `schema.table`, quoted; a part with a dot in it stands in quotes already."""
    if not is_name(table_name) or not re.fullmatch(rf"({PART})(\.({PART}))?", table_name):
        raise refuse("table_name is not a name of a table, such as invoices or accounting.invoices")
    return ".".join(part if part[0] == '"' else quote(part) for part in re.findall(PART, table_name))


def number_placeholders(sql: str, values: Any) -> tuple[str, list[Any]]:
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

    numbered = PLACEHOLDER.sub(number, sql)
    if isinstance(values, list) and len(row) != len(values):
        raise refuse(f"schema's sql has %s {len(row)} times, and values has {len(values)}")
    return numbered, row


def require_where(schema: dict[str, Any]) -> Any:
    """Return the conditions for the rows that change: a change of every row must be asked for."""
    if bool(schema.get("where")) == (schema.get("all_rows") is True):
        raise refuse('schema needs a where that is not empty, or "all_rows": true, for every row of the table')
    return schema.get("where") or []


def make_where(conditions: Any, count: int = 0) -> tuple[str, list[Any]]:
    """Return the clause and its values, which are numbered after `count`."""
    if not is_list_of(lambda one: isinstance(one, list) and len(one) == 3 and is_name(one[0]), conditions):
        raise refuse('schema\'s where is not a list of conditions, each as in ["amount", ">=", 100]')
    tests: list[str] = []
    values: list[Any] = []
    for column, operator, value in conditions:
        word = " ".join(operator.upper().split()) if isinstance(operator, str) else ""
        if word not in (NULL_TESTS if value is None else OPERATORS):
            expected = ", ".join(sorted(NULL_TESTS if value is None else OPERATORS))
            raise refuse(f"schema's where has {str(operator)[:20]!r}; before this value it expects {expected}")
        if word in LIST_OPERATORS and not (
            value and is_list_of(lambda one: not isinstance(one, (list, type(None))), value)
        ):
            raise refuse(f"schema's where has {word} without a list of values, none of them null or a list")
        if value is None:
            tests.append(f"{quote(column)} {NULL_TESTS[word]}")
        else:
            values.append(value)
            tests.append(f"{quote(column)} {LIST_OPERATORS.get(word, word)} (${count + len(values)})")
    return f" WHERE {' AND '.join(tests)}" if tests else "", values


def make_order(schema: dict[str, Any]) -> str:
    terms = ", ".join(f"{quote(column)} {direction.upper()}" for column, direction in schema.get("order_by", []))
    counts = "".join(f" {key.upper()} {int(schema[key])}" for key in ("limit", "offset") if key in schema)
    return f" ORDER BY {terms}{counts}" if terms else counts


def make_conflict(schema: dict[str, Any]) -> str:
    """Return ON CONFLICT, by which a row that exists is changed, or left as it is."""
    if "on_conflict" not in schema:
        return ""
    conflict, what = schema["on_conflict"], "schema's on_conflict"
    check(conflict, [], ["columns", "update", "do"], what)
    target = f" ({quote_all(conflict['columns'])})" if "columns" in conflict else ""
    if "do" in conflict and "update" not in conflict:
        return f" ON CONFLICT{target} DO NOTHING"
    updated = conflict.get("update", [])
    if not (updated and target) or "do" in conflict or not set(updated) <= set(schema["columns"]):
        raise refuse(f'{what} needs "columns", the key, and "update", some of schema\'s columns, or "do": "nothing"')
    return f" ON CONFLICT{target} DO UPDATE SET {', '.join(f'{quote(one)} = EXCLUDED.{quote(one)}' for one in updated)}"
