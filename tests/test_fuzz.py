"""Requests that nobody thought of: in process, and as bytes on a socket. Each is answered as the protocol says.

The examples are the same in every run; `FUZZ=search make test TESTS=tests/test_fuzz.py` looks for others, for minutes.
"""

import io
import json
import os
import re
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from client import CALL, exchange
from conftest import CONNECTORS, JSON
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from spiffproxy import Proxy

settings.register_profile(
    "same",
    derandomize=True,
    database=None,
    max_examples=50,
    # no test is timed: a machine may be busy
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", settings.get_profile("same"), derandomize=False, max_examples=5000)
settings.load_profile(os.environ.get("FUZZ", "same"))

KEY = "correct horse"

# --- values ---

# lone surrogates included, which JSON can carry
text = st.text(st.characters(), max_size=10)
# bytes, as WSGI says them (PEP 3333)
latin = st.text(st.characters(max_codepoint=255), max_size=20)
numbers = st.sampled_from([200, 201, 202, 204, 302, 304, 404, 500, 599, 600, -1, 10**30, 0.5, float("nan")])
statuses = numbers | numbers.map(str)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | statuses | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
COMMANDS = {
    "example/Echo": {"value": values, "anything": values},
    "example/Fail": {"secret": values},
    "example/Status": {"status": statuses | values, "body": values},
    "example/Inner": {"status": statuses | values},
    "example/CombineStrings": {"arg1": values, "arg2": values},
    "example/Nothing": {},
    "half/Good": {},
    "broken/Any": {},
    "hollow/Any": {},
    "nobody/Any": {},
}
# what these alone may be answered with, from 500 on
FAULTS = {
    "example/Fail": "LookupError",
    "example/Status": "invalid_response",
    "example/CombineStrings": "TypeError",
    "broken/Any": "connector_unavailable",
    "hollow/Any": "connector_unavailable",
}
SPIFF_KEYS = ["task_data", "callback_url", "process_instance_id", "process_model_identifier", "task_id", "", "other"]
spiff_values = {f"spiff__{key}": values for key in SPIFF_KEYS}
odd_parameters = st.dictionaries(st.sampled_from(["self", "cls", "config", "args", "kwargs", ""]) | text, values)


def to_json(value):
    """Lone surrogates as escapes, which is JSON, and NaN as JavaScript has it, which is not."""
    return json.dumps(value).encode()


@st.composite
def calls(draw, commands):
    """The path and the body of a call, with what the backend sends, and now and then with a parameter too much."""
    command = draw(st.sampled_from(commands))
    parameters = draw(st.fixed_dictionaries(COMMANDS[command], optional=spiff_values))
    return f"/v1/do/{command}", to_json({**parameters, **draw(st.just({}) | odd_parameters)})


# --- requests ---

OPEN_PATHS = ["/", "/liveness", "/v1/liveness"]
PATHS = [
    "/v1/commands",
    "/v1/auths",
    "/v1/status",
    "/v1/auth/example/SignIn",
    "/v1/auth/example/SignIn/callback",
    *OPEN_PATHS,
]
segments = st.sampled_from(["v1", "do", "example", "Echo", "commands", "..", ""]) | latin
paths = st.sampled_from(PATHS) | st.lists(segments, max_size=5).map("/".join) | latin
# what may be odd about a request
ODDITIES = {
    "body": st.sampled_from([b"", b"[" * 50_000, b"a" * 70_000]) | values.map(to_json) | st.binary(),
    "REQUEST_METHOD": st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"]) | latin.filter(len),
    "PATH_INFO": paths | paths.map("//{}/".format),
    "CONTENT_TYPE": st.just("Application/JSON; charset=latin-1") | st.sampled_from(["", "text/plain"]) | latin,
    "CONTENT_LENGTH": st.sampled_from(["9999", "60000", "60001", "9" * 30, "", "0", "1", "-1", "1, 1", "²"]) | latin,
    "HTTP_TRANSFER_ENCODING": st.just("chunked") | latin,
    "HTTP_SPIFF_CONNECTOR_PROXY_API_KEY": st.just(KEY) | st.sampled_from(["", KEY.upper(), f" {KEY}"]) | latin,
    "HTTP_ORIGIN": st.sampled_from(["https://a.example", "null"]) | latin,
    "HTTP_ACCEPT": st.sampled_from(["text/html", "*/*", JSON]) | latin,
    "HTTP_COOKIE": latin,
    "HTTP_HOST": latin,
    "QUERY_STRING": latin | st.just("redirect_url=https://a.example"),
    "SCRIPT_NAME": st.just("/mounted") | latin,
    "wsgi.input_terminated": st.booleans(),
}


@st.composite
def requests(draw, commands, odd_names=()):
    """A call of one of these commands, as it should be but for what `odd_names` says."""
    path, body = draw(calls(commands))
    odd = {name: draw(ODDITIES[name]) for name in odd_names}
    body = odd.pop("body", body)
    right = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "CONTENT_TYPE": JSON,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_SPIFF_CONNECTOR_PROXY_API_KEY": KEY,
    }
    return {**right, **odd}, body


