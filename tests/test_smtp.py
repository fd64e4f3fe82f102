"""The smtp connector, against real servers."""

import base64
import email
import email.header
import email.policy
import email.utils
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from conftest import JSON, ROOT, at_once, free_port, serve_nobody, server_context, start_caller

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
    more = ["smtp_ssl", "email_cc", "email_bcc", "email_reply_to", "email_html", "email_attachments", "email_headers"]
    more.append("smtp_oauth2")
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
    assert answer.json["error"]["message"] == "The server does not accept addresses beyond ASCII (SMTPUTF8)."
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


LONG_URL = f"<https://example.org/?a=?{'b' * 100}>"


@pytest.mark.parametrize(
    ("headers", "lines"),
    [
        ({"X-Priority": "1", "Auto-Submitted": "auto-generated"}, ["X-Priority: 1", "Auto-Submitted: auto-generated"]),
        ({"x-UPPER": " a\t"}, ["x-UPPER: a"]),
        ({"X-A": None, "X-B": "", "X-C": " "}, []),
        ({}, []),
        (None, []),
        ("", []),
        ({"!#$%&'*+.^_`|~09": "1"}, ["!#$%&'*+.^_`|~09: 1"]),
        ({"X-A": 'a  b; c="d"'}, ['X-A: a  b; c="d"']),
        ({"X-A": "Grüße an alle"}, ["X-A: =?utf-8?b?R3LDvMOfZQ==?= an alle"]),
        ({"X-A": "日本 語"}, ["X-A: =?utf-8?b?5pel5pysIOiqng==?="]),
        ({"X-A": "=?utf-8?q?a?= b"}, ["X-A: =?utf-8?b?PT91dGYtOD9xP2E/PQ==?= b"]),
        ({"List-Unsubscribe": LONG_URL}, ["List-Unsubscribe:", f" {LONG_URL}"]),
        ({"References": f"<{'a' * 50}@b> <{'c' * 50}@d>"}, [f"References: <{'a' * 50}@b>", f" <{'c' * 50}@d>"]),
        ({"List-Id": "Für <list.example.org>"}, ["List-Id: =?utf-8?q?F=C3=BCr?= <list.example.org>"]),
        (
            {"Sender": '"Doe, Jörg" <j@bücher.example>'},
            ["Sender: =?utf-8?q?Doe=2C_J=C3=B6rg?= <j@xn--bcher-kva.example>"],
        ),
        ({"X" * 75: "ü"}, [f"{'X' * 75}:", " =?utf-8?b?w7w=?="]),
    ],
)
def test_headers_of_the_author(send, raw_server, headers, lines):
    """What has a meaning besides its words stays as it is; only words beyond ASCII are encoded."""
    head = sent_bytes(send, raw_server, email_headers=headers).partition(b"\r\n\r\n")[0].decode()
    assert re.search(r"\r\nMessage-ID: .*\r\n((?:.*\r\n)*)MIME-Version: ", head)[1].split("\r\n")[:-1] == lines


def test_an_address_beyond_ascii_in_a_header_of_the_author(send, start_mail_server):
    """Takes a server that knows SMTPUTF8, as in the other headers."""
    plain, international = start_mail_server(enable_SMTPUTF8=False), start_mail_server(enable_SMTPUTF8=True)
    headers = {"Sender": "jörg@example.org"}
    assert outcome(send("SendEmailV2", plain.port, email_headers=headers)) == ("SMTPNotSupportedError", 422)
    assert outcome(send("SendEmailV2", international.port, email_headers=headers)) == (None, 200)
    assert "SMTPUTF8" in international.envelopes[0].mail_options


