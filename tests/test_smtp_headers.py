"""The lines of a message, read back by decoders that are written from the RFCs and know nothing of the encoder.

The examples are the same in every run. What the standard library decodes rightly on every Python is compared, too.
"""

import base64
import email.header
import email.message
import email.policy
import importlib
import quopri
import re
import sys
from urllib.parse import unquote_to_bytes

import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, "path", [*sys.path, str(ROOT / "connectors")])  # as the proxy does
    addresses = importlib.import_module("connector_smtp.addresses")
    attachments = importlib.import_module("connector_smtp.attachments")
    custom_headers = importlib.import_module("connector_smtp.custom_headers")
    headers = importlib.import_module("connector_smtp.headers")
    messages = importlib.import_module("connector_smtp.message")

examples = settings(
    derandomize=True, database=None, max_examples=300, deadline=None, suppress_health_check=list(HealthCheck)
)

# --- decoders ---

ENCODED_WORD = re.compile(r"=\?([A-Za-z0-9-]+)\?([BbQq])\?([!->@-~]*)\?=")  # RFC 2047 section 2


def unfold(field):
    """Return the name and the body of a field, and check what its lines must be (RFC 5322, sections 2.1.1 and 2.2.3)."""
    lines = field.split("\r\n")
    assert all(re.fullmatch("[\t -~]*[!-~][\t -~]*", line) for line in lines[1:]), field
    assert all(line.startswith(" ") for line in lines[1:])
    assert max(map(len, lines)) <= 76, field
    name, body = "".join(lines).split(": ", 1) if ": " in lines[0] else "".join(lines).split(":", 1)
    return name, body.lstrip(" ") if len(lines[0]) == len(name) + 1 else body


def decode_word(word):
    """Return the text of an encoded word, each of which stands by itself (RFC 2047, sections 2 and 4)."""
    assert len(word) <= 75
    charset, encoding, content = ENCODED_WORD.fullmatch(word).groups()
    if encoding in "Bb":
        return base64.b64decode(content, validate=True).decode(charset)
    escaped = content.replace("_", " ").encode()
    return re.sub(rb"=([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), escaped).decode(charset)


def decode_text(body):
    """Drop the blanks between encoded words, and decode these (RFC 2047 section 6.2)."""
    words = re.sub(r"(?<=\?=)[ \t]+(?==\?)", "", body)
    return ENCODED_WORD.sub(lambda match: decode_word(match[0]), words)


def decode_mailboxes(body):
    """Return the names and addresses of a list (RFC 5322 section 3.4, RFC 2047 section 5)."""
    mailboxes, words, is_encoded = [], [], False
    for token in re.findall(r'"(?:[^"\\]|\\.)*"|<[^<>"]+>|,|[^\s",<>]+|\s+', body):
        if token.isspace():
            continue
        if token == ",":
            mailboxes.append(words)
            words, is_encoded = [], False
        elif ENCODED_WORD.fullmatch(token):
            assert re.fullmatch(r"[A-Za-z0-9!*+/=_-]*", token.split("?")[3])  # RFC 2047 section 5 (3)
            words[-1:] = [words[-1] + decode_word(token)] if is_encoded else [*words[-1:], decode_word(token)]
            is_encoded = True
        elif token[0] == '"':
            assert "=?" not in token  # which many readers would decode
            words.append(re.sub(r"\\(.)", r"\1", token[1:-1]))
            is_encoded = False
        else:
            words.append(token)
            is_encoded = False
    return [(" ".join(words[:-1]), words[-1].strip("<>")) for words in [*mailboxes, words]]


def decode_parameters(body):
    """Return a value and its parameters (RFC 2045 section 5.1, RFC 2231 sections 3 and 4)."""
    value, *texts = re.split(r'; (?=[^"]*(?:"(?:[^"\\]|\\.)*"[^"]*)*$)', body)
    parameters = {}
    for text in texts:
        name, content = text.split("=", 1)
        key, _, rest = name.partition("*")
        if rest or name.endswith("*"):
            assert name.endswith("*")
            number = int(rest.rstrip("*") or 0)
            assert number == len(parameters.get(key, []))
            if number == 0:
                assert content.startswith("UTF-8''")
                content = content[len("UTF-8''") :]
            assert re.fullmatch(r"(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})*", content)
            parameters.setdefault(key, []).append(unquote_to_bytes(content))
        else:
            assert key not in parameters
            plain = re.sub(r"\\(.)", r"\1", content[1:-1]) if content.startswith('"') else content
            parameters[key] = [plain.encode()]
    return value, {key: b"".join(parts).decode() for key, parts in parameters.items()}


# --- texts ---

BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\0"  # what commands refuse
characters = st.characters(blacklist_categories=["Cs"], blacklist_characters=BREAKS)
pieces = ["über", "die", "Lieferung", "von", "Möbeln", "für", "Ihre", "Düsseldorf", "", " ", "\t", "a,b", '"', "\\"]
odd_pieces = [
    "=?utf-8?q?x?=",
    "=?",
    "?=",
    "_",
    "=20",
    "(c)",
    "<d>",
    ";",
    "e\u0301",
    "שלום",
    "日本語",
    "x" * 80,
    "ü" * 40,
]
words = st.sampled_from(pieces + odd_pieces)
texts = st.text(characters, max_size=200) | st.lists(words, max_size=40).map(" ".join)
ascii_texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300)

