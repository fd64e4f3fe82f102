"""Other connector proxies behind this one: what is listed, what is called there, and what their faults lead to."""

import contextlib
import functools
import gzip
import http.client
import json
import re
import socket
import socketserver
import threading
import time
from types import SimpleNamespace
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
import trustme
from client import EXAMPLES
from conftest import JSON, at_once, error_reply, free_port, read_request, serve_http, serve_nobody, server_context
from test_http_connections import BODY, CHUNKED, closes, drips, head, resets, resets_at_once, says, silent, then_waits
from webtest import TestApp

from spiffproxy import Proxy, SettingError

KEY = "Spiff-Connector-Proxy-Api-Key"
CALL = "/v1/do/demo/Greet"
LISTED = b'[{"id": "demo/Greet", "parameters": []}]'


def entry(entry_id, **fields):
    return {"id": entry_id, "parameters": [], **fields}


class Reference:
    """A WSGI application that behaves like the reference proxy, with the key of the demo proxy; it keeps requests."""

    def __init__(self, *command_ids, key=""):
        self.key = key
        self.lists = {"commands": [entry(one) for one in command_ids], "auths": [entry("demo/OAuth")]}
        self.requests = []

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        request = SimpleNamespace(
            method=environ["REQUEST_METHOD"], path=environ["PATH_INFO"], environ=environ, body=body
        )
        self.requests.append(request)
        status, content_type, answer = self.answer(request)
        start_response(f"{status} Words", [("Content-Type", content_type), ("Content-Length", str(len(answer)))])
        return [answer]

    def answer(self, request):
        if request.environ.get("HTTP_SPIFF_CONNECTOR_PROXY_API_KEY", "") != self.key:
            return 401, JSON, b'{"error": "Unauthorized"}'
        kind = request.path.removeprefix("/v1/")
        if kind in self.lists:
            return 200, JSON, json.dumps(self.lists[kind]).encode()
        command_id = request.path.removeprefix("/v1/do/")
        if any(listed["id"] == command_id for listed in self.lists["commands"]):
            return 200, JSON, json.dumps({"called": command_id, "body": json.loads(request.body or b"{}")}).encode()
        error = {"error_code": "command_not_found", "message": "unknown"}
        return 404, "text/html; charset=utf-8", json.dumps({"command_response": {}, "error": error}).encode()


