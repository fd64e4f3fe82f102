"""The module without the files beside it: what it does alone, and what it says of a part that is missing."""

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from conftest import CONNECTORS, JSON, ROOT, error_reply, run_proxy

PARTS = sorted(path.name for path in (ROOT / "connectors").glob("spiffproxy_*"))
EXAMPLES = ("--connectors", str(CONNECTORS))


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the module and everything beside it, in one place: its bytecode is made once."""
    folder = tmp_path_factory.mktemp("copied")
    (folder / "taken").mkdir()
    shutil.copy(ROOT / "spiffproxy.py", folder)
    shutil.copytree(ROOT / "connectors", folder / "connectors", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def take_out(copied):
    """Return a function that takes a part out of the copy until the test ends, and returns the module."""
    taken = []

    def take(part):
        (copied / "connectors" / part).rename(copied / "taken" / part)
        taken.append(part)
        return copied / "spiffproxy.py"

    yield take
    for part in taken:
        (copied / "taken" / part).replace(copied / "connectors" / part)


@pytest.fixture
def alone(tmp_path):
    """The module, copied without `connectors`."""
    return Path(shutil.copy(ROOT / "spiffproxy.py", tmp_path))


def fetch(url, **headers):
    """Return the status and the JSON of a response."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def is_missing(name):
    return f"This needs connectors/{name}, which is missing beside spiffproxy.py."


def test_alone_it_serves_and_lists_the_fields_of_the_protocol(alone, start_server):
    server = start_server(*EXAMPLES, module=alone)
    status, commands = fetch(f"{server.url}/v1/commands")
    assert status == 200
    combine = next(command for command in commands if command["id"] == "example/CombineStrings")
    assert combine == {
        "id": "example/CombineStrings",
        "parameters": [
            {"id": "arg1", "type": "str", "required": True},
            {"id": "arg2", "type": "str", "required": True},
        ],
    }
    body = b'{"arg1": "a", "arg2": "b"}'
    url = f"{server.url}/v1/do/example/CombineStrings"
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": JSON})) as response:
        assert response.read() == b"ab"


def test_alone_it_lists_on_the_command_line(alone):
    ended = run_proxy("list", *EXAMPLES, module=alone)
    assert "  example/CombineStrings(arg1*: str, arg2*: str)\n" in ended.stdout
    assert "spiffproxy_" not in ended.stdout


def test_alone_it_says_which_part_a_request_needs(alone, start_server):
    server = start_server(*EXAMPLES, module=alone)
    for path, part in (
        ("auth/example/SignIn", "sign_in"),
        ("typeahead/cities", "typeahead"),
        ("openapi.json", "openapi"),
        ("status", "status"),
    ):
        answer = fetch(f"{server.url}/v1/{path}")
        assert answer == (501, error_reply("part_missing", is_missing(f"spiffproxy_{part}.py")))


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["call", "example/Echo"], "spiffproxy_call.py"),
        (["call", "example/Echo"], "spiffproxy_command_line.py"),
        (["new", "my/C"], "spiffproxy_new.py"),
        (["check"], "spiffproxy_author.py"),
        (["pack", "x.pyz"], "spiffproxy_pack.py"),
        (["list", "--verbose"], "spiffproxy_describe.py"),
        (["--certfile", "x.pem"], "spiffproxy_tls.py"),
        (["--log-format", "json"], "spiffproxy_log.py"),
        (["list", "--config", "x.py"], "spiffproxy_settings.py"),
    ],
    ids=" ".join,
)
def test_a_missing_part_is_named_on_the_command_line(take_out, arguments, part):
    """With exit status 2; without the part everything else works."""
    module = take_out(part)
    ended = run_proxy(*arguments, *EXAMPLES, module=module)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"spiffproxy: {is_missing(part)}\n")
    assert run_proxy("list", module=module).returncode == 0


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("spiffproxy_cors.py", "CORS_ORIGINS", "https://arena.example"),
        ("spiffproxy_upstreams.py", "UPSTREAMS", "http://proxy.example:7004"),
        ("spiffproxy_upstream.py", "UPSTREAMS_FILE", "/nowhere"),
    ],
)
def test_a_missing_part_that_a_setting_needs_is_named(take_out, part, name, value):
    module = take_out(part)
    ended = run_proxy("serve", "--port", "0", module=module, **{f"CONNECTOR_PROXY_{name}": value})
    assert (ended.returncode, ended.stderr) == (2, f"spiffproxy: {is_missing(part)}\n")
    assert run_proxy("list", module=module).returncode == 0


