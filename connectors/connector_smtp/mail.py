"""What the commands of this connector share: a message is composed and handed to a server."""

from __future__ import annotations

import smtplib
import socket
import ssl
from contextlib import closing, suppress
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING, Any

from spiffworkflow_connector_command.command_interface import CommandErrorDict, ConnectorCommand

if TYPE_CHECKING:
    from spiffworkflow_connector_command.command_interface import CommandResultDictV1, ConnectorProxyResponseDict

_JSON = "application/json"
_SECONDS = 40  # SpiffArena waits 45 for a command


class _SentToSome(smtplib.SMTPRecipientsRefused):
    """Refused for some recipients; to send the message again would send it to the others twice."""


class Email(ConnectorCommand):
    """A version 1 command. Commands are dataclasses with these parameters."""

    smtp_host: str
    smtp_port: int
    email_subject: str
    email_body: str
    email_to: str
    email_from: str
    smtp_user: str | None = None
    smtp_password: str | None = None
    smtp_starttls: bool | None = None

    def execute(self, config: Any, task_data: Any) -> CommandResultDictV1 | ConnectorProxyResponseDict:
        """Return status 200 and `{}`, or `{"error": …}`, whatever happens: the diagram looks at it."""
        try:
            self.send(config)
        except (OSError, ValueError) as error:  # SMTPException is an OSError
            return {"response": {"error": describe(error)}, "status": 200, "mimetype": _JSON}
        return {"response": {}, "status": 200, "mimetype": _JSON}

    def send(self, config: Any) -> None:
        """Send the message; raise OSError, as all of smtplib and ssl do, or ValueError for a bad header."""
        message = self._compose()
        timeout = float(config.get("CONNECTOR_PROXY_SMTP_TIMEOUT") or _SECONDS)
        # without a name of our own given, smtplib asks DNS for it
        name = socket.gethostname() if "." in socket.gethostname() else "[127.0.0.1]"
        with closing(smtplib.SMTP(self.smtp_host, self.smtp_port, local_hostname=name, timeout=timeout)) as server:
            if self.smtp_starttls:
                server.starttls(context=ssl.create_default_context())
            if self.smtp_user and self.smtp_password:
                server.login(self.smtp_user, self.smtp_password)
            refused = server.send_message(message)
            with suppress(OSError):  # what is sent is sent, whatever the server says to our leaving
                server.quit()
        if refused:
            raise _SentToSome(refused)

    def _compose(self) -> EmailMessage:
        headers = {"Subject": self.email_subject, "From": self.email_from, "To": self.email_to}
        message = EmailMessage()
        for name, value in headers.items():
            if "\n" in value or "\r" in value:
                raise ValueError(f"email_{name.lower()} holds a line break")
            message[name] = value
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain="spiffproxy.invalid")  # without a domain it would ask DNS, too
        message.set_content(self.email_body)
        return message


class EmailV2(Email):
    """A version 2 command: a failure is an error that a boundary event catches by the name of its exception."""

    def execute(self, config: Any, task_data: Any) -> ConnectorProxyResponseDict:
        """Return an `http_status` by which SpiffArena knows whether to try again."""
        status, failure = 200, None
        try:
            self.send(config)
        except (OSError, ValueError) as error:
            status, failure = (
                _http_status(error),
                CommandErrorDict(error_code=_error_code(error), message=describe(error)),
            )
        return {
            "command_response": {"body": {}, "mimetype": _JSON, "http_status": status},
            "command_response_version": 2,
            "error": failure,
            "spiff__logs": [],
        }


def describe(error: Exception) -> str:
    """Return what an author can act on: of a refusal, the server's own words."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        replies = [f"{name} ({code} {_text(reply)})" for name, (code, reply) in error.recipients.items()]
        sent = "sent, but not to" if isinstance(error, _SentToSome) else "not sent; the server refused"
        return f"The message was {sent} {', '.join(replies)}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"The server answered {error.smtp_code} {_text(error.smtp_error)}"
    return str(error) or type(error).__name__


def _text(reply: bytes | str) -> str:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply


def _error_code(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "SMTPRecipientsRefused"
    return "TimeoutError" if isinstance(error, socket.timeout) else type(error).__name__  # `timeout` on 3.9


def _http_status(error: Exception) -> int:
    """Return 503 for what another try may mend, 422 for what it will not, 400 for what the author has to."""
    if isinstance(error, (_SentToSome, smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError)):
        return 422
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return 503 if any(code < 500 for code, _ in error.recipients.values()) else 422
    if isinstance(error, smtplib.SMTPResponseException):
        return 503 if error.smtp_code < 500 else 422
    return 503 if isinstance(error, OSError) else 400
