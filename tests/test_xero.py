"""The xero connector, against a server that does what Xero documents."""

import base64
import json
import re
import time
from datetime import date, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from conftest import JSON, free_port, serve_http, standard_fields

CLIENT = {"XERO_CLIENT_ID": "app+id", "XERO_CLIENT_SECRET": "s3cret/+"}
TENANT = {"id": "c1", "tenantId": "t1", "tenantType": "ORGANISATION", "tenantName": "Demo Company"}
PRACTICE = {"id": "c2", "tenantId": "t2", "tenantType": "PRACTICE", "tenantName": "Accountants"}
CURRENCIES = {"Status": "OK", "Currencies": [{"Code": "CHF", "Description": "Swiss Franc"}]}
INVOICE = {
    "description": "Schraube, groß",
    "contact_name": "Rex Media Group",
    "contact_email": "info@example.org",
    "amount": "19.90",
}
API = "/api.xro/2.0/"


class Xero:
    """Its three hosts in one. `answers` overrides what a path is answered: status, headers and JSON."""

    def __init__(self, server):
        self.server, self.url, self.requests = server, server.url, server.requests
        self.connections = [PRACTICE, TENANT]
        self.refresh_tokens, self.access_tokens = {}, set()  # those that it has issued and still takes
        self.answers = {}
        self.refreshes = 0
        server.answer = self.answer

    def issue(self, seconds=1800):
        """Return the token set of somebody who has signed in."""
        number = len(self.access_tokens) + 1
        exp = int(time.time()) + seconds
        claims = base64.urlsafe_b64encode(json.dumps({"exp": exp}).encode()).decode().rstrip("=")
        tokens = {"access_token": f"head.{claims}.s3cret{number}", "refresh_token": f"r3fresh{number}"}
        self.access_tokens.add(tokens["access_token"])
        self.refresh_tokens[tokens["refresh_token"]] = tokens
        return {
            **tokens,
            "id_token": "s3cret",
            "expires_in": seconds,
            "token_type": "Bearer",
            "scope": "offline_access",
        }

    def answer(self, request):
        path = urlsplit(request.path).path
        status, headers, body = self.answers.get(path) or self.handle(path, request)
        return status, {"Content-Type": f"{JSON}; charset=utf-8", **headers}, json.dumps(body).encode()

    def handle(self, path, request):
        if path == "/connect/token":
            return self.refresh(request)
        assert request.headers["Accept"] == JSON
        if request.headers["Authorization"].partition("Bearer ")[2] not in self.access_tokens:
            return 401, {}, {"Type": None, "Title": "Unauthorized", "Status": 401, "Detail": "TokenExpired"}
        if path == "/connections":
            return 200, {}, self.connections
        if request.headers["xero-tenant-id"] != "t1":
            return 403, {}, {"Title": "Forbidden", "Status": 403, "Detail": "AuthenticationUnsuccessful"}
        if path == f"{API}Currencies":
            return 200, {}, CURRENCIES
        assert (request.command, path) == ("POST", f"{API}Invoices")
        return 200, {}, {"Status": "OK", **json.loads(request.body)}

    def refresh(self, request):
        """Take each refresh token once."""
        basic = "Basic " + base64.b64encode(b"app%2Bid:s3cret%2F%2B").decode()
        if request.headers["Authorization"] != basic:
            return 400, {}, {"error": "invalid_client"}
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        form = dict(parse_qsl(request.body.decode()))
        assert form.pop("grant_type") == "refresh_token"
        if self.refresh_tokens.pop(form.pop("refresh_token"), None) is None:
            return 400, {}, {"error": "invalid_grant"}
        assert not form
        self.refreshes += 1
        return 200, {}, self.issue()

    def paths(self):
        return [urlsplit(request.path).path for request in self.requests]


@pytest.fixture
def xero(upstream):
    return Xero(upstream)


