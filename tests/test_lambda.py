"""AWS Lambda: events as AWS documents them, and whole answers; each request passes wsgiref's validator."""

import base64
import json
import re
import sys
from functools import partial
from types import SimpleNamespace
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit
from wsgiref.validate import WSGIWarning, validator

import pytest
from conftest import CONNECTORS, JSON, error_reply

from spiffproxy import Proxy, lambda_handler

ECHO = "/v1/do/example/Echo"
LIMIT = 6 * 1024**2
AUTHS = [{"id": name, "parameters": []} for name in ("example/OldSignIn", "example/SignIn", "xero/OAuth")]

# --- events, each as its service sends it ---


def function_url(*, method="GET", path="/", query=(), headers=None, cookies=None, body=None, is_base64=False):
    """Of a function URL: the path is percent-encoded; what a request does not have, the event does not have."""
    query_string = urlencode(query)
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query_string,
        "headers": {
            "x-amzn-tls-version": "TLSv1.3",
            "x-amzn-trace-id": "Root=1-5e66d956-672bdaeb7b2a3e1c8b2b1f0a",
            "x-forwarded-proto": "https",
            "x-forwarded-port": "443",
            "x-forwarded-for": "192.0.2.1",
            "host": "abcdefg.lambda-url.eu-central-1.on.aws",
            **{name.lower(): ",".join(texts(value)) for name, value in (headers or {}).items()},
        },
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "abcdefg",
            "domainName": "abcdefg.lambda-url.eu-central-1.on.aws",
            "domainPrefix": "abcdefg",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "python-requests/2.32",
            },
            "requestId": "e1506fd5-9e7b-434f-bd42-4f8fa224b599",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2026:19:03:58 +0000",
            "timeEpoch": 1773342238390,
        },
        "isBase64Encoded": is_base64,
    }
    if query:
        event["queryStringParameters"] = {k: ",".join(v) for k, v in parse_qs(query_string).items()}
    if cookies:
        event["cookies"] = cookies
        event["headers"]["cookie"] = "; ".join(cookies)
    if body is not None:
        event["body"] = body
    return event


def http_api(*, stage="$default", route="$default", base_path="", path="/", **request):
    """Of an HTTP API: like that of a function URL, but the path is decoded and begins with the stage, and the cookies
    are in one place alone.
    """
    whole = base_path + unquote(path if stage == "$default" else f"/{stage}{path}")
    event = function_url(path=whole, **request)
    event["requestContext"].update(stage=stage, domainName="abc.execute-api.eu-central-1.amazonaws.com", routeKey=route)
    event["routeKey"] = route
    event["headers"].pop("cookie", None)
    parameters = parameters_of(route.rpartition(" ")[2], unquote(path))
    if parameters:
        event["pathParameters"] = parameters
    return event


def parameters_of(route, path):
    """Return the values that a path gives to the parameters of a route, as API Gateway does; None if there are none."""
    pattern = re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", route)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
    match = re.fullmatch(pattern, path.rstrip("/")) if route.startswith("/") else None
    return (match.groupdict() if match else None) or None


def rest_api(
    *, stage="prod", base_path="", resource=None, method="GET", path="/", query=(), headers=None, cookies=(), **request
):
    """Of a REST API with the resources / and /{proxy+}: `path` is without the stage, but with a domain's base path."""
    headers = {"Host": "abc.execute-api.eu-central-1.amazonaws.com", "X-Forwarded-Proto": "https", **(headers or {})}
    headers = {name: texts(value) for name, value in headers.items()}
    if cookies:
        headers["Cookie"] = ["; ".join(cookies)]
    queries = parse_qs(urlencode(query))
    resource = resource or ("/" if path == "/" else "/{proxy+}")
    return {
        "resource": resource,
        "path": base_path + path,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in queries.items()} or None,
        "multiValueQueryStringParameters": queries or None,
        "pathParameters": parameters_of(resource, path),
        "stageVariables": None,
        "requestContext": {
            "resourceId": "2gxmpl",
            "resourcePath": resource,
            "httpMethod": method,
            "path": f"{base_path or '/' + stage}{path}",
            "accountId": "123456789012",
            "protocol": "HTTP/1.1",
            "stage": stage,
            "domainPrefix": "abc",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "identity": {"accountId": None, "caller": None, "sourceIp": "192.0.2.1", "user": None, "userArn": None},
            "domainName": "abc.execute-api.eu-central-1.amazonaws.com",
            "apiId": "abc",
        },
        "body": request.get("body"),
        "isBase64Encoded": request.get("is_base64", False),
    }


