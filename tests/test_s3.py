"""The s3 connector: its signature against botocore's, its requests against a server that checks them, and moto."""

import base64
import gzip
import hashlib
import re
from datetime import datetime
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen
from xml.sax.saxutils import escape

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import free_port
from moto.server import ThreadedMotoServer

SECRET = "s3cret+/EXAMPLEKEY"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET}
BYTES = bytes(range(256)) + b"\r\n\0\x1f\x8b"
ODD_KEYS = [
    "report.pdf",
    "a folder/a+b & c=d?e#f",
    "100%",
    "%41%2F%zz",
    "Schraube, groß/日本語/🔩.txt",
    "a//b///c",
    "/begins",
    "ends/",
    "./a/../../b/.",
    " blanks ",
    "line\r\nbreak\ttab\0null",
    "~-_.!*'()[]{}|\\^`\"<>:;@$,",
    "\u0301x\u00a0\u2028",
]
SAFE = "/-_.~"


# --- the signature ---


def read_time(text):
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ")


@pytest.fixture
def make_signer(app):
    """The class that signs, which the application has made importable."""
    from connector_s3.signature import Signer

    return Signer


# from AWS: "Signature Calculations for the Authorization Header", and "Authenticating Requests: Using Query Parameters"
EXAMPLE = "AKIAIOSFODNN7EXAMPLE", "us-east-1", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST, TIME = "examplebucket.s3.amazonaws.com", read_time("20130524T000000Z")


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "signature"),
    [
        (
            "GET",
            "/test.txt",
            {"Range": "bytes=0-9"},
            b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/?lifecycle=",
            {},
            b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/?max-keys=2&prefix=J",
            {},
            b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_examples_that_aws_publishes(make_signer, method, target, headers, body, signature):
    signed = make_signer(*EXAMPLE).sign(method, HOST, target, headers, body, TIME)
    assert signed["Authorization"].endswith(f", Signature={signature}")
    assert headers.items() <= signed.items()


def test_the_presigned_url_that_aws_publishes(make_signer):
    assert make_signer(*EXAMPLE).presign("GET", HOST, "/test.txt", 86400, TIME) == (
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def test_a_signer_that_is_shown(make_signer):
    """Shows no secret."""
    assert SECRET not in repr(make_signer("AKID", "us-east-1", SECRET, SECRET))


def sign_by_botocore(method, url, headers, body, *, time=None, token=None, region="eu-central-1"):
    """Return the headers that botocore makes of it, at its own time, or the signature of a request that came in."""
    request = AWSRequest(method, url, headers, body)
    auth = S3SigV4Auth(Credentials(KEYS["AWS_ACCESS_KEY_ID"], SECRET, token), "s3", region)
    if time is None:
        auth.add_auth(request)
        return dict(request.headers.items())
    request.context["timestamp"] = time
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return auth.signature(text, request)


@pytest.mark.parametrize("token", [None, "t0ken+/=="])
@pytest.mark.parametrize("key", ODD_KEYS)
def test_signatures_of_botocore(make_signer, key, token):
    target = f"/box/{quote(key, safe=SAFE)}"
    headers = {"Content-Type": "text/plain;  charset=utf-8", "x-amz-meta-b": "2", "x-amz-meta-a": " 1 "}
    theirs = sign_by_botocore("PUT", f"http://s3.test:9000{target}", headers, BYTES, token=token)
    signer = make_signer("AKIDEXAMPLE", "eu-central-1", SECRET, token)
    ours = signer.sign("PUT", "s3.test:9000", target, headers, BYTES, read_time(theirs["X-Amz-Date"]))
    assert {k.lower(): v for k, v in ours.items()} == {k.lower(): v for k, v in theirs.items()}


@pytest.mark.parametrize("token", [None, "t0ken+/=="])
@pytest.mark.parametrize("key", ODD_KEYS)
def test_presigned_urls_of_botocore(make_signer, key, token):
    path = f"/box/{quote(key, safe=SAFE)}"
    request = AWSRequest("GET", f"http://s3.test:9000{path}")
    S3SigV4QueryAuth(Credentials("AKIDEXAMPLE", SECRET, token), "s3", "eu-central-1", expires=60).add_auth(request)
    time = read_time(re.search("X-Amz-Date=([^&]+)", request.url)[1])
    ours = make_signer("AKIDEXAMPLE", "eu-central-1", SECRET, token).presign("GET", "s3.test:9000", path, 60, time)
    assert sorted(ours.partition("?")[2].split("&")) == sorted(request.url.partition("?")[2].split("&"))


# --- commands ---


@pytest.fixture
def make_call(make_app, upstream):
    """Return a function that makes one which calls a command and returns body, error and status."""

    def make(environ=KEYS, **settings):
        app = make_app(environ=environ, **{"S3_URL": upstream.url, **settings})

        def call(command, **parameters):
            answer = app.post_json(f"/v1/do/s3/{command}", {"bucket": "box", **parameters})
            assert SECRET not in answer.text
            result = answer.json
            if result["error"]:
                assert result["command_response"]["body"] == {}
            return result["command_response"]["body"], result["error"], result["command_response"]["http_status"]

        return call

    return make


class Store:
    """An S3 that keeps objects by what was on the wire, and refuses what is not signed as botocore would sign it."""

    def __init__(self, server):
        self.server, self.url, self.requests = server, server.url, server.requests
        self.objects = {}  # by target: content type and bytes
        self.region, self.token = "us-east-1", None
        server.answer = self.answer

    def answer(self, request):
        target = request.connection.requestline.split(" ")[1]  # `path` is without a second slash at its beginning
        code = self.check(request, target)
        if code:
            return error_answer(403, code)
        if request.command == "PUT":
            self.objects[target] = (request.headers["Content-Type"], request.body)
        elif request.command == "DELETE":
            self.objects.pop(target, None)
            return 204, {}, b""
        elif target not in self.objects:
            return error_answer(404, "NoSuchKey")
        content_type, body = self.objects[target]
        etag = hashlib.md5(body).hexdigest()
        headers = {"ETag": f'"{etag}"', "Content-Type": content_type, "Last-Modified": "Wed, 25 Nov 2026 09:00:00 GMT"}
        return 200, headers, body if request.command == "GET" else b""

    def check(self, request, target):
        """Return the code that S3 refuses a signature with, or None."""
        given = request.headers["Authorization"]
        match = re.fullmatch("AWS4-HMAC-SHA256 Credential=(.+), SignedHeaders=(.+), Signature=([0-9a-f]{64})", given)
        time, digest = request.headers["X-Amz-Date"], request.headers["X-Amz-Content-SHA256"]
        assert digest == hashlib.sha256(request.body).hexdigest()
        assert request.headers["X-Amz-Security-Token"] == self.token
        if match[1].split("/") != ["AKIDEXAMPLE", time[:8], self.region, "s3", "aws4_request"]:
            return "AuthorizationHeaderMalformed"
        signed = {name: request.headers[name] for name in match[2].split(";")}
        must = [name.lower() for name in request.headers if re.match("(?i)host|content-type|x-amz-", name)]
        assert sorted(signed) == sorted(must)
        url = f"http://{request.headers['Host']}{target}"
        signature = sign_by_botocore(request.command, url, signed, request.body, time=time, region=self.region)
        return None if signature == match[3] else "SignatureDoesNotMatch"


def error_answer(status, code, message="In S3's own words"):
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return status, {"Content-Type": "application/xml"}, body.encode()


@pytest.fixture
def store(upstream):
    return Store(upstream)


def encode(data):
    return base64.b64encode(data).decode()


def test_put_get_and_delete(make_call, store):
    call = make_call()
    etag = hashlib.md5(BYTES).hexdigest()
    stored = {"bucket": "box", "key": "in/report.pdf", "size": len(BYTES), "etag": etag}
    assert call("PutObject", key="in/report.pdf", file_data=encode(BYTES), content_type="application/pdf") == (
        stored,
        None,
        200,
    )
    assert store.objects == {"/box/in/report.pdf": ("application/pdf", BYTES)}
    assert call("GetObject", key="in/report.pdf") == (
        {
            "filename": "report.pdf",
            "mimetype": "application/pdf",
            "content_base64": encode(BYTES),
            "content_type": "application/pdf",
            **stored,
            "last_modified": "Wed, 25 Nov 2026 09:00:00 GMT",
        },
        None,
        200,
    )
    assert call("DeleteObject", key="in/report.pdf") == ({"bucket": "box", "key": "in/report.pdf"}, None, 200)
    assert store.objects == {}


@pytest.mark.parametrize("key", ODD_KEYS)
def test_keys(make_call, store, key):
    """Are on the wire as they are signed, whatever they hold."""
    call = make_call()
    assert call("PutObject", key=key, file_data="")[1] is None
    assert list(store.objects) == ["/box/" + quote(key, safe=SAFE)]
    assert call("GetObject", key=key)[0]["key"] == key
    assert call("DeleteObject", key=key)[1] is None
    assert store.objects == {}


@pytest.mark.parametrize(
    ("file_data", "content_type", "stored"),
    [
        (encode(b"text"), None, ("application/octet-stream", b"text")),
        (f" {encode(BYTES)[:76]}\r\n{encode(BYTES)[76:]}\n", None, ("application/octet-stream", BYTES)),
        ("data:image/png;name=a%20b.png;base64," + encode(BYTES), None, ("image/png", BYTES)),
        ("data:image/png;name=a.png;base64," + encode(BYTES), "text/plain", ("text/plain", BYTES)),
        ("data:;base64,", None, ("application/octet-stream", b"")),
        ("data:text/plain;charset=utf-8;name=a.txt;base64,dGV4dA==", None, ("text/plain;charset=utf-8", b"text")),
        ("data:;charset=utf-8;base64,dGV4dA==", None, ("application/octet-stream", b"text")),
        ("data:text/plain;charset=utf-8;base64,dGV4dA==", " a/b;  c=d ", ("a/b;  c=d", b"text")),
        ({"content_base64": encode(BYTES)}, None, ("application/octet-stream", BYTES)),
        (
            {"filename": "a.csv", "mimetype": "text/csv; charset=utf-8", "content_base64": "YQ==", "size": 1},
            "",
            ("text/csv;charset=utf-8", b"a"),
        ),
    ],
)
def test_file_data(make_call, store, file_data, content_type, stored):
    """Is base64, or a file, whose type is that of the object unless another is given."""
    body, error, _ = make_call()("PutObject", key="k", file_data=file_data, content_type=content_type)
    assert error is None
    assert body["size"] == len(stored[1])
    assert store.objects == {"/box/k": stored}


def test_an_object_that_is_stored_compressed(make_call, upstream):
    """Is returned as it is stored, and none is asked for that is compressed on the way."""
    body = gzip.compress(b"text")
    upstream.answer = lambda request: (200, {"ETag": '"e"', "Content-Encoding": "gzip"}, body)
    assert make_call()("GetObject", key="k")[0]["content_base64"] == encode(body)
    assert upstream.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_result_is_an_attachment(make_call, store, make_app):
    """GetObject's is what the smtp connector takes."""
    call = make_call()
    call("PutObject", key="a/grün.txt", file_data=encode(b"text"), content_type="text/plain; charset=utf-8")
    from connector_smtp.attachments import read_attachments

    assert read_attachments(call("GetObject", key="a/grün.txt")[0]) == [("grün.txt", "text/plain", {}, b"text")]


# --- where the bucket is, and who signs ---


@pytest.mark.parametrize(
    ("parameters", "url"),
    [
        ({}, "https://box.s3.us-east-1.amazonaws.com/k"),
        ({"region": "eu-central-1"}, "https://box.s3.eu-central-1.amazonaws.com/k"),
        ({"region": "cn-north-1"}, "https://box.s3.cn-north-1.amazonaws.com.cn/k"),
        ({"bucket": "box.of.mine"}, "https://s3.us-east-1.amazonaws.com/box.of.mine/k"),
        ({"bucket": "Old_Box"}, "https://s3.us-east-1.amazonaws.com/Old_Box/k"),
        ({"bucket": "b" * 64}, f"https://s3.us-east-1.amazonaws.com/{'b' * 64}/k"),
        ({"addressing_style": ""}, "https://box.s3.us-east-1.amazonaws.com/k"),
        ({"addressing_style": "path"}, "https://s3.us-east-1.amazonaws.com/box/k"),
        (
            {"addressing_style": "virtual", "bucket": "box.of.mine"},
            "https://box.of.mine.s3.us-east-1.amazonaws.com/k",
        ),
        ({"endpoint_url": "http://minio:9000"}, "http://minio:9000/box/k"),
        ({"endpoint_url": " https://MinIO:443/ "}, "https://minio/box/k"),
        ({"endpoint_url": "https://gw/s3/", "bucket": "tenant:box"}, "https://gw/s3/tenant%3Abox/k"),
        ({"endpoint_url": "http://minio:9000", "addressing_style": "virtual"}, "http://box.minio:9000/k"),
        ({"endpoint_url": "http://gw/s3", "addressing_style": "virtual"}, "http://box.gw/s3/k"),
        ({"endpoint_url": "http://[::1]:9000"}, "http://[::1]:9000/box/k"),
    ],
)
def test_endpoints(make_call, parameters, url):
    body, error, _ = make_call(S3_URL="")("PresignUrl", key="k", **parameters)
    assert error is None
    assert body["url"].partition("?")[0] == url


def test_the_endpoint_of_the_operator(make_call, store):
    """Goes before that of the diagram."""
    assert make_call()("PutObject", key="k", file_data="", endpoint_url="http://other.test")[1] is None
    assert list(store.objects) == ["/box/k"]


def test_an_endpoint_of_the_diagram(make_call, store):
    assert make_call(S3_URL="")("PutObject", key="k", file_data="", endpoint_url=store.url)[1] is None
    assert list(store.objects) == ["/box/k"]


def test_a_bucket_in_the_host(make_caller, store):
    """Leaves the key alone in the path, with all its slashes."""
    call = make_caller({"box.s3.test": [["127.0.0.1"]]})
    endpoint = f"http://s3.test:{urlsplit(store.url).port}"
    parameters = {"bucket": "box", "endpoint_url": endpoint, "addressing_style": "virtual"}
    for key in "k", "//a/../b":
        assert call("s3/PutObject", KEYS, key=key, file_data="", **parameters)["error"] is None
    assert list(store.objects) == ["/k", "///a/../b"]
    assert {request.headers["Host"] for request in store.requests} == {f"box.{endpoint[7:]}"}


@pytest.mark.parametrize(
    ("environ", "parameters", "token"),
    [
        ({}, {"access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET}, None),
        ({}, {"access_key_id": "AKIDEXAMPLE", "secret_access_key": f"{SECRET}\n", "session_token": "t0ken"}, "t0ken"),
        ({**KEYS, "AWS_SESSION_TOKEN": "t0ken"}, {}, "t0ken"),
        (
            {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"},
            {"access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET},
            None,
        ),
    ],
)
def test_access_keys(make_call, store, environ, parameters, token):
    """Are those of the diagram, else the operator's, and never a mixture."""
    store.token = token
    assert make_call(environ)("PutObject", key="k", file_data="", **parameters)[1] is None


@pytest.mark.parametrize(
    ("environ", "parameters"),
    [
        ({}, {}),
        ({}, {"access_key_id": "AKIDEXAMPLE"}),
        (KEYS, {"access_key_id": "AKIDOTHER"}),
        (KEYS, {"secret_access_key": SECRET}),
        (KEYS, {"session_token": "t0ken"}),
        ({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}, {}),
    ],
)
def test_no_access_key(make_call, store, environ, parameters):
    _, error, status = make_call(environ)("GetObject", key="k", **parameters)
    assert (error["error_code"], status) == ("NoCredentials", 400)
    assert store.requests == []


@pytest.mark.parametrize(
    ("environ", "parameters"),
    [
        (KEYS, {"region": "eu-central-1"}),
        ({**KEYS, "AWS_REGION": "eu-central-1"}, {}),
        ({**KEYS, "AWS_REGION": "us-west-2"}, {"region": "eu-central-1"}),
        ({**KEYS, "AWS_DEFAULT_REGION": "eu-central-1"}, {}),
        ({**KEYS, "AWS_DEFAULT_REGION": "eu-central-1"}, {"region": " "}),
        ({**KEYS, "AWS_DEFAULT_REGION": "eu-central-1", "AWS_REGION": ""}, {}),
        ({**KEYS, "AWS_DEFAULT_REGION": "us-west-2", "AWS_REGION": "eu-central-1"}, {}),
        ({**KEYS, "AWS_DEFAULT_REGION": "us-west-2"}, {"region": "eu-central-1"}),
    ],
)
def test_the_region(make_call, store, environ, parameters):
    store.region = "eu-central-1"
    assert make_call(environ)("PutObject", key="k", file_data="", **parameters)[1] is None


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"key": ""}, "key is empty"),
        ({"key": 5}, "key must be a string, but is a number"),
        ({"key": "\ud800"}, "key contains half of a surrogate pair"),
        *[
            ({"bucket": bucket}, "Use the name of a bucket")
            for bucket in ("", "a/b", "a b", "..", "a?b", "b" * 256, "ü")
        ],
        ({"bucket": ["box"]}, "bucket must be a string, but is a list"),
        ({"file_data": None}, "file_data must be a string or an object, but is null"),
        ({"file_data": "text!"}, "file_data is neither base64 nor a data URL"),
        ({"file_data": "grün"}, "file_data is neither"),
        ({"file_data": "dGV4dA"}, "file_data is neither"),
        ({"file_data": "data:text/plain,text"}, "data:<mimetype>;name=<name>;base64,<data>"),
        ({"file_data": {"a": 1}}, "file_data: content_base64 is missing. Use an object with filename"),
        ({"file_data": {"content_base64": "YQ"}}, "file_data: content_base64 is not base64"),
        ({"file_data": "data:text/plain;base64,YQ"}, "file_data: the part after the comma is not base64"),
        ({"file_data": "data:text/plain;x=%C3%BC;base64,"}, "file_data: x in the mimetype is"),
        ({"file_data": 5}, "file_data must be a string or an object, but is a number"),
        ({"content_type": "a/b\r\nx: y"}, "content_type contains a line break"),
        ({"content_type": "ü"}, "content_type contains a line break, or a letter beyond ASCII"),
        ({"region": "eu/../"}, 'region is "eu/../". Use the name of a region'),
        ({"access_key_id": "a\nb", "secret_access_key": SECRET}, "access_key_id contains a line break"),
        ({"access_key_id": "a", "secret_access_key": 5}, "secret_access_key must be a string"),
        ({"addressing_style": "host"}, 'addressing_style is "host". Use "auto", "path" or "virtual".'),
        ({"addressing_style": "virtual"}, '"virtual", but the endpoint is an address. Use "path"'),
        ({"addressing_style": "virtual", "bucket": "My_Box"}, "no host can have this bucket name"),
        ({"addressing_style": "virtual", "bucket": "b" * 64}, "no host can have this bucket name"),
    ],
)
def test_mistakes_of_the_author(make_call, store, parameters, words):
    """Have the parameter's name, and never reach S3."""
    _, error, status = make_call()("PutObject", **{"key": "k", "file_data": "", **parameters})
    assert (error["error_code"], status) == ("ValueError", 400)
    assert words in error["message"]
    assert store.requests == []


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        ("minio:9000/x", "InvalidSchema"),
        ("minio", "MissingSchema"),
        ("http://", "InvalidURL"),
        ("http://user:s3cret@minio", "InvalidURL"),
        ("http://minio/?a=b", "InvalidURL"),
        ("http://a..b", "InvalidURL"),
    ],
)
@pytest.mark.parametrize("command", ["PresignUrl", "GetObject"])
def test_endpoints_that_are_none(make_call, command, endpoint, code):
    _, error, status = make_call(S3_URL="")(command, key="k", endpoint_url=endpoint)
    assert (error["error_code"], status) == (code, 400)
    assert re.match("endpoint_url(: The URL| contains)", error["message"])
    assert "s3cret" not in error["message"]


def test_an_endpoint_of_the_operator_that_is_none(make_call):
    """The author cannot correct it, so the message names the setting."""
    _, error, _ = make_call(S3_URL="http://a..b")("GetObject", key="k", endpoint_url="http://minio")
    assert (error["error_code"], error["message"][:35]) == ("InvalidURL", "CONNECTOR_PROXY_S3_URL: The URL's h")


# --- presigned URLs ---


def test_a_presigned_url(make_call, upstream):
    """Is the result and nothing else: it is in no log, and S3 is not asked."""
    environ = {**KEYS, "AWS_SESSION_TOKEN": "t0ken"}
    body, _, status = make_call(environ)("PresignUrl", key="a b", method="put", expires_in="60")
    assert (body["method"], body["expires_in"], status) == ("PUT", 60, 200)
    assert body["url"].startswith(f"{upstream.url}/box/a%20b?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID")
    assert "&X-Amz-Expires=60&X-Amz-Security-Token=t0ken&" in body["url"]
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("parameters", "seconds"),
    [({}, 3600), ({"expires_in": None}, 3600), ({"expires_in": 1}, 1), ({"expires_in": 604800}, 604800)],
)
def test_how_long_a_presigned_url_is_good(make_call, parameters, seconds):
    body = make_call()("PresignUrl", key="k", **parameters)[0]
    assert body["expires_in"] == seconds
    assert f"&X-Amz-Expires={seconds}&" in body["url"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"method": "POST"},
        {"method": 5},
        {"expires_in": -1},
        {"expires_in": 0},
        {"expires_in": 604801},
        {"expires_in": "soon"},
        {"expires_in": 1.5},
        {"expires_in": True},
        {"key": ""},
    ],
)
def test_no_presigned_url(make_call, parameters):
    _, error, status = make_call()("PresignUrl", **{"key": "k", **parameters})
    assert (error["error_code"], status) == ("ValueError", 400)


