"""Connections: the addresses of a host are tried side by side, and an IPv6 address may have a zone; over real sockets."""

import contextlib
import os
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT, free_port, read_request, serve_nobody, server_context, start_caller

sys.path.append(str(ROOT / "connectors"))  # where the proxy finds the package

from spiffproxy_http.sockets import Race, connect_first, interleave

GET = "http/GetRequestV2"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
MESSAGE = {
    "email_subject": "a",
    "email_body": "a",
    "email_to": "a@example.org",
    "email_from": "a@example.org",
}
PATIENCE = 30  # seconds; in half of it no silent address gives way to another


def entry(host, port):
    """Return an address as getaddrinfo() returns it."""
    (found,) = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return found


def count_sockets():
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # another thread may have closed it
            count += str(descriptor.readlink()).startswith("socket:")
    return count


def read_error(answer):
    return answer["error"] and (answer["error"]["error_code"], answer["command_response"]["http_status"])


# --- several addresses ---


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ("4a", "4a"),
        ("6a 6b 6c 4a 4b", "6a 4a 6b 4b 6c"),
        ("4a 4b 4c 6a", "4a 6a 4b 4c"),
        ("6a 4a 4b 4c", "6a 4a 4b 4c"),
        ("6a 6a 4a 6a", "6a 4a"),
        ("4a 4b", "4a 4b"),
    ],
)
def test_families_take_turns(addresses, expected):
    """The system's first choice is the first, and no address is tried twice."""
    assert interleave([(name[0], name) for name in addresses.split()]) == [(name[0], name) for name in expected.split()]


@pytest.fixture(scope="module")
def call_names():
    """A process that knows names with several addresses."""
    names = {
        "two-silent.example": [["127.0.0.2", "127.0.0.3", "127.0.0.1"]],
        "refused-and-silent.example": [["127.0.0.4", "127.0.0.2"]],
        "refused.example": [["127.0.0.4", "127.0.0.5"]],
        "unreachable-last.example": [["127.0.0.4", "255.255.255.255"]],
    }
    with start_caller(names) as caller:
        yield caller


