"""The coingecko connector, against a server that does what CoinGecko documents."""

import json
import re
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from conftest import JSON, free_port, standard_fields

KEY = "CG-k3y"
DEMO, PRO = "x-cg-demo-api-key", "x-cg-pro-api-key"
PRICES = {
    "bitcoin": {"usd": 67187.3358936566, "eur": 61981, "btc": 1.0},
    "pepe": {"usd": 1.0712345678e-05, "eur": None},
    "stale": {},
}
DATA = '{"current_price": {"usd": 13620.3618741461}, "market_cap": {"usd": 228436519930.70755}}'
PRICE = {"ids": "bitcoin", "vs_currencies": "usd"}
HISTORY = {"id": "bitcoin", "date": "30-12-2025"}


class CoinGecko:
    """`refusal`, if set, is what everything is answered: status, headers and body."""

    def __init__(self, server):
        self.server, self.url, self.requests, self.refusal = server, f"{server.url}/api/v3", server.requests, None
        server.answer = lambda request: self.refusal or self.answer(request)

    def answer(self, request):
        assert request.command == "GET"
        assert request.headers["Accept"] == JSON
        url = urlsplit(request.path)
        query = dict(parse_qsl(url.query))
        path = url.path.partition("/api/v3/")[2].split("/")
        if path == ["simple", "price"]:
            assert query.keys() == {"ids", "vs_currencies"}
            coins, currencies = query["ids"].lower().split(","), query["vs_currencies"].lower().split(",")
            found = {x: {y: PRICES[x][y] for y in currencies if y in PRICES[x]} for x in coins if x in PRICES}
            return answer(json.dumps(found))  # what is not known is left out
        coins, coin, history = path
        assert (coins, history) == ("coins", "history")
        assert query.pop("localization") == "false"
        if unquote(coin) not in ("bitcoin", "a/b ü"):
            return answer('{"error": "coin not found"}', 404)
        data = f', "market_data": {DATA}' if query == {"date": "30-12-2025"} else ""
        return answer(f'{{"id": {json.dumps(unquote(coin))}, "symbol": "btc"{data}}}')


def answer(text, status=200, **headers):
    return status, {"Content-Type": f"{JSON}; charset=utf-8", **headers}, text.encode()


def refuse(status, code, words, **headers):
    """CoinGecko's refusal of a key or a plan, or of one call too many."""
    return answer(json.dumps({"status": {"error_code": code, "error_message": words}}), status, **headers)


@pytest.fixture
def coingecko(upstream):
    return CoinGecko(upstream)


@pytest.fixture
def make_call(make_app, coingecko):
    """Return a function that makes one which calls a command and returns the text of its answer and its error.

    Whatever it answers, the key is not in it.
    """

    def make(**settings):
        app = make_app(**{"COINGECKO_URL": coingecko.url, **settings})

        def call(command, **parameters):
            answer = app.post_json(f"/v1/do/coingecko/{command}", {"api_key": KEY, **parameters})
            assert KEY not in answer.text
            return answer, answer.json["error"]

        return call

    return make


@pytest.fixture
def call(make_call):
    return make_call()


def test_the_ids_and_parameters(app):
    listed = standard_fields(app.get("/v1/commands").json)
    key = {"id": "api_key", "type": "str", "required": False}
    for command, names in {"GetPrice": PRICE, "GetCoinHistory": HISTORY}.items():
        required = [{"id": name, "type": "str", "required": True} for name in names]
        assert listed[f"coingecko/{command}"] == [*required, key]


@pytest.mark.parametrize(
    ("ids", "currencies", "body"),
    [
        ("bitcoin", "usd", '{"bitcoin": {"usd": 67187.3358936566}}'),
        (" Bitcoin ", "eur , USD", '{"bitcoin": {"eur": 61981, "usd": 67187.3358936566}}'),
        ("bitcoin", "btc", '{"bitcoin": {"btc": 1.0}}'),
        ("pepe", "usd", '{"pepe": {"usd": 1.0712345678e-05}}'),
    ],
)
def test_prices(call, ids, currencies, body):
    """Reach the diagram digit for digit."""
    answer, error = call("GetPrice", ids=ids, vs_currencies=currencies)
    assert error is None
    assert f'"body": {body}, "mimetype": "application/json", "http_status": 200' in answer.text


