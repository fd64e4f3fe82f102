"""The check of parameters that bundled commands begin with, by the schema that `/v1/commands` lists of each."""

import base64
import json
import re
import types

import pytest
from conftest import BUNDLED, find_commands
from jsonschema import Draft202012Validator

# --- what is admitted, converted and refused ---

COMMAND = """
from dataclasses import dataclass, field
from typing import Any, ClassVar, Dict, List, Literal, Optional, TypedDict, Union
from spiffproxy_http import HttpCommand

class _Login(TypedDict, total=False):
    client_secret: str
    tries: int

@dataclass
class C(HttpCommand):
    checks_parameters = {checks}
    parameter_schemas: ClassVar[Dict[str, Any]] = {keywords}

    value: {annotation}

    def run(self, client):
        return [type(self.value).__name__, self.value]
"""
TEN = {"minimum": 1, "maximum": 10}
FORMATS = {"enum": ["json", "Form", None]}
OBJECT = "Optional[Dict[str, Any]] = None"
NESTED = json.loads("[" * 400 + "]" * 400)
# annotation, keywords, what is sent, what the command gets
ADMITTED = [
    *[("int", TEN, sent, got) for sent, got in ((3, 3), ("3", 3), ("03", 3), (10, 10), ("1", 1), (3.0, 3))],
    *[("int", {}, sent, got) for sent, got in ((-3, -3), ("-3", -3), ("0", 0))],
    *[("float", {}, sent, got) for sent, got in ((3, 3), (0.5, 0.5), ("0.5", 0.5), ("-3", -3.0))],
    *[("bool", {}, sent, got) for sent, got in ((True, True), ("true", True), ("False", False), ("FALSE", False))],
    *[("str", {}, sent, sent) for sent in ("", "3", "true", "null")],
    *[("str", FORMATS, sent, got) for sent, got in (("json", "json"), ("JSON", "json"), ("form", "Form"))],
    ("Literal['a', 'A']", {}, "A", "A"),
    *[("Literal[1, True]", {}, sent, got) for sent, got in ((1, 1), (True, True), ("1", 1), ("True", True))],
    ("Optional[Literal['a', 'b']] = 'b'", {}, "A", "a"),
    *[(OBJECT, {}, sent, sent) for sent in ({}, {"a": "3"}, {"a": NESTED})],
    *[("Any", {}, sent, sent) for sent in (None, "", "3", [1], 0)],
    ("Dict[str, int]", {}, {"a": "3"}, {"a": 3}),
    ("Union[str, List[int]]", {}, ["3"], [3]),
    ("Union[int, str]", {}, "3", "3"),
    ("str", {"type": ["string", "integer"]}, 3, 3),
    ("_Login", {}, {"tries": "3", "more": "3"}, {"tries": 3, "more": "3"}),
    # null stands for the default, and so does an empty string that the schema does not admit
    *[("Optional[int] = 3", TEN, sent, 3) for sent in (None, "")],
    *[("bool = False", {}, sent, False) for sent in (None, "")],
    *[("Optional[str] = 'json'", FORMATS, sent, "json") for sent in (None, "")],
    *[("List[str] = field(default_factory=list)", {}, sent, []) for sent in (None, "")],
    ("Optional[str] = 'x'", {}, "", ""),
    ("Optional[str] = 'x'", {}, None, "x"),
    ("Optional[str]", {}, None, None),
]


def call(annotation, keywords, value, *, checks=True):
    """Return the result of a command whose one parameter is declared as given, called without a proxy."""
    module = types.ModuleType("written")  # spiffproxy_http was imported with the bundled commands
    exec(COMMAND.format(annotation=annotation, keywords={"value": keywords}, checks=checks), vars(module))
    return module.C(value).execute({}, {})


@pytest.mark.parametrize(("annotation", "keywords", "sent", "got"), ADMITTED)
def test_a_value_that_is_admitted(annotation, keywords, sent, got):
    """Reaches the command as its schema has it."""
    answer = call(annotation, keywords, sent)
    assert answer["error"] is None
    assert answer["command_response"]["body"] == [type(got).__name__, got]