# --- refusals ---


@pytest.mark.parametrize(
    ("answer", "code", "status", "words"),
    [
        (error_answer(404, "NoSuchKey"), "NoSuchKey", 404, "404: NoSuchKey: In S3's own words$"),
        (error_answer(404, "NoSuchBucket", ""), "NoSuchBucket", 404, "NoSuchBucket: The bucket does not exist$"),
        (error_answer(403, "AccessDenied"), "AccessDenied", 403, ""),
        (error_answer(403, "InvalidAccessKeyId"), "InvalidAccessKeyId", 403, ""),
        (error_answer(403, "SignatureDoesNotMatch"), "SignatureDoesNotMatch", 403, ""),
        (error_answer(301, "PermanentRedirect"), "PermanentRedirect", 301, ""),
        (error_answer(307, "TemporaryRedirect"), "TemporaryRedirect", 503, ""),
        (error_answer(400, "ServiceUnavailable"), "ServiceUnavailable", 503, ""),
        (error_answer(503, "SlowDown"), "SlowDown", 503, ""),
        (error_answer(400, "SlowDown"), "SlowDown", 503, ""),
        (error_answer(400, "RequestTimeout"), "RequestTimeout", 503, ""),
        (error_answer(409, "OperationAborted"), "OperationAborted", 503, ""),
        (error_answer(429, "TooManyRequests"), "TooManyRequests", 429, ""),
        (error_answer(500, "InternalError"), "InternalError", 500, ""),
        (error_answer(418, "Teapot", "Short and stout"), "S3Error", 418, "418: Teapot: Short and stout$"),
        (error_answer(400, "no code", "x" * 9999), "S3Error", 400, "400: x{299}…$"),
        (
            (200, {"Content-Length": "x", "Connection": "close"}, b""),
            "InvalidResponse",
            502,
            "its Content-Length is 'x'",
        ),
        ((502, {"Content-Type": "text/html"}, b"<html><br></html>"), "S3Error", 502, "502$"),
        ((429, {}, b""), "S3Error", 429, "429$"),
        ((403, {}, b"<Error/>"), "S3Error", 403, "403$"),
        ((400, {}, b"<Error><Code><a/></Code><Message><b/></Message></Error>"), "S3Error", 400, "400: "),
        ((400, {}, b"<?xml version='1.0' encoding='odd'?><Error/>"), "S3Error", 400, "400$"),
        ((200, {}, b"a page to log in"), "UnexpectedAnswer", 502, "Check the endpoint"),
        ((200, {"Content-Length": 99, "Connection": "close"}, b""), "ChunkedEncodingError", 500, ""),
    ],
)
@pytest.mark.parametrize("command", ["GetObject", "PutObject", "DeleteObject"])
def test_refusals(make_call, upstream, command, answer, code, status, words):
    """Have S3's own code and words, and a status by which SpiffArena knows whether to try again."""
    upstream.answer = lambda request: answer
    parameters = {"file_data": ""} if command == "PutObject" else {}
    _, error, answered = make_call()(command, key="k", **parameters)
    assert (error["error_code"], answered) == (code, status)
    assert re.search(words, error["message"])