class _ThreadingServer(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Return a function that serves a WSGI application, which can also be set later, and returns the server."""
    with contextlib.ExitStack() as stack:

        def start(application=None):
            server = stack.enter_context(make_server("127.0.0.1", 0, application, _ThreadingServer, _QuietHandler))
            server.url = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server

        yield start


@pytest.fixture
def front(make_app, tmp_path):
    """Return a function that makes our application with the given upstreams."""
    return lambda *urls, **settings: make_app(tmp_path, UPSTREAMS=", ".join(urls), **settings)


def listed_ids(app, kind="commands", **headers):
    return [listed["id"] for listed in app.get(f"/v1/{kind}", headers=headers).json]


# --- lists ---


def test_what_upstreams_list_comes_after_our_own(front, serve, write_connector):
    """In the order of the setting, each entry as the upstream has sent it, and no other field added."""
    name = write_connector("class Ours:\n    def execute(self, config, task_data):\n        return {'response': 1}\n")
    first, second = Reference("demo/Greet"), Reference("java/Add", "java/Sub")
    special = entry("demo/Ünï", x={"y": [1.0, None, "é", 10**30]}, parameters=[{"id": "a", "type": "str"}])
    first.lists["commands"].append(special)
    app = front(serve(first).url, f"{serve(second).url}/")
    alone = [one for one in listed_ids(app) if one.split("/")[0] not in ("demo", "java")]
    assert f"{name}/Ours" in alone
    assert listed_ids(app) == [*alone, "demo/Greet", "demo/Ünï", "java/Add", "java/Sub"]
    assert app.get("/v1/commands").json[-3] == special
    assert listed_ids(app, "auths") == ["xero/OAuth", "demo/OAuth"]


def test_nothing_is_fetched_at_the_start(front, serve):
    """And what does not need the upstreams does not ask them."""
    reference = Reference("demo/Greet")
    app = front(serve(reference).url)
    app.get("/")
    app.get("/liveness")
    app.get("/v1/auth/xero/OAuth?redirect_url=https://a.example", status="*")
    app.post_json("/v1/do/http/GetRequest", {}, status=400)
    assert reference.requests == []


def test_of_equal_ids_ours_wins_and_then_the_first_upstreams(front, serve, write_connector, caplog):
    """The log names each id once."""
    name = write_connector("class Ours:\n    def execute(self, config, task_data):\n        return {'response': 1}\n")
    first, second = Reference(f"{name}/Ours", "demo/Greet"), Reference("demo/Greet", "java/Add")
    servers = [serve(first), serve(second)]
    app = front(*(server.url for server in servers))
    for _ in range(2):
        ids = listed_ids(app)
        assert [ids.count(one) for one in (f"{name}/Ours", "demo/Greet", "java/Add")] == [1, 1, 1]
    assert app.post_json(f"/v1/do/{name}/Ours", {}).json == 1
    app.post_json(CALL, {})
    assert [request.path for request in first.requests if request.method == "POST"] == [CALL]
    assert [request.path for request in second.requests if request.method == "POST"] == []
    assert [record.getMessage() for record in caplog.records if "left out" in record.getMessage()] == [
        f"the upstream {servers[0].url}: 1 left out, because this proxy has the same: {name}/Ours",
        f"the upstream {servers[1].url}: 1 left out, because {servers[0].url} has the same: demo/Greet",
    ]


def test_lists_are_fetched_once_in_30_seconds(front, serve, clock):
    """However many ask for them, and for whatever."""
    reference = Reference("demo/Greet")
    app = front(serve(reference).url)
    at_once(lambda: listed_ids(app), [()] * 8)
    listed_ids(app, "auths")
    app.post_json(CALL, {})
    clock.seconds += 29
    listed_ids(app)
    assert [request.path for request in reference.requests] == ["/v1/commands", "/v1/auths", CALL]
    reference.lists["commands"].append(entry("demo/New"))
    clock.seconds += 2
    assert listed_ids(app)[-1] == "demo/New"
    assert len(reference.requests) == 5


def test_an_upstream_that_is_down_keeps_its_last_list(front, upstream, serve, clock, caplog):
    """It is in the log once, and again when it is back."""
    caplog.set_level("INFO", "spiffproxy")
    lists = json.dumps([entry("java/Add")]).encode()
    upstream.answer = lambda request: (200, {}, lists)
    app = front(upstream.url, serve(Reference("demo/Greet")).url)
    before = listed_ids(app)
    upstream.answer = lambda request: (503, {}, b"")
    for _ in range(2):
        clock.seconds += 31
        assert listed_ids(app) == before
    upstream.answer = lambda request: (200, {}, lists)
    clock.seconds += 31
    assert listed_ids(app) == before
    assert [record.getMessage() for record in caplog.records if upstream.url in record.getMessage()] == [
        f"the upstream {upstream.url} has no new lists: GET /v1/commands has the status 503",
        f"the upstream {upstream.url} has sent its lists again",
    ]


def test_an_upstream_that_starts_later(front, serve, raw_server, clock, monkeypatch):
    """One that refuses connections is asked again after a second; one that hangs, later; the others, not sooner."""
    port, hanging, reference = free_port(), raw_server(silent), Reference("java/Add")
    monkeypatch.setattr("spiffproxy_http.client.TIMEOUT_SECONDS", 0.3)
    app = front(f"http://127.0.0.1:{port}", hanging.url, serve(reference).url)
    app.post_json(CALL, {}, status=503)
    with serve_http(port=port) as server:
        server.answer = lambda request: (200, {}, LISTED if request.command == "GET" else b"called")
        clock.seconds += 1.1
        assert app.post_json(CALL, {}).body == b"called"
    assert hanging.connections == 1
    assert len(reference.requests) == 2


def test_an_upstream_that_hangs_does_not_keep_the_others_from_the_list(front, serve, raw_server, monkeypatch):
    talk = then_waits(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[")
    app = front(raw_server(talk).url, serve(Reference("demo/Greet")).url)
    monkeypatch.setattr("spiffproxy_upstreams.LIST_SECONDS", 1)
    assert listed_ids(app)[-1] == "demo/Greet"


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (200, {}, b"{}", "/v1/commands is not a list"),
        (200, {}, b"null", "is not a list"),
        (200, {}, b"", "JSONDecodeError"),
        (200, {}, b"<html>", "JSONDecodeError"),
        (200, {}, b'[{"id": "demo/Greet", "x": NaN}]', "JSONDecodeError"),
        (200, {}, b"[" * 100_000, "JSONDecodeError"),
        (200, {}, b" " * (16 * 1024**2 + 1), "/v1/commands has more than 16777216 bytes"),
        (200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * (16 * 1024**2 + 1)), "more than 16777216 bytes"),
        (200, {"Content-Encoding": "br"}, b"x", "content coding br"),
        (401, {}, b"", "has the status 401. Check its key in CONNECTOR_PROXY_UPSTREAMS_FILE"),
        (302, {"Location": "/"}, b"", "has the status 302. Check its URL"),
        (404, {}, b"", "has the status 404"),
        (500, {}, LISTED, "has the status 500"),
        (508, {}, b"", "it leads back to this proxy"),
    ],
    ids=["object", "null", "empty", "HTML", "NaN", "deep", "large", "gzip", "br", "401", "302", "404", "500", "508"],
)
def test_a_list_that_is_refused(imports, upstream, status, headers, body, words):
    """The state has the reason; the requests have gone nowhere else."""
    upstream.answer = lambda request: (status, headers, body)
    (state,) = Proxy({"CONNECTOR_PROXY_UPSTREAMS": upstream.url}).upstreams.describe_state()
    assert (state["url"], state["ok"], state["commands"], state["auths"]) == (upstream.url, False, [], [])
    assert words in state["error"]
    assert [request.path for request in upstream.requests] == ["/v1/commands"]


def test_the_state_of_upstreams(imports, upstream, other_upstream, tmp_path):
    """Has the ids that each lists, and no key; the protocol does not demand `/v1/auths`."""
    upstream.answer = lambda request: (200, {}, LISTED) if "commands" in request.path else (404, {}, b"no such path")
    other_upstream.answer = lambda request: (200, {}, LISTED) if request.path == "/v1/commands" else (500, {}, b"")
    (tmp_path / "keys").write_text(f"{upstream.url} s3cret\n{other_upstream.url}\n")
    proxy = Proxy({"CONNECTOR_PROXY_UPSTREAMS_FILE": str(tmp_path / "keys")})
    error = "GET /v1/auths has the status 500"
    assert proxy.upstreams.describe_state() == [
        {"url": upstream.url, "ok": True, "error": None, "commands": ["demo/Greet"], "auths": []},
        {"url": other_upstream.url, "ok": False, "error": error, "commands": ["demo/Greet"], "auths": []},
    ]
    assert "keys" not in str(dict(proxy.settings.config))


def test_entries_that_are_left_out(front, upstream, caplog):
    """The others of the list are not."""
    odd = [None, "demo/Text", {}, {"id": 1}, {"id": "demo"}, {"id": "a/b/c"}, {"id": "a b/C"}, {"id": "../Greet"}]
    odd += [{"id": "demo/.."}, {"id": "/Greet"}, {"id": "demo/"}, {"id": "demo/Greet\n"}, {"id": "demo/%2e"}]
    odd += [{"id": "demo/\ud800"}, {"id": "demo/Odd", "parameters": {}}, {"id": "demo/Odd", "parameters": None}]
    odd += [{"id": "demo/Odd", "parameters": [one]} for one in (1, {}, {"id": None}, {"id": ["a"]})]
    body = json.dumps([*odd, entry("demo/Greet", first=True), entry("demo/Greet"), entry("demo.v2/Add-1")])
    upstream.answer = lambda request: (200, {}, body.encode() if "commands" in request.path else b"[]")
    app = front(upstream.url)
    assert listed_ids(app)[-2:] == ["demo/Greet", "demo.v2/Add-1"]
    assert not {"demo", "demo/Text", "demo/Odd"} & set(listed_ids(app))
    assert app.get("/v1/commands").json[-2] == entry("demo/Greet", first=True)
    lines = [record.getMessage() for record in caplog.records if upstream.url in record.getMessage()]
    words = f"{len(odd) + 1} of {len(odd) + 3} entries of /v1/commands are left out; the first is number 1"
    assert lines == [f"the upstream {upstream.url}: {words}: it has no id such as connector/Command"]


def test_openapi_of_an_upstream_with_odd_fields(front, upstream):
    """What the protocol does not have is of any type in an upstream, and spoils nothing."""
    fields = [{"description": 5}, {"errors": ["A"]}, {"errors": {"A": 5}}, {"deprecated": "no"}]
    fields += [
        {"parameters": [{"id": "a", **one}]} for one in ({"schema": True}, {"schema": None}, {"description": ["a"]})
    ]
    deep = functools.reduce(lambda inner, _: {"not": inner}, range(600), {})
    fields += [
        {"parameters": [{"id": "a", "schema": deep}]},
        {"parameters": [{"id": "\ud800", "schema": {"$id": "a"}}]},
    ]
    entries = [entry(f"demo/Odd{number}", **field) for number, field in enumerate(fields)] + [{"id": "demo/NoList"}]
    entries += [entry("demo.a/b"), entry("demo/a.b")]
    entries += [entry("demo/Twice", parameters=[{"id": "a", "required": True}] * 2)]
    body = json.dumps(entries).encode()
    upstream.answer = lambda request: (200, {}, body if "commands" in request.path else b"[]")
    paths = front(upstream.url).get("/v1/openapi.json").json["paths"]
    assert {f"/v1/do/{one['id']}" for one in entries} <= set(paths)
    assert "description" not in paths["/v1/do/demo/Odd0"]["post"]
    operations = [item["post"] for path, item in paths.items() if path.startswith("/v1/do/")]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    (twice,) = [
        operation["requestBody"]["content"][JSON]["schema"]
        for operation in operations
        if operation["operationId"] == "demo/Twice"
    ]
    assert twice["required"] == ["a"]


def test_ten_thousand_entries(front, upstream):
    body = json.dumps([entry(f"demo/C{number}", description="x" * 500) for number in range(10_000)]).encode()
    upstream.answer = lambda request: (200, {}, body if "commands" in request.path else b"[]")
    assert listed_ids(front(upstream.url))[-10_000:] == [f"demo/C{number}" for number in range(10_000)]


# --- calls ---


def test_a_call_passes_the_body_and_nothing_else_of_the_caller(front, serve, tmp_path):
    """The upstream gets its own key, in the bytes of the file."""
    key = "schlüssel"
    reference = Reference("demo/Greet", key=key.encode().decode("latin-1"))
    server = serve(reference)
    (tmp_path / "keys").write_bytes(b"\xef\xbb\xbf# ours\r\n\r\n" + f" {server.url}/\t{key} \r\n".encode())
    app = front(UPSTREAMS_FILE=tmp_path / "keys", API_KEY="caller", HTTP_ALLOWED_HOSTS="api.example")
    body = b'\xef\xbb\xbf {"name" : "\\u00e9", "n": 1.0, "n": 2, "spiff__callback_url": "http://a.example/cb"}\n'
    headers = {KEY: "caller", "Cookie": "a=caller", "Authorization": "Bearer caller", "X-Forwarded-For": "caller"}
    app.post(CALL, body, {**headers, "Content-Type": f"{JSON}; charset=utf-8", "Via": "1.1 gateway"}, status="*")
    request = reference.requests[-1]
    assert (request.method, request.path, request.body) == ("POST", CALL, body)
    assert "caller" not in str(request.environ)
    assert request.environ["CONTENT_TYPE"] == JSON
    assert re.fullmatch(r"1\.1 gateway, 1\.1 spiffproxy-[0-9a-f]{16}", request.environ["HTTP_VIA"])
    app.post(CALL, body, {"Content-Type": JSON}, status=401)
    assert reference.requests[-1] is request


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {"Content-Type": JSON}, b'{"command_response_version": 2, "error": null}'),
        (200, {"Content-Type": "text/plain; charset=iso-8859-1"}, b"gr\xfc\xdfe"),
        (200, {"Content-Type": JSON, "Set-Cookie": "a=b", "X-Other": "1", "WWW-Authenticate": "x"}, b"\x00\xff"),
        (202, {"Content-Type": JSON}, b"{}"),
        (200, {}, b"no type"),
        (204, {}, b""),
        (302, {"Content-Type": "text/html", "Location": "/elsewhere"}, b"moved"),
        (307, {"Content-Type": "text/html", "Location": "/elsewhere"}, b"moved"),
        (401, {"Content-Type": JSON}, b'{"error": "Unauthorized"}'),
        (404, {"Content-Type": "text/html; charset=utf-8"}, b'{"error": {"error_code": "command_not_found"}}'),
        (429, {"Content-Type": JSON, "Retry-After": "17"}, b"{}"),
        (503, {"Content-Type": JSON, "Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, b"{}"),
        (599, {"Content-Type": JSON}, b""),
    ],
    ids=["json", "latin-1", "other headers", "202", "no type", "204", "302", "307", "401", "404", "429", "503", "599"],
)
def test_a_response_comes_back_as_it_is(front, upstream, status, headers, body):
    """Its status, content type, Retry-After and body, but no other header; no redirect is followed."""
    upstream.answer = lambda request: (200, {}, LISTED) if request.command == "GET" else (status, headers, body)
    answer = front(upstream.url).post_json(CALL, {}, status=status)
    kept = {name: value for name, value in headers.items() if name in ("Content-Type", "Retry-After")}
    added = {"Content-Type": "application/octet-stream", "Content-Length": str(len(body))} if status != 204 else {}
    assert dict(answer.headers) == {**added, **kept}
    assert answer.body == body
    assert [request.path for request in upstream.requests] == ["/v1/commands", "/v1/auths", CALL]


def test_a_retry_after_that_comes_twice(front, raw_server):
    """Is passed on once: only a list may come in several lines (RFC 9110 section 5.3)."""
    lists = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(LISTED), LISTED)
    refusal = b"HTTP/1.1 429 Wait\r\nRetry-After: 5\r\nretry-after: 9\r\nContent-Length: 0\r\n\r\n"
    server = raw_server(lambda connection, _: lists if connection.recv(4096).startswith(b"GET") else refusal)
    answer = front(server.url).post_json(CALL, {}, status=429)
    assert answer.headers.getall("Retry-After") == ["5"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": JSON, "Content-Encoding": "gzip"}, 415),
        (b"{}", {"Content-Type": JSON, "Content-Length": "x"}, 400),
        (b'{"a": "too long"}', {"Content-Type": JSON}, 413),
        (b"[]", {"Content-Type": JSON}, 400),
        (b"{", {"Content-Type": JSON}, 400),
    ],
    ids=["type", "encoding", "length", "size", "list", "JSON"],
)
def test_what_is_refused_here_is_not_sent(front, serve, body, headers, status):
    reference = Reference("demo/Greet")
    app = front(serve(reference).url, MAX_REQUEST_BYTES=10)
    app.without_lint.post(CALL, body, headers, status=status)
    assert not any(request.method == "POST" for request in reference.requests)


def lists_and(talk):
    """Return the talk of a server that lists demo/Greet, and then does what it likes with a call."""

    def converse(connection, number):
        if connection.recv(4, socket.MSG_PEEK).startswith(b"GET"):
            read_request(connection)
            return head(200, f"Content-Length: {len(LISTED)}") + LISTED
        while not connection.recv(65536, socket.MSG_PEEK).endswith(b"}"):
            time.sleep(0.001)  # the body comes apart; unread, it would reset the connection
        return talk(connection, number)

    return converse


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (closes, "closed the connection without a response"),
        (resets, f"{CALL} "),
        (resets_at_once, f"{CALL} "),
        (says(b"HTTP/1.1 200"), "in the middle of the status line"),
        (says(b"HTTP/1.1 200 OK\r\nA: b\r\n"), "in the middle of the headers"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"), "response is incomplete"),
        (says(CHUNKED + b"5\r\nsho"), "response is incomplete"),
        (says(CHUNKED + b"x\r\n"), "a chunk has no valid size"),
        (then_waits(b"nonsense"), "not valid HTTP: it starts with 'nonsense'"),
        (then_waits(b"HTTP/1.1 101 Words\r\n" + BODY), "its status is 101"),
        (says(head(200, "Content-Encoding: gzip", "Content-Length: 8") + b"nonsense"), "is not valid gzip"),
        (says(head(200, "Content-Length: 2000000")), "CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES"),
        (silent, "did not respond in time"),
        (drips(head(200, "Content-Length: 30"), b"a"), "did not arrive in time"),
    ],
)
def test_a_call_that_breaks_off(front, raw_server, monkeypatch, talk, words):
    """It is sent once: the command may have been executed."""
    server = raw_server(lists_and(talk))
    app = front(server.url, HTTP_MAX_RESPONSE_BYTES=1_000_000)
    listed_ids(app)
    before = server.connections
    monkeypatch.setattr("spiffproxy_upstreams.CALL_SECONDS", 0.5)
    answer = app.post_json(CALL, {"secret": "s3cret"}, status=502)
    assert answer.json == error_reply("upstream_failed", f"^The upstream {server.url} sent no complete response: ")
    assert words in answer.json["error"]["message"]
    assert answer.json["error"]["message"].endswith(". The command may have been executed.")
    assert "s3cret" not in answer.text
    assert server.connections == before + 1


def test_an_upstream_that_has_never_sent_its_lists(front, serve):
    """An id that nobody knows may be there: SpiffArena may try again. Without such an upstream it is a mistake."""
    url, other = f"http://127.0.0.1:{free_port()}", serve(Reference("java/Add")).url
    message = f"^Nothing was executed: .* demo/Greet, .* {url} has it, which sent no lists: No connection to 127.0.0.1"
    app = front(other, url)
    assert app.post_json(CALL, {}, status=503).json == error_reply("upstream_unavailable", message)
    assert app.post_json("/v1/do/java/Add", {}).json["called"] == "java/Add"
    message = "connector 'demo'.*No upstream lists it either.$"
    assert front(other).post_json(CALL, {}, status=404).json == error_reply("command_not_found", message)


@pytest.mark.parametrize("way", ["refuses", "does not answer", "wrong certificate", "no TLS"])
def test_a_call_of_an_upstream_that_cannot_be_reached(front, monkeypatch, authority, way):
    """It has sent its lists before; nothing was executed."""
    port, has_tls = free_port(), way in ("wrong certificate", "no TLS")
    with serve_http(server_context(authority, "127.0.0.1") if has_tls else None, port=port) as server:
        server.answer = lambda request: (200, {}, LISTED)
        app = front(server.url)
        assert "demo/Greet" in listed_ids(app)
    others = {
        "refuses": contextlib.nullcontext,
        "does not answer": lambda: serve_nobody(port=port),
        "wrong certificate": lambda: serve_http(server_context(trustme.CA(), "127.0.0.1"), port=port),
        "no TLS": lambda: serve_http(port=port),
    }
    monkeypatch.setattr("spiffproxy_upstreams.CALL_SECONDS", 0.5)
    with others[way]():
        answer = app.post_json(CALL, {}, status=503)
    message = f"^The upstream {server.url} cannot be reached, and nothing was executed: "
    assert answer.json == error_reply("upstream_unavailable", message)


def test_a_known_command_does_not_wait_for_lists(front, upstream, serve, clock, caplog):
    """An upstream that hangs delays lists, and no call."""
    go_on = threading.Event()
    upstream.answer = lambda request: (200, {}, b"[]")
    app = front(upstream.url, serve(Reference("demo/Greet")).url)
    listed_ids(app)
    upstream.answer = lambda request: go_on.wait(20) and (200, {}, b"[]")
    clock.seconds += 31
    try:
        assert app.post_json(CALL, {"a": 1}).json == {"called": "demo/Greet", "body": {"a": 1}}
        assert upstream.url not in caplog.text  # where its failure would be
    finally:
        go_on.set()


def test_a_call_takes_a_slot(front, upstream):
    """And lets another thread of the built-in server accept before it waits."""
    running, go_on, turns = threading.Event(), threading.Event(), []

    def answer(request):
        if request.command == "GET":
            return 200, {}, LISTED
        running.set()
        return go_on.wait(20) and (200, {}, b"{}")

    upstream.answer = answer
    app = front(upstream.url, THREADS=1)
    listed_ids(app)
    environ = {"spiffproxy.pass_turn": lambda: turns.append(1), "spiffproxy.log": {}}
    caller = threading.Thread(target=app.post_json, args=(CALL, {}), kwargs={"extra_environ": environ})
    caller.start()
    try:
        assert running.wait(20)
        assert app.post_json(CALL, {}, status=503).json == error_reply("too_busy", "CONNECTOR_PROXY_THREADS")
        assert turns
        assert environ["spiffproxy.log"] == {"command": "demo/Greet", "upstream": upstream.url}
    finally:
        go_on.set()
        caller.join()
    app.post_json(CALL, {}, status=200)


def test_a_connector_of_ours_that_is_broken(front, serve, tmp_path, write_connector, caplog):
    """Its ids are not known: those of an upstream are listed, and called, and the log says why."""
    name = write_connector("import nothing_that_exists\n")
    reference = Reference(f"{name}/Greet")
    server = serve(reference)
    app = front(server.url, f"http://127.0.0.1:{free_port()}")
    assert listed_ids(app)[-1] == f"{name}/Greet"
    for _ in range(2):
        assert app.post_json(f"/v1/do/{name}/Greet", {}).json["called"] == f"{name}/Greet"
    answer = app.post_json(f"/v1/do/{name}/Other", {}, status=503)
    assert answer.json == error_reply("connector_unavailable", "nothing_that_exists.* No upstream lists it either.$")
    lines = [record.getMessage() for record in caplog.records if "is used: " in record.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith(f"{name}/Greet of the upstream {server.url} is used: ")


def test_a_requirement_of_ours_that_is_missing(front, serve, write_connector):
    """The ids are known, and ours: no upstream's is called in their place."""
    source = "class Greet:\n    def execute(self, config, task_data):\n        pass\n"
    files = {"__init__": "requires = {'nothing_that_exists': 'pip install it'}\n", "auths__in____init__": ""}
    sign_in = "class SignIn:\n    def app_description(self, config):\n        pass\n"
    name = write_connector(source, auths__in__things=sign_in, **files)
    reference = Reference(f"{name}/Greet")
    reference.lists["auths"].append(entry(f"{name}/SignIn"))
    app, headers = front(serve(reference).url, API_KEY="k"), {KEY: "k"}
    answer = app.post_json(f"/v1/do/{name}/Greet", {}, headers=headers, status=503)
    assert answer.json == error_reply("connector_unavailable", "pip install it")
    assert listed_ids(app, **headers).count(f"{name}/Greet") == 1
    answer = app.get(f"/v1/auth/{name}/SignIn", status=503)  # a browser has no key, and learns less
    assert answer.json == error_reply("connector_unavailable", "^There is no such authentication")
    assert not any(request.method == "POST" for request in reference.requests)


# --- our own proxy as an upstream ---


def test_our_own_proxy_as_an_upstream(front, start_server, tmp_path):
    """Its descriptions, results, callbacks, errors and suggestions, with its key, the last byte of which is 0xA0."""
    server = start_server(*EXAMPLES, CONNECTOR_PROXY_API_KEY="schlüssel-à")
    (tmp_path / "keys").write_text(f"{server.url} schlüssel-à", encoding="utf-8")
    app = front(UPSTREAMS_FILE=tmp_path / "keys", TYPEAHEAD_PUBLIC="on")
    combine = next(listed for listed in app.get("/v1/commands").json if listed["id"] == "example/CombineStrings")
    assert [parameter["id"] for parameter in combine["parameters"]] == ["arg1", "arg2"]
    assert app.post_json("/v1/do/example/CombineStrings", {"arg1": "a", "arg2": "é"}).text == "aé"
    assert app.post_json("/v1/do/example/CombineStrings", {"arg1": "a"}, status=400).json["error"] == {
        "error_code": "invalid_parameters",
        "message": "example/CombineStrings: missing: arg2. It accepts arg1 (required), arg2 (required).",
    }
    app.post_json("/v1/do/example/Echo", {"message": "x", "spiff__callback_url": "http://a.example/cb"}, status=202)
    assert app.get("/v1/typeahead/cities?prefix=Ber&limit=1").json == [{"name": "Berlin", "country": "DE"}]


def test_a_large_body_and_a_large_response(make_app, start_server, write_connector, tmp_path):
    name = write_connector(
        "class Back:\n    def __init__(self, text):\n        self.text = text\n"
        "    def execute(self, config, task_data):\n        return {'response': self.text}\n"
    )
    server = start_server("--connectors", str(tmp_path))
    (tmp_path / "none").mkdir()
    app = make_app(tmp_path / "none", UPSTREAMS=server.url)
    text = "é" + "x" * 20_000_000
    assert app.post_json(f"/v1/do/{name}/Back", {"text": text}).text == text


# --- loops ---


def make_ring(serve, count):
    """Serve that many of our proxies, each of which has the next one as its upstream, and return them."""
    servers = [serve() for _ in range(count)]
    for server, following in zip(servers, [*servers[1:], servers[0]]):
        server.proxy = Proxy({"CONNECTOR_PROXY_UPSTREAMS": following.url})
        server.set_app(server.proxy)
    return servers


@pytest.mark.parametrize("count", [1, 2, 3])
def test_proxies_in_a_ring_list_each_entry_once(imports, serve, count, caplog):
    """Whichever is asked first, or all of them at the same time; none waits for itself."""
    servers = make_ring(serve, count)
    apps = [TestApp(server.proxy) for server in servers]
    lists = at_once(lambda app: tuple(listed_ids(app)), [(app,) for app in apps])
    assert len(set(lists)) == 1
    assert len(set(lists[0])) == len(lists[0])
    states = [server.proxy.upstreams.describe_state()[0] for server in servers]
    assert {state["error"] for state in states} == {"it leads back to this proxy (508)" if count == 1 else None}


def test_a_request_that_comes_back(imports, serve, upstream):
    """The other proxy has an old list, or is not ours: it sends the call back, and its caller gets the 508."""
    server = serve()
    proxy = Proxy({"CONNECTOR_PROXY_UPSTREAMS": upstream.url})
    server.set_app(proxy)

    def answer(request):
        if request.command == "GET":
            return 200, {}, LISTED
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.server_port)) as connection:
            connection.request(
                "POST", request.path, request.body, {"Content-Type": JSON, "Via": request.headers["Via"]}
            )
            response = connection.getresponse()
            return response.status, {"Content-Type": JSON}, response.read()

    upstream.answer = answer
    answer = TestApp(proxy).post_json(CALL, {}, status=508)
    assert answer.json == error_reply("loop_detected", "^This request has come through this proxy before")
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("path", ["/v1/commands", "/v1/auths", CALL, "/v1/typeahead/cities", "/v1/do/http/GetRequest"])
def test_every_request_that_comes_back_is_refused(front, upstream, path):
    """By each worker of an installation, since they have one name; and after ten proxies whatever their names."""
    upstream.answer = lambda request: (200, {}, LISTED)
    front(upstream.url).post_json(CALL, {})
    via = upstream.requests[-1].headers["Via"]
    app = front(upstream.url)
    send = (
        app.post_json
        if "/do/" in path
        else lambda path, body, headers, status: app.get(path, None, headers, status=status)
    )
    for value in via, f"1.0 a, {via}", f"{via} (a comment), 1.1 b", ", ".join(["1.1 x"] * 11):
        refused = send(path, {}, headers={"Via": value}, status=508)
        assert refused.json["error"]["error_code"] == "loop_detected"
    assert send(path, {}, headers={"Via": "1.1 google, 2 spiffproxy-of-others"}, status="*").status_int != 508
    app.get("/liveness", headers={"Via": via})


