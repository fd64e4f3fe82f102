"""Login to mail servers with an access token, against real token endpoints and servers."""

import base64
import itertools
import json
import re

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from conftest import JSON, free_port, serve_http, server_context
from test_smtp import HELLO, MESSAGE, SENT, Handler, auth, outcome, script

USER = "ü=,@example.org"
LONG = "long-token-" + "x" * 3000
REASON = base64.b64encode(b'{"status":"401","schemes":"bearer mac","scope":"https://mail.example/"}').decode()
_numbers = itertools.count(1)


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def xoauth2(token, user=USER):
    return encoded(f"user={user}\1auth=Bearer {token}\1\1")


def oauthbearer(token, port):
    return encoded(f"n,a=ü=3D=2C@example.org,\1host=127.0.0.1\1port={port}\1auth=Bearer {token}\1\1")


@pytest.fixture
def provider():
    """A token endpoint that gives `smtp-token-1` and so on, or `refuse`."""
    with serve_http() as server:
        server.refuse = None

        def answer(request):
            token_set = {"access_token": f"smtp-token-{len(server.requests)}", "expires_in": 3600}
            return server.refuse or (200, {"Content-Type": JSON}, json.dumps(token_set).encode())

        server.answer = answer
        yield server


@pytest.fixture
def oauth2(provider):
    return {"token_url": provider.url, "client_id": f"mail {next(_numbers)}", "client_secret": "s3cret-of-mail"}


@pytest.fixture
def make_send(make_app):
    """Return a function that makes one which sends a message with `smtp_oauth2`, and returns the answer."""

    def make(**settings):
        app = make_app(**settings)

        def send(port, oauth2, **more):
            login = {"smtp_user": USER, "smtp_oauth2": oauth2}
            return app.post_json("/v1/do/smtp/SendEmailV2", {**MESSAGE, "smtp_port": port, **login, **more})

        return send

    return make


@pytest.fixture
def send(make_send):
    return make_send()


class TokenHandler(Handler):
    """A server that accepts the tokens in `accepted`."""

    accepted = ("smtp-token-1",)

    async def auth_XOAUTH2(self, server, args):  # noqa: N802
        self.responses.append(args[1])
        return AuthResult(success=args[1] in [xoauth2(token) for token in self.accepted], handled=False)


@pytest.fixture
def mail_server(authority):
    handler = TokenHandler()
    handler.responses, handler.port = [], free_port()
    tls = server_context(authority, "127.0.0.1")
    controller = Controller(handler, "127.0.0.1", handler.port, tls_context=tls, auth_require_tls=True)
    controller.start()
    yield handler
    controller.stop()


def test_a_mail_is_sent(send, mail_server, provider, oauth2):
    """After STARTTLS, with one token for two mails."""
    for _ in range(2):
        answer = send(mail_server.port, oauth2, smtp_starttls=True)
        assert outcome(answer) == (None, 200)
    assert mail_server.responses == [xoauth2("smtp-token-1")] * 2
    assert (len(mail_server.envelopes), len(provider.requests)) == (2, 1)
    assert "smtp-token" not in json.dumps(answer.json)


def test_a_token_that_was_withdrawn(send, mail_server, provider, oauth2):
    """The proxy gets a new one once."""
    mail_server.accepted = ("smtp-token-2",)
    assert outcome(send(mail_server.port, oauth2, smtp_starttls=True)) == (None, 200)
    assert mail_server.responses == [xoauth2("smtp-token-1"), xoauth2("smtp-token-2")]
    mail_server.accepted = ()
    answer = send(mail_server.port, oauth2, smtp_starttls=True)
    assert outcome(answer) == ("SMTPAuthenticationError", 422)
    assert (len(mail_server.responses), len(provider.requests)) == (4, 3)