@pytest.mark.parametrize(
    ("status", "code", "header", "element", "named"),
    [
        (301, "PermanentRedirect", "eu-west-1", "", "eu-west-1"),
        (301, "PermanentRedirect", "eu-west-1", "ap-east-1", "eu-west-1"),
        (400, "AuthorizationHeaderMalformed", None, "eu-west-1", "eu-west-1"),
        (400, "AuthorizationHeaderMalformed", "eu-west-1", "", "eu-west-1"),
        (307, "TemporaryRedirect", "eu-west-1", "", "eu-west-1"),
        (301, "", "eu-west-1", "", "eu-west-1"),
        (301, "PermanentRedirect", None, "", None),
        (301, "PermanentRedirect", "", " ", None),
        (301, "PermanentRedirect", "no region", "", None),
        (403, "AccessDenied", "us-east-1", "", None),
        (400, "AuthorizationHeaderMalformed", None, "us-east-1", None),
    ],
)
@pytest.mark.parametrize("command", ["GetObject", "PutObject", "DeleteObject", "ListObjects"])
def test_another_region(make_call, upstream, command, status, code, header, element, named):
    """The message names it if S3 does, in its header or in its XML."""
    body = f"<Error><Code>{code}</Code><Message>no</Message><Region>{element}</Region></Error>".encode()
    headers = {"x-amz-bucket-region": [] if header is None else header, "Content-Type": "application/xml"}
    upstream.answer = lambda request: (status, headers, body if code else b"")
    parameters = {} if command == "ListObjects" else {"key": "k"}
    if command == "PutObject":
        parameters["file_data"] = ""
    _, error, _ = make_call()(command, **parameters)
    assert error["error_code"] == (code or "S3Error")
    start = f"S3 at {urlsplit(upstream.url).netloc} responded with {status}" + (f": {code}: no" if code else "")
    end = f". The bucket is in another region: set region to {named}" if named else ""
    assert error["message"] == start + end
    if named:
        _, error, _ = make_call()(command, region=named, **parameters)
        assert error["message"] == start


