"""The smtp connector, against real servers."""

import base64
import email
import email.policy
import json
import re
import socket
import ssl
import threading
import time

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from conftest import JSON, at_once, free_port, serve_nobody, server_context, start_caller

MESSAGE = {
    "smtp_host": "127.0.0.1",
    "email_subject": "Grüße",
    "email_body": "Hallo,\nWelt",
    "email_to": "to@example.org",
    "email_from": "from@example.org",
}


class Handler:
    """Keeps what it is sent; `replies` overrides what it says to a recipient, a sender or the data."""

    def __init__(self):
        self.envelopes = []
        self.replies = {}
        self.authenticated = 0
        self.said = []

    def authenticate(self, server, session, envelope, mechanism, data):
        self.authenticated += 1
        return AuthResult(success=(data.login, data.password) == (b"user", b"right"), handled=False)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):  # noqa: N802
        session.host_name = self.ehlo = hostname
        self.tls = session.ssl is not None
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802
        reply = self.replies.get(f"from {address}", "250 OK")
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return reply

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        reply = self.replies.get(address, "250 OK")
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.envelopes.append(envelope)
        return self.replies.get("data", "250 OK")

    async def handle_QUIT(self, server, session, envelope):  # noqa: N802
        self.said.append("QUIT")
        return self.replies.get("quit", "221 Bye")


def message_of(handler):
    """Return the one message that a server was sent."""
    (envelope,) = handler.envelopes
    return email.message_from_bytes(envelope.content, policy=email.policy.default)


class ImplicitTls(Controller):
    """A server that speaks TLS from the first byte."""

    def _trigger_server(self):
        """Wait until it is there; the controller does this with the context of the server."""
        context = ssl._create_unverified_context()
        with socket.create_connection((self.hostname, self.port), 5) as plain, context.wrap_socket(plain) as tls:
            tls.recv(100)


@pytest.fixture
def start_mail_server(authority):
    """Return a function that starts a server and returns its handler, with its `port`."""
    controllers = []

    def start(tls=None, kind=Controller, **options):
        handler = Handler()
        handler.port = free_port()
        if kind is Controller and tls:
            options["tls_context"] = tls
        elif tls:
            options["ssl_context"] = tls
        defaults = {"authenticator": handler.authenticate, "auth_require_tls": False}
        controllers.append(kind(handler, "127.0.0.1", handler.port, **{**defaults, **options}))
        controllers[-1].start()
        return handler

    yield start
    for controller in controllers:
        controller.stop()


@pytest.fixture
def mail_server(start_mail_server):
    return start_mail_server()


@pytest.fixture
def make_send(make_app):
    """Return a function that makes one which sends a message and returns the answer."""

    def make(**settings):
        app = make_app(**settings)

        def send(command, port, status=200, **more):
            return app.post_json(f"/v1/do/smtp/{command}", {**MESSAGE, "smtp_port": port, **more}, status=status)

        return send

    return make


@pytest.fixture
def send(make_send):
    return make_send()


def outcome(answer):
    answer = answer.json if hasattr(answer, "json") else answer
    return answer["error"] and answer["error"]["error_code"], answer["command_response"]["http_status"]


def test_the_ids_and_parameters(make_app):
    listed = {entry["id"]: entry["parameters"] for entry in make_app().get("/v1/commands").json}
    first = listed["smtp/SendEmail"]
    assert [(p["id"], p["type"], p["required"]) for p in first] == [
        ("smtp_host", "str", True),
        ("smtp_port", "int", True),
        ("email_subject", "str", True),
        ("email_body", "str", True),
        ("email_to", "str", True),
        ("email_from", "str", True),
        ("smtp_user", "str", False),
        ("smtp_password", "str", False),
        ("smtp_starttls", "bool", False),
    ]
    second = listed["smtp/SendEmailV2"]
    assert second[: len(first)] == first
    more = ["smtp_ssl", "email_cc", "email_bcc", "email_reply_to", "email_html", "email_attachments"]
    assert [(p["id"], p["required"]) for p in second[len(first) :]] == [(name, False) for name in more]


# --- what is sent ---


