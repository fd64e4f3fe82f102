"""The page at `/`: who gets it, what its headers allow, and what a person does with it, in a real browser."""

import base64
import contextlib
import hashlib
import json
import re
import shutil
import socketserver
import subprocess
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
from conftest import CONNECTORS, ROOT, _Server

from spiffproxy import Proxy

INDEX = ROOT / "connectors" / "spiffproxy_page" / "index.html"
HTML = {"Accept": "text/html"}
CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"

# --- who gets it ---


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("text/*", False),
        ("text/plain", False),
        ("application/json", False),
        ("application/xhtml+xml", False),
        ("text/html", True),
        ("TEXT/HTML", True),
        ("text/html; charset=utf-8", True),
        ("text/html;level=1;q=0.4, text/html;q=0.7", True),
        (CHROME, True),
        ("text/html,*/*", True),
        ("text/html, */*; q=0.01", True),
        ("text/plain, text/html", True),
        ("text/plain, text/html;q=0.9", False),
        ("text/plain;q=0.5, text/html;q=0.9", True),
        ("text/html;q=0.2, text/*", False),
        ("text/html;q=0.2, text/*;q=0.1, */*", True),
        ("text/html;q=0", False),
        ("text/html;q=0.000, */*", False),
        ("text/html;q=", False),
        ("text/html;q=high", False),
        ("text/html;q=2", False),
        ("text/html;q=-1", False),
        ("text/html ; Q=0.5", True),
        (",,text/html,", True),
        ("text/htmlx", False),
    ],
)
def test_a_browser_gets_the_page_and_others_the_text(app, accept, is_page):
    """By the Accept header, whose weights count; a cache is told."""
    answer = app.get("/", headers={} if accept is None else {"Accept": accept})
    assert answer.content_type == ("text/html" if is_page else "text/plain")
    assert answer.headers["Vary"] == "Accept"
    assert (answer.body == INDEX.read_bytes()) is is_page