@pytest.mark.parametrize(
    ("sent", "etag"),
    [('"abc"', "abc"), ('W/"abc"', "abc"), (' W/"abc" ', "abc"), ("abc", "abc"), ("W/abc", "W/abc")],
)
def test_etags(make_call, upstream, sent, etag):
    """Are without quotes, and without the mark of a weak one (RFC 9110 section 8.8.3)."""
    upstream.answer = lambda request: (200, {"ETag": sent}, b"")
    call = make_call()
    assert call("GetObject", key="k")[0]["etag"] == etag
    assert call("PutObject", key="k", file_data="")[0]["etag"] == etag
    page = f"<ListBucketResult><Contents><Key>k</Key><ETag>{escape(sent)}</ETag></Contents></ListBucketResult>"
    upstream.answer = lambda request: (200, {}, page.encode())
    assert call("ListObjects")[0]["objects"][0]["etag"] == etag


@pytest.mark.parametrize("sent", ["", '""', 'W/""'])
def test_no_etag(make_call, upstream, sent):
    upstream.answer = lambda request: (200, {"ETag": sent}, b"")
    _, error, status = make_call()("GetObject", key="k")
    assert (error["error_code"], status) == ("UnexpectedAnswer", 502)


def test_the_last_of_several_content_types(make_call, upstream):
    headers = {"ETag": '"e"', "Content-Type": ["binary/octet-stream", "application/pdf; a=b"]}
    upstream.answer = lambda request: (200, headers, b"")
    body = make_call()("GetObject", key="k")[0]
    assert (body["mimetype"], body["content_type"]) == ("application/pdf", "application/pdf; a=b")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects(make_call, upstream, other_upstream, status):
    """Are not followed: neither the file nor the session token is for another host."""
    upstream.answer = lambda request: (status, {"Location": other_upstream.url}, b"")
    _, error, answered = make_call()("PutObject", key="k", file_data="")
    assert (error["error_code"], answered) == ("S3Error", status)
    assert other_upstream.requests == []


