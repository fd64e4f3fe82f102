"""Signing in: the whole flow with a provider of its own, what is refused and how, and that nothing secret shows."""

import base64
import gzip
import hashlib
import http.client
import json
import re
import threading
import zlib
from urllib.parse import parse_qs, parse_qsl, quote, unquote_plus, urlencode, urlsplit

import pytest
import trustme
from conftest import CONNECTORS, JSON, error_reply, free_port, read_request, serve_http, server_context

SIGN_IN = "/v1/auth/example/SignIn"
ARENA = "https://arena.example/api/v1.0/authentication_callback"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJl-_"
BACK = f"{ARENA}/example/SignIn?token={JWT}"
PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FORM = "application/x-www-form-urlencoded"


class Provider:
    """An authorization server that takes nothing on trust (RFC 6749 sections 4.1 and 5, RFC 7636 section 4)."""

    client_id = "our client: é&%+~"
    client_secret = "s3cret =&+:ü%/"
    token_set = {"access_token": "t0ken {}&=+% é#", "token_type": "bearer", "expires_in": 3600, "refresh_token": "r3f"}  # noqa: RUF012

    def __init__(self, server):
        self.url = server.url
        self.codes = {}  # that have not been used, each with the request for it
        self.forms = []  # that the token endpoint was sent
        self.reply = None  # of the token endpoint, instead of its own
        server.answer = self.answer
        self.environ = {
            "EXAMPLE_PROVIDER_URL": server.url,
            "EXAMPLE_CLIENT_ID": self.client_id,
            "EXAMPLE_CLIENT_SECRET": self.client_secret,
        }

    def answer(self, request):
        path, _, query = request.path.partition("?")
        if (request.command, path) == ("GET", "/authorize"):
            return self.authorize(dict(parse_qsl(query, strict_parsing=True)))
        if (request.command, path) == ("POST", "/token"):
            return self.exchange(request)
        return 404, {}, b""

    def authorize(self, query):
        if not query.items() >= {
            "response_type": "code",
            "client_id": self.client_id,
            "scope": "read write",
            "tenant": "ours",
            "code_challenge_method": "S256",
        }.items() or not re.fullmatch("[A-Za-z0-9_-]{43}", query["code_challenge"]):
            return 400, {}, json.dumps(query).encode()
        code = f"c0de+&{len(self.forms)}-{len(self.codes)}"
        self.codes[code] = query
        arguments = urlencode({"code": code, "state": query["state"]})
        return 302, {"Location": f"{query['redirect_uri']}?{arguments}"}, b""

    def exchange(self, request):
        form = dict(parse_qsl(request.body.decode("ascii"), strict_parsing=True))
        self.forms.append(form)
        if self.reply:
            return self.reply
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        name, _, password = base64.b64decode(credentials).decode("ascii").partition(":")
        if (scheme, unquote_plus(name), unquote_plus(password)) != ("Basic", self.client_id, self.client_secret):
            return self.refuse(401, "invalid_client", "who are you?")
        if request.headers["Content-Type"] != FORM or form["grant_type"] != "authorization_code":
            return self.refuse(400, "unsupported_grant_type", form["grant_type"])
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode("ascii")).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None:
            return self.refuse(400, "invalid_grant", "this code is used up")
        if (form["redirect_uri"], challenge) != (asked["redirect_uri"], asked["code_challenge"]):
            return self.refuse(400, "invalid_grant", "redirect_uri or code_verifier")
        return 200, {"Content-Type": JSON}, json.dumps(self.token_set).encode()

    def refuse(self, status, error, description):
        return status, {"Content-Type": JSON}, json.dumps({"error": error, "error_description": description}).encode()

    def secrets(self):
        """All that may show neither in an answer nor in the log, as it is and as it is sent."""
        codes = [form["code"] for form in self.forms]
        verifiers = [form["code_verifier"] for form in self.forms]
        tokens = [self.token_set["access_token"], self.token_set["refresh_token"]]
        plain = [self.client_secret, JWT, *codes, *verifiers, *tokens]
        return {*plain, *map(quote, plain), *(urlencode({"": text})[1:] for text in plain)}


@pytest.fixture
def provider(upstream):
    return Provider(upstream)


@pytest.fixture
def make_proxy(make_app, provider):
    """Return a function that makes an application whose `example/SignIn` is at the provider."""

    def make(environ=None, **settings):
        settings = {"AUTH_REDIRECT_URLS": ARENA, **settings}
        return make_app(environ={**provider.environ, **(environ or {})}, **settings)

    return make


@pytest.fixture
def proxy(make_proxy):
    return make_proxy()


def visit(url, **headers):
    """Make one request, as a browser does, and follow no redirect."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def begin(app, redirect_url=BACK, auth=SIGN_IN, **options):
    """Follow the link as SpiffArena's page builds it; return the answer that leads to the provider."""
    return app.get(f"{auth}?redirect_url={redirect_url}", **{"status": 302, **options})


def agree(answer):
    """Visit the provider as a person who agrees; return the URL of the callback to which it sends the browser."""
    status, headers, body = visit(answer.headers["Location"])
    assert status == 302, body
    return headers["Location"]


def query_of(url):
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True))


def token_set_in(location):
    """Read the token set as SpiffArena does, which keeps the text of the first `response`."""
    return json.loads(parse_qs(urlsplit(location).query)["response"][0])


def cookie_of(answer):
    """Return the cookie as a browser sends it back."""
    return answer.headers["Set-Cookie"].partition(";")[0]


# --- the flow ---


def test_signing_in(make_proxy, provider):
    """From the link to the tokens, with a provider that checks what it is told; the key is not asked for."""
    proxy = make_proxy(API_KEY="k")
    to_provider = begin(proxy)
    assert to_provider.headers["Location"].startswith(f"{provider.url}/authorize?tenant=ours&response_type=code&")
    assert to_provider.body == b""
    callback = agree(to_provider)
    assert callback.startswith("http://localhost:80/v1/auth/example/SignIn/callback?")
    back = proxy.get(callback, status=302)
    assert back.headers["Location"].startswith(f"{BACK}&response=%7B")
    assert token_set_in(back.headers["Location"]) == provider.token_set
    assert dict(provider.forms[0], code_verifier="") == {
        "grant_type": "authorization_code",
        "code": query_of(callback)["code"],
        "redirect_uri": "http://localhost:80/v1/auth/example/SignIn/callback",
        "code_verifier": "",
    }
    for answer in to_provider, back:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_the_token_set_is_percent_encoded(proxy, provider):
    """So that nothing in it ends the parameter, or begins another."""
    provider.token_set = {"access_token": "&state=1#+ %41{}\"'ü€\U0001f600\n\\", "x": [{"y": None}]}
    location = proxy.get(agree(begin(proxy)), status=302).headers["Location"]
    assert re.fullmatch("[A-Za-z0-9_.~%-]+", location.partition("&response=")[2])
    assert token_set_in(location) == provider.token_set


