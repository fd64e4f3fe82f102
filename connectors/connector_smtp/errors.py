"""The codes of version 2, which are names of exceptions. What the server says is in the message."""

from __future__ import annotations

ERRORS = {
    "ValueError": "an address, a text or an attachment is none; the message names the parameter",
    "gaierror": "there is no such mail server",
    "ConnectionRefusedError": "nobody listens at the host and port",
    "ConnectionResetError": "the connection was broken off",
    "OSError": "there is no way to the server, or the network failed",
    "TimeoutError": "the server did not take the message within the time",
    "SSLError": "TLS failed; does the port speak it from the start, or by STARTTLS?",
    "SSLCertVerificationError": "the server's certificate is not trusted",
    "SMTPServerDisconnected": "the server closed the connection",
    "SMTPConnectError": "the server does not want to talk, now or at all",
    "SMTPHeloError": "the server does not take the proxy's greeting",
    "SMTPResponseException": "the server does not begin TLS",
    "SMTPNotSupportedError": "the server does not offer STARTTLS, a login, or addresses beyond ASCII",
    "SMTPAuthenticationError": "the server does not take user and password",
    "SMTPException": "there is no way to log in that both sides know",
    "SMTPSenderRefused": "the server does not take the sender",
    "SMTPRecipientsRefused": "the server does not take recipients, which the message names; the others may have got it",
    "SMTPDataError": "the server does not take the text, or the whole message",
}