def test_the_name_in_via_is_that_of_an_installation(front, upstream):
    """Another port, another public URL, or other upstreams are another one."""
    names = []
    upstream.answer = lambda request: (200, {}, LISTED)
    others = [{}, {}, {"PORT": 7005}, {"PUBLIC_URL": "https://a.example"}, {"HOST": "0.0.0.0"}]
    for settings in others:
        front(upstream.url, **settings).post_json(CALL, {})
        names.append(upstream.requests[-1].headers["Via"])
    front(upstream.url, "http://127.0.0.1:1").post_json(CALL, {})
    names.append(upstream.requests[-1].headers["Via"])
    assert len(set(names)) == len(names) - 1


# --- signing in, and typeahead ---


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/auth/demo/OAuth", "redirect_url=http://a.example/cb?token=x.y&z=%C3%A9%2"),
        ("/v1/auth/demo/OAuth", "a=\xc3\xa9 b"),
        ("/v1/auth/demo/OAuth/callback", "state=a&code=b"),
        ("/v1/auth/demo/OAuth", ""),
    ],
)
def test_a_sign_in_is_the_upstreams(front, serve, path, query):
    """The browser is sent there, with its query and without anything of ours."""
    server = serve(Reference())
    app = front(f"{server.url}/base" if "callback" in path else server.url, API_KEY="ours")
    if "callback" in path:
        server.set_app(lambda environ, start: Reference()({**environ, "PATH_INFO": environ["PATH_INFO"][5:]}, start))
    answer = app.without_lint.get(f"{path}?{query}", status=302)
    base = f"{server.url}/base" if "callback" in path else server.url
    sent = query.replace("\xc3\xa9 ", "%C3%A9%20")
    assert answer.headers["Location"] == base + path + (f"?{sent}" if sent else "")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    unknown = app.get("/v1/auth/demo/Other", status=404)
    assert unknown.json == error_reply("auth_not_found", "^There is no such authentication")