@pytest.fixture
def make_call(make_app, xero):
    """Return a function that makes one which calls a command with a token set and returns the answer."""

    def make(environ=CLIENT, **settings):
        app = make_app(environ=environ, **{"XERO_URL": xero.url, "XERO_IDENTITY_URL": xero.url, **settings})

        def call(command, tokens, status=200, **parameters):
            if not isinstance(tokens, str):
                tokens = json.dumps(tokens)
            body = {**(INVOICE if command == "CreateInvoice" else {}), "access_token": tokens, **parameters}
            return app.post_json(f"/v1/do/xero/{command}", body, status=status)

        return call

    return make


@pytest.fixture
def call(make_call):
    return make_call()


def test_the_ids_and_parameters_are_those_that_diagrams_use(make_app):
    app = make_app()
    listed = standard_fields(app.get("/v1/commands").json)
    tokens = {"id": "access_token", "type": "any", "required": True}
    texts = [{"id": x, "type": "str", "required": True} for x in INVOICE]
    assert listed["xero/CreateInvoice"] == [tokens, *texts]
    assert listed["xero/GetCurrencies"] == [tokens]
    assert {"id": "xero/OAuth", "parameters": []} in app.get("/v1/auths").json


# --- signing in ---


def describe(app, **config):
    app.get("/v1/auths")  # which imports it
    from connector_xero.auths.oauth import OAuth

    return OAuth().app_description(config)


def test_the_app_that_one_signs_in_to(app):
    assert describe(app, **CLIENT) == {
        "name": "xero",
        "version": "2",
        "client_id": "app+id",
        "client_secret": "s3cret/+",
        "authorization_url": "https://login.xero.com/identity/connect/authorize",
        "access_token_url": "https://identity.xero.com/connect/token",
        "refresh_token_url": "https://identity.xero.com/connect/token",
        "endpoint_url": "https://api.xero.com/",
        "scope": "offline_access accounting.invoices accounting.contacts accounting.settings.read",
    }


def test_other_hosts_and_names(app):
    described = describe(
        app,
        CONNECTOR_PROXY_XERO_CLIENT_ID=" id ",
        CONNECTOR_PROXY_XERO_CLIENT_SECRET="secret",
        CONNECTOR_PROXY_XERO_URL="http://a.example/x/",
        CONNECTOR_PROXY_XERO_IDENTITY_URL="http://b.example/",
    )
    assert (described["client_id"], described["client_secret"]) == ("id", "secret")
    assert described["endpoint_url"] == "http://a.example/x/"
    assert described["authorization_url"] == "http://b.example/identity/connect/authorize"
    assert described["access_token_url"] == described["refresh_token_url"] == "http://b.example/connect/token"


@pytest.mark.parametrize("config", [{}, {"XERO_CLIENT_ID": "id"}, {"XERO_CLIENT_ID": "", "XERO_CLIENT_SECRET": "x"}])
def test_no_app_without_a_client(app, config):
    with pytest.raises(
        Exception, match="must set CONNECTOR_PROXY_XERO_CLIENT_ID and CONNECTOR_PROXY_XERO_CLIENT_SECRET"
    ):
        describe(app, **config)


# --- token sets ---


def test_an_access_token_that_has_ended_is_refreshed(call, xero):
    """The new set is answered beside the API's answer, and the old refresh token is worth nothing from then on."""
    old = xero.issue(seconds=50)
    answer = call("GetCurrencies", old).json
    new = answer["refreshed_token_set"]
    assert answer == {"api_response": CURRENCIES, "refreshed_token_set": new, "auth": "xero/OAuth"}
    assert new["refresh_token"] in xero.refresh_tokens
    assert new.keys() == old.keys()
    assert xero.paths() == ["/connect/token", "/connections", f"{API}Currencies"]
    assert xero.requests[-1].path == f"{API}Currencies?order=Code+ASC"
    assert call("GetCurrencies", old, 400).json["error"]["error_code"] == "invalid_grant"


