"""Access tokens that the proxy requests for the http commands, against real token endpoints and upstreams."""

import base64
import itertools
import json
import logging
import sys
import threading
import time
from urllib.parse import parse_qsl, quote, quote_plus

import pytest
from conftest import JSON, at_once, free_port, serve_http, serve_nobody

from spiffproxy import Proxy

GET = "GetRequestV2"
VERSION_2 = [GET, *(f"{method}RequestV2" for method in ("Head", "Delete", "Patch", "Post", "Put"))]
SECRET = "s3cret/+%& ü"
_numbers = itertools.count(1)


@pytest.fixture
def provider():
    """A token endpoint. `forms` has the forms that it was sent, `more` what it adds to a token set.

    Tokens are `access-token-1` and so on. `refuse` may be a response in place of a token set.
    """
    with serve_http() as server:
        server.forms, server.more, server.refuse = [], {"expires_in": 3600}, None

        def answer(request):
            server.forms.append(dict(parse_qsl(request.body.decode())))
            if server.refuse:
                return server.refuse
            token_set = {"access_token": f"access-token-{len(server.forms)}", "token_type": "bearer", **server.more}
            return 200, {"Content-Type": JSON}, json.dumps(token_set).encode()

        server.answer = answer
        yield server


@pytest.fixture
def oauth2(provider):
    """The parameter, with a client of its own for each test: the tokens of a process are kept."""
    return {"token_url": f"{provider.url}/token", "client_id": f"client {next(_numbers)}", "client_secret": SECRET}


@pytest.fixture
def call(make_http_call, upstream, oauth2):
    """Return a function that calls a command with `oauth2`, with changes, and returns the envelope."""
    http_call = make_http_call()

    def call(command=GET, oauth2=oauth2, **more):
        return http_call(command, **{"url": upstream.url, "oauth2": oauth2, **more}).json

    return call


def authorizations(server):
    return [request.headers["Authorization"] for request in server.requests]


def outcome(answer):
    return answer["error"] and answer["error"]["error_code"], answer["command_response"]["http_status"]


# --- The token request, and the token ---


@pytest.mark.parametrize("command", VERSION_2)
def test_client_credentials(call, provider, upstream, oauth2, command):
    """RFC 6749 section 4.4; the client authenticates by section 2.3.1."""
    answer = call(command)
    assert outcome(answer) == (None, 200)
    assert authorizations(upstream) == ["Bearer access-token-1"]
    assert provider.forms == [{"grant_type": "client_credentials"}]
    scheme, value = provider.requests[0].headers["Authorization"].split(" ")
    expected = f"{quote_plus(oauth2['client_id'])}:{quote_plus(SECRET)}"
    assert (scheme, base64.b64decode(value).decode()) == ("Basic", expected)
    assert provider.requests[0].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert answer["spiff__logs"][0] == f"POST {provider.url}/token, attempt 1 of 1: HTTP 200"
    assert not any(word in json.dumps(answer) for word in ("access-token", "s3cret", value))


@pytest.mark.parametrize(
    ("changes", "form", "has_basic"),
    [
        ({"scope": "a b"}, {"grant_type": "client_credentials", "scope": "a b"}, True),
        ({"audience": "https://x"}, {"grant_type": "client_credentials", "audience": "https://x"}, True),
        ({"auth": "basic", "scope": None, "audience": ""}, {"grant_type": "client_credentials"}, True),
        ({"auth": "post"}, {"grant_type": "client_credentials", "client_id": "ID", "client_secret": SECRET}, False),
        ({"refresh_token": "r1"}, {"grant_type": "refresh_token", "refresh_token": "r1"}, True),
        (
            {"refresh_token": "r1", "client_secret": None},
            {"grant_type": "refresh_token", "refresh_token": "r1", "client_id": "ID"},
            False,
        ),
    ],
)
def test_other_forms(call, provider, upstream, oauth2, changes, form, has_basic):
    assert outcome(call(oauth2={**oauth2, **changes})) == (None, 200)
    assert provider.forms == [{name: oauth2["client_id"] if value == "ID" else value for name, value in form.items()}]
    assert ("Authorization" in provider.requests[0].headers) == has_basic
    assert authorizations(upstream) == ["Bearer access-token-1"]