@pytest.mark.parametrize("command", ["SendEmail", "SendEmailV2"])
def test_a_message_is_sent(send, mail_server, command):
    answer = send(command, mail_server.port)
    (envelope,) = mail_server.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("from@example.org", ["to@example.org"])
    message = message_of(mail_server)
    assert {name: message[name] for name in ("Subject", "From", "To")} == {
        "Subject": "Grüße",
        "From": "from@example.org",
        "To": "to@example.org",
    }
    assert message.get_content().split() == ["Hallo,", "Welt"]
    assert message["Date"]
    assert message["Message-ID"].endswith("@example.org>")
    assert envelope.content.isascii()
    assert "." in mail_server.ehlo
    assert mail_server.said == ["QUIT"]
    if command == "SendEmail":
        assert (answer.json, answer.content_type) == ({}, JSON)
    else:
        assert answer.json == {
            "command_response": {"body": {}, "mimetype": JSON, "http_status": 200},
            "command_response_version": 2,
            "error": None,
            "spiff__logs": [],
        }


@pytest.mark.parametrize("command", ["SendEmail", "SendEmailV2"])
@pytest.mark.parametrize(
    ("to", "recipients", "header"),
    [
        ("a@example.org, b@example.org", ["a@example.org", "b@example.org"], "a@example.org, b@example.org"),
        (["a@example.org", "b@example.org"], ["a@example.org", "b@example.org"], "a@example.org, b@example.org"),
        ('"Doe, Jane" <jane@example.org>', ["jane@example.org"], '"Doe, Jane" <jane@example.org>'),
        ("Jörg <j@example.org>", ["j@example.org"], "Jörg <j@example.org>"),
        ("j@bücher.example", ["j@xn--bcher-kva.example"], "j@xn--bcher-kva.example"),
        ("j@straße.example", ["j@xn--strae-oqa.example"], "j@xn--strae-oqa.example"),
        (" a@example.org, ", ["a@example.org"], "a@example.org"),
    ],
)
def test_recipients(send, mail_server, command, to, recipients, header):
    assert not send(command, mail_server.port, email_to=to).json.get("error")
    assert mail_server.envelopes[0].rcpt_tos == recipients
    assert str(message_of(mail_server)["To"]) == header


@pytest.mark.parametrize("parameter", ["email_to", "email_cc", "email_bcc", "email_from", "email_reply_to"])
def test_a_local_part_beyond_ascii(send, start_mail_server, parameter):
    """Takes a server that knows SMTPUTF8."""
    plain, international = start_mail_server(enable_SMTPUTF8=False), start_mail_server(enable_SMTPUTF8=True)
    more = {parameter: "Jörg <jörg@bücher.example>"}
    answer = send("SendEmailV2", plain.port, **more)
    assert outcome(answer) == ("SMTPNotSupportedError", 422)
    assert answer.json["error"]["message"] == "The server takes no address with letters beyond ASCII (SMTPUTF8)"
    assert plain.envelopes == []
    assert outcome(send("SendEmailV2", international.port, **more)) == (None, 200)
    (envelope,) = international.envelopes
    address = "jörg@xn--bcher-kva.example"
    assert "SMTPUTF8" in envelope.mail_options
    assert (envelope.mail_from == address) == (parameter == "email_from")
    assert (address in envelope.rcpt_tos) == (parameter in ("email_to", "email_cc", "email_bcc"))
    assert (address.encode() in envelope.content) == (parameter != "email_bcc")


@pytest.mark.parametrize("parameter", ["email_to", "email_cc", "email_from", "email_reply_to"])
def test_a_domain_and_a_name_beyond_ascii(send, start_mail_server, parameter):
    """Go to any server."""
    server = start_mail_server(enable_SMTPUTF8=False)
    assert outcome(send("SendEmailV2", server.port, **{parameter: "Jörg <j@bücher.example>"})) == (None, 200)
    header = parameter[len("email_") :].replace("_", "-")
    assert str(message_of(server)[header]) == "Jörg <j@xn--bcher-kva.example>"
    assert server.envelopes[0].content.isascii()


