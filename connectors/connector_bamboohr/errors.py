"""The error codes and their meanings, and what BambooHR says about a request that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiffproxy_http.errors import NO_RESPONSE
from spiffproxy_http.vendor import Vendor, advise_retry, code_of_status

if TYPE_CHECKING:
    from spiffproxy_http import Response

ERRORS = {
    **NO_RESPONSE,
    "HttpError400": "BambooHR refuses the request; the message has BambooHR's words",
    "HttpError401": "the API key is not valid; create a new key in BambooHR",
    "HttpError403": "the owner of the key may not see the employee, or may not use the API; use another key",
    "HttpError404": "there is no such employee, or no such subdomain; correct employee_id or subdomain",
    "HttpError429": "there were too many calls; the message says when to try again",
    "HttpError500": "BambooHR has a fault; try again",
    "HttpError503": "BambooHR is busy, or there were too many calls; the message says when to try again",
    "UnexpectedAnswer": "the response is not what BambooHR documents; ask the operator of the proxy",
}
PAY_RATE_ERRORS = {**ERRORS, "NoPayRate": "the employee has no pay rate, or the owner of the key may not see it"}
# the statuses whose meaning says more than BambooHR's words
EXPLAINED = {401, 403, 404}


def explain(response: Response) -> tuple[str, list[str]]:
    """Return the code of an error response, BambooHR's words, the meaning of the code, and when to try again."""
    code = code_of_status(response.status, ERRORS)
    words = [(response.headers.get("X-BambooHR-Error-Message") or "")[:1000]]
    if response.status in EXPLAINED:
        words.append(ERRORS[code])
    if response.status in (429, 503):
        words.append(advise_retry(response))
    return code, words


BAMBOOHR = Vendor("BambooHR", ". Check CONNECTOR_PROXY_BAMBOOHR_URL", explain)