@pytest.mark.parametrize("as_text", [True, False])
def test_an_access_token_that_lasts_is_used(call, xero, as_text):
    """And answered as it is, beside the API's answer."""
    tokens = xero.issue()
    body = {"access_token": json.dumps(tokens) if as_text else tokens}
    answer = call("GetCurrencies", "", **body).json
    assert answer == {"api_response": CURRENCIES, "refreshed_token_set": tokens, "auth": "xero/OAuth"}
    assert xero.paths() == ["/connections", f"{API}Currencies"]


@pytest.mark.parametrize(
    "access_token",
    [
        None,
        5,
        "opaque",
        "a.b.c",
        "a.bm8ganNvbg.c",
        "a.W10.c",
        "a.e30.c",
        "a.eyJleHAiOm51bGx9.c",
        "a.eyJleHAiOjFlOTk5fQ.c",
        f"a.{base64.urlsafe_b64encode(json.dumps({'exp': 10**400}).encode()).decode()}.c",
    ],
)
def test_an_access_token_that_does_not_say_when_it_ends(call, xero, access_token):
    """Is refreshed, at the latest when Xero refuses it."""
    tokens = {"refresh_token": xero.issue()["refresh_token"], "access_token": access_token}
    assert call("GetCurrencies", tokens).json["api_response"] == CURRENCIES
    assert xero.refreshes == 1


def test_an_access_token_that_xero_refuses_is_refreshed(call, xero):
    """Whatever it says of itself."""
    tokens = xero.issue()
    xero.access_tokens.clear()
    answer = call("CreateInvoice", tokens).json
    assert answer["refreshed_token_set"]["refresh_token"] in xero.refresh_tokens
    assert xero.paths() == ["/connections", "/connect/token", "/connections", f"{API}Invoices"]


def test_a_refresh_that_keeps_the_refresh_token(call, xero):
    """Is allowed by RFC 6749 section 6."""
    tokens = xero.issue(0)
    new = {"access_token": xero.issue()["access_token"]}
    xero.answers["/connect/token"] = 200, {}, new
    answer = call("GetCurrencies", tokens).json
    assert answer["refreshed_token_set"] == {**new, "refresh_token": tokens["refresh_token"]}


@pytest.mark.parametrize(
    "tokens",
    [
        "",
        "SPIFF_SECRET:xero/OAuth",
        "[]",
        "null",
        "{}",
        '{"refresh_token": 5}',
        '{"access_token": "s3cret"}',
        "[" * 9999,
    ],
)
def test_no_token_set(call, xero, tokens):
    answer = call("GetCurrencies", tokens, 400)
    assert answer.json["error"]["error_code"] == "InvalidTokenSet"
    assert 'Write "secret:xero/OAuth"' in answer.json["error"]["message"]
    assert xero.requests == []
    assert "s3cret" not in answer.text


def test_an_access_token_that_no_header_holds(call, xero):
    tokens = xero.issue()
    tokens["access_token"] += "\r\nX: s3cret"
    answer = call("GetCurrencies", tokens, 400)
    assert answer.json["error"]["error_code"] == "InvalidHeader"
    assert "s3cret" not in answer.text


# --- invoices ---


def test_an_invoice(call, xero):
    """Has one line, is approved, and is due in a week."""
    before = date.today()
    answer = call("CreateInvoice", xero.issue()).json
    assert list(answer["api_response"]) == ["Status", "Invoices"]
    sent = xero.requests[-1]
    assert (sent.command, sent.path) == ("POST", f"{API}Invoices?unitdp=4")
    (invoice,) = json.loads(sent.body)["Invoices"]
    day = date.fromisoformat(invoice["Date"])
    assert before <= day <= date.today()
    assert invoice == {
        "Type": "ACCREC",
        "Contact": {"Name": "Rex Media Group", "EmailAddress": "info@example.org"},
        "Date": day.isoformat(),
        "DueDate": (day + timedelta(days=7)).isoformat(),
        "LineItems": [
            {
                "Description": "Schraube, groß",
                "Quantity": 1,
                "UnitAmount": "19.90",
                "AccountCode": "400",
                "TaxType": "NONE",
            }
        ],
        "Reference": "Created by SpiffWorkflow",
        "Status": "AUTHORISED",
    }