def test_copies_and_replies(send, mail_server):
    """A blind copy is in the envelope alone; nobody gets the message twice."""
    answer = send(
        "SendEmailV2",
        mail_server.port,
        email_to="a@example.org",
        email_cc=["b@example.org", "a@example.org"],
        email_bcc="c@example.org, b@example.org",
        email_reply_to="Reply <r@example.org>",
    )
    assert outcome(answer)[0] is None
    assert mail_server.envelopes[0].rcpt_tos == ["a@example.org", "b@example.org", "c@example.org"]
    message = message_of(mail_server)
    assert (message["Cc"], message["Bcc"]) == ("b@example.org, a@example.org", None)
    assert message["Reply-To"] == "Reply <r@example.org>"
    assert b"c@example.org" not in mail_server.envelopes[0].content


@pytest.mark.parametrize("parameter", ["email_cc", "email_bcc"])
def test_a_copy_is_enough(send, mail_server, parameter):
    more = {"email_to": "", parameter: ["c@example.org"]}
    assert outcome(send("SendEmailV2", mail_server.port, **more)) == (None, 200)
    assert mail_server.envelopes[0].rcpt_tos == ["c@example.org"]
    assert message_of(mail_server)["To"] is None


def test_html_with_the_text_as_alternative(send, mail_server):
    assert outcome(send("SendEmailV2", mail_server.port, email_html="<p>grün"))[0] is None
    message = message_of(mail_server)
    assert message.get_content_type() == "multipart/alternative"
    assert [(part.get_content_type(), part.get_content().split()) for part in message.iter_parts()] == [
        ("text/plain", ["Hallo,", "Welt"]),
        ("text/html", ["<p>grün"]),
    ]


ENCODED = base64.b64encode(b"\0\xff").decode()


@pytest.mark.parametrize(
    ("attachment", "expected"),
    [
        ({"filename": "ü.bin", "content_base64": ENCODED, "mimetype": "image/png"}, ("ü.bin", "image/png", b"\0\xff")),
        ({"content_base64": f" {ENCODED}\n"}, ("attachment", "application/octet-stream", b"\0\xff")),
        (f"data:image/png;name=a%20b.png;base64,{ENCODED}", ("a b.png", "image/png", b"\0\xff")),
        (f"data:;base64,{ENCODED}", ("attachment", "application/octet-stream", b"\0\xff")),
        ("data:text/plain;name=a.txt;charset=utf-8;base64,YQ==", ("a.txt", "text/plain", "a")),
        ("data:text/plain;charset=utf-8;name=a.txt;base64,YQ==", ("a.txt", "text/plain", "a")),
        ("data:text/plain;charset=utf-8;base64,YQ==", ("attachment", "text/plain", "a")),
    ],
)
def test_attachments(send, mail_server, attachment, expected):
    more = {"email_html": "<p>", "email_attachments": [attachment] * 2}
    assert outcome(send("SendEmailV2", mail_server.port, **more)) == (None, 200)
    attachments = list(message_of(mail_server).iter_attachments())
    assert [(a.get_filename(), a.get_content_type(), a.get_content()) for a in attachments] == [expected] * 2
    assert message_of(mail_server).get_body(("plain",)).get_content().split() == ["Hallo,", "Welt"]


# --- TLS ---


@pytest.mark.parametrize("command", ["SendEmail", "SendEmailV2"])
@pytest.mark.parametrize("login", [{}, {"smtp_user": "user", "smtp_password": "right"}])
def test_starttls(send, start_mail_server, authority, command, login):
    """With or without a login."""
    server = start_mail_server(server_context(authority, "127.0.0.1"), require_starttls=True, auth_require_tls=True)
    assert not send(command, server.port, smtp_starttls=True, **login).json.get("error")
    assert server.tls
    assert server.authenticated == len(login) / 2
    assert len(server.envelopes) == 1