def test_a_token_endpoint_with_a_query_and_a_form_as_response(call, provider, oauth2, upstream):
    provider.refuse = 200, {"Content-Type": "application/x-www-form-urlencoded"}, b"access_token=from-form&expires_in=9"
    answer = call(oauth2={**oauth2, "token_url": f"{oauth2['token_url']}?tenant=hidden"})
    assert provider.requests[0].path == "/token?tenant=hidden"
    assert authorizations(upstream) == ["Bearer from-form"]
    assert "hidden" not in json.dumps(answer)


# --- In memory ---


def test_a_token_is_used_again(call, provider, upstream, make_http_call, oauth2):
    """By all commands and applications of the process; null is as good as nothing."""
    call()
    call("PostRequestV2", data={"a": 1}, headers={"X-One": "1", "authorization": None})
    call(oauth2={**oauth2, "scope": None})
    make_http_call()(GET, url=upstream.url, oauth2=oauth2)
    assert len(provider.forms) == 1
    assert set(authorizations(upstream)) == {"Bearer access-token-1"}


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "another"},
        {"client_secret": "another"},
        {"scope": "another"},
        {"audience": "another"},
        {"refresh_token": "another"},
        {"auth": "post"},
        {"token_url": "URL/another"},
        {"scope": "another", "audience": "another"},
    ],
    ids=str,
)
def test_another_grant_has_another_token(call, provider, upstream, oauth2, change):
    changed = {name: value.replace("URL", provider.url) for name, value in change.items()}
    call()
    call(oauth2={**oauth2, **changed})
    call()
    assert authorizations(upstream) == [f"Bearer access-token-{number}" for number in (1, 2, 1)]


@pytest.mark.parametrize(
    ("more", "seconds", "is_new"),
    [
        ({"expires_in": 3600}, 3500, False),
        ({"expires_in": 3600}, 3580, True),
        ({"expires_in": "3600"}, 3500, False),
        ({"expires_in": "3600"}, 3580, True),
        ({"expires_in": 3600.5}, 3500, False),
        ({"expires_in": 10}, 0, True),
        ({"expires_in": 0}, 0, True),
        ({"expires_in": -1}, 0, True),
        ({}, 200, False),
        ({}, 600, True),
        ({"expires_in": None}, 200, False),
        ({"expires_in": True}, 200, False),
        ({"expires_in": "soon"}, 200, False),
        ({"expires_in": "nan"}, 600, True),
        ({"expires_in": [1]}, 200, False),
        ({"expires_in": 10**400}, 80000, False),
        ({"expires_in": 10**400}, 90000, True),
        ({"expires_in": "inf"}, 90000, True),
    ],
    ids=lambda value: str(value)[:30],
)
def test_until_shortly_before_it_expires(call, provider, clock, more, seconds, is_new):
    provider.more = more
    call()
    clock.seconds += seconds
    assert outcome(call()) == (None, 200)
    assert len(provider.forms) == 1 + is_new


def test_calls_at_the_same_time_share_one_request(call, provider, upstream, oauth2):
    """Also if the token is good for no other call."""
    provider.more = {"expires_in": 0}
    hold_until_all_wait(provider, 5)
    answers = at_once(call, [()] * 5)
    assert [outcome(answer) for answer in answers] == [(None, 200)] * 5
    assert len(provider.forms) == 1
    assert authorizations(upstream) == ["Bearer access-token-1"] * 5


def test_calls_at_the_same_time_share_a_refusal(call, provider, upstream):
    """A later call tries again: a failure is not kept."""
    provider.refuse = 400, {}, b'{"error": "invalid_scope", "error_description": "none such"}'
    hold_until_all_wait(provider, 5)
    answers = at_once(call, [()] * 5)
    assert {outcome(answer) for answer in answers} == {("OAuth2Error", 400)}
    assert {answer["error"]["message"] for answer in answers} == {
        f"The token endpoint {provider.url}/token responded with 400: invalid_scope: none such"
    }
    assert len(provider.forms) == 1
    provider.refuse = None
    assert outcome(call()) == (None, 200)


def hold_until_all_wait(provider, count):
    """Have the token endpoint answer its first request when the other calls wait for it."""
    answer, is_first = provider.answer, threading.Lock()

    def answer_late(request):
        if is_first.acquire(blocking=False):
            for _ in range(500):
                if sum(is_waiting(thread) for thread in threading.enumerate()) == count - 1:
                    break
                time.sleep(0.01)  # nothing else tells when a thread waits
        return answer(request)

    provider.answer = answer_late


