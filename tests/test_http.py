"""The http connector: parameters, requests and answers, against a real server."""

import base64
import gzip
import json
import zlib

import pytest
import xmltodict
from conftest import JSON

import spiffproxy

VERSION_2 = ["GetRequestV2", "HeadRequestV2", "DeleteRequestV2", "PatchRequestV2", "PostRequestV2", "PutRequestV2"]
WITH_BODY = ["PatchRequestV2", "PostRequestV2", "PutRequestV2"]


def test_the_ids_and_parameters_are_those_that_diagrams_use(make_app):
    answer = make_app().get("/v1/commands").json
    listed = {
        entry["id"]: [p["id"] for p in entry["parameters"]] for entry in answer if entry["id"].startswith("http/")
    }
    auth = ["basic_auth_username", "basic_auth_password"]
    last = ["include_response_headers", "response_format", "oauth2"]
    assert listed == {
        "http/DeleteRequestV2": ["url", "headers", "params", *auth, "data", "body_format", *last],
        "http/GetRequest": ["url", "headers", "params", *auth],
        "http/GetRequestV2": ["url", "headers", "params", *auth, "attempts", *last],
        "http/HeadRequestV2": ["url", "headers", "params", *auth, "attempts", *last],
        "http/PatchRequestV2": ["url", "headers", *auth, "data", "body_format", *last],
        "http/PostRequest": ["url", "headers", *auth, "data"],
        "http/PostRequestV2": ["url", "headers", *auth, "data", "body_format", *last],
        "http/PutRequestV2": ["url", "headers", *auth, "data", "body_format", *last],
    }
    required = [
        p["id"] for entry in answer if entry["id"].startswith("http/") for p in entry["parameters"] if p["required"]
    ]
    assert required == ["url"] * 8


# --- version 1 ---


def test_version_1(http_call, upstream):
    """The upstream's text and status are the answer, whatever they are."""
    answer = http_call("GetRequest", url=upstream.url, params={"q": "a b"}, headers={"X-One": "1"})
    assert (answer.body, answer.content_type) == (b'{"ok": true}', JSON)
    assert (upstream.requests[0].path, upstream.requests[0].headers["X-One"]) == ("/?q=a+b", "1")
    upstream.answer = lambda request: (404, {"Content-Type": "text/plain"}, b"no such thing")
    assert http_call("GetRequest", 404, url=upstream.url).body == b"no such thing"
    upstream.answer = lambda request: (202, {}, b"{}")
    for command in "GetRequest", "PostRequest":
        http_call(command, 200, url=upstream.url)
    upstream.answer = lambda request: (201, {}, request.body)
    assert http_call("PostRequest", 201, url=upstream.url, data={"a": 1}).json == {"a": 1}
    assert http_call("PostRequest", 201, url=upstream.url).body == b""


def test_version_1_without_an_answer(http_call):
    answer = http_call("GetRequest", 500, url="http://127.0.0.1:1/")
    assert answer.json == {"error": "No connection to 127.0.0.1 port 1: Connection refused"}


@pytest.mark.parametrize(
    ("command", "parameters"),
    [
        ("GetRequest", {"url": "example.org"}),
        ("GetRequest", {"url": "ftp://example.org"}),
        ("GetRequest", {"url": "http://a b/"}),
        ("GetRequest", {"url": 5}),
        ("GetRequest", {"headers": {"A": 1}}),
        ("GetRequest", {"params": "a=b"}),
        ("PostRequest", {"url": "http://a:x/"}),
        ("PostRequest", {"headers": []}),
    ],
)
def test_version_1_with_a_mistake_of_the_author(http_call, upstream, command, parameters):
    """Is not tried again, as a 500 would be."""
    parameters = {"url": upstream.url, **parameters}
    version_2 = http_call(f"{command}V2", **parameters).json
    assert http_call(command, 400, **parameters).json == {"error": version_2["error"]["message"]}
    assert upstream.requests == []


def test_version_1_with_what_is_not_a_mistake_of_the_author(http_call, upstream):
    upstream.answer = lambda request: (200, {"Content-Length": "x"}, b"")
    for url in upstream.url, "http://169.254.169.254/":
        assert list(http_call("GetRequest", 500, url=url).json) == ["error"]


# --- version 2 ---


@pytest.mark.parametrize("command", VERSION_2)
def test_version_2(http_call, upstream, command):
    method = command[: -len("RequestV2")].upper()
    answer = http_call(command, url=f"{upstream.url}/path?q=s3cret", headers={"X-One": "1", "X-None": None}).json
    body = {"raw_response": ""} if method == "HEAD" else {"ok": True}
    assert answer == {
        "command_response": {"body": body, "mimetype": JSON, "http_status": 200},
        "command_response_version": 2,
        "error": None,
        "spiff__logs": [f"{method} {upstream.url}/path, attempt 1 of 1: HTTP 200"],
    }
    (request,) = upstream.requests
    assert (request.command, request.path, request.headers["X-One"]) == (method, "/path?q=s3cret", "1")
    assert "X-None" not in request.headers
    assert request.body == (b"{}" if command in WITH_BODY else b"")


