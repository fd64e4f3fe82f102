"""Files in diagrams: what the http, smtp and s3 connectors accept and return, and the formats of the http connector."""

import base64
import gzip
import io
import json
import re
import sys

import pytest
from conftest import JSON, ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from webob import Request
from werkzeug.formparser import parse_form_data

sys.path.append(str(ROOT / "connectors"))

from spiffproxy_http.filenames import clean_filename
from spiffproxy_http.files import File, read_file

VERSION_2 = ["GetRequestV2", "HeadRequestV2", "DeleteRequestV2", "PatchRequestV2", "PostRequestV2", "PutRequestV2"]
WITH_BODY = [name for name in VERSION_2 if name[0] not in "GH"]
BYTES = bytes(range(256)) + b"\r\n--x\r\n"


def encode(content):
    return base64.b64encode(content).decode()


def make_file(content=b"a", **more):
    return {"content_base64": encode(content), **more}


def outcome(answer):
    """Return the body, the error code and the status of a call."""
    response, error = answer.json["command_response"], answer.json["error"]
    return response["body"], error and error["error_code"], response["http_status"]


# --- one file, in either form ---


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            make_file(BYTES, filename="a b.pdf", mimetype="application/pdf"),
            File("a b.pdf", "application/pdf", {}, BYTES),
        ),
        (make_file(), File("", "application/octet-stream", {}, b"a")),
        (
            {"filename": None, "mimetype": None, "content_base64": "", "size": "x", "key": 1},
            File("", "application/octet-stream", {}, b""),
        ),
        (
            make_file(mimetype='Text/CSV; Charset="utf-8"'),
            File("", "text/csv", {"charset": "utf-8"}, b"a"),
        ),
        ({"content_base64": " Y\r\nQ==\n"}, File("", "application/octet-stream", {}, b"a")),
        ({"content_base64": "", "mimetype": "a/b; c=%20; d=%FC"}, File("", "a/b", {"c": "%20", "d": "%FC"}, b"")),
        (
            f"data:application/pdf;name=Gr%C3%BC%C3%9Fe%2C%20a%3Bb.pdf;base64,{encode(BYTES)}",
            File("Grüße, a;b.pdf", "application/pdf", {"name": "Grüße, a;b.pdf"}, BYTES),
        ),
        ("data:;name=a;base64,", File("a", "application/octet-stream", {}, b"")),
        ("DATA:Text/Plain;charset=utf-8;BASE64,YQ==", File("", "text/plain", {"charset": "utf-8"}, b"a")),
        ("data:text/plain;base64,%2b%2F+/SGk%3D%0A", File("", "text/plain", {}, b"\xfb\xff\xbfHi")),
    ],
)
def test_a_file_is_an_object_or_a_data_url(value, expected):
    """Each form gives the same file; what is missing has a default, and other keys are ignored."""
    assert read_file("file", value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("text", "file: a string must be a data URL, data:<mimetype>;name=<name>;base64,<data>"),
        ("data:text/plain,a", "file: a string must be a data URL"),
        ("data:text/plain;base64,a", "file: the part after the comma is not base64"),
        ("data:text/plain;base64,YQ%3D%FC", "file: the part after the comma is not base64"),
        ("data:text/plain;base64,YQ==%A0%A0%A0%A0", "file: the part after the comma is not base64"),
        ("data:text/plain;base64,YQ%253D%253D", "file: the part after the comma is not base64"),
        ({"content_base64": "YQ%3D%3D"}, "file: content_base64 is not base64"),
        ("data:text;base64,", 'file: "text" is not a media type such as application/pdf'),
        ("data:a/b;name=%FC;base64,", 'file: "%FC" is not percent-encoded UTF-8'),
        ("data:a/b;name=a;name=b;base64,", "file: the parameters of"),
        *(
            ({"content_base64": data}, "file: content_base64 is not base64")
            for data in ("YQ", "YQ=", "YQ===", "=", "==", "====", "A===", "YQ==YQ==", "Y=Q=", "YQ!=")
        ),
        ({"content_base64": "ü"}, "file: content_base64 is not base64"),
        ({"content_base64": "_-8="}, "file: content_base64 is not base64"),
        (
            {"content_base64": "data:image/png;base64,YQ=="},
            "file: content_base64 is a data URL. Use the part after its comma.",
        ),
        ({"content_base64": "\ud800"}, "file: content_base64 contains half of a surrogate pair"),
        ({"content_base64": None}, "file: content_base64 must be a string, but is null"),
        (make_file(filename=5), "file: filename must be a string, but is a number"),
        (make_file(filename="\ud800"), "file: filename contains half of a surrogate pair"),
        (make_file(mimetype=["a/b"]), "file: mimetype must be a string, but is a list"),
        (make_file(mimetype="a/b\r\nX: y"), "file: mimetype contains a line break or a null character"),
        *(
            (value, "file must be a data URL, or an object with filename, content_base64 and mimetype")
            for value in (None, 5, True, [], [make_file()])
        ),
        *(
            (value, "file: content_base64 is missing. Use an object with filename, content_base64 and mimetype, or a")
            for value in ({}, {"filename": "a"})
        ),
    ],
)
def test_what_is_not_a_file_is_refused(value, message):
    """The error begins with the place, and says what is wrong."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        read_file("file", value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("Grüße 日本.pdf", "Grüße 日本.pdf"),
        (".profile", ".profile"),
        ("12:30.log", "12:30.log"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\a.txt", "a.txt"),
        ("C:a.txt", "a.txt"),
        ("..\\..\\a.txt", "a.txt"),
        ("a/..", ""),
        ("..", ""),
        (".\u202e.", ""),
        (" . . ", ""),
        ("", ""),
        (" \t\r\n", ""),
        ("folder/", ""),
        ("a\r\nX: y\0.pdf", "aX: y.pdf"),
        ("exe.\u202efdp.\u2066\u200e\ufeff\u2028\x7f\x85", "exe.fdp."),
        ("\ud800a", "a"),
        ("é" * 200 + ".pdf", "é" * 125 + ".pdf"),
        ("x" * 300, "x" * 255),
        ("." * 300 + "x" * 30, ""),
        ("x" * 254 + " y", "x" * 254),
        ("C:D: a.txt", "a.txt"),
        ("x." + "é" * 300, "x." + "é" * 126),
    ],
)
def test_the_name_never_holds_a_path(name, expected):
    """What cannot be seen is left out, and at most 255 bytes remain, with the extension."""
    assert clean_filename(name) == expected
    assert File(name, "a/b", {}, b"").as_object()["filename"] == (expected or "file")


@given(st.text(st.sampled_from("/\\.:Ca \t\0\u202e\u200bé日")) | st.text(max_size=300))
@settings(derandomize=True, database=None, deadline=None, max_examples=200)
def test_any_name(text):
    """A cleaned name is a name of its own, which stays as it is if it is cleaned again."""
    name = clean_filename(text)
    assert not re.search(r"[/\\\0-\x1f\x7f\u2028\u202a-\u202e\u2066-\u2069]|^[A-Za-z]:|^\.*$", name or "x")
    assert len(name.encode()) <= 255
    assert clean_filename(name) == name


# --- response_format ---


@pytest.mark.parametrize("content_type", ["application/hal+json", "text/json", "text/html", "a/b; charset=x", "", None])
@pytest.mark.parametrize("response_format", ["json", "JSON"])
def test_json_whatever_the_content_type_says(http_call, upstream, content_type, response_format):
    """The body is the parsed JSON, in any of its encodings."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    for encoding in "utf-8-sig", "utf-16":
        body = '{"a": ["ü"]}'.encode(encoding)
        upstream.answer = lambda request, body=body: (200, headers, body)
        answer = http_call("GetRequestV2", url=upstream.url, response_format=response_format)
        assert outcome(answer) == ({"a": ["ü"]}, None, 200)