def test_nothing_but_its_own_script_and_style_runs(app):
    """The policy has the hashes of what is in the file, and admits requests to this proxy alone."""
    answer = app.get("/", headers=HTML)
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    text = INDEX.read_text()
    for tag in "script", "style":
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy.pop(f"{tag}-src") == f"'sha256-{digest}'"
    assert policy == {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    expected = {
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    assert expected.items() <= dict(answer.headers).items()
    assert not re.findall(r"\b(?:innerHTML|outerHTML|insertAdjacentHTML|eval|document\.write)\b|\bon\w+=|style=", text)
    assert len(text.splitlines()) < 600


def test_a_page_that_has_not_changed_is_not_sent_again(app):
    answer = app.get("/", headers=HTML)
    tag = answer.headers["ETag"]
    for sent in tag, f'W/{tag}, "x"', f'"x",{tag}', "*":
        again = app.get("/", headers={**HTML, "If-None-Match": sent}, status=304)
        assert (again.body, again.headers["ETag"], again.headers["Vary"]) == (b"", tag, "Accept")
    for sent in '"x"', tag.strip('"'), "":
        app.get("/", headers={**HTML, "If-None-Match": sent}, status=200)
    app.get("/", headers={"If-None-Match": tag}, status=200)  # of the text, which has no tag


def test_head_has_the_headers_of_the_page(app):
    got, head = app.get("/", headers=HTML), app.head("/", headers=HTML)
    assert (head.headers, head.body) == (got.headers, b"")


def test_the_page_needs_no_key(make_app):
    assert make_app(API_KEY="k").get("/", headers=HTML).content_type == "text/html"


# --- in a browser ---

SHOP = '''
from typing import Any, Literal, Optional, Union


class Command:
    errors = {"OutOfStock": "there is none left; order later", "HttpError<status>": "the supplier refused"}

    def execute(self, config, task_data):
        body = {name: value for name, value in vars(self).items()}
        error = None
        if body.get("article") == "moon":
            error = {"error_code": "OutOfStock", "message": "<b>No moon</b> is left"}
        response = {"body": body, "mimetype": "application/json", "http_status": 409 if error else 200}
        return {"command_response": response, "command_response_version": 2, "error": error}


class Order(Command):
    """Order an article with `<script>alert(1)</script>`.

    :param article: its name, <img src=x onerror=alert(2)>
    """

    def __init__(self, article: str, amount: int = 1, express: bool = False, size: Literal["s", "l"] = "s",
                 api_token: Optional[str] = None, connection_str: Optional[str] = None,
                 options: Optional[dict] = None, invoice_file: Any = None, shop_oauth2: Optional[dict] = None,
                 send_to: Union[str, list, None] = None):
        self.__dict__.update({name: value for name, value in locals().items() if name != "self"})


class OldOrder(Order):
    """Deprecated: use Order."""


class Greet(Command):
    """يرسل تحية إلى شخص ما."""


class Text:
    def execute(self, config, task_data):
        return {"response": "<i>plain</i>", "mimetype": "text/plain", "status": 404}
'''


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as started:
        # root may not use the sandbox, and containers have a small /dev/shm
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with the connector `shop`."""
    folder = tmp_path_factory.mktemp("connectors")
    commands = folder / "connector_shop" / "commands"
    commands.mkdir(parents=True)
    for package in commands.parent, commands:
        (package / "__init__.py").touch()
    (commands / "order.py").write_text(SHOP)
    return folder


@pytest.fixture(scope="module")
def server(browser, shop):
    """The proxy's own server with the connectors of the tests, of which some are broken."""
    server = _Server("--connectors", str(CONNECTORS), "--connectors", str(shop))
    threading.Thread(target=server.process.stderr.read, daemon=True).start()  # or the log would fill the pipe
    yield server
    server.kill()


@pytest.fixture
def open_page(browser):
    """Return a function that opens the page of a URL; a script that fails, or a request elsewhere, fails the test."""
    faults, origins = [], set()
    with contextlib.ExitStack() as stack:

        def open_page(url, width=1200, scheme="light"):
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
            stack.callback(context.close)
            context.set_default_timeout(10_000)
            page = context.new_page()
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda line: faults.append(line.text) if "Security Policy" in line.text else None)
            page.on("request", lambda request: origins.add("/".join(request.url.split("/")[:3])))
            page.goto(url)
            page.wait_for_selector("h2 >> visible=true")
            return page

        yield open_page
    assert not faults
    assert len(origins) == 1, origins


@pytest.fixture
def page(open_page, server):
    return open_page(f"{server.url}/#shop/Order")


class _ThreadingServer(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mounted(imports, shop):
    """The URL of a proxy below `/tools/proxy`, with the key `schlüssel €` and an upstream that is down."""
    settings = {"CONNECTOR_PROXY_CONNECTORS": str(shop), "CONNECTOR_PROXY_API_KEY": "schlüssel €"}
    proxy = Proxy(settings)
    proxy.upstreams = _Upstreams()

    def application(environ, start_response):
        assert environ["PATH_INFO"].startswith("/tools/proxy")
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/tools/proxy", environ["PATH_INFO"][len("/tools/proxy") :]
        return proxy(environ, start_response)

    server = _ThreadingServer(("127.0.0.1", 0), _Quiet)
    server.set_app(application)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/tools/proxy"
    server.shutdown()
    server.server_close()


class _Upstreams:
    def dispatch(self, *_):
        """Leave every request to the proxy."""

    def describe_state(self):
        commands = ["shop/Order", "far/Away"]
        return [{"url": "https://far.example", "ok": False, "error": "it refused", "commands": commands}]


def check_accessibility(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def shown_commands(page):
    return page.locator("nav li:visible").all_inner_texts()


def run(page):
    """Run the command, and return what is reported and the result as JSON."""
    page.get_by_role("button", name="Run").click()
    page.wait_for_selector(".outcome p")
    return page.locator(".outcome").inner_text(), json.loads(page.get_by_label("Result").inner_text())


def test_search_as_one_types(open_page, server):
    """Over ids, descriptions and parameters; each word must be there. Enter opens the first command."""
    page = open_page(server.url)
    words = page.get_by_label("Search")
    count = page.locator("#found")
    assert len(shown_commands(page)) > 30
    words.press_sequentially("ORDER invoice")
    assert shown_commands(page) == ["OldOrder", "Order"]
    assert count.inner_text().startswith("2 of ")
    words.fill("تحية")
    assert shown_commands(page) == ["Greet"]
    words.fill("nothing has this")
    assert (shown_commands(page), page.locator("nav details:visible").count()) == ([], 0)
    words.fill("invoice_file")
    words.press("Enter")
    page.locator("h2:focus", has_text="shop/OldOrder").wait_for()
    assert page.title() == "shop/OldOrder – Connector proxy"
    assert page.get_by_text("deprecated", exact=True).is_visible()


def test_what_is_broken_is_shown_with_the_reason(open_page, server):
    page = open_page(server.url)
    assert re.fullmatch("Problems: [0-9]+", page.locator("#health").inner_text())
    for place in page.locator("nav"), page.get_by_role("table", name="Problems"):
        assert "connector_broken: RuntimeError: broken on purpose" in place.inner_text()
    assert f"{server.url}/v1/auth/example/SignIn" in page.get_by_role("table", name="Sign-in").inner_text()


def test_the_badge_counts_the_table_of_problems(open_page, server):
    page = open_page(server.url)
    problems = page.get_by_role("table", name="Problems").locator("tbody tr").count()
    assert page.locator("#health").inner_text() == f"Problems: {problems}"


def test_a_missing_requirement_is_no_problem(open_page, start_server, tmp_path):
    """For the badge and the tables alike; it has a table of its own."""
    (tmp_path / "connector_needy" / "commands").mkdir(parents=True)
    (tmp_path / "connector_needy" / "__init__.py").write_text("requires = {'nobody_has_it': 'pip install it'}")
    page = open_page(start_server("--connectors", str(tmp_path)).url)
    assert page.locator("#health").inner_text() == "No problems"
    assert page.get_by_role("table", name="Problems").count() == 0
    row = page.get_by_role("table", name="Missing").get_by_role("row").filter(has_text="needy")
    assert "connector_needy needs nobody_has_it" in row.inner_text()


def test_a_command_is_described(page):
    """As text, whatever is in it."""
    row = page.get_by_role("table", name="Parameters").get_by_role("row").filter(has_text="article")
    assert row.get_by_role("cell").all_inner_texts() == ["yes", "string", "", "its name, <img src=x onerror=alert(2)>"]
    assert page.get_by_text("Order an article with <script>alert(1)</script>.").is_visible()
    errors = page.get_by_role("table", name="Errors").inner_text()
    assert re.search("OutOfStock\\s+there is none left; order later", errors)
    assert page.get_by_label("api_token").get_attribute("type") == "password"
    assert page.get_by_label("express").get_attribute("type") == "checkbox"
    assert page.get_by_label("amount").get_attribute("type") == "number"
    page.goto(page.url.replace("Order", "Greet"))
    paragraph = page.get_by_text("تحية")
    assert paragraph.evaluate("element => getComputedStyle(element).direction") == "rtl"


def test_a_command_runs_with_what_is_filled_in(page, tmp_path):
    """What is left empty is left out; a file becomes SpiffArena's file object."""
    file = tmp_path / "bill.txt"
    file.write_text("ten")
    page.get_by_label("invoice_file from a file").set_input_files(file)
    page.get_by_label("article").fill("sun\nand stars")
    page.get_by_label("express").check()
    page.get_by_label("size").select_option('"l"')
    page.get_by_label("options").fill('{"gift": [true, null]}')
    page.locator("#field-invoice_file:disabled").wait_for()
    report, result = run(page)
    assert re.fullmatch(r"Done\s+HTTP 200 · http_status 200 · [0-9]+ ms", report)
    assert result["command_response"]["body"] == {
        "article": "sun\nand stars",
        "amount": 1,
        "express": True,
        "size": "l",
        "api_token": None,
        "connection_str": None,
        "options": {"gift": [True, None]},
        "invoice_file": {"filename": "bill.txt", "mimetype": "text/plain", "content_base64": "dGVu"},
        "shop_oauth2": None,
        "send_to": None,
    }


def test_an_error_is_in_plain_sight(page):
    """Its code, its message, and what the command declares of it."""
    page.get_by_label("article").fill("moon")
    report, result = run(page)
    assert report.split("\n")[0] == "OutOfStock"
    assert "<b>No moon</b> is left" in report
    assert "there is none left; order later" in report
    assert result["error"]["error_code"] == "OutOfStock"
    page.goto(page.url.replace("Order", "Text"))
    page.locator("h2:focus", has_text="shop/Text").wait_for()
    page.get_by_role("button", name="Run").click()
    page.wait_for_selector(".outcome.bad")
    assert "HTTP 404" in page.locator(".outcome").inner_text()
    assert page.get_by_label("Result").inner_text() == "<i>plain</i>"


def test_json_is_checked_as_one_types(page):
    """And is not sent while it is wrong."""
    page.get_by_label("article").fill("sun")
    options = page.get_by_label("options")
    for text, fault in [
        ('{"gift": tru', "This is not valid JSON"),
        ("gift", 'A string needs double quotes: "text"'),
        ('["gift"]', "This must be of type object or null, but is list."),
        ('{"id": 12345678901234567890}', "a number is too large"),
        ('{"id": "12345678901234567890", "price": 1.5}', ""),
        ("null", ""),
        ("{", "This is not valid JSON"),
    ]:
        options.fill(text)
        assert fault in page.locator("#field-options-fault").inner_text()
        assert options.get_attribute("aria-invalid") == ("true" if fault else "false")
    page.get_by_role("button", name="Run").click()
    assert options.evaluate("element => element === document.activeElement")
    assert page.locator(".outcome").inner_text() == ""


def test_the_request_is_written_down(page, server):
    """As curl, and as an author writes it: with quotes, in Python's words, and no secret in it."""
    page.get_by_label("article").fill('it\'s "$new"\nö')
    page.get_by_label("express").check()
    page.get_by_label("api_token").fill("very-secret")
    page.get_by_label("connection_str").fill("secret, too")
    page.get_by_label("options").fill('{"client_secret": "hidden", "none": null, "list": [true, 1.5, "a"]}')
    assert page.get_by_label("In a diagram").inner_text().splitlines() == [
        r'article: "it\'s \"$new\"\nö"'.replace(r"\'", "'"),
        "express: True",
        'api_token: "SPIFF_SECRET:API_TOKEN"',
        'connection_str: "SPIFF_SECRET:CONNECTION_STR"',
        'options: {"client_secret": "SPIFF_SECRET:CLIENT_SECRET", "none": None, "list": [True, 1.5, "a"]}',
    ]
    command = page.get_by_label("With curl").inner_text()
    secrets = {"API_TOKEN": "very-secret", "CONNECTION_STR": "secret, too", "CLIENT_SECRET": "hidden"}
    assert not [secret for secret in secrets.values() if secret in command]
    sent = _run_in_shell(command, **secrets)
    assert sent[0] == f"{server.url}/v1/do/shop/Order"
    assert json.loads(sent[sent.index("-d") + 1]) == {
        "article": 'it\'s "$new"\nö',
        "express": True,
        "api_token": "very-secret",
        "connection_str": "secret, too",
        "options": {"client_secret": "hidden", "none": None, "list": [True, 1.5, "a"]},
    }


GRANT = {"token_url": "https://login.example/token", "client_id": "shop", "client_secret": "hidden", "scope": ["a"]}


def test_an_object_with_secrets_stays_an_object(page):
    """Like oauth2, which is listed as secret: only its members with the name of a secret are replaced."""
    page.get_by_label("article").fill("sun")
    grant = page.get_by_label("shop_oauth2")
    assert grant.evaluate("element => element.localName") == "textarea"
    grant.fill("hidden")
    assert "This is not valid JSON" in page.locator("#field-shop_oauth2-fault").inner_text()
    grant.fill(json.dumps({**GRANT, "refresh_token": "r1", "access_token": "a1"}))
    assert page.get_by_label("In a diagram").inner_text().splitlines()[1] == (
        'shop_oauth2: {"token_url": "https://login.example/token", "client_id": "shop", '
        '"client_secret": "SPIFF_SECRET:CLIENT_SECRET", "scope": ["a"], '
        '"refresh_token": "SPIFF_SECRET:REFRESH_TOKEN", "access_token": "SPIFF_SECRET:ACCESS_TOKEN"}'
    )
    grant.fill(json.dumps(GRANT))
    command = page.get_by_label("With curl").inner_text()
    assert "hidden" not in command
    sent = _run_in_shell(command, CLIENT_SECRET="other")
    assert json.loads(sent[sent.index("-d") + 1])["shop_oauth2"] == {**GRANT, "client_secret": "other"}
    assert run(page)[1]["command_response"]["body"]["shop_oauth2"] == GRANT


def test_a_reference_to_a_secret_is_written_as_it_is(page):
    """Within an object, too; in a shell it is of no use."""
    page.get_by_label("api_token").fill("SPIFF_SECRET:MY_TOKEN")
    page.get_by_label("connection_str").fill("secret:MY_DATABASE")
    page.get_by_label("shop_oauth2").fill('{"client_secret": "SPIFF_SECRET:MINE", "password": "my secret:"}')
    assert page.get_by_label("In a diagram").inner_text().splitlines() == [
        'api_token: "SPIFF_SECRET:MY_TOKEN"',
        'connection_str: "secret:MY_DATABASE"',
        'shop_oauth2: {"client_secret": "SPIFF_SECRET:MINE", "password": "SPIFF_SECRET:PASSWORD"}',
    ]
    command = page.get_by_label("With curl").inner_text()
    assert "$API_TOKEN" in command
    assert "MY_TOKEN" not in command


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a@b.example", "a@b.example"),
        ("1234.50", "1234.50"),
        ("null", "null"),
        ("[Shop] a@b.example", "[Shop] a@b.example"),
        (' ["a@b.example", "c@d.example"]', ["a@b.example", "c@d.example"]),
    ],
)
def test_a_string_or_a_list(page, text, value):
    """What is no list or object in JSON is a string."""
    page.get_by_label("article").fill("sun")
    page.get_by_label("send_to").fill(text)
    assert page.locator("#field-send_to-fault").inner_text() == ""
    assert page.get_by_label("In a diagram").inner_text().splitlines()[1] == f"send_to: {json.dumps(value)}"
    page.get_by_label("send_to").press("Enter")
    page.wait_for_selector(".outcome.good")
    assert json.loads(page.get_by_label("Result").inner_text())["command_response"]["body"]["send_to"] == value


def test_a_string_or_a_list_is_no_object(page):
    page.get_by_label("send_to").fill('{"to": "a@b.example"}')
    assert "but is object" in page.locator("#field-send_to-fault").inner_text()


def test_a_number_has_the_limits_of_its_schema(open_page, server):
    page = open_page(f"{server.url}/#smtp/SendEmail")
    port = page.get_by_label("smtp_port")
    assert (port.get_attribute("min"), port.get_attribute("max")) == ("1", "65535")
    port.fill("65536")
    assert port.evaluate("element => element.validity.rangeOverflow")


def _run_in_shell(command, **environ):
    """Return the arguments that a shell passes to curl."""
    script = (
        f"curl() {{ {sys.executable} -S -c 'import sys, json; print(json.dumps(sys.argv[1:]))' \"$@\"; }}\n{command}"
    )
    ended = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, text=True, timeout=20)
    return json.loads(ended.stdout)