def is_waiting(thread):
    """Return whether a thread waits for a token that another call requests."""
    frame = sys._current_frames().get(thread.ident)
    names = []
    while frame:
        names.append((frame.f_code.co_name, frame.f_globals.get("__name__")))
        frame = frame.f_back
    return names[:1] == [("wait", "threading")] and ("get", "spiffproxy_http.tokens") in names


def test_a_call_whose_time_is_up_does_not_fail_the_others(make_http_call, provider, upstream, oauth2):
    """One that has more time requests the token itself."""
    began, release = threading.Event(), threading.Event()
    answer = provider.answer

    def answer_first_late(request):
        if len(provider.requests) == 1:
            began.set()
            release.wait(5)
        return answer(request)

    provider.answer = answer_first_late
    hasty, patient = make_http_call(HTTP_TIMEOUT=0.3), make_http_call()

    def run(call):
        if call is patient:
            began.wait(5)
        return call(GET, url=upstream.url, oauth2=oauth2).json

    answers = at_once(run, [(hasty,), (patient,), (patient,)])
    release.set()
    assert [outcome(answer) for answer in answers] == [("OAuth2Error", 503), (None, 200), (None, 200)]
    assert len(provider.requests) == 2


def test_the_number_of_tokens_is_bounded(call, provider, oauth2, monkeypatch):
    call()
    from spiffproxy_http import tokens

    monkeypatch.setattr(tokens, "MAX_TOKENS", 2)
    monkeypatch.setattr(tokens, "token_cache", tokens.TokenCache())
    for scope in "abaca":
        call(oauth2={**oauth2, "scope": scope})
    assert [form.get("scope") for form in provider.forms[1:]] == ["a", "b", "c"]
    call(oauth2={**oauth2, "scope": "b"})
    assert len(provider.forms) == 5


def test_the_allowed_hosts_count_for_a_token_in_memory(call, make_http_call, upstream, oauth2):
    """An application that may not call the token endpoint does not get the token of another one."""
    call()
    other = make_http_call(HTTP_ALLOWED_HOSTS="localhost")
    url = upstream.url.replace("127.0.0.1", "localhost")
    answer = other(GET, url=url, oauth2=oauth2).json
    assert outcome(answer) == ("HostNotAllowed", 403)
    assert "127.0.0.1" in answer["error"]["message"]


# --- Tokens that an upstream does not accept ---


def test_a_new_token_after_a_401(call, provider, upstream):
    call()
    upstream.answer = lambda request: (200 if request.headers["Authorization"].endswith("2") else 401, {}, b"")
    assert outcome(call()) == (None, 200)
    assert outcome(call()) == (None, 200)
    assert authorizations(upstream) == [f"Bearer access-token-{number}" for number in (1, 1, 2, 2)]


@pytest.mark.parametrize("command", VERSION_2)
def test_a_second_401_is_the_result(call, provider, upstream, command):
    upstream.answer = lambda request: (401, {"Content-Type": JSON}, b'{"why": "who knows"}')
    answer = call(command)
    assert outcome(answer) == ("HttpError401", 401)
    assert authorizations(upstream) == ["Bearer access-token-1", "Bearer access-token-2"]


def test_calls_whose_token_was_withdrawn_share_a_new_one(call, provider, upstream):
    call()
    barrier = threading.Barrier(5)

    def answer(request):
        if request.headers["Authorization"].endswith("-1"):
            barrier.wait(5)
            return 401, {}, b""
        return 200, {}, b""

    upstream.answer = answer
    assert [outcome(answer) for answer in at_once(call, [()] * 5)] == [(None, 200)] * 5
    assert len(provider.forms) == 2


def test_no_new_token_is_to_be_had(call, provider, upstream):
    call()
    upstream.answer = lambda request: (401, {}, b"")
    provider.refuse = 401, {}, b'{"error": "invalid_client"}'
    answer = call()
    assert outcome(answer) == ("OAuth2Error", 400)
    assert answer["command_response"]["body"] == {}
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 407])
def test_other_statuses_do_not_bring_a_new_token(call, provider, upstream, status):
    upstream.answer = lambda request: (status, {}, b"")
    assert outcome(call()) == (f"HttpError{status}", status)
    assert (len(provider.forms), len(upstream.requests)) == (1, 1)


# --- Refresh tokens ---