def test_an_object_that_is_too_large(make_call, store):
    call = make_call(HTTP_MAX_RESPONSE_BYTES=10)
    call("PutObject", key="k", file_data=encode(b"x" * 11))
    _, error, status = call("GetObject", key="k")
    assert (error["error_code"], status) == ("ResponseTooLarge", 413)


def test_hosts_that_are_not_allowed(make_call, store):
    _, error, status = make_call(HTTP_ALLOWED_HOSTS="s3.test")("GetObject", key="k")
    assert (error["error_code"], status) == ("HostNotAllowed", 403)


def test_nobody_listens(make_call):
    _, error, status = make_call(S3_URL=f"http://127.0.0.1:{free_port()}")("GetObject", key="k")
    assert (error["error_code"], status) == ("ConnectionError", 500)


# --- listings ---


@pytest.mark.parametrize(
    ("xml", "objects", "prefixes"),
    [
        ("", [], []),
        ("<Contents><Key>a+b%20c</Key><Size>5</Size></Contents>", ["a+b%20c"], []),
        ("<EncodingType>url</EncodingType><Contents><Key>a+b%20%00</Key></Contents>", ["a b \0"], []),
        ("<Contents><Key>a</Key></Contents><Contents><Key>b</Key></Contents>", ["a", "b"], []),
        ("<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>", [], ["a/"]),
        *(
            (
                f"<Contents>\n <Key>{text}</Key>\n <Size> 5 </Size></Contents>\n"
                f"<CommonPrefixes>\n<Prefix>{text}</Prefix>\n</CommonPrefixes>",
                [expected],
                [expected],
            )
            for text, expected in [
                (" a ", " a "),
                (" ", " "),
                ("\n\ta/b\n", "\n\ta/b\n"),
                ("\u00a0a\u2003", "\u00a0a\u2003"),
                ("&#13;&#10; a &amp; b&#32;", "\r\n a & b "),
                ("<![CDATA[ <a> ]]>", " <a> "),
                ("a<!-- b --> c ", "a c "),
                (" a+b%20", " a+b%20"),
            ]
        ),
        ("<EncodingType> url </EncodingType><Contents><Key>+a%20</Key></Contents>", [" a "], []),
        ("<EncodingType/><Contents><Key>+a%20</Key></Contents>", ["+a%20"], []),
        ("<EncodingType>url</EncodingType><CommonPrefixes><Prefix>+a%20%2F</Prefix></CommonPrefixes>", [], [" a /"]),
        ("<CommonPrefixes><Prefix>a/</Prefix><Prefix> b/</Prefix></CommonPrefixes>", [], ["a/", " b/"]),
        (
            "\n<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>",
            [],
            ["a/", "b/"],
        ),
        ("<IsTruncated>false</IsTruncated><NextContinuationToken/>", [], []),
        ("<IsTruncated>false</IsTruncated><NextContinuationToken>a</NextContinuationToken>", [], []),
        ("<IsTruncated> False </IsTruncated>", [], []),
        ("<IsTruncated>0</IsTruncated>", [], []),
    ],
)
def test_listings(make_call, upstream, xml, objects, prefixes):
    page = f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>box</Name>{xml}</ListBucketResult>'
    upstream.answer = lambda request: (200, {"Content-Type": "application/xml"}, page.encode())
    body, error, _ = make_call()("ListObjects")
    assert error is None
    assert [entry["key"] for entry in body["objects"]] == objects
    assert body["common_prefixes"] == prefixes
    assert (body["is_truncated"], body["next_continuation_token"]) == (False, None)