@pytest.mark.parametrize(
    ("sent", "location"),
    [
        (f"{ARENA}/a/B?token={JWT}&x=1", f"{ARENA}/a/B?token={JWT}&x=1&response=TOKENS"),
        (quote(f"{ARENA}/a/B?token={JWT}&x=1", safe=""), f"{ARENA}/a/B?token={JWT}&x=1&response=TOKENS"),
        (quote(f"{ARENA}/a/B?token={JWT}", safe="") + "&x=1", f"{ARENA}/a/B?token={JWT}&response=TOKENS"),
        (f"{ARENA}/a/B?next=https://arena.example/%C3%BC%26", f"{ARENA}/a/B?next=https://arena.example/%C3%BC%26&response=TOKENS"),
        (ARENA, f"{ARENA}?response=TOKENS"),
        (f"{ARENA}?", f"{ARENA}?&response=TOKENS"),
        (quote(f"{ARENA}?x=1#part"), f"{ARENA}?x=1&response=TOKENS#part"),
        (quote(f"{ARENA}#part?no=query"), f"{ARENA}?response=TOKENS#part?no=query"),
    ],
)  # fmt: skip
def test_the_way_back(proxy, provider, sent, location):
    """The redirect_url may be unescaped, its own query included, as SpiffArena's page sends it, or escaped."""
    provider.token_set = {"access_token": "t"}
    tokens = quote('{"access_token": "t"}')
    back = proxy.get(agree(begin(proxy, sent)), status=302)
    assert back.headers["Location"] == location.replace("TOKENS", tokens)


def test_two_tabs_at_once(proxy, provider):
    """Each ends where it began."""
    first, second = begin(proxy, f"{ARENA}/first"), begin(proxy, f"{ARENA}/second")
    first, second = agree(first), agree(second)
    for callback, word in (second, "second"), (first, "first"):
        assert proxy.get(callback, status=302).headers["Location"].startswith(f"{ARENA}/{word}?response=")


def test_a_replica_ends_what_another_began(make_proxy):
    first, second = make_proxy(SECRET_KEY="correct horse"), make_proxy(SECRET_KEY="correct horse")
    second.cookiejar = first.cookiejar
    assert second.get(agree(begin(first)), status=302).headers["Location"].startswith(f"{BACK}&response=")


@pytest.mark.parametrize("keys", [("correct horse", "battery staple"), (None, None), ("correct horse", None)])
def test_replicas_with_different_keys(make_proxy, provider, keys):
    """As several workers without a key have: the answer says what to set."""
    first, second = (make_proxy(**({"SECRET_KEY": key} if key else {})) for key in keys)
    second.cookiejar = first.cookiejar
    answer = second.get(agree(begin(first)), status=400)
    assert answer.json == error_reply("invalid_state", "need the same CONNECTOR_PROXY_SECRET_KEY. Start to sign in")
    assert provider.forms == []


def test_a_client_without_a_secret(make_app, provider):
    """Names itself in the form, and has nothing but the verifier to show."""
    environ = {**provider.environ, "EXAMPLE_CLIENT_SECRET": ""}
    proxy = make_app(environ=environ, AUTH_REDIRECT_URLS=ARENA)
    provider.reply = 200, {}, b'{"access_token": "t"}'
    proxy.get(agree(begin(proxy)), status=302)
    assert provider.forms[0]["client_id"] == provider.client_id


@pytest.fixture
def make_described(write_connector, make_app, tmp_path, provider):
    """Return a function that makes an application whose one authentication, at the provider, has a description."""

    def make(**changed):
        description = {
            "version": "2",
            "client_id": provider.client_id,
            "client_secret": provider.client_secret,
            "authorization_url": f"{provider.url}/authorize?tenant=ours",
            "access_token_url": f"{provider.url}/token",
            "scope": "read write",
            **changed,
        }
        source = f"class A:\n    def app_description(self, config):\n        return {description!r}\n"
        name = write_connector("", auths__in____init__="", auths__in__a=source)
        return make_app(tmp_path, AUTH_REDIRECT_URLS=ARENA), f"/v1/auth/{name}/A"

    return make


@pytest.mark.parametrize(
    ("changed", "sent"),
    [
        ({}, "basic"),
        ({"token_endpoint_auth_method": None}, "basic"),
        ({"token_endpoint_auth_method": ""}, "basic"),
        ({"token_endpoint_auth_method": "client_secret_basic"}, "basic"),
        ({"token_endpoint_auth_method": "client_secret_post"}, "post"),
        ({"token_endpoint_auth_method": "none"}, "id"),
        ({"client_secret": ""}, "id"),
        ({"client_secret": "", "token_endpoint_auth_method": "none"}, "id"),
    ],
)
def test_how_the_client_authenticates(make_described, provider, upstream, changed, sent):
    """By one method alone (RFC 6749 section 2.3): a secret in two places is refused by strict providers."""
    provider.reply = 200, {"Content-Type": JSON}, b'{"access_token": "t"}'
    proxy, auth = make_described(**changed)
    proxy.get(agree(begin(proxy, auth=auth)), status=302)
    form = provider.forms[0]
    assert {"client_id": form.get("client_id"), "client_secret": form.get("client_secret")} == {
        "basic": {"client_id": None, "client_secret": None},
        "post": {"client_id": provider.client_id, "client_secret": provider.client_secret},
        "id": {"client_id": provider.client_id, "client_secret": None},
    }[sent]
    assert ("Authorization" in upstream.requests[-1].headers) == (sent == "basic")


@pytest.mark.parametrize(
    ("scope", "sent"),
    [
        ("read write", "read write"),
        (["read", "write"], "read write"),
        (("read", "write"), "read write"),
        (["read write", "", "admin"], "read write admin"),
        (["read"], "read"),
        ([], None),
        ([""], None),
        ("", None),
        (None, None),
    ],
)
def test_the_scope_is_a_string_or_a_list(make_described, scope, sent):
    proxy, auth = make_described(scope=scope)
    assert query_of(begin(proxy, auth=auth).headers["Location"]).get("scope") == sent


