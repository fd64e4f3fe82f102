"""The error codes of the commands.

`<status>` in a code stands for the digits of a status: one entry for HttpError400, HttpError404 and the others.
"""

from __future__ import annotations

from spiffproxy_http.errors import NO_RESPONSE, NO_RESPONSE_HEADERS

SHARED_ERRORS = {
    "HttpError<status>": "the upstream answered with this status, 400 or above",
    "InvalidHeader": "a header is no text, or has a line break; the message names it",
    "TooManyRedirects": "there were more than 30 redirects",
    "OAuth2Error": "the token endpoint of oauth2 gave no access token; the message has its words",
}
HEAD_ERRORS = {**SHARED_ERRORS, **NO_RESPONSE_HEADERS}
GET_ERRORS = {
    **SHARED_ERRORS,
    **NO_RESPONSE,
    "JSONDecodeError": "the response is not valid JSON, although its content type or response_format says so",
    "ExpatError": "the response is not valid XML, although its content type or response_format says so",
}
DATA_ERRORS = {**GET_ERRORS, "InvalidJSONError": "the data cannot be written as JSON"}
