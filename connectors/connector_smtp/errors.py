"""The error codes of version 2, which are names of exceptions, and an exception for the errors of the HTTP client."""

from __future__ import annotations

NOT_SMTP = -1  # stands for the code of a reply that is not SMTP, as in smtplib

ERRORS = {
    "ValueError": "an address, a string, an attachment or a setting is invalid; correct what the message names",
    "gaierror": "the name of the mail server cannot be resolved; check smtp_host, or try again",
    "ConnectionRefusedError": "the server does not accept connections; check smtp_host and smtp_port, or try again",
    "ConnectionResetError": "the server closed the connection; try again",
    "OSError": "the server cannot be reached, or the network failed; try again",
    "TimeoutError": "the server did not accept the message within the time; try again",
    "SSLError": "TLS failed; use smtp_ssl for a port with TLS from the start, smtp_starttls for others",
    "SSLCertVerificationError": "the server's certificate is not trusted; ask the operator of the proxy",
    "SMTPServerDisconnected": "the server closed the connection; try again",
    "SMTPConnectError": "the server refused the connection; the message has the server's words",
    "SMTPHeloError": "the server refused the proxy's name; ask the operator to set CONNECTOR_PROXY_SMTP_HELO_NAME",
    "SMTPResponseException": "the server refused STARTTLS, or sent a reply that is not SMTP; check smtp_port",
    "SMTPNotSupportedError": "the server does not offer STARTTLS, a login, or addresses beyond ASCII; do without it",
    "SMTPAuthenticationError": "the server refused user and password, or the access token; correct them",
    "OAuth2Error": "the token endpoint of smtp_oauth2 gave no access token; the message has the provider's words",
    "HostNotAllowed": "the operator does not allow requests to the token endpoint of smtp_oauth2; ask the operator",
    "SMTPException": "the server offers no way to log in that the proxy supports; ask the operator of the server",
    "SMTPSenderRefused": "the server refused email_from; the message has the server's words",
    "SMTPRecipientsRefused": "the server refused the recipients that the message names; correct them. "
    "The other recipients may have received the mail",
    "SMTPDataError": "the server refused the content of the mail; the message has the server's words",
}


class TokenError(ValueError):
    """No access token for the login; code and status are those of the HTTP client."""

    def __init__(self, message: str, error_code: str, http_status: int) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.http_status = http_status