SUBJECTS = [
    "Rechnung Nr. 4711 über die Lieferung von Möbeln für Ihre Geschäftsräume in Düsseldorf",
    "",
    " ",
    "  two at the start",
    "two at the end  ",
    "two  inside, in a subject that is so long that it has to be folded  at some place  or  other",
    "\ttab\tinside\t",
    "=?utf-8?q?x?=",
    "in the =?utf-8?q?x?= middle",
    "=?utf-8?q?x?= =?utf-8?q?y?=",
    "=?no encoded word",
    "a_b=c?d",
    "word " * 200 + "end",
    "x" * 2000,
    "x" * 67,
    "x" * 68,
    "a " + "x" * 70 + " b",
    "ü" * 2000,
    "😀" * 2000,
    "e\u0301" * 500,
    "\u202eשלום עולם\u202c",
    "ü",
    "ü ü",
    "a ü  b",
    "\x01\x7f\x1b[31m",
    "\ufeffBOM",
]


def check_subject(text):
    name, body = unfold(headers.encode_text("Subject", text))
    assert (name, decode_text(body)) == ("Subject", text)
    if text:
        assert str(email.header.make_header(email.header.decode_header(body))) == text


@pytest.mark.parametrize("text", SUBJECTS)
def test_a_subject_arrives_as_it_was_written(text):
    check_subject(text)


@examples
@given(texts | ascii_texts)
def test_any_subject_arrives_as_it_was_written(text):
    check_subject(text)


@examples
@given(texts | ascii_texts)
def test_any_header_of_the_author_arrives_as_it_was_written(text):
    """Without the blanks around it; words that are longer than a line are tried elsewhere."""
    text = re.sub(r"[^ ]{40,}", "", text).strip(" \t")
    field = custom_headers.encode_header("X-A", text)
    if field:
        name, body = unfold(field)
        assert name == "X-A"
        assert "?= =?" in text or decode_text(body) == text
        assert str(email.header.make_header(email.header.decode_header(body))) == text


@pytest.mark.parametrize("text", ["Hello", "word " * 30 + "end", "a@b.example: 50% off, now (really)"])
def test_a_plain_subject_is_not_encoded(text):
    assert "=?" not in headers.encode_text("Subject", text)


# --- mailboxes ---

NAMES = [
    "Jane",
    "Jane Doe",
    "J. Doe",
    "Doe, Jane",
    'Jane "JD" Doe',
    "back\\slash",
    'quote at the end"',
    "\\",
    '"',
    "Jane (Sales)",
    "a@x.example",
    "Team: one; two",
    "two  blanks",
    "=?utf-8?q?x?=",
    "Jörg Müller, Vertrieb",
    'Jörg "JM" (Vertrieb)',
    "Department of Economic and Social Affairs, Division for Sustainable Development",
    "word " * 30 + "end",
    "x" * 300,
    "ü" * 300,
    "ü, " * 100 + "end",
    "tab\tinside",
    "👩‍👩‍👧",
    "",
]
names = (texts | ascii_texts).map(str.strip)


