"""The check of parameters, which bundled commands call first. Other commands get parameters as they were sent."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Callable

from spiffproxy_schema import SECRET_NAME, schema_of_parameter

MAX_SHOWN = 100  # characters of a value in a message
INTEGER = re.compile("-?[0-9]{1,18}")
NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
SCALARS = {"boolean", "integer", "number"}
NOUNS = {
    "string": "a string",
    "boolean": "true or false",
    "integer": "a number",
    "number": "a number",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def check_parameters(command: Any, error: Callable[[str], Exception], *, declared_in: type | None = None) -> None:
    """Set each parameter of a command, which is a dataclass, to what its schema admits, or raise `error(message)`.

    Numbers may be written as digits, and booleans as "true" and "false", in strings; strings in `enum` may be written
    in any case of letters. Null stands for the default, and so does an empty string if the schema admits no string.
    `declared_in` leaves out parameters that this class does not annotate. The keywords `type`, `enum`, `anyOf`,
    `minimum`, `maximum`, `items`, `properties`, `required` and `additionalProperties` are checked.
    """
    cls: Any = type(command)
    for field, schema in list_parameters(cls, declared_in):
        value = getattr(command, field.name)
        if value is field.default:
            continue
        try:
            value = convert(field.name, value, schema)
        except ValueError as problem:
            if value not in (None, "") or not has_default(field):
                raise error(str(problem)) from None
            value = None
        if value is None and has_default(field):
            value = field.default if field.default_factory is MISSING else field.default_factory()
        setattr(command, field.name, value)


@functools.cache
def list_parameters(cls: Any, declared_in: type | None) -> list[tuple[Field[Any], dict[str, Any]]]:
    """Return the fields that a constructor accepts, each with its schema."""
    taken = [field for field in fields(cls) if field.init] if is_dataclass(cls) else []
    if declared_in:
        names = {name for base in declared_in.__mro__ for name in getattr(base, "__annotations__", {})}
        taken = [field for field in taken if field.name in names]
    return [(field, schema_of_parameter(field.name, field.type, cls)) for field in taken]


def has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def convert(path: str, value: Any, schema: dict[str, Any]) -> Any:
    """Return a value in a type that its schema admits; raise ValueError that names its path, such as `oauth2.scope`."""
    if not schema:
        return value
    if "anyOf" in schema:
        return convert_by_one(path, value, schema)
    if "enum" in schema:
        return convert_by_enum(path, value, schema)
    converted = convert_by_type(path, value, schema) if "type" in schema else value
    if isinstance(converted, list):
        items = schema.get("items", {})
        return [convert(f"{path}[{index}]", item, items) for index, item in enumerate(converted)]
    if isinstance(converted, dict):
        return convert_object(path, converted, schema)
    if name_type(converted) not in ("integer", "number"):
        return converted
    if not schema.get("minimum", converted) <= converted <= schema.get("maximum", converted):
        raise refuse(path, value, schema)
    return converted


def convert_by_one(path: str, value: Any, schema: dict[str, Any]) -> Any:
    """Return the value by the first schema that admits it. If only one schema has its type, raise that one's error."""
    problems = []
    for choice in schema["anyOf"]:
        try:
            return convert(path, value, choice)
        except ValueError as problem:
            if name_type(value) in list_types(choice):
                problems.append(problem)
    raise problems[0] if len(problems) == 1 else refuse(path, value, schema)


def convert_by_enum(path: str, value: Any, schema: dict[str, Any]) -> Any:
    """Return the choice that equals the value, else the one that is the same string in any case of letters."""
    choices = schema["enum"]
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    for choice in choices:
        text = choice if isinstance(choice, str) else json.dumps(choice)
        if isinstance(value, str) and choice is not None and text.lower() == value.lower():
            return choice
    raise refuse(path, value, schema)


def convert_by_type(path: str, value: Any, schema: dict[str, Any]) -> Any:
    types, kind = list_types(schema), name_type(value)
    if kind in types or (kind == "integer" and "number" in types):
        return value
    if kind == "number" and "integer" in types and value.is_integer():  # 10 / 2 is 5.0 in a script
        return int(value)
    if kind == "string" and "integer" in types and INTEGER.fullmatch(value):
        return int(value)
    if kind == "string" and "number" in types and NUMBER.fullmatch(value):
        return float(value)
    if kind == "string" and "boolean" in types and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise refuse(path, value, schema)


def convert_object(path: str, value: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for name in schema.get("required", []):
        if name not in value:
            raise ValueError(f"{path} must have {json.dumps(name)}.")
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    return {name: convert(f"{path}.{name}", item, properties.get(name, others)) for name, item in value.items()}


def list_types(schema: dict[str, Any]) -> list[str]:
    """Return the JSON Schema types that a schema admits; an empty list if it names none."""
    if "anyOf" in schema:
        return [name for choice in schema["anyOf"] for name in list_types(choice)]
    if "enum" in schema:
        return [name_type(choice) for choice in schema["enum"]]
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def name_type(value: Any) -> str:
    """Return the JSON Schema type of a value; a number with a fraction part is never an integer here."""
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")


# --- Messages -----------------------------------------------------------------------------------------------------


def refuse(path: str, value: Any, schema: dict[str, Any]) -> ValueError:
    """Return the error for a value: what it must be, and what it is unless it is a secret."""
    kind, types = name_type(value), [name for name in list_types(schema) if name != "null"]
    expected = join_words(list_expected(value, schema))
    if schema.get("examples"):
        expected += f"{',' if SCALARS.issuperset(types) else ''} such as {json.dumps(schema['examples'][0])}"
    if "enum" in schema or SCALARS.issuperset(types):
        return ValueError(f"{path} is {show(path, value)}. Use {expected}.")
    hint = ""
    if kind == "string":
        hint = " Remove the quotes around it."
    elif kind in SCALARS and types == ["string"]:
        hint = " Put quotes around it."
    elif kind == "null" and types == ["string"]:
        hint = " Fill it in, as a string in quotes."
    actual = json.dumps(value) if isinstance(value, bool) else NOUNS[kind]
    return ValueError(f"{path} must be {expected}, but is {actual}.{hint}")


def show(path: str, value: Any) -> str:
    """Return a value for a message, as JSON; for an object or a list its type, for a secret "invalid"."""
    if SECRET_NAME.search(path):
        return "invalid"
    if isinstance(value, (dict, list)):
        return NOUNS[name_type(value)]
    text = json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()  # without halves of surrogate pairs
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def list_expected(value: Any, schema: dict[str, Any]) -> list[str]:
    """Return the nouns of what a schema admits, without null."""
    if "anyOf" in schema:
        return [words for choice in schema["anyOf"] for words in list_expected(value, choice)]
    if "enum" in schema:
        return [json.dumps(choice) for choice in schema["enum"] if choice is not None]
    expected = []
    for name in list_types(schema):
        words = NOUNS[name]
        if name == "integer" and isinstance(value, float):
            words = "a whole number"
        if name in ("integer", "number"):
            words += describe_range(schema)
        if name != "null":
            expected.append(words)
    return expected


def describe_range(schema: dict[str, Any]) -> str:
    if "minimum" in schema and "maximum" in schema:
        return f" from {schema['minimum']} to {schema['maximum']}"
    if "minimum" in schema:
        return f" of at least {schema['minimum']}"
    return f" of at most {schema['maximum']}" if "maximum" in schema else ""


def join_words(words: list[str]) -> str:
    words = list(dict.fromkeys(words))
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else "null"
