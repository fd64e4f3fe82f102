"""The error codes of the commands.

`<status>` in a code stands for the digits of a status: one entry for HttpError400, HttpError404 and the others.
"""

from __future__ import annotations

from spiffproxy_http.errors import NO_RESPONSE, NO_RESPONSE_HEADERS

SHARED_ERRORS = {
    "HttpError<status>": "the upstream responded with this status, 400 or above; the message quotes the response",
    "InvalidHeader": "a header is not a string, or has an invalid character; correct what the message names",
    "TooManyRedirects": "there were more than 30 redirects; use the URL that they should lead to",
    "OAuth2Error": "the token endpoint of oauth2 gave no access token; the message has the provider's words",
}
HEAD_ERRORS = {**SHARED_ERRORS, **NO_RESPONSE_HEADERS}
GET_ERRORS = {
    **SHARED_ERRORS,
    **NO_RESPONSE,
    "JSONDecodeError": "the response is not valid JSON, although its content type or response_format says so; "
    "use the response_format text",
    "ExpatError": "the response is not valid XML, although its content type or response_format says so; "
    "use the response_format text",
}
DATA_ERRORS = {**GET_ERRORS, "InvalidJSONError": "data cannot be written as JSON; correct it as the message says"}
