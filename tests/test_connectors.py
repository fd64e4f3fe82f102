"""What the bundled connectors have in common: what their commands say of themselves, and that each stands alone.

conftest.py holds their answers to the codes that they declare.
"""

import ast
import inspect
import json
import os
import re
import subprocess
import sys

import pytest
from conftest import BUNDLED, ROOT, find_commands

COMMANDS = [pytest.param(cls, id=f"{name}-{cls.__name__}") for name in BUNDLED for cls in find_commands(name).values()]


def list_described(cls):
    return re.findall(r"^ *:param (\w+): \S", cls.__dict__.get("__doc__") or "", re.MULTILINE)


@pytest.mark.parametrize("cls", COMMANDS)
def test_a_command_says_what_it_does(cls):
    """In one sentence of its own, and of its own parameters what they take."""
    sentence = cls.__dict__["__doc__"].partition("\n")[0]
    assert re.fullmatch(r"[A-Z][^.]+\.", sentence)
    assert cls.__doc__.count(":param") == len(list_described(cls))
    assert set(list_described(cls)) <= inspect.signature(cls).parameters.keys()


@pytest.mark.parametrize("name", BUNDLED)
def test_what_is_described_for_several_commands(name):
    """Is a parameter of one of them at least."""
    commands = find_commands(name).values()
    taken = {parameter for cls in commands for parameter in inspect.signature(cls).parameters}
    assert {word for cls in commands for base in cls.__mro__ for word in list_described(base)} <= taken


@pytest.mark.parametrize("cls", COMMANDS)
def test_a_code_has_a_meaning(cls):
    """In a line that a message can end with."""
    for code, meaning in getattr(cls, "errors", {}).items():
        assert re.fullmatch(r"\w+(<status>)?", code)
        assert re.fullmatch(r"\w.*[^\s.]", meaning)


@pytest.mark.parametrize("cls", COMMANDS)
def test_a_command_that_is_shown(cls):
    """Shows no parameter: many of them are secrets."""
    assert "s3cret" not in repr(cls(**dict.fromkeys(inspect.signature(cls).parameters, "s3cret")))


def test_who_follows_redirects():
    """Only http: what the others send is for one host."""
    pairs = [(name, getattr(cls, "errors", {})) for name in BUNDLED for cls in find_commands(name).values()]
    assert {name for name, errors in pairs if "TooManyRedirects" in errors} == {"connector_http"}


# --- what imports what ---


def imported_modules(path):
    """Return the names of the modules that a file imports, also for its types alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, path
            yield node.module


FILES = {
    ".".join(path.relative_to(ROOT / "connectors").with_suffix("").parts).replace(".__init__", ""): path
    for path in (ROOT / "connectors").rglob("*.py")
}


@pytest.fixture(scope="module")
def imports_of():
    return {name: set(imported_modules(path)) for name, path in FILES.items()}


@pytest.mark.parametrize("name", BUNDLED)
def test_no_connector_imports_another(imports_of, name):
    """An installed one may be in its place."""
    others = set(BUNDLED) - {name}
    imported = {
        module.split(".")[0] for file, names in imports_of.items() if file.split(".")[0] == name for module in names
    }
    assert imported
    assert not imported & others


def test_no_part_imports_a_connector(imports_of):
    for file, names in imports_of.items():
        if not file.startswith("connector_"):
            assert not [name for name in names if name.startswith("connector_")], file


def test_no_file_imports_one_that_imports_it(imports_of):
    """Directly or through others."""
    reached = {file: names & FILES.keys() for file, names in imports_of.items()}
    for _ in FILES:
        reached = {file: names.union(*(reached[name] for name in names)) for file, names in reached.items()}
    assert "spiffproxy_http.errors" in reached["connector_s3.commands.get_object"]
    assert [file for file, names in reached.items() if file in names] == []


# --- in the place of a bundled connector ---

FOREIGN = """
class Foreign:
    def execute(self, config, task_data):
        return {"response": {"foreign": True}, "status": 200, "mimetype": "application/json"}
"""
# by connector: a command, and parameters that it refuses itself
REFUSED = {
    "bamboohr": ("GetPayRate", {"api_key": "", "subdomain": "", "employee_id": ""}, "ValueError"),
    "coingecko": ("GetPrice", {"ids": "", "vs_currencies": ""}, "ValueError"),
    "http": ("GetRequestV2", {"url": "nonsense"}, "MissingSchema"),
    "postgres": ("DoSQL", {"database_connection_str": "", "schema": ""}, "ValueError"),
    "s3": ("GetObject", {"bucket": "", "key": ""}, "ValueError"),
    "smtp": (
        "SendEmailV2",
        dict.fromkeys(("smtp_host", "email_subject", "email_body", "email_to", "email_from"), "") | {"smtp_port": 0},
        "ValueError",
    ),
    "xero": ("GetCurrencies", {"access_token": ""}, "InvalidTokenSet"),
}
# a process of its own, as a connector is imported once
CALL_ALL = """
import io, json, sys
from spiffproxy import Proxy

def request(path, method="GET", parameters=None):
    body = json.dumps(parameters).encode()
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "CONTENT_TYPE": "application/json"}
    environ.update({"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)})
    return json.loads(b"".join(proxy(environ, lambda *_: None)))

proxy = Proxy(json.loads(sys.argv[1]))
results = {path: request(path, "POST", parameters) for path, parameters in json.loads(sys.argv[2]).items()}
print(json.dumps([[command["id"] for command in request("/v1/commands")], results]))
"""


@pytest.mark.parametrize("place", ["installed", "in a folder"])
@pytest.mark.parametrize("kind", ["foreign", "broken"])
@pytest.mark.parametrize("connector", BUNDLED)
def test_another_connector_of_the_name(tmp_path, connector, kind, place):
    """Is used in place of the bundled one, and the others go on working."""
    commands = tmp_path / connector / "commands"
    commands.mkdir(parents=True)
    (commands.parent / "__init__.py").write_text("" if kind == "foreign" else "raise RuntimeError('broken')")
    (commands / "__init__.py").touch()
    (commands / "foreign.py").write_text(FOREIGN)
    replaced = connector[len("connector_") :]
    calls = {f"/v1/do/{name}/{command}": parameters for name, (command, parameters, _) in REFUSED.items()}
    calls[f"/v1/do/{replaced}/Foreign"] = {}
    settings = {"CONNECTOR_PROXY_CONNECTORS": str(tmp_path)} if place == "in a folder" else {}
    environ = {**os.environ, "PYTHONPATH": str(tmp_path) if place == "installed" else ""}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", CALL_ALL, json.dumps(settings), json.dumps(calls)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    listed, results = json.loads(run.stdout)
    own = [f"{replaced}/Foreign"] if kind == "foreign" else []
    others = [f"{name[10:]}/{command}" for name in BUNDLED if name != connector for command in find_commands(name)]
    assert sorted(listed) == sorted(others + own)
    if kind == "foreign":
        assert results.pop(f"/v1/do/{replaced}/Foreign") == {"foreign": True}
    codes = {path.split("/")[3]: result["error"]["error_code"] for path, result in results.items()}
    assert codes.pop(replaced) == ("command_not_found" if kind == "foreign" else "connector_unavailable")
    assert codes == {name: code for name, (_, _, code) in REFUSED.items() if name != replaced}