def test_a_call_can_be_given_up(open_page, server):
    page = open_page(f"{server.url}/#example/Wait")
    page.get_by_label("seconds").fill("30")
    page.get_by_label("seconds").press("Enter")
    page.get_by_role("button", name="Give up").click()
    page.wait_for_selector(".outcome.warning")
    assert "The command may still run." in page.locator(".outcome").inner_text()
    assert page.get_by_role("button", name="Run").is_enabled()


def test_the_key_is_asked_for_once(open_page, mounted):
    """Below a path without a slash at its end; a link to a command leads there; the key is nowhere but in memory."""
    page = open_page(f"{mounted}#shop/Order")
    key = page.get_by_label("Key", exact=True)
    key.fill("wrong")
    key.press("Enter")
    page.get_by_text("This key is wrong").wait_for()
    assert page.evaluate("document.activeElement.id") == "key"
    check_accessibility(page)
    key.fill("schlüssel €")
    key.press("Enter")
    page.get_by_label("article").fill("moon")
    assert run(page)[0].startswith("OutOfStock")
    assert '-H "Spiff-Connector-Proxy-Api-Key: $CONNECTOR_PROXY_API_KEY"' in page.get_by_label("With curl").inner_text()
    stored = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    assert page.evaluate(stored) == '[{},{},""]'
    assert "schl" not in page.content()
    with page.expect_response("**/v1/status"):
        page.get_by_role("button", name="Reload").click()
    page.locator("nav").get_by_text("Order", exact=True).wait_for()
    assert page.get_by_label("article").input_value() == "moon"
    page.reload()
    page.get_by_label("Key", exact=True).wait_for()