def http_api_1(*, stage="$default", route="$default", path="/", **request):
    """Of an HTTP API that is set to format 1.0: the path is decoded, and begins with the stage."""
    event = rest_api(stage=stage, path=path, **request)
    whole = unquote(path if stage == "$default" else f"/{stage}{path}")
    event["requestContext"].update(path=whole, resourceId=None, resourcePath=route)
    parameters = parameters_of(route, unquote(path))
    return {**event, "version": "1.0", "resource": route, "path": whole, "pathParameters": parameters}


def load_balancer(*, many=False, method="GET", path="/", query=(), headers=None, cookies=(), body="", is_base64=False):
    """Of an application load balancer; `many` is its attribute for headers with several values."""
    headers = {"Host": "alb-1.eu-central-1.elb.amazonaws.com", "X-Forwarded-Proto": "http", **(headers or {})}
    headers = {name.lower(): texts(value) for name, value in headers.items()}
    if cookies:
        headers["cookie"] = ["; ".join(cookies)]
    queries = {}  # still encoded
    for name, _, value in (pair.partition("=") for pair in urlencode(query).split("&") if pair):
        queries.setdefault(name, []).append(value)
    arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/proxy/6d0ecf831eec9f09"
    event = {
        "requestContext": {"elb": {"targetGroupArn": arn}},
        "httpMethod": method,
        "path": path,
        "body": body,
        "isBase64Encoded": is_base64,
    }
    if many:
        return {**event, "multiValueHeaders": headers, "multiValueQueryStringParameters": queries}
    return {
        **event,
        "headers": {name: values[-1] for name, values in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in queries.items()},
    }


LATTICE_HOST = "proxy-0a40eebed65f8d69c.7d67968.vpc-lattice-svcs.eu-central-1.on.aws"


def lattice_1(*, method="GET", path="/", query=(), headers=None, cookies=(), body="", is_base64=False):
    """Of VPC Lattice, event structure version 1: in snake case, and what is repeated is joined with a comma."""
    headers = {"host": LATTICE_HOST, "x-forwarded-for": "192.0.2.1", **(headers or {})}
    if cookies:
        headers["cookie"] = cookies
    return {
        "raw_path": path,
        "method": method,
        "headers": {name.lower(): ",".join(texts(value)) for name, value in headers.items()},
        "query_string_parameters": {name: ",".join(values) for name, values in parse_qs(urlencode(query)).items()},
        "body": body,
        "is_base64_encoded": is_base64,
    }


def lattice_2(*, method="GET", path="/", query=(), headers=None, cookies=(), body="", is_base64=False):
    """Of VPC Lattice, event structure version 2: headers and queries are lists."""
    headers = {"host": LATTICE_HOST, "x-forwarded-for": "192.0.2.1", **(headers or {})}
    if cookies:
        headers["cookie"] = cookies
    account = "arn:aws:vpc-lattice:eu-central-1:123456789012"
    return {
        "version": "2.0",
        "path": path,
        "method": method,
        "headers": {name.lower(): texts(value) for name, value in headers.items()},
        "queryStringParameters": parse_qs(urlencode(query)),
        "body": body,
        "isBase64Encoded": is_base64,
        "requestContext": {
            "serviceNetworkArn": f"{account}:servicenetwork/sn-0bf3f2882e9cc805a",
            "serviceArn": f"{account}:service/svc-0a40eebed65f8d69c",
            "targetGroupArn": f"{account}:targetgroup/tg-6d0ecf831eec9f09",
            "region": "eu-central-1",
            "timeEpoch": "1773342238390123",
            "identity": {"sourceVpcArn": "arn:aws:ec2:eu-central-1:123456789012:vpc/vpc-0b8276c84697e7339"},
        },
    }


def texts(value):
    return value if isinstance(value, list) else [value]


# a way to reach the function, and the prefix that its URLs have
WAYS = {
    "function-url": (function_url, ""),
    "http-api": (http_api, ""),
    "http-api-stage": (partial(http_api, stage="dev"), "/dev"),
    "http-api-proxy": (partial(http_api, stage="dev", route="ANY /{proxy+}"), "/dev"),
    "http-api-1": (http_api_1, ""),
    "http-api-1-stage": (partial(http_api_1, stage="dev"), "/dev"),
    "rest-api": (rest_api, "/prod"),
    "rest-api-stage-v1": (partial(rest_api, stage="v1"), "/v1"),
    "rest-api-domain": (partial(rest_api, base_path="/tools"), "/tools"),
    "load-balancer": (load_balancer, ""),
    "load-balancer-many": (partial(load_balancer, many=True), ""),
    "lattice-1": (lattice_1, ""),
    "lattice-2": (lattice_2, ""),
}
ways = pytest.mark.parametrize("make_event", [way for way, _ in WAYS.values()], ids=WAYS)


# --- the handler, and what its answers have to be ---


# what a server says of itself (PEP 3333), and the proxy does not look at
EVERY_ENVIRON = {
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}