@pytest.mark.parametrize("truncated", ["true", "True", " true\n", "1"])
@pytest.mark.parametrize("token", ["abc", " a b+/= "])
def test_a_listing_that_goes_on(make_call, upstream, truncated, token):
    page = f"<IsTruncated>{truncated}</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
    upstream.answer = lambda request: (200, {}, f"<ListBucketResult>{page}</ListBucketResult>".encode())
    body, error, _ = make_call()("ListObjects")
    assert (body["is_truncated"], body["next_continuation_token"], error) == (True, token, None)


@pytest.mark.parametrize(
    "page",
    [
        "<IsTruncated>true</IsTruncated>",
        "<IsTruncated>true</IsTruncated><NextContinuationToken/>",
        "<IsTruncated>True</IsTruncated><NextContinuationToken></NextContinuationToken>",
        "<IsTruncated>true</IsTruncated><NextMarker>a</NextMarker>",
        "<IsTruncated>true</IsTruncated><NextContinuationToken><a/></NextContinuationToken>",
        "<NextContinuationToken>abc</NextContinuationToken>",
        "<IsTruncated>maybe</IsTruncated>",
        "<IsTruncated>true</IsTruncated><IsTruncated>false</IsTruncated>",
        "<Contents><Size>5</Size></Contents>",
        "<Contents><Key/></Contents>",
        "<Contents><Key><a/></Key></Contents>",
        "<Contents><Key>a</Key><Key>b</Key></Contents>",
        "<CommonPrefixes><Name>a</Name></CommonPrefixes>",
    ],
)
def test_listings_that_contradict_themselves(make_call, upstream, page):
    """A diagram that asks for the next page would never end, or would miss some objects."""
    upstream.answer = lambda request: (200, {}, f"<ListBucketResult><Name>box</Name>{page}</ListBucketResult>".encode())
    _, error, status = make_call()("ListObjects")
    assert (error["error_code"], status) == ("UnexpectedAnswer", 502)


