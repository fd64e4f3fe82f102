"""What the commands share: a message is composed, handed to a server within a deadline, and the outcome told."""

from __future__ import annotations

import functools
import smtplib
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from spiffworkflow_connector_command.command_interface import CommandErrorDict, ConnectorCommand

from connector_smtp.errors import ERRORS
from connector_smtp.message import check_login, check_text, compose, encode, read_addresses, read_attachments

if TYPE_CHECKING:
    from email.message import EmailMessage

    from spiffworkflow_connector_command.command_interface import CommandResultDictV1, ConnectorProxyResponseDict

_JSON = "application/json"
_SECONDS = 40  # for a command; SpiffArena waits 45
_GOODBYE_SECONDS = 2


class _SentToSome(smtplib.SMTPRecipientsRefused):
    """Refused for some recipients; to send the message again would send it to the others twice."""


class Email(ConnectorCommand):
    """A version 1 command. Commands are dataclasses that take some of these parameters.

    :param smtp_user: empty where the server asks for no login
    :param smtp_starttls: true encrypts by STARTTLS, and sends nothing where the server does not offer it
    :param smtp_ssl: true is TLS from the start, as on port 465
    :param email_to: addresses with commas between them, or a list of them; "Jane <jane@example.org>" is one, too
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
            return {"response": {"error": _describe(error)}, "status": 200, "mimetype": _JSON}
        return {"response": {}, "status": 200, "mimetype": _JSON}

    def send(self, config: Any) -> None:
        """Send the message; raise OSError, as all of smtplib and ssl do, or ValueError for what cannot be sent."""
        deadline = time.monotonic() + float(config.get("CONNECTOR_PROXY_SMTP_TIMEOUT") or _SECONDS)
        to, cc, bcc = (read_addresses(f"email_{x}", getattr(self, f"email_{x}")) for x in ("to", "cc", "bcc"))
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
            reply_to=read_addresses("email_reply_to", self.email_reply_to),
            html=self.email_html,
            attachments=read_attachments(self.email_attachments),
        )
        recipients = list(dict.fromkeys(address.addr_spec for address in to + cc + bcc))
        self._hand_over(message, senders[0].addr_spec, recipients, deadline)

    def _hand_over(self, message: EmailMessage, sender: str, recipients: list[str], deadline: float) -> None:
        login = [check_login(name, getattr(self, name)) for name in ("smtp_user", "smtp_password")]
        with _Line(self.smtp_host, self.smtp_port, deadline) as line:
            server = line.greet(use_tls=bool(self.smtp_ssl))
            if self.smtp_starttls and not self.smtp_ssl:
                server.starttls(context=_make_context())
            if all(login):
                server.login(*login)
            refused = _send(server, message, sender, recipients)
            line.leave()
        if refused:
            raise _SentToSome(refused)


def _send(
    server: smtplib.SMTP, message: EmailMessage, sender: str, recipients: list[str]
) -> dict[str, tuple[int, bytes]]:
    """Send as smtplib's send_message() does, which does not look at whom to reply to, and return who was refused."""
    replies = [address.addr_spec for address in message["Reply-To"].addresses] if "Reply-To" in message else []
    options = []
    if not "".join([sender, *recipients, *replies]).isascii():
        server.ehlo_or_helo_if_needed()
        if not server.has_extn("smtputf8"):
            raise smtplib.SMTPNotSupportedError("The server takes no address with letters beyond ASCII (SMTPUTF8)")
        options = ["SMTPUTF8", "BODY=8BITMIME"]
    return server.sendmail(sender, recipients, encode(message, utf8=bool(options)), options)


class _Line:
    """A connection to a mail server that is cut at the deadline: replies that drip in are each in time."""

    def __init__(self, host: Any, port: Any, deadline: float) -> None:
        self.host = check_text("smtp_host", host, one_line=True)
        if not self.host or not str(port).isdecimal() or not 1 <= int(port) <= 65535:
            raise ValueError("smtp_host must name a host, and smtp_port be a number from 1 to 65535")
        self._deadline = deadline
        self._socket: socket.socket = _connect(self.host, int(port), deadline)
        self._handle = self._socket.dup()  # stays what it is when TLS takes the other one over
        self._server = smtplib.SMTP(local_hostname=_own_name())
        self._watch = threading.Timer(deadline - time.monotonic(), self._cut)

    def __enter__(self) -> _Line:
        self._watch.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        self._watch.cancel()
        self._server.close()
        self._socket.close()
        self._handle.close()
        if isinstance(error, (OSError, ValueError)) and time.monotonic() >= self._deadline:
            raise TimeoutError("the mail server did not take the message in time") from None

    def leave(self) -> None:
        """Say goodbye: what is sent is sent, whatever the server says to that, if anything."""
        with suppress(OSError, ValueError):
            if self._server.sock:
                self._server.sock.settimeout(_GOODBYE_SECONDS)
            self._server.quit()

    def _cut(self) -> None:
        with suppress(OSError):  # closed already
            self._handle.shutdown(socket.SHUT_RDWR)

    def greet(self, *, use_tls: bool) -> smtplib.SMTP:
        """Start TLS where it is asked for, and read the server's greeting."""
        if use_tls:
            self._socket = _make_context().wrap_socket(self._socket, server_hostname=self.host)
        self._server.sock = self._socket
        self._server._host = self.host  # type: ignore[attr-defined] # whose certificate starttls() asks for
        code, greeting = self._server.getreply()
        if code != 220:
            raise smtplib.SMTPConnectError(code, greeting)
        return self._server


