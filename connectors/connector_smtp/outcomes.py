"""The error code and the message of a failure, and whether another attempt may help."""

from __future__ import annotations

import smtplib
import socket
import ssl

from connector_smtp.connection import create_tls_context
from connector_smtp.errors import ERRORS, NOT_SMTP, TokenError

MAX_WORDS = 300  # characters of what a server says
UNKNOWN_AUTHORITY = {18, 19, 20, 21}  # X509_V_ERR_…: self-signed, or an issuer that is not known


class SentToSome(smtplib.SMTPRecipientsRefused):
    """Refused for some recipients; sending the message again would send it to the other recipients twice."""


class WrongPassword(smtplib.SMTPAuthenticationError):
    """Refused with the code of a wrong user or password."""


def describe_error(error: Exception) -> str:
    """Return the message; for a refusal, it has the server's own words."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        replies = [f"{name} ({code} {read_words(reply)})" for name, (code, reply) in error.recipients.items()]
        sent = "sent, but not to" if isinstance(error, SentToSome) else "not sent; the server refused"
        return f"The message was {sent} {', '.join(replies)}"
    if isinstance(error, smtplib.SMTPResponseException):
        words = read_words(error.smtp_error)
        if error.smtp_code == NOT_SMTP:
            return f"The server's reply is not SMTP: {words}"
        hint = "smtp_user or smtp_password is wrong. " if isinstance(error, WrongPassword) else ""
        return f"{hint}The server answered {error.smtp_code} {words}"
    if isinstance(error, ssl.SSLCertVerificationError):
        message = f"The server's certificate is not trusted: {error.verify_message}"
        if error.verify_code in UNKNOWN_AUTHORITY:
            message += f". The proxy trusts the CA certificates in {create_tls_context()[1]} (SSL_CERT_FILE)"
        return message
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def read_words(reply: bytes | str) -> str:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]}…"


def find_error_code(error: Exception) -> str:
    """Return the name of the first class of an exception that is in `ERRORS`; OSError and ValueError are."""
    if isinstance(error, TokenError):
        return error.error_code
    if isinstance(error, socket.timeout):
        return "TimeoutError"  # the same class from Python 3.10 on
    return next(cls.__name__ for cls in type(error).__mro__ if cls.__name__ in ERRORS)


def find_http_status(error: Exception) -> int:
    """Return 503 if another attempt may help, 422 if not, 400 for the author's mistakes, 500 for the operator's."""
    if isinstance(error, TokenError):
        return error.http_status
    if isinstance(error, (SentToSome, smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError)):
        return 422
    if type(error) is smtplib.SMTPException:  # no way to log in that both sides support
        return 422
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return 503 if any(code < 500 for code, _ in error.recipients.values()) else 422
    if isinstance(error, smtplib.SMTPResponseException):
        return 503 if error.smtp_code < 500 else 422
    return 503 if isinstance(error, OSError) else 400