@pytest.mark.parametrize("command", VERSION_2)
@pytest.mark.parametrize("status", [400, 404, 503])
def test_version_2_from_400_on(http_call, upstream, command, status):
    """Is an error that a boundary event can catch, responded with 200: the proxy has done its part."""
    upstream.answer = lambda request: (status, {"Content-Type": "text/plain"}, b"words")
    answer = http_call(command, url=f"{upstream.url}/path?q=s3cret").json
    assert answer["command_response"]["http_status"] == status
    assert answer["error"]["error_code"] == f"HttpError{status}"
    end = "" if command == "HeadRequestV2" else ": words"
    assert answer["error"]["message"].endswith(f"{upstream.url}/path responded with {status}{end}")
    assert "s3cret" not in json.dumps(answer)
    if command != "HeadRequestV2":
        assert answer["command_response"]["body"] == {"raw_response": "words"}
        assert "words" in answer["error"]["message"]


# --- bodies of answers ---

XML = '<?xml version="1.0"?><a x="1">text<b/><b y="2"> t </b><c> </c><d><![CDATA[<&]]></d></a>'


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/plain", b"text", {"raw_response": "text"}),
        (None, b"text", {"raw_response": "text"}),
        ("text/plain; charset=latin-1", b"gr\xfcn", {"raw_response": "grün"}),
        ("text/plain; charset=utf-8", b"gr\xfcn", {"raw_response": "grün"}),
        ("text/plain", "grün".encode(), {"raw_response": "grün"}),
        ("text/plain", b"gr\xfcn", {"raw_response": "grün"}),
        ("text/plain; charset=nonsense", b"text", {"raw_response": "text"}),
        ("text/plain; charset=hex", b"text", {"raw_response": "text"}),
        *(
            (f"text/plain; charset={codec}", rb"xn--tda.\u0041-", {"raw_response": r"xn--tda.\u0041-"})
            for codec in ["punycode", "IDNA", "unicode_escape", "Raw-Unicode-Escape", "undefined"]
        ),
        ("text/plain; charset=punycode", b"a" * 400_000, {"raw_response": "a" * 400_000}),
        (f"text/plain; charset*{'1' * 5000}=x", b"text", {"raw_response": "text"}),
        ("text/plain; charset=us-ascii", "ü".encode(), {"raw_response": "Ã¼"}),
        ("application/jsonl", b'{"a":1}\n{"a":2}', {"raw_response": '{"a":1}\n{"a":2}'}),
        *(
            (content_type, b"{}", {"raw_response": "{}"})
            for content_type in [
                "application/json-seq",
                "application/json5",
                "application/jsonx; a=b",
                "application/problem+json",
                "application/json+x",
                "x-application/json",
                "text/application/json",
                "text/plain; profile=application/json",
                'text/plain; profile="a, application/json"',
                "application/json, text/plain",
                "json",
            ]
        ),
        *(
            (content_type, b"{}", {})
            for content_type in [
                "application/json;",
                "APPLICATION/JSON ; a=b",
                "application/json; profile=text/plain",
                'application/json; profile="a, text/plain"',
                "application/json charset=utf-8",
                "application/json, charset=utf-8",
                "application/json,",
            ]
        ),
        *(
            (content_type, b"<a/>", {"a": None})
            for content_type in ["application/xml;", "TEXT/XML; a=b", "text/plain, text/xml", "text/xml charset=utf-8"]
        ),
        *(
            (content_type, b"<a/>", {"raw_response": "<a/>"})
            for content_type in ["application/xml-dtd", "text/xml-x", "text/plain; a=text/xml", "text/xml, text/plain"]
        ),
        (JSON, b"[1.5, 1e3, -0.0]", [1.5, 1000.0, -0.0]),
        (JSON, b"[1]", [1]),
        (JSON, b"null", None),
        ("Application/JSON; charset=utf-8", b'{"a": "\xc3\xbc"}', {"a": "ü"}),
        ("text/html, application/json", b"{}", {}),
        (JSON, '{"a": "ü"}'.encode("utf-8-sig"), {"a": "ü"}),
        (JSON, '{"a": "ü"}'.encode("utf-16"), {"a": "ü"}),
        (JSON, '{"a": "ü"}'.encode("utf-16-le"), {"a": "ü"}),
        (JSON, '{"a": "ü"}'.encode("utf-32"), {"a": "ü"}),
        (JSON, '{"a": "ü"}'.encode("utf-32-be"), {"a": "ü"}),
        ("application/json; charset=latin-1", b'{"a": "\xfc"}', {"a": "ü"}),
        (JSON, b"", {"raw_response": ""}),
        ("application/xml", b"", {"raw_response": ""}),
        ("text/xml", XML.encode(), xmltodict.parse(XML)),
        ("Application/XML; charset=utf-8", "<a>ü</a>".encode(), {"a": "ü"}),
        ("application/xml; charset=latin-1", b"<?xml version='1.0' encoding='utf-8'?><a>\xfc</a>", {"a": "ü"}),
        ("application/xml", "<?xml version='1.0' encoding='utf-8'?><a>ü</a>".encode("utf-16"), {"a": "ü"}),
        *(
            (f"text/xml{charset}", "\ufeff<a>ü</a>".encode(encoding), {"a": "ü"})
            for charset in ["", "; charset=utf-8", "; charset=iso-8859-1", "; charset=utf-16be", "; charset=nonsense"]
            for encoding in ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
        ),
        ("application/xml", "\ufeff<a>ü</a>".encode(), {"a": "ü"}),
        ("application/xml", b"<?xml version='1.0' encoding='iso-8859-15'?><a>\xa4</a>", {"a": "€"}),
        ("application/xml", b"<?xml version='1.0' encoding='windows-1252'?><a>\x80</a>", {"a": "€"}),
        ("application/xml", b"<!DOCTYPE a SYSTEM 'a.dtd'><a/>", {"a": None}),
        ("application/soap+xml", b"<a/>", {"raw_response": "<a/>"}),
        ("application/xml", b"<a>" * 200 + b"</a>" * 200, xmltodict.parse("<a>" * 200 + "</a>" * 200)),
    ],
)
def test_bodies_of_answers(http_call, upstream, content_type, body, expected):
    upstream.answer = lambda request: (200, {"Content-Type": content_type} if content_type else {}, body)
    answer = http_call("GetRequestV2", url=upstream.url).json
    assert (answer["command_response"]["body"], answer["error"]) == (expected, None)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["text/plain", JSON], {}),
        ([JSON, "text/plain"], {"raw_response": "{}"}),
        ([JSON, "", "nonsense"], {}),
        (["text/html; charset=utf-16", "text/plain"], {"raw_response": "{}"}),
    ],
)
@pytest.mark.parametrize("status", [200, 404])
def test_several_content_types(http_call, upstream, lines, expected, status):
    upstream.answer = lambda request: (status, {"Content-Type": lines}, b"{}")
    assert http_call("PostRequestV2", url=upstream.url).json["command_response"]["body"] == expected