RESPONSE_MODE = "but the proxy reads the code from the query. Remove response_mode from the URL$"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"scope": {"read": True}}, "has a scope that is not a string or a list of strings in its app_description$"),
        ({"scope": {"read", "write"}}, "has a scope that is not a string or a list of strings"),
        ({"scope": ["read", 5]}, "has a scope that is not a string or a list of strings"),
        ({"scope": 5}, "has a scope that is not a string or a list of strings"),
        (
            {"token_endpoint_auth_method": "private_key_jwt"},
            "has token_endpoint_auth_method 'private_key_jwt'. Use one of client_secret_basic, client_secret_post, none$",
        ),
        ({"token_endpoint_auth_method": "Basic"}, "has token_endpoint_auth_method 'Basic'. Use one of "),
        ({"token_endpoint_auth_method": ["none"]}, r"has token_endpoint_auth_method .* Use one of "),
        (
            {"token_endpoint_auth_method": "client_secret_post", "client_secret": ""},
            "has token_endpoint_auth_method 'client_secret_post', but no client_secret. Add it, or use 'none'$",
        ),
        ({"token_endpoint_auth_method": "client_secret_basic", "client_secret": None}, "but no client_secret"),
        (
            {"authorization_url": "https://provider.example/authorize?response_mode=form_post"},
            f"has response_mode=form_post in its authorization_url, {RESPONSE_MODE}",
        ),
        (
            {"authorization_url": "https://provider.example/?tenant=a&response%5Fmode=form%5Fpost#x"},
            f"has response_mode=form_post in its authorization_url, {RESPONSE_MODE}",
        ),
        ({"authorization_url": "https://provider.example/?response_mode=fragment"}, "has response_mode=fragment"),
        ({"authorization_url": "https://provider.example/?response_mode=query.jwt"}, "has response_mode=query.jwt"),
        (
            {"authorization_url": "https://provider.example/?response_mode=query&response_mode=x"},
            "has response_mode=x in",
        ),
    ],
)
def test_a_description_that_is_refused(make_described, changed, words):
    proxy, auth = make_described(**changed)
    answer = begin(proxy, auth=auth, status=500)
    assert answer.json == error_reply("invalid_auth", f"{auth.removeprefix('/v1/auth/')} .*{words}")


def test_the_response_mode_query_is_what_the_proxy_reads(make_described):
    proxy, auth = make_described(authorization_url="https://provider.example/authorize?response_mode=query")
    location = begin(proxy, auth=auth).headers["Location"]
    assert location.startswith("https://provider.example/authorize?response_mode=query&response_type=code&")


def test_a_provider_that_posts_to_the_callback(proxy):
    answer = proxy.post(f"{SIGN_IN}/callback", {"code": "c", "state": "s"}, status=405)
    assert answer.json == error_reply("method_not_allowed", "accepts GET, OPTIONS, but not POST")


TOKEN_SET = '{"access_token": "tö", "scope": "read"}'
TOKEN_FORM = "access_token=t%C3%B6&scope=read"
UTF_8, BOM = TOKEN_SET.encode(), b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(UTF_8), {"Content-Type": JSON, "Content-Encoding": "gzip"}),
        (gzip.compress(BOM + UTF_8), {"Content-Type": JSON, "Content-Encoding": "gzip"}),
        (zlib.compress(UTF_8), {"Content-Type": JSON, "Content-Encoding": "deflate"}),
        (gzip.compress(TOKEN_FORM.encode()), {"Content-Type": FORM, "Content-Encoding": "gzip"}),
        (BOM + UTF_8, {"Content-Type": JSON}),
        (BOM + b" \r\n" + UTF_8 + b"\n", {}),
        (TOKEN_SET.encode("utf-16"), {"Content-Type": JSON}),
        (TOKEN_SET.encode("utf-16-le"), {"Content-Type": JSON}),
        (TOKEN_SET.encode("utf-32"), {}),
        (TOKEN_SET.encode("latin-1"), {"Content-Type": f"{JSON}; charset=iso-8859-1"}),
        (TOKEN_SET.encode("latin-1"), {"Content-Type": JSON}),
        (UTF_8, {"Content-Type": f"{JSON}; charset=klingon"}),
        (BOM + TOKEN_FORM.encode() + b"\n", {"Content-Type": FORM}),
        (TOKEN_FORM.encode("utf-16"), {"Content-Type": f"{FORM}; charset=utf-16"}),
    ],
)
def test_a_token_set_in_another_encoding(proxy, provider, body, headers):
    provider.reply = 200, headers, body
    location = proxy.get(agree(begin(proxy)), status=302).headers["Location"]
    assert token_set_in(location) == {"access_token": "tö", "scope": "read"}


def test_an_error_in_another_encoding(proxy, provider):
    body = BOM + '{"error": "invalid_grant", "error_description": "zu spät"}'.encode()
    provider.reply = 400, {"Content-Type": JSON, "Content-Encoding": "gzip"}, gzip.compress(body)
    answer = proxy.get(agree(begin(proxy)), status=502)
    assert answer.json == error_reply("token_refused", "responded with 400: invalid_grant: zu spät$")


def test_what_the_provider_says_in_raw_utf_8(proxy):
    """PEP 3333: the environ has its bytes as letters."""
    state = query_of(begin(proxy).headers["Location"])["state"]
    said = f"error=access_denied&error_description=Zürich&state={state}".encode().decode("latin-1")
    answer = proxy.get(f"{SIGN_IN}/callback?{said}", status=400)
    assert answer.json == error_reply("sign_in_refused", "not signed you in: access_denied: Zürich$")


def test_a_form_encoded_token_set(proxy, provider):
    """Which some providers answer with, whatever is asked for."""
    provider.reply = 200, {"Content-Type": FORM}, b"access_token=t%26+0&scope=read%2Cwrite&token_type=bearer\n"
    location = proxy.get(agree(begin(proxy)), status=302).headers["Location"]
    assert token_set_in(location) == {"access_token": "t& 0", "scope": "read,write", "token_type": "bearer"}


def test_over_https(make_proxy, provider, tls_upstream):
    """With a certificate that the system's authorities have signed."""
    tls_upstream.answer = provider.answer
    proxy = make_proxy({"EXAMPLE_TOKEN_URL": f"{tls_upstream.url}/token"})
    assert token_set_in(proxy.get(agree(begin(proxy)), status=302).headers["Location"]) == provider.token_set