def test_images_in_the_html(send, mail_server):
    """Are related to it (RFC 2387), and other attachments stay where they were."""
    html = '<img src="cid:logo"><img src="cid:b.png@example.org">'
    more = images("logo", None, "b.png@example.org", "", email_html=html)
    more["email_attachments"].append(f"data:text/plain;name=a.txt;base64,{ENCODED}")
    assert outcome(send("SendEmailV2", mail_server.port, **more)) == (None, 200)

    def describe(part):
        if part.is_multipart():
            return part.get_content_type(), [describe(each) for each in part.iter_parts()]
        return part.get_content_type(), part.get_content_disposition(), part["Content-ID"]

    file = ("image/png", "attachment", None)
    related = [
        ("text/html", None, None),
        ("image/png", "inline", "<logo>"),
        ("image/png", "inline", "<b.png@example.org>"),
    ]
    alternative = [("text/plain", None, None), ("multipart/related", related)]
    message = message_of(mail_server)
    parts = [("multipart/alternative", alternative), file, file, ("text/plain", "attachment", None)]
    assert describe(message) == ("multipart/mixed", parts)
    related_part = message.get_body(("related",))
    assert related_part.get_param("type") == "text/html"
    assert [part.get_content() for part in related_part.iter_attachments()] == [b"\0\xff"] * 2
    assert message.get_body(("html",)).get_content().strip() == html


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
    assert send("SendEmail", port).json == {"error": f"No connection to 127.0.0.1 port {port}: Connection refused"}
    assert send("SendEmail", mail_server.port, email_subject="a\nb").json == {
        "error": "email_subject contains a line break or a null character. Remove it."
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


def images(*content_ids, **more):
    """Return the parameters of a message with an image for each id."""
    attachments = [{"content_base64": ENCODED, "mimetype": "image/png", "content_id": name} for name in content_ids]
    return {"email_html": "<p>", "email_attachments": attachments, **more}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"email_subject": "a\nBcc: evil@example.org"}, "email_subject contains a line break"),
        ({"email_subject": "a\rb"}, "email_subject contains a line break"),
        ({"email_subject": "a\u2028b"}, "email_subject contains a line break"),
        ({"email_subject": "a\0b"}, "email_subject contains a line break"),
        ({"smtp_user": "user", "smtp_password": "s3cret\0"}, "smtp_password contains a null character"),
        ({"smtp_user": "us\0er", "smtp_password": "s3cret"}, "smtp_user contains a null character"),
        ({"smtp_user": "user", "smtp_password": 5}, "smtp_password must be a string, but is a number"),
        ({"email_to": "a@example.org\r\nBcc: evil@example.org"}, "email_to contains a line break"),
        ({"email_from": "a@example.org\nX: y"}, "email_from contains a line break"),
        ({"email_cc": ["a@example.org\nX: y"]}, "email_cc contains a line break"),
        ({"email_reply_to": "a@example.org\nX: y"}, "email_reply_to contains a line break"),
        ({"email_subject": 5}, "email_subject must be a string, but is a number"),
        ({"email_body": None}, "email_body must be a string, but is null"),
        ({"email_body": "\ud800"}, "email_body contains half of a surrogate pair"),
        ({"email_html": 5}, "email_html must be a string"),
        ({"email_to": ""}, 'email_to is empty. Name a recipient, such as "jane@example.org".'),
        ({"email_to": None}, "email_to must be a string or a list, but is null."),
        ({"email_to": "nobody"}, 'email_to: "nobody" is not an address. Write jane@example.org'),
        ({"email_to": "a@"}, 'email_to: "a@" is not an address'),
        ({"email_to": ["a@example.org", 5]}, "email_to[1] must be a string, but is a number"),
        ({"email_to": "a b@example.org"}, "email_to: "),
        ({"email_to": "a@b@example.org"}, "email_to: "),
        (
            {"email_from": "nobody"},
            'email_from: "nobody" is not an address. Write jane@example.org or Jane <jane@example.org>.',
        ),
        ({"email_from": ""}, "email_from must be one address, but has 0."),
        ({"email_from": "a@x.example, b@x.example"}, "email_from must be one address, but has 2."),
        ({"smtp_host": ""}, 'smtp_host is "". Use only a host name'),
        ({"smtp_host": 5}, "smtp_host must be a string"),
        ({"smtp_host": "a..b"}, 'smtp_host is "a..b"'),
        ({"email_attachments": ["text"]}, "email_attachments[0]: a string must be a data URL"),
        ({"email_attachments": [{"filename": "a"}]}, "email_attachments[0]: content_base64 is missing"),
        ({"email_attachments": [5]}, "email_attachments[0] must be a data URL, or an object"),
        ({"email_attachments": [{"content_base64": "!"}]}, "[0]: content_base64 is not base64"),
        ({"email_attachments": [{"content_base64": 5}]}, "[0]: content_base64 must be a string, but is a number"),
        ({"email_attachments": [{"content_base64": "", "mimetype": "png"}]}, '[0]: "png" is not a media type'),
        (
            {"email_attachments": [{"content_base64": "", "filename": "a\nb"}]},
            "[0]: filename contains a line break",
        ),
        ({"email_headers": ["X-A: 1"]}, 'email_headers must be an object such as {"X-Priority": "1"}, but is a list.'),
        ({"email_headers": '{"X-A": "1"}'}, "but is a string. Remove the quotes around it."),
        ({"email_headers": 5}, "but is a number."),
        ({"email_headers": {"X-A": "1\r\nBcc: evil@example.org"}}, "email_headers: X-A contains a line break"),
        ({"email_headers": {"X-A": "1\x85"}}, "email_headers: X-A contains a line break"),
        ({"email_headers": {"X-A": "\ud800"}}, "email_headers: X-A contains half of a surrogate pair"),
        ({"email_headers": {"X-A": 1}}, "email_headers: X-A must be a string, but is a number"),
        ({"email_headers": {"X-A": ["1", "2"]}}, "email_headers: X-A must be a string, but is a list"),
        ({"email_headers": {"X-A": True}}, "email_headers: X-A must be a string, but is true"),
        (
            {"email_headers": {"X-A": "x" * 999}},
            "X-A has a word of more than 998 bytes, the maximum of a line. Shorten it.",
        ),
        ({"email_headers": {"X-A": "1", "x-a": "1"}}, "email_headers has x-a twice, in upper and lower case."),
        ({"email_headers": {"X-A: 1\r\nBcc": "evil@example.org"}}, "is not the name of a header. Use letters"),
        ({"email_headers": {"X A": "1"}}, 'email_headers: "X A" is not the name of a header'),
        ({"email_headers": {"X-Ä": "1"}}, 'email_headers: "X-Ä" is not the name of a header'),
        ({"email_headers": {"X:": "1"}}, 'email_headers: "X:" is not the name of a header'),
        ({"email_headers": {"": "1"}}, 'email_headers: "" is not the name of a header'),
        ({"email_headers": {"X" * 76: "1"}}, "is not the name of a header. Use letters, digits and hyphens"),
        ({"email_headers": {"FROM": None}}, "the command writes FROM itself. Use email_from instead."),
        ({"email_headers": {"bcc": "a@example.org"}}, "the command writes bcc itself. Use email_bcc instead."),
        ({"email_headers": {"Reply-To": "a@example.org"}}, "writes Reply-To itself. Use email_reply_to instead."),
        ({"email_headers": {"Message-Id": "<a@b>"}}, "the command writes Message-Id itself. Remove it."),
        ({"email_headers": {"Date": "now"}}, "the command writes Date itself. Remove it."),
        ({"email_headers": {"Content-Language": "de"}}, "the command writes Content-Language itself. Remove it."),
        ({"email_headers": {"Mime-Version": "2"}}, "the command writes Mime-Version itself. Remove it."),
        ({"email_headers": {"Sender": "Jörg"}}, 'email_headers: Sender: "Jörg" is not an address. Write jane@example'),
        (images("<logo>"), '[0]: content_id is "<logo>". Use at most 200 letters, digits and !$*+._=~-, and'),
        (images("cid:logo"), '[0]: content_id is "cid:logo". Use at most'),
        (images("a b"), '[0]: content_id is "a b". Use at most'),
        (images("a\r\nb"), "[0]: content_id is "),
        (images("logo\n"), "[0]: content_id is "),
        (images("ü"), '[0]: content_id is "ü". Use at most'),
        (images("a@b@c"), '[0]: content_id is "a@b@c". Use at most'),
        (images("x" * 201), "[0]: content_id is "),
        (images(5), "[0]: content_id must be a string, but is a number"),
        (images("a", "b", "a"), '[2]: content_id is "a", which another attachment has, too. Change one of them.'),
        ({**images("a"), "email_html": ""}, '[0]: content_id is "a", which is for an image in email_html. Set'),
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
        {"email_headers": {"X-A": "=?utf-8?q?a=0D=0ABcc:_evil@example.org?="}},
        {"email_headers": {"X-A": "b =?utf-8?q?a =0D=0ABcc:_evil@example.org?= c"}},
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
    [("user", "right", True), ("", "", False), (None, None, False), (None, "", False)],
)
def test_a_login(send, mail_server, user, password, logs_in):
    assert send("SendEmail", mail_server.port, smtp_user=user, smtp_password=password).json == {}
    assert len(mail_server.envelopes) == 1
    assert mail_server.authenticated == logs_in