EVERY_BYTE = bytes(range(256))


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("application/pdf;charset=UTF-8", "UTF-8"),
        ("application/pdf", "UTF-8"),
        ("application/pdf;charset=nonsense", "UTF-8"),
        ("application/pdf;charset=hex", "UTF-8"),
        ("application/pdf;charset=raw_unicode_escape", "UTF-8"),
        ('application/pdf;charset="us-ascii"', "us-ascii"),
        ("application/pdf;charset=windows-1252", "windows-1252"),
        ("application/pdf;charset=shift_jis", "shift_jis"),
        ("application/pdf;charset=utf-32", "utf-32"),
        ("application/pdf;charset=utf-7", "utf-7"),
        ("application/pdf;charset=latin-1", None),
    ],
)
@pytest.mark.parametrize("command", ["GetRequestV2", "PostRequestV2", "GetRequest"])
@pytest.mark.parametrize("status", [200, 404])
def test_no_byte_is_lost(http_call, upstream, content_type, charset, command, status):
    """A body that its charset does not decode is latin-1, and the log says so."""
    upstream.answer = lambda request: (status, {"Content-Type": content_type}, EVERY_BYTE)
    if command == "GetRequest":
        assert http_call(command, status, url=upstream.url).body.decode().encode("latin-1") == EVERY_BYTE
        return
    answer = http_call(command, url=upstream.url).json
    assert answer["command_response"]["body"]["raw_response"].encode("latin-1") == EVERY_BYTE
    line = f"The body is not valid {charset} and was read as latin-1, which keeps every byte"
    assert answer["spiff__logs"][:-1] == ([line] if charset else [])


def test_json_that_its_charset_does_not_decode(http_call, upstream):
    upstream.answer = lambda request: (200, {"Content-Type": f"{JSON}; charset=utf-8"}, b'{"a": "gr\xfcn"}')
    answer = http_call("GetRequestV2", url=upstream.url).json
    assert answer["command_response"]["body"] == {"a": "grün"}
    assert "is not valid utf-8 and was read as latin-1" in answer["spiff__logs"][0]


@pytest.mark.parametrize("content_type", [JSON, "application/xml"])
@pytest.mark.parametrize("status", [200, 404])
def test_what_is_neither_what_it_says_nor_in_its_charset(http_call, upstream, content_type, status):
    upstream.answer = lambda request: (status, {"Content-Type": f"{content_type}; charset=utf-8"}, EVERY_BYTE)
    answer = http_call("GetRequestV2", url=upstream.url).json
    assert answer["command_response"]["body"]["raw_response"].encode("latin-1") == EVERY_BYTE
    assert ["read as latin-1" in line for line in answer["spiff__logs"]] == [True, False]