def test_the_certificate_of_the_provider_is_checked(make_proxy, provider):
    with serve_http(server_context(trustme.CA(), "127.0.0.1")) as stranger:
        proxy = make_proxy({"EXAMPLE_TOKEN_URL": f"{stranger.url}/token"})
        answer = proxy.get(agree(begin(proxy)), status=502)
        assert answer.json == error_reply("token_endpoint_failed", "The certificate of 127.0.0.1 is not trusted: ")
        assert stranger.requests == []


def test_an_authentication_with_a_name_beyond_ascii(write_connector, make_app, provider, tmp_path):
    """Its callback is spelled as the browser will spell it, for the cookie's path is compared with that."""
    source = "from connector_example.auths.sign_in import SignIn\nclass Ładen(SignIn): pass\n"
    name = write_connector("", auths__in____init__="", auths__in__a=source)
    proxy = make_app(f"{tmp_path}:{CONNECTORS}", environ=provider.environ, AUTH_REDIRECT_URLS=ARENA)
    to_provider = begin(proxy, auth=f"/v1/auth/{name}/%C5%81aden")
    assert f"; Path=/v1/auth/{name}/%C5%81aden/callback;" in to_provider.headers["Set-Cookie"]
    proxy.get(agree(to_provider), status=302)


# --- what the browser keeps, and what it cannot read ---


@pytest.mark.parametrize(
    ("settings", "environ", "callback", "attributes"),
    [
        ({}, {}, "http://localhost:80/v1/auth/example/SignIn/callback", ""),
        (
            {},
            {"SCRIPT_NAME": "/under a;b"},
            "http://localhost:80/under%20a%3Bb/v1/auth/example/SignIn/callback",
            "",
        ),
        (
            {},
            {"wsgi.url_scheme": "https", "HTTP_HOST": "p.example"},
            "https://p.example/v1/auth/example/SignIn/callback",
            "; Secure",
        ),
        (
            {"PUBLIC_URL": "https://p.example/connectors/"},
            {"SCRIPT_NAME": "/elsewhere"},
            "https://p.example/connectors/v1/auth/example/SignIn/callback",
            "; Secure",
        ),
        ({"PUBLIC_URL": "HTTPS://p.example"}, {}, "HTTPS://p.example/v1/auth/example/SignIn/callback", "; Secure"),
        (
            {"PUBLIC_URL": "http://p.example:8080"},
            {"wsgi.url_scheme": "https"},
            "http://p.example:8080/v1/auth/example/SignIn/callback",
            "",
        ),
    ],
)
def test_the_cookie_and_the_callback(make_proxy, provider, settings, environ, callback, attributes):
    """Are for the proxy's URL, be it from the setting or the request; and the cookie goes with the sign-in."""
    proxy = make_proxy(**settings)
    to_provider = begin(proxy, extra_environ=environ)
    query = query_of(to_provider.headers["Location"])
    assert query["redirect_uri"] == callback
    name, _, value = cookie_of(to_provider).partition("=")
    assert name == f"spiffproxy_{query['state'][:16]}"
    path = urlsplit(callback).path
    expected = f"{name}={value}; Path={path}; Max-Age=600; HttpOnly; SameSite=Lax{attributes}"
    assert to_provider.headers.getall("Set-Cookie") == [expected]

    arguments = agree(to_provider).partition("?")[2]
    back = proxy.get(
        f"{SIGN_IN}/callback?{arguments}",
        headers={"Cookie": f"a{name}=b; {name}={value}"},
        extra_environ=environ,
        status=302,
    )
    expected = f"{name}=; Path={path}; Max-Age=0; HttpOnly; SameSite=Lax{attributes}"
    assert back.headers.getall("Set-Cookie") == [expected]


def test_under_a_prefix_the_browser_finds_its_cookie(proxy, provider):
    """Mounted in another application: the cookie's path is that of the callback from outside."""
    environ = {"SCRIPT_NAME": "/connectors"}
    callback = agree(begin(proxy, auth=f"/connectors{SIGN_IN}", extra_environ=environ))
    assert callback.startswith("http://localhost:80/connectors/v1/auth/")
    proxy.get(callback, extra_environ=environ, status=302)
    assert len(provider.forms) == 1


def test_the_url_tells_nothing(proxy, provider):
    """What goes through the provider holds neither the verifier nor where the tokens will go."""
    to_provider = begin(proxy)
    state = query_of(to_provider.headers["Location"])["state"]
    proxy.get(agree(to_provider), status=302)
    verifier = provider.forms[0]["code_verifier"]
    assert re.fullmatch("[A-Za-z0-9_-]{43}", verifier)
    assert len(base64.urlsafe_b64decode(state + "=")) == 32  # a digest
    for hidden in verifier, JWT, "arena", cookie_of(to_provider).partition("=")[2]:
        assert hidden not in to_provider.headers["Location"]


def test_each_sign_in_has_its_own_secrets(proxy):
    queries = [query_of(begin(proxy).headers["Location"]) for _ in range(2)]
    for name in "state", "code_challenge":
        assert queries[0][name] != queries[1][name]


# --- who comes back ---


def change(text, at):
    """Return the text with another letter at one place."""
    letters = list(text)
    letters[at] = "A" if letters[at] != "A" else "B"
    return "".join(letters)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda state, value: (state, change(value, 5)), "need the same CONNECTOR_PROXY_SECRET_KEY"),
        (lambda state, value: (state, change(value, -1)), "need the same CONNECTOR_PROXY_SECRET_KEY"),
        (lambda state, value: (state, value[:-1]), "need the same CONNECTOR_PROXY_SECRET_KEY"),
        (lambda state, value: (state, value + "A"), "need the same CONNECTOR_PROXY_SECRET_KEY"),
        (lambda state, value: (change(state, -1), value), "need the same CONNECTOR_PROXY_SECRET_KEY"),
        (lambda state, value: (state, ""), "did not begin"),
        (lambda state, value: (state, "{}"), "did not begin"),
        (lambda state, value: (change(state, 0), value), "did not begin"),
        (lambda state, value: (state + "A", value), "did not begin"),
        (lambda state, value: (state[:16], value), "did not begin"),
        (lambda state, value: ("", value), "did not begin"),
        (lambda state, value: (state + "%00", value), "did not begin"),
        (lambda state, value: ("(", value), "did not begin"),
    ],
)
def test_a_state_or_cookie_that_was_changed(proxy, provider, spoil, words):
    to_provider = begin(proxy)
    query = query_of(agree(to_provider))
    name, _, value = cookie_of(to_provider).partition("=")
    proxy.reset()
    state, value = spoil(query["state"], value)
    arguments = f"{urlencode({'code': query['code']})}&state={state}"
    answer = proxy.get(f"{SIGN_IN}/callback?{arguments}", headers={"Cookie": f"{name}={value}"}, status=400)
    assert answer.json == error_reply("invalid_state", words)
    assert "Start to sign in again" in answer.json["error"]["message"]
    assert provider.forms == []


