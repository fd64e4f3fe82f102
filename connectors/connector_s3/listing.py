"""The listing of a bucket, read from XML that was parsed."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus


def read_listing(result: dict[str, Any]) -> dict[str, Any]:
    """Return the objects, and the prefixes that stand for several where a delimiter was given."""
    is_encoded = result.get("EncodingType") == "url"  # not every S3 does what it is asked for
    contents, prefixes = (_dicts(result.get(name)) for name in ("Contents", "CommonPrefixes"))
    return {
        "objects": [_read_object(entry, is_encoded=is_encoded) for entry in contents],
        "common_prefixes": [_decode(entry.get("Prefix"), is_encoded=is_encoded) for entry in prefixes],
        "is_truncated": result.get("IsTruncated") == "true",
        "next_continuation_token": result.get("NextContinuationToken"),
    }


def _read_object(entry: dict[str, Any], *, is_encoded: bool) -> dict[str, Any]:
    size = str(entry.get("Size"))
    return {
        "key": _decode(entry.get("Key"), is_encoded=is_encoded),
        "size": int(size) if size.isdecimal() else None,
        "etag": str(entry.get("ETag") or "").strip('"'),
        "last_modified": entry.get("LastModified"),
    }


def _decode(text: Any, *, is_encoded: bool) -> str:
    return unquote_plus(str(text or "")) if is_encoded else str(text or "")


def _dicts(value: Any) -> list[dict[str, Any]]:
    """Return the elements of that name: XML does not tell one from a list of one."""
    return [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, dict)]
