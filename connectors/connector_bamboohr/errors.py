"""What the codes mean, and what BambooHR says of a request that failed, in its own words where it has any."""

from __future__ import annotations

from spiffproxy_http.errors import NO_RESPONSE
from spiffproxy_http.vendor import Refusal, Vendor

ERRORS = {
    **NO_RESPONSE,
    "HttpError400": "BambooHR does not take the request; the message has its words",
    "HttpError401": "the API key is not valid",
    "HttpError403": "whose key it is may not see the employee, or may not use the API",
    "HttpError404": "there is no such employee, or no such subdomain",
    "HttpError429": "there were more calls than BambooHR takes",
    "HttpError500": "BambooHR has a fault",
    "HttpError503": "BambooHR is busy, or there were more calls than it takes",
    "UnexpectedAnswer": "the answer is not what BambooHR documents",
}
PAY_RATE_ERRORS = {**ERRORS, "NoPayRate": "the employee has no pay rate, or whose key it is may not see it"}
_ADVICE = {401, 403, 404}  # where what the code means says more than BambooHR


def _read_refusal(refusal: Refusal) -> tuple[str, list[str]]:
    status, code = refusal.status, refusal.find_code(ERRORS)
    words = [refusal.headers.get("x-bamboohr-error-message", "")[:1000], ERRORS[code] if status in _ADVICE else ""]
    return code, [*words, refusal.say_when() if status in (429, 503) else ""]


BAMBOOHR = Vendor("BambooHR", "; is CONNECTOR_PROXY_BAMBOOHR_URL right?", _read_refusal)
