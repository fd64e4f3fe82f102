"""Certificates of the proxy: which host sees one, and what is refused at the start."""

import re
import ssl
import subprocess

import pytest
from conftest import JSON, run_proxy, serve_http, server_context

from spiffproxy import Proxy

SETTING = "CONNECTOR_PROXY_HTTP_CLIENT_CERTS"
GET = "GetRequestV2"


@pytest.fixture
def write_cert(authority, tmp_path):
    """Return a function that writes a certificate with its key, and returns the file."""

    def write(name):
        path = tmp_path / f"{name}.pem"
        authority.issue_cert(f"{name}@example.org").private_key_and_cert_chain_pem.write_to_path(str(path))
        return path

    return write


@pytest.fixture
def asking(authority):
    """A server that asks for a certificate; `shown` has the name in each, or None, by request."""
    context = server_context(authority, "127.0.0.1", "localhost")
    context.verify_mode = ssl.CERT_OPTIONAL
    authority.configure_trust(context)
    with serve_http(context) as server:
        server.shown, server.ports, server.location = [], [], None

        def answer(request):
            cert = request.connection.connection.getpeercert()
            server.shown.append(cert and cert["subjectAltName"][0][1].partition("@")[0])
            server.ports.append(request.connection.client_address[1])
            if server.location and request.path == "/":
                return 302, {"Location": server.location}, b""
            return 200, {"Content-Type": JSON}, b"{}"

        server.answer = answer
        server.local_url = server.url.replace("127.0.0.1", "localhost")
        yield server


@pytest.mark.parametrize(
    ("hosts", "url", "expected"),
    [
        (["api.example.org"], "https://api.example.org/", 0),
        (["API.example.org."], "https://api.EXAMPLE.org./", 0),
        (["api.example.org"], "https://api.example.org:8443/", 0),
        (["api.example.org"], "http://api.example.org/", None),
        (["api.example.org"], "https://www.api.example.org/", None),
        (["api.example.org"], "https://xapi.example.org/", None),
        (["*.example.org"], "https://a.b.example.org/", 0),
        (["*.example.org"], "https://example.org/", None),
        (["*.example.org"], "https://badexample.org/", None),
        (["api.example.org:8443"], "https://api.example.org:8443/", 0),
        (["api.example.org:8443"], "https://api.example.org/", None),
        (["*.example.org", "api.example.org"], "https://api.example.org/", 1),
        (["*.example.org", "*.b.example.org"], "https://a.b.example.org/", 1),
        (["api.example.org", "api.example.org:443"], "https://api.example.org/", 1),
        (["10.1.2.3"], "https://10.1.2.3/", 0),
        (["10.1.2.3"], "https://0x0a010203/", 0),
        (["[::1]:8443"], "https://[::1]:8443/", 0),
        (["10.1.2.3"], "https://10.1.2.4/", None),
    ],
)
def test_the_most_specific_entry_counts(imports, hosts, url, expected):
    """For https alone, in any order of the entries."""
    Proxy({})  # which finds the packages beside the module
    from spiffproxy_http.client_certs import find_client_cert, read_client_certs
    from spiffproxy_http.url import parse_url

    for entries in (hosts, hosts[::-1]):
        certs = read_client_certs(", ".join(f"{host}=/certs/{hosts.index(host)}" for host in entries))
        path = find_client_cert(certs, parse_url(url))
        assert path == (None if expected is None else f"/certs/{expected}")


def test_a_certificate_is_shown_to_its_hosts_alone(make_http_call, asking, write_cert):
    call = make_http_call(HTTP_CLIENT_CERTS=f"127.0.0.1={write_cert('one')}, example.org={write_cert('two')}")
    for url in asking.url, asking.local_url:
        assert call(GET, url=url).json["error"] is None
    assert asking.shown == ["one", None]


@pytest.mark.parametrize(("listed", "shown"), [("127.0.0.1", ["one", None]), ("localhost", [None, "one"])])
def test_a_redirect_to_another_host(make_http_call, asking, write_cert, listed, shown):
    asking.location = f"{asking.local_url}/there"
    call = make_http_call(HTTP_CLIENT_CERTS=f"{listed}={write_cert('one')}")
    assert call(GET, url=asking.url).json["error"] is None
    assert asking.shown == shown