def test_a_part_that_another_part_needs_is_named(take_out):
    """The hosts that may be called are read with the HTTP client."""
    ended = run_proxy(
        "list",
        module=take_out("spiffproxy_http"),
        CONNECTOR_PROXY_HTTP_ALLOWED_HOSTS="api.example",
    )
    assert (ended.returncode, ended.stderr) == (2, f"spiffproxy: {is_missing('spiffproxy_http')}\n")


@pytest.mark.parametrize("part", ["spiffproxy_schema", "spiffproxy_parameters"])
def test_a_part_that_every_bundled_connector_needs(take_out, part):
    """Is named for each of them; other connectors go on working."""
    module = take_out(f"{part}.py")
    listed = run_proxy("list", *EXAMPLES, module=module)
    assert listed.returncode == 1
    assert f"connector_smtp.commands.send_email: ModuleNotFoundError: No module named '{part}'\n" in listed.stdout
    assert "  example/CombineStrings(" in listed.stdout
    called = run_proxy("call", "smtp/SendEmail", module=module)
    assert json.loads(called.stdout)["error"]["error_code"] == "connector_unavailable"
    assert part in called.stdout


def test_a_part_that_the_descriptions_need_is_named(take_out):
    ended = run_proxy("list", "--verbose", module=take_out("spiffproxy_schema.py"))
    assert (ended.returncode, ended.stderr) == (2, f"spiffproxy: {is_missing('spiffproxy_schema.py')}\n")


def test_a_part_that_is_broken_is_not_called_missing(take_out):
    module = take_out("spiffproxy_describe.py")
    (module.parent / "connectors" / "spiffproxy_describe.py").write_text("import a_module_that_nobody_has\n")
    ended = run_proxy("list", "--verbose", module=module)
    assert "No module named 'a_module_that_nobody_has'" in ended.stderr
    assert "missing beside" not in ended.stderr


def test_a_part_that_a_connector_needs_is_named(take_out, write_connector, tmp_path):
    """As what is missing of this connector, and of no other."""
    source = "from spiffproxy_program import ProgramCommand\nclass C(ProgramCommand):\n    program = ('true',)\n"
    name = write_connector(source)
    arguments = ("--connectors", str(tmp_path))
    module = take_out("spiffproxy_program.py")
    ended = run_proxy("call", f"{name}/C", *arguments, module=module)
    assert "cannot be imported: ModuleNotFoundError: No module named 'spiffproxy_program'" in ended.stdout
    listed = run_proxy("list", *arguments, module=module).stdout
    assert "  http/GetRequest(" in listed
    (broken,) = listed.partition("\nBroken\n")[2].strip().splitlines()
    assert broken.endswith("No module named 'spiffproxy_program'")


def test_without_the_page_a_browser_gets_the_text(take_out, start_server):
    server = start_server(module=take_out("spiffproxy_page"))
    with urllib.request.urlopen(urllib.request.Request(server.url, headers={"Accept": "text/html"})) as response:
        assert response.read() == b"A connector proxy for SpiffArena. Its commands: /v1/commands\n"


def test_every_part_is_tested_as_missing():
    tested = {"spiffproxy_author.py", "spiffproxy_pack.py", "spiffproxy_describe.py", "spiffproxy_tls.py"}
    tested |= {"spiffproxy_sign_in.py", "spiffproxy_http", "spiffproxy_lambda.py", "spiffproxy_typeahead.py"}
    tested |= {"spiffproxy_log.py", "spiffproxy_settings.py", "spiffproxy_cors.py"}
    tested |= {"spiffproxy_schema.py", "spiffproxy_parameters.py"}
    tested |= {
        "spiffproxy_classes.py",
        "spiffproxy_command_line.py",
        "spiffproxy_call.py",
        "spiffproxy_new.py",
        "spiffproxy_openapi.py",
        "spiffproxy_program.py",
        "spiffproxy_results.py",
        "spiffproxy_status.py",
    }
    tested |= {"spiffproxy_upstreams.py", "spiffproxy_upstream.py"}
    tested |= {"spiffproxy_page"}
    assert set(PARTS) == tested


@pytest.mark.parametrize(
    ("folder", "printed"),
    [(ROOT, "200\n"), (None, "")],
    ids=["beside the module", "missing"],
)
def test_the_old_name_of_the_lambda_handler(alone, folder, printed):
    """Functions that are deployed with it go on working, if the part was copied along."""
    code = "import spiffproxy; print(spiffproxy.lambda_handler({'rawPath': '/liveness'}, None)['statusCode'])"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=folder or alone.parent, capture_output=True, text=True, timeout=30
    )
    assert ended.stdout == printed
    assert (is_missing("spiffproxy_lambda.py") in ended.stderr) == (not printed)
