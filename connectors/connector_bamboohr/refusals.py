"""Refusals: what BambooHR says of a request that failed, in its own words where it has any."""

from __future__ import annotations

from connector_http.vendor import Refusal, Vendor

from connector_bamboohr.errors import ERRORS

_ADVICE = {401, 403, 404}  # where what the code means says more than BambooHR


def _read_refusal(refusal: Refusal) -> tuple[str, list[str]]:
    status, code = refusal.status, refusal.find_code(ERRORS)
    words = [refusal.headers.get("x-bamboohr-error-message", "")[:1000], ERRORS[code] if status in _ADVICE else ""]
    return code, [*words, refusal.say_when() if status in (429, 503) else ""]


BAMBOOHR = Vendor("BambooHR", ": it cannot be read", _read_refusal)
