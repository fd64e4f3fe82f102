"""The command line: what it prints, and the status that it ends with."""

import json
import re
import shutil
import sys
import threading
import types

import pytest
from conftest import CONNECTORS, MODULE, run_proxy

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

Lacking
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
    name = write_connector("", __init__="requires = {'a_module_that_nobody_has': 'pip install nothing'}")
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


def test_call_sees_an_inner_status(example_server):
    """Of 300 and above, which fails a task in SpiffArena."""
    for status, ends_with in (299, 0), (300, 1):
        ended = run_proxy("call", *EXAMPLES, "example/Inner", f"status:={status}")
        assert ended.returncode == ends_with


def test_list_does_not_wait_for_a_connector_that_hangs(tmp_path, imports, capsys, monkeypatch):
    (tmp_path / "connector_hanging" / "commands").mkdir(parents=True)
    source = "import connector_gate3\nconnector_gate3.opened.wait(30)\n"
    (tmp_path / "connector_hanging" / "__init__.py").write_text(source)
    gate = types.ModuleType("connector_gate3")
    gate.opened = threading.Event()
    monkeypatch.setitem(sys.modules, "connector_gate3", gate)
    monkeypatch.setattr("spiffproxy.LIST_SECONDS", 4)
    assert main(["list", "--connectors", str(tmp_path)]) == 1
    gate.opened.set()
    out, _ = capsys.readouterr()
    assert "Broken\n  connector_hanging: still being imported\n" in out
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
        (["call", "example/Echo", "value"], "'value' is no parameter; write name=text, or name:=json"),
        (["call", "example/Echo", "=x"], "'=x' is no parameter"),
        (["call", "example/Echo", "value:=x"], "the value of value is not JSON: .*; for text write value="),
        (["call", "example/Echo", "value:=NaN"], "the value of value is not JSON"),
        (["call", "example/Echo", "value:=" + "[" * 100_000], "the value of value is not JSON"),
        (["call"], "required"),
        (["nothing"], "invalid choice"),
        (["--nothing"], "unrecognized"),
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


def test_version_and_help():
    assert run_proxy("--version").stdout == f"{__version__}\n"
    for arguments in ["--help"], ["serve", "--help"], ["list", "-h"], ["call", "-h"]:
        ended = run_proxy(*arguments)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "usage: spiffproxy" in ended.stdout