def answer(proxy, environ, body):
    """Return status, headers and body, which the standard validator has seen.

    It looks at requests as well: what it is shown is a request without a fault.
    """
    shown = {"QUERY_STRING": "", "wsgi.input": io.BytesIO(body)}
    setup_testing_defaults(shown)
    started = []
    result = validator(lambda environ_shown, start: proxy({**environ_shown, **environ}, start))(
        shown, lambda status, headers, error=None: started.append((status, headers))
    )
    try:
        content = b"".join(result)
    finally:
        result.close()
    ((status, headers),) = started
    assert len(dict(headers)) == len(headers)
    return int(status[:3]), dict(headers), content


def check(environ, status, headers, content):
    """Assert what holds for any request at all; return the answer's error code, or its kind."""
    method, path = environ["REQUEST_METHOD"], [part for part in environ["PATH_INFO"].split("/") if part]
    command = "/".join(path[2:])
    assert 200 <= status <= 599
    if status in (204, 304):
        assert (content, headers.get("Content-Type"), headers.get("Content-Length")) == (b"", None, None)
        return None
    if method == "HEAD":
        assert content == b""
        return "HEAD"
    assert int(headers["Content-Length"]) == len(content)
    kind = headers["Content-Type"].partition(";")[0]
    if kind == JSON:
        value = json.loads(content.decode("ascii"), parse_constant=lambda name: 1 / 0)
        error = value.get("error") if isinstance(value, dict) else None
        kind = "Unauthorized" if status == 401 else error["error_code"] if error else "JSON"
        assert status < 500 or FAULTS[command] == kind
    elif kind == "text/html":
        assert not path or path[:2] == ["v1", "auth"]
        assert "text/html" in environ["HTTP_ACCEPT"]
    else:  # what a command of version 1 says is its own
        assert kind == "text/plain"
        assert not path or command in ("example/Status", "example/CombineStrings", "half/Good")
    return kind


def is_open(environ):
    """Tell whether a request may have another answer than 401, even though it has no key."""
    path = "/" + "/".join(part for part in environ["PATH_INFO"].split("/") if part)
    return environ["REQUEST_METHOD"] == "OPTIONS" or path in OPEN_PATHS or path.startswith("/v1/auth/")


@pytest.fixture
def ask_with(imports):
    """Return a function that asks for whatever a strategy makes, until it has had every kind of answer in `reached`."""
    proxy = Proxy(
        {
            "CONNECTOR_PROXY_CONNECTORS": str(CONNECTORS),
            "CONNECTOR_PROXY_API_KEY": KEY,
            "CONNECTOR_PROXY_CORS_ORIGINS": "*",
            "CONNECTOR_PROXY_MAX_REQUEST_BYTES": "60000",
        }
    )

    def ask_with(strategy, reached):
        kinds = set()

        @given(strategy)
        def ask(request):
            environ, body = request
            kind = check(environ, *answer(proxy, environ, body))
            if environ["HTTP_SPIFF_CONNECTOR_PROXY_API_KEY"].strip() != KEY and not is_open(environ):
                assert kind in ("Unauthorized", "not_found", "HEAD")
            kinds.add(kind)

        # Hypothesis draws constants from the modules that are loaded, so the tests before this one change its examples
        for number in range(10):
            (seed(number)(ask) if settings().derandomize else ask)()
            if kinds >= reached:
                return
        raise AssertionError(f"never reached: {reached - kinds}")

    return ask_with


@pytest.mark.parametrize(
    ("command", "reached"),
    [
        ("example/Echo", {"JSON"}),
        ("example/Fail", {"LookupError", "invalid_parameters"}),
        ("example/Status", {"text/plain", "invalid_response", "invalid_parameters"}),
        ("example/Inner", {"JSON", "invalid_parameters"}),
        ("example/CombineStrings", {"text/plain", "TypeError", "invalid_parameters"}),
        ("half/Good", {"text/plain", "invalid_parameters"}),
        ("broken/Any", {"connector_unavailable"}),
        ("nobody/Any", {"command_not_found"}),
    ],
)
def test_whatever_the_parameters_are_a_call_is_answered(ask_with, command, reached):
    ask_with(requests([command]), reached)


