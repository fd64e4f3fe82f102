"""The README: its examples run, and its table of settings is complete."""

import json
import os
import re
import shutil
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from conftest import JSON, MODULE, ROOT, free_port

README = (ROOT / "README.md").read_text()


def section(title):
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


GUIDE = section("Write a connector")
REST = README.replace(GUIDE, "")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", REST, re.DOTALL)


def test_the_settings_are_those_of_the_code():
    sources = [MODULE, *(ROOT / "connectors").rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"CONNECTOR_PROXY_[A-Z0-9_]+[A-Z]", path.read_text())}
    listed = re.findall(r"^\| `(CONNECTOR_PROXY_[A-Z0-9_]+)`", README, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert named == set(listed)


def test_the_error_codes_are_those_of_the_code():
    sources = [MODULE, *(ROOT / "connectors").glob("spiffproxy_*.py")]
    raised = {code for path in sources for code in re.findall(r'ProxyError\(\s*\w+, "([a-z_]+)"', path.read_text())}
    assert {"invalid_json", "too_busy", "token_refused"} <= raised
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


def test_the_guide(start_server, upstream, tmp_path):
    """Each of its blocks, in their order: what it writes is written, what it runs is run, and answers as it says."""
    for name in "spiffproxy.py", "connectors":
        (tmp_path / name).symlink_to(ROOT / name)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTOR_PROXY_")}
    replaced = {"python ": f"'{sys.executable}' ", "8080": str(urlsplit(upstream.url).port)}
    upstream.answer = lambda request: (200, {"Content-Type": JSON}, json.dumps({"path": request.path}).encode())
    ran = 0
    for before, language, text in re.findall(r"(.*?)```(\w+)\n(.*?)```", GUIDE, re.DOTALL):
        if language == "python":
            (tmp_path / re.findall(r"`(my/[\w/]+\.py)`", before)[-1]).write_text(text)
            continue
        for command, shown in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            ran += 1
            if command.startswith("export "):
                environ.update([command[len("export ") :].split("=")])
            elif command == "python spiffproxy.py --connectors my":
                server = start_server("--connectors", "my", module=tmp_path / "spiffproxy.py", cwd=tmp_path, **environ)
                replaced["7004"] = str(server.port)
                assert server.first_line.endswith(shown.lstrip("… ").replace("7004", str(server.port)))
            else:
                for old, new in replaced.items():
                    command = command.replace(old, new)
                options = {"capture_output": True, "text": True, "timeout": 30}
                ended = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environ, **options)
                assert ended.returncode == 0, ended.stderr
                assert ended.stdout.strip() == shown.strip() or not shown
    assert ran == 10
    (request,) = upstream.requests
    assert (request.path, request.headers["Authorization"]) == ("/tickets/7", "Bearer s3cret")


def test_the_lines_for_docker_compose(example_server):
    """Name settings that there are, and ask for the health as it can be asked for."""
    services = yaml.safe_load(blocks("yaml")[0])["services"]
    names = services["spiffproxy"]["environment"]
    assert set(names) <= set(re.findall(r"^\| `(CONNECTOR_PROXY_[A-Z0-9_]+)`", README, re.MULTILINE))
    kind, python, *arguments = services["spiffproxy"]["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "python")
    arguments = [argument.replace("7004", str(example_server.port)) for argument in arguments]
    subprocess.run([sys.executable, *arguments], check=True, timeout=30)


def test_the_messages_of_the_troubleshooting_are_those_of_the_code():
    """Those that are the proxy's own."""
    table = section("Troubleshooting")
    for message in (
        "returned no valid result",
        "send the parameters as a JSON object, as Content-Type: application/json",
        "is set but empty",
        "missing: ",
    ):
        assert message in table
        source = MODULE.read_text().replace("{JSON}", JSON)
        assert message in source, message


def test_the_command_lines_run(example_server):
    shown = re.findall(r"^\$ python (spiffproxy.py (?:list|call).*)$", "\n".join(blocks("console")), re.MULTILINE)
    assert len(shown) == 2
    for command in shown:
        line = f"{sys.executable} {command.replace('7004', str(example_server.port))}"
        subprocess.run(["bash", "-c", line], cwd=ROOT, check=True, capture_output=True, timeout=30)
