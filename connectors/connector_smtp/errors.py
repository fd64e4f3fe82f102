"""The codes of version 2, which are names of exceptions, and the exceptions that the standard library does not have."""

from __future__ import annotations

NOT_SMTP = -1  # the code of a reply that is not one, as in smtplib

ERRORS = {
    "ValueError": "an address, a string, an attachment or a setting is invalid; the message names the parameter",
    "gaierror": "the name of the mail server cannot be resolved",
    "ConnectionRefusedError": "the server does not accept connections at this host and port",
    "ConnectionResetError": "the server closed the connection",
    "OSError": "the server cannot be reached, or the network failed",
    "TimeoutError": "the server did not accept the message within the time",
    "SSLError": "TLS failed; does the port speak it from the start, or by STARTTLS?",
    "SSLCertVerificationError": "the server's certificate is not trusted",
    "SMTPServerDisconnected": "the server closed the connection",
    "SMTPConnectError": "the server refused the connection, for now or permanently",
    "SMTPHeloError": "the server refused the proxy's EHLO; CONNECTOR_PROXY_SMTP_HELO_NAME sets the name in it",
    "SMTPResponseException": "the server refused STARTTLS, or a reply of it is not SMTP",
    "SMTPNotSupportedError": "the server does not offer STARTTLS, a login, or addresses beyond ASCII",
    "SMTPAuthenticationError": "the server refused user and password, or the access token",
    "OAuth2Error": "the token endpoint of smtp_oauth2 gave no access token; the message has its words",
    "HostNotAllowed": "the operator's list of hosts does not have the token endpoint of smtp_oauth2",
    "SMTPException": "the server offers no way to log in that the proxy knows",
    "SMTPSenderRefused": "the server refused the sender",
    "SMTPRecipientsRefused": "the server refused recipients, which the message names; the others may have received it",
    "SMTPDataError": "the server refused the content of the message",
}


class TokenError(ValueError):
    """No access token for the login; code and status are those of the HTTP client."""

    def __init__(self, message: str, error_code: str, http_status: int) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.http_status = http_status
