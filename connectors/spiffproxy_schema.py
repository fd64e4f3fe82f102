"""JSON Schemas (2020-12) of parameters, as `/v1/commands` lists them.

A schema is derived from the annotation of a parameter. A class can add keywords to it; those of its base classes count:

    parameter_schemas = {"attempts": {"minimum": 1, "maximum": 10}, "headers": {"examples": [{"Accept": "text/plain"}]}}
"""

from __future__ import annotations

import enum
import re
import typing
from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from spiffproxy import encode_json, resolve_union

# the name of a parameter, or a key in a default, that holds a secret
SECRET_NAME = re.compile(
    r"""
    pass(word|wd|phrase) | pwd | secret | credential | connection_str | authorization\b
    | (?<!page_)(?<!next_)(?<!continuation_) token   # these name the next page of a list
      (?! s | iz | _ur[il] )                         # a number of tokens, a tokenizer, a URL that returns tokens
    | (api|private)_?key | access_key (?!_id) | oauth2 $
    """,
    re.IGNORECASE | re.VERBOSE,
)

MAX_SCHEMA_DEPTH = 4  # of objects within objects; each level multiplies the size of a schema by the number of fields
SCHEMA_TYPES: list[tuple[Any, str]] = [
    (str, "string"),
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (type(None), "null"),
    (None, "null"),
    *((kind, "object") for kind in (dict, Mapping, MutableMapping)),
    *((kind, "array") for kind in (list, tuple, set, frozenset, Sequence, Collection, Iterable)),
]


def schema_of(annotation: Any, cls: type, depth: int = 0) -> dict[str, Any]:
    """Return the JSON Schema of an annotation; {}, which admits everything, if there is none.

    Raises RecursionError for nested classes whose schema would be infinite, or too large.
    """
    if depth > MAX_SCHEMA_DEPTH:
        raise RecursionError
    schemas: list[dict[str, Any]] = []
    for member in resolve_union(annotation, cls):
        schema = schema_of_type(member, cls, depth)
        if not schema:
            return {}
        if schema not in schemas:
            schemas.append(schema)
    if len(schemas) == 1:
        return schemas[0]
    if all(schema.keys() == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": schemas}


def schema_of_type(kind: Any, cls: type, depth: int) -> dict[str, Any]:
    origin = typing.get_origin(kind) or kind
    arguments = typing.get_args(kind)
    if hasattr(kind, "__supertype__"):  # typing.NewType
        return schema_of(kind.__supertype__, cls, depth)
    if isinstance(origin, type) and hasattr(origin, "model_json_schema"):  # a model of pydantic
        # its references are relative to the nearest $id, wherever it is put
        return {"$id": origin.__qualname__, **origin.model_json_schema()}
    if origin is typing.Literal:
        return schema_of_values(list(arguments))
    if isinstance(origin, type) and issubclass(origin, enum.Enum):
        return schema_of_values([member.value for member in origin])
    if hasattr(origin, "__required_keys__"):
        return schema_of_typed_dict(origin, depth)
    if isinstance(origin, type) and is_dataclass(origin):
        return schema_of_dataclass(origin, depth)
    name = next((name for known, name in SCHEMA_TYPES if origin is known), "")
    if not name:
        return {}
    parts = [schema_of(argument, cls, depth) for argument in arguments if argument is not Ellipsis]
    if origin is tuple and parts and Ellipsis not in arguments:
        return {"type": name, "prefixItems": parts, "minItems": len(parts), "maxItems": len(parts)}
    schema: dict[str, Any] = {"type": name}
    if parts and parts[-1] and name in ("object", "array"):
        schema["items" if name == "array" else "additionalProperties"] = parts[-1]
    return schema


def schema_of_values(values: list[Any]) -> dict[str, Any]:
    encode_json(values)  # raises if they are not JSON
    return {"enum": values}


def schema_of_typed_dict(cls: Any, depth: int) -> dict[str, Any]:
    annotations = cls.__annotations__
    # an annotation kept as a string hides NotRequired from __required_keys__
    required = [name for name in annotations if name in cls.__required_keys__]
    required = [name for name in required if "NotRequired" not in str(annotations[name])]
    return schema_of_fields(annotations, required, cls, depth)


def schema_of_dataclass(cls: Any, depth: int) -> dict[str, Any]:
    taken = [field for field in fields(cls) if field.init]
    required = [field.name for field in taken if field.default is MISSING and field.default_factory is MISSING]
    return schema_of_fields({field.name: field.type for field in taken}, required, cls, depth)


def schema_of_fields(annotations: Mapping[str, Any], required: list[str], cls: type, depth: int) -> dict[str, Any]:
    properties = {name: schema_of(annotation, cls, depth + 1) for name, annotation in annotations.items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return schema


def schema_of_parameter(name: str, annotation: Any, cls: type) -> dict[str, Any]:
    """Return the schema of a parameter; keywords in the class's `parameter_schemas` override the annotation's."""
    schema = schema_of(annotation, cls)
    for base in reversed(cls.__mro__):
        keywords = vars(base).get("parameter_schemas")
        if isinstance(keywords, Mapping):
            schema = {**schema, **keywords.get(name, {})}
    return schema