def test_the_cookie_of_another_sign_in(proxy, provider):
    """Does not fit the state of this one, under whichever name it is sent."""
    ours, theirs = begin(proxy), begin(proxy)
    proxy.reset()
    name, value = cookie_of(ours).partition("=")[0], cookie_of(theirs).partition("=")[2]
    answer = proxy.get(agree(ours), headers={"Cookie": f"{name}={value}"}, status=400)
    assert answer.json == error_reply("invalid_state", "The state is invalid")
    answer = proxy.get(agree(ours), headers={"Cookie": cookie_of(theirs)}, status=400)
    assert answer.json == error_reply("invalid_state", "did not begin")
    assert provider.forms == []


def test_another_browser_cannot_end_it(proxy):
    callback = agree(begin(proxy))
    proxy.reset()
    assert proxy.get(callback, status=400).json == error_reply("invalid_state", "This browser did not begin")


def test_the_callback_of_another_authentication(proxy, provider):
    to_provider = begin(proxy)
    callback = agree(to_provider).replace("/SignIn/", "/OldSignIn/")
    answer = proxy.get(callback, headers={"Cookie": cookie_of(to_provider)}, status=400)
    assert answer.json == error_reply("invalid_state", "or was for another one. Start")


def test_a_sign_in_that_took_too_long(proxy, provider, monkeypatch):
    """Here one that was given a second less than none; the browser keeps its cookie all the same."""
    with monkeypatch.context() as patch:
        patch.setattr("spiffproxy_sign_in.SIGN_IN_SECONDS", -1)
        to_provider = begin(proxy)
    answer = proxy.get(agree(to_provider), headers={"Cookie": cookie_of(to_provider)}, status=400)
    assert answer.json == error_reply("invalid_state", "took longer than 10 minutes.* Start to sign in again")
    assert provider.forms == []


def test_a_callback_that_comes_again(proxy, provider):
    """The browser has forgotten it; and where it has not, the provider takes each code once."""
    to_provider = begin(proxy)
    callback = agree(to_provider)
    proxy.get(callback, status=302)
    assert proxy.get(callback, status=400).json == error_reply("invalid_state", "did not begin")
    answer = proxy.get(callback, headers={"Cookie": cookie_of(to_provider)}, status=502)
    assert answer.json == error_reply("token_refused", "responded with 400: invalid_grant: this code is used up")


def test_a_way_back_that_is_no_longer_allowed(make_proxy):
    first = make_proxy(SECRET_KEY="correct horse")
    second = make_proxy(SECRET_KEY="correct horse", AUTH_REDIRECT_URLS="https://other.example")
    second.cookiejar = first.cookiejar
    answer = second.get(agree(begin(first)), status=403)
    assert answer.json == error_reply("redirect_url_not_allowed", "arena.example")


# --- where tokens may go ---

PLACES = "https://arena.example/app, http://127.0.0.1:8001/ HTTPS://Other.example:8443/base/ http://[::1]:8001,http://plain.example"


@pytest.mark.parametrize(
    "url",
    [
        "https://arena.example/app",
        "https://arena.example/app/",
        "https://arena.example/app/x/y;z?token=a.b-_&next=../../c%5Cd@e",
        "https://arena.example/app?x=1",
        "https://arena.example/app#part",
        "https://arena.example/%61pp/x",
        "https://arena.example/app//x",
        "HTTPS://ARENA.example/app",
        "https://arena.example:443/app/x",
        "http://127.0.0.1:8001",
        "http://127.0.0.1:8001/any/thing",
        "http://[::1]:8001/any",
        "https://other.example:8443/base",
        "http://plain.example:80/",
    ],
)
def test_a_redirect_url_within_the_setting(make_proxy, url):
    begin(make_proxy(AUTH_REDIRECT_URLS=PLACES), quote(url, safe=""))


@pytest.mark.parametrize(
    "url",
    [
        "https://arena.example",
        "https://arena.example/",
        "https://arena.example/apple",
        "https://arena.example/ap",
        "https://arena.example/APP",
        "https://arena.example/x/app",
        "https://arena.example//app",
        "https://arena.example/app%2Fx",
        "https://arena.example/app;x",
        "https://arena.example/?/app",
        "https://arena.example?/app",
        "https://arena.example#/app",
        "https://arena.example:8443/app",
        "https://arena.example:80/app",
        "http://arena.example/app",
        "http://arena.example:443/app",
        "https://arena.example.evil.example/app",
        "https://evil-arena.example/app",
        "https://arena.example./app",
        "https://evil.example/app",
        "https://evil.example/https://arena.example/app",
        "https://evil.example/?https://arena.example/app",
        "https://evil.example#https://arena.example/app",
        "http://127.0.0.1/any",
        "http://localhost:8001/any",
        "http://[::2]:8001/any",
        "https://plain.example:80/",
        "http://plain.example:443/",
        "https://other.example:8443/",
        "https://other.example/base",
    ],
)
def test_a_redirect_url_that_is_not_within_the_setting(make_proxy, url):
    url += f"{'&' if '?' in url else '?'}token={JWT}"
    answer = begin(make_proxy(AUTH_REDIRECT_URLS=PLACES), quote(url, safe=""), status=403)
    assert answer.json == error_reply("redirect_url_not_allowed", "not within CONNECTOR_PROXY_AUTH_REDIRECT_URLS")
    assert JWT not in answer.text


