"""The http connector: redirects, failures, time, where it may go, and connections that are kept; over real sockets."""

import contextlib
import gzip
import re
import shutil
import socket
import subprocess
import threading
import time
import zlib

import pytest
import trustme
from conftest import (
    at_once,
    free_port,
    read_request,
    serve_http,
    serve_nobody,
    serve_sockets,
    server_context,
    start_caller,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
GET = "GetRequestV2"


def outcome(answer):
    """Error code, status and body of an envelope; no code where there was no error."""
    answer = answer.json if hasattr(answer, "json") else answer
    response = answer["command_response"]
    return answer["error"] and answer["error"]["error_code"], response["http_status"], response["body"]


# --- redirects ---


@pytest.mark.parametrize(
    ("status", "method", "then", "repeats_body"),
    [
        (301, "Get", "GET", False),
        (301, "Post", "GET", False),
        (301, "Put", "PUT", True),
        (301, "Patch", "PATCH", True),
        (301, "Head", "HEAD", False),
        (301, "Delete", "DELETE", False),
        (302, "Post", "GET", False),
        (302, "Put", "GET", False),
        (302, "Delete", "GET", False),
        (302, "Head", "HEAD", False),
        (303, "Patch", "GET", False),
        (303, "Put", "GET", False),
        (303, "Head", "HEAD", False),
        (307, "Post", "POST", True),
        (307, "Delete", "DELETE", False),
        (307, "Put", "PUT", True),
        (308, "Post", "POST", True),
        (308, "Patch", "PATCH", True),
        (308, "Get", "GET", False),
    ],
)
def test_redirects(http_call, upstream, status, method, then, repeats_body):
    upstream.answer = lambda request: (
        (status, {"Location": "/there?q=s3cret#x"}, b"moved") if request.path == "/" else (200, {}, b"")
    )
    answer = http_call(f"{method}RequestV2", url=upstream.url).json
    assert answer["error"] is None
    first, second = upstream.requests
    assert (second.command, second.path) == (then, "/there?q=s3cret")
    assert second.body == (first.body if repeats_body else b"")
    if not repeats_body:
        assert "Content-Type" not in second.headers
    assert answer["spiff__logs"][0] == f"{method.upper()} {upstream.url}/: {status} to {upstream.url}/there"


def test_what_is_not_followed(http_call, upstream):
    for status, headers in (300, {"Location": "/x"}), (304, {"Location": "/x"}), (302, {}):
        upstream.answer = lambda request, status=status, headers=headers: (status, headers, b"")
        assert outcome(http_call(GET, url=upstream.url))[:2] == (None, status)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("there", "/a/there"),
        ("../there", "/there"),
        ("?x=1", "/a/b?x=1"),
        ("//HOST/there", "/there"),
        ("/gr\xc3\xbcn", "/gr%C3%BCn"),
        ("/gr\xfcn x", "/gr%C3%BCn%20x"),
    ],
)
def test_locations(http_call, upstream, location, path):
    location = location.replace("HOST", upstream.url[len("http://") :])
    upstream.answer = lambda request: (302, {"Location": location}, b"") if request.path == "/a/b" else (200, {}, b"")
    assert outcome(http_call(GET, url=f"{upstream.url}/a/b"))[0] is None
    assert upstream.requests[1].path == path


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("file:///etc/passwd", "InvalidSchema"),
        ("ftp://127.0.0.1/", "InvalidSchema"),
        ("http://a..b/", "InvalidURL"),
        ("http://[::1/x", "InvalidURL"),
        ("http://\u00e2\u0084\u0080/", "InvalidURL"),
    ],
)
def test_redirects_that_lead_nowhere(http_call, upstream, location, code):
    upstream.answer = lambda request: (302, {"Location": location}, b"")
    assert outcome(http_call(GET, url=upstream.url)) == (code, 400, {})


@pytest.mark.parametrize(
    ("locations", "code"),
    [(["/there", "/there"], None), (["/there", "/else"], "InvalidResponse"), (["", "/there"], "InvalidResponse")],
)
@pytest.mark.parametrize("method", ["Get", "Head", "Post"])
def test_several_locations(http_call, upstream, method, locations, code):
    """Are one if they are equal; else nobody knows which one counts."""
    upstream.answer = lambda request: (302, {"Location": locations}, b"") if request.path == "/" else (200, {}, b"")
    answer = http_call(f"{method}RequestV2", url=upstream.url)
    assert outcome(answer)[:2] == ((code, 502) if code else (None, 200))
    assert [request.path for request in upstream.requests] == (["/"] if code else ["/", "/there"])


@pytest.mark.parametrize(("redirects", "code"), [(30, None), (31, "TooManyRedirects")])
@pytest.mark.parametrize("command", [GET, "HeadRequestV2"])
def test_thirty_redirects(http_call, upstream, redirects, code, command):
    def answer(request):
        number = int(request.path[1:])
        return (302, {"Location": f"/{number - 1}"}, b"") if number else (200, {}, b"")

    upstream.answer = answer
    assert outcome(http_call(command, url=f"{upstream.url}/{redirects}"))[0] == code


def test_a_redirect_to_itself(http_call, upstream):
    upstream.answer = lambda request: (302, {"Location": "/"}, b"")
    assert outcome(http_call(GET, url=upstream.url, attempts=3))[:2] == ("TooManyRedirects", 500)
    assert len(upstream.requests) == 31


SECRETS = {"Authorization": "Bearer s3cret", "cookie": "a=s3cret", "X-Other": "1"}


def test_credentials_stay_with_their_origin(http_call, upstream, other_upstream):
    """Another port is another origin."""
    upstream.answer = lambda request: (302, {"Location": "/same" if request.path == "/" else other_upstream.url}, b"")
    http_call(GET, url=upstream.url, headers={**SECRETS, "Host": "chosen.example"})
    assert [request.headers["Authorization"] for request in upstream.requests] == ["Bearer s3cret"] * 2
    assert [request.headers["Cookie"] for request in upstream.requests] == ["a=s3cret"] * 2
    assert [request.headers["Host"] for request in upstream.requests] == ["chosen.example"] * 2
    (elsewhere,) = other_upstream.requests
    assert elsewhere.headers["X-Other"] == "1"
    assert elsewhere.headers["Host"] == other_upstream.url[len("http://") :]
    assert "s3cret" not in str(elsewhere.headers)


@pytest.mark.parametrize(("start", "then"), [("http", "other host"), ("http", "https"), ("https", "http")])
@pytest.mark.parametrize("secrets", [{"basic_auth_username": "u"}, {"headers": SECRETS}])
def test_credentials_do_not_go_to_another_host_or_scheme(http_call, upstream, tls_upstream, start, then, secrets):
    other_host = upstream.url.replace("127.0.0.1", "localhost")
    urls = {"http": upstream.url, "https": tls_upstream.url, "other host": other_host}
    for server in upstream, tls_upstream:
        server.answer = lambda request: (
            (302, {"Location": f"{urls[then]}/end"}, b"") if request.path == "/" else (200, {}, b"")
        )
    assert outcome(http_call(GET, url=urls[start], **secrets))[0] is None
    headers = {request.path: request.headers for server in (upstream, tls_upstream) for request in server.requests}
    assert "Authorization" in headers["/"]
    assert "Authorization" not in headers["/end"]
    assert "Cookie" not in headers["/end"]


def test_credentials_in_a_location_are_ignored(http_call, upstream):
    location = upstream.url.replace("http://", "http://u:s3cret@") + "/there"
    upstream.answer = lambda request: (302, {"Location": location}, b"") if request.path == "/" else (200, {}, b"")
    answer = http_call(GET, url=upstream.url)
    assert "Authorization" not in upstream.requests[1].headers
    assert "s3cret" not in answer.text


def test_cookies_of_a_hop_reach_the_next(http_call, upstream):
    """Those that fit; and they are forgotten after the call."""
    cookies = ["a=1; Path=/", "b=2; Path=/elsewhere", "c=3; Path=/; Secure", "d=4; Path=/; Domain=other.example"]

    def answer(request):
        if request.path == "/":
            return 302, {"Location": "/two", "Set-Cookie": cookies}, b""
        return (302, {"Location": "/three"}, b"") if request.path == "/two" else (200, {}, b"")

    upstream.answer = answer
    for headers, expected in (None, [None, "a=1", "a=1"]), ({"Cookie": "own=0"}, ["own=0"] + ["own=0; a=1"] * 2):
        upstream.requests.clear()
        http_call(GET, url=upstream.url, headers=headers)
        assert [request.headers["Cookie"] for request in upstream.requests] == expected


def test_cookies_go_to_the_host_that_set_them(http_call, upstream, other_upstream):
    """On any port, as `requests` has it."""
    other_host = upstream.url.replace("127.0.0.1", "localhost")
    for server, location in (upstream, other_upstream.url), (other_upstream, other_host + "/end"):
        server.answer = lambda request, location=location: (
            (200, {}, b"") if request.path == "/end" else (302, {"Location": location, "Set-Cookie": "a=1"}, b"")
        )
    http_call(GET, url=upstream.url)
    assert other_upstream.requests[0].headers["Cookie"] == "a=1"
    assert "Cookie" not in upstream.requests[1].headers