@pytest.mark.parametrize(
    ("response_format", "content_type", "body", "expected"),
    [
        (None, "application/hal+json", b"{}", {"raw_response": "{}"}),
        ("auto", "application/hal+json", b"{}", {"raw_response": "{}"}),
        ("auto", JSON, b"[1]", [1]),
        ("json", JSON, b" null ", None),
        ("xml", "application/soap+xml", "<a>ü</a>".encode(), {"a": "ü"}),
        ("xml", "text/plain; charset=iso-8859-1", "<a>ü</a>".encode("latin-1"), {"a": "ü"}),
        ("xml", JSON, b"<a/>", {"a": None}),
        ("text", JSON, b'{"a": 1}', {"raw_response": '{"a": 1}'}),
        ("text", "application/xml", b"<a/>", {"raw_response": "<a/>"}),
        ("text", "a/b; charset=iso-8859-1", b"\xfc", {"raw_response": "ü"}),
        ("text", "a/b", b"", {"raw_response": ""}),
    ],
)
def test_formats(http_call, upstream, response_format, content_type, body, expected):
    """The format decides how the body is read; auto leaves it to the content type."""
    upstream.answer = lambda request: (200, {"Content-Type": content_type}, body)
    answer = http_call("PostRequestV2", url=upstream.url, response_format=response_format)
    assert outcome(answer) == (expected, None, 200)