@pytest.mark.parametrize(
    ("amount", "sent"),
    [
        ("20.00", "20.00"),
        (" 0.1234 ", "0.1234"),
        ("-5", "-5"),
        ("123456789012345.6789", "123456789012345.6789"),
        (20, "20"),
        (19.99, "19.9900"),
        (0.1 + 0.2, "0.3000"),
    ],
)
def test_amounts(call, xero, amount, sent):
    """Texts reach Xero digit for digit."""
    call("CreateInvoice", xero.issue(), amount=amount)
    assert json.loads(xero.requests[-1].body)["Invoices"][0]["LineItems"][0]["UnitAmount"] == sent


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        *[({"amount": x}, "amount is ") for x in ("", "1,234.50", "1e3", "NaN", "0.12345", "٣", "1" * 16, 1e16)],
        *[({"amount": x}, "amount must be a string or a number") for x in (None, True, [1], {})],
        ({"description": None}, "description must be a string, but is null"),
        ({"contact_name": 5}, "contact_name must be a string, but is a number"),
        ({"contact_email": ["a"]}, "contact_email must be a string, but is a list"),
    ],
)
def test_mistakes_of_the_author(call, xero, parameters, words):
    """Are found before a refresh token is spent."""
    answer = call("CreateInvoice", xero.issue(0), 400, **parameters).json
    assert answer["error"]["error_code"] == "ValueError"
    assert words in answer["error"]["message"]
    assert xero.requests == []


# --- refusals ---

VALIDATION = {
    "ErrorNumber": 10,
    "Type": "ValidationException",
    "Message": "A validation exception occurred",
    "Elements": [
        {
            "ValidationErrors": [
                {"Message": "Email address must be valid."},
                {"Message": "Account code '400' is no code"},
            ]
        },
        {"ValidationErrors": []},
        "odd",
    ],
}
LIMIT = {"Retry-After": "27", "X-Rate-Limit-Problem": "minute"}
UNAUTHORIZED = {"Type": None, "Title": "Unauthorized", "Status": 401, "Detail": "AuthorizationUnsuccessful"}