def test_kept_connections_belong_to_a_certificate(make_http_call, asking, write_cert):
    """Two applications of a process may have different settings."""
    settings = [{"HTTP_CLIENT_CERTS": f"127.0.0.1={write_cert(name)}"} for name in ("one", "two")]
    calls = [make_http_call(**setting) for setting in [{}, *settings]]
    for call in calls * 2:
        assert call(GET, url=asking.url).json["error"] is None
    assert asking.shown == [None, "one", "two"] * 2
    assert asking.ports[:3] == asking.ports[3:]


def test_a_server_that_requires_a_certificate(make_http_call, asking, authority, write_cert):
    context = server_context(authority, "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    with serve_http(context) as server:
        error = make_http_call()(GET, url=server.url).json["error"]
        if error["error_code"] == "SSLError":  # or the connection is reset before the alert is read
            assert error["message"].endswith(f"the server requires a certificate of the proxy ({SETTING})")
        else:
            assert error["error_code"] == "ConnectionError"
        call = make_http_call(HTTP_CLIENT_CERTS=f"127.0.0.1={write_cert('one')}")
        assert call(GET, url=server.url).json["error"] is None


def make_bad_files(folder, cert, other):
    """Write one file for each way in which a certificate and its key cannot be used."""
    pem, other_pem = cert.read_text(), other.read_text()
    key, chain = re.findall(r"-----BEGIN (?:.|\n)*?-----END .*?-----\n", pem)[:2]
    other_key = re.findall(r"-----BEGIN (?:.|\n)*?-----END .*?-----\n", other_pem)[0]
    command = ["openssl", "pkcs8", "-topk8", "-in", str(cert), "-passout", "pass:x"]
    encrypted = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = chain.splitlines()
    contents = {
        "empty": "",
        "text": "hello",
        "key": key,
        "chain": chain,
        "mismatch": chain + other_key,
        "encrypted": chain + encrypted,
        "damaged": "\n".join([lines[0], "AAAA", *lines[3:], key]),
    }
    for name, content in contents.items():
        (folder / f"bad-{name}.pem").write_text(content)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("api.example.org=DIR/nowhere.pem", "DIR/nowhere.pem cannot be read: No such file or directory"),
        ("api.example.org=DIR", "cannot be read: Is a directory"),
        ("api.example.org=DIR/bad-empty.pem", "bad-empty.pem has no certificate in PEM form"),
        ("api.example.org=DIR/bad-text.pem", "bad-text.pem has no certificate in PEM form"),
        ("api.example.org=DIR/bad-key.pem", "bad-key.pem has no certificate in PEM form"),
        ("api.example.org=DIR/bad-chain.pem", "has no private key in PEM form. Append it to the certificate"),
        ("api.example.org=DIR/bad-mismatch.pem", "bad-mismatch.pem does not belong to the certificate"),
        ("api.example.org=DIR/bad-encrypted.pem", "is encrypted. Use a key without a password"),
        ("api.example.org=DIR/bad-damaged.pem", "bad-damaged.pem is damaged: "),
        ("a.example=DIR/one.pem, b.example=DIR/nowhere.pem", "nowhere.pem cannot be read"),
        ("DIR/one.pem", "is not a host and a file. Write api.example.org=/"),
        ("api.example.org=", "'api.example.org=' is not a host and a file"),
        ("=DIR/one.pem", "'' is not a host"),
        ("*=DIR/one.pem", "'*' is not a host"),
        ("https://api.example.org=DIR/one.pem", "'https://api.example.org' is not a host"),
        ("api.example.org:0=DIR/one.pem", "'api.example.org:0' is not a host"),
        ("10.0.0.0/8=DIR/one.pem", "'10.0.0.0/8' is a network. Write each host, or *.suffix"),
        ("a.example=DIR/one.pem,A.example.=DIR/two.pem", "is the second entry for its host. Remove one of them"),
        (" , ", "' , ' names no host"),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_start(imports, tmp_path, write_cert, value, words):
    make_bad_files(tmp_path, write_cert("one"), write_cert("two"))
    with pytest.raises(ValueError, match=SETTING) as caught:
        Proxy({SETTING: value.replace("DIR", str(tmp_path))})
    assert words.replace("DIR", str(tmp_path)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_setting_is_an_unset_one(imports):
    Proxy({SETTING: ""})


def test_the_command_line_names_the_setting(tmp_path):
    ended = run_proxy("list", **{SETTING: f"a.example={tmp_path}/nowhere.pem"})
    message = f"{SETTING}: {tmp_path}/nowhere.pem cannot be read: No such file or directory"
    assert (ended.returncode, ended.stderr) == (2, f"spiffproxy: {message}\n")