@pytest.fixture
def make_handler(imports, monkeypatch):
    """Return a function that makes the handler, with the validator between it and the application."""

    def make(connectors=CONNECTORS, **settings):
        values = {f"CONNECTOR_PROXY_{name}": str(value) for name, value in settings.items()}
        checked = validator(Proxy({"CONNECTOR_PROXY_CONNECTORS": str(connectors), **values}))

        def respond(environ):
            started = []
            result = checked(
                {**EVERY_ENVIRON, **environ}, lambda status, headers, *_: started.extend([status, headers])
            )
            try:
                return *started, b"".join(result)
            finally:
                result.close()

        monkeypatch.setattr("spiffproxy.get_app", lambda: SimpleNamespace(respond=respond))
        return handle

    return make


@pytest.fixture
def handler(make_handler):
    return make_handler()


def handle(event):
    """Call the handler as Lambda does, with JSON in and JSON out, and check that AWS would take its answer."""
    answer = json.loads(json.dumps(lambda_handler(json.loads(json.dumps(event)), None)))
    assert set(answer) == {"statusCode", "body", "isBase64Encoded", *expected_keys(event)}
    assert {type(value) for value in answer.get("headers", {}).values()} <= {str}
    assert not answer.get("cookies") or "Set-Cookie" not in answer["headers"]
    assert {type(value) for value in answer.get("multiValueHeaders", {}).values()} <= {list}
    assert (type(answer["statusCode"]), type(answer["body"])) == (int, str)
    assert type(answer["isBase64Encoded"]) is bool
    return answer


def expected_keys(event):
    if isinstance(event, dict) and ("method" in event or "raw_path" in event):
        return {"headers"}
    if not isinstance(event, dict) or "httpMethod" not in event:
        return {"headers", "cookies"}
    headers = {"multiValueHeaders" if "multiValueHeaders" in event else "headers"}
    return headers if "resource" in event else {"statusDescription", *headers}


def headers_of(answer):
    """Return the headers of an answer, in whatever format it is."""
    headers = {name: texts(value)[0] for name, value in (answer.get("headers") or answer["multiValueHeaders"]).items()}
    cookies = [("Set-Cookie", cookie) for cookie in answer.get("cookies", [])]
    return dict([*headers.items(), *cookies])


def post(path=ECHO, body="{}", **request):
    headers = {"Content-Type": JSON, "Content-Length": str(len(body)), **request.pop("headers", {})}
    return {"method": "POST", "path": path, "body": body, "headers": headers, **request}


def test_without_a_key_the_log_says_once_that_everyone_can_run_commands(make_handler, caplog):
    warning = "no key is set: everyone who reaches this URL can run commands; set CONNECTOR_PROXY_API_KEY"
    handle = make_handler()
    for _ in range(2):
        handle({"rawPath": "/liveness"})
    assert caplog.messages.count(warning) == 1
    caplog.clear()
    make_handler(API_KEY="k")({"rawPath": "/liveness"})
    assert warning not in caplog.messages


# --- whole answers ---


def test_the_answer_to_a_function_url(handler):
    assert handler(function_url(path="/v1/liveness")) == {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json", "Content-Length": "12"},
        "cookies": [],
        "body": '{"ok": true}',
        "isBase64Encoded": False,
    }


