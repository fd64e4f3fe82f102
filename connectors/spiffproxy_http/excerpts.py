"""What a message quotes of a response."""

from __future__ import annotations

import re

MAX_CHARACTERS = 300
MAX_PAGE_CHARACTERS = 64 * 1024  # of a page, whose text may follow long scripts
HTML = ("text/html", "application/xhtml+xml")
START_OF_PAGE = re.compile(r"\s*(?:<!doctype\s+html|<html)\b", re.IGNORECASE)
# comments, scripts, styles and tags, also those that have no end
MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)|<[!/?a-z][^>]*(?:>|\Z)", re.IGNORECASE | re.DOTALL
)


def shorten(text: str) -> str:
    """Return the text with at most 300 characters."""
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def make_excerpt(text: str, media_type: str) -> str:
    """Return the start of a body: of a page only its text, of anything else what is there."""
    is_data = text.lstrip()[:1] in ("{", "[")  # many servers send JSON as text/html
    if START_OF_PAGE.match(text) or (media_type in HTML and not is_data):
        text = read_page(text[:MAX_PAGE_CHARACTERS])
    return shorten(text)


def read_page(page: str) -> str:
    from html import unescape  # takes its time to import

    return " ".join(unescape(MARKUP.sub(" ", page)).split())