@pytest.mark.parametrize(
    ("token", "replies", "lines"),
    [
        ("t0ken", [auth("PLAIN", "XOAUTH2", "OAUTHBEARER"), "235 in"], ["AUTH XOAUTH2 X"]),
        ("t0ken", [auth("LOGIN", "OAUTHBEARER"), "235 in"], ["AUTH OAUTHBEARER B"]),
        ("t0ken", ["250-hello\r\n250 AUTH=xoauth2", "299 in"], ["AUTH XOAUTH2 X"]),
        # RFC 4954 section 4: what is too long for a command follows it
        (LONG, [auth("XOAUTH2"), "334 ", "235 in"], ["AUTH XOAUTH2", "X"]),
        (LONG, [auth("XOAUTH2"), "334 Z28gb24=", "235 in"], ["AUTH XOAUTH2", "X"]),
        (LONG, [auth("OAUTHBEARER"), "334", "235 in"], ["AUTH OAUTHBEARER", "B"]),
        # a server that asks again for what came with the command
        ("t0ken", [auth("XOAUTH2"), "334 ", "235 in"], ["AUTH XOAUTH2 X", "X"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_a_server_hears(send, raw_server, token, replies, lines):
    heard = []
    port = raw_server(script(heard, "220 hello", *replies, *SENT)).port
    assert outcome(send(port, {"access_token": token})) == (None, 200)
    replaced = {"X": xoauth2(token), "B": oauthbearer(token, port)}
    expected = [" ".join(replaced.get(word, word) for word in line.split()) for line in lines]
    assert [line.decode().strip() for line in heard[1 : 1 + len(lines)]] == expected


@pytest.mark.parametrize(
    ("replies", "last", "code", "http_status", "words"),
    [
        ([auth("XOAUTH2"), "535 5.7.3 no"], None, "SMTPAuthenticationError", 422, "^The server answered 535 5.7.3 no$"),
        ([auth("XOAUTH2"), "454 later"], None, "SMTPAuthenticationError", 503, "^The server answered 454 later$"),
        (
            [auth("XOAUTH2"), f"334 {REASON}", "535-5.7.8 no\r\n535 5.7.8 really"],
            b"\r\n",
            "SMTPAuthenticationError",
            422,
            r"535 5.7.8 no\n5.7.8 really \(status 401, schemes bearer mac, scope https://mail.example/\)$",
        ),
        (
            [auth("OAUTHBEARER"), f"334 {REASON}", "535 no"],
            b"AQ==\r\n",
            "SMTPAuthenticationError",
            422,
            r"\(status 401",
        ),
        ([auth("XOAUTH2"), f"334 {REASON}"], None, "SMTPAuthenticationError", 422, r"535 \(status 401"),
        ([auth("XOAUTH2"), f"334 {REASON}", "454 no"], b"\r\n", "SMTPAuthenticationError", 503, r"454 no \(status"),
        ([auth("XOAUTH2"), f"334 {REASON}", "334 a", "501 no"], b"*\r\n", "SMTPAuthenticationError", 422, "501 no"),
        # reasons that are not base64, or no JSON object
        ([auth("XOAUTH2"), "334 what", "535 no"], b"\r\n", "SMTPAuthenticationError", 422, "answered 535 no$"),
        ([auth("XOAUTH2"), "334 W10=", "535 no"], b"\r\n", "SMTPAuthenticationError", 422, "answered 535 no$"),
        ([auth("XOAUTH2"), "334 ü", "535 no"], b"\r\n", "SMTPAuthenticationError", 422, "answered 535 no$"),
        ([auth("PLAIN", "LOGIN")], None, "SMTPException", 422, "the server offers: PLAIN LOGIN.$"),
        (["250 hello"], None, "SMTPNotSupportedError", 422, "The server does not offer a login"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_server_that_refuses(send, raw_server, replies, last, code, http_status, words):
    """Its words are reported; `last` is the last line that it hears."""
    heard = []
    port = raw_server(script(heard, "220 hello", *replies)).port
    answer = send(port, {"access_token": "t0ken-of-mail"})
    assert outcome(answer) == (code, http_status)
    assert re.search(words, answer.json["error"]["message"])
    assert last is None or heard[-1] == last


def test_a_server_that_closes_the_connection_after_a_refusal(send, raw_server, provider, oauth2):
    """The refusal is reported, and the next mail has another token."""
    talk = script([], "220 hello", auth("XOAUTH2"), "535 no")
    answer = send(raw_server(talk).port, oauth2)
    assert outcome(answer) == ("SMTPAuthenticationError", 422)
    assert len(provider.requests) == 2


@pytest.mark.parametrize("reply", ["what? TOKEN", "501 what? TOKEN", "250 in"])
@pytest.mark.parametrize(
    ("mechanism", "login"),
    [
        ("XOAUTH2", {}),
        ("PLAIN", {"smtp_oauth2": None, "smtp_password": "pass-of-mail"}),
        ("LOGIN", {"smtp_oauth2": None, "smtp_password": "pass-of-mail"}),
    ],
)
def test_a_server_that_repeats_what_it_heard(send, raw_server, mechanism, login, reply):
    """No message has a token or a password, nor the base64 of it."""
    secrets = ["t0ken-of-mail", xoauth2("t0ken-of-mail"), "pass-of-mail", encoded("pass-of-mail")]
    secrets.append(encoded(f"\0{USER}\0pass-of-mail"))
    said = reply.replace("TOKEN", " ".join(secrets))
    challenges = ["334 "] if mechanism == "LOGIN" else []
    talk = script([], "220 hello", auth(mechanism), *challenges, said, f"550 {' '.join(secrets)}")
    answer = send(raw_server(talk).port, {"access_token": "t0ken-of-mail"}, **login)
    shown = json.dumps(answer.json)
    assert "***" in shown
    own = secrets[:2] if mechanism == "XOAUTH2" else secrets[2:]
    assert not any(secret in shown for secret in own)


def test_a_server_that_repeats_the_token(send, raw_server):
    token = "t0ken-of-mail"
    reason = encoded(json.dumps({"status": f"bad {token}"}))
    talk = script([], "220 hello", auth("XOAUTH2"), f"334 {reason}", f"535 {token} {xoauth2(token)}")
    answer = send(raw_server(talk).port, {"access_token": token})
    assert answer.json["error"]["message"] == "The server answered 535 *** *** (status bad ***)"


@pytest.mark.parametrize(
    ("refuse", "http_status"),
    [
        ((401, {}, b'{"error": "invalid_client", "error_description": "s3cret-of-mail is wrong"}'), 400),
        ((503, {}, b""), 503),
    ],
)
def test_no_token(send, mail_server, provider, oauth2, refuse, http_status):
    """Nothing is sent, and the mail server is not asked."""
    provider.refuse = refuse
    answer = send(mail_server.port, oauth2)
    assert outcome(answer) == ("OAuth2Error", http_status)
    assert f"The token endpoint {provider.url}/ responded with {refuse[0]}" in answer.json["error"]["message"]
    assert "s3cret" not in json.dumps(answer.json)
    assert not hasattr(mail_server, "ehlo")


def test_a_token_url_with_a_network_interface_that_does_not_exist(send, mail_server, oauth2):
    """The code is one that the command declares."""
    answer = send(mail_server.port, {**oauth2, "token_url": "http://[fe80::1%25no-such]/"})
    assert outcome(answer) == ("OAuth2Error", 400)
    assert "no-such" in answer.json["error"]["message"]


def test_the_allowed_hosts_and_the_deadline(make_send, mail_server, oauth2, raw_server):
    answer = make_send(HTTP_ALLOWED_HOSTS="example.org")(mail_server.port, oauth2)
    assert outcome(answer) == ("HostNotAllowed", 403)
    silent = raw_server(lambda connection, number: list(iter(lambda: connection.recv(1000), b"")) and None)
    late = {**oauth2, "token_url": silent.url}
    answer = make_send(SMTP_TIMEOUT=0.3)(mail_server.port, late)
    assert outcome(answer) == ("OAuth2Error", 503)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"smtp_user": None}, "smtp_oauth2 needs smtp_user, the mailbox that the token is for"),
        ({"smtp_user": ""}, "smtp_oauth2 needs smtp_user"),
        ({"smtp_user": "a\1b"}, "smtp_user contains a control character"),
        ({"smtp_password": "12345678"}, "smtp_oauth2 cannot be combined with smtp_password"),
        ({"smtp_oauth2": "12345678"}, "smtp_oauth2 must be an object such as {"),
        ({"smtp_oauth2": {}}, "smtp_oauth2.token_url is missing"),
        ({"smtp_oauth2": {"access_token": None}}, "smtp_oauth2.token_url is missing"),
        ({"smtp_oauth2": {"access_token": ""}}, "smtp_oauth2.access_token is not a token"),
        ({"smtp_oauth2": {"access_token": "12345678 9"}}, "smtp_oauth2.access_token is not a token"),
        ({"smtp_oauth2": {"access_token": "12345678\n"}}, "smtp_oauth2.access_token contains a line break"),
        ({"smtp_oauth2": {"access_token": "12345678ü"}}, "smtp_oauth2.access_token is not a token"),
        ({"smtp_oauth2": {"access_token": 12345678}}, "smtp_oauth2.access_token must be a string"),
        ({"smtp_oauth2": {"access_token": "12345678", "token_url": "x"}}, 'cannot be combined with "token_url"'),
        ({"smtp_oauth2": {"token_url": "https://h", "client_id": "x"}}, "smtp_oauth2.client_secret is missing"),
        ({"smtp_oauth2": {"tokenurl": "https://h"}}, 'smtp_oauth2 has the key "tokenurl"'),
    ],
    ids=str,
)
def test_mistakes_of_the_author(send, mail_server, more, words):
    answer = send(mail_server.port, {"access_token": "t"}, **more)
    assert outcome(answer) == ("ValueError", 400)
    assert words in answer.json["error"]["message"]
    assert "12345678" not in json.dumps(answer.json)


def test_null_is_no_parameter(send, raw_server):
    """Then a user needs a password, as without the parameter."""
    talk = script([], *HELLO, *SENT)
    assert outcome(send(raw_server(talk).port, None, smtp_user=None)) == (None, 200)
    assert outcome(send(1, None)) == ("ValueError", 400)