def test_the_answer_to_a_rest_api(handler):
    """Which takes no key that it does not know, and answers 502 instead."""
    assert handler(rest_api(path="/v1/liveness")) == {
        "statusCode": 200,
        "multiValueHeaders": {"Content-Type": ["application/json"], "Content-Length": ["12"]},
        "body": '{"ok": true}',
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize("many", [False, True])
def test_the_answer_to_a_load_balancer(handler, many):
    """Its headers are of the kind that the balancer's attribute says: it does not look at the others."""
    headers = {"Content-Type": "application/json", "Content-Length": "12"}
    assert handler(load_balancer(many=many, path="/v1/liveness")) == {
        "statusCode": 200,
        "statusDescription": "200 OK",
        **({"multiValueHeaders": {k: [v] for k, v in headers.items()}} if many else {"headers": headers}),
        "body": '{"ok": true}',
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize("make_event", [lattice_1, lattice_2])
def test_the_answer_to_vpc_lattice(handler, make_event):
    """Which knows no `cookies`."""
    assert handler(make_event(path="/v1/liveness")) == {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json", "Content-Length": "12"},
        "body": '{"ok": true}',
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize(
    ("event", "status", "body"),
    [
        ({"rawPath": "/"}, 200, "A connector proxy for SpiffArena. Its commands: /v1/commands\n"),
        ({}, 200, "A connector proxy for SpiffArena. Its commands: /v1/commands\n"),
        ({"key1": "value1"}, 200, "A connector proxy for SpiffArena. Its commands: /v1/commands\n"),
        (
            {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}, "resources": [], "version": "0"},
            200,
            "A connector proxy for SpiffArena. Its commands: /v1/commands\n",
        ),
        ({"rawPath": "/", "queryStringParameters": {"method": "sms"}, "httpMethod": None}, 200, "A connector proxy for SpiffArena. Its commands: /v1/commands\n"),
        ({"raw_path": "/v1/auths"}, 200, json.dumps(AUTHS)),
        ({"rawPath": "/v1/auths"}, 200, json.dumps(AUTHS)),
        ({"rawPath": "v1/liveness"}, 200, '{"ok": true}'),
        ({"path": "/v1/liveness", "httpMethod": "GET"}, 200, '{"ok": true}'),
        ({"path": "/v1/liveness", "httpMethod": "GET", "multiValueHeaders": None}, 200, '{"ok": true}'),
        (
            {"rawPath": "/v1/do/half/Good", "requestContext": {"http": {"method": "POST"}}, "headers": {"content-type": JSON}},
            200,
            "good",
        ),
    ],
)  # fmt: skip
def test_bare_events(handler, event, status, body):
    """As a console's test and the tests of others send them."""
    answer = handler(event)
    assert (answer["statusCode"], answer["body"]) == (status, body)


# --- the request ---


@ways
def test_every_way_leads_to_the_same_application(handler, make_event):
    assert handler(make_event(path="/liveness"))["body"] == '{"ok": true}'
    commands = json.loads(handler(make_event(path="/v1/commands"))["body"])
    assert {"id": "half/Good", "parameters": []} in commands
    answer = handler(make_event(**post(body='{"value": "Grüße"}')))
    assert json.loads(answer["body"])["command_response"]["body"]["value"] == "Grüße"
    encoded = base64.b64encode('{"value": "Grüße"}'.encode()).decode()
    answer = handler(make_event(**post(body=encoded, is_base64=True)))
    assert json.loads(answer["body"])["command_response"]["body"]["value"] == "Grüße"
    answer = handler(make_event(path="/v1/nothing"))
    assert (answer["statusCode"], json.loads(answer["body"])) == (404, error_reply("not_found", "/v1/nothing"))


@pytest.mark.parametrize(("make_event", "prefix"), WAYS.values(), ids=WAYS)
def test_a_stage_or_a_base_path_is_where_the_proxy_is_mounted(handler, make_event, prefix):
    body = handler(make_event(path="/"))["body"]
    assert body == f"A connector proxy for SpiffArena. Its commands: {prefix}/v1/commands\n"


@pytest.mark.parametrize(
    ("event", "prefix"),
    [
        (rest_api() | {"path": "/tools", "requestContext": {"path": "/tools", "stage": "prod"}}, "/tools"),
        (rest_api() | {"requestContext": {"path": "/prod", "stage": "prod"}}, "/prod"),
        (http_api(stage="dev") | {"rawPath": "/dev"}, "/dev"),
    ],
)
def test_a_prefix_without_a_path_behind_it(handler, event, prefix):
    assert handler(event)["body"].endswith(f" {prefix}/v1/commands\n")


PROXY = "ANY /v1/{proxy+}"


@pytest.mark.parametrize(
    ("event", "script_name", "path"),
    [
        (http_api(route=PROXY, path="/v1/auths"), "", "/v1/auths"),
        (http_api(route=PROXY, path="/v1/auths/"), "", "/v1/auths/"),
        (http_api(route=PROXY, path="/v1/v1/auths"), "", "/v1/v1/auths"),
        (http_api(route=PROXY, path="/v1/auths", stage="prod"), "/prod", "/v1/auths"),
        (http_api(route=PROXY, path="/v1/auths", stage="v1"), "/v1", "/v1/auths"),
        (http_api(route=PROXY, path="/v1/auths", base_path="/base"), "/base", "/v1/auths"),
        (http_api(route=PROXY, path="/v1/do/a/Gr%C3%B6%C3%9Fe"), "", "/v1/do/a/Gr\xc3\xb6\xc3\x9fe"),
        (http_api(route="ANY /{proxy+}", path="/v1/auths", base_path="/a/b"), "/a/b", "/v1/auths"),
        (http_api(route="ANY /", path="/", base_path="/base"), "/base", "/"),
        (http_api(route="ANY /", path="/", stage="prod"), "/prod", "/"),
        (http_api(route="$default", path="/v1/auths"), "", "/v1/auths"),
        (http_api(route="$default", path="/v1/auths", stage="prod"), "/prod", "/v1/auths"),
        (http_api(route="$default", path="/auths/$default"), "", "/auths/$default"),
        (http_api(route="GET /v1/commands", path="/v1/commands"), "", "/v1/commands"),
        (http_api(route="GET /v1/commands", path="/v1/commands", stage="prod"), "/prod", "/v1/commands"),
        (http_api(route="POST /v1/do/{connector}/{command}", path=ECHO, stage="prod"), "/prod", ECHO),
        (http_api(route="POST /v1/do/http/{command}", path="/v1/do/http/Get", stage="do"), "/do", "/v1/do/http/Get"),
        (http_api(route=PROXY, path="/v1/auths") | {"pathParameters": {"proxy": None}}, "", "/v1/auths"),
        (http_api(route=PROXY, path="/v1/auths", stage="prod") | {"pathParameters": {"proxy": "x"}}, "/prod", "/v1/auths"),
        (http_api_1(route="/v1/{proxy+}", path="/v1/auths"), "", "/v1/auths"),
        (http_api_1(route="/v1/{proxy+}", path="/v1/auths", stage="prod"), "/prod", "/v1/auths"),
        (http_api_1(route="/v1/commands", path="/v1/commands", stage="v1"), "/v1", "/v1/commands"),
        (http_api_1(route="$default", path="/v1/auths", stage="prod"), "/prod", "/v1/auths"),
        (rest_api(resource="/v1/{proxy+}", path="/v1/auths"), "/prod", "/v1/auths"),
        (rest_api(resource="/v1/{proxy+}", path="/v1/auths/"), "/prod", "/v1/auths/"),
        (rest_api(resource="/v1/{proxy+}", path="/v1/auths", stage="v1"), "/v1", "/v1/auths"),
        (rest_api(resource="/v1/{proxy+}", path="/v1/auths", base_path="/base"), "/base", "/v1/auths"),
        (rest_api(resource="/v1/{proxy+}", path="/v1/auths", base_path="/v1"), "/v1", "/v1/auths"),
        (rest_api(resource="/v1/commands", path="/v1/commands", base_path="/base"), "/base", "/v1/commands"),
        (rest_api(resource="/v1/do/{a}/{b}", path=ECHO), "/prod", ECHO),
        (rest_api(path="/v1/auths/", base_path="/base"), "/base", "/v1/auths/"),
        (rest_api(path="/", base_path="/base"), "/base", "/"),
        (rest_api(path="/v1/auths") | {"requestContext": {"path": "/{proxy+}"}}, "", "/v1/auths"),
        (rest_api(path="/v1/auths") | {"requestContext": {}}, "", "/v1/auths"),
        (rest_api(path="/v1/auths") | {"pathParameters": None}, "/prod", "/v1/auths"),
        (rest_api(path="/") | {"path": "/None/v1/auths", "requestContext": {}, "resource": "/x"}, "", "/None/v1/auths"),
        (load_balancer(path="/v1/Gr%C3%B6%C3%9Fe"), "", "/v1/Gr\xc3\xb6\xc3\x9fe"),
        (lattice_1(path="/v1/Gr%C3%B6%C3%9Fe"), "", "/v1/Gr\xc3\xb6\xc3\x9fe"),
        (lattice_2(path="/v1/auths"), "", "/v1/auths"),
        (function_url(path="/v1/auths"), "", "/v1/auths"),
    ],
)  # fmt: skip
def test_only_what_stands_before_the_route_is_taken_off(imports, event, script_name, path):
    environ = environ_of(event)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script_name, path)


def environ_of(event):
    from spiffproxy_lambda import environ_from_event

    return environ_from_event(event)


@pytest.mark.parametrize(
    ("event", "query"),
    [
        (function_url() | {"rawQueryString": "prefix=Z\xfcrich&x=%C3%BC"}, "prefix=Z\xc3\xbcrich&x=%C3%BC"),
        (function_url() | {"rawQueryString": None}, ""),
        (
            load_balancer() | {"queryStringParameters": {"prefix": "Z\xfcrich", "x": "%20"}},
            "prefix=Z\xc3\xbcrich&x=%20",
        ),
        (rest_api(query=[("prefix", "Z\xfc rich"), ("a", "1"), ("a", "2")]), "prefix=Z%C3%BC+rich&a=1&a=2"),
        (lattice_1(query=[("prefix", "Z\xfc rich")]), "prefix=Z%C3%BC+rich"),
        (lattice_1(path="/v1/auths?prefix=Z%C3%BC%20", query=[("prefix", "Z\xfc ")]), "prefix=Z%C3%BC%20"),
        (lattice_2(query=[("prefix", "Z\xfc rich"), ("a", "1"), ("a", "2")]), "prefix=Z%C3%BC+rich&a=1&a=2"),
        (lattice_2(path="/v1/auths?a=1&a=2", query=[("a", "1"), ("a", "2")]), "a=1&a=2"),
        (lattice_2() | {"queryStringParameters": None}, ""),
        (lattice_2() | {"queryStringParameters": {"a": "1"}}, "a=1"),
    ],
)
def test_the_query_is_as_wsgi_wants_it(imports, event, query):
    """Bytes as letters (PEP 3333), be they encoded or not."""
    environ = environ_of(event)
    assert environ["QUERY_STRING"] == query
    assert "?" not in environ["PATH_INFO"]


@pytest.mark.parametrize(
    ("event", "cookie"),
    [
        (function_url(cookies=["a=b", "c=d"]), "a=b; c=d"),
        (http_api(cookies=["a=b", "c=d"]), "a=b; c=d"),
        (rest_api(headers={"Cookie": ["a=b", "c=d"]}), "a=b; c=d"),
        (rest_api(headers={"Cookie": "a=b", "cookie": "c=d"}), "a=b; c=d"),
        (load_balancer(many=True, headers={"cookie": ["a=b", "c=d"]}), "a=b; c=d"),
        (lattice_1(headers={"cookie": ["a=b", "c=d; e=f"]}), "a=b; c=d; e=f"),
        (lattice_2(headers={"cookie": ["a=b", "c=d"]}), "a=b; c=d"),
    ],
)
def test_two_lines_of_cookies_are_one(imports, event, cookie):
    assert environ_of(event)["HTTP_COOKIE"] == cookie


def test_a_stage_is_a_whole_segment_and_stands_once(handler):
    for event in http_api(stage="dev") | {"rawPath": "/developers"}, http_api(stage="v1", path="/v1/v1/liveness"):
        assert handler(event)["statusCode"] == 404
    assert handler(http_api(stage="v1", path="/v1/liveness"))["statusCode"] == 200
    event = rest_api(stage="v1", path="/v1/auths") | {"resource": "/v1/auths", "pathParameters": None}
    assert handler(event)["statusCode"] == 200


@ways
def test_a_path_and_a_query_beyond_ascii(make_handler, make_event, write_connector, tmp_path):
    """Encoded or decoded, as each service has it; of a repeated name the last value counts."""
    name = write_connector(
        "class Größe:\n    def execute(self, *_):\n        return {'response': 'ok', 'mimetype': 'text/plain'}\n",
        typeaheads__in____init__="",
        typeaheads__in__words="""
class Words:
    def __init__(self, prefix: str, limit: int):
        self.found = {"prefix": prefix, "limit": limit}
    def execute(self, *_):
        return [self.found]
""",
    )
    handler = make_handler(tmp_path)
    answer = handler(make_event(**post(f"/v1/do/{name}/{quote('Größe')}")))
    assert (answer["statusCode"], answer["body"]) == (200, "ok")
    query = [("limit", "3"), ("prefix", "a=b & ü+%")]
    answer = handler(make_event(path="/v1/typeahead/words", query=query))
    assert json.loads(answer["body"]) == [{"prefix": "a=b & ü+%", "limit": 3}]


@ways
def test_the_key(make_handler, make_event):
    """Beyond ASCII, too; without it there is nothing but 401."""
    handler = make_handler(API_KEY="schlüssel")
    assert handler(make_event(path="/v1/auths"))["statusCode"] == 401
    answer = handler(make_event(**post(headers={"Spiff-Connector-Proxy-Api-Key": "schluessel"})))
    assert (answer["statusCode"], json.loads(answer["body"])) == (401, {"error": "Unauthorized"})
    answer = handler(make_event(path="/v1/auths", headers={"Spiff-Connector-Proxy-Api-Key": "schlüssel"}))
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, AUTHS)