@pytest.mark.parametrize("command", ["SendEmail", "SendEmailV2"])
@pytest.mark.parametrize("empty", ["", None])
@pytest.mark.parametrize(
    ("given", "missing"), [("smtp_user", "smtp_password"), ("smtp_password", "smtp_user")], ids=["user", "password"]
)
def test_half_a_login(send, mail_server, command, empty, given, missing):
    """Is refused: the author expects a login."""
    answer = send(command, mail_server.port, **{given: "s3cret", missing: empty}).json
    told = f"{given} is set, but {missing} is empty. Set both, or neither to send without a login."
    assert answer["error"] == (told if command == "SendEmail" else {"error_code": "ValueError", "message": told})
    assert mail_server.envelopes == []


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


def test_no_login_after_tls(send, raw_server, authority):
    """Nothing is left but to do without a login."""
    context = server_context(authority, "127.0.0.1")

    def talk(connection, number):
        with context.wrap_socket(connection, server_side=True) as secured:
            follow(EHLO="250 hello")(secured, number)

    answer = send("SendEmailV2", raw_server(talk).port, smtp_ssl=True, **LOGIN)
    message = "The server does not offer a login (AUTH). Leave smtp_user and smtp_password empty."
    assert answer.json["error"] == {"error_code": "SMTPNotSupportedError", "message": message}