def test_implicit_tls(send, start_mail_server, authority):
    server = start_mail_server(server_context(authority, "127.0.0.1"), kind=ImplicitTls)
    for more in {"smtp_ssl": True}, {"smtp_ssl": True, "smtp_starttls": True}:
        assert outcome(send("SendEmailV2", server.port, **more)) == (None, 200)
    assert len(server.envelopes) == 2


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    ("command", "kind", "parameter"),
    [
        ("SendEmail", Controller, "smtp_starttls"),
        ("SendEmailV2", Controller, "smtp_starttls"),
        ("SendEmailV2", ImplicitTls, "smtp_ssl"),
    ],
)
def test_certificates(send, start_mail_server, authority, command, kind, parameter, trusted):
    """For another name, or of an authority that nobody knows: permanent, and nothing is sent, a password least."""
    context = server_context(authority, "elsewhere.example") if trusted else server_context(trustme.CA(), "127.0.0.1")
    server = start_mail_server(context, kind=kind)
    answer = send(command, server.port, **{parameter: True}, smtp_user="user", smtp_password="right")
    error = answer.json["error"]
    if command == "SendEmailV2":
        assert outcome(answer) == ("SSLCertVerificationError", 422)
        error = error["message"]
    assert "certificate is not trusted: " in error
    assert server.envelopes == []
    assert server.authenticated == 0


def test_the_authorities_are_read_once(send, start_mail_server, authority, monkeypatch):
    server = start_mail_server(server_context(authority, "127.0.0.1"), kind=ImplicitTls)
    assert outcome(send("SendEmailV2", server.port, smtp_ssl=True)) == (None, 200)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    assert outcome(send("SendEmailV2", server.port, smtp_ssl=True)) == (None, 200)


# --- what is refused ---


def test_version_1_reports_a_failure_in_its_response(send, mail_server):
    """With status 200, as the tutorial defines it: the diagram looks at it."""
    port = free_port()
    assert send("SendEmail", port).json == {"error": f"[Errno 111] 127.0.0.1 port {port}: Connection refused"}
    assert send("SendEmail", mail_server.port, email_subject="a\nb").json == {
        "error": "email_subject holds a line break"
    }


@pytest.mark.parametrize(
    ("replies", "to", "code", "http_status", "words"),
    [
        (
            {"a@x.example": "550 no such user"},
            "a@x.example",
            "SMTPRecipientsRefused",
            422,
            "not sent; .* a@x.example \\(550 no such user\\)",
        ),
        ({"a@x.example": "451 later"}, "a@x.example", "SMTPRecipientsRefused", 503, "not sent; .*451 later"),
        (
            {"a@x.example": "550 no", "b@x.example": "451 later"},
            "a@x.example, b@x.example",
            "SMTPRecipientsRefused",
            503,
            "550 no.*451 later",
        ),
        (
            {"a@x.example": "451 later"},
            "a@x.example, b@x.example",
            "SMTPRecipientsRefused",
            422,
            "was sent, but not to a@x.example \\(451 later\\)$",
        ),
    ],
)
def test_recipients_that_are_refused(send, mail_server, replies, to, code, http_status, words):
    mail_server.replies = replies
    answer = send("SendEmailV2", mail_server.port, email_to=to)
    assert outcome(answer) == (code, http_status)
    assert re.search(words, answer.json["error"]["message"])


def test_no_answer_to_our_leaving_is_no_failure(send, raw_server):
    """Nor is it waited for until the deadline, which this server would not live to see."""
    left = threading.Event()

    def talk(connection, number):
        follow()(connection, number)
        while connection.recv(1000):
            pass
        left.set()

    assert outcome(send("SendEmailV2", raw_server(talk).port)) == (None, 200)
    assert left.wait(10)


def test_a_bad_answer_to_our_leaving_is_no_failure(send, mail_server):
    mail_server.replies = {"quit": "421 in a bad mood"}
    assert outcome(send("SendEmailV2", mail_server.port)) == (None, 200)