@pytest.mark.parametrize(
    ("response_format", "body", "code"),
    [
        ("json", b"<a/>", "JSONDecodeError"),
        ("json", b"NaN", "JSONDecodeError"),
        ("json", b"", "JSONDecodeError"),
        ("xml", b"{}", "ExpatError"),
        ("xml", b"", "ExpatError"),
        ("xml", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "ExpatError"),
    ],
)
def test_a_body_in_another_format(http_call, upstream, response_format, body, code):
    """It is an error with a code of its own, and the body as a string; the code of an upstream's error stays."""
    text = {"raw_response": body.decode()}
    for status, expected in (200, code), (404, "HttpError404"):
        upstream.answer = lambda request, status=status: (status, {"Content-Type": JSON}, body)
        answer = http_call("GetRequestV2", url=upstream.url, response_format=response_format)
        assert outcome(answer) == (text, expected, status)
        message = answer.json["error"]["message"]
        assert f", {code}: " in message
        assert ('. Set response_format to "auto". The body is ' in message) == (status == 200)
        assert re.search("The body is (application/json: .|empty$)", message)


@pytest.mark.parametrize("command", VERSION_2)
def test_a_file(http_call, upstream, command):
    """The body is returned as a file, decompressed; a response to HEAD has none."""
    headers = {
        "Content-Type": 'Application/PDF; name="x.pdf"',
        "Content-Disposition": 'attachment; filename="a b.pdf"',
        "Content-Encoding": "gzip",
    }
    upstream.answer = lambda request: (200, headers, gzip.compress(BYTES))
    file = make_file(BYTES, filename="a b.pdf", mimetype="application/pdf", size=len(BYTES))
    expected = {"raw_response": ""} if command == "HeadRequestV2" else file
    answer = http_call(command, url=f"{upstream.url}/x", response_format="file")
    assert outcome(answer) == (expected, None, 200)


