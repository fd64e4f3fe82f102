"""Typeahead: suggestions for a field of a form. Imported when the first request below `/v1/typeahead/` comes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from spiffproxy import (
    Connectors,
    Entry,
    Proxy,
    ProxyError,
    Response,
    bind_parameters,
    check_result,
    convert_exceptions,
    encode_json,
    list_available,
    parse_query,
    run_to_end,
)

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment  # novm

DEFAULT_LIMIT = "100"
MAX_LIMIT = 1000


def suggest(proxy: Proxy, environ: WSGIEnvironment, category: str) -> Response:
    """Return the list of objects that the typeahead of a category finds for a prefix.

    Raises `ProxyError`: 404 for the category, 400 for a limit, 503 if no slot is free, 500 if the typeahead raises or
    returns an invalid result.
    """
    query = parse_query(environ)
    entry = load_typeahead(proxy.connectors, category)
    parameters = {"prefix": query.get("prefix", ""), "limit": read_limit(query.get("limit", DEFAULT_LIMIT))}
    arguments, keywords = bind_parameters(entry, parameters)
    with convert_exceptions(entry.id, proxy.slots):
        found = run_to_end(entry.cls(*arguments, **keywords).execute(proxy.settings.config, {}))
    with check_result(entry.id, found):
        if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
            raise TypeError('it must be a list of objects, such as [{"name": "Berlin"}]')
        return Response(200, encode_json([dict(item) for item in found]))


def load_typeahead(connectors: Connectors, category: str) -> Entry:
    """Return the typeahead of a category, which is its attribute, or the name of its class in lower case."""
    categories: dict[str, Entry] = {}
    entries, _ = connectors.load_all("typeaheads")
    for entry in entries:
        categories.setdefault(str(getattr(entry.cls, "category", entry.cls.__name__.lower())), entry)
    if category not in categories:
        message = f"No typeahead {category!r} here; {list_available(categories)}"
        raise ProxyError(404, "typeahead_not_found", message)
    return categories[category]


def read_limit(text: str) -> int:
    digits = text.lstrip("0")
    if not re.fullmatch("[0-9]+", digits):
        raise ProxyError(400, "invalid_parameters", f"limit is {text[:20]!r}. Use a whole number of at least 1.")
    return min(int(digits[:9]), MAX_LIMIT)  # int() refuses more than 4300 digits
