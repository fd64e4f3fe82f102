"""The bamboohr connector, against a server that does what BambooHR documents."""

import base64
import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import JSON, free_port, standard_fields

KEY = "k3y"
EMPLOYEES = {
    "0": {"firstName": "Jane", "payRate": "65000.00 USD"},
    "4": {"firstName": "Zoë", "lastName": None, "payRate": "12345678901234567.10 JPY"},
    "5": {"firstName": "Joe"},  # whose pay rate the key's owner may not see
    "6": {"payRate": ""},
    "7": {"payRate": "secret"},
    "8": {"payRate": 65000.0},
}
PLACE = "/api/gateway.php/acme/v1/employees/"


class BambooHR:
    """`refusal`, if set, is what everything is answered: status, headers and body."""

    def __init__(self, server):
        self.url, self.requests, self.refusal = f"{server.url}/api/gateway.php", server.requests, None
        server.answer = lambda request: self.refusal or self.answer(request)

    def answer(self, request):
        assert request.command == "GET"
        assert request.headers["Accept"] == JSON
        if request.headers["Authorization"] != "Basic " + base64.b64encode(f"{KEY}:x".encode()).decode():
            return refuse(401, "Invalid API key")
        url = urlsplit(request.path)
        query = parse_qs(url.query)
        assert query.pop("onlyCurrent") == ["true"]
        (fields,) = query.pop("fields")
        assert not query
        number = url.path.partition(PLACE)[2]
        if number not in EMPLOYEES:
            return refuse(404, "Employee not found")
        employee = {name: EMPLOYEES[number][name] for name in fields.split(",") if name in EMPLOYEES[number]}
        return 200, {"Content-Type": JSON}, json.dumps({"id": number, **employee}).encode()


def refuse(status, words=None, **headers):
    """BambooHR has its words in a header, and no body or a page."""
    return status, {**({"X-BambooHR-Error-Message": words} if words else {}), **headers}, b"<html>s3cret</html>"


@pytest.fixture
def bamboohr(upstream):
    return BambooHR(upstream)


@pytest.fixture
def make_call(make_app, bamboohr):
    """Return a function that makes one which calls a command and returns its result and its error.

    Whatever it answers, the key is not in it.
    """

    def make(**settings):
        app = make_app(**{"BAMBOOHR_URL": f"{bamboohr.url}/", **settings})

        def call(command, **parameters):
            body = {"api_key": KEY, "subdomain": "acme", "employee_id": "4", **parameters}
            answer = app.post_json(f"/v1/do/bamboohr/{command}", body)
            assert KEY not in answer.text
            return answer.json["command_response"], answer.json["error"]

        return call

    return make


@pytest.fixture
def call(make_call):
    return make_call()


def test_the_ids_and_parameters_are_those_that_diagrams_use(app):
    listed = standard_fields(app.get("/v1/commands").json)
    common = [{"id": x, "type": "str", "required": True} for x in ("api_key", "subdomain", "employee_id")]
    assert listed["bamboohr/GetPayRate"] == common
    assert listed["bamboohr/GetEmployeeInfo"] == [*common, {"id": "fields", "type": "str", "required": True}]


@pytest.mark.parametrize("fields", ["firstName,lastName,shoeSize", " firstName , lastName "])
def test_fields_of_an_employee(call, bamboohr, fields):
    """Those that BambooHR does not show are not there."""
    response, error = call("GetEmployeeInfo", fields=fields)
    assert error is None
    body = {"id": "4", "firstName": "Zoë", "lastName": None}
    assert response == {"body": body, "mimetype": JSON, "http_status": 200}
    assert [request.path.partition("?")[0] for request in bamboohr.requests] == [f"{PLACE}4"]


@pytest.mark.parametrize(
    ("employee_id", "body"),
    [
        ("0", {"id": "0", "payRate": "65000.00 USD", "amount": "65000.00", "currency": "USD"}),
        (0, {"id": "0", "payRate": "65000.00 USD", "amount": "65000.00", "currency": "USD"}),
        (
            " 4 ",
            {
                "id": "4",
                "payRate": "12345678901234567.10 JPY",
                "amount": "12345678901234567.10",
                "currency": "JPY",
            },
        ),
    ],
)
def test_a_pay_rate(call, employee_id, body):
    """Its amount keeps every digit."""
    assert call("GetPayRate", employee_id=employee_id) == ({"body": body, "mimetype": JSON, "http_status": 200}, None)


