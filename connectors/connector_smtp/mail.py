"""What the commands share: a message is composed and handed to a server, and the outcome is reported."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from spiffworkflow_connector_command.command_interface import CommandErrorDict, ConnectorCommand

from connector_smtp.addresses import read_addresses
from connector_smtp.errors import ERRORS, SentToSome
from connector_smtp.message import compose
from connector_smtp.outcomes import describe_error, find_error_code, find_http_status
from connector_smtp.session import Session
from connector_smtp.values import read_helo_name, read_host, read_login, read_port

if TYPE_CHECKING:
    from spiffworkflow_connector_command.command_interface import CommandResultDictV1, ConnectorProxyResponseDict

JSON = "application/json"
TIMEOUT_SECONDS = 40  # for a command; SpiffArena waits 45


class Email(ConnectorCommand):
    """A version 1 command. Commands are dataclasses that take some of these parameters.

    :param smtp_user: empty if the server asks for no login
    :param smtp_starttls: true encrypts by STARTTLS, and sends nothing if the server does not offer it
    :param smtp_ssl: true is TLS from the start, as on port 465
    :param email_to: addresses with commas between them, or a list of them; with names as in "Jane <jane@example.org>"
    :param email_from: one address
    :param email_cc: as email_to
    :param email_bcc: as email_to, and nobody else sees it
    :param email_reply_to: as email_to
    :param email_html: the same as email_body, in HTML
    :param email_attachments: a list of SpiffArena's file data, or of objects with filename, content_base64 and mimetype
    """

    smtp_host: str
    smtp_port: int
    email_subject: str
    email_body: str
    email_to: str
    email_from: str
    smtp_user: str | None = None
    smtp_password: str | None = None
    smtp_starttls: bool | None = None
    smtp_ssl: bool | None = None
    email_cc: Any = None
    email_bcc: Any = None
    email_reply_to: Any = None
    email_html: str | None = None
    email_attachments: Any = None

    def execute(self, config: Any, task_data: Any) -> CommandResultDictV1 | ConnectorProxyResponseDict:
        """Return status 200 and `{}`, or `{"error": …}`, whatever happens: the diagram looks at it."""
        try:
            self.send(config)
        except (OSError, ValueError) as error:  # all of smtplib and ssl are OSErrors
            return {"response": {"error": describe_error(error)}, "status": 200, "mimetype": JSON}
        return {"response": {}, "status": 200, "mimetype": JSON}

    def send(self, config: Any) -> None:
        """Send the message; raise OSError, as all of smtplib and ssl do, or ValueError for what cannot be sent."""
        deadline = time.monotonic() + float(config.get("CONNECTOR_PROXY_SMTP_TIMEOUT") or TIMEOUT_SECONDS)
        # 1. what is sent
        to = read_addresses("email_to", self.email_to)
        cc = read_addresses("email_cc", self.email_cc)
        bcc = read_addresses("email_bcc", self.email_bcc)
        reply_to = read_addresses("email_reply_to", self.email_reply_to)
        senders = read_addresses("email_from", self.email_from)
        if len(senders) != 1:
            raise ValueError(f"email_from must be one address, not {len(senders)}")
        if not to + cc + bcc:
            raise ValueError("email_to names no recipient")
        message = compose(
            subject=self.email_subject,
            body=self.email_body,
            sender=senders[0],
            to=to,
            cc=cc,
            reply_to=reply_to,
            html=self.email_html,
            attachments=self.email_attachments,
        )
        recipients = list(dict.fromkeys(mailbox.address for mailbox in to + cc + bcc))
        shown = [mailbox.address for mailbox in senders + reply_to]
        # 2. how
        host, port, helo_name = read_host(self.smtp_host), read_port(self.smtp_port), read_helo_name(config)
        user, password = read_login("smtp_user", self.smtp_user), read_login("smtp_password", self.smtp_password)
        # 3. the conversation
        with Session(host, port, helo_name, deadline) as session:
            session.open(use_tls=bool(self.smtp_ssl))
            if self.smtp_starttls and not self.smtp_ssl:
                session.start_tls()
            if user and password:
                session.log_in(user, password)
            use_utf8 = not "".join(recipients + shown).isascii()
            refused = session.send(message, senders[0].address, recipients, use_utf8=use_utf8)
            session.leave()
        if refused:
            raise SentToSome(refused)


class EmailV2(Email):
    """A version 2 command: a failure is an error that a boundary event catches by the name of its exception."""

    errors = ERRORS

    def execute(self, config: Any, task_data: Any) -> ConnectorProxyResponseDict:
        """Return an `http_status` by which SpiffArena knows whether to try again."""
        status, failure = 200, None
        try:
            self.send(config)
        except (OSError, ValueError) as error:
            status = find_http_status(error)
            failure = CommandErrorDict(error_code=find_error_code(error), message=describe_error(error))
        return {
            "command_response": {"body": {}, "mimetype": JSON, "http_status": status},
            "command_response_version": 2,
            "error": failure,
            "spiff__logs": [],
        }