@pytest.fixture
def silent_port():
    """A port at which 127.0.0.2 and 127.0.0.3 do not answer, and which is free at 127.0.0.1."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        for host in "127.0.0.2", "127.0.0.3":
            stack.enter_context(serve_nobody(host, port))
        yield port


@pytest.mark.parametrize("connector", ["http", "smtp"])
def test_silent_addresses_take_little_time(call_names, silent_port, raw_server, connector):
    """The next address is tried while the others are silent."""
    greetings = {"http": OK, "smtp": b"554 go away\r\n"}

    def talk(connection, number):
        if connector == "http":
            read_request(connection)
        return greetings[connector]

    raw_server(talk, port=silent_port)
    started = time.monotonic()
    if connector == "http":
        answer = call_names(GET, url=f"http://two-silent.example:{silent_port}/")
        assert answer["error"] is None
    else:
        answer = call_names("smtp/SendEmail", smtp_host="two-silent.example", smtp_port=silent_port, **MESSAGE)
        assert answer == {"error": "The server answered 554 go away"}
    assert time.monotonic() - started < PATIENCE / 2  # of the 40 s that a command has, each address would take 13


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("refused-and-silent.example", ("ConnectTimeout", 500), "port PORT does not respond"),
        ("refused.example", ("ConnectionError", 500), "No connection to NAME port PORT: Connection refused"),
        ("unreachable-last.example", ("ConnectionError", 500), "No connection to NAME port PORT: Connection refused"),
    ],
)
def test_no_address_answers(call_names, silent_port, name, error, words):
    """Silence counts most, because it took the time; then a refusal; last what this machine could not even send."""
    answer = call_names(GET, {"CONNECTOR_PROXY_HTTP_TIMEOUT": "1"}, url=f"http://{name}:{silent_port}/")
    assert read_error(answer) == error
    assert words.replace("NAME", name).replace("PORT", str(silent_port)) in answer["error"]["message"]


def test_other_connections_are_closed(silent_port, raw_server):
    """Whatever wins, no socket is left open but its own."""
    raw_server(lambda connection, number: None, port=silent_port)
    addresses = [entry(host, silent_port) for host in ("127.0.0.2", "127.0.0.9", "127.0.0.3", "127.0.0.1")]
    before = count_sockets()
    with connect_first(addresses, time.monotonic() + PATIENCE)[0]:
        assert count_sockets() <= before + 2  # with the server's
    with pytest.raises(ConnectionRefusedError):
        connect_first(addresses[1:2], time.monotonic() + PATIENCE)
    with pytest.raises(socket.timeout):
        connect_first([addresses[0], addresses[2]], time.monotonic() + 0.2)
    assert count_sockets() <= before + 1


def test_a_refused_address_costs_no_time():
    """A hundred of them, at 250 ms each, would take 25 seconds."""
    port = free_port()
    started = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        connect_first([entry(f"127.0.1.{number}", port) for number in range(1, 101)], started + 2 * PATIENCE)
    assert time.monotonic() - started < PATIENCE / 2


def test_many_silent_addresses(silent_port, raw_server):
    """Few sockets are open at a time, and an address after all of them has its turn."""
    raw_server(lambda connection, number: None, port=silent_port)
    silent = [f"127.0.2.{number}" for number in range(1, 13)]
    with contextlib.ExitStack() as stack:
        for host in silent:
            stack.enter_context(serve_nobody(host, silent_port))
        race = stack.enter_context(contextlib.closing(Race()))
        before = count_sockets()
        for number, host in enumerate(silent, 1):
            assert race.start(entry(host, silent_port))
            assert count_sockets() == before + min(number, 8)
        assert race.start(entry("127.0.0.1", silent_port))
        sock, address = race.wait(PATIENCE)
        sock.close()
    assert address == "127.0.0.1"


def test_descriptors_above_1023(raw_server):
    """Are waited for, too, which select() cannot."""
    port = raw_server(lambda connection, number: None).port
    with contextlib.ExitStack() as stack:
        for _ in range(1024):
            try:
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
            except OSError:
                pytest.skip("the system does not allow that many open files")
        with connect_first([entry("127.0.0.1", port)], time.monotonic() + PATIENCE)[0] as sock:
            assert sock.fileno() > 1023


# --- zones ---


def find_link_local():
    """Return a link-local address of this machine, its interface and its number, or None."""
    lines = Path("/proc/net/if_inet6").read_text().splitlines() if Path("/proc/net/if_inet6").exists() else []
    for line in lines:
        digits, index, _, _, _, name = line.split()
        if digits.startswith("fe8"):
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)), name, int(index, 16)
    return None


@pytest.fixture
def link_local():
    """A server at a link-local address: `address`, `name` and `index` of the interface, `port`, `requests`; `serve`
    starts it, with what it sends on each connection.
    """
    found = find_link_local()
    if not found:
        pytest.skip("this machine has no link-local address")
    address, name, index = found
    server = SimpleNamespace(address=address, name=name, index=index, requests=[])
    threads = []

    def accept(answers, tls, reads):
        for answer in answers:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with tls.wrap_socket(connection, server_side=True) if tls else connection as sock:
                    server.requests.append(read_request(sock).decode() if reads else "")
                    sock.sendall(answer)

    def serve(*answers, tls=None, reads=True):
        threads.append(threading.Thread(target=accept, args=(answers, tls, reads)))
        threads[-1].start()

    with socket.socket(socket.AF_INET6) as listener:
        listener.bind((address, 0, 0, index))
        listener.listen()
        server.port, server.serve = listener.getsockname()[1], serve
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("zone", ["name", "index"])
@pytest.mark.parametrize("allowed", ["", "ADDRESS", "fe80::/10", "[ADDRESS]:PORT"])
def test_a_zone_is_for_this_machine_alone(make_http_call, link_local, zone, allowed):
    """The Host header does not have it, and the allowed hosts are compared without it (RFC 6874 section 3)."""
    link_local.serve(OK)
    address, port = link_local.address, link_local.port
    call = make_http_call(HTTP_ALLOWED_HOSTS=allowed.replace("ADDRESS", address).replace("PORT", str(port)))
    answer = call("GetRequestV2", url=f"http://[{address}%25{getattr(link_local, zone)}]:{port}/").json
    assert answer["error"] is None
    assert f"\r\nHost: [{address}]:{port}\r\n" in link_local.requests[0]
    assert link_local.name not in link_local.requests[0]


def test_a_zone_and_other_allowed_hosts(make_http_call, link_local):
    call = make_http_call(HTTP_ALLOWED_HOSTS="fe80::/128, fd00::/8")
    url = f"http://[{link_local.address}%25{link_local.name}]:{link_local.port}/"
    assert read_error(call("GetRequestV2", url=url).json) == ("HostNotAllowed", 403)


def test_an_endpoint_of_s3_with_a_zone(make_app, link_local):
    """The request goes there, and its signature is that of a host without it."""
    link_local.serve(b"HTTP/1.1 204 No Content\r\n\r\n")
    endpoint = f"http://[{link_local.address}%25{link_local.name}]:{link_local.port}"
    parameters = {"bucket": "b", "key": "k", "endpoint_url": endpoint, "access_key_id": "a", "secret_access_key": "s"}
    assert make_app().post_json("/v1/do/s3/DeleteObject", parameters).json["error"] is None
    assert f"\r\nHost: [{link_local.address}]:{link_local.port}\r\n" in link_local.requests[0]


def test_a_zone_is_not_in_a_certificate(http_call, link_local, authority):
    link_local.serve(OK, tls=server_context(authority, link_local.address))
    url = f"https://[{link_local.address}%25{link_local.name}]:{link_local.port}/"
    assert http_call("GetRequestV2", url=url).json["error"] is None


def test_a_mail_server_with_a_zone(make_app, link_local, authority):
    """Its certificate does not have the zone, either."""
    link_local.serve(b"554 go away\r\n", tls=server_context(authority, link_local.address), reads=False)
    host = {"smtp_host": f"{link_local.address}%{link_local.name}", "smtp_port": link_local.port, "smtp_ssl": True}
    answer = make_app().post_json("/v1/do/smtp/SendEmailV2", {**MESSAGE, **host}).json
    assert answer["error"]["message"] == "The server answered 554 go away"


def test_a_mail_server_with_a_zone_that_is_wrong(make_app):
    body = {**MESSAGE, "smtp_host": "fe80::1%no-such", "smtp_port": 25}
    answer = make_app().post_json("/v1/do/smtp/SendEmailV2", body).json
    assert read_error(answer) == ("ValueError", 400)
    assert "smtp_host names the network interface no-such, which" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("/next", None),
        ("http://[ADDRESS]:PORT/next", None),
        ("http://[ADDRESS%25ZONE]:PORT/next", None),
        ("http://[ADDRESS%25other]:PORT/next", ("InvalidURL", 400)),
        ("http://[fe80::1:2:3%25ZONE]:PORT/next", ("HostNotAllowed", 403)),
        ("http://[fe80::1:2:3%25other]:PORT/next", ("InvalidURL", 400)),
    ],
)
def test_redirects_with_a_zone(make_http_call, link_local, location, error):
    """A server does not know the zone, so the same host has the same; and it cannot choose another interface."""
    address, name, port = link_local.address, link_local.name, link_local.port
    for text, value in ("ADDRESS", address), ("PORT", str(port)), ("ZONE", name):
        location = location.replace(text, value)
    link_local.serve(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nConnection: close\r\n\r\n" % location.encode(), OK)
    call = make_http_call(HTTP_ALLOWED_HOSTS=address)
    answer = call("GetRequestV2", url=f"http://[{address}%25{name}]:{port}/", headers={"Authorization": "k"}).json
    assert read_error(answer) == error
    if error is None:
        assert link_local.requests[1].startswith("GET /next ")
        assert "\r\nAuthorization: k\r\n" in link_local.requests[1]


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("[fe80::1%eth0]", "The zone in the URL's host must be a network interface after %25, as in [fe80::1%25eth0]"),
        ("[fe80::1%25]", "The zone in the URL's host must be a network interface after %25"),
        ("[fe80::1%]", "The zone in the URL's host must be a network interface after %25"),
        ("[fe80::1%ee1]", "The zone in the URL's host must be a network interface after %25"),
        ("[fe80::1%25e%0A]", "The zone in the URL's host must be a network interface after %25"),
        ("[fe80::1%25%C3%BC]", "The zone in the URL's host must be a network interface after %25"),
        ("[::1%25lo]", "The URL's host ::1 is not link-local (fe80::/10) and cannot have a zone. Remove %25lo"),
        ("[::ffff:169.254.1.1%25lo]", "is not link-local (fe80::/10) and cannot have a zone. Remove %25lo"),
        ("[fe80::1%25no-such]", "The URL names the network interface no-such, which the proxy's machine does not have"),
        ("[fe80::1%25n%6F-such]:80", "The URL names the network interface no-such, "),
        ("[fe80::1%25999999]", "The URL names the network interface 999999, which the proxy's machine does not have"),
    ],
)
def test_a_zone_that_is_wrong(http_call, host, words):
    answer = http_call("GetRequestV2", url=f"http://{host}/").json
    assert read_error(answer) == ("InvalidURL", 400)
    assert words in answer["error"]["message"]


def test_a_link_local_address_without_a_zone(http_call):
    """The message says how to write it, unless the system has a default zone."""
    answer = http_call("GetRequestV2", url="http://[fe80::1]:1/").json
    assert read_error(answer)[0] in ("ConnectionError", "ConnectTimeout")
    if sys.platform == "linux":
        assert "needs the network interface in the URL, as in [fe80::1%25eth0]" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("no_proxy", "is_used"), [("", True), ("[fe80::1]", False), ("fe80::/10", False), ("fe80::2", True)]
)
def test_a_proxy_does_not_see_a_zone(make_caller, raw_server, no_proxy, is_used):
    """It is not sent (RFC 6874 section 3), and NO_PROXY is compared without it."""
    requests = []

    def talk(connection, number):
        requests.append(read_request(connection).decode())
        return OK

    call = make_caller(HTTP_PROXY=raw_server(talk).url, NO_PROXY=no_proxy)
    answer = call(GET, url="http://[fe80::1%25no-such]/a")
    if is_used:
        assert answer["error"] is None
        assert requests[0].startswith("GET http://[fe80::1]/a HTTP/1.1\r\nHost: [fe80::1]\r\n")
    else:
        assert read_error(answer) == ("InvalidURL", 400)