@pytest.mark.parametrize(
    ("talk", "more", "code", "http_status", "words"),
    [
        (resets, {}, "SMTPServerDisconnected", 503, "The server closed the connection: .*reset by peer"),
        (follow(greeting=""), {}, "SMTPServerDisconnected", 503, "The server closed the connection$"),
        (breaks_off_tls, {"smtp_ssl": True}, "SSLError", 503, "EOF"),
        (
            resets_tls,
            {"smtp_ssl": True},
            "ConnectionResetError",
            503,
            "^TLS with 127.0.0.1 port [0-9]+ failed: .*reset by peer",
        ),
        (follow(greeting="554 go away"), {}, "SMTPConnectError", 422, "The server answered 554 go away$"),
        (follow(greeting="421 later"), {}, "SMTPConnectError", 503, "The server answered 421 later$"),
        (follow(EHLO=""), {}, "SMTPServerDisconnected", 503, "closed"),
        (follow(EHLO="500 no", HELO="500 no"), {}, "SMTPHeloError", 422, "The server answered 500 no$"),
        (follow(EHLO="421 no", HELO="421 no"), {}, "SMTPHeloError", 503, "The server answered 421 no$"),
        (
            follow(EHLO="500 no"),
            LOGIN,
            "SMTPNotSupportedError",
            422,
            r"a login \(AUTH\). Set smtp_starttls or smtp_ssl, or leave smtp_user and smtp_password empty.$",
        ),
        (
            follow(EHLO="500 no"),
            STARTTLS,
            "SMTPNotSupportedError",
            422,
            "does not offer STARTTLS. Set smtp_starttls to false, or use smtp_ssl with port 465.$",
        ),
        (follow(STARTTLS="454 later"), STARTTLS, "SMTPResponseException", 503, "The server answered 454 later$"),
        (follow(STARTTLS="501 no"), STARTTLS, "SMTPResponseException", 422, "The server answered 501 no$"),
        (follow(STARTTLS=""), STARTTLS, "SMTPServerDisconnected", 503, "closed"),
        (speaks_no_tls, STARTTLS, "SSLError", 503, "127.0.0.1 port [0-9]+ does not speak TLS here"),
        (
            follow(EHLO="250-hello\r\n250 AUTH GSSAPI"),
            LOGIN,
            "SMTPException",
            422,
            "The proxy supports none of the login mechanisms that the server offers: GSSAPI.$",
        ),
        (
            follow(AUTH="535 no"),
            LOGIN,
            "SMTPAuthenticationError",
            422,
            "^smtp_user or smtp_password is wrong. The server answered 535 no$",
        ),
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


# --- servers that are known to do this ---


def script(heard, *replies):
    """Return what a server does that gives these replies, one to each line, and then closes the connection.

    What it heard is in `heard`: the lines, and of a message all of its bytes.
    """

    def talk(connection, number):
        lines = connection.makefile("rb")
        for before, reply in zip(("", *replies), replies):
            if before:
                heard.append(lines.readline())
            while before.startswith("3") and before.endswith("go on") and not heard[-1].endswith(b"\r\n.\r\n"):
                heard[-1] += lines.readline()
            connection.sendall(f"{reply}\r\n".encode())

    return talk


def auth(*mechanisms):
    return "250-hello\r\n250 AUTH " + " ".join(mechanisms)


HELLO = ["220 hello", "250 hello"]
SENT = ["250 sender", "250 recipient", "354 go on", "250 sent"]


@pytest.mark.parametrize(
    ("replies", "more", "code", "http_status", "words"),
    [
        # a login that is refused, after which the server closes the connection
        (["220 hello", auth("PLAIN"), "535 wrong"], LOGIN, "SMTPAuthenticationError", 422, "535 wrong$"),
        (["220 hello", auth("PLAIN", "LOGIN"), "535 wrong"], LOGIN, "SMTPAuthenticationError", 422, "535 wrong$"),
        (["220 hello", auth("PLAIN", "LOGIN"), "454 later"], LOGIN, "SMTPAuthenticationError", 503, "454 later$"),
        (["220 hello", auth("PLAIN", "LOGIN"), "421 busy"], LOGIN, "SMTPAuthenticationError", 503, "421 busy$"),
        (
            ["220 hello", auth("CRAM-MD5", "PLAIN", "LOGIN"), "334 PGFAYj4=", "535-wrong\r\n535 password"],
            LOGIN,
            "SMTPAuthenticationError",
            422,
            "535 wrong\npassword$",
        ),
        (
            ["220 hello", auth("LOGIN"), "334 VXNlcg==", "535 wrong"],
            LOGIN,
            "SMTPAuthenticationError",
            422,
            "535 wrong$",
        ),
        (["220 hello", auth("PLAIN", "LOGIN"), "504 no", "535 no"], LOGIN, "SMTPAuthenticationError", 422, "535 no$"),
        (["220 hello", auth("PLAIN", "LOGIN"), "454 no", "504 no"], LOGIN, "SMTPAuthenticationError", 503, "454 no$"),
        (["220 hello", auth("PLAIN", "LOGIN"), "504 a", "534 b"], LOGIN, "SMTPAuthenticationError", 422, "534 b$"),
        # a challenge that is not base64, or one too many
        (["220 hello", auth("CRAM-MD5"), "334 A", "501 no"], LOGIN, "SMTPAuthenticationError", 422, "501 no$"),
        (
            ["220 hello", auth("PLAIN"), "334 ", "334 ", "501 no"],
            LOGIN,
            "SMTPAuthenticationError",
            422,
            "501 no$",
        ),
        # 503 means "already" only if nothing has failed
        (["220 hello", auth("PLAIN", "LOGIN"), "535 no", "503 no"], LOGIN, "SMTPAuthenticationError", 422, "503 no$"),
        (["220 hello", auth("PLAIN", "LOGIN"), "421 no", "503 no"], LOGIN, "SMTPAuthenticationError", 503, "421 no$"),
        (["220 hello", auth("PLAIN"), "503 already", *SENT], LOGIN, None, 200, ""),
        # a greeting, or our name, that is refused
        (["421 busy"], {}, "SMTPConnectError", 503, "421 busy$"),
        (["220 hello", "421 busy"], {}, "SMTPHeloError", 503, "421 busy$"),
        (["220 hello", "450 later"], {}, "SMTPHeloError", 503, "450 later$"),
        (["220 hello", "550 your name"], {}, "SMTPHeloError", 422, "550 your name$"),
        (["220 hello", "501 your name", "503 what"], {}, "SMTPHeloError", 422, "501 your name$"),
        (["220 hello", "502 what", "450 later"], {}, "SMTPHeloError", 503, "450 later$"),
        # what is refused later, after which the server closes the connection
        ([*HELLO, "550 no"], {}, "SMTPSenderRefused", 422, "550 no$"),
        (
            [*HELLO, "250 yes", "554 no"],
            {"email_to": "a@x.example,b@x.example"},
            "SMTPRecipientsRefused",
            422,
            "554 no",
        ),
        (
            [*HELLO, "250 yes", "421 no"],
            {"email_to": "a@x.example,b@x.example"},
            "SMTPRecipientsRefused",
            503,
            "421 no",
        ),
        ([*HELLO, "250 yes", "250 yes", "554 no"], {}, "SMTPDataError", 422, "554 no$"),
        ([*HELLO, *SENT[:3], "554 no"], {}, "SMTPDataError", 422, "554 no$"),
        # codes that nobody knows
        (["299 hello", "299 hello", "299 yes", "299 yes", "399 go on", "299 sent"], {}, None, 200, ""),
        ([*HELLO, "251 yes", "252 yes", "354 go on", "251 sent"], {}, None, 200, ""),
        ([*HELLO, "259 yes", "259 yes", "354 go on", "202 sent"], {}, None, 200, ""),
        (["220hello", "250hello", "250yes", "250\tyes", "354", "250sent"], {}, None, 200, ""),
        ([*HELLO, "459 later"], {}, "SMTPSenderRefused", 503, "459 later$"),
        ([*HELLO, "559 no"], {}, "SMTPSenderRefused", 422, "559 no$"),
        ([*HELLO, "250 yes", "599 no"], {}, "SMTPRecipientsRefused", 422, "599 no"),
        ([*HELLO, "250 yes", "354 what"], {}, "SMTPRecipientsRefused", 503, "354 what"),
        ([*HELLO, "250 yes", "250 yes", "250 what"], {}, "SMTPDataError", 503, "250 what$"),
        ([*HELLO, *SENT[:3], "354 what"], {}, "SMTPDataError", 503, "354 what$"),
        # what is not SMTP
        (["HTTP/1.1 400 Bad Request"], {}, "SMTPConnectError", 503, "reply is not SMTP: HTTP/1.1 400 Bad Request$"),
        (["220-" + "a" * 70_000], {}, "SMTPConnectError", 422, "Line too long"),
        (["220 hello", "250-hello\r\nwhat\r\n250 hello", *SENT], {}, "SMTPResponseException", 503, "not SMTP: what$"),
        ([*HELLO, *SENT[:3], "250"], {}, None, 200, ""),
        ([*HELLO, *SENT[:3], "250-a"], {}, "SMTPServerDisconnected", 503, "closed the connection$"),
        ([*HELLO, *SENT[:3], "25"], {}, "SMTPResponseException", 503, "not SMTP: 25$"),
        (["550 " + "a" * 1000], {}, "SMTPConnectError", 422, "^The server answered 550 a{300}…$"),
    ],
)
def test_replies_of_servers(send, raw_server, replies, more, code, http_status, words):
    """And after the last of them the server closes the connection."""
    heard = []
    answer = send("SendEmailV2", raw_server(script(heard, *replies)).port, **more)
    assert outcome(answer) == (code, http_status)
    assert re.search(words, (answer.json["error"] or {"message": ""})["message"])


def test_a_message_that_is_refused_while_it_is_sent(send, raw_server):
    """A server that says so and closes the connection has been heard; its words say that another try is no use."""

    def talk(connection, number):
        follow(DATA="")(connection, number)
        connection.sendall(b"354 go on\r\n")
        connection.recv(1000)
        connection.sendall(b"552 too large\r\n")
        connection.shutdown(socket.SHUT_WR)

    attachment = {"content_base64": "AAAA" * 3_000_000}
    answer = send("SendEmailV2", raw_server(talk).port, email_attachments=[attachment])
    assert outcome(answer) == ("SMTPDataError", 422)
    assert answer.json["error"]["message"] == "The server answered 552 too large"


def test_a_yes_to_half_a_message_is_no_success(send, raw_server):
    def talk(connection, number):
        follow(DATA="")(connection, number)
        connection.sendall(b"354 go on\r\n250 sent\r\n")
        connection.recv(1000)

    attachment = {"content_base64": "AAAA" * 3_000_000}
    answer = send("SendEmailV2", raw_server(talk).port, email_attachments=[attachment])
    assert outcome(answer) == ("SMTPServerDisconnected", 503)


def test_the_size_is_announced(send, raw_server):
    """Where the server wants to know it (RFC 1870): without the dots that are doubled on the wire."""
    heard = []
    server = raw_server(script(heard, "220 hello", "250-hello\r\n250 SIZE 1000", *SENT, "221 bye"))
    assert outcome(send("SendEmailV2", server.port, email_body=".\n.")) == (None, 200)
    size = len(heard[4].replace(b"\r\n..", b"\r\n.")) - len(b".\r\n")
    assert heard[1] == b"MAIL FROM:<from@example.org> SIZE=%d\r\n" % (size - 2)  # the last line had no end


def test_helo_where_ehlo_is_not_known(send, raw_server):
    for code in "500", "502", "504", "550":
        heard = []
        replies = ["220 hello", f"{code} what", "250 hello", *SENT, "221 bye"]
        assert outcome(send("SendEmailV2", raw_server(script(heard, *replies)).port)) == (None, 200)
        assert heard[:3] == [b"EHLO [127.0.0.1]\r\n", b"HELO [127.0.0.1]\r\n", b"MAIL FROM:<from@example.org>\r\n"]


@pytest.mark.parametrize("name", ["proxy.example.org", "localhost", "[192.0.2.1]", "[IPv6:2001:db8::1]", "a-b.x9"])
def test_the_name_of_the_proxy(make_send, raw_server, name):
    heard = []
    server = raw_server(script(heard, "220 hello", "502 what", "250 hello", *SENT, "221 bye"))
    assert outcome(make_send(SMTP_HELO_NAME=f" {name} ")("SendEmailV2", server.port)) == (None, 200)
    assert heard[:2] == [f"EHLO {name}\r\n".encode(), f"HELO {name}\r\n".encode()]


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "a\r\nMAIL FROM:<x@y.example>",
        "-a",
        "a..b",
        "a.",
        "[x]",
        "192.0.2.1]",
        "[::1]",
        "[IPv6:192.0.2.1]",
        "ü",
        "a/b",
    ],
)
def test_a_name_of_the_proxy_that_is_invalid(make_send, name):
    """Is the operator's mistake, and refused at the start."""
    with pytest.raises(ValueError, match=r"^CONNECTOR_PROXY_SMTP_HELO_NAME is .*. Use a domain such as"):
        make_send(SMTP_HELO_NAME=name)