@pytest.mark.parametrize(
    ("odd_names", "reached"),
    [
        (["body"], {"invalid_json", "command_not_found"}),
        (["CONTENT_TYPE"], {"unsupported_media_type", "JSON"}),
        (["CONTENT_LENGTH"], {"length_required", "invalid_content_length", "request_too_large", "incomplete_request"}),
        (["HTTP_TRANSFER_ENCODING", "wsgi.input_terminated"], {"invalid_content_length"}),
        (["REQUEST_METHOD"], {"method_not_allowed", "HEAD"}),
        (["REQUEST_METHOD", "PATH_INFO", "HTTP_ACCEPT", "QUERY_STRING"], {"method_not_allowed", "not_found", "HEAD"}),
        (["HTTP_SPIFF_CONNECTOR_PROXY_API_KEY"], {"Unauthorized", "JSON"}),
        (["PATH_INFO", "HTTP_ORIGIN", "HTTP_HOST", "HTTP_COOKIE", "SCRIPT_NAME"], {"method_not_allowed", "not_found"}),
        (list(ODDITIES), {"not_found"}),
    ],
    ids=lambda value: " ".join(value[:5]) if isinstance(value, list) else "",
)
def test_whatever_is_odd_about_a_request_it_is_answered(ask_with, odd_names, reached):
    ask_with(requests(list(COMMANDS), odd_names), reached)


# --- bytes on a socket ---

RIGHT = [
    b"GET /v1/commands HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"HEAD /v1/auths HTTP/1.0\r\n\r\n",
    b"OPTIONS /v1/liveness HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\r\n",
    b"GET http://a.example/?q=1 HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n",
    CALL + b'Content-Length: 12\r\n\r\n{"value": 1}',
    CALL + b'Expect: 100-continue\r\nContent-Length: 12\r\n\r\n{"value": 1}',
    CALL + b'Transfer-Encoding: chunked\r\n\r\nc\r\n{"value": 1}\r\n0\r\n\r\n',
]
PIECES = [b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"\t", b"/", b"%", b"?", b"\xff", b"\r\n\r\n", b"\r\n folded\r\n"]
PIECES += [b"HTTP/1.1", b"HTTP/0.9", b"HTTP/2.0", b"HEAD", b"http://", b"A: b\r\n" * 120, b"a" * 70_000, *RIGHT]
PIECES += [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n"]


@st.composite
def mutations(draw):
    """A request that was right until something was cut out of it, put into it, or both."""
    data = draw(st.sampled_from(RIGHT))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.just(start) | st.integers(start, min(start + 30, len(data))) | st.just(len(data)))
        data = data[:start] + draw(st.just(b"") | st.sampled_from(PIECES) | st.binary(max_size=8)) + data[end:]
    return data


def check_bytes(data, received):
    """Assert that an answer, if there is one, is whole and proper HTTP."""
    received = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    if not received:
        return "closed"
    words = data.lstrip(b"\r\n").decode("latin-1").partition("\n")[0].split()
    head, blank, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    assert blank
    assert re.fullmatch(r"HTTP/1\.[01] [2-5][0-9]{2} [ -~]+", first)
    fields = [re.fullmatch(r"([A-Za-z-]+): ([ -~]*)", line).groups() for line in lines]
    headers = {name.lower(): value for name, value in fields}
    assert len(headers) == len(fields)
    if words[:1] == ["HEAD"]:
        assert not body or json.loads(body)["error"]["error_code"] == "bad_request"  # it could not be read as HEAD
    elif headers.get("content-type") == JSON:
        json.loads(body)
    else:
        assert not body or body.startswith(b"A connector proxy")
    if " 204 " in first:
        assert headers.keys().isdisjoint({"content-length", "content-type"})
    assert not body or len(body) == int(headers["content-length"])
    return int(first.split()[1])


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of an example that fails
def test_whatever_bytes_are_sent_the_server_lives(start_server, tmp_path):
    """And has nothing to say about it that would be a fault of its own."""
    (tmp_path / "connector_example").symlink_to(CONNECTORS / "connector_example")  # the others log their own faults
    server = start_server("--connectors", str(tmp_path))
    stderr = server.process.stderr
    os.set_blocking(stderr.fileno(), False)  # read as it comes: a full pipe would halt the server
    seen, log = set(), []

    @settings(max_examples=8 * settings().max_examples)
    @given(mutations() | st.binary())
    def send(data):
        seen.add(check_bytes(data, exchange(server, data)))
        log.append(stderr.read() or b"")

    send()
    assert seen >= {"closed", 200, 204, 400, 405, 411, 415}
    assert exchange(server, RIGHT[0]).endswith(b"]")
    text = b"".join(log).decode() + server.stop()[1]
    assert "printed by a command" in text
    assert not re.search("Traceback|File |the server raised", text)