@pytest.mark.parametrize(
    "page", [b"", b"<html/>", b"<ListBucketResult/>", b"<a><b></a>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>"]
)
def test_what_is_no_listing(make_call, upstream, page):
    upstream.answer = lambda request: (200, {}, page)
    _, error, status = make_call()("ListObjects")
    assert (error["error_code"], status) == ("UnexpectedAnswer", 502)


@pytest.mark.parametrize(
    "parameters", [{"max_keys": 1001}, {"max_keys": 0}, {"max_keys": "x"}, {"prefix": 5}, {"delimiter": ["/"]}]
)
def test_mistakes_in_a_listing(make_call, upstream, parameters):
    _, error, status = make_call()("ListObjects", **parameters)
    assert (error["error_code"], status) == ("ValueError", 400)
    assert upstream.requests == []


# --- moto, which is an S3 of somebody else's ---


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def moto_call(make_call, moto):
    """A call on a bucket of its own."""
    for request in (Request(f"{moto}/moto-api/reset", method="POST"), Request(f"{moto}/box", method="PUT")):
        urlopen(request).close()
    return make_call(S3_URL=moto)


@pytest.mark.parametrize("key", [key for key in ODD_KEYS if "\n" not in key])  # whose routes end at a line
def test_moto_keeps_objects(moto_call, key):
    """Whatever their keys hold."""
    assert moto_call("PutObject", key=key, file_data=encode(BYTES), content_type="a/b")[1] is None
    assert [entry["key"] for entry in moto_call("ListObjects")[0]["objects"]] == [key]
    body, error, _ = moto_call("GetObject", key=key)
    assert error is None
    assert (body["content_base64"], body["mimetype"]) == (encode(BYTES), "a/b")
    assert urlopen(moto_call("PresignUrl", key=key)[0]["url"]).read() == BYTES
    assert moto_call("DeleteObject", key=key)[1] is None
    assert moto_call("GetObject", key=key)[2] == 404  # before 5.2 it writes some of these keys as no XML