def test_a_typeahead_that_is_not_ours(front, upstream, other_upstream, tmp_path):
    """Is asked of one upstream after the other until one knows it; what it answers comes back as it is."""
    upstream.answer = lambda request: (404, {}, b"")
    other_upstream.answer = lambda request: (200, {"Content-Type": JSON}, b'[{"a":1.0}]')
    (tmp_path / "keys").write_text(f"{other_upstream.url} k2")
    app = front(upstream.url, UPSTREAMS_FILE=tmp_path / "keys")
    answer = app.get("/v1/typeahead/st%C3%A4dte?prefix=%C3%A9%26+a&limit=3", headers={"Cookie": "a=b"})
    assert answer.body == b'[{"a":1.0}]'
    (request,) = other_upstream.requests
    assert (request.command, request.path) == ("GET", "/v1/typeahead/st%C3%A4dte?prefix=%C3%A9%26+a&limit=3")
    assert (request.headers[KEY], request.headers["Cookie"]) == ("k2", None)
    assert app.head("/v1/typeahead/x").body == b""
    other_upstream.answer = lambda request: (404, {}, b"")
    assert app.get("/v1/typeahead/x", status=404).json == error_reply("typeahead_not_found", "'x'")
    down = front(f"http://127.0.0.1:{free_port()}", upstream.url)
    assert down.get("/v1/typeahead/x", status=503).json == error_reply("upstream_unavailable", "cannot be reached")