def test_a_refresh_token_that_is_replaced(call, provider, clock, oauth2):
    """RFC 6749 section 6: the new one is used from then on, with every scope."""
    for number in range(1, 4):
        provider.more = {"expires_in": 3600, "refresh_token": f"r{number + 1}"}
        assert outcome(call(oauth2={**oauth2, "refresh_token": "r1", "scope": f"s{number}"})) == (None, 200)
    provider.more = {"expires_in": 3600}  # which keeps the old one
    for _ in range(2):
        clock.seconds += 4000
        call(oauth2={**oauth2, "refresh_token": "r1", "scope": "s1"})
    assert [form["refresh_token"] for form in provider.forms] == ["r1", "r2", "r3", "r4", "r4"]


def test_a_refresh_token_that_is_accepted_once(call, provider, oauth2):
    """Calls at the same time with different scopes use it one after another."""
    answer = provider.answer

    def answer_once(request):
        number = len(provider.forms) + 1
        provider.more["refresh_token"] = f"refresh-{number + 1}"
        if dict(parse_qsl(request.body.decode()))["refresh_token"] != f"refresh-{number}":
            return 400, {}, b'{"error": "invalid_grant"}'
        return answer(request)

    provider.answer = answer_once
    hold_until_all_wait(provider, 3)
    grants = [{**oauth2, "refresh_token": "refresh-1", "scope": scope} for scope in "abc"]
    assert [outcome(answer) for answer in at_once(call, [(GET, grant) for grant in grants])] == [(None, 200)] * 3


@pytest.mark.parametrize(
    ("error", "sent"), [("invalid_grant", "r1"), ("invalid_scope", "r2"), ("temporarily_unavailable", "r2")]
)
def test_a_refresh_token_that_is_no_longer_accepted(call, provider, clock, oauth2, error, sent):
    """The next call begins with the author's own; other errors say nothing about it."""
    grant = {**oauth2, "refresh_token": "r1"}
    provider.more["refresh_token"] = "r2"
    call(oauth2=grant)
    clock.seconds += 4000
    provider.refuse = 400, {}, json.dumps({"error": error}).encode()
    assert call(oauth2=grant)["error"]["error_code"] == "OAuth2Error"
    provider.refuse = None
    call(oauth2=grant)
    assert [form["refresh_token"] for form in provider.forms] == ["r1", "r2", sent]


@pytest.mark.parametrize("new", ["", None, 5, "a\nb", "x" * 20000], ids=str)
def test_a_new_refresh_token_that_is_none(call, provider, clock, oauth2, new):
    grant = {**oauth2, "refresh_token": "r1"}
    provider.more["refresh_token"] = new
    for _ in range(2):
        assert outcome(call(oauth2=grant)) == (None, 200)
        clock.seconds += 4000
    assert [form["refresh_token"] for form in provider.forms] == ["r1", "r1"]


# --- Redirects ---


@pytest.mark.parametrize(
    ("status", "is_other", "expected"),
    [
        (302, False, "Bearer access-token-1"),
        (308, False, "Bearer access-token-1"),
        (302, True, None),
        (307, True, None),
    ],
)
def test_a_redirect_to_another_host_gets_no_token(call, upstream, other_upstream, status, is_other, expected):
    target = other_upstream if is_other else upstream

    def answer(request):
        return (200, {}, b"") if request.path == "/there" else (status, {"Location": f"{target.url}/there"}, b"")

    upstream.answer = other_upstream.answer = answer
    assert outcome(call()) == (None, 200)
    assert target.requests[-1].headers["Authorization"] == expected


@pytest.mark.parametrize(
    ("command", "status", "is_other", "requests"),
    [
        (GET, 302, False, 4),
        ("PostRequestV2", 307, False, 4),
        (GET, 302, True, 1),
        ("PostRequestV2", 307, True, 1),
        ("PostRequestV2", 303, False, 2),
        ("PutRequestV2", 302, False, 2),
    ],
)
def test_a_401_after_a_redirect(call, upstream, other_upstream, command, status, is_other, requests):
    """Nothing is sent again if the token was not sent, or if the upstream has already carried out a POST."""
    target = other_upstream if is_other else upstream

    def answer(request):
        return (401, {}, b"") if request.path == "/there" else (status, {"Location": f"{target.url}/there"}, b"")

    upstream.answer = other_upstream.answer = answer
    assert outcome(call(command)) == ("HttpError401", 401)
    assert len(upstream.requests) == requests


# --- Refusals ---