def test_upstreams_are_shown(open_page, mounted):
    """With their state, and at each of their commands."""
    page = open_page(mounted)
    page.get_by_label("Key", exact=True).fill("schlüssel €")
    page.get_by_role("button", name="Continue").click()
    row = page.get_by_role("table", name="Upstreams").get_by_role("row").last
    assert row.inner_text().split() == ["https://far.example", "it", "refused", "2"]
    page.get_by_role("link", name="Order", exact=True).click()
    page.get_by_text("It runs at https://far.example.").wait_for()


def test_an_upstream_with_odd_entries_is_shown(open_page, start_server, upstream):
    """The fields that the protocol does not have may be of any type."""
    odd = [{"id": "far/Bare"}, {"id": "far/Odd", "description": 5, "errors": {"A": None}, "parameters": [{"id": "a"}]}]
    upstream.answer = lambda request: (200, {}, json.dumps(odd if "commands" in request.path else []).encode())
    page = open_page(start_server(CONNECTOR_PROXY_UPSTREAMS=upstream.url).url)
    for name in "Bare", "Odd":
        page.get_by_label("Search").fill(name)
        page.get_by_role("link", name=name, exact=True).click()
        page.locator("h2", has_text=f"far/{name}").wait_for()


def focus_by_keyboard(page, selector):
    """Press Tab until an element that matches has the focus."""
    for _ in range(100):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(selector)