@ways
def test_head_and_options(make_handler, make_event):
    handler = make_handler(CORS_ORIGINS="https://arena.example", API_KEY="k")
    answer = handler(make_event(method="HEAD", path="/liveness"))
    assert (answer["statusCode"], answer["body"], headers_of(answer)["Content-Length"]) == (200, "", "12")
    answer = handler(make_event(method="OPTIONS", path=ECHO, headers={"Origin": "https://arena.example"}))
    assert (answer["statusCode"], answer["body"], answer["isBase64Encoded"]) == (204, "", False)
    assert headers_of(answer) == {
        "Allow": "POST, OPTIONS",
        "Access-Control-Allow-Origin": "https://arena.example",
        "Vary": "Origin",
        "Access-Control-Allow-Methods": "POST, OPTIONS",
        "Access-Control-Allow-Headers": "Content-Type, Spiff-Connector-Proxy-Api-Key",
    }


@pytest.mark.parametrize(
    "make_event",
    [function_url, rest_api, partial(load_balancer, many=True)],
    ids=["function-url", "rest-api", "load-balancer-many"],
)
def test_a_repeated_header_is_one_list(handler, make_event):
    """The sign-in answers with a page where one of them asks for it."""
    event = make_event(path="/v1/auth/example/SignIn", headers={"Accept": [JSON, "text/html"]})
    assert headers_of(handler(event))["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("name", ["Content-Length", "content-length", "Content_Length", "Transfer-Encoding"])
def test_the_length_is_that_of_the_body(handler, name):
    """Whatever a header says that was meant for the service in front."""
    answer = handler(function_url(**post(body='{"value": 1}', headers={name: "3"})))
    assert answer["statusCode"] == 200


# --- the answer ---

ANSWERS = """
class Answer:
    def __init__(self, mimetype: str, count: int = 1, text: str = None, hexadecimal: str = ""):
        self.mimetype = mimetype
        self.response = text * count if text else bytes.fromhex(hexadecimal) * count
    def execute(self, config, task_data):
        return {"response": self.response, "status": 200, "mimetype": self.mimetype}
"""


@pytest.fixture
def answers(make_handler, write_connector, tmp_path):
    """Return a function that has a command answer with what it is given."""
    name = write_connector(ANSWERS)
    handler = make_handler(tmp_path)

    def ask(make_event=function_url, mimetype="application/octet-stream", **parameters):
        body = json.dumps({"mimetype": mimetype, **parameters})
        return handler(make_event(**post(f"/v1/do/{name}/Answer", body)))

    return ask


@ways
def test_what_is_not_utf_8_is_answered_in_base64(answers, make_event):
    answer = answers(make_event, "image/png", hexadecimal="89504e470d0a1a0a")
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, True)
    assert base64.b64decode(answer["body"]) == b"\x89PNG\r\n\x1a\n"
    assert (headers_of(answer)["Content-Type"], headers_of(answer)["Content-Length"]) == ("image/png", "8")