@pytest.mark.parametrize(
    ("status", "body", "http_status", "words"),
    [
        (
            401,
            {"error": "invalid_client", "error_description": "Unknown"},
            400,
            "responded with 401: invalid_client: Unknown",
        ),
        (400, {"error": "invalid_client"}, 400, "responded with 400: invalid_client"),
        (400, {"error": "invalid_scope"}, 400, "invalid_scope"),
        (400, {"error": "unauthorized_client"}, 400, "unauthorized_client"),
        (400, {"error": "invalid_grant", "error_description": "AADSTS70008: ended"}, 400, "AADSTS70008: ended"),
        (400, {"error": "unsupported_grant_type"}, 400, "unsupported_grant_type"),
        (200, {"error": "invalid_client", "error_description": "Unknown"}, 400, "invalid_client: Unknown"),
        (400, {"error": "invalid_client", "error_description": "a\r\nb\x07"}, 400, "invalid_client: a b "),
        (400, b"error=invalid_client&error_description=Unknown", 400, "invalid_client: Unknown"),
        (400, {"error": {"code": 7}}, 400, "no access token, and no reason"),
        (400, {"error": "e", "error_description": 5}, 400, "responded with 400: e"),
        (403, b"<html>no</html>", 400, "responded with 403: no access token, and no reason"),
        (404, b"", 400, "responded with 404: no access token, and no reason"),
        (302, b"", 400, "responded with 302"),
        (400, {"error": "temporarily_unavailable"}, 503, "temporarily_unavailable"),
        (400, {"error": "server_error"}, 503, "server_error"),
        (429, {"error": "slow_down"}, 503, "responded with 429: slow_down"),
        (500, b"", 503, "responded with 500"),
        (503, {"error": "temporarily_unavailable"}, 503, "temporarily_unavailable"),
        (200, b"", 502, "responded with 200: no access token, and no reason"),
        (200, b"<html>welcome</html>", 502, "no access token, and no reason"),
        (200, b"[]", 502, "no access token, and no reason"),
        (200, {"access_token": ""}, 502, "no access token"),
        (200, {"access_token": None}, 502, "no access token"),
        (200, {"access_token": 5}, 502, "no access token"),
        (200, {"access_token": "s3cret/\r\nX-Evil: 1"}, 502, "no access token"),
        (200, {"access_token": "s3cret ü"}, 502, "no access token"),
        (200, {"access_token": "x" * 20000}, 502, "no access token"),
        (200, {"access_token": "s3cret-token", "token_type": "DPoP"}, 502, "is not a Bearer token"),
        (200, b"x" * 1024**2 + b"x", 502, "more than 1048576 bytes"),
        (200, b"\x00", 502, "no access token"),
        (200, b"[" * 100000, 502, "no access token"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_refusals_in_the_words_of_the_provider(call, provider, upstream, status, body, http_status, words):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    provider.refuse = status, {"Location": "/"} if status == 302 else {}, body
    answer = call()
    assert outcome(answer) == ("OAuth2Error", http_status)
    assert words in answer["error"]["message"]
    assert answer["error"]["message"].startswith(f"The token endpoint {provider.url}/token ")
    assert answer["command_response"]["body"] == {}
    assert "s3cret" not in json.dumps(answer)
    assert (len(provider.forms), len(upstream.requests)) == (1, 0)


@pytest.mark.parametrize("token_type", ["Bearer", "BEARER", "BearerToken", None])
def test_types_of_tokens(call, provider, token_type):
    provider.more["token_type"] = token_type
    assert outcome(call()) == (None, 200)


def test_no_token_endpoint(call, make_http_call, upstream, oauth2, raw_server):
    with serve_nobody() as port:
        http_call = make_http_call(HTTP_TIMEOUT=0.3)
        for url in f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}", "http://host.invalid":
            answer = http_call(GET, url=upstream.url, oauth2={**oauth2, "token_url": url}).json
            assert outcome(answer) == ("OAuth2Error", 503)
    server = raw_server(lambda connection, number: connection.recv(1000) and b"what?\r\n\r\n")
    assert outcome(call(oauth2={**oauth2, "token_url": server.url})) == ("OAuth2Error", 502)
    server = raw_server(lambda connection, number: connection.recv(1000) and b"")
    assert outcome(call(oauth2={**oauth2, "token_url": server.url})) == ("OAuth2Error", 503)
    assert outcome(call(oauth2={**oauth2, "token_url": "http://169.254.169.254/"})) == ("HostNotAllowed", 403)
    assert upstream.requests == []


# --- Mistakes of the author ---


@pytest.mark.parametrize(
    "more",
    [
        {"basic_auth_username": "jane"},
        {"basic_auth_username": 0},
        {"basic_auth_password": "x"},
        {"headers": {"Authorization": "Bearer x"}},
        {"headers": {"aUTHORIZATION": ""}},
        {"url": "http://jane:x@127.0.0.1/"},
    ],
    ids=str,
)
def test_two_ways_to_log_in_are_refused(call, provider, more):
    answer = call(**more)
    assert outcome(answer) == ("ValueError", 400)
    assert "oauth2 cannot be combined with basic authentication" in answer["error"]["message"]
    assert provider.forms == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "oauth2.token_url is missing. oauth2 must be an object such as {"),
        ({"token_url": None}, "oauth2.token_url is missing"),
        ({"client_id": ""}, "oauth2.client_id is missing"),
        ({"client_secret": None}, "oauth2.client_secret is missing"),
        ({"client_secret": ""}, "oauth2.client_secret is missing"),
        ({"refresh_token": ""}, None),
        ({"client_secret": 12345678}, "oauth2.client_secret must be a string"),
        ({"client_id": ["a"]}, "oauth2.client_id must be a string"),
        ({"scope": ["a", "b"]}, "oauth2.scope must be a string"),
        ({"client_secret": "12345678\n"}, "oauth2.client_secret contains a line break"),
        ({"client_id": "\ud800"}, "half of a surrogate pair"),
        ({"token_url": "login.example.org"}, "oauth2.token_url: The URL has no scheme"),
        ({"token_url": "ftp://login.example.org"}, 'oauth2.token_url: The URL begins with "ftp:"'),
        ({"token_url": "https://"}, "oauth2.token_url: The URL has no host"),
        ({"token_url": "https://a:12345678@login.example.org"}, "oauth2.token_url has a user and a password"),
        ({"auth": "Basic"}, 'oauth2.auth is "Basic". Use "basic" or "post"'),
        ({"auth": "private_key_jwt"}, 'Use "basic" or "post"'),
        ({"auth": "post", "client_secret": "", "refresh_token": "x"}, "but client_secret is missing"),
        (
            {"client_secrets": "x"},
            'oauth2 has the key "client_secrets". Its keys are token_url, client_id, client_secret',
        ),
        ({"grant_type": "password"}, 'oauth2 has the key "grant_type"'),
        ({"access_token": "12345678"}, 'oauth2 has the key "access_token"'),
    ],
    ids=str,
)
def test_a_parameter_that_is_incomplete_or_odd(call, provider, upstream, oauth2, value, words):
    answer = call(oauth2={**oauth2, **value} if value else {})
    if words is None:
        assert outcome(answer) == (None, 200)
        return
    assert outcome(answer) == ("ValueError", 400)
    assert words in answer["error"]["message"]
    assert "12345678" not in json.dumps(answer)
    assert (provider.forms, upstream.requests) == ([], [])