def test_the_keyboard_alone_is_enough(open_page, server):
    """From the search to the result; focus goes to what has opened, and can be seen."""
    page = open_page(server.url)
    focus_by_keyboard(page, "#skip")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.reload()
    page.wait_for_selector("nav li")
    focus_by_keyboard(page, "#words")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.type("order an article")
    focus_by_keyboard(page, "a[href='#shop/Order']")
    page.keyboard.press("Enter")
    page.locator("h2:focus", has_text="shop/Order").wait_for()
    focus_by_keyboard(page, "#field-article")
    page.keyboard.type("moon")
    focus_by_keyboard(page, "#field-express")
    page.keyboard.press("Space")
    focus_by_keyboard(page, "#field-size")
    page.keyboard.press("ArrowDown")
    focus_by_keyboard(page, "button.main")
    page.keyboard.press("Enter")
    page.wait_for_selector(".outcome.bad")
    assert page.get_by_role("status").filter(has_text="OutOfStock").count() == 1
    assert json.loads(page.get_by_label("Result").inner_text())["command_response"]["body"]["express"] is True
    page.go_back()
    page.locator("h2:focus", has_text="State of the proxy").wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1400, "light")])
def test_nothing_is_wrong_for_axe(open_page, server, width, scheme):
    """In the list, with connectors that are broken, and in a command, after an error."""
    page = open_page(server.url, width, scheme)
    check_accessibility(page)
    page.goto(f"{server.url}/#shop/Order")
    page.get_by_label("article").fill("moon")
    page.get_by_label("options").fill("{")
    assert page.locator(".fault:visible").all_inner_texts() != []
    page.get_by_label("options").fill("{}")
    run(page)
    check_accessibility(page)


