"""The application: each route, each refusal and their order, the key, CORS; under the validator, and mounted elsewhere."""

import io
import socket

import pytest
from conftest import JSON, error_reply

KEY = {"Spiff-Connector-Proxy-Api-Key": "correct horse"}
ECHO = "/v1/do/example/Echo"


def test_index_says_what_this_is(app):
    answer = app.get("/")
    assert (answer.status_int, answer.content_type) == (200, "text/plain")
    assert answer.text == "A connector proxy for SpiffArena. Its commands: /v1/commands\n"


@pytest.mark.parametrize("path", ["/liveness", "/v1/liveness"])
def test_liveness(make_app, path):
    """Is answered without the key."""
    answer = make_app(API_KEY="correct horse").get(path)
    assert (answer.status_int, answer.content_type, answer.body) == (200, JSON, b'{"ok": true}')


def test_mounted_under_a_prefix(app):
    """As part of another application, the path is what comes behind SCRIPT_NAME."""
    environ = {"SCRIPT_NAME": "/connectors"}
    assert app.get("/", extra_environ=environ).text.endswith(" /connectors/v1/commands\n")
    odd = {"SCRIPT_NAME": "/b\u00c3\u00bccher"}  # octets of UTF-8, one a letter, as PEP 3333 has it
    assert app.get("/", extra_environ=odd).text.endswith(" /bücher/v1/commands\n")
    assert app.get("", extra_environ=environ).status_int == 200
    assert app.post_json(ECHO, {"value": 1}, extra_environ=environ).json["command_response"]["body"]["value"] == 1


@pytest.mark.parametrize("path", ["//v1/liveness", "/v1//liveness", "/v1/liveness/", "///liveness"])
def test_repeated_slashes_are_one(app, path):
    assert app.get(path).json == {"ok": True}


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v2/commands",
        "/v1/../liveness",
        "/v1/./liveness",
        "/V1/liveness",
        "/v1/do",
        "/v1/do/example",
        "/v1/do/example/Echo/more",
        "/v1/commands/more",
        "/v1/%00",
        "/%ff%fe",
        "/v1/auth",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_an_unknown_path_is_404(make_app, path, method):
    """Before the key is asked for, whatever the method."""
    answer = make_app(API_KEY="k").request(path, method=method, status=404)
    assert answer.json == error_reply("not_found", "No such path: .* There are /v1/commands")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "BREW"])
def test_another_method_on_a_command_is_405(app, method):
    answer = app.without_lint.request(ECHO, method=method, status=405)
    assert answer.headers["Allow"] == "POST, OPTIONS"
    if method != "HEAD":
        assert answer.json == error_reply("method_not_allowed", f"accepts POST, OPTIONS, but not {method}")