@pytest.mark.parametrize("value", ['{"token_url": "s3cret"}', [], 0, False, True, 5], ids=str)
def test_a_parameter_that_is_not_an_object(call, provider, value):
    answer = call(oauth2=value)
    assert outcome(answer) == ("ValueError", 400)
    assert "oauth2 must be an object" in answer["error"]["message"]
    assert "s3cret" not in json.dumps(answer)


def test_null_is_no_parameter(call, provider, upstream):
    assert outcome(call(oauth2=None)) == (None, 200)
    assert (provider.forms, authorizations(upstream)) == ([], [None])


# --- Nothing secret is shown ---


@pytest.mark.parametrize("filler", ["", "x" * 280])
def test_a_provider_that_repeats_the_secrets(call, provider, oauth2, caplog, filler):
    """Plain, URL-encoded and in base64, also if the words are cut."""
    caplog.set_level(logging.DEBUG)
    credentials = base64.b64encode(f"{quote_plus(oauth2['client_id'])}:{quote_plus(SECRET)}".encode()).decode()
    words = f"{filler}client_secret={SECRET} {quote_plus(SECRET)} {quote(SECRET)} refresh_token=refresh-1 Basic {credentials}"
    provider.refuse = 400, {}, json.dumps({"error": SECRET, "error_description": words}).encode()
    answer = call(oauth2={**oauth2, "refresh_token": "refresh-1"})
    assert outcome(answer) == ("OAuth2Error", 400)
    assert "***: " in answer["error"]["message"]
    shown = json.dumps(answer, ensure_ascii=False) + caplog.text
    assert not any(word in shown for word in ("s3cre", "refresh-1", credentials[:20]))


