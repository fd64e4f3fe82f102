"""The conversation with a mail server (RFC 5321).

The errors are those of smtplib. Its client is not used: it accepts only 250 as success, loses what a server said before
it closed the connection, and logs in with ASCII only.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import smtplib
import socket
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from spiffproxy_http.hiding import hide
from spiffproxy_http.sockets import seconds_until

from connector_smtp.connection import connect, wrap_tls
from connector_smtp.errors import NOT_SMTP
from connector_smtp.outcomes import WrongPassword

if TYPE_CHECKING:
    from connector_smtp.bearer import TokenLogin

GOODBYE_SECONDS = 2
MAX_REPLY_BYTES = 64 * 1024
MAX_COMMAND = 510  # of a line without its end (RFC 5321 section 4.5.3.1.4)
CHUNK_BYTES = 16 * 1024  # one record of TLS
NOT_IMPLEMENTED = {500, 502, 504}
# the server does not support a mechanism, or requires another; user and password may be right
NOT_THIS_MECHANISM = {500, 501, 502, 504, 534, 538}
ALREADY_LOGGED_IN = 503
WRONG_LOGIN = 535
TOKEN_MECHANISMS = ["XOAUTH2", "OAUTHBEARER"]  # the first that the server offers is used
CLOSING = 421
# if a server refuses and then sends nothing more, the refusal is reported
REFUSALS = (smtplib.SMTPHeloError, smtplib.SMTPAuthenticationError, smtplib.SMTPRecipientsRefused)
SILENCE = (smtplib.SMTPServerDisconnected, socket.timeout)


class Reply(NamedTuple):
    code: int
    words: bytes

    @property
    def is_positive(self) -> bool:
        """Of an unknown code, the first digit counts (RFC 5321 section 4.3.2)."""
        return self.code // 100 == 2

    @property
    def is_intermediate(self) -> bool:
        return self.code // 100 == 3


class Session:
    """A connection that is closed at the end of a `with`; a failure after the deadline is a `TimeoutError`."""

    def __init__(self, host: str, port: int, helo_name: str, deadline: float) -> None:
        self._host, self._port, self._helo_name = host, port, helo_name
        self._deadline = self._reply_deadline = deadline
        self._received = b""
        self._has_greeting = False  # or the start of one
        self._uses_tls = False  # from the start
        self._send_error: OSError | None = None
        self._extensions: dict[str, str] = {}
        self._secrets: list[str] = []  # which a server may repeat, and no message may have
        self._socket: socket.socket = connect(host, port, deadline)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        self._socket.close()
        is_late = isinstance(error, socket.timeout) or time.monotonic() >= self._deadline
        if is_late and isinstance(error, (OSError, ValueError)) and not isinstance(error, REFUSALS):
            raise TimeoutError(self._describe_timeout()) from None

    # --- from the greeting to QUIT ---

    def open(self, *, use_tls: bool) -> None:
        """Read the greeting, with `use_tls` after the TLS handshake, and send EHLO."""
        self._uses_tls = use_tls
        if use_tls:
            self._start_handshake()
        try:
            reply = self._read_reply()
        except smtplib.SMTPResponseException as error:
            raise smtplib.SMTPConnectError(error.smtp_code, error.smtp_error) from None
        if not reply.is_positive:
            raise smtplib.SMTPConnectError(*reply)
        self._send_ehlo()

    def start_tls(self) -> None:
        if "STARTTLS" not in self._extensions:
            hint = "Set smtp_starttls to false, or use smtp_ssl with port 465."
            raise smtplib.SMTPNotSupportedError(f"The server does not offer STARTTLS. {hint}")
        reply = self._command("STARTTLS")
        if not reply.is_positive:
            raise smtplib.SMTPResponseException(*reply)
        self._received = b""  # before TLS, an attacker may have sent it (RFC 3207 section 4.2)
        self._start_handshake()
        self._send_ehlo()

    def log_in(self, user: str, password: str) -> None:
        """Try the mechanisms that both sides support; if the server refuses one, it may accept the next."""
        self._secrets += [password, encode(password.encode()), encode(f"\0{user}\0{password}".encode())]
        mechanisms = self._find_offered(list_password_mechanisms(user + password), "smtp_password")
        failures: list[Reply] = []
        for mechanism in mechanisms:
            try:
                reply = self._authenticate(mechanism, user.encode(), password.encode())
            except SILENCE:
                if not failures:
                    raise
                break
            if reply.is_positive or (reply.code == ALREADY_LOGGED_IN and not failures):
                return
            failures.append(reply)
            if reply.code == CLOSING:
                break
        about_login = [reply for reply in failures if reply.code not in NOT_THIS_MECHANISM]
        refusal = (about_login or failures)[-1]
        error_class = WrongPassword if refusal.code == WRONG_LOGIN else smtplib.SMTPAuthenticationError
        raise error_class(*refusal)

    def log_in_with_token(self, login: TokenLogin) -> None:
        """Log in with an access token, and if the server does not accept it, once more with a new one."""
        mechanism = self._find_offered(TOKEN_MECHANISMS, "smtp_oauth2")[0]
        try:
            self._send_token(mechanism, login)
        except smtplib.SMTPAuthenticationError as refusal:
            if refusal.smtp_code < 500 or not login.renew():
                raise
            try:
                self._send_token(mechanism, login)
            except SILENCE:
                raise refusal from None

    def send(
        self, message: bytes, sender: str, recipients: list[str], *, use_utf8: bool
    ) -> dict[str, tuple[int, bytes]]:
        """Send a message and return the recipients that were refused; raise an error if all were."""
        options = [f"SIZE={len(message)}"] if "SIZE" in self._extensions else []
        if use_utf8:
            if "SMTPUTF8" not in self._extensions:
                raise smtplib.SMTPNotSupportedError("The server does not accept addresses beyond ASCII (SMTPUTF8).")
            options += ["SMTPUTF8", "BODY=8BITMIME"]
        reply = self._command(" ".join([f"MAIL FROM:<{sender}>", *options]))
        if not reply.is_positive:
            raise smtplib.SMTPSenderRefused(*reply, sender)
        refused = self._name_recipients(recipients)
        reply = self._command("DATA")
        if not reply.is_intermediate:
            raise smtplib.SMTPDataError(*reply)
        self._send(encode_data(message))
        reply = self._read_reply()
        if not reply.is_positive:
            raise smtplib.SMTPDataError(*reply)
        return refused

    def leave(self) -> None:
        """Send QUIT. The server has accepted the message, so its reply to QUIT does not matter."""
        self._reply_deadline = time.monotonic() + GOODBYE_SECONDS
        with suppress(OSError, ValueError):
            self._command("QUIT")

    # --- steps of these methods ---

    def _describe_timeout(self) -> str:
        if self._has_greeting:
            return "The mail server did not accept the message in time"
        hint = "" if self._uses_tls else " A port with TLS from the start needs smtp_ssl."
        return f"{self._host} port {self._port} sent no greeting. Is it a mail server?{hint}"

    def _start_handshake(self) -> None:
        self._socket.settimeout(seconds_until(self._deadline))
        self._socket = wrap_tls(self._socket, self._host, self._port)

    def _send_ehlo(self) -> None:
        """Send EHLO, or HELO if the server does not support EHLO."""
        reply = self._command(f"EHLO {self._helo_name}")
        self._extensions = read_extensions(reply) if reply.is_positive else {}
        if reply.is_positive:
            return
        if reply.code == CLOSING:
            raise smtplib.SMTPHeloError(*reply)
        try:
            second = self._command(f"HELO {self._helo_name}")
        except SILENCE:
            raise smtplib.SMTPHeloError(*reply) from None
        if not second.is_positive:
            raise smtplib.SMTPHeloError(*(second if reply.code in NOT_IMPLEMENTED else reply))

    def _find_offered(self, mechanisms: list[str], parameter: str) -> list[str]:
        """Return the mechanisms that the server offers; raise an error if it offers none of them."""
        if "AUTH" not in self._extensions:
            hint = f"Leave smtp_user and {parameter} empty."
            if not isinstance(self._socket, ssl.SSLSocket):  # many servers offer it only after TLS
                hint = f"Set smtp_starttls or smtp_ssl, or leave smtp_user and {parameter} empty."
            raise smtplib.SMTPNotSupportedError(f"The server does not offer a login (AUTH). {hint}")
        offered = self._extensions["AUTH"].strip()
        found = [mechanism for mechanism in mechanisms if mechanism in offered.upper().split()]
        if not found:
            raise smtplib.SMTPException(
                f"The proxy supports none of the login mechanisms that the server offers: {offered or 'none'}."
            )
        return found

    def _authenticate(self, mechanism: str, user: bytes, password: bytes) -> Reply:
        """Return the last reply to AUTH (RFC 4954)."""
        if mechanism == "CRAM-MD5":
            reply = self._command("AUTH CRAM-MD5")
            if reply.is_intermediate:
                reply = self._command(answer_challenge(reply.words, user, password))
        else:
            responses = [b"\0%b\0%b" % (user, password)] if mechanism == "PLAIN" else [user, password]
            first = f"AUTH {mechanism} {encode(responses[0])}"
            if len(first) > MAX_COMMAND:
                first = f"AUTH {mechanism}"
            elif mechanism == "LOGIN":
                del responses[0]  # PLAIN stays: some servers ask again for what came with the command
            reply = self._command(first)
            for response in responses:
                if reply.is_intermediate:
                    reply = self._command(encode(response))
        return self._command("*") if reply.is_intermediate else reply

    def _send_token(self, mechanism: str, login: TokenLogin) -> None:
        """Send an access token; raise SMTPAuthenticationError with the server's words if it does not accept it."""
        response = login.encode_response(mechanism, self._host, self._port)
        self._secrets += [login.token, response]
        first = f"AUTH {mechanism} {response}"
        is_sent = len(first) <= MAX_COMMAND
        reply = self._command(first if is_sent else f"AUTH {mechanism}")
        if reply.is_intermediate and not (is_sent and reply.words):
            reply = self._command(response)  # some servers ask again for what came with the command
        reason = b""
        if reply.is_intermediate:  # a refusal, whose code follows after this response (RFC 7628 section 3.2.3)
            reason = reply.words
            try:
                reply = self._command("" if mechanism == "XOAUTH2" else encode(b"\x01"))
            except SILENCE:
                reply = Reply(WRONG_LOGIN, b"")
        if reply.is_intermediate:
            reply = self._command("*")
        if not reply.is_positive:
            words = login.describe_refusal(reply.words, reason)
            raise smtplib.SMTPAuthenticationError(reply.code, words)

    def _name_recipients(self, recipients: list[str]) -> dict[str, tuple[int, bytes]]:
        refused: dict[str, tuple[int, bytes]] = {}
        for recipient in recipients:
            try:
                reply = self._command(f"RCPT TO:<{recipient}>")
            except SILENCE:
                if refused:
                    raise smtplib.SMTPRecipientsRefused(refused) from None
                raise
            if not reply.is_positive:
                refused[recipient] = reply
            if reply.code == CLOSING:
                raise smtplib.SMTPRecipientsRefused(refused)
        if len(refused) == len(recipients):
            raise smtplib.SMTPRecipientsRefused(refused)
        return refused

    # --- lines ---

    def _command(self, line: str) -> Reply:
        if re.search(r"[\r\n\0]", line):
            raise ValueError("a command contains a line break")  # whatever was checked before
        self._send(line.encode() + b"\r\n")
        return self._read_reply()

    def _send(self, data: bytes) -> None:
        """Send bytes. If that fails, the server may have said why before it closed: _read_reply() finds out."""
        view = memoryview(data)
        try:
            for start in range(0, len(data), CHUNK_BYTES):
                self._socket.settimeout(seconds_until(self._reply_deadline))
                self._socket.sendall(view[start : start + CHUNK_BYTES])
        except socket.timeout:
            raise
        except OSError as error:
            self._send_error = error

    def _read_reply(self) -> Reply:
        """Return a reply, the words of its lines with LF between them (RFC 5321 section 4.2)."""
        lines = []
        size = 0
        while True:
            line = self._read_line()
            size += len(line)
            if size > MAX_REPLY_BYTES:
                raise smtplib.SMTPResponseException(500, "Line too long.")
            if not re.match(rb"[0-9]{3}(?![0-9])", line):
                raise smtplib.SMTPResponseException(NOT_SMTP, self._hide_secrets(line.strip()))
            lines.append(self._hide_secrets(line[3:].lstrip(b" -").strip()))
            if line[3:4] != b"-":
                break
        reply = Reply(int(line[:3]), b"\n".join(lines))
        if self._send_error and reply.code < 400:
            raise disconnected(self._send_error)  # the reply is to an earlier command
        return reply

    def _hide_secrets(self, words: bytes) -> bytes:
        return hide(words.decode("utf-8", "surrogateescape"), self._secrets).encode("utf-8", "surrogateescape")

    def _read_line(self) -> bytes:
        """Return a line, or the start of a line if the server closed the connection."""
        while b"\n" not in self._received and len(self._received) <= MAX_REPLY_BYTES:
            try:
                self._socket.settimeout(seconds_until(self._reply_deadline))
                received = self._socket.recv(4096)
            except socket.timeout:
                raise
            except OSError as error:
                raise disconnected(error) from None
            if not received and not self._received:
                raise disconnected(self._send_error)
            if not received:
                break
            self._received += received
            self._has_greeting = True
        line, newline, self._received = self._received.partition(b"\n")
        return line + newline