@pytest.mark.parametrize(
    ("more", "code", "http_status"),
    [
        ({"smtp_user": "user", "smtp_password": "wrong"}, "SMTPAuthenticationError", 422),
        ({"smtp_starttls": True}, "SMTPNotSupportedError", 422),
        ({"smtp_starttls": True, "smtp_user": "user", "smtp_password": "right"}, "SMTPNotSupportedError", 422),
        ({"smtp_ssl": True}, "SSLError", 503),
    ],
)
def test_nothing_is_sent(send, mail_server, more, code, http_status):
    assert outcome(send("SendEmailV2", mail_server.port, **more)) == (code, http_status)
    assert mail_server.envelopes == []
    assert mail_server.authenticated == (2 if code == "SMTPAuthenticationError" else 0)  # by PLAIN, and by LOGIN


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"email_subject": "a\nBcc: evil@example.org"}, "email_subject holds a line break"),
        ({"email_subject": "a\rb"}, "email_subject holds a line break"),
        ({"email_subject": "a\u2028b"}, "email_subject holds a line break"),
        ({"email_subject": "a\0b"}, "email_subject holds a line break"),
        ({"smtp_user": "user", "smtp_password": "s3cretß"}, "smtp_password holds a letter beyond ASCII"),
        ({"email_to": "a@example.org\r\nBcc: evil@example.org"}, "email_to holds a line break"),
        ({"email_from": "a@example.org\nX: y"}, "email_from holds a line break"),
        ({"email_cc": ["a@example.org\nX: y"]}, "email_cc holds a line break"),
        ({"email_reply_to": "a@example.org\nX: y"}, "email_reply_to holds a line break"),
        ({"email_subject": 5}, "email_subject must be text, not int"),
        ({"email_body": None}, "email_body must be text, not NoneType"),
        ({"email_body": "\ud800"}, "email_body holds half of a surrogate pair"),
        ({"email_html": 5}, "email_html must be text"),
        ({"email_to": ""}, "email_to names no recipient"),
        ({"email_to": None}, "email_to names no recipient"),
        ({"email_to": "nobody"}, "email_to: 'nobody' is no address"),
        ({"email_to": "a@"}, "email_to: 'a@' is no address"),
        ({"email_to": ["a@example.org", 5]}, "email_to must be text, not int"),
        ({"email_to": "a b@example.org"}, "email_to: "),
        ({"email_to": "a@b@example.org"}, "email_to: "),
        ({"email_from": ""}, "email_from must be one address, not 0"),
        ({"email_from": "a@x.example, b@x.example"}, "email_from must be one address, not 2"),
        ({"smtp_host": ""}, "smtp_host must name a host"),
        ({"smtp_host": 5}, "smtp_host must be text"),
        ({"smtp_host": "a..b"}, "smtp_host"),
        ({"smtp_port": "smtp"}, "smtp_port be a number"),
        ({"smtp_port": 70000}, "smtp_port"),
        ({"email_attachments": ["text"]}, "email_attachments, number 1: a text must be a data URL"),
        ({"email_attachments": [{"filename": "a"}]}, "email_attachments, number 1 must be a data URL, or an object"),
        ({"email_attachments": [{"content_base64": "!"}]}, "number 1: its data is not base64"),
        ({"email_attachments": [{"content_base64": 5}]}, "number 1 must be text, not int"),
        ({"email_attachments": [{"content_base64": "", "mimetype": "png"}]}, "number 1: 'png' is no mimetype"),
        ({"email_attachments": [{"content_base64": "", "filename": "a\nb"}]}, "number 1: filename holds a line break"),
    ],
)
def test_mistakes_of_the_author(send, mail_server, more, words):
    """Name the parameter, are permanent, and nothing is sent."""
    answer = send("SendEmailV2", mail_server.port, **more)
    assert outcome(answer) == ("ValueError", 400)
    assert "s3cret" not in answer.text
    assert words in answer.json["error"]["message"]
    assert mail_server.envelopes == []


@pytest.mark.parametrize(
    "more",
    [
        {"email_subject": "=?utf-8?q?a=0D=0ABcc:_evil@example.org?="},
        {"email_to": '"=?utf-8?q?a=0D=0ABcc:_evil=40example.org?=" <a@x.example>'},
        {"email_from": '"=?utf-8?q?a=0D=0ABcc:_evil=40example.org?=" <a@x.example>'},
        {"email_cc": '"=?utf-8?q?a=0D=0ABcc:_evil=40example.org?=" <a@x.example>'},
        {"email_reply_to": '"=?utf-8?q?a=0D=0ABcc:_evil=40example.org?=" <a@x.example>'},
        {"email_attachments": [{"content_base64": "", "filename": "=?utf-8?q?a=0D=0ABcc:_y?="}]},
    ],
)
def test_a_line_break_in_an_encoded_word(send, mail_server, more):
    """Python decodes these, and before 3.13 sends them decoded; what it would not encode again is refused."""
    answer = send("SendEmailV2", mail_server.port, **more)
    if outcome(answer) == (None, 200):
        assert not re.search(rb"^(Bcc|X):", mail_server.envelopes[0].content, re.MULTILINE)
    else:
        assert outcome(answer) == ("ValueError", 400)
        assert "would hold a line break" in answer.json["error"]["message"]
        assert mail_server.envelopes == []