@pytest.mark.parametrize(
    ("path", "refusal", "code", "status", "words"),
    [
        ("/connect/token", (400, {}, {"error": "invalid_grant"}), "invalid_grant", 400, "sign in to Xero again"),
        ("/connect/token", (400, {}, {"error": "invalid_client"}), "invalid_client", 400, "client secret is wrong"),
        ("/connect/token", (401, {}, {"error": "invalid_client"}), "invalid_client", 401, "client secret is wrong"),
        ("/connect/token", (400, {}, {"error": "invalid_scope"}), "invalid_scope", 400, "400: invalid_scope$"),
        ("/connect/token", (400, {}, {"error": "unauthorized_client"}), "unauthorized_client", 400, ""),
        ("/connect/token", (400, {}, {"error": "slow_down"}), "HttpError400", 400, "400: slow_down$"),
        ("/connect/token", (400, {}, {"error": "NoTenant"}), "HttpError400", 400, "400: NoTenant$"),
        ("/connect/token", (400, {}, {"error": ["s"]}), "HttpError400", 400, "400: "),
        ("/connect/token", (400, {}, {"error": "no code"}), "HttpError400", 400, "400: no code"),
        ("/connect/token", (503, {}, "s3cret"), "HttpError503", 503, "Xero responded with 503$"),
        ("/connect/token", (500, {}, {"error": "invalid_grant"}), "HttpError500", 500, "500: invalid_grant$"),
        ("/connect/token", (200, {}, {"refresh_token": "s3cret"}), "UnexpectedAnswer", 502, "CONNECTOR_PROXY_XERO_"),
        ("/connect/token", (200, {}, ["s3cret"]), "UnexpectedAnswer", 502, ""),
        ("/connect/token", (200, {"Content-Type": "text/plain"}, "s3cret"), "UnexpectedAnswer", 502, ""),
        ("/connect/token", (200, {"Content-Length": 5}, {"a": "s3cret"}), "UnexpectedAnswer", 502, ""),
        ("/connections", (200, {}, []), "NoTenant", 403, "Sign in to Xero again, and choose one"),
        ("/connections", (200, {}, [PRACTICE]), "NoTenant", 403, ""),
        ("/connections", (200, {}, {}), "UnexpectedAnswer", 502, ""),
        ("/connections", (200, {}, ["odd"]), "UnexpectedAnswer", 502, ""),
        ("/connections", (401, {}, UNAUTHORIZED), "HttpError401", 401, "sign in to Xero again"),
        (f"{API}Currencies", (401, {}, UNAUTHORIZED), "HttpError401", 401, "AuthorizationUnsuccessful: .* sign in"),
        (f"{API}Currencies", (403, {}, {"Detail": "AuthenticationUnsuccessful"}), "HttpError403", 403, "who signed in"),
        (f"{API}Currencies", (404, {}, None), "HttpError404", 404, "Xero responded with 404$"),
        (f"{API}Currencies", (429, LIMIT, None), "HttpError429", 429, "the minute limit .* again in 27 seconds"),
        (f"{API}Currencies", (429, {}, None), "HttpError429", 429, "the request limit .* again in some seconds"),
        (f"{API}Currencies", (500, {}, {"Type": "Odd", "Message": "An error"}), "HttpError500", 500, "An error$"),
        (f"{API}Currencies", (200, {}, {"Status": "OK"}), "UnexpectedAnswer", 502, ""),
        (f"{API}Currencies", (200, {}, ["Currencies"]), "UnexpectedAnswer", 502, ""),
        (f"{API}Invoices", (400, {}, VALIDATION), "ValidationException", 400, "valid.; Account code '400' is no code$"),
        (f"{API}Invoices", (400, {}, {**VALIDATION, "Elements": 5}), "ValidationException", 400, "exception occurred$"),
        (f"{API}Invoices", (400, {}, {"Type": "PostDataInvalidException"}), "PostDataInvalidException", 400, ""),
        (f"{API}Invoices", (400, {}, {"Type": "OddException"}), "HttpError400", 400, "400: OddException$"),
        (f"{API}Invoices", (429, LIMIT, None), "HttpError429", 429, "27 seconds"),
        (f"{API}Invoices", (503, {}, None), "HttpError503", 503, "503$"),
    ],
)
def test_refusals(call, xero, path, refusal, code, status, words):
    """Have a code and Xero's own words, and a status by which SpiffArena knows whether to try again; no secrets."""
    xero.answers[path] = refusal
    answer = call("CreateInvoice" if path.endswith("Invoices") else "GetCurrencies", xero.issue(0), status)
    assert answer.json["error"]["error_code"] == code
    assert re.search(words, answer.json["error"]["message"])
    assert not re.search("s3cret|r3fresh", answer.json["error"]["message"])
    assert "s3cret" not in answer.text


def test_a_refresh_token_is_not_lost_by_a_failure(call, xero):
    """SpiffArena stores it where the error is caught; what may get into the workflow's data is no access token."""
    xero.answers[f"{API}Invoices"] = 400, {}, VALIDATION
    answer = call("CreateInvoice", xero.issue(0), 400).json
    error, tokens = answer["error"], answer["refreshed_token_set"]
    assert answer == {
        "error": error,
        "api_response": {"error": error},
        "refreshed_token_set": {"refresh_token": tokens["refresh_token"]},
        "auth": "xero/OAuth",
    }
    del xero.answers[f"{API}Invoices"]
    assert call("CreateInvoice", tokens).json["auth"] == "xero/OAuth"


