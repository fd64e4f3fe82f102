"""The README: its examples run, and its table of settings is complete."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from conftest import MODULE, ROOT, free_port

README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_settings_are_those_of_the_code():
    sources = [MODULE, *(ROOT / "connectors").rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"CONNECTOR_PROXY_[A-Z0-9_]+[A-Z]", path.read_text())}
    listed = re.findall(r"^\| `(CONNECTOR_PROXY_[A-Z0-9_]+)`", README, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert named == set(listed)


def test_the_error_codes_are_those_of_the_code():
    raised = set(re.findall(r'_Refusal\(\s*\w+, "([a-z_]+)"', MODULE.read_text()))
    assert {"invalid_json", "too_busy"} <= raised
    for code in {*raised, "command_not_found"}:
        assert f"`{code}`" in README, code


def test_the_connector_of_the_first_page(make_app, tmp_path):
    """Is listed as the README says."""
    source, (listed,) = blocks("python")[0], blocks("json")
    commands = tmp_path / "connector_greetings" / "commands"
    commands.mkdir(parents=True)
    for folder in commands, commands.parent:
        (folder / "__init__.py").touch()
    (commands / "greet.py").write_text(source)
    app = make_app(tmp_path)
    assert json.loads(listed) in app.get("/v1/commands").json
    assert app.post_json("/v1/do/greetings/Greet", {"name": "you"}).json == {"text": "Hello, you!"}


def test_the_authentication_and_the_typeahead(make_app, tmp_path):
    """Work as they stand there."""
    sources = {"auths": "app_description", "typeaheads": "category ="}
    for folder, word in sources.items():
        package = tmp_path / "connector_tickets" / folder
        package.mkdir(parents=True)
        (source,) = (block for block in blocks("python") if word in block)
        (package / "things.py").write_text(source)
        for path in package, package.parent:
            (path / "__init__.py").touch()
    account = {"TICKETS_CLIENT_ID": "us", "TICKETS_CLIENT_SECRET": "s3cret"}
    app = make_app(tmp_path, account, AUTH_REDIRECT_URLS="https://arena.example/back")
    location = app.get("/v1/auth/tickets/SignIn?redirect_url=https://arena.example/back", status=302).location
    assert location.startswith("https://tickets.example.org/oauth/authorize?response_type=code&client_id=us&")
    assert app.get("/v1/typeahead/cities?prefix=Be&limit=1").json == [{"name": "Berlin"}]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_calls_answer_what_the_readme_shows(example_server):
    """Each command line that the README gives an answer to."""
    mail = Controller(Sink(), "127.0.0.1", free_port())
    mail.start()
    try:
        shown = re.findall(r"^\$ (curl .*)\n(.+)$", "\n".join(blocks("console")), re.MULTILINE)
        assert len(shown) == 3
        for command, answer in shown:
            command, answer = (
                text.replace("7004", str(example_server.port)).replace("8025", str(mail.port))
                for text in (command, answer)
            )
            ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
            assert ended.stdout == answer
    finally:
        mail.stop()


def test_the_command_lines_run(example_server):
    shown = re.findall(r"^\$ python (spiffproxy.py (?:list|call).*)$", "\n".join(blocks("console")), re.MULTILINE)
    assert len(shown) == 2
    for command in shown:
        line = f"{sys.executable} {command.replace('7004', str(example_server.port))}"
        subprocess.run(["bash", "-c", line], cwd=ROOT, check=True, capture_output=True, timeout=30)