@pytest.mark.parametrize("status", [200, 404, 401])
@pytest.mark.parametrize("content_type", [JSON, "text/plain", "application/xml"])
def test_an_upstream_that_repeats_the_token(call, provider, upstream, caplog, status, content_type):
    caplog.set_level(logging.DEBUG)
    provider.more["access_token"] = "access+/token=="

    def answer(request):
        token = request.headers["Authorization"]
        text = json.dumps({"a": token, "b": token.replace("/", "~~"), "c": quote_plus(token)}).replace("~~", "\\/")
        body = f"<a>{token}</a>" if content_type == "application/xml" else text
        return status, {"Content-Type": content_type, "X-Token": token}, body.encode()

    upstream.answer = answer
    answer = call(include_response_headers=True)
    shown = json.dumps(answer) + caplog.text
    assert "Bearer ***" in shown
    assert "access+" not in shown
    assert "access%2B" not in shown


ESCAPED = "".join(f"\\u{ord(character):04x}" for character in "access-token-1")
ENTITIES = "".join(f"&#{ord(character)};" for character in "access-token-1")


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize(
    ("content_type", "text", "charset"),
    [
        (JSON, '{"a": ["access-token-1"], "access-token-1": 1}', "utf-16"),
        (JSON, '{"a": ["access-token-1"]}', "utf-16-be"),
        (JSON, '{"a": ["access-token-1"]}', "utf-32"),
        (JSON, f'[{{"{ESCAPED}": [["{ESCAPED}"]]}}]', "utf-8"),
        ("text/xml", f'<a b="{ENTITIES}">{ENTITIES}</a>', "utf-8"),
        ("text/plain; charset=utf-16", f"{'x' * 290}access-token-1", "utf-16"),
        ("text/plain; charset=utf-16be", "access-token-1", "utf-16-be"),
    ],
    ids=range(7),
)
def test_an_upstream_that_repeats_the_token_in_another_encoding(call, upstream, status, content_type, text, charset):
    """As it is decoded, too, and as far as a message quotes it."""
    upstream.answer = lambda request: (status, {"Content-Type": content_type}, text.encode(charset))
    shown = json.dumps(call())
    assert "***" in shown
    assert "access-t" not in shown


@pytest.mark.parametrize("response_format", ["auto", "file"])
def test_a_redirect_that_repeats_the_token(call, upstream, response_format):
    """Neither the log nor the name of a file has it, nor that of the token before, nor the message."""

    def answer(request):
        if request.path == "/":
            return 302, {"Location": f"/{request.headers['Authorization'][7:]}"}, b""
        return (401 if request.path.endswith("1") else 200), {}, b"x"

    upstream.answer = answer
    answered = call(response_format=response_format)
    shown = json.dumps(answered)
    assert (outcome(answered), len(upstream.requests)) == ((None, 200), 4)
    assert shown.count("***") == 2 + (response_format == "file")
    upstream.answer = lambda request: (302, {"Location": f"x:/{request.headers['Authorization'][7:]}"}, b"")
    shown += json.dumps(call())
    upstream.answer = lambda request: (302, {"Location": f"/{request.headers['Authorization'][7:]}"}, b"")
    answered = call()
    assert answered["error"]["message"].endswith("/***")
    assert "access-token" not in shown + json.dumps(answered)


