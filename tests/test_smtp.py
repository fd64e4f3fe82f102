"""The smtp connector, against a real server."""

import email
import email.policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from conftest import JSON, free_port


class Handler:
    """Keeps what it is sent; `replies` overrides what it says to a recipient or to the data."""

    def __init__(self):
        self.envelopes = []
        self.replies = {}
        self.authenticated = 0

    def authenticate(self, server, session, envelope, mechanism, data):
        self.authenticated += 1
        return AuthResult(success=(data.login, data.password) == (b"user", b"right"), handled=False)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):  # noqa: N802
        session.host_name = self.ehlo = hostname
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        reply = self.replies.get(address, "250 OK")
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.envelopes.append(envelope)
        return self.replies.get("data", "250 OK")


@pytest.fixture
def mail_server():
    handler = Handler()
    handler.port = free_port()
    controller = Controller(
        handler, "127.0.0.1", handler.port, authenticator=handler.authenticate, auth_require_tls=False
    )
    controller.start()
    yield handler
    controller.stop()


@pytest.fixture
def send(make_app):
    """Return a function that sends a message and returns the answer."""
    app = make_app()

    def call(command, port, status=200, **more):
        parameters = {
            "smtp_host": "127.0.0.1",
            "smtp_port": port,
            "email_subject": "Grüße",
            "email_body": "Hallo,\nWelt",
            "email_to": "to@example.org",
            "email_from": "from@example.org",
        }
        return app.post_json(f"/v1/do/smtp/{command}", {**parameters, **more}, status=status)

    return call


@pytest.mark.parametrize("command", ["SendEmail", "SendEmailV2"])
def test_a_message_is_sent(send, mail_server, command):
    answer = send(command, mail_server.port)
    (envelope,) = mail_server.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("from@example.org", ["to@example.org"])
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert {name: message[name] for name in ("Subject", "From", "To")} == {
        "Subject": "Grüße",
        "From": "from@example.org",
        "To": "to@example.org",
    }
    assert message.get_content() == "Hallo,\r\nWelt\r\n"
    assert message["Date"]
    assert message["Message-ID"]
    if command == "SendEmail":
        assert (answer.json, answer.content_type) == ({}, JSON)
    else:
        assert answer.json == {
            "command_response": {"body": {}, "mimetype": JSON, "http_status": 200},
            "command_response_version": 2,
            "error": None,
            "spiff__logs": [],
        }


def test_version_1_reports_a_failure_in_its_response(send):
    """With status 200, as the tutorial defines it: the diagram looks at it."""
    assert send("SendEmail", free_port()).json == {"error": "[Errno 111] Connection refused"}


@pytest.mark.parametrize(
    ("replies", "to", "code", "http_status", "words"),
    [
        (
            {"to@example.org": "550 no such user"},
            "to@example.org",
            "SMTPRecipientsRefused",
            422,
            "to@example.org (550 no such user)",
        ),
        ({"to@example.org": "451 later"}, "to@example.org", "SMTPRecipientsRefused", 503, "451 later"),
        (
            {"a@example.org": "451 later"},
            "a@example.org, b@example.org",
            "SMTPRecipientsRefused",
            422,
            "sent, but not to a@example.org",
        ),
        ({"data": "554 no"}, "to@example.org", "SMTPDataError", 422, "554 no"),
        ({"data": "452 full"}, "to@example.org", "SMTPDataError", 503, "452 full"),
    ],
)
def test_version_2_says_whether_to_try_again(send, mail_server, replies, to, code, http_status, words):
    mail_server.replies = replies
    answer = send("SendEmailV2", mail_server.port, email_to=to).json
    assert (answer["error"]["error_code"], answer["command_response"]["http_status"]) == (code, http_status)
    assert words in answer["error"]["message"]


@pytest.mark.parametrize(
    ("more", "code", "http_status"),
    [
        ({"smtp_user": "user", "smtp_password": "wrong"}, "SMTPAuthenticationError", 422),
        ({"smtp_starttls": True}, "SMTPNotSupportedError", 422),
        ({"email_subject": "a\nBcc: evil@example.org"}, "ValueError", 400),
        ({"email_to": "a@example.org\r\nBcc: evil@example.org"}, "ValueError", 400),
        ({"smtp_host": "nowhere.invalid"}, "gaierror", 503),
    ],
)
def test_nothing_is_sent(send, mail_server, more, code, http_status):
    answer = send("SendEmailV2", mail_server.port, **more).json
    assert (answer["error"]["error_code"], answer["command_response"]["http_status"]) == (code, http_status)
    assert mail_server.envelopes == []


def test_nobody_listens(send):
    answer = send("SendEmailV2", free_port()).json
    assert (answer["error"]["error_code"], answer["command_response"]["http_status"]) == ("ConnectionRefusedError", 503)


@pytest.mark.parametrize(
    ("user", "password", "logs_in"),
    [("user", "right", True), ("user", None, False), (None, "right", False), ("", "", False)],
)
def test_login_takes_both_user_and_password(send, mail_server, user, password, logs_in):
    answer = send("SendEmail", mail_server.port, smtp_user=user, smtp_password=password)
    assert answer.json == {}
    assert len(mail_server.envelopes) == 1
    assert (mail_server.authenticated == 1) == logs_in
