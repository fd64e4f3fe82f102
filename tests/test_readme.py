"""The READMEs: their examples run, and their tables of settings and of error codes are those of the code."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import yaml
from conftest import BUNDLED, JSON, MODULE, ROOT, find_commands

README = (ROOT / "README.md").read_text()
READMES = [ROOT / "README.md", *sorted((ROOT / "connectors").rglob("README.md"))]
ALL = "\n".join(path.read_text() for path in READMES)


CONNECTORS = (ROOT / "connectors" / "README.md").read_text()


def section(title, text=README):
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


GUIDE = section("Write a connector")


def blocks(language):
    """Return the blocks of a language in all READMEs but for those of the guides."""
    text = ALL.replace(GUIDE, "").replace(section("Commands in other languages", CONNECTORS), "")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_settings_are_those_of_the_code():
    sources = [MODULE, *(ROOT / "connectors").rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"CONNECTOR_PROXY_[A-Z0-9_]+[A-Z]", path.read_text())}
    listed = re.findall(r"^\| `(CONNECTOR_PROXY_[A-Z0-9_]+)`", ALL, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert named == set(listed)


def test_the_error_codes_are_those_of_the_code():
    sources = [MODULE, *(ROOT / "connectors").glob("spiffproxy_*.py")]
    raised = {code for path in sources for code in re.findall(r'ProxyError\(\s*\w+, "([a-z_]+)"', path.read_text())}
    assert {"invalid_json", "too_busy", "token_refused"} <= raised
    for code in {*raised, "command_not_found"}:
        assert f"`{code}`" in ALL, code


def codes_of(text):
    """Return the codes in the first column of the tables of errors."""
    codes = set()
    for table in re.findall(r"^\| `error_code` \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE):
        for row in table.splitlines():
            codes |= set(re.findall(r"`(\w+(?:<status>)?)`", row.split("|")[1].partition(", such as")[0]))
    return codes


@pytest.mark.parametrize("connector", BUNDLED)
def test_the_codes_of_a_connector_are_those_that_its_commands_declare(connector):
    """Those that connectors share stand in the README of connectors."""
    declared = {code for command in find_commands(connector).values() for code in getattr(command, "errors", {})}
    listed = codes_of((ROOT / "connectors" / connector / "README.md").read_text())
    shared = codes_of((ROOT / "connectors" / "README.md").read_text())
    assert listed <= declared
    assert declared <= listed | (shared if connector not in ("connector_smtp", "connector_postgres") else set())


@pytest.mark.parametrize("connector", BUNDLED)
def test_a_readme_of_a_connector_names_its_commands_and_parameters(connector):
    text = (ROOT / "connectors" / connector / "README.md").read_text()
    for name, command in find_commands(connector).items():
        assert f"{name}`" in text, name
        for parameter in inspect.signature(command).parameters:
            assert f"`{parameter}`" in text, (name, parameter)


def test_the_links_lead_to_files_and_headings():
    for path in READMES:
        for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
            if "://" not in target:
                name, _, heading = target.partition("#")
                file = path.parent / name if name else path
                headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE) if heading else []
                slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings]
                assert not heading or heading in slugs, (path, target)


def test_the_readmes_are_short_enough_to_be_read():
    assert len(README.splitlines()) <= 350
    for path in READMES[1:]:
        assert len(path.read_text().splitlines()) <= 350, path


def test_python_is_called_by_the_name_that_debian_has():
    assert not re.search(r"^\$? ?python |\"python\"|`python ", ALL, re.MULTILINE)


def test_the_connector_of_the_first_page(make_app, tmp_path):
    """Is listed as the README says."""
    source, listed = blocks("python")[0], blocks("json")[0]
    commands = tmp_path / "connector_greetings" / "commands"
    commands.mkdir(parents=True)
    for folder in commands, commands.parent:
        (folder / "__init__.py").touch()
    (commands / "greet.py").write_text(source)
    app = make_app(tmp_path)
    assert json.loads(listed) in app.get("/v1/commands").json
    answer = app.post_json("/v1/do/greetings/Greet", {"name": "you"}).json
    assert answer["command_response"]["body"] == {"text": "Hello, you!"}


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
def test_the_call_answers_what_the_readme_shows(example_server):
    ((command, answer),) = re.findall(r"^\$ (curl .*)\n(.+)$", README, re.MULTILINE)
    command, answer = (text.replace("7004", str(example_server.port)) for text in (command, answer))
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    assert ended.stdout == answer


INTERPRETERS = {"javascript": "node", "perl": "perl"}
SERVE = re.compile(r"((?:[A-Z_]+=\S+ )*)python3 spiffproxy.py((?: --[a-z]+ \S+)*)")


@pytest.fixture
def follow(start_server, tmp_path):
    """Return a function that does what the blocks of a text say, in their order, in one folder.

    What it writes is written; what it runs is run, and prints what it shows. `replaced` has other ports by those in
    the text; the ports of servers that it starts are added.
    """
    for name in "spiffproxy.py", "connectors":
        (tmp_path / name).symlink_to(ROOT / name)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTOR_PROXY_")}
    replaced = {"python3 ": f"'{sys.executable}' "}

    def run(command, shown):
        serve = SERVE.fullmatch(command)
        if command.startswith("export "):
            environ.update([command[len("export ") :].split("=")])
        elif serve:
            settings = dict(word.split("=") for word in serve[1].split())
            port, flags = (re.findall(r"--port (\d+)", serve[2]) or ["7004"])[0], re.sub(r" --port \d+", "", serve[2])
            module = tmp_path / "spiffproxy.py"
            server = start_server(*flags.split(), module=module, cwd=tmp_path, **{**environ, **settings})
            replaced[port] = str(server.port)
            assert server.first_line.endswith(shown.lstrip("… ").replace(port, str(server.port)))
        else:
            for old, new in replaced.items():
                command = command.replace(old, new)
            options = {"capture_output": True, "text": True, "timeout": 30}
            ended = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environ, **options)
            assert ended.returncode == 0, ended.stderr
            assert ended.stdout.strip() == shown.strip() or not shown

    def follow(text, **ports):
        """Return the number of commands that were run."""
        replaced.update({port.lstrip("_"): number for port, number in ports.items()})
        ran = 0
        for before, language, block in re.findall(r"(.*?)```(\w+)\n(.*?)```", text, re.DOTALL):
            if language in INTERPRETERS and not shutil.which(INTERPRETERS[language]):
                pytest.skip(f"{INTERPRETERS[language]} is not installed")
            if language != "console":
                (tmp_path / re.findall(r"`(my/[\w/]+\.\w+)`", before)[-1]).write_text(block)
                continue
            for command, shown in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
                run(command, shown)
                ran += 1
        return ran

    return follow


def test_the_guide(follow, upstream):
    upstream.answer = lambda request: (200, {"Content-Type": JSON}, json.dumps({"path": request.path}).encode())
    assert follow(GUIDE, _8080=str(urlsplit(upstream.url).port)) == 6
    (request,) = upstream.requests
    assert (request.path, request.headers["Authorization"]) == ("/tickets/7", "Bearer s3cret")


FIRST_STEPS = GUIDE[: GUIDE.index("Check it, and call it")]


def test_the_guide_to_other_languages(follow):
    """It goes on with the connector of the first guide."""
    assert follow(FIRST_STEPS + section("Commands in other languages", CONNECTORS)) == 4


def test_the_guide_to_several_proxies(follow):
    assert follow(FIRST_STEPS + section("Several proxies behind one", CONNECTORS)) == 6


def test_the_lines_for_docker_compose(example_server):
    """Name settings that there are, and ask for the health as it can be asked for."""
    services = yaml.safe_load(blocks("yaml")[0])["services"]
    names = services["spiffproxy"]["environment"]
    assert set(names) <= set(re.findall(r"^\| `(CONNECTOR_PROXY_[A-Z0-9_]+)`", README, re.MULTILINE))
    kind, python, *arguments = services["spiffproxy"]["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "python3")
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


def test_the_systemd_unit_is_valid(tmp_path):
    """As systemd reads it; it names settings that there are."""
    unit = blocks("ini")[0]
    listed = re.findall(r"^\| `(CONNECTOR_PROXY_[A-Z0-9_]+)`", README, re.MULTILINE)
    assert set(re.findall(r"^Environment=(\w+)=", unit, re.MULTILINE)) <= set(listed)
    if shutil.which("systemd-analyze"):
        (tmp_path / "spiffproxy.service").write_text(unit.replace("/opt/spiffproxy/spiffproxy.py", str(MODULE)))
        command = ["systemd-analyze", "verify", str(tmp_path / "spiffproxy.service")]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert "spiffproxy.service" not in ended.stderr


def test_the_deployment_for_kubernetes():
    (deployment,) = (block for block in map(yaml.safe_load, blocks("yaml")) if block.get("kind") == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert deployment["spec"]["selector"]["matchLabels"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/liveness", "port": 7004}
    listed = re.findall(r"^\| `(CONNECTOR_PROXY_[A-Z0-9_]+)`", README, re.MULTILINE)
    assert {variable["name"] for variable in container["env"]} <= set(listed)
