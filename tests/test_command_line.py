"""The command line: what it prints, and the status that it ends with."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import types

import pytest
from conftest import CONNECTORS, MODULE, make_environ, run_proxy

from spiffproxy import __version__, main

EXAMPLES = ("--connectors", str(CONNECTORS))

LIST = """
  example/CombineStrings(arg1*: str, arg2*: str)
  example/Echo(value: any)
  example/Fail(secret*: str)
  example/Inner(status*: any)
  example/Status(status*: any, body*: any)
  example/Wait(seconds: int)
  half/Good()
"""
BROKEN = """
Authentications
  example/OldSignIn()
  example/SignIn()
  xero/OAuth()

Missing
  connector_postgres needs psycopg, which is not installed: python3 -m pip install --target FOLDER 'psycopg[binary]>=3.2', then start the proxy with --connectors FOLDER

Broken
  connector_broken: RuntimeError: broken on purpose
  connector_exits: SystemExit: this connector wants to end the process
  connector_half.commands.bad: ModuleNotFoundError: No module named 'a_module_that_nobody_has'
  connector_hollow.commands.bad: ModuleNotFoundError: No module named 'a_module_that_nobody_has'
  connector_hollow.commands.worse: ValueError: bad, too

"""


def test_list():
    ended = run_proxy("list", *EXAMPLES)
    assert ended.stdout.startswith("Commands (* required)\n  bamboohr/GetEmployeeInfo(")
    assert LIST in ended.stdout
    assert ended.stdout.endswith(BROKEN)
    assert "\n  http/GetRequest(url*: str, headers: any, params: any, basic_auth_username: str, " in ended.stdout
    assert ended.returncode == 1


def test_list_of_what_the_terminal_has_no_letters_for(tmp_path):
    """And of a reason with line breaks, which is put on one line."""
    (tmp_path / "connector_odd").mkdir()
    (tmp_path / "connector_odd" / "__init__.py").write_text("raise OSError('bad:\\n \\udcff ü')")
    ended = run_proxy("list", "--connectors", str(tmp_path), PYTHONIOENCODING="utf-8")
    assert "connector_odd: OSError: bad: \\udcff ü" in ended.stdout
    assert ended.returncode == 1


def test_list_without_anything_broken():
    ended = run_proxy("list")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Broken" not in ended.stdout
    assert "\nAuthentications\n  xero/OAuth()\n\n" in ended.stdout


def test_list_says_what_a_connector_lacks(write_connector, tmp_path):
    """Which breaks nothing."""
    source = "class C:\n    def execute(self, *_): pass\n"
    name = write_connector(source, __init__="requires = {'a_module_that_nobody_has': 'pip install nothing'}")
    ended = run_proxy("list", "--connectors", str(tmp_path))
    line = f"connector_{name} needs a_module_that_nobody_has, which is not installed: pip install nothing"
    assert ended.stdout.endswith(f"\n  {line}\n\n")
    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "answer"),
    [
        (["example/CombineStrings", "arg1=a=b", "arg2=:c"], 0, "a=b:c\n"),
        (["half/Good"], 0, "good\n"),
        (["example/Wait", "seconds:=0"], 0, {}),
        (["http/GetRequest", "url=URL/liveness"], 0, {"ok": True}),
        (["http/GetRequest", "url=URL/"], 0, "A connector proxy for SpiffArena. Its commands: /v1/commands\n\n"),
        (["example/CombineStrings", "arg1=two\nlines", "arg2=[]"], 0, "two\nlines[]\n"),
        (["example/Status", "status:=404", "body=not there"], 1, "not there\n"),
        (["example/Status", "status:=404", "body={}"], 1, {}),
        (["example/Status", "status:=204", "body="], 0, "\n"),
    ],
)
def test_call_of_version_1(example_server, arguments, status, answer):
    arguments = [argument.replace("URL", example_server.url) for argument in arguments]
    ended = run_proxy("call", *EXAMPLES, *arguments)
    assert ended.returncode == status
    assert (ended.stdout if isinstance(answer, str) else json.loads(ended.stdout)) == answer


def test_call_prints_the_envelope_and_nothing_else():
    """Text by `=`, JSON by `:=`; what the command prints does not get between."""
    ended = run_proxy(
        "call", *EXAMPLES, "example/Echo", "value=5", 'more:={"a": [1, null]}', "spiff__task_data:={}", "empty="
    )
    assert ended.returncode == 0
    envelope = json.loads(ended.stdout)
    assert envelope["command_response"]["body"] == {
        "value": "5",
        "others": {"more": {"a": [1, None]}, "empty": ""},
        "task_data": {},
    }
    assert "printed by a command" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["example/Fail", "secret=x"], "LookupError"),
        (["example/Fail"], "invalid_parameters"),
        (["example/Nothing"], "command_not_found"),
        (["nothing"], "command_not_found"),
        (["broken/C"], "connector_unavailable"),
        (["http/GetRequestV2", "url=http://127.0.0.1:1/"], "ConnectionError"),
    ],
)
def test_call_of_what_fails(arguments, code):
    ended = run_proxy("call", *EXAMPLES, *arguments)
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["error"]["error_code"] == code
    assert re.search(rf"HTTP status \d+ [\w ]+, error {code}(, http_status \d+)?\n$", ended.stderr)


def test_call_sees_an_inner_status(example_server):
    """Of 300 and above, which fails a task in SpiffArena."""
    for status, ends_with in (299, 0), (300, 1):
        ended = run_proxy("call", *EXAMPLES, "example/Inner", f"status:={status}")
        assert ended.returncode == ends_with


def test_list_does_not_wait_for_a_connector_that_hangs(tmp_path, imports, capsys, monkeypatch):
    (tmp_path / "connector_hanging" / "commands").mkdir(parents=True)
    (tmp_path / "connector_hanging" / "commands" / "__init__.py").touch()
    source = "import connector_gate3\nconnector_gate3.opened.wait(30)\n"
    (tmp_path / "connector_hanging" / "__init__.py").write_text(source)
    gate = types.ModuleType("connector_gate3")
    gate.opened = threading.Event()
    monkeypatch.setitem(sys.modules, "connector_gate3", gate)
    monkeypatch.setattr("spiffproxy.LIST_SECONDS", 4)
    assert main(["list", "--connectors", str(tmp_path)]) == 1
    gate.opened.set()
    out, _ = capsys.readouterr()
    assert "Broken\n  connector_hanging: still being imported\n\n" in out
    assert "http/GetRequest(" in out


def test_call_sees_the_error_in_a_version_1_result():
    arguments = (
        "smtp_host=127.0.0.1 smtp_port:=1 email_subject=s email_body=b email_to=a@x.example email_from=b@x.example"
    )
    ended = run_proxy("call", "smtp/SendEmail", *arguments.split())
    assert ended.returncode == 1
    assert "Connection refused" in json.loads(ended.stdout)["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["call", "example/Echo", "value"], "'value' is not a parameter. Write name=TEXT, or name:=JSON for"),
        (["call", "example/Echo", "=x"], "'=x' is not a parameter"),
        (["call", "example/Echo", "value:=x"], "The value of value is not valid JSON: .* For a string, write value="),
        (["call", "example/Echo", "value:=NaN"], "The value of value is not valid JSON"),
        (["call", "example/Echo", "value:=" + "[" * 100_000], "The value of value is not valid JSON"),
        (["call", "example/Echo", "value=1", "value:=1"], "The parameter value is given twice"),
        (["call", "example/Echo", "value=@@/nowhere"], "value: .*'@/nowhere'"),
        (["call", "example/Echo", "value=@/nowhere"], """value: .*nowhere.* begins with @, write value:='"@"""),
        (["call", "example/Echo", "value=@" + sys.executable], "value: .* is not UTF-8. Encode its bytes as base64"),
        (["call"], "call is given 0 arguments; write: python3 spiffproxy.py call CONNECTOR/COMMAND"),
        (["list", "http", "smtp"], "list is given 2 arguments; write: python3 spiffproxy.py list "),
        (["serve", "http"], "serve is given 1 arguments; write: python3 spiffproxy.py serve$"),
        (["nothing"], "'nothing' is not a subcommand; there are: serve, list, call, "),
        (["lst"], "did you mean list.$"),
        (["help"], "'help' is not a subcommand; .*; write --help$"),
        (["version"], "; write --version$"),
        (["greetings/Greet", "name=x"], r"; write: python3 spiffproxy.py call greetings/Greet \[PARAMETER ...\]$"),
        (
            ["call", "secret=x", "a/B"],
            "The first argument of call is CONNECTOR/COMMAND. Write the parameter secret after",
        ),
        (["call", "example/Echo", "value", "=", "x"], "'value' is not a parameter.* without blanks around the =.$"),
        (["call", "example/Echo", "value=", "x"], "'x' is not a parameter.* without blanks around the =.$"),
        (["check", "smtp", "--call", "SendEmail", "a=b"], "a connector and a command; write --call smtp/SendEmail$"),
        (["check", "--call", "SendEmail"], "write --call CONNECTOR/SendEmail$"),
        (["check", "--call", "secret=x", "smtp/SendEmail"], "write --call smtp/COMMAND$"),
        (["--nothing"], "--nothing is not an option; --help lists them"),
        (["--prot", "80"], "--prot is not an option; did you mean --port.$"),
        (["list", "--port", "80"], "--port is an option of serve, not of list"),
        (["--json"], "--json is an option of list, not of serve"),
        (["list", "--call", "a/B"], "--call is an option of check, not of list"),
        (["--port", "x"], "--port is 'x'"),
        (["--connectors", "/a", "--connectors", "/b"], "there is no folder /a"),
        (["list", "--config", "/nowhere.py"], "--config: .*nowhere"),
    ],
)
def test_what_makes_no_sense_ends_with_2(imports, capsys, monkeypatch, arguments, words):
    monkeypatch.delenv("CONNECTOR_PROXY_PORT", raising=False)
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = ended.code
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert re.search(words, err)