RANGE = "Use a number from 1 to 10."
QUOTES = "Remove the quotes around it."
REFUSED = [
    *[("int", TEN, sent, f"value is {sent}. {RANGE}") for sent in (0, 11, -1, 10**30)],
    *[
        ("int", TEN, sent, f'value is "{sent}". {RANGE}')
        for sent in ("0", "11", "x", "", " 3", "3 ", "3.0", "+3", "1e1", "0x3", "٣", "9" * 30)
    ],
    ("int", TEN, "9" * 5000, f'value is "{"9" * 99}…. {RANGE}'),
    ("int", TEN, "\ud800", f'value is "?". {RANGE}'),
    *[("int", TEN, sent, f"value is {told}. {RANGE}") for sent, told in ((True, "true"), (None, "null"))],
    *[("int", TEN, sent, f"value is {told}. {RANGE}") for sent, told in (([3], "a list"), ({}, "an object"))],
    ("int", TEN, 2.5, "value is 2.5. Use a whole number from 1 to 10."),
    ("int", {**TEN, "examples": [3]}, 0, f"value is 0. {RANGE[:-1]}, such as 3."),
    ("int", {"minimum": 1}, 0, "value is 0. Use a number of at least 1."),
    ("int", {"maximum": 1}, 2, "value is 2. Use a number of at most 1."),
    *[("float", {}, sent, f'value is "{sent}". Use a number.') for sent in ("x", "NaN", "Infinity", "1,5", ".")],
    *[("bool", {}, sent, f"value is {sent}. Use true or false.") for sent in (0, 1)],
    *[("bool", {}, sent, f'value is "{sent}". Use true or false.') for sent in ("yes", "1", "", " true")],
    *[("str", FORMATS, sent, f'value is {told}. Use "json" or "Form".') for sent, told in ((5, "5"), ("x", '"x"'))],
    *[("str", FORMATS, sent, "value is") for sent in ([], {}, True, "null")],
    ("Optional[Literal['a', 1, None]]", {}, "1.0", 'value is "1.0". Use "a" or 1.'),
    *[("str", {}, sent, "value must be a string, but is a number. Put quotes around it.") for sent in (5, 0.5)],
    ("str", {}, True, "value must be a string, but is true. Put quotes around it."),
    *[
        ("str", {}, sent, f"value must be a string, but is {told}.")
        for sent, told in ((None, "null"), ([], "a list"), ({}, "an object"))
    ],
    (OBJECT, {}, '{"a": 1}', f"value must be an object, but is a string. {QUOTES}"),
    (OBJECT, {}, [], "value must be an object, but is a list."),
    (OBJECT, {"examples": [{"a": 1}]}, 5, 'value must be an object such as {"a": 1}, but is a number.'),
    ("List[str]", {}, "[]", f"value must be a list, but is a string. {QUOTES}"),
    ("List[str]", {}, ["a", 5], "value[1] must be a string, but is a number. Put quotes around it."),
    ("Optional[Dict[str, int]] = None", {}, {"a": "x"}, 'value.a is "x". Use a number.'),
    ("Union[str, List[int]]", {}, {}, "value must be a string or a list, but is an object."),
    ("_Login", {"required": ["tries"]}, {}, 'value must have "tries".'),
    # a secret is not shown
    ("_Login", {}, {"client_secret": ["s3cret"]}, "value.client_secret must be a string, but is a list."),
    ("Dict[str, int]", {}, {"password": "s3cret"}, "value.password is invalid. Use a number."),
]


@pytest.mark.parametrize(("annotation", "keywords", "sent", "message"), REFUSED)
def test_a_value_that_is_refused(annotation, keywords, sent, message):
    """Is told with its parameter and what would be right, and is not tried again."""
    answer = call(annotation, keywords, sent)
    assert answer["error"]["error_code"] == "ValueError"
    assert answer["error"]["message"].startswith(message)
    assert "s3cret" not in answer["error"]["message"]
    assert answer["command_response"] == {"body": {}, "mimetype": "application/json", "http_status": 400}


@pytest.mark.parametrize(("annotation", "value"), [("int", "3"), ("bool", "false"), (OBJECT, "x"), ("str", None)])
def test_a_foreign_command_gets_what_was_sent(annotation, value):
    """Whatever it declares."""
    body = call(annotation, TEN, value, checks=False)["command_response"]["body"]
    assert body == [type(value).__name__, value]