def test_what_is_utf_8_is_answered_as_text(answers):
    answer = answers(hexadecimal="4772c3bcc39f6500")
    assert (answer["body"], answer["isBase64Encoded"]) == ("Grüße\0", False)


@pytest.mark.parametrize(
    ("make_event", "size", "parameters"),
    [
        (function_url, 1, {"text": "x"}),
        (rest_api, 2, {"text": '"'}),
        (load_balancer, 6, {"text": "ü"}),
        (partial(load_balancer, many=True), 4, {"hexadecimal": "ff00ff"}),
    ],
    ids=["text", "quotes", "beyond-ascii", "binary"],
)
def test_what_lambda_lets_not_pass_is_an_error_that_says_so(answers, make_event, size, parameters):
    """What counts is the answer as JSON, where a letter can take six bytes."""
    most = (LIMIT - len(json.dumps(answers(make_event, **parameters, count=0))) - 10) // size
    assert answers(make_event, **parameters, count=most)["statusCode"] == 200
    answer = answers(make_event, **parameters, count=most + 20)
    assert answer["statusCode"] == 413
    assert json.loads(answer["body"]) == error_reply("response_too_large", r"has \d{7} bytes, .* larger than the 6 MB")
    assert headers_of(answer)["Content-Type"] == JSON


