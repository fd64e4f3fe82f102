"""The smtp connector, against real servers."""

import base64
import email
import email.policy
import json
import re
import socket
import ssl
import time

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from conftest import JSON, free_port, server_context


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
            parameters = {
                "smtp_host": "127.0.0.1",
                "smtp_port": port,
                "email_subject": "Grüße",
                "email_body": "Hallo,\nWelt",
                "email_to": "to@example.org",
                "email_from": "from@example.org",
            }
            return app.post_json(f"/v1/do/smtp/{command}", {**parameters, **more}, status=status)

        return send

    return make


@pytest.fixture
def send(make_send):
    return make_send()


def outcome(answer):
    answer = answer.json
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


def test_a_local_part_beyond_ascii(send, start_mail_server):
    """Takes a server that knows SMTPUTF8."""
    plain, international = start_mail_server(enable_SMTPUTF8=False), start_mail_server(enable_SMTPUTF8=True)
    assert outcome(send("SendEmailV2", plain.port, email_to="jörg@example.org")) == ("SMTPNotSupportedError", 422)
    assert plain.envelopes == []
    assert outcome(send("SendEmailV2", international.port, email_to="jörg@example.org"))[0] is None
    assert international.envelopes[0].rcpt_tos == ["jörg@example.org"]


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
    ],
)
def test_attachments(send, mail_server, attachment, expected):
    assert (
        outcome(send("SendEmailV2", mail_server.port, email_html="<p>", email_attachments=[attachment] * 2))[0] is None
    )
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


@pytest.mark.parametrize(("kind", "parameter"), [(Controller, "smtp_starttls"), (ImplicitTls, "smtp_ssl")])
def test_a_certificate_for_another_name(send, start_mail_server, authority, kind, parameter):
    """Is permanent, and nothing is sent."""
    server = start_mail_server(server_context(authority, "elsewhere.example"), kind=kind)
    answer = send("SendEmailV2", server.port, **{parameter: True})
    assert outcome(answer) == ("SSLCertVerificationError", 422)
    assert "certificate is not trusted: " in answer.json["error"]["message"]
    assert server.envelopes == []


# --- what is refused ---


def test_version_1_reports_a_failure_in_its_response(send, mail_server):
    """With status 200, as the tutorial defines it: the diagram looks at it."""
    assert send("SendEmail", free_port()).json == {"error": "[Errno 111] Connection refused"}
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
        ({"from from@example.org": "550 no"}, "a@x.example", "SMTPSenderRefused", 422, "550 no"),
        ({"from from@example.org": "451 no"}, "a@x.example", "SMTPSenderRefused", 503, "451 no"),
        ({"data": "554 no"}, "a@x.example", "SMTPDataError", 422, "554 no"),
        ({"data": "452 full"}, "a@x.example", "SMTPDataError", 503, "452 full"),
    ],
)
def test_version_2_says_whether_to_try_again(send, mail_server, replies, to, code, http_status, words):
    mail_server.replies = replies
    answer = send("SendEmailV2", mail_server.port, email_to=to)
    assert outcome(answer) == (code, http_status)
    assert re.search(words, answer.json["error"]["message"])


def test_no_answer_to_our_leaving_is_no_failure(make_send, raw_server):
    """The deadline is not waited for, either: it would be a failure."""

    def talk(connection, number):
        connection.sendall(b"220 hello\r\n")
        for reply in b"250 hello", b"250 OK", b"250 OK", b"354 go on", b"250 OK":
            connection.recv(65536)
            connection.sendall(reply + b"\r\n")
        while connection.recv(65536):
            pass

    assert outcome(make_send(SMTP_TIMEOUT=20)("SendEmailV2", port_of(raw_server(talk)))) == (None, 200)


def test_a_bad_answer_to_our_leaving_is_no_failure(send, mail_server):
    mail_server.replies = {"quit": "421 in a bad mood"}
    assert outcome(send("SendEmailV2", mail_server.port)) == (None, 200)


@pytest.mark.parametrize(
    ("more", "code", "http_status"),
    [
        ({"smtp_user": "user", "smtp_password": "wrong"}, "SMTPAuthenticationError", 422),
        ({"smtp_starttls": True}, "SMTPNotSupportedError", 422),
        ({"smtp_starttls": True, "smtp_user": "user", "smtp_password": "right"}, "SMTPNotSupportedError", 422),
        ({"smtp_host": "nowhere.invalid"}, "gaierror", 503),
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


def port_of(server):
    return int(server.url.rpartition(":")[2])


@pytest.mark.parametrize(
    ("talk", "code", "http_status"),
    [
        (lambda connection, number: None, "SMTPServerDisconnected", 503),
        (lambda connection, number: b"554 go away\r\n", "SMTPConnectError", 422),
        (lambda connection, number: b"421 later\r\n", "SMTPConnectError", 503),
        (lambda connection, number: b"220 hello\r\n", "SMTPServerDisconnected", 503),
        (lambda connection, number: only_gssapi(connection), "SMTPException", 422),
    ],
)
def test_servers_that_do_not_want(send, raw_server, talk, code, http_status):
    answer = send("SendEmailV2", port_of(raw_server(talk)), smtp_user="user", smtp_password="right")
    assert outcome(answer) == (code, http_status)


def only_gssapi(connection):
    connection.sendall(b"220 hello\r\n")
    connection.recv(1000)
    connection.sendall(b"250-hello\r\n250 AUTH GSSAPI\r\n")
    connection.recv(1000)


SLOW = 3  # seconds that a server takes in all; the deadline is a fifth of it


def silent(connection, number):
    time.sleep(SLOW)
    return b"554 go away\r\n"


def drips_greeting(connection, number):
    for _ in range(30):
        connection.sendall(b"220-a\r\n")
        time.sleep(SLOW / 30)  # each line in time
    return b"220 a\r\n"


def drips_reply(connection, number):
    connection.sendall(b"220 hello\r\n")
    connection.recv(1000)
    for _ in range(30):
        connection.sendall(b"250-a\r\n")
        time.sleep(SLOW / 30)  # as above
    return b"250 a\r\n"


def hangs_in_the_handshake(connection, number):
    connection.sendall(b"220 hello\r\n")
    connection.recv(1000)
    connection.sendall(b"250-hello\r\n250 STARTTLS\r\n")
    connection.recv(1000)
    connection.sendall(b"220 go on\r\n")
    time.sleep(SLOW)


@pytest.mark.parametrize("talk", [silent, drips_greeting, drips_reply, hangs_in_the_handshake])
@pytest.mark.parametrize("tls", [{}, {"smtp_ssl": True}, {"smtp_starttls": True}])
def test_one_deadline_for_all(make_send, raw_server, talk, tls):
    """Which the servers would outlast."""
    send, port = make_send(SMTP_TIMEOUT=SLOW / 5), port_of(raw_server(talk))
    if talk is not hangs_in_the_handshake or tls == {"smtp_starttls": True}:
        expected = ("SSLError", 503) if tls == {"smtp_ssl": True} and talk is not silent else ("TimeoutError", 503)
        assert outcome(send("SendEmailV2", port, **tls)) == expected
    if talk is silent:
        assert send("SendEmail", port).json == {"error": "the mail server did not take the message in time"}


def test_passwords_are_not_repeated(send, mail_server):
    answer = send("SendEmailV2", mail_server.port, smtp_user="user", smtp_password="s3cret")
    assert outcome(answer)[0] == "SMTPAuthenticationError"
    assert "s3cret" not in json.dumps(answer.json)
