"""Typeahead: what a form suggests, the limit, the key, and what a class that finds nothing of use is answered with."""

import sys

import pytest
from conftest import JSON, error_reply

CITIES = "/v1/typeahead/cities"
ASKED = "/v1/typeahead/asked"


def test_what_a_form_asks_for(app):
    """As SpiffArena's backend sends it: the category is the class's attribute."""
    answer = app.get(f"{CITIES}?prefix=Ber&limit=10")
    assert (answer.content_type, answer.json) == (
        JSON,
        [{"name": "Berlin", "country": "DE"}, {"name": "Bern", "country": "CH"}],
    )
    assert app.get(f"{CITIES}?prefix=Ber&limit=1").json == [{"name": "Berlin", "country": "DE"}]
    assert app.get(f"{CITIES}?prefix=X&limit=10").json == []


def test_what_a_typeahead_is_given(make_app):
    """Its category is its name in lower case where it has no attribute; it sees the config, and no task data."""
    app = make_app(environ={"EXAMPLE_REGION": "north"})
    assert app.get(f"{ASKED}?prefix=%C3%BC%26+a%2Bb&limit=7&x=1").json == [
        {"prefix": "ü& a+b", "limit": 7, "region": "north", "task_data": {}}
    ]
    assert app.get(ASKED).json[0]["prefix"] == ""


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("", 100),
        ("limit=1", 1),
        ("limit=007", 7),
        ("limit=1000", 1000),
        ("limit=1001", 1000),
        ("limit=99999999999", 1000),
        (f"limit={'9' * 5000}", 1000),
        (f"limit={'0' * 5000}5", 5),
    ],
)
def test_the_limit(app, query, limit):
    found = app.get(f"{ASKED}?{query}").json[0]["limit"]
    assert (found, type(found)) == (limit, int)


@pytest.mark.parametrize("limit", ["0", "00", "-1", "%2B1", "1.0", "1e2", "ten", "%D9%A1", "1%0A", "0x1", "%20"])
def test_a_limit_that_is_none(app, limit):
    answer = app.get(f"{ASKED}?limit={limit}", status=400)
    assert answer.json == error_reply("invalid_parameters", "^limit is '.*'. Use a whole number of at least 1.$")


@pytest.mark.parametrize("category", ["countries", "Cities", "findcities", "FindCities", "Asked", "%00", "__class__"])
def test_an_unknown_category_lists_the_known_ones(app, category):
    answer = app.get(f"/v1/typeahead/{category}", status=404)
    assert answer.json == error_reply("typeahead_not_found", "^No typeahead '.*' here; there are: asked, cities$")


def test_without_any_typeahead(make_app, tmp_path):
    answer = make_app(tmp_path).get(CITIES, status=404)
    assert answer.json == error_reply("typeahead_not_found", "there are none")


@pytest.mark.parametrize("path", ["/v1/typeahead", "/v1/typeahead/", "/v1/typeahead/a/b"])
def test_a_path_without_a_category(app, path):
    assert app.get(path, status=404).json == error_reply("not_found", "No such path")


def test_the_key_is_asked_for(make_app):
    """Before anything is looked at."""
    app = make_app(API_KEY="k")
    for path in CITIES, f"{CITIES}?limit=0", "/v1/typeahead/countries":
        assert app.get(path, status=401).json == {"error": "Unauthorized"}
    app.get(CITIES, headers={"Spiff-Connector-Proxy-Api-Key": "k"})


@pytest.mark.parametrize("word", ["on", "1", "true", "Yes"])
def test_the_setting_opens_typeaheads(make_app, word):
    """Since SpiffArena's backend sends no key for them; nothing else is opened."""
    app = make_app(API_KEY="k", TYPEAHEAD_PUBLIC=word)
    app.get(CITIES)
    app.get("/v1/typeahead/countries", status=404)
    for path in "/v1/commands", "/v1/auths", "/v1/do/typeahead/cities":
        app.get(path, status=401)


@pytest.mark.parametrize("word", ["off", "0", "false", "no", ""])
def test_the_setting_leaves_them_closed(make_app, word):
    make_app(API_KEY="k", TYPEAHEAD_PUBLIC=word).get(CITIES, status=401)