FOREIGN_REQUESTS = """
from dataclasses import dataclass
from typing import Any, Optional
from spiffproxy_http.request_commands import RequestV1, RequestV2

@dataclass
class First(RequestV1):
    method = "GET"
    url: str
    own: int
    attempts: int
    def send(self, client):
        client.send("GET", self.url, params={"got": repr([self.own, self.attempts])})
        return super().send(client)

class Second(RequestV2):
    method = "POST"
    def __init__(self, url: str, data: Any):
        self.url, self.data = url, data
"""


def test_a_foreign_request(make_command, upstream):
    """Has its own parameters as they were sent, and need not be a dataclass."""
    call = make_command(FOREIGN_REQUESTS)
    call("First", url=upstream.url, own="3", attempts="x")
    assert upstream.requests[0].path == "/?got=%5B%273%27%2C+%27x%27%5D"
    assert call("Second", url=upstream.url, data="3").json["error"] is None


# --- the bundled commands ---

BASELINE = {
    "url": "http://127.0.0.1:1/",
    "smtp_host": "127.0.0.1",
    "smtp_port": 1,
    "email_subject": "s",
    "email_body": "b",
    "email_to": "a@x.example",
    "email_from": "a@x.example",
    "bucket": "box",
    "key": "k",
    "file_data": "",
    "access_token": {"refresh_token": "r", "access_token": "a"},
    "amount": "1",
    "schema": {},
}
COMMANDS = [
    pytest.param(f"{name[10:]}/{cls.__name__}", id=f"{name}-{cls.__name__}")
    for name in BUNDLED
    for cls in find_commands(name).values()
]


def read_error(answer):
    """Return the code, the status and the message of a bundled command's error, each in the shape of its version."""
    error = answer.json["error"]
    if "command_response" in answer.json:
        return error["error_code"], answer.json["command_response"]["http_status"], error["message"]
    if isinstance(error, dict):
        return error["error_code"], answer.status_int, error["message"]
    return "ValueError", answer.status_int, error


@pytest.mark.parametrize("command", COMMANDS)
def test_what_the_listed_schema_refuses(make_app, command):
    """Is refused by each bundled command, with the name of the parameter; nothing is sent."""
    # a host that is not allowed: what is admitted by mistake ends as HostNotAllowed at the latest
    app = make_app(CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS="nowhere.example", XERO_CLIENT_ID="i", XERO_CLIENT_SECRET="s")
    (entry,) = (entry for entry in app.get("/v1/commands").json if entry["id"] == command)
    required = {p["id"]: BASELINE.get(p["id"], "x") for p in entry["parameters"] if p["required"]}
    refused = 0
    for parameter in entry["parameters"]:
        name = parameter["id"]
        for value in (["s3cret", 1], {"s3cret": [1]}, 0, 10**9, 0.5, True, "s3cret", None):
            is_default = value is None and not parameter["required"]
            if is_default or Draft202012Validator(parameter.get("schema", {})).is_valid(value):
                continue
            refused += 1
            answer = app.post_json(f"/v1/do/{command}", {**required, name: value}, expect_errors=True)
            code, status, message = read_error(answer)
            assert (code, status) == ("ValueError", 200 if command == "smtp/SendEmail" else 400), (name, value)
            assert re.match(rf"{name}(\[1\])? (must be|is) ", message), (name, value)
            assert "s3cret" not in message or "secret" not in parameter
    assert refused or command == "xero/GetCurrencies"


def test_what_is_listed_of_ranges_choices_and_examples(app):
    """The same declaration that is checked."""
    schemas = {
        (entry["id"], parameter["id"]): parameter.get("schema")
        for entry in app.get("/v1/commands").json
        for parameter in entry["parameters"]
    }
    expected = {
        ("http/GetRequestV2", "attempts"): {"type": ["integer", "null"], "minimum": 1, "maximum": 10},
        ("http/GetRequest", "basic_auth_password"): {"type": ["string", "integer", "null"]},
        ("http/GetRequest", "headers"): {"type": ["object", "null"], "examples": [{"Accept": "text/plain"}]},
        ("smtp/SendEmail", "smtp_port"): {"type": "integer", "minimum": 1, "maximum": 65535, "examples": [587]},
        ("s3/ListObjects", "max_keys"): {"type": ["integer", "null"], "minimum": 1, "maximum": 1000},
        ("s3/PresignUrl", "method"): {"type": ["string", "null"], "enum": ["GET", "PUT", "DELETE", "HEAD", None]},
        ("bamboohr/GetPayRate", "employee_id"): {"type": ["string", "integer"], "examples": ["123"]},
    }
    assert {key: schemas[key] for key in expected} == expected
    assert schemas["http/PostRequestV2", "body_format"]["enum"][-1] is None