@pytest.mark.parametrize(
    ("own", "set_cookies", "sent"),
    [
        ("session=old", ["session=new"], "session=new"),
        ("session=old; other=1", ["session=new; Path=/; HttpOnly"], "other=1; session=new"),
        ("a=1;session=old;b=2", ["session=new"], "a=1; b=2; session=new"),
        ("session=old; a=1; session=older", ["session=new"], "a=1; session=new"),
        ("session=old; a=1", ["session=new", "a=2"], "session=new; a=2"),
        ("Session=old", ["session=new"], "Session=old; session=new"),
        ("xsession=old; session2=1", ["session=new"], "xsession=old; session2=1; session=new"),
        (" session = old ", ["session=new"], "session=new"),
        ("session", ["session=new"], "session=new"),
        ('session="a b"; c=d==', ["session=new=="], "c=d==; session=new=="),
        ("session=old", ["session="], "session="),
        ("session=old", ["session=; Max-Age=0"], None),
        ("session=old; a=1", ["session=x; expires=Thu, 01 Jan 1970 00:00:00 GMT; path=/"], "a=1"),
        ("session=old", ["session=x; Max-Age=0", "session=new"], "session=new"),
        ("session=old", ["session=new; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], "session=new"),
        ("session=old", ["session=new; Path=/; MAX-AGE = 60 ;expires"], "session=new"),
        ("session=old", ["session=new; Path=/elsewhere"], "session=old"),
        ("session=old", ["session=; Max-Age=0; Path=/elsewhere"], "session=old"),
        ("session=old", ["session=new; Domain=other.example"], "session=old"),
        ("session=old", ["session=new; Secure"], "session=old"),
        ("session=old", [""], "session=old"),
        ("session=old", ["session=new; Max-Age=soon"], "session=new"),
        ("session=old", ["session=new; Max-Age=-1"], None),
        ("session=old", ["session=new; Path=a; Port=80"], "session=new"),
        ("session=old", ['session=new; port="1"; path'], "session=new"),
        ("session=old", ["session=\xc3\xa0; HttpOnly", "next=\x85"], "session=\xc3\xa0; next=\x85"),
        (None, ["session=; Max-Age=0"], None),
        (None, ["session=new", "a=1"], "session=new; a=1"),
    ],
)
@pytest.mark.parametrize("name", ["Cookie", "cookie"])
def test_a_cookie_replaces_that_of_the_author(http_call, upstream, own, set_cookies, sent, name):
    """By its name, and for as long as it fits; so does the deletion of a cookie."""
    upstream.answer = lambda request: (
        (302, {"Location": "/two", "Set-Cookie": set_cookies}, b"")
        if request.path == "/"
        else (302, {"Location": "/three"}, b"")
        if request.path == "/two"
        else (200, {}, b"")
    )
    assert outcome(http_call(GET, url=upstream.url, headers={name: own}))[0] is None
    assert [request.headers.get_all("Cookie") for request in upstream.requests] == [
        own and [own.strip()],
        sent and [sent],
        sent and [sent],
    ]


def test_the_last_of_several_cookies_counts(http_call, upstream):
    """Each hop sets the session anew, and another attempt starts with that of the author."""
    upstream.answer = lambda request: (
        (302, {"Location": f"/{len(upstream.requests)}", "Set-Cookie": f"s={len(upstream.requests)}; Path=/"}, b"")
        if len(upstream.requests) < 3
        else (503 if len(upstream.requests) == 3 else 200, {}, b"")
    )
    http_call(GET, url=upstream.url, headers={"Cookie": "s=own; a=b"}, attempts=2)
    cookies = [request.headers["Cookie"] for request in upstream.requests]
    assert cookies == ["s=own; a=b", "a=b; s=1", "a=b; s=2", "s=own; a=b"]


def test_a_folded_cookie_is_sent_in_one_line(http_call, upstream):
    upstream.answer = lambda request: (
        (302, {"Location": "/two", "Set-Cookie": "a=1\r\n X: 2; Path=/"}, b"")
        if request.path == "/"
        else (200, {}, b"")
    )
    assert outcome(http_call(GET, url=upstream.url))[0] is None
    assert upstream.requests[1].headers["Cookie"] == "a=1 X: 2"


# --- failures ---


def closes(connection, number):
    read_request(connection)


def resets_at_once(connection, number):
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def resets(connection, number):
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def hangs_up(connection, number):
    """Whatever comes, TLS too."""
    connection.recv(65536)


def says(answer):
    def talk(connection, number):
        read_request(connection)
        return answer

    return talk


def never_ends(start, part):
    def talk(connection, number):
        read_request(connection)
        connection.sendall(start)
        while True:
            connection.sendall(part * 1000)

    return talk


def head(status, *lines):
    """Return an answer, but for its body, after which the connection is closed."""
    return "\r\n".join([f"HTTP/1.1 {status} Words", "Connection: close", *lines, "\r\n"]).encode()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("talk", "code", "words"),
    [
        (closes, "ConnectionError", "closed the connection without a response"),
        (resets, "ConnectionError", "failed: Connection reset by peer"),
        (says(b"H"), "ConnectionError", "closed the connection in the middle of the status line"),
        (says(b"HTTP/1.1 2"), "ConnectionError", "closed the connection in the middle of the status line"),
        (says(b"HTTP/1.1 200"), "ConnectionError", "closed the connection in the middle of the status line"),
        (says(b"HTTP/1.1 200 OK\r\n"), "ConnectionError", "closed the connection in the middle of the headers"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 1"), "ConnectionError", "in the middle of the headers"),
        (says(b"HTTP/1.1 200 OK\r\nA: b\r\n"), "ConnectionError", "in the middle of the headers"),
        (says(b"HTTP/1.1 103 Early Hints\r\n\r\n"), "ConnectionError", "closed the connection without a response"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"), "ChunkedEncodingError", "response is incomplete"),
        (says(CHUNKED + b"5\r\nshort\r\n"), "ChunkedEncodingError", "response is incomplete"),
        (says(CHUNKED + b"5\r\nsho"), "ChunkedEncodingError", "response is incomplete"),
        (says(CHUNKED + b"5\r\nshort\r\n0"), "ChunkedEncodingError", "response is incomplete"),
        (says(CHUNKED + b"5\r\nshort"), "ChunkedEncodingError", "response is incomplete"),
        (says(CHUNKED + b"5\r\nshort\r"), "ChunkedEncodingError", "response is incomplete"),
        (says(CHUNKED), "ChunkedEncodingError", "response is incomplete"),
    ],
)
def test_without_a_whole_answer(http_call, raw_server, talk, code, words):
    server = raw_server(talk)
    answer = http_call(GET, url=server.url)
    assert outcome(answer) == (code, 500, {})
    assert words in answer.json["error"]["message"]
    assert server.connections == 1


def then_waits(answer):
    """Like a server that keeps the connection open, until the client closes it."""

    def talk(connection, number):
        read_request(connection)
        connection.sendall(answer)
        connection.recv(1)

    return talk


BODY = b"Content-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (then_waits(b"nonsense"), "it starts with 'nonsense'"),
        (then_waits(b"{}"), "it starts with '{}'"),
        (then_waits(b"\r\n"), "it starts with ''"),
        (then_waits(b"SSH-2.0-OpenSSH_9.6\r\n"), "it starts with 'SSH-2.0-OpenSSH_9.6'"),
        (then_waits(b"http/1.1 200 OK\r\n" + BODY), "it starts with 'http/1.1 200 OK'"),
        (then_waits(b"\x15\x03\x01\x00\x02\x02\x46"), "it is a TLS alert. The port expects https://"),
        *(
            (then_waits(line + b"\r\n" + BODY), f"its status line is {line.decode()!r}")
            for line in [
                b"HTTP/1.1",
                b"HTTP/1.1 20 OK",
                b"HTTP/1.1 2000 OK",
                b"HTTP/1.1 200OK",
                b"HTTP/1.1 two OK",
                b"HTTP/1.1 200 O\rK",
                b"HTTP/1 200 OK",
                b"HTTP/2 200",
                b"HTTP/1.1\x0b200 OK",
            ]
        ),
        (then_waits(b"HTTP/1.1 200 OK\r\r\n" + BODY), "its status line is "),
        *(
            (then_waits(f"HTTP/1.1 {status} Words\r\n".encode() + BODY), f"its status is {int(status)}")
            for status in ["000", "099", "101", "600", "999"]
        ),
        (never_ends(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"), "more than 1000 header lines"),
        (never_ends(b"HTTP/1.1 200 OK\r\nA: ", b"b"), "more than 262144 bytes of headers"),
        (never_ends(b"HTTP/1.1 200 OK\r\nA: b\r\n", b" c" * 200 + b"\r\n"), "more than 262144 bytes of headers"),
        (never_ends(b"HTTP/1.1 ", b"b"), "more than 65536 bytes"),
        (never_ends(b"HTTP/1.1 103 Early Hints\r\n", b"A: b\r\n"), "more than 1000 header lines"),
    ],
)
@pytest.mark.parametrize("method", ["Get", "Head", "Post"])
def test_what_is_not_http(make_http_call, raw_server, method, talk, words):
    """Is refused at once, though the connection stays open, and is not tried again."""
    server = raw_server(talk)
    attempts = {} if method == "Post" else {"attempts": 3}
    http_call = make_http_call(HTTP_TIMEOUT=5)
    answer = http_call(f"{method}RequestV2", url=f"{server.url}/?q=s3cret", **attempts)
    assert outcome(answer) == ("InvalidResponse", 502, {})
    message = answer.json["error"]["message"]
    assert message.startswith(f"The response of {server.url}/ is not valid HTTP: ")
    assert words in message
    assert server.connections == 1


def test_a_redirect_to_what_is_not_http(http_call, raw_server):
    there = raw_server(then_waits(b"nonsense"))
    server = raw_server(says(head(302, f"Location: {there.url}")))
    assert outcome(http_call(GET, url=server.url)) == ("InvalidResponse", 502, {})


@pytest.mark.parametrize(("lines", "code"), [(1000, None), (1001, "InvalidResponse")])
@pytest.mark.parametrize("method", ["Get", "Head", "Put"])
def test_a_thousand_header_lines(http_call, raw_server, method, lines, code):
    """Folded ones count."""
    block = b"A: b\r\n c\r\n" + b"D: e\r\n" * (lines - 3) + b"Content-Length: 2\r\n\r\n"
    server = raw_server(says(b"HTTP/1.1 200 OK\r\n" + block + (b"" if method == "Head" else b"{}")))
    assert outcome(http_call(f"{method}RequestV2", url=server.url))[0] == code


@pytest.mark.parametrize(("size", "code"), [(262_144, None), (262_145, "InvalidResponse")])
@pytest.mark.parametrize("fill", [b"x", b"x" * 1000 + b"\r\n "])
def test_256_kibibytes_of_headers(http_call, raw_server, size, code, fill):
    end = b"\r\nContent-Length: 2\r\n\r\n"
    value = (fill * 300_000)[: size - len(b"A: " + end) - 1] + b"x"
    server = raw_server(says(b"HTTP/1.1 200 OK\r\nA: " + value + end + b"{}"))
    assert outcome(http_call(GET, url=server.url))[0] == code


def test_nobody_listens(http_call):
    port = free_port()
    answer = http_call(GET, url=f"http://127.0.0.1:{port}/")
    assert outcome(answer) == ("ConnectionError", 500, {})
    assert answer.json["error"]["message"] == f"No connection to 127.0.0.1 port {port}: Connection refused"


@pytest.mark.parametrize("command", [GET, "GetRequest"])
@pytest.mark.parametrize(
    "url",
    [
        "http://USER@127.0.0.1:CLOSED",
        "http://USER@127.0.0.1:CLOSES",
        "http://USER@127.0.0.1:REDIRECTS",
        "https://USER@127.0.0.1:CLOSED",
        "https://USER@127.0.0.1:CLOSES",
        "http://USER@nowhere.invalid",
        "http://USER@169.254.169.254",
        "http://USER@127.0.0.1:x",
        "http://USER@[::1",
        "http://USER@a b",
        "ftp://USER@127.0.0.1",
        "//USER@127.0.0.1",
        "USER@127.0.0.1",
        "s3cret",
    ],
)
def test_messages_do_not_repeat_secrets(http_call, raw_server, command, url):
    """Neither those of the URL nor those of a redirect."""
    closing = raw_server(hangs_up)
    location = f"Location: http://user:s3cret@127.0.0.1:{closing.port}/?q=s3cret"
    ports = {"CLOSED": free_port(), "CLOSES": closing.port, "REDIRECTS": raw_server(says(head(302, location))).port}
    for name, value in {"USER": "user:s3cret", **ports}.items():
        url = url.replace(name, str(value))
    answer = http_call(command, "*", url=f"{url}/?q=s3cret")
    assert answer.json["error"]
    assert "s3cret" not in answer.text


@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints\r\nLink: </a.css>"])
def test_an_interim_answer_is_not_the_answer(http_call, raw_server, interim):
    server = raw_server(says(b"HTTP/1.1 " + interim + b"\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK))
    assert outcome(http_call(GET, url=server.url)) == (None, 200, {})


def test_an_answer_that_ends_with_the_connection(http_call, raw_server):
    server = raw_server(says(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[1]"))
    assert outcome(http_call(GET, url=server.url)) == (None, 200, [1])


def test_a_chunked_answer(http_call, raw_server):
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: x\r\n\r\n"
    server = raw_server(says(chunks))
    assert outcome(http_call(GET, url=server.url)) == (None, 200, {"raw_response": "abcde"})


def test_an_early_answer_while_the_request_is_sent(http_call, raw_server):
    """A 413 does not wait for the body, and may close the connection."""

    def talk(connection, number):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1_000_000):
            pass

    server = raw_server(talk)
    assert outcome(http_call("PostRequestV2", url=server.url, data="x" * 5_000_000))[:2] == ("HttpError413", 413)


# --- tries ---


def once(talk):
    return lambda connection, number: (talk if number == 1 else says(OK))(connection, number)


TRIES = [
    (GET, once(says(head(500))), ["HttpError500", "HTTP 200"]),
    (GET, lambda connection, number: says(head(502 + number))(connection, 1), ["HttpError503", "HttpError504"]),
    (GET, once(closes), ["ConnectionError", "HTTP 200"]),
    (GET, once(resets), ["ConnectionError", "HTTP 200"]),
    (GET, once(says(head(200, "Content-Length: 10") + b"short")), ["ChunkedEncodingError", "HTTP 200"]),
    (GET, once(says(head(302, "Location: http://127.0.0.1:1"))), ["ConnectionError", "HTTP 200"]),
    ("HeadRequestV2", once(says(head(503))), ["HttpError503", "HTTP 200"]),
    ("HeadRequestV2", once(closes), ["ConnectionError", "HTTP 200"]),
    (GET, once(says(head(404))), ["HttpError404"]),
    (GET, once(says(head(429))), ["HttpError429", "HTTP 200"]),
    ("HeadRequestV2", once(says(head(429))), ["HttpError429", "HTTP 200"]),
    (GET, once(says(head(200, "Content-Encoding: gzip") + b"nonsense")), ["ContentDecodingError"]),
    (GET, once(says(head(200, "Content-Type: application/json") + b"nonsense")), ["JSONDecodeError"]),
    (GET, once(says(head(200, "Content-Length: 99999999"))), ["ResponseTooLarge"]),
    (GET, once(says(head(302, "Location: ftp://127.0.0.1"))), ["InvalidSchema"]),
    (GET, once(says(head(302, "Location: http://169.254.169.254"))), ["HostNotAllowed"]),
]


def test_what_may_pass_is_tried_again(http_call, raw_server):
    """A second later; and what succeeds then leaves no error behind."""

    def call(command, talk, _):
        times = []

        def keep_time(connection, number):
            times.append(time.monotonic())
            return talk(connection, number)

        answer = http_call(command, url=raw_server(keep_time).url, attempts=2).json
        assert times[-1] - times[0] >= len(times) - 1
        outcomes = [line.rpartition(": ")[2] for line in answer["spiff__logs"] if "attempt" in line]
        error = answer["error"] or {"error_code": "HTTP 200", "message": ""}
        assert error["message"].endswith(" (after 2 attempts)") == (len(outcomes) == 2 and outcomes[1] != "HTTP 200")
        return outcomes, error["error_code"]

    assert at_once(call, TRIES) == [(outcomes, outcomes[-1]) for _, _, outcomes in TRIES]


def test_no_try_starts_that_the_deadline_cannot_hold(make_http_call, upstream):
    upstream.answer = lambda request: (503, {}, b"")
    assert outcome(make_http_call(HTTP_TIMEOUT=0.9)(GET, url=upstream.url, attempts=9))[0] == "HttpError503"
    assert len(upstream.requests) == 1


# what a server sends with 429 or 503 → how long it has to be left alone, or None if there is no time for another attempt
RETRY_AFTER = [
    (["Retry-After: 0"], 0),
    (["Retry-After: 2"], 2),
    (["Retry-After: 1", "Retry-After: 2"], 2),
    (["Date: Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After: Sun, 06 Nov 1994 08:49:39 GMT"], 2),
    (["Retry-After: -2"], 1),
    (["Retry-After: soon"], 1),
    (["Retry-After: 11"], None),
    (["Retry-After: " + "9" * 5000], None),
    (["Retry-After: Sun, 31 Dec 9999 23:59:59 GMT"], None),
]


def test_how_long_a_server_asks_to_wait(make_http_call, raw_server):
    """Is waited for in place of the second; if the time does not suffice, its response is the result at once."""
    call = make_http_call(HTTP_TIMEOUT=10)

    def find_wait(status, lines, _):
        times = []

        def talk(connection, number):
            times.append(time.monotonic())
            read_request(connection)
            return head(status, "Content-Type: application/json", *lines) + b'{"a": 1}' if number == 1 else OK

        answer = outcome(call(GET, url=raw_server(talk).url, attempts=2))
        if len(times) == 1:
            assert answer == (f"HttpError{status}", status, {"a": 1})
            return None
        assert answer == (None, 200, {})
        return times[1] - times[0]

    rows = [(status, lines, wait) for status in (429, 503) for lines, wait in RETRY_AFTER]
    for (_, lines, wait), found in zip(rows, at_once(find_wait, rows)):
        assert (found is None) == (wait is None), lines
        assert wait is None or found >= wait, lines


def test_no_second_between_attempts_that_a_server_does_not_ask_for(make_http_call, upstream):
    """Nine of them would take longer than the command may."""
    upstream.answer = lambda request: (429 if len(upstream.requests) < 10 else 200, {"Retry-After": "0"}, b"")
    assert outcome(make_http_call(HTTP_TIMEOUT=8)(GET, url=upstream.url, attempts=10))[0] is None
    assert len(upstream.requests) == 10


# --- time ---


SLOW = 3  # seconds that a server takes in all; the deadline is a fifth of it


def silent(connection, number):
    read_request(connection)
    time.sleep(SLOW)
    return OK


def drips(start, part):
    def talk(connection, number):
        read_request(connection)
        connection.sendall(start)
        for _ in range(30):
            connection.sendall(part)
            time.sleep(SLOW / 30)  # each part in time

    return talk


def redirects_slowly(connection, number):
    read_request(connection)
    time.sleep(SLOW / 10)  # each hop in time
    return OK if number == 10 else head(302, "Location: /")


SLOW_SERVERS = [
    ("http", "silent", silent),
    ("https", "a handshake that hangs", silent),
    ("http", "a first line that drips", drips(b"HTTP/1.1 200 ", b"O")),
    ("http", "headers that drip", drips(b"HTTP/1.1 200 OK\r\nA: ", b"a")),
    ("http", "interim answers that drip", drips(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")),
    ("http", "a body that drips", drips(head(200, "Content-Length: 30"), b"a")),
    ("http", "a body without a length", drips(head(200), b"a")),
    ("http", "chunks that drip", drips(CHUNKED, b"1\r\na\r\n")),
    ("http", "trailers that drip", drips(CHUNKED + b"0\r\n", b"A: b\r\n")),
    ("http", "a redirect's body that drips", drips(head(302, "Location: /", "Content-Length: 30"), b"a")),
    ("http", "redirects in time, all together not", redirects_slowly),
]


def test_one_deadline_for_all(make_http_call, raw_server):
    """Which the servers would outlast; and nothing is tried again when it is over."""
    call = make_http_call(HTTP_TIMEOUT=SLOW / 5)

    def call_slow(scheme, what, talk):
        answer = call(GET, url=raw_server(talk).url.replace("http", scheme), attempts=5)
        return what, outcome(answer), answer.json["spiff__logs"][-1].rpartition(", ")[2]

    expected = ("ReadTimeout", 500, {}), "attempt 1 of 5: ReadTimeout"
    assert at_once(call_slow, SLOW_SERVERS) == [(what, *expected) for _, what, _ in SLOW_SERVERS]


def reads_nothing(connection, number):
    time.sleep(SLOW)


def reads_slowly(connection, number):
    for _ in range(100):
        connection.recv(65536)
        time.sleep(SLOW / 100)  # each part in time


def test_a_request_that_is_not_taken(make_http_call, raw_server):
    call = make_http_call(HTTP_TIMEOUT=SLOW / 3)

    def put(talk):
        ended = threading.Event()
        url = raw_server(lambda *conversation: talk(*conversation) or ended.set()).url
        return outcome(call("PutRequestV2", url=url, data="x" * 12_000_000))[0], ended.is_set()

    assert at_once(put, [(reads_nothing,), (reads_slowly,)]) == [("ReadTimeout", False)] * 2


def test_no_connection_in_time(make_http_call):
    with serve_nobody() as port:
        answer = make_http_call(HTTP_TIMEOUT=0.3)(GET, url=f"http://127.0.0.1:{port}/")
    assert outcome(answer) == ("ConnectTimeout", 500, {})
    assert answer.json["error"]["message"] == f"127.0.0.1 port {port} does not respond"


@pytest.mark.parametrize(("seconds", "code"), [(39, None), (41, "ReadTimeout")])
def test_forty_seconds(http_call, raw_server, clock, seconds, code):
    """Where no setting says otherwise; they pass before a redirect."""

    def talk(connection, number):
        read_request(connection)
        clock.seconds = seconds
        return head(302, "Location: /") if number == 1 else OK

    assert outcome(http_call(GET, url=raw_server(talk).url))[0] == code


# --- names ---


@pytest.fixture(scope="module")
def call_names():
    """A process that knows names which no test can have looked up, and addresses which are not on this machine."""
    names = {
        "hangs.example": [None],
        "silent-and-well.example": [["127.0.0.2", "127.0.0.1"]],
        "refused-and-well.example": [["127.0.0.3", "127.0.0.1"]],
        "rebound.example": [["127.0.0.1"], ["127.0.0.3"]],
        "metadata.example": [["169.254.169.254"]],
        "metadata.example.": [["169.254.169.254"]],
        "metadata6.example": [["::ffff:169.254.169.254"]],
        "ten.example": [["10.1.2.3"]],
        "a.ten.example": [["10.1.2.3"]],
    }
    with start_caller(names, {"169.254.169.254": "127.0.0.1", "10.1.2.3": "127.0.0.1"}) as caller:
        yield caller


def test_a_name_that_is_not_looked_up_in_time(call_names):
    """The resolver is replaced by one that sleeps: see tests/caller.py."""
    answer = call_names(f"http/{GET}", {"CONNECTOR_PROXY_HTTP_TIMEOUT": "0.3"}, url="http://u:s3cret@hangs.example/")
    assert outcome(answer) == ("ConnectTimeout", 500, {})
    assert answer["error"]["message"] == "The name hangs.example could not be looked up in time"


@pytest.mark.parametrize("name", ["silent-and-well.example", "refused-and-well.example"])
def test_a_name_with_two_addresses(call_names, raw_server, name):
    """One that is silent leaves time for the other."""
    server = raw_server(says(OK))
    with serve_nobody("127.0.0.2", server.port):
        answer = call_names(f"http/{GET}", {"CONNECTOR_PROXY_HTTP_TIMEOUT": "1"}, url=f"http://{name}:{server.port}/")
    assert outcome(answer) == (None, 200, {})


# --- TLS ---


def test_tls(http_call, tls_upstream):
    assert outcome(http_call(GET, url=tls_upstream.url)) == (None, 200, {"ok": True})


def test_a_certificate_for_another_name(http_call, tls_upstream):
    answer = http_call(GET, url=tls_upstream.url.replace("127.0.0.1", "localhost"))
    assert outcome(answer) == ("SSLError", 500, {})
    message = answer.json["error"]["message"]
    assert "The certificate of localhost is not trusted: Hostname mismatch" in message
    assert "authorities" not in message


def test_a_certificate_of_nobody(http_call):
    with serve_http(server_context(trustme.CA(), "127.0.0.1")) as server:
        answer = http_call(GET, url=server.url, attempts=3)
    assert outcome(answer) == ("SSLError", 500, {})
    assert "certificate" in answer.json["error"]["message"]
    assert "attempt 1 of 3" in answer.json["spiff__logs"][-1]


@pytest.mark.parametrize(
    ("talk", "code", "words"),
    [
        (lambda connection, number: connection.recv(65536) and OK, "SSLError", "TLS with 127.0.0.1 failed: "),
        (hangs_up, "SSLError", "TLS with 127.0.0.1 failed: the server closed the connection. Does port "),
        (
            resets_at_once,
            "ConnectionError",
            "127.0.0.1 closed the connection during the TLS handshake: Connection reset by peer",
        ),
    ],
)
def test_tls_that_is_none(http_call, raw_server, talk, code, words):
    answer = http_call(GET, url=raw_server(talk).url.replace("http", "https"))
    assert outcome(answer) == (code, 500, {})
    assert words in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("server", "host", "code"),
    [
        ("name.example", "name.example.", None),
        ("name.example", "NAME.Example.", None),
        ("*.name.example", "a.name.example.", None),
        ("127.0.0.1", "127.0.0.1.", None),
        ("other.example", "name.example.", "SSLError"),
    ],
)
def test_a_host_that_ends_with_a_dot(make_caller, authority, server, host, code):
    """Is without it in SNI and in the certificate (RFC 6066 section 3), and with it in the Host header, as by curl."""
    call = make_caller({"name.example.": [["127.0.0.1"]], "a.name.example.": [["127.0.0.1"]]})
    context = server_context(authority, server)
    asked = []
    context.sni_callback = lambda sock, name, context: asked.append(name)
    with serve_http(context) as upstream:
        answer = call(f"http/{GET}", url=f"https://{host}:{upstream.server_port}/")
        assert outcome(answer)[0] == code
        assert asked == [None if host == "127.0.0.1." else host.lower().rstrip(".")]
        assert [request.headers["Host"] for request in upstream.requests] == (
            [] if code else [f"{host.lower()}:{upstream.server_port}"]
        )


def test_a_dot_makes_no_other_origin(make_caller, raw_server):
    """Credentials and cookies go from a host to the same host without its dot, and back."""
    call = make_caller({"name.example": [["127.0.0.1"]], "name.example.": [["127.0.0.1"]]})
    seen = []

    def talk(connection, number):
        seen.append(read_request(connection).decode())
        host = "name.example." if number % 2 else "name.example"
        location = f"Location: http://{host}:{server.port}/{number}"
        return OK if number == 4 else head(302, location, f"Set-Cookie: s={number}; Path=/; Domain=name.example")

    server = raw_server(talk)
    url = f"http://name.example:{server.port}/"
    assert outcome(call(f"http/{GET}", url=url, headers={"Cookie": "s=0"}, basic_auth_username="u"))[0] is None
    assert [re.search(r"\r\nHost: (.*):", request)[1] for request in seen] == ["name.example", "name.example."] * 2
    assert [re.findall(r"\r\nCookie: (.*)\r\n", request) for request in seen] == [[f"s={n}"] for n in range(4)]
    assert all("\r\nAuthorization: Basic " in request for request in seen)


@pytest.mark.parametrize(
    "banner", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b"220 mail ESMTP\r\n", b"nonsense"]
)
def test_https_to_a_port_without_tls(http_call, raw_server, banner):
    server = raw_server(lambda connection, number: connection.recv(65536) and banner)
    answer = http_call(GET, url=f"https://127.0.0.1:{server.port}/?q=s3cret")
    assert outcome(answer) == ("SSLError", 500, {})
    assert answer.json["error"]["message"] == (
        f"TLS with 127.0.0.1 failed: port {server.port} does not use TLS. Correct the port, or write http:// in the URL"
    )


@pytest.fixture(scope="module")
def bundle_folder(authority, tmp_path_factory):
    """A folder with certificates: `bundle.pem`, `folder`, where OpenSSL finds them by their names, and `nonsense`."""
    folder = tmp_path_factory.mktemp("bundle")
    authority.cert_pem.write_to_path(str(folder / "bundle.pem"))
    (folder / "nonsense").write_text("nonsense")
    (folder / "folder").mkdir()
    if shutil.which("openssl"):
        shown = subprocess.run(
            ["openssl", "x509", "-hash", "-noout", "-in", folder / "bundle.pem"], check=True, capture_output=True
        )
        authority.cert_pem.write_to_path(str(folder / "folder" / f"{shown.stdout.decode().strip()}.0"))
    return folder


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"REQUESTS_CA_BUNDLE": "bundle.pem"}, None),
        ({"CURL_CA_BUNDLE": "bundle.pem"}, None),
        ({"SSL_CERT_FILE": "bundle.pem"}, None),
        ({"REQUESTS_CA_BUNDLE": "folder"}, None),
        ({"SSL_CERT_DIR": "folder"}, None),
        ({"REQUESTS_CA_BUNDLE": "bundle.pem", "CURL_CA_BUNDLE": "nowhere", "SSL_CERT_FILE": "nowhere"}, None),
        ({"CURL_CA_BUNDLE": "bundle.pem", "SSL_CERT_FILE": "nowhere"}, None),
        ({"REQUESTS_CA_BUNDLE": "nowhere", "CURL_CA_BUNDLE": "bundle.pem"}, "nowhere cannot be read: No such file"),
        ({"REQUESTS_CA_BUNDLE": "nonsense", "SSL_CERT_FILE": "bundle.pem"}, "nonsense cannot be read: "),
        ({}, " (the default of the system)"),
    ],
)
def test_the_ca_bundle(make_caller, tls_upstream, bundle_folder, environ, words):
    if "folder" in environ.values() and not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    unset = dict.fromkeys(["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"], "")
    call = make_caller(**{**unset, **{name: str(bundle_folder / value) for name, value in environ.items()}})
    answer = call(f"http/{GET}", url=tls_upstream.url)
    if words is None:
        assert outcome(answer) == (None, 200, {"ok": True})
    else:
        assert outcome(answer) == ("SSLError", 500, {})
        assert words in answer["error"]["message"]


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_an_authority_that_is_not_known(make_caller, tls_upstream, tmp_path, variable):
    """The message names the certificates that are known; those for another host have nothing to do with it."""
    path = tmp_path if variable == "SSL_CERT_DIR" else tmp_path / "bundle.pem"
    trustme.CA().cert_pem.write_to_path(tmp_path / "bundle.pem")
    unset = dict.fromkeys(["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"], "")
    answer = make_caller(**{**unset, variable: str(path)})(f"http/{GET}", url=tls_upstream.url)
    assert outcome(answer) == ("SSLError", 500, {})
    message = answer["error"]["message"]
    assert message.startswith("The certificate of 127.0.0.1 is not trusted: unable to get local issuer certificate. ")
    assert message.endswith(f". The trusted authorities are in {path} ({variable})")


def test_what_is_read_once(http_call, tls_upstream, authority, monkeypatch):
    """The CA bundle, for the one TLS context of the process, and the proxies."""
    assert outcome(http_call(GET, url=tls_upstream.url))[0] is None
    for name in "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY":
        monkeypatch.setenv(name, "/nowhere")
    with serve_http() as plain, serve_http(server_context(authority, "127.0.0.1")) as other:
        for server in plain, other:
            assert outcome(http_call(GET, url=server.url)) == (None, 200, {"ok": True})


def test_what_is_not_read(make_caller, upstream, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password pass")
    call = make_caller(HOME=str(tmp_path), ALL_PROXY="http://127.0.0.1:1", all_proxy="http://127.0.0.1:1")
    assert outcome(call(f"http/{GET}", url=upstream.url)) == (None, 200, {"ok": True})
    assert "Authorization" not in upstream.requests[0].headers


# --- size ---

BOUND = 16 * 1024**2
MORE = 256 * 1024**2
_deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
_zeros = _deflate.compress(bytes(1024**2)) + _deflate.flush(zlib.Z_FULL_FLUSH)  # which can be repeated
BOMB = _zeros * (MORE // 1024**2) + _deflate.flush()


def pours(start):
    def talk(connection, number):
        read_request(connection)
        connection.sendall(start)
        for _ in range(MORE // 1024**2):
            connection.sendall(bytes(1024**2))

    return talk


@pytest.fixture(scope="module")
def call_within():
    """A process that has made a call already, and what memory that took."""
    with start_caller() as caller, serve_sockets(says(OK)) as server:
        caller(f"http/{GET}", url=server.url)
        yield caller, caller.kilobytes


@pytest.mark.parametrize(
    ("talk", "code"),
    [
        (pours(head(200)), "ResponseTooLarge"),
        (pours(head(200, f"Content-Length: {MORE}")), "ResponseTooLarge"),
        (pours(CHUNKED + b"%x\r\n" % MORE), "ResponseTooLarge"),
        (says(head(200, "Content-Encoding: deflate") + BOMB), "ResponseTooLarge"),
        (says(head(200, "Content-Encoding: deflate, gzip") + gzip.compress(BOMB)), "ResponseTooLarge"),
        (pours(head(302, "Location: ftp://x", f"Content-Length: {MORE}")), "InvalidSchema"),
        (pours(CHUNKED), "InvalidResponse"),
        (pours(CHUNKED + b"1;"), "InvalidResponse"),
        (pours(b"HTTP/1.1 200 "), "InvalidResponse"),
    ],
    ids=[
        "endless",
        "with a length",
        "one chunk",
        "bomb",
        "bomb in gzip",
        "redirect",
        "size of a chunk",
        "chunk",
        "first line",
    ],
)
def test_memory_stays_near_the_bound(call_within, raw_server, talk, code):
    """However much is sent, and whatever becomes of it."""
    caller, kilobytes = call_within
    settings = {"CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES": str(BOUND)}
    assert outcome(caller(f"http/{GET}", settings, url=raw_server(talk).url))[0] == code
    assert caller.kilobytes - kilobytes < 1.5 * BOUND / 1024


@pytest.mark.parametrize(("length", "code"), [(67_108_864, "ChunkedEncodingError"), (67_108_865, "ResponseTooLarge")])
def test_sixty_four_mebibytes(http_call, raw_server, length, code):
    """Where no setting says otherwise; the answer is cut short, if it is read."""
    server = raw_server(says(head(200, f"Content-Length: {length}")))
    assert outcome(http_call(GET, url=server.url))[0] == code


# --- where it may go ---


@pytest.mark.parametrize(
    ("allowed", "host", "is_allowed"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1:PORT", "127.0.0.1", True),
        ("127.0.0.1:1", "127.0.0.1", False),
        ("example.org", "127.0.0.1", False),
        ("example.org, 127.0.0.1", "127.0.0.1", True),
        ("localhost", "localhost", True),
        ("LocalHost.", "LOCALHOST", True),
        ("127.0.0.1", "127.0.0.1.", True),
        ("localhost", "127.0.0.1", False),
        ("127.0.0.1", "localhost", False),
        ("127.0.0.1", "2130706433", True),
        ("127.0.0.1", "0x7f.1", True),
        ("127.0.0.1", "[::ffff:127.0.0.1]", True),
        ("127.0.0.0/8", "localhost", True),
        ("127.0.0.0/8:PORT", "127.0.0.1", True),
        ("127.0.0.0/8:1", "127.0.0.1", False),
        ("10.0.0.0/8, ::1/128", "127.0.0.1", False),
        ("*.localhost", "localhost", False),
    ],
)
def test_allowed_hosts(make_http_call, upstream, allowed, host, is_allowed):
    port = str(upstream.server_port)
    call = make_http_call(HTTP_ALLOWED_HOSTS=allowed.replace("PORT", port))
    answer = outcome(call(GET, url=f"http://{host}:{port}/"))
    assert answer == ((None, 200, {"ok": True}) if is_allowed else ("HostNotAllowed", 403, {}))
    assert len(upstream.requests) == is_allowed


@pytest.mark.parametrize("entry", ["http://a", "a/b", "1.2.3.4/99", "a b", "[::1", "*", "a:b", "*.*.a", "[]:80"])
def test_a_list_of_allowed_hosts_that_makes_no_sense(make_http_call, entry):
    """Is the operator's mistake, and refused at the start."""
    with pytest.raises(ValueError, match=re.escape(f"CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS: {entry!r}")):
        make_http_call(HTTP_ALLOWED_HOSTS=f"127.0.0.1, {entry}")


def test_what_is_refused_is_not_connected_to(make_http_call, raw_server):
    server = raw_server(says(OK))
    for allowed in "example.org", "10.0.0.0/8", "127.0.0.1:1":
        answer = make_http_call(HTTP_ALLOWED_HOSTS=allowed)(GET, url=server.url, attempts=3)
        assert outcome(answer) == ("HostNotAllowed", 403, {})
        message = "The proxy may not call 127.0.0.1 (CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS)"
        assert answer.json["error"]["message"] == message
    assert server.connections == 0


@pytest.mark.parametrize(
    ("allowed", "host", "is_allowed"),
    [
        ("ten.example", "ten.example", True),
        ("*.example", "ten.example", True),
        ("*.example:PORT", "a.ten.example", True),
        ("10.0.0.0/8", "ten.example", True),
        ("10.1.2.3/32:PORT", "ten.example", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "0xa010203", True),
        ("10.1.2.3", "ten.example", False),
        ("127.0.0.0/8", "ten.example", False),
        ("10.0.0.0/8:1", "ten.example", False),
        ("*.ten.example", "ten.example", False),
        ("ample, example", "ten.example", False),
        ("*.ample", "ten.example", False),
        ("", "metadata.example", False),
        ("", "metadata6.example", False),
        ("169.254.0.0/16", "metadata.example", False),
        ("0.0.0.0/0, *.example", "metadata.example", False),
        ("*.example", "metadata6.example", False),
        ("169.254.169.254", "metadata.example", False),
        ("169.254.169.254:1", "169.254.169.254", False),
        ("169.254.169.254", "169.254.169.254", True),
        ("169.254.169.254:PORT", "2852039166", True),
        ("2852039166", "0xa9fea9fe", True),
        ("[::ffff:169.254.169.254]:PORT", "169.254.169.254", True),
        ("metadata.example", "metadata.example", True),
        ("metadata.example:PORT", "metadata.example", True),
        ("metadata.example", "metadata.example.", True),
        ("", "metadata.example.", False),
        ("*.example", "metadata.example.", False),
        ("169.254.169.254, 169.254.0.0/16", "metadata.example", True),
    ],
)
def test_allowed_hosts_of_other_networks(call_names, raw_server, allowed, host, is_allowed):
    """All of them lead to loopback in the end, and none that is refused is connected to."""
    server = raw_server(says(OK))
    settings = {"CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS": allowed.replace("PORT", str(server.port))}
    answer = call_names(f"http/{GET}", settings, url=f"http://{host}:{server.port}/")
    assert outcome(answer) == ((None, 200, {}) if is_allowed else ("HostNotAllowed", 403, {}))
    assert server.connections == is_allowed


def test_a_name_with_an_address_that_is_not_allowed(call_names, raw_server):
    """Goes to the others."""
    allowed = raw_server(says(OK))
    settings = {"CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS": "127.0.0.1/32"}
    refused = raw_server(says(OK), "127.0.0.3", allowed.port)
    answer = call_names(f"http/{GET}", settings, url=f"http://refused-and-well.example:{allowed.port}/")
    assert outcome(answer) == (None, 200, {})
    assert (allowed.connections, refused.connections) == (1, 0)


def test_a_name_that_is_rebound(call_names, raw_server):
    """Leads to the address that was tested: there is no second look-up between test and connection."""
    first = raw_server(says(OK))
    second = raw_server(says(OK), "127.0.0.3", first.port)
    settings = {"CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS": "127.0.0.1/32"}
    url = f"http://rebound.example:{first.port}/"
    assert outcome(call_names("http/PostRequestV2", settings, url=url)) == (None, 200, {})
    assert outcome(call_names("http/PostRequestV2", settings, url=url)) == ("HostNotAllowed", 403, {})
    assert (first.connections, second.connections) == (1, 0)


@pytest.mark.parametrize(
    ("allowed", "outcome_of_it"),
    [
        ("example.org, 127.0.0.1", ("HostNotAllowed", 403, {})),
        ("127.0.0.0/8", ("ConnectionError", 500, {})),
        ("nowhere.invalid", ("ConnectionError", 500, {})),
    ],
)
def test_a_name_is_looked_up_only_where_that_matters(make_http_call, allowed, outcome_of_it):
    """A name that nobody has tells whether it was looked up."""
    call = make_http_call(HTTP_ALLOWED_HOSTS=allowed)
    assert outcome(call(GET, url="http://nowhere.invalid/")) == outcome_of_it


def test_allowed_hosts_count_at_every_hop(make_http_call, upstream, other_upstream):
    upstream.answer = lambda request: (302, {"Location": other_upstream.url}, b"")
    for allowed in "127.0.0.1:PORT", "127.0.0.0/8:PORT":
        call = make_http_call(HTTP_ALLOWED_HOSTS=allowed.replace("PORT", str(upstream.server_port)))
        assert outcome(call(GET, url=upstream.url)) == ("HostNotAllowed", 403, {})
    assert other_upstream.requests == []


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
    ],
)
@pytest.mark.parametrize("allowed", ["", "169.254.0.0/16, fd00::/8", "*.254"])
def test_the_metadata_of_clouds_is_not_called_by_accident(make_http_call, host, allowed):
    answer = make_http_call(HTTP_ALLOWED_HOSTS=allowed, HTTP_TIMEOUT=0.2)(GET, url=f"http://{host}/")
    assert outcome(answer) == ("HostNotAllowed", 403, {})


# --- connections that are kept ---


def test_connections_are_used_again(http_call, upstream):
    """By any command but POST and PATCH, from any thread."""
    for command in GET, "HeadRequestV2", "PutRequestV2", "DeleteRequestV2", "PostRequestV2", "PatchRequestV2":
        thread = threading.Thread(target=http_call, args=(command,), kwargs={"url": upstream.url})
        thread.start()
        thread.join()
    ports = [request.connection.client_address[1] for request in upstream.requests]
    assert len(set(ports[:4])) == 1
    assert len(set(ports)) == 3


def test_an_origin_has_its_own_connections(http_call, upstream):
    """Another name for the same address is another origin."""
    for host in "127.0.0.1", "localhost", "127.0.0.1", "localhost":
        assert outcome(http_call(GET, url=f"http://{host}:{upstream.server_port}/"))[0] is None
    assert len({request.connection.client_address for request in upstream.requests}) == 2


def test_a_name_with_a_dot_has_its_own_connections(make_caller, raw_server):
    """It may lead elsewhere: the resolver appends no domain to it."""
    call = make_caller({"intern": [["127.0.0.1"]], "intern.": [["127.0.0.1"]]})
    server = raw_server(keeps_open)
    for host in "intern", "intern.", "intern", "intern.":
        assert outcome(call(f"http/{GET}", url=f"http://{host}:{server.port}/"))[0] is None
    assert server.connections == 2


def test_connections_with_tls_are_used_again(http_call, tls_upstream):
    """A session ticket that waits to be read does not make them look closed."""
    for _ in range(3):
        http_call(GET, url=tls_upstream.url)
    assert len({request.connection.client_address for request in tls_upstream.requests}) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}more",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
    ],
)
def test_connections_that_are_not_used_again(http_call, raw_server, answer):
    """Closed, or with more in them than was asked for."""

    def talk(connection, number):
        while read_request(connection):
            connection.sendall(answer if number == 1 else OK)

    server = raw_server(talk)
    for _ in range(2):
        assert outcome(http_call(GET, url=server.url))[:2] == (None, 200)
    assert server.connections == 2