def encoded(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("replies", "user", "password", "expected"),
    [
        (
            [auth("PLAIN"), "235 in"],
            "usér",
            "pässwörd€",
            [f"AUTH PLAIN {encoded(chr(0) + 'usér' + chr(0) + 'pässwörd€')}"],
        ),
        ([auth("plain"), "299 in"], "user", "right", [f"AUTH PLAIN {encoded(chr(0) + 'user' + chr(0) + 'right')}"]),
        (
            [auth("PLAIN"), "334 ", "235 in"],
            "u",
            "p",
            [f"AUTH PLAIN {encoded(chr(0) + 'u' + chr(0) + 'p')}", encoded("\0u\0p")],
        ),
        ([auth("PLAIN"), "334 ", "235 in"], "u", "p" * 999, ["AUTH PLAIN", encoded("\0u\0" + "p" * 999)]),
        ([auth("LOGIN"), "334 UGFzcw==", "235 in"], "usér", "pä", [f"AUTH LOGIN {encoded('usér')}", encoded("pä")]),
        (
            [auth("LOGIN"), "334 VXNlcg==", "334 UGFzcw==", "235 in"],
            "u" * 999,
            "p",
            ["AUTH LOGIN", encoded("u" * 999), encoded("p")],
        ),
        (
            ["250-hello\r\n250 AUTH=LOGIN PLAIN", "235 in"],
            "u",
            "p",
            [f"AUTH PLAIN {encoded(chr(0) + 'u' + chr(0) + 'p')}"],
        ),
        # the example of RFC 2195
        (
            [auth("PLAIN", "CRAM-MD5"), "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+", "235 in"],
            "tim",
            "tanstaaftanstaaf",
            ["AUTH CRAM-MD5", "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"],
        ),
        # RFC 2195 names no charset: where letters are beyond ASCII, it is the last that is tried
        ([auth("CRAM-MD5", "PLAIN"), "235 in"], "ü", "p", [f"AUTH PLAIN {encoded(chr(0) + 'ü' + chr(0) + 'p')}"]),
        # the next mechanism
        (
            [auth("CRAM-MD5", "PLAIN"), "504 no", "235 in"],
            "u",
            "p",
            ["AUTH CRAM-MD5", f"AUTH PLAIN {encoded(chr(0) + 'u' + chr(0) + 'p')}"],
        ),
        (
            [auth("PLAIN", "LOGIN"), "534 too weak", "334 UGFzcw==", "235 in"],
            "u",
            "p",
            [f"AUTH PLAIN {encoded(chr(0) + 'u' + chr(0) + 'p')}", f"AUTH LOGIN {encoded('u')}", encoded("p")],
        ),
    ],
)
def test_logins(send, raw_server, replies, user, password, expected):
    heard = []
    server = raw_server(script(heard, "220 hello", *replies, *SENT, "221 bye"))
    assert outcome(send("SendEmailV2", server.port, smtp_user=user, smtp_password=password)) == (None, 200)
    assert heard[1 : 1 + len(expected)] == [f"{line}\r\n".encode() for line in expected]
    assert heard[1 + len(expected)] == b"MAIL FROM:<from@example.org>\r\n"


WITHOUT_MD5 = """
import json, sys
sys.modules["_md5"] = None  # as in a Python that was built without it
sys.path[:0] = sys.argv[1:3]
from connector_smtp.commands.send_email_v2 import SendEmailV2
print(json.dumps(SendEmailV2(**json.loads(sys.argv[3])).execute({}, {})))
"""