@pytest.mark.parametrize("name", BUNDLED)
def test_what_has_keywords_is_a_parameter(name):
    """Of one command at least."""
    commands = find_commands(name).values()
    declared = {word for cls in commands for base in cls.__mro__ for word in vars(base).get("parameter_schemas", {})}
    assert declared <= {field for cls in commands for field in cls.__dataclass_fields__}


@pytest.mark.parametrize(
    ("sent", "lines", "has_headers"),
    [
        ({"attempts": "2", "include_response_headers": "true"}, 2, True),
        ({"attempts": 2.0, "include_response_headers": "false"}, 2, False),
        ({"attempts": None, "include_response_headers": None, "headers": None, "params": ""}, 1, False),
        ({"attempts": "", "include_response_headers": "", "headers": "", "basic_auth_username": ""}, 1, False),
    ],
)
def test_a_request(http_call, upstream, sent, lines, has_headers):
    upstream.answer = lambda request: (503, {}, b"")
    response = http_call("GetRequestV2", url=upstream.url, **sent).json["command_response"]
    assert (len(upstream.requests), response["http_status"]) == (lines, 503)
    assert ("headers" in response) == has_headers


@pytest.mark.parametrize(
    ("user", "password", "sent"),
    [(4711, 12, "4711:12"), (0, None, "0:"), ("u", 0, "u:0"), (None, 7, ":7"), ("", "", None), (None, None, None)],
)
@pytest.mark.parametrize("command", ["GetRequest", "GetRequestV2"])
def test_a_user_and_a_password_that_are_numbers(http_call, upstream, command, user, password, sent):
    """Are sent as their digits, as they were before parameters were checked."""
    http_call(command, url=upstream.url, basic_auth_username=user, basic_auth_password=password)
    expected = sent and f"Basic {base64.b64encode(sent.encode()).decode()}"
    assert upstream.requests[0].headers["Authorization"] == expected


def test_a_request_with_headers_in_quotes(http_call, upstream):
    """In each version, and in the words of the author."""
    told = 'headers must be an object such as {"Accept": "text/plain"}, but is a string. Remove the quotes around it.'
    parameters = {"url": upstream.url, "headers": '{"Accept": "text/html"}'}
    assert http_call("GetRequest", 400, **parameters).json == {"error": told}
    assert read_error(http_call("GetRequestV2", **parameters)) == ("ValueError", 400, told)
    assert upstream.requests == []


@pytest.mark.parametrize("parameter", ["smtp_starttls", "smtp_ssl"])
@pytest.mark.parametrize(
    ("sent", "asks"), [("false", False), ("", False), (None, False), (False, False), ("True", True)]
)
def test_a_mail_with_and_without_tls(make_app, raw_server, parameter, sent, asks):
    """ "false" does not ask for TLS, and "True" does."""

    def talk(connection, number):
        if parameter == "smtp_ssl" and asks:
            heard.append(connection.recv(1))
            return
        connection.sendall(b"220 hello\r\n")
        for reply in b"250-hello\r\n250 STARTTLS\r\n", b"554 no\r\n":
            heard.append(connection.recv(1000))
            connection.sendall(reply)

    heard = []
    mail = {name: BASELINE[name] for name in BASELINE if name.startswith(("smtp_", "email_"))}
    mail.update({"smtp_port": str(raw_server(talk).port), parameter: sent})
    make_app().post_json("/v1/do/smtp/SendEmailV2", mail)
    first = {"smtp_starttls": b"STARTTLS\r\n", "smtp_ssl": b"\x16"}[parameter]  # a record of TLS begins so
    assert heard[-1] == (first if asks else b"MAIL FROM:<a@x.example>\r\n")
