"""The codes that the commands answer with."""

from __future__ import annotations

# Xero's own
XERO_ERRORS = {
    "ValidationException": "Xero does not take the invoice; the message has its words",
    "PostDataInvalidException": "Xero cannot read the invoice; the message has its words",
    "invalid_grant": "the refresh token was used before, is too old, or was withdrawn; sign in again",
    "invalid_client": "the proxy has no client id and secret, or the wrong ones; ask its operator",
    "invalid_scope": "Xero does not give the app a right that it asks for",
    "unauthorized_client": "Xero does not let the app refresh tokens",
}