def check_mailboxes(many):
    mailboxes = [addresses.Mailbox(name, f"user{number}", "x.example") for number, name in enumerate(many)]
    _, body = unfold(headers.encode_mailboxes("To", mailboxes))
    expected = [(mailbox.name, mailbox.address) for mailbox in mailboxes]
    assert decode_mailboxes(body) == expected
    # the standard library, as far as it goes: it does not decode names
    assert [address for _, address in email.utils.getaddresses([body])] == [address for _, address in expected]


@pytest.mark.parametrize("name", NAMES)
def test_one_mailbox_stays_one(name):
    check_mailboxes([name])
    check_mailboxes([name] * 3)


@examples
@given(st.lists(names, min_size=1, max_size=4))
def test_any_mailbox_stays_one(many):
    check_mailboxes(many)


@pytest.mark.parametrize("name", [name for name in NAMES if name])
def test_a_name_in_quotes_is_read_and_written(name):
    """An author may write any name in quotes."""
    (mailbox,) = addresses.read_addresses("email_to", f"{headers.quote_string(name)} <a@x.example>")
    assert mailbox == (name, "a", "x.example")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@x.example", [("", "a@x.example")]),
        ("a@x.example , b@x.example", [("", "a@x.example"), ("", "b@x.example")]),
        ("<a@x.example>", [("", "a@x.example")]),
        ("Jane<a@x.example>", [("Jane", "a@x.example")]),
        ("J. Doe <a@x.example>", [("J. Doe", "a@x.example")]),
        ("Jane (Sales, EU) <a@x.example>", [("Jane (Sales, EU)", "a@x.example")]),
        ("Jane (a (b)) <a@x.example>", [("Jane (a (b))", "a@x.example")]),
        ('Jane "JD" Doe <a@x.example>', [("Jane JD Doe", "a@x.example")]),
        ('"Doe, Jane" <a@x.example>, b@x.example', [("Doe, Jane", "a@x.example"), ("", "b@x.example")]),
        ('"a \\"b\\" \\\\ c" <a@x.example>', [('a "b" \\ c', "a@x.example")]),
        ('"Doe; Jane" <a@x.example>', [("Doe; Jane", "a@x.example")]),
        ("a@x.example <a@x.example>", [("a@x.example", "a@x.example")]),
        ('"b@y.example" <a@x.example>', [("b@y.example", "a@x.example")]),
        ("a@x.example (Jane)", [("Jane", "a@x.example")]),
        ('"john doe"@x.example', [("", '"john doe"@x.example')]),
        ('"jane"@x.example', [("", "jane@x.example")]),
        ("a..b@x.example", [("", "a..b@x.example")]),
        ("a@x.example.", [("", "a@x.example")]),
        ("a@[192.0.2.1]", [("", "a@[192.0.2.1]")]),
        ("a@[IPv6:::1]", [("", "a@[IPv6:::1]")]),
        ("a@日本。jp", [("", "a@xn--wgv71a.jp")]),
        ("o'brien+x/y=z@x_y.example", [("", "o'brien+x/y=z@x_y.example")]),
    ],
)
def test_addresses_as_authors_write_them(text, expected):
    mailboxes = addresses.read_addresses("email_to", text)
    assert [(mailbox.name, mailbox.address) for mailbox in mailboxes] == expected