@pytest.mark.parametrize(
    "url",
    [
        "https://jane@arena.example/app",
        "https://jane:password@arena.example/app",
        "https://arena.example@evil.example/app",
        "https://@arena.example/app",
        "https://arena.example%40evil.example/app",
        "https://arena.example\\@evil.example/app",
        "https://arena.example\\.evil.example/app",
        "https:\\\\arena.example\\app",
        "https://arena.example/app\\..\\x",
        "https://arena.example/app/%5c..%5Cx",
        "https://arena.example/app?x=\\",
        "https://arena.example/app/..",
        "https://arena.example/app/../x",
        "https://arena.example/app/%2e%2e/x",
        "https://arena.example/app/.%2E/x",
        "https://arena.example/app/..%2fx",
        "https://arena.example/app%2f..%2fx",
        "https://arena.example/app/..;/x",
        "https://arena.example/app/\n../x",
        "https://arena.example/app/%00",
        "https://arena.example/app/%0d%0aSet-Cookie:a=b",
        "https://arena.example/app\r\nSet-Cookie: a=b",
        "https://arena.example\t.evil.example/app",
        "https://arena.example /app",
        " https://arena.example/app",
        "\x01https://arena.example/app",
        "https://arena.example/äpp",
        "https://ärena.example/app",
        "https://arena。example/app",
        "https://arena.example:port/app",
        "https://arena.example:99999/app",
        "https://arena.example:+443/app",
        "https://arena.example:4_43/app",
        "https://arena.example:443:443/app",
        "https://arena.example:0/app",
        "https://[arena.example]/app",
        "https://evil.example[arena.example]/app",
        "https://[arena.example]evil.example/app",
        "https://[::1/app",
        "https://arena.example,evil.example/app",
        "https:arena.example/app",
        "https:/arena.example/app",
        "https:///arena.example/app",
        "//arena.example/app",
        "arena.example/app",
        "/app",
        "ftp://arena.example/app",
        "javascript:alert(1)//https://arena.example/app",
        "javascript://arena.example/app%0aalert(1)",
        "data:text/html,https://arena.example/app",
        "",
    ],
)
def test_a_redirect_url_that_is_none(make_proxy, url):
    """Or that a browser might read in another way than the proxy does."""
    url = url and f"{url}{'&' if '?' in url else '?'}token={JWT}"
    answer = begin(make_proxy(AUTH_REDIRECT_URLS=PLACES), quote(url, safe=""), status=400)
    assert answer.json == error_reply("invalid_redirect_url", "The redirect_url cannot be used: ")
    assert JWT not in answer.text
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("query", ["", "?", "?redirect_url", "?redirect_url=", "?redirect_url=&x=1", "?url=https://a"])
def test_without_a_redirect_url(proxy, query):
    answer = proxy.get(SIGN_IN + query, status=400)
    assert answer.json == error_reply("invalid_redirect_url", "it is not an http or https URL")


@pytest.mark.parametrize("setting", [{}, {"CONNECTOR_PROXY_AUTH_REDIRECT_URLS": " "}])
def test_without_the_setting_tokens_go_nowhere(make_app, provider, setting):
    answer = begin(make_app(environ={**provider.environ, **setting}), status=403)
    words = "on arena.example: CONNECTOR_PROXY_AUTH_REDIRECT_URLS is unset"
    assert answer.json == error_reply("redirect_url_not_allowed", words)
    assert JWT not in answer.text


def test_a_redirect_url_that_a_cookie_cannot_hold(proxy):
    begin(proxy, f"{ARENA}?token={'x' * 2500}")
    answer = begin(proxy, f"{ARENA}?token={'x' * 4000}", status=400)
    assert answer.json == error_reply("invalid_redirect_url", "too long: 4[0-9]{3} characters")


# --- what the provider says instead ---


def test_a_person_who_does_not_agree(proxy, provider):
    """Is told what the provider said; and a code is not asked for."""
    state = query_of(begin(proxy).headers["Location"])["state"]
    said = {"error": "access_denied", "error_description": "Jane\r\nsaid no\x00.", "state": state}
    answer = proxy.get(f"{SIGN_IN}/callback?{urlencode(said)}", status=400)
    assert answer.json == error_reply("sign_in_refused", "not signed you in: access_denied: Jane said no .$")
    assert provider.forms == []


@pytest.mark.parametrize("query", ["", "code=", "error="])
def test_a_provider_without_a_word(proxy, query):
    state = query_of(begin(proxy).headers["Location"])["state"]
    answer = proxy.get(f"{SIGN_IN}/callback?{query}&state={state}", status=400)
    assert answer.json == error_reply("sign_in_refused", "sent neither a code nor a reason")


def test_words_without_a_state_are_not_shown(proxy):
    """Whoever sends such a link to somebody else does not get a text onto our page."""
    answer = proxy.get(f"{SIGN_IN}/callback?error=call+0123&state={'A' * 43}", status=400)
    assert answer.json == error_reply("invalid_state", "")
    assert "0123" not in answer.text


def test_what_the_provider_says_is_no_html(proxy, provider):
    hostile = "<script>alert('1')</script>\"><img src=x>"
    state = query_of(begin(proxy).headers["Location"])["state"]
    said = urlencode({"error": hostile, "error_description": hostile, "state": state})
    at_callback = proxy.get(f"{SIGN_IN}/callback?{said}", headers=PAGE, status=400)
    provider.reply = provider.refuse(400, hostile, hostile)
    at_token_endpoint = proxy.get(agree(begin(proxy)), headers=PAGE, status=502)
    for answer in at_callback, at_token_endpoint:
        assert answer.content_type == "text/html"
        assert answer.text.count("&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;&quot;&gt;&lt;img src=x&gt;") == 2
        assert not re.search("<(script|img)", answer.text)


NOTHING = "responded with 200: it sent neither a token nor a reason"


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            400,
            b'{"error": "invalid_grant", "error_description": "too late"}',
            "responded with 400: invalid_grant: too late$",
        ),
        (401, b'{"error": "invalid_client"}', "responded with 401: invalid_client$"),
        (200, b'{"error": "bad_code", "error_description": "no\\nsuch"}', "responded with 200: bad_code: no such$"),
        (200, b"error=bad_code&error_description=it+is+stale", "responded with 200: bad_code: it is stale$"),
        (400, b'{"error": {"message": "nested"}}', "responded with 400: {'message': 'nested'}$"),
        (400, b'{"error": "' + b"x" * 10_000 + b'"}', f"responded with 400: {'x' * 300}$"),
        (403, b'{"access_token": "t"}', "responded with 403: it sent neither a token nor a reason"),
        (500, b"<h1>Error</h1>", "responded with 500: it sent neither a token nor a reason"),
        (200, b"<html><a href='/?next=1&access_token=t'>here</a></html>", NOTHING),
        (200, b'{"access_token": "t", "note": "&access_token=u&"', NOTHING),
        (200, b"", NOTHING),
        (200, b"{}", NOTHING),
        (200, b"null", NOTHING),
        (200, b"[]", NOTHING),
        (200, b'"access_token=t"', NOTHING),
        (200, b'{"access_token": null}', NOTHING),
        (200, b'{"access_token": ""}', NOTHING),
        (200, b'{"access_token": 5}', NOTHING),
        (200, b'{"access_token": {"a": 1}}', NOTHING),
        (200, b"access_token=", NOTHING),
        (200, b'{"access_token": NaN}', NOTHING),
        (200, b"[" * 100_000, NOTHING),
        (200, b"\xff\xfe", NOTHING),
    ],
)
def test_a_token_endpoint_that_gives_no_token(proxy, provider, status, body, words, caplog):
    provider.reply = status, {"Content-Type": JSON}, body
    answer = proxy.get(agree(begin(proxy)), status=502)
    assert answer.json == error_reply("token_refused", words)
    shown = answer.text + str(answer.headers) + caplog.text
    assert [secret for secret in provider.secrets() if secret in shown] == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_token_endpoint_that_sends_us_elsewhere(proxy, provider, other_upstream, status):
    """Code and credentials do not go there."""
    provider.reply = status, {"Location": f"{other_upstream.url}/token"}, b""
    answer = proxy.get(agree(begin(proxy)), status=502)
    assert answer.json == error_reply("token_refused", f"responded with {status}: it sent neither")
    assert other_upstream.requests == []


