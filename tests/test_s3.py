"""The s3 connector: its signature against botocore's, its requests against a server that checks them, and moto."""

import base64
import hashlib
import re
from datetime import datetime
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

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


@pytest.fixture(autouse=True)
def declared():
    """Hold every command to its list: `declared(command, code)` fails where the code is not on it."""

    def check(command, code):
        module = __import__(f"connector_s3.commands.{re.sub('(?<!^)(?=[A-Z])', '_', command).lower()}", fromlist="x")
        errors = getattr(module, command).errors
        assert re.match("[A-Z].*[a-z0-9?]$", errors[code])

    return check


@pytest.fixture
def make_call(make_app, declared, upstream):
    """Return a function that makes one which calls a command and returns body, error and status."""

    def make(environ=KEYS, **settings):
        app = make_app(environ=environ, **{"S3_URL": upstream.url, **settings})

        def call(command, **parameters):
            answer = app.post_json(f"/v1/do/s3/{command}", {"bucket": "box", **parameters})
            assert SECRET not in answer.text
            result = answer.json
            if result["error"]:
                declared(command, result["error"]["error_code"])
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