@pytest.mark.parametrize(
    ("offered", "replies", "code"),
    [(["CRAM-MD5", "PLAIN"], ["235 in", *SENT, "221 bye"], None), (["CRAM-MD5"], [], "SMTPException")],
)
def test_a_python_without_md5(raw_server, tmp_path, offered, replies, code):
    """As in FIPS mode: OpenSSL has the algorithms of its FIPS provider alone."""
    settings = tmp_path / "openssl.cnf"
    settings.write_text("openssl_conf = a\n[a]\nalg_section = b\n[b]\ndefault_properties = fips=yes\n")
    heard = []
    server = raw_server(script(heard, "220 hello", auth(*offered), *replies))
    ended = subprocess.run(
        [
            *(sys.executable, "-c", WITHOUT_MD5, str(ROOT), str(ROOT / "connectors")),
            json.dumps({**MESSAGE, **LOGIN, "smtp_port": server.port}),
        ],
        env={**os.environ, "OPENSSL_CONF": str(settings)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.stderr == ""
    assert outcome(json.loads(ended.stdout)) == (code, 200 if code is None else 422)
    assert b"AUTH CRAM-MD5\r\n" not in heard


# --- what is on the wire ---


def sent_bytes(send, raw_server, **more):
    """Return what a server is sent as the message, without the dot that ends it."""
    heard = []
    answer = send("SendEmailV2", raw_server(script(heard, *HELLO, *SENT, "221 bye")).port, **more)
    assert outcome(answer) == (None, 200)
    (message,) = (entry for entry in heard if entry.endswith(b"\r\n.\r\n"))
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|[\0\x80-\xff]", message)
    assert max(map(len, message.split(b"\r\n"))) <= 998
    return re.sub(rb"(?m)^\.", b"", message[: -len(b".\r\n")])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a\nb\rc\r\nd", b"a\r\nb\r\nc\r\nd\r\n"),
        (".\n..\n.a", b".\r\n..\r\n.a\r\n"),
        ("a\r\r\n\n", b"a\r\n\r\n\r\n"),
        ("", b""),
        ("x" * 998, b"x" * 998 + b"\r\n"),
    ],
)
def test_ends_of_lines_of_the_text(send, raw_server, body, expected):
    assert sent_bytes(send, raw_server, email_body=body).partition(b"\r\n\r\n")[2] == expected


@pytest.mark.parametrize("body", ["x" * 999, "ü\rb", "a\0b", "\u2028", "ü" * 2000, " ü \n.\n\n"])
def test_a_text_that_has_to_be_encoded(send, raw_server, body):
    part = email.message_from_bytes(sent_bytes(send, raw_server, email_body=body, email_html=body)).get_payload()[1]
    assert part.get_payload(decode=True).decode().rstrip("\r\n") == re.sub(r"\r?\n|\r", "\r\n", body).rstrip("\r\n")


MAIL = b"Subject: inner\nContent-Type: text/plain\n\n.\nHello\n"


@pytest.mark.parametrize(
    ("media_type", "content", "sent_type", "encoding", "expected"),
    [
        ("message/rfc822", MAIL, "message/rfc822", "7bit", MAIL.replace(b"\n", b"\r\n")),
        ("message/RFC822; x=y", MAIL, "message/rfc822; x=y", "7bit", MAIL.replace(b"\n", b"\r\n")),
        ("message/rfc822", MAIL.replace(b"\n", b"\r\n"), "message/rfc822", "7bit", MAIL.replace(b"\n", b"\r\n")),
        ("message/rfc822", "ü".encode() + MAIL, "application/octet-stream", "base64", "ü".encode() + MAIL),
        ("message/rfc822", MAIL + b"x" * 999, "application/octet-stream", "base64", MAIL + b"x" * 999),
        ("message/rfc822", MAIL + b"\r", "application/octet-stream", "base64", MAIL + b"\r"),
        ("message/rfc822", MAIL + b"\0", "application/octet-stream", "base64", MAIL + b"\0"),
        ("message/rfc822", b"", "message/rfc822", "7bit", b""),
        ("message/delivery-status", MAIL, "message/delivery-status", "7bit", MAIL.replace(b"\n", b"\r\n")),
        ("message/disposition-notification", b"a: b", "message/disposition-notification", "7bit", b"a: b"),
        ("message/global", "ü: ü".encode(), "application/octet-stream", "base64", "ü: ü".encode()),
        ("message/partial; id=a; number=1", MAIL, "application/octet-stream", "base64", MAIL),
        ("message/external-body; access-type=x", MAIL, "application/octet-stream", "base64", MAIL),
        (
            "multipart/mixed; boundary=x",
            b"--x\n\na\n--x--\n",
            "application/octet-stream",
            "base64",
            b"--x\n\na\n--x--\n",
        ),
        ("multipart/mixed", b"a", "application/octet-stream", "base64", b"a"),
        ("text/plain", b"a\nb\rc\r\n", "text/plain", "base64", b"a\nb\rc\r\n"),
    ],
)
def test_attachments_that_are_messages(send, raw_server, media_type, content, sent_type, encoding, expected):
    """Are sent as they are, or as files of bytes (RFC 2046 section 5.2.1); the name stays."""
    attachment = {"filename": "ä.eml", "mimetype": media_type, "content_base64": base64.b64encode(content).decode()}
    message = sent_bytes(send, raw_server, email_attachments=[attachment])
    boundary = re.search(rb'boundary="?([^"\r]+)', message)[1]
    head, _, body = message.split(b"--" + boundary)[2].partition(b"\r\n\r\n")
    assert head.decode().split("\r\n")[1:] == [
        f"Content-Type: {sent_type}",
        f"Content-Transfer-Encoding: {encoding}",
        "Content-Disposition: attachment; filename*=UTF-8''%C3%A4.eml",
    ]
    body = body[: -len(b"\r\n")]
    assert (body if encoding == "7bit" else base64.decodebytes(body)) == expected


@pytest.mark.parametrize(
    ("attachment", "filename", "media_type"),
    [
        ("data:text/plain;charset=utf-8;name=a.txt;base64,YQ==", "a.txt", "text/plain; charset=utf-8; name=a.txt"),
        ("data:text/plain;name=a.txt;charset=utf-8;base64,YQ==", "a.txt", "text/plain; name=a.txt; charset=utf-8"),
        ('data:text/plain;charset="utf-8";base64,YQ==', "attachment", "text/plain; charset=utf-8"),
        ("data:text/plain;charset=%22a%22;name=%C3%BC.txt;base64,YQ==", "ü.txt", None),
        ("data:text/plain;;name=a%3Bb.txt;base64,YQ==", "a;b.txt", 'text/plain; name="a;b.txt"'),
        ("data:;base64,YQ==", "attachment", "application/octet-stream"),
        ("DATA:Image/PNG;BASE64,YQ==", "attachment", "image/png"),
        ({"mimetype": "text/calendar; method=REQUEST"}, "attachment", "text/calendar; method=REQUEST"),
        (
            {"mimetype": 'text/calendar;charset="utf-8";method=REQUEST; name="in vite.ics"', "filename": "b.ics"},
            "b.ics",
            'text/calendar; charset=utf-8; method=REQUEST; name="in vite.ics"',
        ),
        ({"mimetype": "text/plain; name=a b.txt"}, "a b.txt", 'text/plain; name="a b.txt"'),
        ({"mimetype": 'application/x; boundary="=_a;b"'}, "attachment", 'application/x; boundary="=_a;b"'),
        ({"mimetype": "application/vnd.a+b; x=; "}, "attachment", 'application/vnd.a+b; x=""'),
        ({"mimetype": None}, "attachment", "application/octet-stream"),
    ],
)
def test_parameters_of_media_types(send, mail_server, attachment, filename, media_type):
    if isinstance(attachment, dict):
        attachment = {"content_base64": "YQ==", **attachment}
    assert outcome(send("SendEmailV2", mail_server.port, email_attachments=[attachment])) == (None, 200)
    (sent,) = message_of(mail_server).iter_attachments()
    assert sent.get_filename() == filename
    if media_type:
        message = email.message_from_bytes(mail_server.envelopes[0].content)
        assert message.get_payload()[1]["Content-Type"].replace("\r\n", "") == media_type
    else:
        assert sent.get_param("charset") == '"a"'