def test_wrong_credentials(make_proxy):
    proxy = make_proxy({"EXAMPLE_CLIENT_SECRET": "another"})
    answer = proxy.get(agree(begin(proxy)), status=502)
    assert answer.json == error_reply("token_refused", "responded with 401: invalid_client: who are you?")


def test_a_token_endpoint_that_is_not_there(make_proxy):
    proxy = make_proxy({"EXAMPLE_TOKEN_URL": f"http://127.0.0.1:{free_port()}/token"})
    answer = proxy.get(agree(begin(proxy)), status=502)
    assert answer.json == error_reply(
        "token_endpoint_failed", r"sent no complete response: No connection to 127.0.0.1 port \d+: Connection refused$"
    )


def read_form(connection):
    """Read all of a request: to close before that resets the connection."""
    head, _, body = read_request(connection).partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    while len(body) < length:
        body += connection.recv(65536)
    return body


def test_a_token_endpoint_that_is_silent(make_proxy, raw_server, monkeypatch):
    monkeypatch.setattr("spiffproxy_sign_in.TOKEN_SECONDS", 0.2)
    silent = raw_server(lambda connection, _: read_form(connection) and connection.recv(1))
    proxy = make_proxy({"EXAMPLE_TOKEN_URL": silent.url})
    answer = proxy.get(agree(begin(proxy)), status=502)
    assert answer.json == error_reply(
        "token_endpoint_failed", "sent no complete response: http://127.0.0.1:.* did not respond in time"
    )


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MEGABYTES = b"access_token=" + b"t" * 1_999_987
SIZE = "more than 1048576 bytes"
CUT = "The response is incomplete"


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\naccess_token=t", CUT),
        (CHUNKED + b"e\r\naccess_token=t\r\n", CUT),
        (CHUNKED + b"100\r\naccess_token=t", CUT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + MEGABYTES, SIZE),
        (CHUNKED + b"1e8480\r\n" + MEGABYTES + b"\r\n0\r\n\r\n", SIZE),
        (b"HTTP/1.1 200 OK\r\n\r\n" + MEGABYTES, SIZE),
        (b"SSH-2.0-OpenSSH\r\n", "SSH-2.0-OpenSSH"),
        (b"", "without a response"),
    ],
    ids=["short", "short-chunks", "short-chunk", "long", "long-chunk", "long-until-the-end", "no-http", "nothing"],
)
def test_a_token_endpoint_that_breaks_off_or_knows_no_end(make_proxy, raw_server, sent, words):
    """What arrived is no token, however much it looks like one."""
    server = raw_server(lambda connection, _: read_form(connection) and sent)
    proxy = make_proxy({"EXAMPLE_TOKEN_URL": server.url})
    answer = proxy.get(agree(begin(proxy)), status=502)
    assert answer.json == error_reply("token_endpoint_failed", f"sent no complete response: .*{words}")
    assert "tttt" not in answer.text


# --- what a connector says ---


def test_an_authentication_that_raises(make_app, caplog):
    """Here for want of its account, which is in the config."""
    answer = begin(make_app(AUTH_REDIRECT_URLS=ARENA), status=500)
    assert answer.json == error_reply(
        "KeyError", "^EXAMPLE_CLIENT_ID is not set in the environment or the config file of the proxy$"
    )
    assert "example/SignIn raised KeyError" in caplog.text


def test_oauth_1_is_refused(make_app):
    answer = begin(make_app(AUTH_REDIRECT_URLS=ARENA), auth="/v1/auth/example/OldSignIn", status=501)
    words = "example/OldSignIn needs version '1.0a' of OAuth, but this proxy supports only version '2'"
    assert answer.json == error_reply("oauth_version_unsupported", words)


WHOLE = {
    "version": 2,
    "client_id": "c",
    "authorization_url": "https://provider.example/authorize",
    "access_token_url": "https://provider.example/token",
}


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, 302),
        ({"client_id": ""}, 500),
        ({"client_id": None}, 500),
        ({"authorization_url": None}, 500),
        ({"access_token_url": ""}, 500),
        ({"access_token_url": "/token"}, 500),
        ({"access_token_url": "file:///etc/passwd"}, 500),
        ({"access_token_url": "https://us:passw0rd@provider.example/token"}, 500),
        ({"authorization_url": "javascript:alert(1)"}, 500),
        ({"authorization_url": "https://provider.example/authorize\r\nSet-Cookie: a=b"}, 500),
        ({"authorization_url": "https://provider.example\r\nSet-Cookie: a=b"}, 500),
        ({"authorization_url": "https://provider.example?tenant=ours"}, 302),
        ({"authorization_url": "HTTP://[::1]:8001/authorize"}, 302),
    ],
)
def test_what_an_authentication_has_to_say(write_connector, make_app, tmp_path, changed, status):
    source = f"class A:\n    def app_description(self, config):\n        return {dict(WHOLE, **changed)!r}\n"
    name = write_connector("", auths__in____init__="", auths__in__a=source)
    proxy = make_app(tmp_path, AUTH_REDIRECT_URLS=ARENA)
    answer = begin(proxy, auth=f"/v1/auth/{name}/A", status=status)
    if status == 500:
        words = f"^{name}/A has no valid client_id, authorization_url or access_token_url"
        assert answer.json == error_reply("invalid_auth", words)
        assert "passw0rd" not in answer.text
    else:
        assert "scope" not in answer.headers["Location"]


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ("nobody/SignIn", "No connector 'nobody'.*: .*example"),
        ("example/Nothing", "no auth 'Nothing'; there are: OldSignIn, SignIn"),
        ("example/Echo", "no auth 'Echo'"),
        ("http/SignIn", "there are none"),
    ],
)
@pytest.mark.parametrize("suffix", ["", "/callback"])
def test_an_unknown_authentication(proxy, auth, words, suffix):
    answer = begin(proxy, auth=f"/v1/auth/{auth}{suffix}", status=404)
    assert answer.json == error_reply("auth_not_found", words)