AUTH = """
class SignIn:
    def app_description(self, config):
        return {
            "name": "x", "version": "2", "client_id": "id", "client_secret": "s",
            "authorization_url": "https://provider.example/authorize", "access_token_url": config["URL"],
        }
"""


@pytest.mark.parametrize(("make_event", "prefix"), WAYS.values(), ids=WAYS)
def test_a_sign_in_keeps_its_cookie(make_handler, make_event, prefix, write_connector, tmp_path, upstream):
    """It is set in the way of each format, for the path that the browser sees, and comes back among others."""
    name = write_connector("", auths__in____init__="", auths__in__sign_in=AUTH)
    (tmp_path / "config.py").write_text(f"URL = {upstream.url!r}")
    upstream.answer = lambda request: (200, {"Content-Type": JSON}, b'{"access_token": "t"}')
    handler = make_handler(tmp_path, CONFIG=tmp_path / "config.py", AUTH_REDIRECT_URLS="https://arena.example")
    path = f"/v1/auth/{name}/SignIn"

    answer = handler(make_event(path=path, query=[("redirect_url", "https://arena.example/back")]))
    assert (answer["statusCode"], answer["body"]) == (302, "")
    cookie, *attributes = headers_of(answer)["Set-Cookie"].split("; ")
    assert f"Path={prefix}{path}/callback" in attributes
    query = parse_qs(urlsplit(headers_of(answer)["Location"]).query)
    host = r"https?://[a-z0-9.-]+\.(on\.aws|amazonaws\.com)"
    assert re.fullmatch(f"{host}{prefix}{path}/callback", query["redirect_uri"][0])

    query = [("state", query["state"][0]), ("code", "c")]
    answer = handler(make_event(path=f"{path}/callback", query=query, cookies=["a=b", cookie, "c=d"]))
    assert (answer["statusCode"], upstream.requests[-1].command) == (302, "POST")
    assert headers_of(answer)["Location"] == "https://arena.example/back?response=%7B%22access_token%22%3A%20%22t%22%7D"
    assert "Max-Age=0" in headers_of(answer)["Set-Cookie"]