@pytest.mark.parametrize(
    "mimetype",
    [
        "text/plain; charset",
        "text/plain; =utf-8",
        "text/plain; charset=a; CHARSET=b",
        'text/plain; charset="a',
        'text/plain; charset="a"b',
        "text/plain, image/png",
        "text/plain; a b=c",
        "text/plain; name*=UTF-8''a",
        "text/pl\u00e4in",
        "text/",
        "text",
        "text/plain/x",
        "x" * 200 + "/y",
        f"text/plain; {'x' * 41}=y",
        "text/plain; charset=a\r\nBcc: evil@x.example",
        "text/plain\nBcc: evil@x.example",
        'text/plain; charset="a\u2028b"',
        "text/plain; charset=\ud800",
        5,
        ["text/plain"],
    ],
)
def test_a_media_type_that_is_invalid(send, mail_server, mimetype):
    attachment = {"content_base64": "YQ==", "mimetype": mimetype}
    answer = send("SendEmailV2", mail_server.port, email_attachments=[attachment])
    assert outcome(answer) == ("ValueError", 400)
    assert answer.json["error"]["message"].startswith("email_attachments[0]: ")
    assert mail_server.envelopes == []


@pytest.mark.parametrize(
    "parameters", ["charset", "charset=a;charset=b", "name=%0D%0ABcc:x", "name=%00", "name=%FCber.txt", 'name="a']
)
def test_a_data_url_that_is_invalid(send, mail_server, parameters):
    answer = send("SendEmailV2", mail_server.port, email_attachments=[f"data:text/plain;{parameters};base64,YQ=="])
    assert outcome(answer) == ("ValueError", 400)
    assert mail_server.envelopes == []


NAMED = '"Department of Economic and Social Affairs, Division for Sustainable Development" <desa@example.org>'


@pytest.mark.parametrize("parameter", ["email_from", "email_to", "email_cc", "email_reply_to"])
@pytest.mark.parametrize(
    ("text", "name"),
    [
        (NAMED, NAMED.split('"')[1]),
        ('"Abteilung für Wirtschaft, Soziales und nachhaltige Entwicklung" <desa@example.org>', None),
        ('"Doe, \\"Jane\\" \\\\ (Sales)" <desa@example.org>', 'Doe, "Jane" \\ (Sales)'),
        ("Jane (Sales, EU) <desa@example.org>", "Jane (Sales, EU)"),
        ('"=?utf-8?q?x?=" <desa@example.org>', "=?utf-8?q?x?="),
    ],
)
def test_one_mailbox_arrives(send, mail_server, parameter, text, name):
    assert outcome(send("SendEmailV2", mail_server.port, **{parameter: text})) == (None, 200)
    field = email.message_from_bytes(mail_server.envelopes[0].content)[parameter[len("email_") :].replace("_", "-")]
    ((read_name, address),) = email.utils.getaddresses([field.replace("\r\n", "")])
    assert address == "desa@example.org"
    expected = name or text.split('"')[1]
    assert str(email.header.make_header(email.header.decode_header(read_name))) == expected
    field = message_of(mail_server)[parameter[len("email_") :].replace("_", "-")]
    assert [(mailbox.display_name, mailbox.addr_spec) for mailbox in field.addresses] == [(expected, address)]


@pytest.mark.parametrize(
    "subject", ["Rechnung Nr. 4711 über die Lieferung von Möbeln für Ihre Geschäftsräume in Düsseldorf"]
)
def test_a_long_subject_arrives(send, mail_server, subject):
    """More of them are in test_smtp_headers.py."""
    assert outcome(send("SendEmailV2", mail_server.port, email_subject=subject)) == (None, 200)
    assert message_of(mail_server)["Subject"] == subject


# --- host, port and recipients that are not what they should be ---


@pytest.mark.parametrize(
    ("parameter", "value", "words"),
    [
        ("smtp_host", "smtp://127.0.0.1", '"smtp://127.0.0.1". Use only a host name'),
        ("smtp_host", "127.0.0.1:25", '"127.0.0.1:25"'),
        ("smtp_host", "[::1]:25", '"[::1]:25"'),
        ("smtp_host", "mail.example/path", '"mail.example/path"'),
        ("smtp_host", " 127.0.0.1", '" 127.0.0.1"'),
        ("smtp_host", "127.0.0.1\n", '"127.0.0.1\\n"'),
        ("smtp_host", "a b", '"a b"'),
        ("smtp_host", "", '""'),
        ("smtp_host", ".", '"."'),
        ("smtp_host", "a" * 64 + ".example", '"aaaa'),
        ("smtp_host", "a." * 127 + "example", '"a.a.'),
        ("smtp_host", "smtp://user:s3cret@mail.example", "invalid. Use only"),
        ("smtp_port", "25x", '"25x". Use a number from 1 to 65535'),
        ("smtp_port", "smtp", '"smtp"'),
        ("smtp_port", "", '""'),
        ("smtp_port", " 25", '" 25"'),
        ("smtp_port", "２５", '"２５"'),
        ("smtp_port", 0, "0. "),
        ("smtp_port", -25, "-25"),
        ("smtp_port", 65536, "65536"),
        ("smtp_port", 70000, "70000"),
        ("smtp_port", 10**30, "1000000"),
        ("smtp_port", True, "true"),
        ("smtp_port", 25.5, "25.5"),
        ("smtp_port", "\ud800", '"?"'),
        ("smtp_port", None, "null"),
        ("smtp_port", [25], "a list"),
        ("smtp_port", {"a": 25}, "an object"),
    ],
)
def test_hosts_and_ports_that_are_invalid(send, mail_server, parameter, value, words):
    answer = send("SendEmailV2", mail_server.port, **{parameter: value})
    assert outcome(answer) == ("ValueError", 400)
    assert answer.json["error"]["message"].startswith(f"{parameter} is {words}")
    assert "s3cret" not in answer.text
    assert mail_server.envelopes == []