@pytest.mark.parametrize(
    ("user", "password", "logs_in"),
    [("user", "right", True), ("user", None, False), (None, "right", False), ("", "", False)],
)
def test_login_takes_both_user_and_password(send, mail_server, user, password, logs_in):
    assert send("SendEmail", mail_server.port, smtp_user=user, smtp_password=password).json == {}
    assert len(mail_server.envelopes) == 1
    assert mail_server.authenticated == logs_in


# --- connections and time ---


def test_nobody_listens(send):
    assert outcome(send("SendEmailV2", free_port())) == ("ConnectionRefusedError", 503)


def test_no_way_there(send):
    """To an address of a link that is not named."""
    assert outcome(send("SendEmailV2", 25, smtp_host="fe80::1")) == ("OSError", 503)


def follow(**replies):
    """Return what a server does that answers each verb with what `replies` have, or with yes.

    It ends where the reply is empty, and when we leave; `greeting` and `message` count as verbs.
    """
    known = {
        "greeting": "220 hello",
        "EHLO": "250-hello\r\n250-STARTTLS\r\n250 AUTH PLAIN",
        "DATA": "354 go on",
        "QUIT": "",
    }
    replies = {**known, **replies}

    def talk(connection, number):
        lines = connection.makefile("rb")
        verb = "greeting"
        while reply := replies.get(verb, "250 OK"):
            connection.sendall(f"{reply}\r\n".encode())
            if verb == "DATA":
                verb = "message"
                while lines.readline() not in (b".\r\n", b""):
                    pass
            else:
                verb = lines.readline().decode().partition(" ")[0].strip().upper() or "QUIT"

    return talk


def speaks_no_tls(connection, number):
    follow(STARTTLS="")(connection, number)
    connection.sendall(b"220 go on\r\n")
    connection.recv(65536)
    return b"250 OK\r\n"


def resets(connection, number):
    follow(EHLO="")(connection, number)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def breaks_off_tls(connection, number):
    connection.recv(65536)


def resets_tls(connection, number):
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


LOGIN = {"smtp_user": "user", "smtp_password": "right"}
STARTTLS = {"smtp_starttls": True}