@pytest.mark.parametrize("content_type", [None, "", "pdf", "a/b'", "x" * 128 + "/y"])
def test_a_file_without_a_valid_type(http_call, upstream, content_type):
    """Its type is one that each command accepts, and an empty body is an empty file."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    upstream.answer = lambda request: (200, headers, b"")
    file, code, _ = outcome(http_call("GetRequestV2", url=upstream.url, response_format="file"))
    assert (file, code) == (make_file(b"", filename="file", mimetype="application/octet-stream", size=0), None)
    assert read_file("file", file).content == b""


@pytest.mark.parametrize(
    ("response_format", "status", "body", "expected"),
    [
        ("file", 404, b'{"a": 1}', ({"a": 1}, "HttpError404", 404)),
        ("file", 500, b"{", ({"raw_response": "{"}, "HttpError500", 500)),
        *(
            (name, status, b"", ({"raw_response": ""}, None, status))
            for name in ("file", "json")
            for status in (204, 304)
        ),
        ("xml", 205, b"", ({"raw_response": ""}, None, 205)),
    ],
)
def test_responses_without_the_file(http_call, upstream, response_format, status, body, expected):
    """An error is read by its content type, and a status without a body has none in any format."""
    length = {} if body else {"Content-Length": "0" if status == 205 else []}
    upstream.answer = lambda request: (status, {"Content-Type": JSON, **length}, body)
    answer = http_call("GetRequestV2", url=upstream.url, response_format=response_format)
    assert outcome(answer) == expected


@pytest.mark.parametrize(
    ("disposition", "path", "name"),
    [
        ("attachment; filename=a.pdf", "/x.txt", "a.pdf"),
        ("inline; FileName = a b.pdf ; size=1", "/x.txt", "a b.pdf"),
        (r'attachment; filename="a \"b\" \\ c;d.pdf"', "/x.txt", "c;d.pdf"),
        (r'attachment; filename="a \"b\" c;d.pdf"', "/x.txt", 'a "b" c;d.pdf'),
        ("attachment; filename=\"plain\"; filename*=UTF-8''%e2%82%ac%20rates", "/x.txt", "€ rates"),
        ("attachment; filename*=utf-8'de'%C3%BC.pdf; filename=plain", "/x.txt", "ü.pdf"),
        ("attachment; filename*=iso-8859-1''%FC.pdf", "/x.txt", "ü.pdf"),
        ("attachment; filename*=UTF-8''%FC.pdf; filename=plain", "/x.txt", "plain"),
        ("attachment; filename*=UTF-7''a; filename=plain", "/x.txt", "plain"),
        ("attachment; filename*=UTF-8''%zz; filename=plain", "/x.txt", "plain"),
        ("attachment; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "/x.txt", "passwd"),
        ("attachment; filename*=UTF-8''..; filename=plain", "/x.txt", "plain"),
        ('attachment; filename="../../etc/passwd"', "/x.txt", "passwd"),
        ('attachment; filename="a%20b.pdf"', "/x.txt", "a%20b.pdf"),
        ('attachment; filename="Grüße.pdf"'.encode().decode("latin-1"), "/x.txt", "Grüße.pdf"),
        ('attachment; filename="ü.pdf"', "/x.txt", "ü.pdf"),
        ('attachment; filename="a.pdf', "/x.txt", "a.pdf"),
        ("filename=a.pdf", "/x.txt", "a.pdf"),
        ("attachment; filename=a; filename=b", "/x.txt", "a"),
        (["attachment; filename=a", "attachment; filename=b"], "/x.txt", "a"),
        ("attachment; xfilename=a; name=b", "/x.txt", "x.txt"),
        ('attachment; x="; filename=a.pdf"', "/x.txt", "x.txt"),
        ('attachment; filename=""', "/x.txt", "x.txt"),
        ("attachment; filename=..", "/x.txt", "x.txt"),
        ("attachment", "/a/Gr%C3%BC%C3%9Fe%20%25.pdf?name=s3cret.txt", "Grüße %.pdf"),
        ([], "/a/%FC.pdf", "ü.pdf"),
        ([], "/a/..%2Fb%5Cc.pdf", "c.pdf"),
        ([], "/a/%2e%2e", "file"),
        ([], "/a/", "file"),
        ([], "", "file"),
    ],
)
def test_the_name_of_a_file(http_call, upstream, disposition, path, name):
    """It is in Content-Disposition (RFC 6266), else the last segment of the path."""
    upstream.answer = lambda request: (200, {"Content-Disposition": disposition}, b"a")
    answer = http_call("GetRequestV2", url=f"{upstream.url}{path}", response_format="file")
    assert outcome(answer)[0]["filename"] == name


def test_the_name_of_a_file_after_a_redirect(http_call, upstream):
    """The path is that of the URL which the file came from."""
    upstream.answer = lambda request: (
        (302, {"Location": "/files/report.pdf?token=s3cret"}, b"") if request.path == "/download" else (200, {}, b"a")
    )
    answer = http_call("GetRequestV2", url=f"{upstream.url}/download", response_format="file")
    assert outcome(answer)[0]["filename"] == "report.pdf"


@pytest.mark.parametrize("command", VERSION_2)
def test_an_unknown_format_is_refused(http_call, upstream, command):
    """No request is sent."""
    answer = http_call(command, url=upstream.url, response_format="yaml")
    assert outcome(answer) == ({}, "ValueError", 400)
    assert "response_format" in answer.json["error"]["message"]
    assert upstream.requests == []


def test_a_file_is_bounded(make_http_call, upstream):
    """A file larger than the operator allows is the error that it is in every format."""
    upstream.answer = lambda request: (200, {}, b"x" * 1001)
    answer = make_http_call(HTTP_MAX_RESPONSE_BYTES=1000)("GetRequestV2", url=upstream.url, response_format="file")
    assert outcome(answer) == ({}, "ResponseTooLarge", 413)


# --- body_format: multipart and file ---


def read_by_werkzeug(environ):
    _, form, files = parse_form_data(environ)
    parts = []
    for name, file in files.items(multi=True):
        with file.stream:
            parts.append((name, file.filename, file.headers["Content-Type"], file.read()))
    return list(form.items(multi=True)), parts


def read_by_webob(environ):
    environ = {**environ, "SERVER_NAME": "x", "SERVER_PORT": "80", "PATH_INFO": "/", "wsgi.url_scheme": "http"}
    parts = list(Request(environ).POST.items())
    fields = [(name, value) for name, value in parts if isinstance(value, str)]
    return fields, [
        (name, part.filename, part.headers["Content-Type"], part.file.read())
        for name, part in parts
        if not isinstance(part, str)
    ]


def unescape(value):
    """Undo what browsers escape in names; most parsers leave that to the application."""
    if not isinstance(value, tuple):
        return value
    names = [text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n") for text in value[:-1]]
    return (*names, value[-1])


@pytest.mark.parametrize("read", [read_by_werkzeug, read_by_webob])
@pytest.mark.parametrize("command", WITH_BODY)
def test_a_multipart_body_is_read_by_parsers_of_others(http_call, upstream, command, read):
    """Strings, numbers, booleans, files in both forms and lists of these arrive as they are."""
    odd = 'a "b"\r\nc; é=日本'
    data = {
        "text": "grün\r\n\nx ",
        odd: [1, -1.5, True, None, False, "", "data: none"],
        "null": None,
        "list": [],
        "file": make_file(BYTES, filename=odd, mimetype='text/csv;charset=utf-8;header="a b"', size=1),
        "files": [
            f"data:image/png;name=%C3%BC%20b.png;base64,{encode(BYTES)}",
            make_file(b"", filename="empty.txt"),
            make_file(),
        ],
    }
    http_call(command, url=upstream.url, data=data, body_format="Multipart")
    (request,) = upstream.requests
    fields, files = read(
        {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": request.headers["Content-Type"],
            "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.input": io.BytesIO(request.body),
        }
    )
    values = ["1", "-1.5", "true", "false", "", "data: none"]
    assert [(unescape((name, ""))[0], value) for name, value in fields] == [
        ("text", "grün\r\n\nx "),
        *((odd, value) for value in values),
    ]
    assert [unescape(file) for file in files] == [
        ("file", odd, 'text/csv;charset=utf-8;header="a b"', BYTES),
        ("files", "ü b.png", "image/png", BYTES),
        ("files", "empty.txt", "application/octet-stream", b""),
        ("files", "file", "application/octet-stream", b"a"),
    ]


def test_names_in_a_multipart_body_are_written_as_browsers_do(http_call, upstream):
    """Line breaks are CRLF in a name and as they are in a filename; only they and quotes are escaped."""
    data = {'a\n"\r%é\\b': make_file(filename='a\n"\r%é\\b'), "c": "d"}
    http_call("PostRequestV2", url=upstream.url, data=data, body_format="multipart", headers={"X-One": "1"})
    (request,) = upstream.requests
    media_type, _, boundary = request.headers["Content-Type"].partition("; boundary=")
    assert media_type == "multipart/form-data"
    assert request.body.decode() == (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="a%0D%0A%22%0D%0A%é\\b"; filename="a%0A%22%0D%é\\b"\r\n'
        "Content-Type: application/octet-stream\r\n\r\na\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="c"\r\n\r\nd\r\n--{boundary}--\r\n'
    )


@pytest.mark.parametrize(
    ("file", "headers", "content_type", "body"),
    [
        (make_file(BYTES, mimetype="Application/PDF"), None, "application/pdf", BYTES),
        (f"data:text/csv;charset=utf-8;name=%C3%BC.csv;base64,{encode(BYTES)}", {}, "text/csv;charset=utf-8", BYTES),
        ("data:text/plain;base64,SGk%3D", None, "text/plain", b"Hi"),
        (make_file(b""), {"X-One": "1"}, "application/octet-stream", b""),
        (make_file(mimetype="a/b"), {"content-TYPE": "c/d"}, "c/d", b"a"),
    ],
)
@pytest.mark.parametrize("command", WITH_BODY)
def test_a_file_is_sent_as_it_is(http_call, upstream, command, file, headers, content_type, body):
    """The content type is that of the file, unless the headers have one."""
    assert outcome(http_call(command, url=upstream.url, data=file, body_format="file", headers=headers))[1] is None
    (request,) = upstream.requests
    assert (request.headers.get_all("Content-Type"), request.body) == ([content_type], body)


@pytest.mark.parametrize("body_format", ["multipart", "file"])
def test_a_body_is_repeated_after_a_redirect(http_call, upstream, body_format):
    """A 307 sends the file again, with its type."""
    upstream.answer = lambda request: (307, {"Location": "/b"}, b"") if request.path == "/a" else (200, {}, b"")
    data = make_file(BYTES, mimetype="a/b")
    data = {"x": data} if body_format == "multipart" else data
    http_call("PostRequestV2", url=f"{upstream.url}/a", data=data, body_format=body_format)
    first, second = upstream.requests
    assert BYTES in first.body
    assert (second.headers["Content-Type"], second.body) == (first.headers["Content-Type"], first.body)


def test_a_body_that_is_null(http_call, upstream):
    """DELETE without data sends no body, and a form without fields is sent as one."""
    for body_format in "multipart", "file":
        http_call("DeleteRequestV2", url=upstream.url, body_format=body_format)
    http_call("PostRequestV2", url=upstream.url, body_format="multipart")
    *deletes, post = upstream.requests
    assert [request.body for request in deletes] == [b"", b""]
    assert post.headers["Content-Type"].partition("boundary=")[2].join(["--", "--\r\n"]) == post.body.decode()


@pytest.mark.parametrize(
    ("body_format", "data", "words"),
    [
        ("multipart", "a=b", 'data must be an object such as {"name": "Jane"}, because body_format is "multipart"'),
        ("multipart", [make_file()], 'because body_format is "multipart"'),
        ("multipart", {"a": {"b": 1}}, "data: a must be a string, a number, a boolean, a file or a list of these"),
        ("multipart", {"a": [["b"]]}, "data: a must be a string"),
        ("multipart", {"a": make_file(mimetype="x")}, 'data: a: "x" is not a media type'),
        ("multipart", {"a": "data:a/b;base64,!"}, "data: a: the part after the comma is not base64"),
        ("multipart", {"a": make_file(mimetype="a/b; c=ü")}, "data: a: c in the mimetype is"),
        ("multipart", {"a": make_file(filename="b\0")}, "is a name with a null character"),
        ("multipart", {"a": make_file(filename="b\\")}, "or with a backslash at its end"),
        ("multipart", {"a\\": "b"}, "or with a backslash at its end"),
        ("multipart", {"\ud800": "b"}, "data contains half of a surrogate pair"),
        ("multipart", {"\ud800": {}}, "must be a string"),
        ("multipart", {"a": "\ud800"}, "data contains half of a surrogate pair"),
        ("file", {}, "data: content_base64 is missing. Use an object with filename"),
        ("file", [make_file()], "data must be a data URL, or an object"),
        ("file", "text", "data: a string must be a data URL"),
        ("file", {"content_base64": "!"}, "data: content_base64 is not base64"),
        ("file", make_file(mimetype="a/b; c=ü"), "data: c in the mimetype is"),
        ("files", {}, 'body_format is "files". Use "json", "form", "multipart", "file", "raw" or "none".'),
    ],
)
def test_bodies_that_cannot_be_sent(http_call, upstream, body_format, data, words):
    """The error names the parameter, and nothing is sent."""
    answer = http_call("PostRequestV2", url=upstream.url, data=data, body_format=body_format)
    assert outcome(answer) == ({}, "ValueError", 400)
    assert words in answer.json["error"]["message"]
    assert upstream.requests == []


def test_a_content_type_without_the_boundary_is_refused(http_call, upstream):
    """No server could read the body."""
    headers = {"content-type": "multipart/form-data"}
    answer = http_call("PostRequestV2", url=upstream.url, data={"a": "b"}, body_format="multipart", headers=headers)
    assert outcome(answer) == ({}, "ValueError", 400)
    assert "headers has a Content-Type" in answer.json["error"]["message"]
    assert upstream.requests == []


# --- from one connector to another ---


def test_a_file_goes_from_http_to_http_and_smtp(http_call, upstream):
    """What one command returns is what the others accept."""
    upstream.answer = lambda request: (200, {"Content-Type": "application/pdf"}, BYTES)
    file = outcome(http_call("GetRequestV2", url=f"{upstream.url}/a.pdf", response_format="file"))[0]
    http_call("PostRequestV2", url=upstream.url, data={"file": file}, body_format="multipart")
    assert b'filename="a.pdf"\r\nContent-Type: application/pdf\r\n\r\n' + BYTES in upstream.requests[-1].body
    from connector_smtp.attachments import read_attachments

    assert read_attachments(file)[0][:4] == ("a.pdf", "application/pdf", {}, BYTES)


def test_the_parameters_are_described(make_app):
    """The list has the formats as a choice, and the file of s3 as a string or an object."""
    listed = {entry["id"]: entry["parameters"] for entry in make_app().get("/v1/commands").json}
    schemas = {(name, p["id"]): p.get("schema") for name, parameters in listed.items() for p in parameters}
    choice = {"type": ["string", "null"], "enum": ["auto", "json", "xml", "text", "file", None]}
    assert [schemas[f"http/{command}", "response_format"] for command in VERSION_2] == [choice] * 6
    assert schemas["s3/PutObject", "file_data"] == {"type": ["string", "object"]}
    assert [p["required"] for p in listed["s3/PutObject"]][:3] == [True] * 3
    assert "multipart" in json.dumps(listed["http/PostRequestV2"])