@pytest.mark.parametrize(
    "path", ["/", "/liveness", "/v1/liveness", "/v1/commands", "/v1/auths", "/v1/status", "/v1/openapi.json"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_another_method_on_what_is_read_is_405(app, path, method):
    answer = app.request(path, method=method, status=405)
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert answer.json == error_reply("method_not_allowed", "accepts GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", ["/", "/liveness", "/v1/commands", "/v1/auths", "/v1/status", "/v1/openapi.json"])
def test_head_is_get_without_the_body(app, path):
    got, head = app.get(path), app.head(path)
    assert head.headers == got.headers
    assert (head.status, head.body) == (got.status, b"")


@pytest.mark.parametrize(
    ("path", "allow"), [("/v1/commands", "GET, HEAD, OPTIONS"), (ECHO, "POST, OPTIONS"), ("/", "GET, HEAD, OPTIONS")]
)
def test_options_without_cors(make_app, path, allow):
    """Never asks for the key."""
    answer = make_app(API_KEY="k").options(path, headers={"Origin": "https://a.example"})
    assert (answer.status_int, answer.body) == (204, b"")
    assert dict(answer.headers) == {"Allow": allow}


# --- the key ---


@pytest.mark.parametrize("path", ["/v1/commands", "/v1/auths"])
@pytest.mark.parametrize(
    "sent", [None, "", "wrong", "correct hors", "correct horse!", "Correct Horse", "kaffee\xe9\u00ff"]
)
def test_without_the_key_there_is_nothing_but_401(make_app, path, sent):
    headers = {} if sent is None else {"Spiff-Connector-Proxy-Api-Key": sent}
    answer = make_app(API_KEY="correct horse").get(path, headers=headers, status=401)
    assert (answer.json, answer.content_type) == ({"error": "Unauthorized"}, JSON)


def test_a_command_asks_for_the_key_before_it_looks_at_anything(make_app):
    app = make_app(API_KEY="correct horse")
    for method in "POST", "GET", "PUT":
        assert app.request(ECHO, method=method, status=401).json == {"error": "Unauthorized"}
    assert app.post_json(ECHO, {"value": 1}, headers=KEY).json["command_response"]["body"]["value"] == 1


def test_blanks_around_a_key_are_not_part_of_it(make_app):
    make_app(API_KEY=" correct horse\n").get("/v1/auths", headers=KEY)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_key_beyond_ascii(make_app, encoding):
    """Python's clients send latin-1, curl what the terminal has."""
    app = make_app(API_KEY="schlüssel")
    sent = "schlüssel".encode(encoding).decode("latin-1")
    app.get("/v1/auths", headers={"Spiff-Connector-Proxy-Api-Key": sent})


def test_a_file_may_hold_several_keys(make_app, tmp_path):
    """One a line, so that a new one can be rolled out before the old one goes; the variable's counts as well."""
    file = tmp_path / "keys"
    file.write_bytes(b"old\r\n\n  new \n")
    app = make_app(API_KEY_FILE=file, API_KEY="third")
    for key in "old", "new", "third":
        app.get("/v1/auths", headers={"Spiff-Connector-Proxy-Api-Key": key})
    for key in "", "old\nnew", "OLD", "third ,old":
        app.get("/v1/auths", headers={"Spiff-Connector-Proxy-Api-Key": key.replace("\n", "")}, status=401)
    file.write_text("replaced")
    app.get("/v1/auths", headers={"Spiff-Connector-Proxy-Api-Key": "old"})  # read once, at the start


# --- CORS ---


@pytest.mark.parametrize(
    ("setting", "origin"),
    [
        ("https://a.example", "https://a.example"),
        ("http://b.example:8001, https://a.example", "https://a.example"),
        ("HTTPS://A.example", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("*", "https://anything.example"),
        ("*", "null"),
    ],
)
def test_cors_for_a_listed_origin(make_app, setting, origin):
    app = make_app(CORS_ORIGINS=setting, API_KEY="correct horse")
    expected = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}

    preflight = app.options(ECHO, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status_int == 204
    assert dict(preflight.headers) == {
        **expected,
        "Allow": "POST, OPTIONS",
        "Access-Control-Allow-Methods": "POST, OPTIONS",
        "Access-Control-Allow-Headers": "Content-Type, Spiff-Connector-Proxy-Api-Key",
    }
    for path, status in ("/v1/commands", 401), ("/v1/nothing", 404), ("//v1/liveness", 200):
        headers = dict(app.get(path, headers={"Origin": origin}, status=status).headers)
        assert expected.items() <= headers.items()
    assert "Vary" not in app.get("/liveness", headers={"Origin": origin}).headers


@pytest.mark.parametrize("origin", ["https://b.example", "http://a.example", "https://a.example.evil", "null", ""])
def test_no_cors_for_others(make_app, origin):
    app = make_app(CORS_ORIGINS="https://a.example")
    for answer in app.get("/v1/commands", headers={"Origin": origin}), app.options(ECHO, headers={"Origin": origin}):
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
        assert answer.headers["Vary"] == "Origin"  # or a cache would give this answer to a page that may read it


def test_an_origin_that_is_none_is_not_repeated(make_app):
    app = make_app(CORS_ORIGINS="*")
    headers = app.get("/v1/auths", extra_environ={"HTTP_ORIGIN": "a\x01b"}).headers
    assert "Access-Control-Allow-Origin" not in headers


# --- bad input ---


def post(app, body=b"{}", path=ECHO, status=400, content_type=JSON, **environ):
    """Post bytes as they are, with an environ as they never come from WebTest itself."""
    environ = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body)), **environ}
    extra = {"wsgi.input": io.BytesIO(body), "REQUEST_METHOD": "POST"}
    request = app.RequestClass.blank(path, environ={**extra, **{k: v for k, v in environ.items() if v is not None}})
    return app.without_lint.do_request(request, status=status)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", r"line 1 column 2 \(char 1\)"),
        (b"nonsense", r"line 1 column 1 \(char 0\)"),
        (b'{"value": 1} {', r"Extra data: line 1 column 14"),
        (b"{'value': 1}", "double quotes: line 1 column 2"),
        (b'{"value": NaN}', "number must be finite"),
        (b'{"NaN": "NaN \\" -Infinity",\n "value": -Infinity}', "number must be finite"),
        (b'{"value": "%s", "n": %s}' % (b"1" * 5000, b"1" * 5000), "more than 4300 digits"),
        (b'{"value": "\xff"}', "not UTF-8 at byte 11"),
        ('{"value": 1}'.encode("utf-16"), "not UTF-8 at byte 0"),
        ('{"value": 1}'.encode("utf-16-le"), "line 1 column 2"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", 'must be a JSON object such as {"name": "value"}, but is a list$'),
        (b"null", "must be a JSON object .*, but is null"),
        (b'"text"', "must be a JSON object .*, but is a string"),
        (b" ", "line 1 column 2"),
        (b'{"a": "\x00"}', "control character"),
    ],
)
def test_invalid_json(app, body, words):
    assert post(app, body).json == error_reply("invalid_json", words)