def _own_name() -> str:
    """Return what we call ourselves; smtplib would ask DNS. An address literal will do (RFC 5321 section 4.1.3)."""
    return socket.gethostname() if "." in socket.gethostname() else "[127.0.0.1]"


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """Return a socket, without a timeout of its own, connected to the first address of the host that answers."""
    addresses = _resolve(host, port, deadline)
    for left in range(len(addresses), 0, -1):
        seconds = max(deadline - time.monotonic(), 0.001) / left
        try:
            sock = socket.create_connection((addresses[-left], port), timeout=seconds)
        except OSError as problem:
            error = problem
        else:
            sock.settimeout(None)
            return sock
    if isinstance(error, socket.timeout):
        raise TimeoutError(f"{host} port {port} does not answer") from None
    raise type(error)(error.errno, f"{host} port {port}: {error.strerror or error}")


def _resolve(host: str, port: int, deadline: float) -> list[str]:
    """Look up a name in a thread of its own: getaddrinfo() knows no timeout."""
    found: list[Any] = []

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.append([entry[4][0] for entry in entries])
        except (OSError, ValueError, OverflowError) as error:
            found.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(max(deadline - time.monotonic(), 0))
    if not found:
        raise TimeoutError(f"the name {host} could not be looked up in time")
    if isinstance(found[0], OSError):
        raise type(found[0])(found[0].errno, f"the name {host} cannot be resolved: {found[0].strerror}")
    if isinstance(found[0], Exception):
        raise ValueError(f"smtp_host or smtp_port: {found[0]}")
    return list(dict.fromkeys(found[0]))


@functools.cache
def _make_context() -> ssl.SSLContext:
    """Make the one context of the process: reading all certificate authorities takes 20 ms."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)  # more than many private authorities meet
    return context


class EmailV2(Email):
    """A version 2 command: a failure is an error that a boundary event catches by the name of its exception."""

    errors = ERRORS

    def execute(self, config: Any, task_data: Any) -> ConnectorProxyResponseDict:
        """Return an `http_status` by which SpiffArena knows whether to try again."""
        status, failure = 200, None
        try:
            self.send(config)
        except (OSError, ValueError) as error:
            status = _http_status(error)
            failure = CommandErrorDict(error_code=_error_code(error), message=_describe(error))
        return {
            "command_response": {"body": {}, "mimetype": _JSON, "http_status": status},
            "command_response_version": 2,
            "error": failure,
            "spiff__logs": [],
        }


def _describe(error: Exception) -> str:
    """Return what an author can act on: of a refusal, the server's own words."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        replies = [f"{name} ({code} {_text(reply)})" for name, (code, reply) in error.recipients.items()]
        sent = "sent, but not to" if isinstance(error, _SentToSome) else "not sent; the server refused"
        return f"The message was {sent} {', '.join(replies)}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"The server answered {error.smtp_code} {_text(error.smtp_error)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The server's certificate is not trusted: {error.verify_message}"
    return str(error) or type(error).__name__


def _text(reply: bytes | str) -> str:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply


def _error_code(error: Exception) -> str:
    """Return the first among the classes of an exception that is a code; OSError and ValueError are."""
    if isinstance(error, socket.timeout):
        return "TimeoutError"  # of which it is a name, from Python 3.10 on
    return next(cls.__name__ for cls in type(error).__mro__ if cls.__name__ in ERRORS)


def _http_status(error: Exception) -> int:
    """Return 503 for what another try may mend, 422 for what it will not, 400 for what the author has to."""
    if isinstance(error, (_SentToSome, smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError)):
        return 422
    if type(error) is smtplib.SMTPException:  # no way to log in that both sides know
        return 422
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return 503 if any(code < 500 for code, _ in error.recipients.values()) else 422
    if isinstance(error, smtplib.SMTPResponseException):
        return 503 if error.smtp_code < 500 else 422
    return 503 if isinstance(error, OSError) else 400