def test_a_flag_goes_before_the_environment(tmp_path):
    """And that before the config file."""
    (tmp_path / "config.py").write_text("CONNECTOR_PROXY_THREADS = 'file'\nCONNECTOR_PROXY_PORT = 'file'\n")
    config = str(tmp_path / "config.py")
    environ = {"CONNECTOR_PROXY_THREADS": "environment", "CONNECTOR_PROXY_CONFIG": config}
    assert "PORT is 'file'" in run_proxy(**environ).stderr
    assert "THREADS is 'environment'" in run_proxy("--port", "0", **environ).stderr
    assert "--threads is 'flag'" in run_proxy("--port", "0", "--threads", "flag", **environ).stderr


def test_a_copy_of_the_module_alone_has_no_connectors(tmp_path):
    copy = shutil.copy(MODULE, tmp_path / "renamed.py")
    ended = run_proxy("list", module=copy, cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("options", ["list --json", "list --verbose", "list --help", "list http", "--help"])
def test_a_copy_of_the_module_alone_refuses_what_it_cannot_do(tmp_path, options):
    ended = run_proxy(*options.split(), module=shutil.copy(MODULE, tmp_path), cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "This needs connectors/spiffproxy_command_line.py, which is missing" in ended.stderr


def test_version_and_help():
    assert run_proxy("--version").stdout == f"{__version__}\n"
    for arguments in ["--help"], ["serve", "--help"], ["list", "-h"], ["call", "-h"]:
        ended = run_proxy(*arguments)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "usage: spiffproxy" in ended.stdout
        assert "python3 spiffproxy.py check greetings --connectors my\n" in ended.stdout
        assert "--port NUMBER" in ended.stdout


@pytest.mark.parametrize("order", ["call example/Echo FLAGS value=5", "FLAGS call example/Echo value=5"])
def test_options_stand_anywhere(order):
    ended = run_proxy(*order.replace("FLAGS", " ".join(EXAMPLES)).split())
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["command_response"]["body"]["value"] == "5"


@pytest.mark.parametrize(
    "arguments",
    [
        "check half FLAGS --call half/Good a=b",
        "check --call half/Good a=b half FLAGS",
        "--call half/Good FLAGS a=b check half",
        "check --call half/Good FLAGS a=b half",
    ],
)
def test_what_check_calls_may_stand_anywhere(arguments):
    """Its parameters have a `=`, which no connector has."""
    ended = run_proxy(*arguments.replace("FLAGS", " ".join(EXAMPLES)).split())
    assert "half/Good: unknown: a. It accepts no parameters" in ended.stdout
    assert "1 command checked" in ended.stdout


def test_call_reads_stdin_once():
    ended = run_proxy("call", "example/Echo", *EXAMPLES, "a=@-", "b:=-")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "b: stdin can be read for one parameter. Write the other one to a file." in ended.stderr


def test_call_without_a_stdin():
    command = [sys.executable, str(MODULE), "call", "example/Echo", *EXAMPLES, "value=@-"]
    ended = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("spiffproxy: value: stdin is closed.")


def test_call_reads_parameters_from_files_and_from_stdin(tmp_path):
    """One line end at the end is not part of a string; the status is on stderr."""
    (tmp_path / "name.txt").write_text("Jane\n\n")
    (tmp_path / "object.json").write_text('\ufeff{"a": [1]}\n')
    arguments = ["value=@name.txt", "object:=@object.json", "more:=-", 'at:="@x"', "dash=-"]
    command = [sys.executable, "-S", str(MODULE), "call", "example/Echo", *EXAMPLES, *arguments]
    ended = subprocess.run(command, cwd=tmp_path, input="[true]", capture_output=True, text=True, timeout=30)
    body = json.loads(ended.stdout)["command_response"]["body"]
    assert body["value"] == "Jane\n"
    assert body["others"] == {"object": {"a": [1]}, "more": [True], "at": "@x", "dash": "-"}
    assert ended.stderr.endswith("HTTP status 200 OK\n")


def test_list_of_one_connector():
    ended = run_proxy("list", "half", *EXAMPLES)
    module = "connector_half.commands.bad: ModuleNotFoundError: No module named 'a_module_that_nobody_has'"
    assert ended.stdout == f"Commands (* required)\n  half/Good()\n\nBroken\n  {module}\n\n"
    assert ended.returncode == 1
    ended = run_proxy("list", "haf", *EXAMPLES)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.endswith("; did you mean half?\n")


def test_list_of_one_connector_is_not_broken_by_an_upstream():
    for arguments in ["list", "connector_http"], ["list", "http", "--json"]:
        ended = run_proxy(*arguments, CONNECTOR_PROXY_UPSTREAMS="http://127.0.0.1:1")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "127.0.0.1:1" not in ended.stdout
    ended = run_proxy("list", CONNECTOR_PROXY_UPSTREAMS="http://127.0.0.1:1")
    assert (ended.returncode, "\nUpstreams\n  http://127.0.0.1:1: No connection to " in ended.stdout) == (1, True)


def test_list_of_what_replaces_a_bundled_connector(tmp_path):
    """Is not broken: replacing is documented; `check` names it, because it may be an accident."""
    shutil.copytree(MODULE.parent / "connectors" / "connector_smtp", tmp_path / "connector_smtp")
    ended = run_proxy("list", "smtp", "--connectors", str(tmp_path))
    assert (ended.returncode, "Broken" in ended.stdout) == (0, False)
    assert "is hidden by" in run_proxy("check", "smtp", "--connectors", str(tmp_path)).stdout


def test_list_names_a_connector_that_offers_nothing(write_connector, tmp_path):
    name = write_connector("")
    ended = run_proxy("list", "--connectors", str(tmp_path))
    assert (ended.returncode, f"Broken\n  connector_{name}: offers nothing; " in ended.stdout) == (1, True)


def test_list_as_json():
    """As `/v1/status` returns it."""
    ended = run_proxy("list", "http", "--json")
    state = json.loads(ended.stdout)
    assert (ended.returncode, state["ok"], state["version"]) == (0, True, __version__)
    assert [connector["name"] for connector in state["connectors"]] == ["http"]
    assert "http/GetRequestV2" in state["connectors"][0]["commands"]


def test_list_finds_what_check_finds(write_connector, tmp_path):
    name = write_connector("class C:\n    def run(self, config, task_data): pass\n")
    for arguments in ["list"], ["list", name], ["list", "--json"]:
        ended = run_proxy(*arguments, "--connectors", str(tmp_path))
        assert ended.returncode == 1
    (fault,) = json.loads(ended.stdout)["faults"]
    assert "things.py:2: C has run" in fault
    ended = run_proxy("list", name, "--connectors", str(tmp_path))
    assert re.search(r"Broken\n  \S+things.py:2: C has run, but the proxy calls execute", ended.stdout)


@pytest.mark.parametrize(("columns", "width"), [(60, 60), (1, 40)])
def test_list_fits_the_terminal(columns, width):
    """A long line is broken and indented."""
    pty = pytest.importorskip("pty")
    reader, writer = pty.openpty()
    try:
        command = [sys.executable, "-S", str(MODULE), "list", "http"]
        subprocess.run(command, stdout=writer, env=make_environ(COLUMNS=str(columns)), check=True, timeout=30)
        lines = os.read(reader, 2**16).decode().splitlines()
    finally:
        os.close(writer)
        os.close(reader)
    assert "  http/GetRequest(url*: str, headers:" in "\n".join(lines)
    assert max(map(len, lines)) < width


def test_shared_errors_are_printed_once():
    ended = run_proxy("list", "http", "--verbose")
    assert ended.stdout.count("    HostNotAllowed: ") == 1
    assert "\n  http: errors that its commands share\n" in ended.stdout


def test_new_writes_a_connector_that_works(tmp_path):
    """And prints the commands to go on with, which all work; it never overwrites."""
    ended = run_proxy("new", "greetings/SayHello", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    written, unittest, call, serve = ended.stdout.splitlines()
    source = "my/connector_greetings/commands/say_hello.py"
    assert written == f"Written: {source} and my/test_greetings_say_hello.py. Go on with:"
    tested = subprocess.run(
        [sys.executable, *unittest.split()[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert "Ran 2 tests" in tested.stderr
    assert tested.returncode == 0
    ended = run_proxy(*call.split()[2:], cwd=tmp_path)
    assert json.loads(ended.stdout)["command_response"]["body"] == {"text": "Hello, Jane!"}
    assert serve == "  python3 spiffproxy.py --connectors my"
    assert run_proxy("check", "greetings", "--connectors", "my", cwd=tmp_path).returncode == 0
    (tmp_path / source).write_text("mine")
    ended = run_proxy("new", "greetings/SayHello", cwd=tmp_path)
    assert (ended.returncode, (tmp_path / source).read_text()) == (2, "mine")
    assert f"{source} exists, and is not overwritten" in ended.stderr
    assert run_proxy("new", "greetings/Second", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("folder", ["a folder", "my"])
def test_new_writes_into_the_folder_of_the_environment(tmp_path, folder):
    """And quotes its name where a shell would split it."""
    ended = run_proxy("new", "greetings/Greet", cwd=tmp_path, CONNECTOR_PROXY_CONNECTORS=folder)
    call = shlex.split(ended.stdout.splitlines()[2])
    assert call[-2:] == ["--connectors", folder]
    assert run_proxy(*call[2:], cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("http/Fetch", "my/connector_http would hide .*connectors/connector_http. Choose another name"),
        ("greetings/Any", "what new writes uses the name Any"),
        ("greetings/Greet --connectors my/connector_a", "a connector; give the folder that it is in, my$"),
        ("greetings/Greet --connectors a --connectors b", "give --connectors once"),
    ],
)
def test_new_refuses_what_would_not_work(tmp_path, arguments, words):
    ended = run_proxy("new", *arguments.split(), cwd=tmp_path)
    assert (ended.returncode, list(tmp_path.iterdir())) == (2, [])
    assert re.search(words, ended.stderr)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("letters", "begins with a capital letter of A to Z: letters/Greet"),
        ("letters/write", "begins with a capital letter of A to Z: letters/Write"),
        ("letters/Write_Now", "has only letters of A to Z and digits: letters/WriteNow"),
        ("letters/Grüße", "has only letters of A to Z and digits: letters/Greet"),
        ("letters/None", "None is a word of Python; such as letters/Greet"),
        ("Letters/write", "a connector of the letters a to z, digits and _, .* such as letters/Write"),
        ("a b/any", "a connector of the letters a to z, digits and _, .* such as a_b/Greet"),
        ("9/A", "which begins with a letter, such as greetings/A"),
        ("/A", "which begins with a letter, such as greetings/A"),
        ("grüße/A", "which begins with a letter, such as greetings/A"),
        ("../x/Y", r"has more than one /. Write CONNECTOR/COMMAND, such as greetings/Greet\."),
        ("a/B/C", r"has more than one /. Write CONNECTOR/COMMAND, such as a/Greet\."),
    ],
)
def test_new_refuses_names_that_python_does_not_have(tmp_path, name, words):
    """And proposes one that it accepts."""
    ended = run_proxy("new", name, cwd=tmp_path)
    assert (ended.returncode, list(tmp_path.iterdir())) == (2, [])
    assert re.search(f"{words}$", ended.stderr)
    proposed = ended.stderr.split()[-1].rstrip(".")
    assert run_proxy("new", proposed, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("command", "nearest"),
    [("htp/GetRequestV2", "http"), ("http/GetRequestV3", "GetRequestV2"), ("http/getrequest", "GetRequest")],
)
def test_the_nearest_name_is_proposed(command, nearest):
    error = json.loads(run_proxy("call", command).stdout)["error"]
    assert error["message"].endswith(f"; did you mean {nearest}?")


def test_a_connector_may_be_named_in_any_way(tmp_path):
    """By its name, its package, its folder, or the id of a command; a folder that was forgotten is proposed."""
    run_proxy("new", "greetings/Greet", cwd=tmp_path)
    for word in (
        "greetings",
        "connector_greetings",
        "greetings/Greet",
        "my/connector_greetings",
        "my/connector_greetings/",
    ):
        ended = run_proxy("list", word, "--connectors", "my", cwd=tmp_path)
        assert ended.stdout == "Commands (* required)\n  greetings/Greet(name*: str)\n\n"
        assert run_proxy("check", word, "--connectors", "my", cwd=tmp_path).returncode == 0
    for subcommand in "list", "check":
        ended = run_proxy(subcommand, "greetings", cwd=tmp_path)
        assert re.search(
            "No connector 'greetings' here; .*; add --connectors my, which has it\n", ended.stdout + ended.stderr
        )


@pytest.mark.parametrize("subcommand", ["list", "check"])
def test_a_command_that_a_connector_does_not_have(subcommand):
    """Is told; a module that cannot be imported may have it, and is told instead."""
    ended = run_proxy(subcommand, "example/Eco", *EXAMPLES)
    assert (ended.returncode, ended.stdout) == (1, "")
    there = "there are: CombineStrings, Echo, Fail, Inner, Status, Wait; did you mean Echo?"
    assert ended.stderr.endswith(f"spiffproxy: The connector 'example' has no command 'Eco'; {there}\n")
    ended = run_proxy(subcommand, "xero/OAut")
    assert ended.stderr.endswith(" no command 'OAut'; there are: CreateInvoice, GetCurrencies; did you mean OAuth?\n")
    ended = run_proxy(subcommand, "half/Bad", *EXAMPLES)
    assert (ended.returncode, "has no command" in ended.stderr) == (1, False)
    assert "No module named 'a_module_that_nobody_has'" in ended.stdout


def test_list_of_one_command():
    ended = run_proxy("list", "example/Wait", *EXAMPLES)
    assert (ended.returncode, ended.stdout) == (0, "Commands (* required)\n  example/Wait(seconds: int)\n\n")
    ended = run_proxy("list", "xero/OAuth")
    assert (ended.returncode, ended.stdout) == (0, "Authentications\n  xero/OAuth()\n\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("greetings/Greet", "No connector 'greetings' here; .*; add --connectors my, which has it"),
        ("greetings", "No connector 'greetings' here; .*; add --connectors my, which has it"),
        (
            "empty/A --connectors my",
            "'empty' has no command 'A'; there are none; python3 spiffproxy.py check empty --connectors .*/my says why",
        ),
        (
            "odd/A --connectors my",
            "No connector 'odd' here; .*; python3 spiffproxy.py check odd --connectors .*/my says why",
        ),
        ("greetings --connectors my", "'greetings' is not a command; write one of: greetings/Greet"),
        ("greetings/Great --connectors my", "there are: Greet; did you mean Greet."),
    ],
)
def test_call_says_what_helps(tmp_path, words, message):
    """If there is no such command; so does its help."""
    run_proxy("new", "greetings/Greet", cwd=tmp_path)
    for file in "connector_empty/__init__.py", "connector_empty/commands/__init__.py", "odd/commands/a.py":
        (tmp_path / "my" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "my" / file).touch()
    ended = run_proxy("call", *words.split(), cwd=tmp_path)
    error = json.loads(ended.stdout)["error"]
    assert (ended.returncode, error["error_code"]) == (1, "command_not_found")
    assert re.search(f"{message}$", error["message"])
    if message.endswith("says why"):
        check = re.search("spiffproxy.py (.*) says why", error["message"])
        ended = run_proxy(*shlex.split(check[1]), cwd=tmp_path)
        assert re.search("connector_empty: offers nothing|odd: is not found under this name", ended.stdout)
    ended = run_proxy("call", "--help", *words.split(), cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"spiffproxy: {error['message']}\n")


@pytest.mark.parametrize(
    ("command", "word", "line"),
    [
        ("http/GetRequestV2", 'headers={"A":"b"}', "headers was given as text: write headers:='…' for JSON"),
        ("http/GetRequestV2", "headers=@f.json", "headers was given as text: write headers:=@f.json for JSON"),
        ("http/GetRequest", "headers=@a b", "headers was given as text: write 'headers:=@a b' for JSON"),
        ("http/GetRequestV2", 'headers:="text"', None),
        ("example/Fail", "secret=headers", None),
    ],
)
def test_call_says_how_to_write_json(tmp_path, command, word, line):
    """For a parameter that is given as text; the message for the author of a diagram is about quotes."""
    for name in "f.json", "a b":
        (tmp_path / name).write_text('{"A": "b"}')
    words = ["url=http://127.0.0.1:1", word] if command.startswith("http") else [word]
    ended = run_proxy("call", *EXAMPLES, command, *words, cwd=tmp_path)
    assert ended.returncode == 1
    assert [text for text in ended.stderr.splitlines() if "was given as text" in text] == ([line] if line else [])


def test_call_names_the_file_that_is_not_json(tmp_path):
    (tmp_path / "f.txt").write_text("Jane")
    ended = run_proxy("call", "example/Echo", *EXAMPLES, "value:=@f.txt", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("spiffproxy: value: 'f.txt' is not valid JSON: Expecting value")
    assert ended.stderr.endswith(". For its text, write value=@f.txt.\n")
    command = [sys.executable, str(MODULE), "call", "example/Echo", *EXAMPLES, "value:=-"]
    for text, message in ("", "stdin was empty. Write JSON to it."), ("x", "stdin is not valid JSON: "):
        ended = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith(f"spiffproxy: value: {message}")


def test_call_describes_a_command_whose_package_is_missing(write_connector, tmp_path):
    name = write_connector(
        "class C:\n    def execute(self, *_): pass\n", __init__="requires = {'a_module_that_nobody_has': ''}"
    )
    ended = run_proxy("call", f"{name}/C", "--help", "--connectors", str(tmp_path))
    assert (ended.stdout, ended.returncode) == (f"{name}/C()\n", 0)