def test_an_answer_that_nobody_asked_for(http_call, raw_server, authority):
    """Is not taken for the next, though it has come with the last, in one piece of TLS, and is decrypted already."""
    context = server_context(authority, "127.0.0.1")
    unasked = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"

    def talk(connection, number):
        with context.wrap_socket(connection, server_side=True) as tls:
            while read_request(tls):
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8192\r\n\r\n")
                tls.sendall(b"x" * 8192 + unasked)

    url = raw_server(talk).url.replace("http", "https")
    for _ in range(2):
        assert outcome(http_call(GET, url=url)) == (None, 200, {"raw_response": "x" * 8192})


def test_an_answer_too_large_is_not_read_on(make_http_call, raw_server):
    def talk(connection, number):
        while read_request(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"x" * 20 if number == 1 else OK)

    server = raw_server(talk)
    call = make_http_call(HTTP_MAX_RESPONSE_BYTES=10)
    assert outcome(call(GET, url=server.url))[0] == "ResponseTooLarge"
    assert outcome(call(GET, url=server.url)) == (None, 200, {})
    assert server.connections == 2


@pytest.mark.parametrize("last", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
def test_a_kept_connection_that_was_closed_is_seen(http_call, raw_server, last):
    """Before it is used, and what the server has said at last is not taken for the next answer."""
    idle, closed = threading.Event(), threading.Event()

    def talk(connection, number):
        read_request(connection)
        connection.sendall(OK)
        idle.wait(10)
        connection.sendall(last)
        connection.close()
        closed.set()

    server = raw_server(talk)
    for _ in range(2):
        assert outcome(http_call(GET, url=server.url)) == (None, 200, {})
        idle.set()
        assert closed.wait(10)
    assert server.connections == 2


@pytest.mark.parametrize(
    "command",
    [GET, "GetRequest", "HeadRequestV2", "PutRequestV2", "DeleteRequestV2", "PostRequestV2", "PatchRequestV2"],
)
def test_a_kept_connection_that_closes_on_the_next_request(http_call, raw_server, command):
    """The request is sent once more, on a new one; POST and PATCH have taken a new one in the first place."""

    def talk(connection, number):
        read_request(connection)
        connection.sendall(OK)
        seen.append((number, read_request(connection)))

    seen = []
    server = raw_server(talk)
    assert outcome(http_call(GET, url=server.url))[0] is None
    http_call(command, url=server.url)
    assert server.connections == 2
    assert bool(seen) == (command not in ("PostRequestV2", "PatchRequestV2"))


def test_a_request_is_sent_once_more_and_not_twice(http_call, raw_server):
    def talk(connection, number):
        read_request(connection)
        if number == 1:
            connection.sendall(OK)
            read_request(connection)

    server = raw_server(talk)
    assert outcome(http_call(GET, url=server.url))[0] is None
    assert outcome(http_call(GET, url=server.url))[0] == "ConnectionError"
    assert server.connections == 2


def test_a_kept_connection_that_breaks_off_an_answer(http_call, raw_server):
    """Is no reason to send the request again."""

    def talk(connection, number):
        read_request(connection)
        connection.sendall(OK)
        read_request(connection)
        return b"HTTP/1."

    server = raw_server(talk)
    assert outcome(http_call(GET, url=server.url))[0] is None
    assert outcome(http_call(GET, url=server.url))[0] == "ConnectionError"
    assert server.connections == 1


def test_a_kept_connection_goes_only_where_the_next_caller_may(make_http_call, upstream):
    """The address is checked against the list of the one who takes it."""
    port = upstream.server_port
    assert outcome(make_http_call()(GET, url=f"http://localhost:{port}"))[0] is None
    answer = make_http_call(HTTP_ALLOWED_HOSTS="10.0.0.0/8")(GET, url=f"http://localhost:{port}")
    assert outcome(answer) == ("HostNotAllowed", 403, {})
    assert len(upstream.requests) == 1


def keeps_open(connection, number):
    while read_request(connection):
        connection.sendall(OK)


def call_together(call, server, count):
    """Make calls that are answered when all have come, each thus on its own connection; return how many were new."""
    meeting = threading.Barrier(count)

    def talk(connection, number):
        while read_request(connection):
            server.meeting.wait(10)
            connection.sendall(OK)

    server.talk, server.meeting = talk, meeting
    before = server.connections
    for answer in at_once(lambda _: call(GET, url=server.url), [(number,) for number in range(count)]):
        assert outcome(answer)[0] is None
    return server.connections - before


def test_sixteen_connections_of_an_origin_are_kept(http_call, raw_server):
    server = raw_server(keeps_open)
    assert call_together(http_call, server, 20) == 20
    assert call_together(http_call, server, 16) == 0
    assert call_together(http_call, server, 20) == 4


def test_a_hundred_and_twenty_eight_connections_are_kept(http_call, raw_server):
    """In all; those that have waited longest are closed."""
    servers = [raw_server(keeps_open) for _ in range(9)]
    assert [call_together(http_call, server, 16) for server in servers] == [16] * 9
    assert [call_together(http_call, server, 16) for server in reversed(servers)] == [0] * 8 + [16]


def test_connections_are_kept_for_fifteen_seconds(http_call, raw_server, clock):
    """Then they are closed, when any call is made: there is no thread to do it."""
    closed = threading.Event()

    def talk(connection, number):
        keeps_open(connection, number)
        closed.set()

    server = raw_server(talk)
    for seconds, connections in (0, 1), (14, 1), (28, 1), (44, 2):
        clock.seconds = seconds
        assert outcome(http_call(GET, url=server.url))[0] is None
        assert server.connections == connections
    assert closed.wait(10)
    closed.clear()
    clock.seconds = 60
    http_call(GET, url=raw_server(says(OK)).url)
    assert closed.wait(10)


def test_no_thread_stays(make_caller, raw_server):
    """To keep connections, nor to look up a name."""
    call = make_caller()
    server = raw_server(keeps_open)
    for host in "127.0.0.1", "localhost":
        assert outcome(call(f"http/{GET}", url=f"http://{host}:{server.port}/"))[0] is None
        assert call.threads == 1


# --- through an HTTP proxy ---


def proxy_talk(seen, refuse=None, http_answer=OK, https_port=None, connected=b"HTTP/1.1 200 OK\r\n\r\n"):
    """What an HTTP proxy does: answer itself for http, and connect for https."""

    def talk(connection, number):
        head = read_request(connection)
        seen.append(head.decode())
        if refuse:
            return refuse
        if not head.startswith(b"CONNECT "):
            return http_answer
        port = https_port or int(head.split()[1].decode().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as far:
            connection.sendall(connected)

            def copy(source, target):
                with contextlib.suppress(OSError):
                    while data := source.recv(65536):
                        target.sendall(data)
                with contextlib.suppress(OSError):
                    target.shutdown(socket.SHUT_WR)

            back = threading.Thread(target=copy, args=(far, connection))
            back.start()
            copy(connection, far)
            back.join()
        return None

    return talk


@pytest.fixture(scope="module")
def http_proxy():
    """An HTTP proxy, and `call`, a process that calls through it."""
    with serve_sockets(None) as proxy:
        url = proxy.url.replace("http://", "http://us%65r:s3cret@")
        with start_caller(
            HTTP_PROXY=url, https_proxy=url, ALL_PROXY="http://127.0.0.1:1", no_proxy="127.0.0.1"
        ) as call:
            proxy.call = call
            yield proxy


@pytest.fixture
def call_through(http_proxy):
    """Return a function that calls through an HTTP proxy; it tells the proxy what to do, and has `seen` what that saw."""

    def call(url, allowed="", seconds=20, attempts=1, talk=None, **does):
        http_proxy.talk = talk or proxy_talk(call.seen, **does)
        settings = {"CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS": allowed, "CONNECTOR_PROXY_HTTP_TIMEOUT": str(seconds)}
        return http_proxy.call(f"http/{GET}", settings, url=url, attempts=attempts)

    call.seen = []
    return call


@pytest.fixture(scope="module")
def name_upstream(authority):
    """A server with TLS, to be reached through an HTTP proxy, where any name can have any port."""
    with serve_http(server_context(authority, "name.example")) as server:
        yield server


def test_a_proxy_for_http(call_through):
    assert outcome(call_through("http://nowhere.invalid/a?b#c")) == (None, 200, {})
    (seen,) = call_through.seen
    assert seen.startswith("GET http://nowhere.invalid/a?b HTTP/1.1\r\nHost: nowhere.invalid\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpzM2NyZXQ=\r\n" in seen


def test_a_proxy_for_https(call_through, name_upstream):
    """Sees nothing but CONNECT."""
    answer = call_through("https://name.example/a?b", https_port=name_upstream.server_port)
    assert outcome(answer) == (None, 200, {"ok": True})
    (seen,) = call_through.seen
    assert seen.startswith("CONNECT name.example:443 HTTP/1.1\r\nHost: name.example:443\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpzM2NyZXQ=\r\n" in seen
    assert (name_upstream.requests[-1].path, name_upstream.requests[-1].headers["Host"]) == ("/a?b", "name.example")
    assert "Proxy-Authorization" not in name_upstream.requests[-1].headers


@pytest.mark.parametrize("answer", [b"200", b"201 Created", b"204 No Content", b"299 Odd\r\nContent-Length: x"])
@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_any_status_of_success_is_a_tunnel(call_through, name_upstream, before, version, answer):
    """Whatever its headers say of a body: there is none (RFC 9110 section 9.3.6)."""
    lines = b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    connected = before + version + b" " + answer + lines
    url = f"https://name.example:{free_port()}/"  # another origin each time, or an idle connection would be used
    answer = call_through(url, https_port=name_upstream.server_port, connected=connected)
    assert outcome(answer) == (None, 200, {"ok": True})
    assert len(call_through.seen) == 1


@pytest.mark.parametrize("status", [300, 302, 304, 400, 403, 407, 500, 502])
def test_any_other_status_is_no_tunnel(call_through, status):
    answer = call_through("https://other.example/", talk=says(head(status)))
    assert outcome(answer) == ("ProxyError", 500, {})
    assert answer["error"]["message"] == f"The HTTP proxy refused to connect to other.example:443: {status}"


def test_a_tunnel_to_a_port_without_tls(call_through, raw_server):
    plain = raw_server(lambda connection, number: connection.recv(65536) and b"HTTP/1.1 400 Bad Request\r\n\r\n")
    answer = call_through("https://name.example:3/", talk=proxy_talk([], https_port=plain.port))
    assert outcome(answer) == ("SSLError", 500, {})
    assert "port 3 does not use TLS" in answer["error"]["message"]


def connects_to_nobody(connection, number):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    hangs_up(connection, number)


def test_what_goes_past_the_proxy(call_through, upstream):
    assert outcome(call_through(upstream.url)) == (None, 200, {"ok": True})
    assert call_through.seen == []


@pytest.mark.parametrize(
    "no_proxy",
    ["10.0.0.0/8,127.0.0.0/8", "127.0.0.0/8:PORT", "x *", "a b,127.0.0.1:PORT", "localhost,[::1],127.0.0.1."],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_networks_and_others_that_go_past_the_proxy(make_caller, upstream, tls_upstream, no_proxy, scheme):
    server = upstream if scheme == "http" else tls_upstream
    proxy = f"http://127.0.0.1:{free_port()}"
    no_proxy = no_proxy.replace("PORT", str(server.server_port))
    call = make_caller(HTTP_PROXY=proxy, HTTPS_PROXY=proxy, NO_PROXY=no_proxy)
    assert outcome(call(f"http/{GET}", url=server.url)) == (None, 200, {"ok": True})


def test_a_tunnel_to_an_ipv6_address(call_through):
    call_through("https://[fd00::1]/", refuse=head(403))
    assert call_through.seen[0].startswith("CONNECT [fd00::1]:443 HTTP/1.1\r\nHost: [fd00::1]:443\r\n")


@pytest.mark.parametrize(
    ("url", "talk", "code", "words"),
    [
        ("https://other.example/", says(head(403)), "ProxyError", "refused to connect to other.example:443: 403"),
        ("https://other.example/", says(head(407)), "ProxyError", "refused to connect to other.example:443: 407"),
        ("https://other.example/", says(head(302, "Location: /")), "ProxyError", "refused to connect"),
        ("https://other.example/", says(b"HTTP/1.1 103 A\r\n\r\n" + head(502)), "ProxyError", "other.example:443: 502"),
        ("https://other.example/", then_waits(b"nonsense"), "ProxyError", "HTTP proxy is not valid HTTP: it starts"),
        (
            "https://other.example/",
            says(b"HTTP/1.1 200 OK\r\nA: "),
            "ProxyError",
            "closed the connection in the middle",
        ),
        ("https://other.example/", never_ends(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"), "ProxyError", "1000 header lines"),
        ("https://other.example/", closes, "ProxyError", "The HTTP proxy did not connect to other.example:443: closed"),
        ("https://other.example/", resets, "ProxyError", "other.example:443: Connection reset by peer"),
        ("http://other.example/", then_waits(b"nonsense"), "InvalidResponse", "is not valid HTTP: it starts with"),
        ("https://other.example/", silent, "ReadTimeout", "The HTTP proxy did not respond in time"),
        ("https://other.example/", connects_to_nobody, "SSLError", "TLS with other.example failed"),
        ("http://other.example/", says(head(407)), "HttpError407", "http://other.example/ responded with 407"),
        ("http://other.example/", says(head(502)), "HttpError502", "http://other.example/ responded with 502"),
        ("http://other.example/", closes, "ConnectionError", "http://other.example/ closed the connection"),
    ],
)
def test_a_proxy_that_refuses(call_through, url, talk, code, words):
    answer = call_through(f"{url}?q=s3cret", talk=talk, seconds=0.6)
    status = int(code[-3:]) if code.startswith("HttpError") else 502 if code == "InvalidResponse" else 500
    assert outcome(answer)[:2] == (code, status)
    assert words in answer["error"]["message"]
    assert "s3cret" not in str(answer)


def test_a_proxy_that_cannot_be_reached(make_caller):
    """It is not there, is silent, has a name that takes for ever, and one that nobody knows."""
    with serve_nobody("127.0.0.2") as port:
        call = make_caller(
            {"proxy.example": [["127.0.0.3"], ["127.0.0.2"], None]},
            HTTP_PROXY=f"http://user:s3cret@proxy.example:{port}",
            HTTPS_PROXY=f"http://user:s3cret@nowhere.invalid:{port}",
        )
        for scheme, words in [
            ("http", f"No connection to proxy.example port {port}: Connection refused"),
            ("http", f"proxy.example port {port} does not respond"),
            ("http", "The name proxy.example could not be looked up in time"),
            ("https", "The name nowhere.invalid cannot be resolved: "),
        ]:
            answer = call(f"http/{GET}", {"CONNECTOR_PROXY_HTTP_TIMEOUT": "0.3"}, url=f"{scheme}://name.example/")
            assert outcome(answer) == ("ProxyError", 500, {})
            assert answer["error"]["message"].startswith(f"The HTTP proxy cannot be reached: {words}")


def test_a_proxy_that_refuses_is_tried_again(call_through, name_upstream):
    tunnel = proxy_talk([], https_port=name_upstream.server_port)
    numbers = []

    def talk(connection, number):
        numbers.append(number)
        return tunnel(connection, number) if len(numbers) > 1 else says(head(503))(connection, number)

    assert outcome(call_through("https://name.example:1/", attempts=2, talk=talk)) == (None, 200, {"ok": True})


def test_connections_through_a_proxy_are_kept(call_through, http_proxy):
    """For their origin: the proxy may lead elsewhere for another."""
    before = http_proxy.connections
    for host in "a.example", "b.example", "a.example":
        assert outcome(call_through(f"http://{host}/", talk=keeps_open)) == (None, 200, {})
    assert http_proxy.connections - before == 2


@pytest.mark.parametrize(
    ("url", "allowed", "is_allowed"),
    [
        ("http://nowhere.invalid/", "nowhere.invalid", True),
        ("http://nowhere.invalid/", "*.invalid:80", True),
        ("http://10.1.2.3/", "10.0.0.0/8", True),
        ("http://10.1.2.3/", "10.1.2.3", True),
        ("http://[fd00::1]/", "fd00::1", True),
        ("http://[fd00::1]/", "[FD00::1]:80", True),
        ("http://[fd00::1]/", "fd00::/8", True),
        ("http://[fd00::1]/", "[fd00::/8]:80", True),
        ("http://[fd00::1]/", "[fd00::]/8:80", True),
        ("http://a.nowhere.invalid./", "*.invalid", True),
        ("http://nowhere.invalid./", "nowhere.invalid", True),
        ("http://nowhere.invalid./", "other.invalid", False),
        ("http://[fd00::1]/", "[fd00::1]:81", False),
        ("http://nowhere.invalid/", "0.0.0.0/0", False),
        ("https://nowhere.invalid/", "0.0.0.0/0, ::/0", False),
        ("http://10.1.2.3/", "nowhere.invalid", False),
        ("http://169.254.169.254/", "", False),
        ("https://169.254.169.254/", "", False),
        ("http://169.254.169.254/", "169.254.169.254", True),
        ("http://0xa9fea9fe/", "169.254.169.254:80", True),
        ("http://0xa9fea9fe/", "0xa9fea9fe", True),
        ("http://169.254.169.254/", "169.254.169.254:81", False),
        ("http://[::ffff:169.254.169.254]/", "169.254.169.254", True),
        ("http://0xa9fea9fe/", "169.254.0.0/16", False),
        ("http://169.254.169.254./", "", False),
        ("http://[fd00:ec2::254]/", "fd00::/8", False),
        ("http://[fd00:ec2::254]/", "fd00:ec2::254", True),
    ],
)
def test_allowed_hosts_through_a_proxy(call_through, url, allowed, is_allowed):
    """Names and addresses in the URL count; what a name leads to is not ours to see."""
    answer = call_through(url, allowed)
    assert outcome(answer)[:2] == ((None, 200) if is_allowed else ("HostNotAllowed", 403))
    assert bool(call_through.seen) == is_allowed


def test_allowed_hosts_count_at_every_hop_through_a_proxy(call_through):
    redirect = head(302, "Location: http://other.example/")
    assert outcome(call_through("http://name.example/", "name.example", http_answer=redirect))[0] == "HostNotAllowed"
    assert len(call_through.seen) == 1


@pytest.mark.parametrize(
    "proxy",
    [
        "http:/nonsense",
        "https://u:s3cret@127.0.0.1:1",
        "socks5://127.0.0.1:1",
        "a b",
        "http://u:s3cret@127.0.0.1:x",
        "http://127.0.0.1:99999",
        "http://[::1",
    ],
)
def test_a_proxy_setting_that_makes_no_sense(make_caller, proxy, upstream):
    """Is a mistake of the operator, and none of the author's URL."""
    call = make_caller(HTTP_PROXY=proxy, HTTPS_PROXY=proxy, NO_PROXY="127.0.0.1")
    for scheme in "http", "https":
        answer = call(f"http/{GET}", url=f"{scheme}://nowhere.invalid/")
        assert outcome(answer) == ("ProxyError", 500, {})
        message = f"{scheme.upper()}_PROXY is not the URL of a proxy. Use http://host:port"
        assert answer["error"]["message"] == message
    assert outcome(call(f"http/{GET}", url=upstream.url))[0] is None


@pytest.mark.parametrize(
    ("start", "location", "goes_along"),
    [
        ("http://name.example/", "https://name.example/", True),
        ("http://name.example:8080/", "https://name.example/", False),
        ("http://name.example/", "https://name.example:8443/", False),
        ("http://other.example/", "https://name.example/", False),
    ],
)
def test_credentials_go_from_port_80_to_https_of_the_same_host(
    call_through, name_upstream, start, location, goes_along
):
    redirect = head(302, f"Location: {location}")
    url = start.replace("http://", "http://user:pass@")
    answer = call_through(url, http_answer=redirect, https_port=name_upstream.server_port)
    assert outcome(answer) == (None, 200, {"ok": True})
    assert ("Authorization" in name_upstream.requests[-1].headers) == goes_along


def test_a_redirect_takes_no_proxy_credentials_along(call_through, upstream):
    redirect = head(302, f"Location: {upstream.url}/")
    assert outcome(call_through("http://nowhere.invalid/", http_answer=redirect)) == (None, 200, {"ok": True})
    assert "Proxy-Authorization" in call_through.seen[0]
    assert "Proxy-Authorization" not in upstream.requests[0].headers


def test_cookies_reach_the_next_hop_through_a_proxy(call_through):
    redirect = head(302, "Location: http://name.example/there", "Set-Cookie: a=1; Path=/")
    call_through("http://name.example/", http_answer=redirect)
    assert "\r\nCookie: a=1\r\n" in call_through.seen[1]