def test_an_upstream_without_lists_is_asked_for_suggestions_at_last(front, upstream, other_upstream):
    upstream.answer = lambda request: (500, {}, b"") if request.path == "/v1/commands" else (200, {}, b"first")
    other_upstream.answer = lambda request: (200, {}, b"[]")
    app = front(upstream.url, other_upstream.url)
    assert app.get("/v1/typeahead/x").body == b"first"
    listed_ids(app)
    assert app.get("/v1/typeahead/x").body == b"[]"


def test_a_typeahead_of_ours(make_app, upstream):
    assert make_app(UPSTREAMS=upstream.url).get("/v1/typeahead/cities?limit=1").json
    assert upstream.requests == []


# --- settings ---


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (",", "has no URL"),
        ("host:7004", "URL 1 is not a URL such as"),
        ("http://a, ftp://b", "URL 2 is not a URL such as"),
        ("http://user:s3cret@a", "URL 1 has a user, a password, a query or a fragment"),
        ("http://a?key=s3cret", "URL 1 has a user"),
        ("http://a#s3cret", "URL 1 has a user"),
        ("http://a:0", "URL 1: The URL's port"),
        ("http://a:99999", "URL 1: The URL's port"),
        ("http://a..b", "URL 1: The URL's host"),
        ("http://", "URL 1 is not a URL"),
        ("http://a, HTTP://A:80/", "has http://a twice"),
        ("http://a/b/,http://a/b", "has http://a/b twice"),
    ],
)
def test_upstreams_that_make_no_sense(imports, value, words):
    with pytest.raises(SettingError, match=r"^CONNECTOR_PROXY_UPSTREAMS") as caught:
        Proxy({"CONNECTOR_PROXY_UPSTREAMS": value})
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "has no URL"),
        (b"# http://a k\n \n", "has no URL"),
        (b"s3cret http://a\n", "line 1 is not a URL such as"),
        (b"#\n\nhttp://a s3cret more\n", "line 3 is not a URL and a key"),
        (b"http://a s3\x00cret\n", "line 1 is not a URL and a key without control characters"),
        ("http://a s3cret\n".encode("utf-16"), "line 1 is not a URL and a key without control characters"),
        (b"http://user:s3cret@a k\n", "line 1 has a user, a password"),
        (b"http://a s3cret\nhttp://a/ s3cret2\n", "line 2 has http://a, which is in an earlier line"),
        (b"http://\xff s3cret\n", "line 1: The URL contains"),
    ],
    ids=["missing", "empty", "comments", "swapped", "three", "NUL", "UTF-16", "user", "twice", "not UTF-8"],
)
def test_a_file_of_upstreams_that_makes_no_sense(imports, tmp_path, content, words):
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(SettingError, match=r"^CONNECTOR_PROXY_UPSTREAMS_FILE: ") as caught:
        Proxy({"CONNECTOR_PROXY_UPSTREAMS_FILE": str(tmp_path / "file")})
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_the_file_has_the_keys_of_urls_in_the_other_setting(front, serve, tmp_path):
    """The order is that of the setting, and then of the file; keys are in no log and no state."""
    servers = [serve(Reference("demo/First", key="k1")), serve(Reference("demo/Second", key="k2"))]
    (tmp_path / "keys").write_text(
        "".join(f"{server.url} k{number}\n" for number, server in zip((2, 1), servers[::-1]))
    )
    app = front(servers[0].url, UPSTREAMS_FILE=tmp_path / "keys")
    assert listed_ids(app)[-2:] == ["demo/First", "demo/Second"]


def test_without_the_settings_nothing_is_different(make_app, tmp_path):
    """An empty one is an unset one."""
    app = make_app(tmp_path, UPSTREAMS="", UPSTREAMS_FILE=" ")
    app.get("/v1/commands", headers={"Via": ", ".join(["1.1 x"] * 20)})