def read_extensions(reply: Reply) -> dict[str, str]:
    """Return the parameters of each extension, by keyword; `AUTH=LOGIN` is an old way to write `AUTH LOGIN`."""
    extensions: dict[str, str] = {}
    for line in reply.words.decode("latin-1").split("\n")[1:]:
        keyword, _, parameters = re.sub(r"[ =]", " ", line, count=1).partition(" ")
        extensions[keyword.upper()] = f"{extensions.get(keyword.upper(), '')} {parameters}"
    return extensions


def list_password_mechanisms(login: str) -> list[str]:
    """Return the mechanisms that the proxy supports, the first choice first."""
    known = ["PLAIN", "LOGIN"]
    if has_md5() and login.isascii():
        known.insert(0, "CRAM-MD5")
    elif has_md5():
        known.append("CRAM-MD5")  # the last: RFC 2195 names no charset, RFC 4616 names UTF-8
    return known


def has_md5() -> bool:
    """Return whether this Python may use MD5; in FIPS mode it may not."""
    try:
        hmac.new(b"", b"", "md5")
    except ValueError:
        return False
    return True


def answer_challenge(words: bytes, user: bytes, password: bytes) -> str:
    """Return the response of CRAM-MD5 (RFC 2195), or `*`, which cancels the login, if the challenge is invalid."""
    try:
        challenge = base64.b64decode(words)
    except binascii.Error:
        return "*"
    return encode(user + b" " + hmac.new(password, challenge, "md5").hexdigest().encode())


def encode(response: bytes) -> str:
    return base64.b64encode(response).decode()


def encode_data(message: bytes) -> bytes:
    """Return a message as it follows DATA: a line with a dot alone ends it (RFC 5321 section 4.5.2)."""
    end = b"" if message.endswith(b"\r\n") else b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", message) + end + b".\r\n"


def disconnected(error: OSError | None) -> smtplib.SMTPServerDisconnected:
    return smtplib.SMTPServerDisconnected("The server closed the connection" + (f": {error}" if error else ""))