@pytest.mark.parametrize("parameter", ["email_to", "email_cc", "email_bcc", "email_reply_to"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a@x.example; b@x.example", 'email_.*: "a@x.example; b@x.example" contains a semicolon. Use commas'),
        ("a@x.example;", "semicolon"),
        ("a@x.example\nb@x.example", 'contains a line break: "a@x.example.*Use commas'),
        ("a@x.example b@x.example", "not an address"),
        ([""], 'email_.*: "" is not an address'),
        (["a@x.example", " "], 'email_.*: "" is not an address'),
        ([["a@x.example"]], "must be a string, but is a list"),
        (5, "must be a string or a list, but is a number"),
        (False, "must be a string or a list, but is false"),
        ({"a": "a@x.example"}, "must be a string or a list, but is an object"),
    ],
)
def test_recipients_that_are_invalid(send, mail_server, parameter, value, words):
    answer = send("SendEmailV2", mail_server.port, **{parameter: value})
    assert outcome(answer) == ("ValueError", 400)
    assert re.match(f"{parameter}\\b", answer.json["error"]["message"])
    assert re.search(words, answer.json["error"]["message"])
    assert mail_server.envelopes == []


@pytest.mark.parametrize("port", [str, int])
def test_a_port_as_a_string(send, mail_server, port):
    assert outcome(send("SendEmailV2", port(mail_server.port))) == (None, 200)


# --- names in TLS ---


@pytest.mark.parametrize("more", [{"smtp_ssl": True}, {"smtp_starttls": True}])
def test_a_dot_at_the_end_of_a_host(start_mail_server, make_caller, authority, more):
    """Is not a part of the name that TLS sends and checks (RFC 6066 section 3), but of the name that is looked up."""
    context, names = server_context(authority, "mail.example"), []
    context.sni_callback = lambda sock, name, _: names.append(name)
    server = start_mail_server(context, kind=ImplicitTls if "smtp_ssl" in more else Controller)
    names.clear()  # the fixture has called, too
    call = make_caller({"mail.example.": [["127.0.0.1"]]})
    message = {**MESSAGE, "smtp_host": "mail.example.", "smtp_port": server.port, **more}
    assert outcome(call("smtp/SendEmailV2", **message)) == (None, 200)
    assert names == ["mail.example"]


def test_an_authority_that_is_not_known(send, start_mail_server):
    """The message names the file of those that are; where the name is wrong, no file would help."""
    server = start_mail_server(server_context(trustme.CA(), "127.0.0.1"))
    message = send("SendEmailV2", server.port, smtp_starttls=True).json["error"]["message"]
    assert re.search(r"not trusted: .*\. The proxy trusts the CA certificates in /.*\.pem \(SSL_CERT_FILE\)$", message)


def test_a_certificate_for_another_name(send, start_mail_server, authority):
    server = start_mail_server(server_context(authority, "elsewhere.example"))
    assert "SSL_CERT_FILE" not in send("SendEmailV2", server.port, smtp_starttls=True).text


def test_no_tls_on_the_port(send, mail_server):
    message = send("SendEmailV2", mail_server.port, smtp_ssl=True).json["error"]["message"]
    assert message.startswith(f"127.0.0.1 port {mail_server.port} does not speak TLS here. smtp_ssl is for a port with")


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
        message = re.sub("port [0-9]+", "port N", answer.json["error"]["message"])
        return what, outcome(answer), message, ended.is_set()

    silent = "127.0.0.1 port N sent no greeting. Is it a mail server?"
    messages = {"no greeting": f"{silent} A port with TLS from the start needs smtp_ssl.", "TLS that hangs": silent}
    late = "The mail server did not accept the message in time"
    expected = [(what, ("TimeoutError", 503), messages.get(what, late), False) for what, _, _ in SLOW_SERVERS]
    assert at_once(send_slowly, SLOW_SERVERS) == expected


@pytest.mark.parametrize(
    ("replies", "more", "code", "words"),
    [
        (["220 hello", auth("PLAIN", "LOGIN"), "535 wrong"], LOGIN, "SMTPAuthenticationError", "535 wrong"),
        (["220 hello", "550 your name"], {}, "SMTPHeloError", "550 your name"),
        ([*HELLO, "250 yes", "550 no"], {"email_to": "a@x.example,b@x.example"}, "SMTPRecipientsRefused", "550 no"),
    ],
)
def test_a_server_that_refuses_and_falls_silent(make_send, raw_server, replies, more, code, words):
    """What it refused is the cause, and not to be tried again."""

    def talk(connection, number):
        script([], *replies)(connection, number)
        while connection.recv(1000):  # until we give up
            pass

    answer = make_send(SMTP_TIMEOUT=SLOW / 5)("SendEmailV2", raw_server(talk).port, **more)
    assert outcome(answer) == (code, 422)
    assert words in answer.json["error"]["message"]


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
        assert send("SendEmail", port).json == {"error": f"127.0.0.1 port {port} does not respond"}
    assert outcome(answer) == ("TimeoutError", 503)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(39, "The server answered 554 go away"), (41, "The mail server did not accept the message in time")],
)
def test_forty_seconds(send, raw_server, clock, seconds, words):
    """Where no setting says otherwise."""

    def talk(connection, number):
        follow(MAIL="")(connection, number)
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
    message = "The name hangs.example could not be looked up in time"
    answer = call_names("SendEmailV2", "hangs.example", 25, 0.3)
    assert (outcome(answer), answer["error"]["message"]) == (("TimeoutError", 503), message)
    assert call_names("SendEmail", "hangs.example", 25, 0.3) == {"error": message}


def test_a_name_that_nobody_knows(send):
    answer = send("SendEmailV2", 25, smtp_host="nowhere.invalid")
    assert outcome(answer) == ("gaierror", 503)
    assert "The name nowhere.invalid cannot be resolved: " in answer.json["error"]["message"]


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