TOKEN = "AbCd+EfGh/IjKl+MnOp=="
WRITTEN = [
    r"AbCd\u002BEfGh\/IjKl\u002BMnOp==",
    r"AbCd\u002bEfGh/IjKl\u002bMnOp\u003d\u003D",
    "AbCd&#43;EfGh&#x2F;IjKl&#0043;MnOp&#x3D;&#X003d;",
    "AbCd&plus;EfGh&sol;IjKl+MnOp&equals;&equals;",
    "AbCd%2BEfGh/IjKl%2BMnOp%3D%3D",
    "AbCd%2bEfGh%2fIjKl%2bMnOp%3d=",
]


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "utf-32-be"])
@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize(
    ("status", "content_type", "response_format"),
    [
        (400, JSON, "auto"),
        (200, JSON, "text"),
        (200, JSON, "file"),
        (200, "text/html", "auto"),
        (500, "text/html", None),
    ],
)
def test_an_upstream_that_escapes_the_token(
    call, provider, upstream, status, content_type, response_format, written, charset
):
    """As JSON, HTML and URLs may be written."""
    provider.more["access_token"] = TOKEN
    content_type = f"{content_type}; charset={charset}"
    body = f'{{"error": "bad token {written}"}}'.encode(charset)
    upstream.answer = lambda request: (status, {"Content-Type": content_type, "X-Token": written}, body)
    answer = call(response_format=response_format, include_response_headers=True)
    content = answer["command_response"]["body"].get("content_base64")
    shown = json.dumps(answer) + (base64.b64decode(content).decode(charset) if content else "")
    assert "bad token ***" in shown
    assert "AbCd" not in shown


@pytest.mark.parametrize("written", WRITTEN[-2:])
def test_a_redirect_that_escapes_the_token(call, provider, upstream, written):
    provider.more["access_token"] = TOKEN
    upstream.answer = lambda request: (
        (302, {"Location": f"/x/{written}"}, b"") if request.path == "/" else (200, {}, b"")
    )
    shown = json.dumps(call())
    assert "/x/***" in shown
    assert "AbCd" not in shown


@pytest.mark.parametrize(
    ("start", "code"),
    [
        ("Bearer TOKEN\r\n\r\n", "InvalidResponse"),
        ("HTTP/1.1 TOKEN\r\n\r\n", "InvalidResponse"),
        ("HTTP/1.1 200 OK\r\nContent-Length: TOKEN\r\n\r\n", "InvalidResponse"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: TOKEN\r\n\r\n", "InvalidResponse"),
        ("HTTP/1.1 200 OK\r\nContent-Length TOKEN\r\n\r\n", "InvalidResponse"),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: TOKEN\r\nContent-Length: 1\r\n\r\nx", "ContentDecodingError"),
        ("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://a TOKEN/\r\n\r\n", "InvalidURL"),
        ("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: TOKEN:/\r\n\r\n", "InvalidSchema"),
    ],
    ids=lambda value: value[:30],
)
def test_a_message_has_no_part_of_the_token(call, provider, raw_server, start, code):
    """Of a response that is not valid, a message would have the first 80 characters."""
    token = provider.more["access_token"] = "tOkEn" * 50
    server = raw_server(lambda connection, number: connection.recv(9999) and start.replace("TOKEN", token).encode())
    answer = call(url=server.url)
    assert answer["error"]["error_code"] == code
    assert f"The response is invalid ({code}). It is not quoted" in answer["error"]["message"]
    assert "tOkEn" not in json.dumps(answer)


@pytest.mark.parametrize("auth", ["basic", "post"])
@pytest.mark.parametrize(
    "start", ["SENT junk", "HTTP/1.1 SENT", "HTTP/1.1 200 OK\r\nContent-Length: SENT"], ids=lambda value: value[:13]
)
def test_a_token_endpoint_that_repeats_the_secrets_in_place_of_http(call, oauth2, raw_server, caplog, auth, start):
    caplog.set_level(logging.DEBUG)
    credentials = f"{quote_plus(oauth2['client_id'])}:{quote_plus(SECRET)}"
    basic = base64.b64encode(credentials.encode()).decode()
    sent = f"Authorization: Basic {basic}" if auth == "basic" else f"client_secret={quote_plus(SECRET)}"
    server = raw_server(
        lambda connection, number: connection.recv(9999) and f"{start}\r\n\r\n".replace("SENT", sent).encode()
    )
    answer = call(oauth2={**oauth2, "token_url": server.url, "auth": auth})
    assert outcome(answer) == ("OAuth2Error", 502)
    assert "gave no token: The response is invalid (InvalidResponse)." in answer["error"]["message"]
    shown = json.dumps(answer) + caplog.text
    assert not any(word in shown for word in ("s3cret", basic[:20]))


def test_nothing_secret_is_in_a_repr(imports):
    Proxy({})  # which finds the packages beside the module
    from spiffproxy_http.tokens import Token, TokenCache, read_grant

    grant = read_grant("oauth2", {"token_url": "https://h", "client_id": "x", "client_secret": SECRET})
    assert SECRET not in f"{grant!r}{Token(SECRET, 1)!r}{TokenCache()!r}"