def test_moto_lists_in_pages(moto_call):
    for key in "a/1", "a/2", "b b/1", "c":
        moto_call("PutObject", key=key, file_data=encode(b"text"))
    first = moto_call("ListObjects", max_keys=3)[0]
    assert [(entry["key"], entry["size"]) for entry in first["objects"]] == [("a/1", 4), ("a/2", 4), ("b b/1", 4)]
    assert first["objects"][0]["etag"] == hashlib.md5(b"text").hexdigest()
    assert first["is_truncated"]
    rest = moto_call("ListObjects", continuation_token=first["next_continuation_token"])[0]
    assert [entry["key"] for entry in rest["objects"]] == ["c"]
    assert not rest["is_truncated"]
    folders = moto_call("ListObjects", delimiter="/")[0]
    assert ([entry["key"] for entry in folders["objects"]], folders["common_prefixes"]) == (["c"], ["a/", "b b/"])
    assert [entry["key"] for entry in moto_call("ListObjects", prefix="b b/")[0]["objects"]] == ["b b/1"]


@pytest.mark.parametrize("command", ["PutObject", "GetObject", "DeleteObject", "ListObjects"])
def test_moto_knows_no_such_bucket(moto_call, command):
    parameters = {} if command == "ListObjects" else {"key": "k"}
    if command == "PutObject":
        parameters["file_data"] = ""
    _, error, status = moto_call(command, bucket="no-such-box", **parameters)
    assert (error["error_code"], status) == ("NoSuchBucket", 404)
