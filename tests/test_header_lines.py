"""Header lines: what a server accepts, what it refuses, and what a client makes of what a server should not send."""

import importlib

import pytest

import spiffproxy
from spiffproxy import Proxy

CONTROL = "a header line contains a control character"
NO_LINE = "is not a name, a colon and a value"
# lines that are as they should be → their names and values, strict or not
VALID = {
    "no lines": (b"", []),
    "one": (b"Host: a\r\n", [("Host", "a")]),
    "the last line without its end": (b"Host: a", [("Host", "a")]),
    "several": (b"A: 1\r\nB: 2\r\n", [("A", "1"), ("B", "2")]),
    "one name twice": (b"A: 1\r\na: 2\r\n", [("A", "1"), ("a", "2")]),
    "LF alone": (b"A: 1\nB: 2\n", [("A", "1"), ("B", "2")]),
    "an empty line": (b"A: 1\r\n\r\n", [("A", "1")]),
    "no blank after the colon": (b"A:1\r\n", [("A", "1")]),
    "blanks and tabs around the value": (b"A: \t 1 \t\r\n", [("A", "1")]),
    "blanks and tabs within the value": (b"A: 1 \t 2\r\n", [("A", "1 \t 2")]),
    "a colon in the value": (b"A: b:c\r\n", [("A", "b:c")]),
    "an empty value": (b"A:\r\nB: \r\nC: \t\r\n", [("A", ""), ("B", ""), ("C", "")]),
    "every character of a name": (b"!#$%&'*+.^_`|~09AZaz-: 1\r\n", [("!#$%&'*+.^_`|~09AZaz-", "1")]),
    "UTF-8 in a value": ("A: ü\r\n".encode(), [("A", "Ã¼")]),
    "latin-1 in a value": (b"A: \xfc\xff\x85\xa0\r\n", [("A", "\xfc\xff\x85\xa0")]),
}
# other lines → why a server refuses them, and what a client reads
INVALID = {
    "a folded line": (b"A: 1\r\n 2\r\nB: 3\r\n", NO_LINE, [("A", "1 2"), ("B", "3")]),
    "a line folded with a tab": (b"A: 1\r\n\t2\r\n", NO_LINE, [("A", "1 2")]),
    "a line folded twice": (b"A: 1\r\n 2\r\n  3\r\n", NO_LINE, [("A", "1 2 3")]),
    "a folded line that looks like another": (b"A: 1\r\n B: 2\r\n", NO_LINE, [("A", "1 B: 2")]),
    "a folded line of an empty value": (b"A:\r\n 1\r\n", NO_LINE, [("A", "1")]),
    "a folded line of blanks": (b"A: 1\r\n \r\nB: 2\r\n", NO_LINE, [("A", "1"), ("B", "2")]),
    "a folded line with nothing before it": (b" A: 1\r\nB: 2\r\n", NO_LINE, [("B", "2")]),
    "a folded line of one that is skipped": (
        b"A: 1\r\nB C: 2\r\n 3\r\n 4\r\nD: 5\r\n",
        NO_LINE,
        [("A", "1"), ("D", "5")],
    ),
    "a folded line of UTF-8": ("A: 1\r\n à \r\n".encode(), NO_LINE, [("A", "1 Ã\xa0")]),
    "a CR alone": (b"A: 1\rB: 2\r\n", CONTROL, [("A", "1 B: 2")]),
    "a CR before the end": (b"A: 1\r\r\n", CONTROL, [("A", "1")]),
    "a CR at the very end": (b"A: 1\r", CONTROL, [("A", "1")]),
    "NUL in a value": (b"A: 1\x002\r\n", CONTROL, [("A", "1 2")]),
    "NUL in a name": (b"A\x00B: 1\r\nC: 2\r\n", CONTROL, [("C", "2")]),
    "other control characters": (b"A: \x01\x08\x0b\x0c\x0e\x1f\x7f1\r\n", CONTROL, [("A", "1")]),
    "a blank before the colon": (b"A : 1\r\n", NO_LINE, [("A", "1")]),
    "a tab before the colon": (b"A\t: 1\r\n", NO_LINE, [("A", "1")]),
    "a blank in a name": (b"A B: 1\r\nC: 2\r\n", NO_LINE, [("C", "2")]),
    "no colon": (b"nonsense\r\nA: 1\r\n", NO_LINE, [("A", "1")]),
    "no name": (b": 1\r\nA: 2\r\n", NO_LINE, [("A", "2")]),
    "a blank as the name": (b" : 1\r\nA: 2\r\n", NO_LINE, [("A", "2")]),
    "UTF-8 in a name": ("Ä: 1\r\nA: 2\r\n".encode(), NO_LINE, [("A", "2")]),
    "a separator in a name": (b"A(B): 1\r\nA: 2\r\n", NO_LINE, [("A", "2")]),
}


@pytest.fixture
def client(imports):
    """What a client reads header lines with."""
    Proxy({})
    return importlib.import_module("spiffproxy_http.responses")


@pytest.mark.parametrize(("block", "fields"), VALID.values(), ids=VALID)
def test_valid_lines_are_read(client, block, fields):
    assert spiffproxy.parse_header_lines(block) == fields
    assert client.parse_header_lines(block) == fields


@pytest.mark.parametrize(("block", "words", "_"), INVALID.values(), ids=INVALID)
def test_a_server_refuses_invalid_lines(block, words, _):
    with pytest.raises(ValueError, match=words):
        spiffproxy.parse_header_lines(block)


@pytest.mark.parametrize(("block", "_", "fields"), INVALID.values(), ids=INVALID)
def test_a_client_reads_what_it_can_of_invalid_lines(client, block, _, fields):
    assert client.parse_header_lines(block) == fields


def test_a_refusal_names_the_line_and_shows_nothing_of_it():
    """It may hold a key."""
    with pytest.raises(ValueError, match=r"^header line 2 is not a name, a colon and a value$"):
        spiffproxy.parse_header_lines(b"A: 1\r\nKey : s3cret\r\n")