def test_prices_of_several_coins(call):
    answer, error = call("GetPrice", ids="bitcoin,pepe", vs_currencies="usd")
    assert error is None
    assert answer.json["command_response"]["body"].keys() == {"bitcoin", "pepe"}


@pytest.mark.parametrize(
    ("ids", "currencies", "missing"),
    [
        ("BTC", "usd", "BTC in usd."),
        ("bitcoin,btc,pepe", "usd,xyz", "bitcoin in xyz, btc in usd, btc in xyz, pepe in xyz."),
        ("pepe", "eur", "pepe in eur."),
        ("stale", "usd", "stale in usd."),
    ],
)
def test_prices_that_coingecko_does_not_have(call, ids, currencies, missing):
    """Are an error, which they are not at CoinGecko."""
    answer, error = call("GetPrice", ids=ids, vs_currencies=currencies)
    assert (error["error_code"], answer.json["command_response"]["http_status"]) == ("NoPrice", 404)
    assert f"no price of {missing}" in error["message"]


@pytest.mark.parametrize(("coin", "path"), [(" bitcoin ", "bitcoin"), ("a/b ü", "a%2Fb%20%C3%BC")])
def test_the_price_of_a_day(call, coingecko, coin, path):
    """The id does not get out of its place in the path."""
    answer, error = call("GetCoinHistory", id=coin, date=" 30-12-2025 ")
    assert error is None
    assert f'"symbol": "btc", "market_data": {DATA}' in answer.text
    assert [request.path.partition("?")[0] for request in coingecko.requests] == [f"/api/v3/coins/{path}/history"]


def test_no_price_of_a_day(call):
    answer, error = call("GetCoinHistory", id="bitcoin", date=" 30-12-2001 ")
    assert (error["error_code"], answer.json["command_response"]["http_status"]) == ("NoPrice", 404)
    assert error["message"] == "CoinGecko has no price of bitcoin of 30-12-2001"


@pytest.mark.parametrize(
    ("place", "key", "sent"),
    [
        ("", KEY, {DEMO: KEY}),
        ("", f" {KEY} ", {DEMO: KEY}),
        ("/pro-api.coingecko.com", KEY, {PRO: KEY}),
        ("", "", {}),
        ("", None, {}),
        ("/pro-api.coingecko.com", None, {}),
    ],
)
def test_keys(make_call, coingecko, place, key, sent):
    """Each kind has a header and a host of its own; here the host is a gateway, which has CoinGecko's in its path."""
    make_call(COINGECKO_URL=f"{coingecko.server.url}{place}/api/v3/")("GetPrice", **PRICE, api_key=key)
    (request,) = coingecko.requests
    assert {name.lower(): value for name, value in request.headers.items() if "api-key" in name.lower()} == sent
    assert request.path == f"{place}/api/v3/simple/price?ids=bitcoin&vs_currencies=usd"


@pytest.mark.parametrize(
    ("command", "parameters", "words"),
    [
        *[("GetPrice", {**PRICE, "ids": x}, "ids is ") for x in ("", " ", "a,,b", "\ud800")],
        *[("GetPrice", {**PRICE, "ids": x}, "ids must be a string") for x in (None, ["bitcoin"])],
        *[("GetPrice", {**PRICE, "vs_currencies": x}, "vs_currencies is ") for x in ("", ",")],
        *[("GetPrice", {**PRICE, "vs_currencies": x}, "vs_currencies must be a string") for x in (None, 5)],
        *[("GetCoinHistory", {**HISTORY, "id": x}, "id is ") for x in ("", ".", " .. ", "\udfff")],
        *[("GetCoinHistory", {**HISTORY, "id": x}, "id must be a string") for x in (None, 5)],
        *[
            ("GetCoinHistory", {**HISTORY, "date": x}, "dd-mm-yyyy")
            for x in ("", "2025-12-30", "30-2-2025", "30-02-2025", "1-1-2025", "٣٠-12-2025", "30-12-25")
        ],
        *[("GetPrice", {**PRICE, "api_key": x}, "api_key is invalid") for x in ("CG-k3y\r\nX: y", "CG-k3yÿ")],
        *[("GetPrice", {**PRICE, "api_key": x}, "api_key must be a string") for x in (5, [KEY])],
        *[("GetCoinHistory", {**HISTORY, "date": x}, "date must be a string such as") for x in (None, 30122025)],
    ],
)
def test_mistakes_of_the_author(call, coingecko, command, parameters, words):
    """Are named, and nothing is sent."""
    answer, error = call(command, **parameters)
    assert (error["error_code"], answer.json["command_response"]["http_status"]) == ("ValueError", 400)
    assert words in error["message"]
    assert coingecko.requests == []