def test_other_methods(app):
    assert app.options(CITIES).headers["Allow"] == "GET, HEAD, OPTIONS"
    assert app.post(CITIES, status=405).json == error_reply("method_not_allowed", "accepts GET, HEAD, OPTIONS")
    assert app.head(CITIES).headers == app.get(CITIES).headers


TAKES = "    def __init__(self, prefix: str, limit: int): pass\n"


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        ("return None", 500, "invalid_response", "things/Find returned no valid result: it must be a list of objects"),
        ("return {'name': 'a'}", 500, "invalid_response", "it must be a list of objects"),
        ("return ['a']", 500, "invalid_response", "it must be a list of objects"),
        ("return [{'name': 'a'}, None]", 500, "invalid_response", "it must be a list of objects"),
        ("return [{'name': {1}}]", 500, "invalid_response", "set is not JSON serializable"),
        ("return [{'name': float('nan')}]", 500, "invalid_response", "not JSON compliant"),
        ("raise LookupError('no such table')", 500, "LookupError", "^no such table$"),
        ("raise SystemExit('enough')", 500, "SystemExit", "^enough$"),
    ],
)
def test_a_typeahead_that_finds_nothing_of_use(make_typeahead, body, status, code, words):
    app, name = make_typeahead(f"class Find:\n{TAKES}    def execute(self, config, task_data):\n        {body}\n")
    answer = app.get("/v1/typeahead/find?prefix=s3cret", status=status)
    assert answer.json == error_reply(code, words.replace("things", name))


def test_what_a_typeahead_raised_is_not_in_the_log(make_typeahead, caplog):
    """Its text may hold what somebody typed."""
    source = f"class Find:\n{TAKES}    def execute(self, *_):\n        raise LookupError(self.prefix)\n"
    app, name = make_typeahead(source.replace("pass", "self.prefix = prefix"))
    app.get("/v1/typeahead/find?prefix=s3cret", status=500)
    assert f"{name}/Find raised LookupError" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_constructor_that_takes_something_else(make_typeahead):
    app, name = make_typeahead(
        "class Find:\n    def __init__(self, word): pass\n    def execute(self, *_): return []\n"
    )
    words = f"{name}/Find: missing: word; unknown: limit, prefix"
    assert app.get("/v1/typeahead/find", status=400).json == error_reply("invalid_parameters", words)


def test_as_many_run_as_commands_may(make_typeahead):
    """One that asks its own proxy finds it busy."""
    app, name = make_typeahead(f"class Find:\n{TAKES}    def execute(self, *_): return []\n", THREADS=1)
    assert app.get("/v1/typeahead/find").json == []
    find = sys.modules[f"connector_{name}.typeaheads.a"].Find
    find.execute = lambda *_: [app.get("/v1/typeahead/find", status=503).json["error"]]
    for _ in range(2):
        assert [error["error_code"] for error in app.get("/v1/typeahead/find").json] == ["too_busy"]


def test_typeaheads_of_several_connectors(write_connector, make_app, tmp_path):
    """Of two of one category, the first connector's counts; a connector may have nothing else."""
    source = f"class Find:\n{TAKES}    def execute(self, *_): return [{{'from': __name__}}]\n"
    first, second = (
        write_connector("", typeaheads__in____init__="", typeaheads__in__a=source + other)
        for other in (
            "",
            source.replace("Find", "Other").replace("    def __init", "    category = 'süß'\n    def __init"),
        )
    )
    app = make_app(tmp_path)
    assert app.get("/v1/typeahead/find").json == [{"from": f"connector_{first}.typeaheads.a"}]
    assert app.get("/v1/typeahead/s%C3%BC%C3%9F").json == [{"from": f"connector_{second}.typeaheads.a"}]
    answer = app.get("/v1/typeahead/x", status=404)
    assert answer.json == error_reply("typeahead_not_found", "there are: find, süß$")


@pytest.fixture
def make_typeahead(write_connector, make_app, tmp_path):
    """Return a function that writes a connector with a typeahead, and returns an application and its name."""

    def make(source, **settings):
        name = write_connector("", typeaheads__in____init__="", typeaheads__in__a=source)
        return make_app(tmp_path, **settings), name

    return make