# --- events that make no sense ---


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"body": None}, 200),
        ({"body": ""}, 200),
        ({"headers": None}, 415),
        ({"requestContext": None}, 405),
        ({"requestContext": {"http": None}}, 405),
        ({"rawPath": None}, 405),
        ({"rawPath": "%"}, 404),
        ({"rawPath": "/%FF%zz"}, 404),
        ({"rawPath": "///"}, 405),
        ({"rawQueryString": None}, 200),
        ({"rawQueryString": "&=&%zz=ü"}, 200),
        ({"cookies": []}, 200),
        ({"pathParameters": None}, 200),
        ({"pathParameters": {"proxy": "elsewhere"}}, 200),
        ({"body": "{}", "isBase64Encoded": True}, 400),
        ({"body": "e30", "isBase64Encoded": True}, 400),
        ({"body": "ü", "isBase64Encoded": True}, 400),
        ({"body": {"value": 1}}, 400),
        ({"body": "\ud800"}, 400),
        ({"rawPath": "/\ud800"}, 400),
        ({"rawPath": 5}, 400),
        ({"headers": {"accept": None}}, 400),
        ({"headers": {"accept": "\ud800"}}, 400),
        ({"headers": [["accept", "*/*"]]}, 400),
        ({"headers": {"content-type": JSON, "content_length": "1", "x-forwarded-proto": "gopher"}}, 200),
        ({"cookies": [None]}, 400),
        ({"requestContext": "text"}, 400),
        ({"requestContext": 5}, 400),
        ({"requestContext": {"http": ["POST"]}}, 400),
        ({"pathParameters": ["elsewhere"]}, 400),
    ],
    ids=repr,
)
def test_a_damaged_event_is_answered(handler, change, status):
    """With what is wrong; nothing is raised, which would be an answer of 502 without a reason."""
    answer = handler(function_url(**post()) | change)
    assert answer["statusCode"] == status
    if status == 400:
        assert json.loads(answer["body"]) == error_reply("bad_request", "event cannot be read as a request: .+")


@pytest.mark.parametrize(
    "event",
    [
        {"method": "POST", "path": ECHO, "body": "{}", "headers": {"content-type": JSON}},
        {"method": "POST", "rawPath": ECHO},
        {"method": "POST", "path": ECHO, "version": "1.0"},
        {"method": "POST", "version": "2.0"},
        {"httpMethod": "POST", "rawPath": ECHO},
        {"httpMethod": "POST", "resource": "/{proxy+}", "pathParameters": {"proxy": ECHO[1:]}},
        {"requestContext": {"httpMethod": "POST", "path": ECHO}},
        {"http": {"method": "POST", "path": ECHO, "headers": {}}},
        {"request": {"method": "POST", "uri": ECHO}},
        {"body-json": {}, "params": {"path": {}}, "context": {"http-method": "POST", "resource-path": ECHO}},
    ],
    ids=repr,
)
def test_an_event_with_a_method_and_of_no_known_kind_is_400(handler, event):
    """A POST of a command that is answered with the index page would look as if the command had run."""
    answer = handler(event)
    words = (
        r"^The event has a method, but it is not an event of a function URL, an HTTP API, a REST API \(with the Lambda "
        r"proxy integration\), a load balancer or VPC Lattice. Call the function through one of them$"
    )
    assert (answer["statusCode"], json.loads(answer["body"])) == (400, error_reply("bad_request", words))


@pytest.mark.parametrize("method", [5, ["POST"], {"name": "POST"}])
@pytest.mark.parametrize("make_event", [rest_api, http_api, load_balancer, lattice_1, lattice_2])
def test_a_method_that_is_no_string_is_400(handler, make_event, method):
    answer = handler(make_event(method=method))
    words = "The event cannot be read as a request: its method is not a string$"
    assert (answer["statusCode"], json.loads(answer["body"])) == (400, error_reply("bad_request", words))


@ways
def test_a_damaged_event_is_answered_in_its_own_format(handler, make_event):
    assert handler(make_event(**post(is_base64=True)))["statusCode"] == 400


@pytest.mark.parametrize("event", [None, [], "text", 5, True, {"Records": []}, {"version": "2.0"}], ids=repr)
def test_what_is_no_event_is_asked_for_nothing(handler, event):
    assert handler(event)["statusCode"] == 200


@pytest.mark.filterwarnings("ignore", category=WSGIWarning)  # for a method that it does not know
@pytest.mark.parametrize("method", ["BREW", "GÉT", "get", "\n"])
def test_an_odd_method_is_405(handler, method):
    answer = handler(function_url(method=method, path="/liveness"))
    assert answer["statusCode"] == 405
    assert json.loads(answer["body"]) == error_reply("method_not_allowed", "accepts GET, HEAD, OPTIONS, but not")
    assert headers_of(answer)["Allow"] == "GET, HEAD, OPTIONS"
