"""The codes that the commands answer with."""

from __future__ import annotations

from connector_http.codes import NO_ANSWER

ERRORS = {
    **NO_ANSWER,
    "ValueError": "a parameter is not what it should be; the message names it",
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