@pytest.mark.parametrize(
    "xml",
    [
        "<a/>",
        "<a></a>",
        "<a> </a>",
        "<a>text</a>",
        "<a x='1'/>",
        "<a x='1'>text</a>",
        "<a>one<b/>two</a>",
        "<a><b>1</b><b>2</b><b>3</b><c/><b/></a>",
        "<a><b/><b/></a>",
        "<a x=''>\n<b y='2'>t</b>\n</a>",
        "<n:a xmlns:n='u' n:x='1'><n:b/></n:a>",
        "<a><!-- comment -->x<?pi data?>y</a>",
        "<a>&lt;&#252;&amp;</a>",
        "<a>" + "x" * 100_000 + "</a>",
        "<a><a><a>1</a></a><a/></a>",
        "<a><b>0</b></a>",
    ],
)
def test_xml_is_what_xmltodict_makes_of_it(http_call, upstream, xml):
    upstream.answer = lambda request: (200, {"Content-Type": "application/xml"}, xml.encode())
    assert http_call("GetRequestV2", url=upstream.url).json["command_response"]["body"] == xmltodict.parse(xml)


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        (JSON, b"<html>", "JSONDecodeError"),
        (JSON, b'{"a": NaN}', "JSONDecodeError"),
        (JSON, b"[" * 100_000, "JSONDecodeError"),
        (JSON, b"1" * 5000, "JSONDecodeError"),
        (JSON, b'{"a": -1e999}', "JSONDecodeError"),
        ("application/xml", b"{}", "ExpatError"),
        ("application/xml", b"<a><b></a>", "ExpatError"),
        ("application/xml", b"<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", "ExpatError"),
        ("application/xml", b"<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a>&e;</a>", "ExpatError"),
        ("application/xml", b"<!DOCTYPE a [<!ENTITY % e SYSTEM 'file:///etc/passwd'>%e;]><a/>", "ExpatError"),
        ("application/xml", b"<a>" * 201 + b"</a>" * 201, "ExpatError"),
        ("application/xml", b"<?xml version='1.0' encoding='nonsense'?><a/>", "ExpatError"),
        ("application/xml; charset=utf-8", b"<a>\xfc</a>", "ExpatError"),
        ("application/xml; charset=latin-1", b"\xef\xbb\xbf<a>\xfc</a>", "ExpatError"),
        ("application/xml; charset=unicode_escape", rb"<a>\u0041</a>", "ExpatError"),
        ("application/xml", rb"<?xml version='1.0' encoding='raw-unicode-escape'?><a>\u0041</a>", "ExpatError"),
    ],
)
@pytest.mark.parametrize("status", [200, 404])
def test_what_is_not_what_it_says(http_call, upstream, content_type, body, code, status):
    """From 400 on the status is the error."""
    upstream.answer = lambda request: (status, {"Content-Type": content_type}, body)
    answer = http_call("GetRequestV2", url=upstream.url).json
    assert answer["command_response"]["http_status"] == status
    assert list(answer["command_response"]["body"]) == ["raw_response"]
    assert answer["error"]["error_code"] == (code if status == 200 else "HttpError404")


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(http_call, upstream, status):
    upstream.answer = lambda request: (status, {"Content-Type": JSON, "Content-Length": []}, b"")
    answer = http_call("GetRequestV2", url=upstream.url).json
    assert answer["command_response"] == {"body": {"raw_response": ""}, "mimetype": JSON, "http_status": status}
    assert answer["error"] is None


RAW_DEFLATE = zlib.compressobj(wbits=-15)
COMPRESSED = RAW_DEFLATE.compress(b'{"a": 1}') + RAW_DEFLATE.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b'{"a": 1}')),
        ("GZip", gzip.compress(b'{"a"') + gzip.compress(b": 1}")),
        ("x-gzip", gzip.compress(b'{"a": 1}') + b"\0\0\0"),
        ("deflate", zlib.compress(b'{"a": 1}')),
        ("deflate", COMPRESSED),
        ("gzip", gzip.compress(b'{"a": 1' + b" " * 200_000) + gzip.compress(b" " * 200_000 + b"}")),
        ("deflate, gzip", gzip.compress(zlib.compress(b'{"a": 1}'))),
        ("gzip, deflate", zlib.compress(gzip.compress(b'{"a": 1}', mtime=0))),
        (["gzip", "gzip"], gzip.compress(gzip.compress(b'{"a": 1}'))),
        (["deflate", " GZIP , identity"], gzip.compress(zlib.compress(b'{"a": 1}'))),
        (["gzip"] * 3, gzip.compress(gzip.compress(gzip.compress(b'{"a": 1}')))),
        ("identity", b'{"a": 1}'),
        ("none", b'{"a": 1}'),
        ("", b'{"a": 1}'),
        (",", b'{"a": 1}'),
    ],
)
@pytest.mark.parametrize("is_chunked", [True, False])
def test_compressed_answers(http_call, upstream, encoding, body, is_chunked):
    headers = {"Content-Type": JSON, "Content-Encoding": encoding}
    if is_chunked:
        headers.update({"Transfer-Encoding": "chunked", "Content-Length": []})
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if is_chunked else body
    upstream.answer = lambda request: (200, headers, sent)
    assert http_call("GetRequestV2", url=upstream.url).json["command_response"]["body"] == {"a": 1}
    assert upstream.requests[0].headers["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, br"])