@pytest.mark.parametrize(
    ("path", "status", "seconds"),
    [
        (f"{API}Currencies", 401, 1800),
        ("/connections", 403, 1800),
        ("/connections", 429, 1800),
        ("/connections", 401, 0),
    ],
)
def test_no_refresh_where_it_does_not_mend_anything(call, xero, path, status, seconds):
    """A token that Xero took for the connections, and refuses then, lacks a scope; a new one would lack it, too."""
    xero.answers[path] = status, {}, UNAUTHORIZED
    answer = call("GetCurrencies", xero.issue(seconds), status).json
    assert xero.refreshes == ("refreshed_token_set" in answer) == (seconds == 0)


def test_no_app_no_refresh(make_call, xero):
    answer = make_call(environ={})("GetCurrencies", xero.issue(0), 400).json
    assert answer["error"]["error_code"] == "invalid_client"
    assert xero.requests == []


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        (500, {}, "HttpError500"),
        (502, {}, "HttpError502"),
        (200, {}, "UnexpectedAnswer"),
        (200, {"Content-Length": 1}, "UnexpectedAnswer"),
        (200, {"Content-Length": 1000, "Connection": "close"}, "ChunkedEncodingError"),
    ],
)
def test_an_invoice_that_may_have_been_created(call, xero, status, headers, code):
    """Is not tried again by SpiffArena: there would be two."""
    xero.answers[f"{API}Invoices"] = status, headers, {}
    answer = call("CreateInvoice", xero.issue(), 422).json
    assert answer["error"]["error_code"] == code
    assert "Xero may have done it nevertheless: look there" in answer["error"]["message"]
    assert xero.paths().count(f"{API}Invoices") == 1


@pytest.mark.parametrize("path", ["/connect/token", "/connections", f"{API}Invoices"])
def test_redirects(call, xero, other_upstream, path):
    """Are not followed, and are no result: tokens are for one host, also those in a form."""
    xero.answers[path] = 307, {"Location": other_upstream.url}, {"Invoices": []}
    answer = call("CreateInvoice", xero.issue(0), 422 if path.endswith("Invoices") else 502).json
    assert answer["error"]["error_code"] == "UnexpectedAnswer"
    assert other_upstream.requests == []


def test_an_invoice_that_was_created_with_too_long_an_answer(make_call, xero):
    answer = make_call(HTTP_MAX_RESPONSE_BYTES=300)("CreateInvoice", xero.issue(), 422).json
    assert answer["error"]["error_code"] == "ResponseTooLarge"
    assert "Xero may have done it nevertheless" in answer["error"]["message"]


# --- the http connector's rules ---


def test_nobody_listens(make_call, xero):
    call = make_call(XERO_URL=f"http://127.0.0.1:{free_port()}")
    answer = call("GetCurrencies", xero.issue(), 500).json
    assert answer["error"]["error_code"] == "ConnectionError"


def test_hosts_that_are_not_allowed(make_call, xero):
    call = make_call(HTTP_ALLOWED_HOSTS="api.xero.com, identity.xero.com")
    answer = call("GetCurrencies", xero.issue(0), 403).json
    assert answer["error"]["error_code"] == "HostNotAllowed"
    assert xero.requests == []


def test_two_hosts(make_call, xero):
    with serve_http() as identity:
        identity.answer = xero.answer
        answer = make_call(XERO_IDENTITY_URL=f"{identity.url}/")("GetCurrencies", xero.issue(0)).json
        assert [request.path for request in identity.requests] == ["/connect/token"]
    assert answer["api_response"] == CURRENCIES


def test_one_deadline_for_all(make_call, xero):
    """Which no request alone would miss."""

    def answer_slowly(request):
        time.sleep(1)  # so that the third is late
        return xero.answer(request)

    xero.server.answer = answer_slowly
    answer = make_call(HTTP_TIMEOUT=2.5)("CreateInvoice", xero.issue(0), 422).json
    assert answer["error"]["error_code"] == "ReadTimeout"
    assert xero.paths() == ["/connect/token", "/connections", f"{API}Invoices"]
