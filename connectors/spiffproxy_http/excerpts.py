"""What a message quotes of a response or of a parameter."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_SHOWN = 100  # characters of a parameter
MAX_CHARACTERS = 300  # of a response
MAX_PAGE_CHARACTERS = 64 * 1024  # of an HTML page, whose text may follow long scripts
HTML = ("text/html", "application/xhtml+xml")
START_OF_PAGE = re.compile(r"\s*(?:<!doctype\s+html|<html)\b", re.IGNORECASE)
# comments, scripts, styles and tags, including those without an end
MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)|<[!/?a-z][^>]*(?:>|\Z)", re.IGNORECASE | re.DOTALL
)


def shorten(text: str) -> str:
    """Return the text with at most 300 characters."""
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def make_excerpt(text: str, media_type: str) -> str:
    """Return the start of a body; of an HTML page, the start of its text."""
    is_data = text.lstrip()[:1] in ("{", "[")  # many servers send JSON as text/html
    if START_OF_PAGE.match(text) or (media_type in HTML and not is_data):
        text = read_page(text[:MAX_PAGE_CHARACTERS])
    return shorten(text)


def read_page(page: str) -> str:
    from html import unescape  # slow to import

    return " ".join(unescape(MARKUP.sub(" ", page)).split())


# --- Parameters ---------------------------------------------------------------------------------------------------


def show(text: str) -> str:
    """Return a string for a message, in quotes and not too long."""
    shown = json.dumps(text, ensure_ascii=False).encode(errors="replace").decode()  # without halves of surrogate pairs
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}…"


def name_type(value: Any) -> str:
    """Return what JSON calls a value."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an object" if isinstance(value, dict) else "a list"


def name_character(character: str) -> str:
    """Return a character for a message: by a word, or quoted if it can be seen, with its code point."""
    words = {" ": "a blank", "\t": "a tab", "\n": "a line break", "\r": "a line break"}
    if character in words:
        return words[character]
    code = f"U+{ord(character):04X}"
    return f"{show(character)} ({code})" if character.isprintable() else f"the invisible character {code}"