@pytest.mark.parametrize(
    "text",
    [
        "Doe, Jane <a@x.example>",
        "Jane <a@x.example",
        'Jane "JD <a@x.example>',
        "a@x.example b@x.example",
        "Jane <a@x.example> b@x.example",
        "<a@x.example><b@x.example>",
        "b@y.example <a@x.example>",
        "a@x.example,,b@x.example",
        "mailto:a@x.example",
        "a@x..example",
        "a@-x.example",
        "a@[127.0.0]",
        "a@[::1]",
        "a@[x]",
        "a@x.example>",
        "=?utf-8?q?a?=@x.example",
        "a\x01@x.example",
        "a\u200b@x.example",
        '"a\x01"@x.example',
        "a@x.example\u200b",
        "a@x\xad.example",
        "a@x.example/y",
        "a@ＸY＠z.example",
        "@x.example",
        ",",
        " ",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match=r'^email_to: ".*" is not an address\. Write jane@example\.org'):
        addresses.read_addresses("email_to", text)


# --- parameters ---

FILENAMES = [
    "a.txt",
    "a b.txt",
    'quote".txt',
    "back\\slash.txt",
    "semi;colon.txt",
    "it's 100%.txt",
    "=?utf-8?q?a?=.txt",
    "Übersicht.pdf",
    "x" * 300 + ".pdf",
    "Übersicht " * 50 + ".pdf",
    "😀" * 100,
    "tab\t.txt",
    "",
]


def check_filename(text):
    _, body = unfold(headers.encode_parameters("Content-Disposition", "attachment", {"filename": text, "x": "y"}))
    assert decode_parameters(body) == ("attachment", {"filename": text, "x": "y"})
    if text[:1] not in ("<", '"'):  # of which the standard library takes off what it takes for quotes
        message = email.message.Message()
        message["Content-Disposition"] = body
        assert message.get_filename() == text


@pytest.mark.parametrize("text", FILENAMES)
def test_a_file_name_arrives_as_it_was_written(text):
    check_filename(text)


@examples
@given((texts | ascii_texts).map(str.strip))
def test_any_file_name_arrives_as_it_was_written(text):
    check_filename(text)


# --- bodies ---


def check_lines(content):
    """No bare CR or LF (RFC 5321 section 2.3.8), no line beyond 998 bytes, no eighth bit, no null character."""
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|[\0\x80-\xff]", content)
    assert max(map(len, content.split(b"\r\n"))) <= 998


@examples
@given(
    st.lists(texts | st.sampled_from(["\n", "\r", "\r\n", "\n\n", "\r\r\n", ".", "\0", "x" * 999, " \n"]), max_size=9)
)
def test_any_body_arrives_with_right_ends_of_lines(parts):
    text = "".join(parts)
    part = messages.make_text_part("plain", text)
    check_lines(part.body)
    decode = {"7bit": bytes, "quoted-printable": quopri.decodestring, "base64": base64.decodebytes}
    encoding = part.fields[1].split(": ")[1]
    assert decode[encoding](part.body).decode() == re.sub("\r\n|\r|\n", "\r\n", text)
    if encoding != "7bit":
        assert max(map(len, part.body.split(b"\r\n"))) <= 76


MESSAGE_BYTES = st.lists(
    st.sampled_from([b"Subject: x", b"\r\n", b"\n", b"\r", b".", b"--=_", "ü".encode(), b"\0", b"x" * 998, b"y"]),
    max_size=12,
).map(b"".join)
TYPES = ["message/rfc822", "message/delivery-status", "message/partial", "message/external-body", "message/global"]


@examples
@given(MESSAGE_BYTES, st.sampled_from([*TYPES, "multipart/mixed", "multipart/x", "text/plain", "text/calendar", "a/b"]))
def test_any_attachment_arrives(content, media_type):
    """A message is sent as it is or as a file of bytes, all else by base64; its ends of lines may become CRLF."""
    part = messages.make_attachment_part(attachments.Attachment("a.eml", media_type, {"x": "y"}, content))
    check_lines(part.body)
    sent_type, parameters = decode_parameters(unfold(part.fields[0])[1])
    encoding = part.fields[1].split(": ")[1]
    if encoding == "7bit":
        assert media_type.startswith("message/")
        assert media_type not in ("message/partial", "message/external-body")
        assert part.body == re.sub(rb"\r?\n", b"\r\n", content)
    else:
        assert base64.decodebytes(part.body) == content
    composite = media_type.startswith(("message/", "multipart/"))
    expected = ("application/octet-stream", {}) if composite and encoding == "base64" else (media_type, {"x": "y"})
    assert (sent_type, parameters) == expected
    assert part.fields[2] == "Content-Disposition: attachment; filename=a.eml"