@pytest.mark.parametrize("status", [200, 204, 304])
def test_an_empty_answer_that_says_it_is_compressed(http_call, upstream, encoding, status):
    length = [] if status == 204 else "0"
    upstream.answer = lambda request: (status, {"Content-Encoding": encoding, "Content-Length": length}, b"")
    for command in "GetRequestV2", "HeadRequestV2":
        assert http_call(command, url=upstream.url).json["command_response"]["body"] == {"raw_response": ""}


@pytest.mark.parametrize(
    ("encoding", "body", "named"),
    [
        *((name, b"x", name.lower()) for name in ["br", "BR", "zstd", "compress", "x-compress", "utf-8", "gzip;q=1"]),
        ("br, gzip", gzip.compress(b"x"), "br"),
        (["br", "gzip"], gzip.compress(b"x"), "br"),
        ("gzip, br", gzip.compress(b"x"), "br"),
        ("x" * 999, b"x", "x" * 80),
    ],
)
@pytest.mark.parametrize("command", ["GetRequestV2", "PostRequestV2"])
def test_an_unknown_coding_is_named(http_call, upstream, command, encoding, body, named):
    upstream.answer = lambda request: (200, {"Content-Encoding": encoding}, body)
    answer = http_call(command, url=upstream.url).json
    message = f"The response has the content coding {named}. The proxy can read gzip and deflate"
    assert answer["error"] == {"error_code": "ContentDecodingError", "message": message}
    assert (answer["command_response"]["http_status"], answer["command_response"]["body"]) == (500, {})


@pytest.mark.parametrize(
    ("encoding", "body", "code"),
    [
        ("gzip", b"not compressed", "ContentDecodingError"),
        ("deflate", b"not compressed", "ContentDecodingError"),
        ("gzip", gzip.compress(b"x" * 1000)[:-10], "ChunkedEncodingError"),
        ("gzip", gzip.compress(b"") * 1001, "ContentDecodingError"),
        ("gzip", gzip.compress(b"x") + b"\x1f\x8b", "ChunkedEncodingError"),
        ("deflate", zlib.compress(bytes(range(256)))[:-10], "ChunkedEncodingError"),
    ],
)
def test_answers_that_cannot_be_decompressed(http_call, upstream, encoding, body, code):
    upstream.answer = lambda request: (200, {"Content-Encoding": encoding}, body)
    answer = http_call("GetRequestV2", url=upstream.url).json
    assert (answer["error"]["error_code"], answer["command_response"]["http_status"]) == (code, 500)


@pytest.mark.parametrize(
    ("headers", "body", "fits"),
    [
        ({}, b"x" * 1000, True),
        ({}, b"x" * 1001, False),
        ({"Transfer-Encoding": "chunked", "Content-Length": []}, b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n", False),
        ({"Content-Length": [], "Connection": "close"}, b"x" * 1001, False),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"x" * 1000), True),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"x" * 1001), False),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"x" * 600) * 2, False),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"x" * 10_000_000), False),
    ],
)
def test_the_size_of_an_answer(make_http_call, upstream, headers, body, fits):
    """Counts before and after decompression."""
    upstream.answer = lambda request: (200, {"Content-Type": "text/plain", **headers}, body)
    call = make_http_call(HTTP_MAX_RESPONSE_BYTES=1000)
    answer = call("GetRequestV2", url=upstream.url).json
    error = answer["error"] and (answer["error"]["error_code"], answer["command_response"]["http_status"])
    assert error == (None if fits else ("ResponseTooLarge", 413))
    assert call("HeadRequestV2", url=upstream.url).json["error"] is None
    if not fits:
        message = "The response has more than 1000 bytes (CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES)"
        assert answer["error"]["message"] == message
        assert call("GetRequest", 500, url=upstream.url).json == {"error": message}


@pytest.mark.parametrize("command", VERSION_2)
@pytest.mark.parametrize("status", [200, 404])
def test_response_headers_where_asked_for(http_call, upstream, command, status):
    upstream.answer = lambda request: (status, {"X-Many": ["a", "b"], "x-mANY": "c", "X-Folded": "1\r\n 2"}, b"")
    headers = http_call(command, url=upstream.url, include_response_headers=True).json["command_response"]["headers"]
    assert (headers["X-Many"], headers["X-Folded"]) == ("a, b, c", "1 2")
    assert "x-mANY" not in headers


# --- bodies of requests ---


