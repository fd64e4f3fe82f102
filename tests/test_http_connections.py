"""The http connector: redirects, failures, time, where it may go, and connections that are kept; over real sockets."""

import contextlib
import json
import socket
import threading
import time

import pytest
from conftest import free_port, read_request, run_proxy, serve_http, server_context

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
        (301, "Delete", "DELETE", False),
        (302, "Post", "GET", False),
        (302, "Put", "GET", False),
        (302, "Delete", "GET", False),
        (302, "Head", "HEAD", False),
        (303, "Patch", "GET", False),
        (303, "Put", "GET", False),
        (303, "Head", "HEAD", False),
        (307, "Post", "POST", True),
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
    assert outcome(http_call(GET, url=upstream.url))[:2] == ("TooManyRedirects", 500)
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


def test_credentials_do_not_go_to_another_host_or_scheme(http_call, upstream, tls_upstream):
    for location in upstream.url.replace("127.0.0.1", "localhost"), tls_upstream.url:
        upstream.answer = lambda request, location=location: (
            (302, {"Location": location}, b"") if request.path == "/start" else (200, {}, b"")
        )
        assert outcome(http_call(GET, url=f"{upstream.url}/start", basic_auth_username="u"))[0] is None
    for request in upstream.requests[1], tls_upstream.requests[0]:
        assert "Authorization" not in request.headers
    assert "Authorization" in upstream.requests[0].headers


def test_credentials_in_a_location_are_ignored(http_call, upstream):
    location = upstream.url.replace("http://", "http://u:s3cret@") + "/there"
    upstream.answer = lambda request: (302, {"Location": location}, b"") if request.path == "/" else (200, {}, b"")
    answer = http_call(GET, url=upstream.url)
    assert "Authorization" not in upstream.requests[1].headers
    assert "s3cret" not in answer.text


def test_cookies_of_a_hop_reach_the_next(http_call, upstream, other_upstream):
    """Those that fit; and they are forgotten after the call."""

    def answer(request):
        if request.path == "/":
            return 302, {"Location": "/two", "Set-Cookie": ["a=1; Path=/", "b=2; Path=/elsewhere"]}, b""
        return (302, {"Location": "/three"}, b"") if request.path == "/two" else (200, {}, b"")

    upstream.answer = answer
    for headers, cookies in (None, [None, "a=1", "a=1"]), ({"Cookie": "own=0"}, ["own=0"] + ["own=0; a=1"] * 2):
        upstream.requests.clear()
        http_call(GET, url=upstream.url, headers=headers)
        assert [request.headers["Cookie"] for request in upstream.requests] == cookies


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


def resets(connection, number):
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def says(answer):
    def talk(connection, number):
        read_request(connection)
        return answer

    return talk