def test_a_broken_connector(proxy):
    answer = begin(proxy, auth="/v1/auth/broken/SignIn", status=503)
    assert answer.json == error_reply("connector_unavailable", "broken on purpose")


# --- what a person sees ---


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("Text/HTML", "text/html"),
        ("application/json", JSON),
        ("*/*", JSON),
        (None, JSON),
    ],
)
@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{SIGN_IN}?redirect_url=https://evil.example", 403, "redirect_url_not_allowed"),
        (f"{SIGN_IN}/callback", 400, "invalid_state"),
        ("//v1//auth/example/Nothing", 404, "auth_not_found"),
    ],
)
def test_an_error_is_a_page_for_a_browser(proxy, path, status, code, accept, content_type):
    answer = proxy.get(path, headers={"Accept": accept} if accept else {}, status=status)
    assert answer.content_type == content_type
    if content_type == JSON:
        assert answer.json == error_reply(code, "")
    else:
        assert answer.charset == "utf-8"
        assert answer.text.startswith("<!doctype html>")
        assert f"<code>{code}</code>" in answer.text


def test_an_error_elsewhere_is_json_for_a_browser_too(app):
    assert app.get("/v1/nothing", headers=PAGE, status=404).json == error_reply("not_found", "")


@pytest.mark.parametrize("path", [SIGN_IN, f"{SIGN_IN}/callback"])
def test_other_methods(proxy, path):
    """Not even HEAD, which a link's preview may send: a callback works once."""
    for method in "HEAD", "POST", "PUT":
        assert proxy.without_lint.request(path, method=method, status=405).headers["Allow"] == "GET, OPTIONS"
    assert proxy.options(path).status_int == 204


@pytest.mark.parametrize("host", ["[", "a b", "a;b", "jane@a", "a/b;Domain=example", "a\r\n b"])
def test_a_host_that_is_none(proxy, host):
    """The callback would be built of it."""
    answer = begin(proxy, extra_environ={"HTTP_HOST": host}, status=400)
    assert answer.json == error_reply("bad_request", "The Host header: .* cannot be used")


def test_nothing_secret_is_in_the_log(start_server, provider):
    """Of the built-in server, whatever comes of a sign-in."""
    environ = {**provider.environ, "CONNECTOR_PROXY_AUTH_REDIRECT_URLS": ARENA}
    server = start_server("--connectors", str(CONNECTORS), **environ)
    begin_url = f"{server.url}{SIGN_IN}?redirect_url={BACK}"

    def sign_in():
        _, headers, _ = visit(begin_url)
        cookie = headers["Set-Cookie"].partition(";")[0]
        _, to_callback, _ = visit(headers["Location"])
        return to_callback["Location"], {"Cookie": cookie}

    callback, cookie = sign_in()
    status, headers, _ = visit(callback, **cookie)
    assert (status, token_set_in(headers["Location"])) == (302, provider.token_set)
    assert visit(callback, **cookie)[0] == 502
    assert visit(callback)[0] == 400
    assert visit(callback.replace("code=", "error="), **cookie)[0] == 400
    other_callback, other_cookie = sign_in()
    provider.reply = 200, {}, b"<h1>"
    assert visit(other_callback, **other_cookie, **PAGE)[0] == 502
    assert visit(begin_url.replace("arena", "evil"))[0] == 403
    assert visit(begin_url.replace("SignIn?", "OldSignIn?"))[0] == 501

    _, log = server.stop(lines=9)
    for line in (
        "GET /v1/auth/example/SignIn 302 0 ",
        "GET /v1/auth/example/SignIn/callback 302 0 ",
        " ms 127.0.0.1 token_refused\n",
        " ms 127.0.0.1 invalid_state\n",
        " ms 127.0.0.1 sign_in_refused\n",
        " ms 127.0.0.1 redirect_url_not_allowed\n",
    ):
        assert line in log
    spoken = [query_of(url)["state"] for url in (callback, other_callback)]
    cookies = [cookie["Cookie"].partition("=")[2] for cookie in (cookie, other_cookie)]
    assert [secret for secret in {*provider.secrets(), *spoken, *cookies} if secret in log] == []


def test_a_message_that_cannot_be_encoded_is_a_page_nonetheless(write_connector, make_app, tmp_path):
    """A provider's JSON can hold half of a surrogate pair."""
    source = "class SignIn:\n    def app_description(self, config):\n        raise LookupError('\\ud800')\n"
    name = write_connector("", auths__in____init__="", auths__in__things=source)
    answer = make_app(tmp_path, AUTH_REDIRECT_URLS="http://127.0.0.1").get(
        f"/v1/auth/{name}/SignIn?redirect_url=http://127.0.0.1/", headers={"Accept": "text/html"}, status=500
    )
    assert "&#55296;" in answer.text


# --- requests without a key ---


def test_with_a_key_nobody_without_it_learns_of_the_connectors(make_app):
    """Neither their names, nor why one is broken; without a key the message says what there is."""
    paths = {"nobody/SignIn": 404, "example/Nothing": 404, "broken/SignIn": 503}
    for path, status in paths.items():
        answer = make_app(API_KEY="k").get(f"/v1/auth/{path}", status=status)
        code = "auth_not_found" if status == 404 else "connector_unavailable"
        words = "^There is no such authentication, or it cannot be used now. GET /v1/auths lists what there is.$"
        assert answer.json == error_reply(code, words)
    assert "there are: OldSignIn, SignIn" in make_app().get("/v1/auth/example/Nothing", status=404).text


def test_sign_ins_at_once_are_bounded(make_app, monkeypatch):
    """They need no key, and must leave connections for requests that do."""
    make_app().get("/v1/auth/nobody/SignIn", status=404)
    monkeypatch.setattr("spiffproxy_sign_in.places", threading.BoundedSemaphore(1))
    app = make_app(AUTH_REDIRECT_URLS=ARENA)
    import spiffproxy_sign_in

    with spiffproxy_sign_in.acquire_place():
        answer = app.get("/v1/auth/example/SignIn", status=503)
        assert answer.json == error_reply("too_busy", "Too many people are signing in at once; try again.")
        assert answer.headers["Retry-After"] == "1"
    app.get("/v1/auth/example/SignIn", status=400)