@pytest.mark.parametrize(
    ("employee_id", "code", "status"),
    [(5, "NoPayRate", 404), (6, "NoPayRate", 404), (7, "UnexpectedAnswer", 502), (8, "UnexpectedAnswer", 502)],
)
def test_no_pay_rate(call, employee_id, code, status):
    """What there is in its place is not in the message."""
    response, error = call("GetPayRate", employee_id=employee_id)
    assert (error["error_code"], response["http_status"], response["body"]) == (code, status, {})
    assert "pay rate" in error["message"]
    assert not re.search(r"secret|65000\.0\b", error["message"])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        *[({"subdomain": x}, "subdomain is ") for x in ("", "a/b", "..", "a.b", "a%2fb", "-a", "a" * 64, "ä")],
        *[({"subdomain": x}, 'subdomain must be a string such as "mycompany", but is ') for x in (None, 5)],
        *[({"employee_id": x}, "employee_id is ") for x in ("", "-1", -1, "4/../5", "4?", "directory", "٣")],
        *[({"employee_id": x}, "employee_id must be a string or a") for x in (None, [4], 4.5, True)],
        *[({"api_key": x}, "api_key is empty. Use an API key of BambooHR") for x in ("", " ")],
        *[({"api_key": x}, "api_key is invalid") for x in ("k3y:x", "k3y\r\nX: y", "k3ÿ")],
        *[({"api_key": x}, "api_key must be a string") for x in (None, 5)],
        *[({"fields": x}, "fields is ") for x in ("", " ", "a,,b", ",")],
        *[({"fields": x}, "fields must be a string") for x in (None, ["firstName"])],
    ],
)
def test_mistakes_of_the_author(call, bamboohr, parameters, words):
    """Are named, and nothing is sent."""
    response, error = call("GetEmployeeInfo", **{"fields": "firstName", **parameters})
    assert (error["error_code"], response["http_status"]) == ("ValueError", 400)
    assert words in error["message"]
    assert bamboohr.requests == []


@pytest.mark.parametrize(
    ("refusal", "code", "status", "words"),
    [
        (refuse(400, "Bad field"), "HttpError400", 400, "BambooHR responded with 400: Bad field$"),
        (
            refuse(401, "Invalid API key"),
            "HttpError401",
            401,
            "401: Invalid API key: the API key is not valid; create a new key",
        ),
        (refuse(403), "HttpError403", 403, "403: the owner of the key may not see the employee"),
        (
            refuse(404, "Employee not found"),
            "HttpError404",
            404,
            "Employee not found: .* no such subdomain; correct employee_id or subdomain$",
        ),
        (refuse(406), "HttpError400", 406, "BambooHR responded with 406$"),
        (refuse(429, **{"Retry-After": "27"}), "HttpError429", 429, "429: try again in 27 seconds$"),
        (refuse(503, "Limit", **{"Retry-After": "9"}), "HttpError503", 503, "Limit: try again in 9 seconds$"),
        (refuse(503), "HttpError503", 503, "try again in some seconds$"),
        (
            refuse(429, **{"Retry-After": "Wed, 25 Nov 2026 09:00:00 GMT"}),
            "HttpError429",
            429,
            "429: try again in some seconds$",
        ),
        (refuse(500, "Oops"), "HttpError500", 500, "500: Oops$"),
        (refuse(504), "HttpError500", 504, "BambooHR responded with 504$"),
        ((200, {"Content-Type": "text/html"}, b"s3cret"), "UnexpectedAnswer", 502, "CONNECTOR_PROXY_BAMBOOHR_URL"),
        ((200, {"Content-Type": JSON}, b'["id"]'), "UnexpectedAnswer", 502, ""),
        ((200, {"Content-Type": JSON}, b"{}"), "UnexpectedAnswer", 502, ""),
        ((200, {"Content-Type": JSON}, b"{s3cret"), "UnexpectedAnswer", 502, "Check CONNECTOR_PROXY_BAMBOOHR_URL$"),
        ((204, {}, b""), "UnexpectedAnswer", 502, ""),
        ((200, {"Content-Length": 9, "Connection": "close"}, b"{}"), "ChunkedEncodingError", 500, ""),
    ],
)
def test_refusals(call, bamboohr, refusal, code, status, words):
    """Have BambooHR's own words, and a status by which SpiffArena knows whether to try again; nothing of the body."""
    bamboohr.refusal = refusal
    response, error = call("GetPayRate")
    assert response == {"body": {}, "mimetype": JSON, "http_status": status}
    assert error["error_code"] == code
    assert re.search(words, error["message"])
    assert "s3cret" not in error["message"]


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirects(call, bamboohr, other_upstream, status):
    """Are not followed, and are no result: the key is for one host."""
    headers = {"Location": other_upstream.url, "Content-Type": JSON}
    bamboohr.refusal = status, headers, b'{"id": "4", "payRate": "1.00 USD"}'
    response, error = call("GetPayRate")
    assert (error["error_code"], response["http_status"]) == ("UnexpectedAnswer", 502)
    assert other_upstream.requests == []


def test_another_key_is_refused(call):
    _, error = call("GetEmployeeInfo", fields="firstName", api_key="0ther")
    assert error["error_code"] == "HttpError401"
    assert "0ther" not in error["message"]


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"BAMBOOHR_URL": f"http://127.0.0.1:{free_port()}/"}, "ConnectionError", "No connection to 127.0.0.1"),
        ({"HTTP_ALLOWED_HOSTS": "api.bamboohr.com"}, "HostNotAllowed", "may not call 127.0.0.1"),
    ],
)
def test_the_rules_of_the_http_connector(make_call, bamboohr, settings, code, words):
    _, error = make_call(**settings)("GetPayRate")
    assert error["error_code"] == code
    assert words in error["message"]
    assert bamboohr.requests == []


def test_the_address_of_bamboohr_is_the_default(make_caller):
    call = make_caller({"api.bamboohr.com": [["127.0.0.1"]]})
    answer = call(
        "bamboohr/GetPayRate",
        {"CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS": "example.org"},
        api_key=KEY,
        subdomain="acme",
        employee_id="4",
    )
    assert "may not call api.bamboohr.com" in answer["error"]["message"]
    assert answer["spiff__logs"] == [f"GET https://api.bamboohr.com{PLACE}4, attempt 1 of 1: HostNotAllowed"]