@pytest.mark.parametrize(
    ("parameters", "content_type", "body"),
    [
        ({"data": {"a": [1, "ü"]}}, JSON, b'{"a": [1, "\\u00fc"]}'),
        ({"data": [1]}, JSON, b"[1]"),
        ({"data": "text"}, JSON, b'"text"'),
        ({"data": False}, JSON, b"false"),
        ({"data": None}, JSON, b"{}"),
        ({}, JSON, b"{}"),
        ({"body_format": None}, JSON, b"{}"),
        ({"data": {}, "headers": {"content-TYPE": "a/b"}}, "a/b", b"{}"),
        (
            {"data": {"a": "x y", "b": [1, None, 2], "c": None}, "body_format": "Form"},
            "application/x-www-form-urlencoded",
            b"a=x+y&b=1&b=2",
        ),
        ({"data": "grün", "body_format": "raw"}, None, "grün".encode()),
        ({"data": {"a": 1}, "body_format": "RAW"}, None, b'{"a": 1}'),
        ({"data": [1], "body_format": "raw"}, None, b"[1]"),
        ({"data": {"a": 1}, "body_format": "none"}, None, b""),
    ],
)
def test_bodies_of_requests(http_call, upstream, parameters, content_type, body):
    http_call("PostRequestV2", url=upstream.url, **parameters)
    (request,) = upstream.requests
    assert request.body == body
    assert request.headers.get_all("Content-Type") == (content_type and [content_type])
    assert request.headers.get_all("Content-Length") == [str(len(body))]


def test_delete_sends_a_body_only_where_there_is_data(http_call, upstream):
    http_call("DeleteRequestV2", url=upstream.url)
    http_call("DeleteRequestV2", url=upstream.url, data={})
    assert [request.body for request in upstream.requests] == [b"", b"{}"]
    assert "Content-Length" not in upstream.requests[0].headers


# --- URLs ---