@pytest.mark.parametrize(
    ("talk", "more", "code", "http_status", "words"),
    [
        (resets, {}, "SMTPServerDisconnected", 503, "Connection unexpectedly closed: .*reset by peer"),
        (follow(greeting=""), {}, "SMTPServerDisconnected", 503, "Connection unexpectedly closed$"),
        (breaks_off_tls, {"smtp_ssl": True}, "SSLError", 503, "EOF"),
        (resets_tls, {"smtp_ssl": True}, "ConnectionResetError", 503, "reset by peer"),
        (follow(greeting="554 go away"), {}, "SMTPConnectError", 422, "The server answered 554 go away$"),
        (follow(greeting="421 later"), {}, "SMTPConnectError", 503, "The server answered 421 later$"),
        (follow(EHLO=""), {}, "SMTPServerDisconnected", 503, "closed"),
        (follow(EHLO="500 no", HELO="500 no"), {}, "SMTPHeloError", 422, "The server answered 500 no$"),
        (follow(EHLO="421 no", HELO="421 no"), {}, "SMTPHeloError", 503, "The server answered 421 no$"),
        (follow(EHLO="500 no"), LOGIN, "SMTPNotSupportedError", 422, "SMTP AUTH extension not supported"),
        (follow(EHLO="500 no"), STARTTLS, "SMTPNotSupportedError", 422, "STARTTLS extension not supported"),
        (follow(STARTTLS="454 later"), STARTTLS, "SMTPResponseException", 503, "The server answered 454 later$"),
        (follow(STARTTLS="501 no"), STARTTLS, "SMTPResponseException", 422, "The server answered 501 no$"),
        (follow(STARTTLS=""), STARTTLS, "SMTPServerDisconnected", 503, "closed"),
        (speaks_no_tls, STARTTLS, "SSLError", 503, "SSL"),
        (follow(EHLO="250-hello\r\n250 AUTH GSSAPI"), LOGIN, "SMTPException", 422, "No suitable authentication method"),
        (follow(AUTH="535 no"), LOGIN, "SMTPAuthenticationError", 422, "The server answered 535 no$"),
        (follow(AUTH="454 later"), LOGIN, "SMTPAuthenticationError", 503, "The server answered 454 later$"),
        (follow(AUTH=""), LOGIN, "SMTPServerDisconnected", 503, "closed"),
        (follow(MAIL="550 no"), {}, "SMTPSenderRefused", 422, "The server answered 550 no$"),
        (follow(MAIL="421 later"), {}, "SMTPSenderRefused", 503, "The server answered 421 later$"),
        (follow(MAIL=""), {}, "SMTPServerDisconnected", 503, "closed"),
        (follow(RCPT="550 no"), {}, "SMTPRecipientsRefused", 422, r"refused to@example.org \(550 no\)$"),
        (follow(RCPT="421 later"), {}, "SMTPRecipientsRefused", 503, r"refused to@example.org \(421 later\)$"),
        (follow(RCPT=""), {}, "SMTPServerDisconnected", 503, "closed"),
        (follow(DATA="554 no"), {}, "SMTPDataError", 422, "The server answered 554 no$"),
        (follow(DATA="451 later"), {}, "SMTPDataError", 503, "The server answered 451 later$"),
        (follow(DATA=""), {}, "SMTPServerDisconnected", 503, "closed"),
        (follow(message="552 too large"), {}, "SMTPDataError", 422, "The server answered 552 too large$"),
        (follow(message="452-it is\r\n452 full"), {}, "SMTPDataError", 503, "The server answered 452 it is\nfull$"),
        (follow(message=""), {}, "SMTPServerDisconnected", 503, "closed"),
    ],
)
def test_servers_that_do_not_want(send, raw_server, talk, more, code, http_status, words):
    """Version 1 says the same, and answers 200; it knows no TLS from the start."""
    port = raw_server(talk).port
    answer = send("SendEmailV2", port, **more)
    assert outcome(answer) == (code, http_status)
    assert re.search(words, answer.json["error"]["message"])
    if "smtp_ssl" not in more:
        assert re.search(words, send("SendEmail", port, **more).json["error"])


# --- time ---


SLOW = 3  # seconds that a server takes in all; the deadline is a fifth of it


def stops(verb, last=b""):
    """Return what a server does that says no more when it has come to a verb."""

    def talk(connection, number):
        follow(**{verb: ""})(connection, number)
        connection.sendall(last)
        time.sleep(SLOW)

    return talk


def drips(verb, part):
    """Return what a server does that never ends its reply to a verb."""

    def talk(connection, number):
        follow(**{verb: ""})(connection, number)
        for _ in range(30):
            connection.sendall(part)
            time.sleep(SLOW / 30)  # each part in time

    return talk


SLOW_SERVERS = [
    ("no greeting", stops("greeting"), {}),
    ("a greeting that drips", drips("greeting", b"220-a\r\n"), {}),
    ("TLS that hangs", stops("greeting"), {"smtp_ssl": True}),
    ("a reply that drips", drips("EHLO", b"250-a\r\n"), {}),
    ("a line that drips", drips("EHLO", b"a"), {}),
    ("no reply to STARTTLS", stops("STARTTLS"), STARTTLS),
    ("STARTTLS that hangs", stops("STARTTLS", b"220 go on\r\n"), STARTTLS),
    ("no reply to the login", stops("AUTH"), LOGIN),
    ("no reply to the sender", stops("MAIL"), {}),
    ("no reply to a recipient", stops("RCPT"), {}),
    ("no reply to the message", stops("message"), {}),
    ("a reply to the message that drips", drips("message", b"250-a\r\n"), {}),
]