@pytest.mark.parametrize(
    ("talk", "code"),
    [
        (closes, "ConnectionError"),
        (resets, "ConnectionError"),
        (says(b"nonsense\r\n\r\n"), "ConnectionError"),
        (says(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n"), "ConnectionError"),
        (says(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000), "ConnectionError"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"), "ChunkedEncodingError"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"), "ChunkedEncodingError"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsho"), "ChunkedEncodingError"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "ChunkedEncodingError"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" + b"x" * 1000), "ChunkedEncodingError"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nx"), "ChunkedEncodingError"),
        (says(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), "ConnectionError"),
        (says(b"HTTP/1.1 999 Nothing\r\nContent-Length: 0\r\n\r\n"), "ConnectionError"),
    ],
)
def test_without_a_whole_answer(http_call, raw_server, talk, code):
    server = raw_server(talk)
    assert outcome(http_call(GET, url=server.url)) == (code, 500, {})
    assert server.connections == 1


def test_nobody_listens(http_call):
    assert outcome(http_call(GET, url=f"http://u:s3cret@127.0.0.1:{free_port()}/?q=s3cret")) == (
        "ConnectionError",
        500,
        {},
    )


def test_messages_do_not_repeat_secrets(http_call, raw_server):
    url = raw_server(closes).url.replace("http://", "http://user:s3cret@")
    for one in (
        url,
        f"http://user:s3cret@127.0.0.1:{free_port()}",
        "http://user:s3cret@nowhere.invalid",
        "http://u:s3cret@a b",
    ):
        answer = http_call(GET, url=f"{one}/?q=s3cret", attempts=1)
        assert answer.json["error"]
        assert "s3cret" not in answer.text


@pytest.mark.parametrize("command", [GET, "HeadRequestV2"])
def test_failures_are_tried_again(http_call, raw_server, command):
    server = raw_server(lambda connection, number: closes(connection, 1) if number < 2 else says(OK)(connection, 1))
    answer = http_call(command, url=server.url, attempts=2)
    assert outcome(answer)[:2] == (None, 200)
    assert server.connections == 2


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


# --- time ---


SLOW = 3  # seconds that a server takes in all; the deadline is a fifth of it


def silent(connection, number):
    read_request(connection)
    time.sleep(SLOW)
    return OK


def drips_headers(connection, number):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nA: ")
    for _ in range(30):
        connection.sendall(b"a")
        time.sleep(SLOW / 30)  # each packet in time
    return b"\r\n" + OK.partition(b"\r\n")[2]


def drips_body(connection, number):
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
    for _ in range(30):
        connection.sendall(b"a")
        time.sleep(SLOW / 30)  # as above


def redirects_slowly(connection, number):
    read_request(connection)
    time.sleep(SLOW / 10)  # each hop in time
    return OK if number == 10 else b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("talk", [silent, drips_headers, drips_body, redirects_slowly])
def test_one_deadline_for_all(make_http_call, raw_server, talk):
    """Which the servers would outlast."""
    call = make_http_call(HTTP_TIMEOUT=SLOW / 5)
    assert outcome(call(GET, url=raw_server(talk).url, attempts=5)) == ("ReadTimeout", 500, {})


def test_a_tls_handshake_that_hangs(make_http_call, raw_server):
    server = raw_server(silent)
    answer = make_http_call(HTTP_TIMEOUT=SLOW / 5)(GET, url=server.url.replace("http", "https"))
    assert outcome(answer)[0] == "ReadTimeout"


def test_a_request_that_is_not_taken(make_http_call, raw_server):
    """To write 20 MB as JSON takes time, too."""
    server = raw_server(lambda connection, number: time.sleep(4 * SLOW))
    answer = make_http_call(HTTP_TIMEOUT=SLOW)("PutRequestV2", url=server.url, data="x" * 20_000_000)
    assert outcome(answer)[0] == "ReadTimeout"


def test_no_connection_in_time(make_http_call):
    """A listener whose queue is full does not answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        queue = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            queue.append(one)
        answer = outcome(make_http_call(HTTP_TIMEOUT=0.3)(GET, url=f"http://127.0.0.1:{port}/"))
        for one in queue:
            one.close()
    assert answer == ("ConnectTimeout", 500, {})


def test_no_try_starts_that_the_deadline_cannot_hold(make_http_call, upstream):
    upstream.answer = lambda request: (503, {}, b"")
    assert outcome(make_http_call(HTTP_TIMEOUT=0.9)(GET, url=upstream.url, attempts=9))[0] == "HttpError503"
    assert len(upstream.requests) == 1


# --- TLS ---


def test_tls(http_call, tls_upstream):
    assert outcome(http_call(GET, url=tls_upstream.url)) == (None, 200, {"ok": True})


def test_a_certificate_for_another_name(http_call, tls_upstream):
    answer = http_call(GET, url=tls_upstream.url.replace("127.0.0.1", "localhost"))
    assert outcome(answer) == ("SSLError", 500, {})
    assert "The certificate of localhost is not trusted: Hostname mismatch" in answer.json["error"]["message"]


def test_a_certificate_of_nobody(http_call):
    import trustme

    with serve_http(server_context(trustme.CA(), "127.0.0.1")) as server:
        answer = http_call(GET, url=server.url, attempts=3)
    assert outcome(answer) == ("SSLError", 500, {})
    assert "certificate" in answer.json["error"]["message"]
    assert "attempt 1 of 3" in answer.json["spiff__logs"][-1]


def test_tls_with_a_server_that_has_none(http_call, upstream):
    assert outcome(http_call(GET, url=upstream.url.replace("http", "https")))[:2] == ("SSLError", 500)


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({"REQUESTS_CA_BUNDLE": "BUNDLE"}, None),
        ({"CURL_CA_BUNDLE": "BUNDLE"}, None),
        ({"SSL_CERT_FILE": "BUNDLE"}, None),
        ({"REQUESTS_CA_BUNDLE": "BUNDLE", "CURL_CA_BUNDLE": "/nowhere"}, None),
        ({"REQUESTS_CA_BUNDLE": "/nowhere", "CURL_CA_BUNDLE": "BUNDLE"}, "SSLError"),
        ({}, "SSLError"),
    ],
)
def test_the_ca_bundle(tls_upstream, authority, tmp_path, environ, code):
    bundle = tmp_path / "bundle.pem"
    authority.cert_pem.write_to_path(str(bundle))
    nothing = dict.fromkeys(["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"], "")
    environ = {**nothing, **{name: value.replace("BUNDLE", str(bundle)) for name, value in environ.items()}}
    ended = run_proxy("call", f"http/{GET}", f"url={tls_upstream.url}", **environ)
    assert outcome(json.loads(ended.stdout))[0] == code
    assert "ResourceWarning" not in ended.stderr


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
        ("*.localhost", "a.localhost", True),
        ("*.localhost:PORT", "a.b.localhost", True),
        ("*.localhost", "alocalhost", False),
        (" , ", "127.0.0.1", True),
    ],
)
def test_allowed_hosts(make_http_call, upstream, allowed, host, is_allowed):
    port = str(upstream.server_port)
    call = make_http_call(HTTP_ALLOWED_HOSTS=allowed.replace("PORT", port))
    code, status, _ = outcome(call(GET, url=f"http://{host}:{port}/"))
    if is_allowed:
        assert code != "HostNotAllowed"  # a name below localhost is not looked up everywhere
        assert upstream.requests or "localhost" in host
    else:
        assert (code, status) in {("HostNotAllowed", 403), ("ConnectionError", 500)}
        assert upstream.requests == []


@pytest.mark.parametrize("entry", ["http://a", "a/b", "1.2.3.4/99", "a b", "[::1", "*", "a:b", "*.*.a", "[]:80"])
def test_a_list_of_allowed_hosts_that_makes_no_sense(make_http_call, upstream, entry):
    answer = make_http_call(HTTP_ALLOWED_HOSTS=f"127.0.0.1, {entry}")(GET, url=upstream.url)
    assert outcome(answer) == ("ValueError", 400, {})
    assert f"CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS: {entry!r}" in answer.json["error"]["message"]


def test_allowed_hosts_count_at_every_hop(make_http_call, upstream, other_upstream):
    upstream.answer = lambda request: (302, {"Location": other_upstream.url}, b"")
    call = make_http_call(HTTP_ALLOWED_HOSTS=f"127.0.0.1:{upstream.server_port}")
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


def test_an_answer_too_large_is_not_read_on(make_http_call, raw_server):
    def talk(connection, number):
        while read_request(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"x" * 20 if number == 1 else OK)

    server = raw_server(talk)
    call = make_http_call(HTTP_MAX_RESPONSE_BYTES=10)
    assert outcome(call(GET, url=server.url))[0] == "ResponseTooLarge"
    assert outcome(call(GET, url=server.url)) == (None, 200, {})
    assert server.connections == 2


def test_a_kept_connection_that_was_closed_is_seen(http_call, raw_server):
    """Before it is used."""

    def talk(connection, number):
        read_request(connection)
        connection.sendall(OK)
        closed.set() if connection.close() is None else None

    closed = threading.Event()
    server = raw_server(talk)
    for _ in range(2):
        assert outcome(http_call(GET, url=server.url))[0] is None
        closed.wait(10)
    assert server.connections == 2


@pytest.mark.parametrize(("command", "connections"), [(GET, 2), ("PutRequestV2", 2), ("PostRequestV2", 2)])
def test_a_kept_connection_that_closes_on_the_next_request(http_call, raw_server, command, connections):
    """The request is sent once more, on a new one; POST has taken a new one in the first place."""
    seen = []

    def talk(connection, number):
        while True:
            head = read_request(connection)
            if not head:
                return
            seen.append((number, head.split()[0]))
            if len([one for one in seen if one[0] == number]) == 2:
                return
            connection.sendall(OK)

    server = raw_server(talk)
    assert outcome(http_call(GET, url=server.url))[0] is None
    assert outcome(http_call(command, url=server.url))[0] is None
    assert server.connections == connections


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


def test_idle_connections_are_few_and_not_old(http_call, upstream, monkeypatch):
    """At most 16 an origin and 128 in all, for 15 s."""
    from connector_http import connections

    assert (connections._IDLE_SECONDS, connections._IDLE_PER_ORIGIN, connections._IDLE_IN_ALL) == (15, 16, 128)
    monkeypatch.setattr(connections, "_IDLE_PER_ORIGIN", 2)
    monkeypatch.setattr(connections, "_IDLE_IN_ALL", 3)
    connections._idle.clear()
    meeting = threading.Barrier(4)

    def answer(request):
        meeting.wait(10)
        return 200, {}, b""

    def call_at_once(server):
        server.answer = answer
        threads = [threading.Thread(target=http_call, args=(GET,), kwargs={"url": server.url}) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    call_at_once(upstream)
    assert len(connections._idle._waiting) == 2
    with serve_http() as second, serve_http() as third:
        call_at_once(second)
        assert len(connections._idle._waiting) == 3
        call_at_once(third)
        assert len(connections._idle._waiting) == 3
    monkeypatch.setattr(connections, "_IDLE_SECONDS", 0)
    upstream.answer = lambda request: (200, {}, b"")
    http_call(GET, url=upstream.url)
    assert len(connections._idle._waiting) <= 1


# --- through an HTTP proxy ---


def proxy_talk(seen, refuse=None, http_answer=OK, https_port=None):
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
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")

            def copy(source, target):
                with contextlib.suppress(OSError):
                    while data := source.recv(65536):
                        target.sendall(data)
                    target.shutdown(socket.SHUT_WR)

            back = threading.Thread(target=copy, args=(far, connection))
            back.start()
            copy(connection, far)
            back.join()
        return None

    return talk


def call_through(url, tmp_path, authority, **environ):
    bundle = tmp_path / "bundle.pem"
    authority.cert_pem.write_to_path(str(bundle))
    environ = {"REQUESTS_CA_BUNDLE": str(bundle), "CONNECTOR_PROXY_HTTP_TIMEOUT": "5", **environ}
    return json.loads(run_proxy("call", f"http/{GET}", f"url={url}", **environ).stdout)


def test_a_proxy_for_http(raw_server, tmp_path, authority):
    seen = []
    proxy = raw_server(proxy_talk(seen)).url.replace("http://", "http://us%65r:pass@")
    answer = call_through(
        "http://nowhere.invalid/a?b#c", tmp_path, authority, HTTP_PROXY=proxy, ALL_PROXY="http://127.0.0.1:1"
    )
    assert outcome(answer) == (None, 200, {})
    assert seen[0].startswith("GET http://nowhere.invalid/a?b HTTP/1.1\r\nHost: nowhere.invalid\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in seen[0]


def test_a_proxy_for_https(raw_server, tls_upstream, tmp_path, authority):
    """Sees nothing but CONNECT."""
    seen = []
    proxy = raw_server(proxy_talk(seen)).url.replace("http://", "http://user:pass@")
    answer = call_through(f"{tls_upstream.url}/a?b", tmp_path, authority, https_proxy=proxy)
    assert outcome(answer) == (None, 200, {"ok": True})
    assert seen[0].startswith(f"CONNECT 127.0.0.1:{tls_upstream.server_port} HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in seen[0]
    assert "Proxy-Authorization" not in tls_upstream.requests[0].headers


def test_no_proxy(upstream, tmp_path, authority):
    answer = call_through(upstream.url, tmp_path, authority, HTTP_PROXY="http://127.0.0.1:1", NO_PROXY="127.0.0.1")
    assert outcome(answer)[0] is None


@pytest.mark.parametrize(
    ("url", "refuse", "code", "status"),
    [
        ("https://nowhere.invalid/", b"HTTP/1.1 403 No\r\n\r\n", "ProxyError", 500),
        ("https://nowhere.invalid/", b"HTTP/1.1 407 No\r\n\r\n", "ProxyError", 500),
        ("https://nowhere.invalid/", b"nonsense\r\n\r\n", "ProxyError", 500),
        ("http://nowhere.invalid/", b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", "HttpError407", 407),
        ("http://nowhere.invalid/", None, "ProxyError", 500),
        ("https://nowhere.invalid/", None, "ProxyError", 500),
    ],
)
def test_a_proxy_that_refuses(raw_server, tmp_path, authority, url, refuse, code, status):
    """Or is not there."""
    proxy = raw_server(proxy_talk([], refuse)).url if refuse else f"http://127.0.0.1:{free_port()}"
    answer = call_through(url, tmp_path, authority, HTTP_PROXY=proxy, HTTPS_PROXY=proxy)
    assert outcome(answer)[:2] == (code, status)


@pytest.mark.parametrize(
    ("url", "allowed", "is_allowed"),
    [
        ("http://nowhere.invalid/", "nowhere.invalid", True),
        ("http://nowhere.invalid/", "*.invalid:80", True),
        ("http://10.1.2.3/", "10.0.0.0/8", True),
        ("http://10.1.2.3/", "10.1.2.3", True),
        ("http://nowhere.invalid/", "0.0.0.0/0", False),
        ("http://10.1.2.3/", "nowhere.invalid", False),
        ("http://169.254.169.254/", "", False),
        ("http://169.254.169.254/", "169.254.169.254", True),
        ("http://0xa9fea9fe/", "169.254.169.254:80", True),
        ("http://0xa9fea9fe/", "0xa9fea9fe", True),
        ("http://169.254.169.254/", "169.254.169.254:81", False),
        ("http://[::ffff:169.254.169.254]/", "169.254.169.254", True),
        ("http://0xa9fea9fe/", "169.254.0.0/16", False),
        ("http://169.254.169.254./", "", False),
    ],
)
def test_allowed_hosts_through_a_proxy(raw_server, tmp_path, authority, url, allowed, is_allowed):
    """Names and addresses in the URL count; what a name leads to is not ours to see."""
    seen = []
    proxy = raw_server(proxy_talk(seen)).url
    answer = call_through(url, tmp_path, authority, HTTP_PROXY=proxy, CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS=allowed)
    assert outcome(answer)[:2] == ((None, 200) if is_allowed else ("HostNotAllowed", 403))
    assert bool(seen) == is_allowed


@pytest.mark.parametrize("proxy", ["http:/nonsense", "https://u:s3cret@127.0.0.1:1", "socks5://127.0.0.1:1", "a b"])
def test_a_proxy_setting_that_makes_no_sense(tmp_path, authority, proxy, upstream):
    answer = call_through("http://nowhere.invalid/", tmp_path, authority, HTTP_PROXY=proxy)
    assert outcome(answer)[0] == "ProxyError"
    assert "HTTP_PROXY is no URL of a proxy, http://host:port" in answer["error"]["message"]
    assert outcome(call_through(upstream.url, tmp_path, authority, HTTP_PROXY=proxy, NO_PROXY="127.0.0.1"))[0] is None


def test_a_tunnel_to_an_ipv6_address(raw_server, tmp_path, authority):
    seen = []
    proxy = raw_server(proxy_talk(seen, b"HTTP/1.1 403 No\r\n\r\n")).url
    call_through("https://[fd00::1]/", tmp_path, authority, HTTPS_PROXY=proxy)
    assert seen[0].startswith("CONNECT [fd00::1]:443 HTTP/1.1\r\nHost: [fd00::1]:443\r\n")


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
    raw_server, authority, tmp_path, start, location, goes_along
):
    """Both behind a proxy, where any name can have any port."""
    with serve_http(server_context(authority, "name.example")) as tls:
        redirect = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
        proxy = raw_server(proxy_talk([], http_answer=redirect, https_port=tls.server_port)).url
        url = start.replace("http://", "http://user:pass@")
        answer = call_through(url, tmp_path, authority, HTTP_PROXY=proxy, HTTPS_PROXY=proxy)
        assert outcome(answer) == (None, 200, {"ok": True})
        assert ("Authorization" in tls.requests[0].headers) == goes_along


def test_a_redirect_takes_no_proxy_credentials_along(raw_server, upstream, tmp_path, authority):
    seen = []
    redirect = f"HTTP/1.1 302 Found\r\nLocation: {upstream.url}/\r\nContent-Length: 0\r\n\r\n".encode()
    proxy = raw_server(proxy_talk(seen, redirect)).url.replace("http://", "http://user:s3cret@")
    answer = call_through("http://nowhere.invalid/", tmp_path, authority, HTTP_PROXY=proxy, NO_PROXY="127.0.0.1")
    assert outcome(answer) == (None, 200, {"ok": True})
    assert "Proxy-Authorization" in seen[0]
    assert "Proxy-Authorization" not in upstream.requests[0].headers