@pytest.mark.parametrize(
    ("path", "params", "target"),
    [
        ("", None, "/"),
        ("/a b/ü?q=ü x#fragment", None, "/a%20b/%C3%BC?q=%C3%BC%20x"),
        ("/%41%zz%2f%", None, "/%41%25zz%2f%25"),
        ("/a\tb\nc", None, "/a%09b%0Ac"),
        ("?", None, "/"),
        ("/?a=1", {"b": [1, None, "x y"], "c": None, "d": "ü&="}, "/?a=1&b=1&b=x+y&d=%C3%BC%26%3D"),
        ("/x#f", {"a": 1}, "/x?a=1"),
        ("/x", {}, "/x"),
        ("/x", {"a": None}, "/x"),
        ("/a/../b/./c", None, "/a/../b/./c"),
        ("/!$&'()*+,;=:@~[]", None, "/!$&'()*+,;=:@~[]"),
        ('/"<>\\^`{|}', None, "/%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ("  ", None, "/"),
    ],
)
def test_urls(http_call, upstream, path, params, target):
    http_call("GetRequestV2", url=upstream.url.upper() + path, params=params)
    assert upstream.requests[0].path == target
    assert upstream.requests[0].headers.get_all("Host") == [upstream.url[len("http://") :]]


@pytest.mark.parametrize(
    ("host", "looked_up"),
    [
        ("BÜCHER.invalid", "xn--bcher-kva.invalid"),
        ("straße.invalid", "xn--strae-oqa.invalid"),
        ("ａ。b.invalid", "a.b.invalid"),
        ("a_b.Invalid.", "a_b.invalid."),
    ],
)
def test_hosts_beyond_ascii(http_call, host, looked_up):
    answer = http_call("GetRequestV2", url=f"http://{host}/").json
    assert (answer["error"]["error_code"], answer["command_response"]["http_status"]) == ("ConnectionError", 500)
    assert f"The name {looked_up} cannot be resolved" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        (
            {"url": "example.org/x"},
            "MissingSchema",
            "The URL has no scheme. Write https:// in front of it",
        ),
        ({"url": "//example.org/x"}, "MissingSchema", "The URL has no scheme."),
        ({"url": ""}, "MissingSchema", "The URL is empty. Write it as in https://api.example.org/path"),
        ({"url": " \n"}, "MissingSchema", "The URL is empty."),
        ({"url": "example.org/x?key=a:s3cret"}, "MissingSchema", "The URL has no scheme."),
        (
            {"url": "file:///etc/passwd"},
            "InvalidSchema",
            'The URL begins with "file:". It must begin with https:// or http://',
        ),
        ({"url": "ftp://127.0.0.1/x"}, "InvalidSchema", 'begins with "ftp:"'),
        ({"url": "data:,x"}, "InvalidSchema", 'begins with "data:"'),
        (
            {"url": "localhost:7004/x?key=s3cret"},
            "InvalidSchema",
            'begins with "localhost:". It must begin with https:// or http://. Write http://localhost:7004/x',
        ),
        ({"url": "localhost:s3cret"}, "InvalidSchema", 'begins with "localhost:". It must begin with https:// or'),
        ({"url": "secret:s3cret"}, "InvalidSchema", 'begins with "secret:". SpiffArena did not replace the secret.'),
        ({"url": " SPIFF_SECRET:s3cret/x"}, "InvalidSchema", "SpiffArena did not replace the secret. Check its name"),
        ({"url": '"https://example.org/s3cret"'}, "InvalidSchema", "The URL is in two pairs of quotes. Remove one"),
        ({"url": " '/s3cret'"}, "MissingSchema", "The URL is in two pairs of quotes. Remove one"),
        ({"url": "http:///x"}, "InvalidURL", "The URL has no host. Write it as in https://api.example.org/path"),
        ({"url": "http://"}, "InvalidURL", "no host"),
        ({"url": "http:x"}, "InvalidURL", "no host"),
        (
            {"url": "http://a b/"},
            "InvalidURL",
            'The URL\'s host is "a b", which contains a blank. Use a name such as api.example.org, or an address',
        ),
        ({"url": "http://u:s3cret@a b/"}, "InvalidURL", 'The URL\'s host is "a b", which contains a blank.'),
        (
            {"url": "http://256.1.1.1/"},
            "InvalidURL",
            'The URL\'s host is "256.1.1.1". Use an address such as 192.0.2.1',
        ),
        ({"url": "http://10.0.0.0.1/"}, "InvalidURL", "Use an address such as"),
        ({"url": "http://a..b/"}, "InvalidURL", 'The URL\'s host is "a..b". Use a name'),
        ({"url": "http://example.org\u200b/"}, "InvalidURL", "contains the invisible character U+200B"),
        ({"url": "http://exa\xadmple.org/"}, "InvalidURL", "contains the invisible character U+00AD"),
        ({"url": f"http://{'a' * 64}.b/"}, "InvalidURL", 'aaa.b". Use a name'),
        ({"url": "http://a%41/"}, "InvalidURL", 'contains "%" (U+0025)'),
        ({"url": "http://\u2100.example/"}, "InvalidURL", "host"),
        ({"url": "http://[::1/"}, "InvalidURL", 'The URL\'s host is "[::1". Write it as in'),
        ({"url": "http://::1/"}, "InvalidURL", "or https://[2001:db8::1]:8443"),
        ({"url": "http://u:s3cret@/"}, "InvalidURL", "The URL's host is invalid."),
        ({"url": "http://[::zz]/"}, "InvalidURL", "host"),
        ({"url": "http://[1:2:3]/"}, "InvalidURL", 'The URL\'s host is "[1:2:3]". Use an IPv6 address'),
        ({"url": "http://a:65536/"}, "InvalidURL", 'The URL\'s port is "65536". Use a number from 1 to 65535'),
        ({"url": "http://a:0/"}, "InvalidURL", "port"),
        ({"url": "http://a:x/"}, "InvalidURL", 'The URL\'s port is "x". Use a number from 1 to 65535'),
        ({"url": "http://a:\u0661/"}, "InvalidURL", "port"),
        ({"url": "http://fe80::1/"}, "InvalidURL", "put an IPv6 address in brackets: [2001:db8::1]"),
        ({"url": "http://u:s3cret/@h/"}, "InvalidURL", "The URL's port is invalid. Use a number from 1 to 65535"),
        ({"url": "http://a:-1/"}, "InvalidURL", "port"),
        ({"url": "http://a:" + "9" * 5000}, "InvalidURL", "port"),
        ({"url": "http://a/\ud800"}, "InvalidURL", "surrogate"),
        ({"url": "http://\ud800/"}, "InvalidURL", "surrogate"),
        ({"url": 5}, "ValueError", "url must be a string, but is a number"),
        ({"url": None}, "ValueError", "url must be a string, but is null. Fill it in, as a string in quotes."),
        (
            {"data": 1, "body_format": "form"},
            "ValueError",
            'data must be an object such as {"name": "Jane"}, because body_format is "form"',
        ),
        (
            {"data": {"a": {"b": 1}}, "body_format": "form"},
            "ValueError",
            "data: a must be a string, a number, or a list",
        ),
        (
            {"body_format": "xml"},
            "ValueError",
            'body_format is "xml". Use "json", "form", "multipart", "file", "raw" or "none".',
        ),
        ({"body_format": 5}, "ValueError", "body_format is 5. Use"),
        ({"data": "\ud800", "body_format": "raw"}, "ValueError", "surrogate"),
        ({"data": {"a": "\ud800"}, "body_format": "form"}, "ValueError", "surrogate"),
        ({"headers": []}, "ValueError", "headers must be an object"),
        (
            {"headers": {"A": 1}},
            "InvalidHeader",
            "The header A must be a string, but is a number. Put quotes around it",
        ),
        (
            {"headers": {"A B": "x"}},
            "InvalidHeader",
            'headers: "A B" is not the name of a header: it contains a blank. Use letters, digits and hyphens',
        ),
        ({"headers": {"": "x"}}, "InvalidHeader", 'headers: "" is not the name of a header. Use'),
        ({"headers": {"A\n": "x"}}, "InvalidHeader", "contains a line break"),
        ({"headers": {"Ä": "x"}}, "InvalidHeader", 'contains "Ä" (U+00C4)'),
        ({"headers": {"A:": "x"}}, "InvalidHeader", 'contains ":" (U+003A)'),
        ({"headers": {"A": "x\r\nB: y"}}, "InvalidHeader", "The header A contains a line break. Remove it"),
        ({"headers": {"A": "x\x01y"}}, "InvalidHeader", "A contains the invisible character U+0001. Remove it"),
        ({"headers": {"A": "x\ny"}}, "InvalidHeader", "A contains a line break"),
        ({"headers": {"A": "s3cret€"}}, "InvalidHeader", 'A contains "€" (U+20AC). Use only characters of latin-1'),
        ({"headers": {"A": "\ud800"}}, "InvalidHeader", "A contains the invisible character U+D800."),
    ],
)
def test_mistakes_of_the_author_are_permanent(http_call, upstream, parameters, code, words):
    answer = http_call("PostRequestV2", **{"url": upstream.url, **parameters}).json
    assert (answer["error"]["error_code"], answer["command_response"]["http_status"]) == (code, 400)
    assert answer["command_response"]["body"] == {}
    assert words in answer["error"]["message"]
    assert "s3cret" not in str(answer)
    assert upstream.requests == []