RANGE = '{"error": {"status": {"error_code": 10012, "error_message": "exceeds the allowed time range"}}}'


@pytest.mark.parametrize(
    ("refusal", "code", "status", "words"),
    [
        (answer('{"error": "invalid date"}', 400), "HttpError400", 400, "CoinGecko responded with 400: invalid date$"),
        (refuse(401, 10002, "API Key Missing"), "HttpError401", 401, "401: API Key Missing: a Pro key needs "),
        (refuse(400, 10010, "Pro key"), "HttpError400", 400, "400: Pro key$"),
        (answer(RANGE, 401), "HttpError401", 401, "401: exceeds the allowed time range: "),
        ((403, {"Content-Type": "text/html"}, b"<html>"), "HttpError403", 403, "403: CoinGecko blocks the proxy"),
        (answer('{"error": "coin not found"}', 404), "HttpError404", 404, "404: coin not found$"),
        (answer('{"error": 5}', 404), "HttpError404", 404, "404: there is no such coin; correct the id$"),
        (answer("[]", 408), "HttpError400", 408, "408: CoinGecko refuses"),
        (refuse(429, 429, "Rate Limit", **{"Retry-After": "27"}), "HttpError429", 429, "Limit: try again in 27 s"),
        ((429, {}, b"Throttled"), "HttpError429", 429, "try again in some seconds$"),
        ((500, {}, b""), "HttpError500", 500, "500: CoinGecko has a fault; try again$"),
        ((503, {}, b""), "HttpError500", 503, "503: CoinGecko has a fault; try again$"),
        ((200, {"Content-Type": "text/html"}, b"<html>"), "UnexpectedAnswer", 502, "CONNECTOR_PROXY_COINGECKO_URL"),
        (answer('["id"]'), "UnexpectedAnswer", 502, ""),
        (answer('{"gecko_says": "hi"}'), "UnexpectedAnswer", 502, ""),
        (answer("{"), "UnexpectedAnswer", 502, ""),
        (answer("{}", **{"Content-Length": "9", "Connection": "close"}), "ChunkedEncodingError", 500, ""),
    ],
)
@pytest.mark.parametrize(("command", "parameters"), [("GetPrice", PRICE), ("GetCoinHistory", HISTORY)])
def test_refusals(call, coingecko, command, parameters, refusal, code, status, words):
    """Have CoinGecko's own words, and a status by which SpiffArena knows whether to try again."""
    coingecko.refusal = refusal
    answer, error = call(command, **parameters)
    assert answer.json["command_response"] == {"body": {}, "mimetype": JSON, "http_status": status}
    assert error["error_code"] == code
    assert re.search(words, error["message"])


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirects(call, coingecko, other_upstream, status):
    """Are not followed, and are no result: the key is for one host."""
    coingecko.refusal = answer('{"bitcoin": {"usd": 1}}', status, Location=other_upstream.url)
    _, error = call("GetPrice", **PRICE)
    assert error["error_code"] == "UnexpectedAnswer"
    assert other_upstream.requests == []


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"COINGECKO_URL": f"http://127.0.0.1:{free_port()}"}, "ConnectionError", "No connection to 127.0.0.1"),
        ({"HTTP_ALLOWED_HOSTS": "api.coingecko.com"}, "HostNotAllowed", "may not call 127.0.0.1"),
    ],
)
def test_the_rules_of_the_http_connector(make_call, coingecko, settings, code, words):
    _, error = make_call(**settings)("GetPrice", **PRICE)
    assert error["error_code"] == code
    assert words in error["message"]
    assert coingecko.requests == []


def test_the_address_of_coingecko_is_the_default(make_caller):
    call = make_caller({"api.coingecko.com": [["127.0.0.1"]]})
    answer = call("coingecko/GetPrice", {"CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS": "example.org"}, **PRICE)
    assert "may not call api.coingecko.com" in answer["error"]["message"]
    log = "GET https://api.coingecko.com/api/v3/simple/price, attempt 1 of 1: HostNotAllowed"
    assert answer["spiff__logs"] == [log]
