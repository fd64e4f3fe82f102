"""What the author gives in `schema`: its shape is checked, names are quoted, and each value has a place, as $1."""

from __future__ import annotations

import json
import re
from typing import Any

from connector_postgres.errors import refuse

COMPARISONS = ["=", "!=", "<>", "<", "<=", ">", ">=", "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"]
OPERATORS = {**{word: f"{word} ?" for word in COMPARISONS}, "IN": "= ANY ?", "NOT IN": "<> ALL ?"}
NULL_TESTS = {"=": "IS NULL", "IS": "IS NULL", "!=": "IS NOT NULL", "<>": "IS NOT NULL", "IS NOT": "IS NOT NULL"}
PART = r'"(?:[^"]|"")+"|[^".]+'  # of the name of a table
# a value is like its example if it has the same type, and so have the items of a list
EXAMPLES: dict[str, Any] = {
    "columns": ["id", "name"],
    "returning": ["id", "name"],
    "update": ["name"],
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
    problems = [f"lacks {key!r}" for key in required if key not in schema]
    problems += [f"has an unknown {key[:80]!r}" for key in schema if key not in required + optional]
    if problems:
        raise refuse(f"{what} {problems[0]}; {expected}")
    for key in schema:
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
    conditions = schema.get("where") or []
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
        tests.append(f"{quote(column)} {choices[word]}".replace("?", f"(${count + len(values)})"))
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
    conflict, what = schema["on_conflict"], "schema's on_conflict"
    check(conflict, [], ["columns", "update", "do"], what)
    target = f" ({quote(*conflict['columns'])})" if "columns" in conflict else ""
    updated = conflict.get("update", [])
    if conflict.get("do") == "nothing" and not updated:
        return f" ON CONFLICT{target} DO NOTHING"
    if not (updated and target) or "do" in conflict or not set(updated) <= set(schema["columns"]):
        raise refuse(f'{what} needs "columns", the key, and "update", some of schema\'s columns, or "do": "nothing"')
    return f" ON CONFLICT{target} DO UPDATE SET {', '.join(f'{quote(one)} = EXCLUDED.{quote(one)}' for one in updated)}"