@pytest.mark.parametrize("params", ["a=b", [["a", "b"]], {"a": {"b": 1}}, {"a": [["b"]]}, 5])
def test_params_of_the_wrong_shape(http_call, upstream, params):
    answer = http_call("GetRequestV2", url=upstream.url, params=params).json
    assert (answer["error"]["error_code"], answer["command_response"]["http_status"]) == ("ValueError", 400)
    assert "params" in answer["error"]["message"]


def test_data_that_is_no_json(make_command):
    """JSON can express NaN nowhere, but a number that Python reads as infinite."""
    call = make_command("class C:\n    def execute(self, *_): pass")
    body = '{"url": "http://127.0.0.1:1", "data": 1e999}'
    answer = call.app.post("/v1/do/http/PostRequestV2", body, content_type=JSON).json
    assert (answer["error"]["error_code"], answer["command_response"]["http_status"]) == ("InvalidJSONError", 400)


# --- headers ---


def test_headers(http_call, upstream):
    """The author's are sent as they are written; what belongs to the connection is dropped."""
    dropped = ["Content-Length", "transfer-encoding", "TE", "Upgrade", "Proxy-Authorization", "proxy-x"]
    headers = {"x-oNe": " grün ", "X-Null": None, "User-Agent": "mine", **dict.fromkeys(dropped, "x")}
    http_call("GetRequestV2", url=upstream.url, headers=headers)
    (request,) = upstream.requests
    assert ("x-oNe", "grün") in request.headers.items()
    assert request.headers.get_all("User-Agent") == ["mine"]
    for name in (*dropped, "X-Null"):
        assert name not in request.headers


def test_headers_of_our_own(http_call, upstream):
    http_call("GetRequestV2", url=upstream.url)
    assert dict(upstream.requests[0].headers) == {
        "Host": upstream.url[len("http://") :],
        "User-Agent": f"spiffproxy/{spiffproxy.__version__}",
        "Accept-Encoding": "gzip, deflate",
        "Accept": "*/*",
    }


@pytest.mark.parametrize(
    ("user", "password", "url_part", "sent"),
    [
        ("u", "p:q", "", b"u:p:q"),
        ("ü", "ß", "", "ü:ß".encode("latin-1")),
        ("ü", "€", "", "ü:€".encode()),
        ("u", None, "", b"u:"),
        (None, None, "", None),
        ("", "", "", None),
        (None, None, "u%40:p%3A@", b"u@:p:"),
        (None, None, "u@", b"u:"),
        ("a", "b", "u:p@", b"a:b"),
    ],
)
def test_basic_credentials(http_call, upstream, user, password, url_part, sent):
    url = upstream.url.replace("http://", f"http://{url_part}")
    answer = http_call("GetRequestV2", url=url, basic_auth_username=user, basic_auth_password=password).json
    header = upstream.requests[0].headers["Authorization"]
    assert header == (sent and "Basic " + base64.b64encode(sent).decode())
    assert "@" not in json.dumps(answer)


# --- tries ---


@pytest.mark.parametrize("command", ["GetRequestV2", "HeadRequestV2"])
@pytest.mark.parametrize("attempts", [1, 10])
def test_attempts(http_call, upstream, command, attempts):
    answer = http_call(command, url=upstream.url, attempts=attempts).json
    assert answer["spiff__logs"][0].endswith(f"attempt 1 of {attempts}: HTTP 200")


@pytest.mark.parametrize("attempts", [0, -1, 11, "0", "many", True, 1.5])
def test_attempts_that_make_no_sense(http_call, upstream, attempts):
    """Are not corrected silently."""
    answer = http_call("GetRequestV2", url=upstream.url, attempts=attempts).json
    assert (answer["error"]["error_code"], answer["command_response"]["http_status"]) == ("ValueError", 400)
    assert "number from 1 to 10" in answer["error"]["message"]
    assert upstream.requests == []