@pytest.mark.parametrize("body", [b"", b"{}", b"\xef\xbb\xbf{}", b" \n{}\n"])
def test_an_empty_body_is_an_empty_object(app, body):
    expected = {"value": None, "others": {}, "task_data": {}}
    assert post(app, body, status=200).json["command_response"]["body"] == expected


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "text/json"])
def test_another_content_type_is_415(app, content_type):
    """This is what keeps a page in a colleague's browser from posting to a proxy without a key."""
    answer = post(app, content_type=content_type, status=415)
    assert answer.json == error_reply("unsupported_media_type", "Content-Type: application/json")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json ;a=b"]
)
def test_json_by_any_other_spelling(app, content_type):
    post(app, content_type=content_type, status=200)


@pytest.mark.parametrize(
    "environ",
    [{"CONTENT_LENGTH": None}, {"CONTENT_LENGTH": ""}, {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked"}],
)
def test_without_a_length_it_is_411(app, environ):
    assert post(app, status=411, **environ).json == error_reply("length_required", "Send a Content-Length")


def test_a_length_and_a_transfer_encoding_are_refused(app):
    """Of the two, servers and proxies take different ones for the end of the body (RFC 9112 section 6.3)."""
    answer = post(app, HTTP_TRANSFER_ENCODING="chunked")
    assert answer.json == error_reply("invalid_content_length", "Send only the Content-Length")


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate, gzip", "x" * 1000])
def test_a_body_with_a_content_encoding_is_refused(app, coding):
    answer = post(app, status=415, HTTP_CONTENT_ENCODING=coding)
    words = f"The request body has the Content-Encoding '{coding[:40].lower()}'. Send it without a Content-Encoding"
    assert answer.json == error_reply("unsupported_media_type", words)


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
def test_a_body_without_a_content_encoding(app, coding):
    assert post(app, status=200, HTTP_CONTENT_ENCODING=coding).json["error"] is None


def test_without_the_key_the_answer_names_the_header(make_app):
    """RFC 9110 section 15.5.2."""
    app = make_app(API_KEY="k")
    answer = app.get("/v1/commands", status=401)
    assert answer.json == {"error": "Unauthorized"}
    assert answer.headers["WWW-Authenticate"] == 'ApiKey header="Spiff-Connector-Proxy-Api-Key"'


def test_options_of_the_server_as_a_whole(app):
    """RFC 9110 section 9.3.7; for another method there is no such path."""
    environ = {"PATH_INFO": "*", "REQUEST_METHOD": "OPTIONS"}
    answer = app.without_lint.do_request(app.RequestClass.blank("/", environ=environ), status=204)
    assert (answer.headers["Allow"], answer.body) == ("GET, HEAD, POST, OPTIONS", b"")
    environ = {"PATH_INFO": "*", "REQUEST_METHOD": "GET"}
    app.without_lint.do_request(app.RequestClass.blank("/", environ=environ), status=404)


@pytest.mark.parametrize("environ", [{"CONTENT_LENGTH": None}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_without_a_length_where_the_server_ends_the_body(make_app, environ):
    """As gunicorn and waitress do for chunked bodies; then the limit counts what is read."""
    environ = {**environ, "wsgi.input_terminated": True}
    app = make_app(MAX_REQUEST_BYTES=12)
    assert post(app, b'{"value": 1}', status=200, **environ).json["command_response"]["body"]["value"] == 1
    assert post(app, b'{"value": 12}', status=413, **environ).json == error_reply("request_too_large", "12 bytes")


@pytest.mark.parametrize("length", ["-1", "+2", "2.0", "0x2", "2, 2", "1e1", "two", "²", "2 2"])
def test_a_length_that_is_no_number(app, length):
    answer = post(app, CONTENT_LENGTH=length)
    assert answer.json == error_reply("invalid_content_length", "It must be a number of bytes")


class Untouched(io.BytesIO):
    def read(self, *_):
        raise AssertionError("the body was read")


def test_a_length_with_zeros_in_front(app):
    post(app, status=200, CONTENT_LENGTH="0" * 30 + "2")


@pytest.mark.parametrize("length", ["33554433", "9" * 19, "9" * 5000])
def test_too_large_is_refused_unread(app, length):
    answer = post(app, status=413, CONTENT_LENGTH=length, **{"wsgi.input": Untouched()})
    assert answer.json == error_reply("request_too_large", "33554432 bytes.*CONNECTOR_PROXY_MAX_REQUEST_BYTES")


def test_the_limit_itself_is_allowed(make_app):
    app = make_app(MAX_REQUEST_BYTES=10)
    post(app, b'{"value":1', status=400)
    post(app, b'{"value":1}', status=413)


def test_a_body_that_ends_early(app):
    answer = post(app, b'{"value', CONTENT_LENGTH="12")
    assert answer.json == error_reply("incomplete_request", "ends after 7 of 12 bytes")


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (TimeoutError("timed out"), 408, "request_timeout"),
        (socket.timeout("timed out"), 408, "request_timeout"),  # another class, on Python 3.9
        (ConnectionResetError("reset"), 400, "incomplete_request"),
        (ValueError("a server's own complaint about a chunk"), 400, "incomplete_request"),
    ],
)
def test_a_body_that_cannot_be_read(app, raised, status, code):
    class Failing(io.BytesIO):
        def read(self, *_):
            raise raised

    assert post(app, status=status, **{"wsgi.input": Failing()}).json == error_reply(code, "")


def test_refusals_come_in_the_order_of_the_protocol(make_app):
    """Each request has every fault that a later refusal would name."""
    app = make_app(API_KEY="correct horse", MAX_REQUEST_BYTES=20)
    unknown, key = "/v1/do/example/Nothing", {"HTTP_SPIFF_CONNECTOR_PROXY_API_KEY": "correct horse"}
    bad, large = b'{"unknown"', b'{"much": "too large"}'

    def code(body, **environ):
        environ = {"path": unknown, "content_type": None, "CONTENT_LENGTH": "x", "REQUEST_METHOD": "PUT", **environ}
        answer = post(app, body, status="*", **environ)
        return answer.status_int, answer.json["error"] if answer.status_int == 401 else answer.json["error"][
            "error_code"
        ]

    put, right = {**key, "REQUEST_METHOD": "PUT"}, {**key, "REQUEST_METHOD": "POST", "content_type": JSON}
    assert code(bad, path="/v1/nothing") == (404, "not_found")
    assert code(bad) == (401, "Unauthorized")
    assert code(bad, **put) == (405, "method_not_allowed")
    assert code(bad, **{**right, "content_type": "text/plain"}) == (415, "unsupported_media_type")
    assert code(large, **right, CONTENT_LENGTH=None) == (411, "length_required")
    assert code(large, **right) == (400, "invalid_content_length")
    assert code(large, **right, CONTENT_LENGTH=str(len(large))) == (413, "request_too_large")
    assert code(bad, **right, CONTENT_LENGTH=str(len(bad))) == (400, "invalid_json")
    assert code(b"{}", **right, CONTENT_LENGTH="2") == (404, "command_not_found")


@pytest.mark.parametrize("path", ["/v1/do/example%2FEcho", "/v1/do/example/..", "/v1/do/../Echo", "/v1/do/%00/Echo"])
def test_odd_paths_run_nothing_else(app, path):
    """`%2F` is a slash by the time WSGI has decoded the path."""
    answer = app.post_json(path, {}, status="*")
    if "%2F" in path:
        assert answer.json["error"] is None
    else:
        assert answer.json == error_reply("command_not_found", "No connector|no command")


def test_a_body_that_arrives_in_pieces(app):
    class Slow(io.BytesIO):
        def read(self, size):
            return super().read(min(size, 3))

    answer = post(app, status=200, CONTENT_LENGTH="12", **{"wsgi.input": Slow(b'{"value": 1}')})
    assert answer.json["command_response"]["body"]["value"] == 1


def test_a_fault_of_the_proxy_is_an_envelope_without_its_text(app, caplog):
    """Here of a server that does not know that a path is bytes (PEP 3333)."""
    answer = post(app, status=500, PATH_INFO="/s3cret/€")
    assert answer.json == error_reply("internal_error", "its log says where")
    assert "the proxy itself raised UnicodeEncodeError" in caplog.text
    assert "s3cret" not in answer.text + caplog.text


def test_the_next_request_works(app):
    for body in b"{", b"[" * 100_000, b"\xff":
        post(app, body)
        assert post(app, b'{"value": 1}', status=200).json["command_response"]["body"]["value"] == 1