def test_one_deadline_for_all(make_send, raw_server):
    """Which the servers would outlast."""
    send = make_send(SMTP_TIMEOUT=SLOW / 5)

    def send_slowly(what, talk, more):
        ended = threading.Event()
        answer = send("SendEmailV2", raw_server(lambda *conversation: talk(*conversation) or ended.set()).port, **more)
        return what, outcome(answer), answer.json["error"]["message"], ended.is_set()

    expected = ("TimeoutError", 503), "the mail server did not take the message in time", False
    assert at_once(send_slowly, SLOW_SERVERS) == [(what, *expected) for what, _, _ in SLOW_SERVERS]


def test_a_message_that_is_not_taken(make_send, raw_server):
    """The server has said that it wants it."""
    attachment = {"content_base64": "AAAA" * 1_500_000}
    port = raw_server(stops("DATA", b"354 go on\r\n")).port
    answer = make_send(SMTP_TIMEOUT=SLOW / 3)("SendEmailV2", port, email_attachments=[attachment])
    assert outcome(answer) == ("TimeoutError", 503)


def test_no_connection_in_time(make_send):
    send = make_send(SMTP_TIMEOUT=0.3)
    with serve_nobody() as port:
        answer = send("SendEmailV2", port)
        assert send("SendEmail", port).json == {"error": f"127.0.0.1 port {port} does not answer"}
    assert outcome(answer) == ("TimeoutError", 503)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(39, "The server answered 554 go away"), (41, "the mail server did not take the message in time")],
)
def test_forty_seconds(send, raw_server, clock, seconds, words):
    """Where no setting says otherwise."""

    def talk(connection, number):
        clock.seconds += seconds
        return b"554 go away\r\n"

    port = raw_server(talk).port
    assert send("SendEmailV2", port).json["error"]["message"] == words
    assert send("SendEmail", port).json == {"error": words}


# --- names ---


@pytest.fixture(scope="module")
def call_names():
    """A process that knows names which no test can have looked up, and that must not look up its own."""
    names = {
        "hangs.example": [None],
        "silent-and-well.example": [["127.0.0.2", "127.0.0.1"]],
        "refused-and-well.example": [["127.0.0.3", "127.0.0.1"]],
    }
    with start_caller(names) as caller:

        def call(command, host, port, seconds=20):
            settings = {"CONNECTOR_PROXY_SMTP_TIMEOUT": str(seconds)}
            return caller(f"smtp/{command}", settings, **{**MESSAGE, "smtp_host": host, "smtp_port": port})

        yield call


def test_a_name_that_is_not_looked_up_in_time(call_names):
    """The resolver is replaced by one that sleeps: see tests/caller.py."""
    message = "the name hangs.example could not be looked up in time"
    answer = call_names("SendEmailV2", "hangs.example", 25, 0.3)
    assert (outcome(answer), answer["error"]["message"]) == (("TimeoutError", 503), message)
    assert call_names("SendEmail", "hangs.example", 25, 0.3) == {"error": message}


def test_a_name_that_nobody_knows(send):
    answer = send("SendEmailV2", 25, smtp_host="nowhere.invalid")
    assert outcome(answer) == ("gaierror", 503)
    assert "the name nowhere.invalid cannot be resolved: " in answer.json["error"]["message"]


@pytest.mark.parametrize("name", ["silent-and-well.example", "refused-and-well.example"])
def test_a_name_with_two_addresses(call_names, raw_server, name):
    """One that is silent leaves time for the other."""
    server = raw_server(follow())
    with serve_nobody("127.0.0.2", server.port):
        assert call_names("SendEmail", name, server.port, 1) == {}


@pytest.mark.parametrize("command", ["SendEmail", "SendEmailV2"])
def test_our_own_name_is_not_looked_up(call_names, mail_server, command):
    """What smtplib and email would do for EHLO and Message-ID, and what may take long without a resolver."""
    assert not call_names(command, "127.0.0.1", mail_server.port).get("error")
    assert len(mail_server.envelopes) == 1


def test_passwords_are_not_repeated(send, mail_server):
    answer = send("SendEmailV2", mail_server.port, smtp_user="user", smtp_password="s3cret")
    assert outcome(answer)[0] == "SMTPAuthenticationError"
    assert "s3cret" not in json.dumps(answer.json)