@pytest.mark.parametrize("width", [360, 720, 1280])
def test_it_fits_on_a_screen(open_page, server, width):
    """Without scrolling sideways, in the list and in a command; on a phone one of them at a time."""
    page = open_page(f"{server.url}/#http/PostRequestV2", width, "dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    widths = "table => table.parentElement.clientWidth - table.scrollWidth"
    assert page.get_by_role("table", name="Parameters").evaluate(widths) >= 0
    assert page.locator("nav").is_visible() is (width >= 720)
    page.get_by_role("link", name="All commands" if width < 720 else "problem").click()
    page.locator("h2:focus", has_text="State of the proxy").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"


def test_a_table_does_not_reach_into_the_form(open_page, server):
    """Nor beyond the page, whatever the width."""
    page = open_page(server.url)
    widths = "table => table.parentElement.clientWidth - table.scrollWidth"
    for command in "xero/CreateInvoice", "s3/ListObjects", "smtp/SendEmailV2":
        page.goto(f"{server.url}/#{command}")
        page.locator("h2:focus", has_text=command).wait_for()
        for width in 500, 850, 1280, 1300, 1450, 1600:
            page.set_viewport_size({"width": width, "height": 800})
            assert page.get_by_role("table", name="Parameters").evaluate(widths) >= 0, (command, width)


def test_an_address_that_names_no_command(open_page, server):
    page = open_page(f"{server.url}/#shop/%E0%A4%A")
    assert page.locator("main h2").inner_text() == "There is no command shop/%E0%A4%A"


def test_a_proxy_without_commands(open_page, start_server, tmp_path):
    """And without the other parts: the module, the page and its state alone."""
    shutil.copy(ROOT / "spiffproxy.py", tmp_path)
    shutil.copytree(INDEX.parent, tmp_path / "connectors" / INDEX.parent.name)
    shutil.copy(ROOT / "connectors" / "spiffproxy_status.py", tmp_path / "connectors")
    page = open_page(start_server(module=tmp_path / "spiffproxy.py").url)
    assert page.get_by_text("This proxy has no commands.").is_visible()
    assert page.locator("#health").inner_text() == "No problems"
