"""What `make zip`, `make pyz` and `make wheel` make: the same each time, and it runs where the sources are not."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

from spiffproxy import __version__

ZIP, PYZ, WHEEL = "spiffproxy-lambda.zip", "spiffproxy.pyz", f"spiffproxy-{__version__}-py3-none-any.whl"
BUNDLED = {path.relative_to(ROOT / "connectors").as_posix() for path in (ROOT / "connectors").rglob("*.py")}
PAGE = ROOT / "connectors" / "spiffproxy_page" / "index.html"
BUNDLED.add("spiffproxy_page/index.html")
COMMAND = "# mine\nclass Hello:\n    def execute(self, *_):\n        return {'response': __file__, 'mimetype': 'text/plain'}\n"
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


def run(*command, cwd, status=0, umask=-1):
    """Run a command in an environment that says nothing of Python, make or the proxy, and return what it prints."""
    odd = ("PYTHON", "MAKE", "MFLAGS", "CONNECTOR_PROXY_")
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if not name.startswith(odd)},
        umask=umask,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == status, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def make(folder, *targets, **options):
    """Run `make` for a copy of the sources, with the environment that the tests have, as it is."""
    venv = [f"PYTHON={sys.executable}", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/test"]
    return run("make", *venv, *targets, cwd=folder, **options)


def copy_sources(folder):
    for name in "Makefile", "README.md", "pyproject.toml", "spiffproxy.py":
        shutil.copy(ROOT / name, folder)
    for name in ("connectors",):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    return copy_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="session")
def built(sources):
    """The folder with all three."""
    make(sources, "zip", "pyz", "wheel")
    return sources / "dist"


@pytest.fixture(scope="session")
def built_again(tmp_path_factory):
    """The same, of sources that lie elsewhere and have been worked with, by somebody with other habits."""
    folder = copy_sources(tmp_path_factory.mktemp("other place"))
    for path in folder.rglob("*.py"):
        os.utime(path, (2_000_000_000, 2_000_000_000))
        path.chmod(0o700)
    for name in (
        "build/lib/connector_stale/__init__.py",
        "build/wheel/build/lib/connector_stale/__init__.py",
        "connectors/__pycache__/stale.cpython-39.pyc",
        "connectors/spiffproxy_http/__pycache__/url.cpython-39.pyc",
        "connectors/spiffproxy_http/.url.py.swp",
        "spiffproxy.egg-info/SOURCES.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("connector_stale")
    make(folder, "zip", "pyz", "wheel", umask=0o077)
    return folder / "dist"


@pytest.mark.parametrize("name", [ZIP, PYZ, WHEEL])
def test_it_is_the_same_when_built_again(built, built_again, name):
    assert (built / name).read_bytes() == (built_again / name).read_bytes()
    assert len(list(built.iterdir())) == len(list(built_again.iterdir())) == 3


@pytest.mark.parametrize(("name", "starter"), [(ZIP, "lambda_function.py"), (PYZ, "__main__.py")])
def test_an_archive_holds_the_module_and_the_connectors(built, name, starter):
    """That of AWS Lambda, which has no psycopg, without `postgres`."""
    bundled = {path for path in BUNDLED if name != ZIP or not path.startswith("connector_postgres/")}
    with zipfile.ZipFile(built / name) as archive:
        names = archive.namelist()
        assert [name for name in names if not name.endswith(".pyc")] == sorted({"spiffproxy.py", starter, *bundled})
        assert {oct(entry.external_attr >> 16) for entry in archive.infolist()} == {"0o100644"}


def test_the_zip_has_bytecode_that_does_not_depend_on_dates(built):
    """One file for each source, checked against nothing (PEP 552)."""
    with zipfile.ZipFile(built / ZIP) as archive:
        names = archive.namelist()
        compiled = [name for name in names if name.endswith(".pyc")]
        sources = {name for name in names if name.endswith(".py")}
        assert {name.replace("__pycache__/", "").split(".")[0] + ".py" for name in compiled} == sources
        assert {archive.read(name)[4:8] for name in compiled} == {b"\1\0\0\0"}


def write_connector(folder, name="mine", source=COMMAND):
    commands = folder / f"connector_{name}" / "commands"
    commands.mkdir(parents=True)
    for package in commands, commands.parent:
        (package / "__init__.py").touch()
    (commands / "hello.py").write_text(source)


def test_connectors_of_ones_own_go_in_too(sources, tmp_path):
    """In place of a bundled one of the same name, and with what they import; a folder without any is a mistake."""
    folder, dist = tmp_path / "my connectors", tmp_path / "dist"
    write_connector(folder)
    write_connector(folder, "smtp")
    shutil.copytree(sources / "connectors" / "connector_postgres", folder / "connector_postgres")
    (folder / "helper.py").touch()
    make(sources, "zip", "pyz", f"CONNECTORS={folder}", f"DIST={dist}")
    for name in ZIP, PYZ:
        with zipfile.ZipFile(dist / name) as archive:
            names = set(archive.namelist())
            assert archive.read("connector_mine/commands/hello.py").decode() == COMMAND
        assert {
            "connector_mine/commands/hello.py",
            "connector_postgres/session.py",
            "spiffproxy_http/url.py",
            "helper.py",
        } <= names
        assert "connector_smtp/mail.py" not in names
    out = run(sys.executable, dist / PYZ, "list", cwd=tmp_path)
    assert "  mine/Hello()\n" in out
    assert "  smtp/Hello()\n" in out
    message = f"{folder / 'connector_mine'} is a connector; give the folder that it is in, {folder}\n"
    assert message in make(sources, "pyz", f"CONNECTORS={folder / 'connector_mine'}", f"DIST={dist}", status=2)


# --- the zip ---

INVOKE = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from lambda_function import lambda_handler

def call(path, method="GET", body=None):
    http = {"method": method, "path": path}
    event = {"version": "2.0", "rawPath": path, "requestContext": {"http": http}, "body": body}
    answer = lambda_handler({**event, "headers": {"content-type": "application/json"}}, None)
    connectors = sorted(name for name in sys.modules if name.startswith("connector_") and "." not in name)
    print(json.dumps([answer["statusCode"], answer["body"], connectors]))

call("/liveness")
os.environ["CONNECTOR_PROXY_API_KEY"] = "set too late for an application that has been made"
call("/v1/do/http/GetRequest", "POST", json.dumps({"url": sys.argv[2]}))
call("/v1/commands")
"""


def test_the_zip_runs_as_a_lambda_function(built, tmp_path, upstream):
    """From a read-only folder without bytecode; the application is made once, and imports what is called alone."""
    folder = tmp_path / "task"
    shutil.unpack_archive(built / ZIP, folder)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o555)
    (tmp_path / "elsewhere").mkdir()
    out = run(sys.executable, "-I", "-S", "-B", "-c", INVOKE, folder, upstream.url, cwd=tmp_path / "elsewhere")
    *answers, warning = out.splitlines()
    live, called, listed = map(json.loads, answers)
    assert warning == "no key is set: everyone who reaches this URL can run commands; set CONNECTOR_PROXY_API_KEY"
    assert live == [200, '{"ok": true}', []]
    assert called == [200, '{"ok": true}', ["connector_http"]]
    ids = [command["id"] for command in json.loads(listed[1])]
    assert {"http/GetRequest", "smtp/SendEmail"} <= set(ids)


# --- the pyz ---


@pytest.fixture
def pyz(built, tmp_path):
    """A copy with nothing beside it."""
    folder = tmp_path / "opt"
    folder.mkdir()
    return Path(shutil.copy(built / PYZ, folder))


@pytest.mark.parametrize(("place", "flags"), [("/", ["-S"]), ("opt", ["-I", "-S"]), (".", [])])
def test_the_pyz_runs_from_any_folder(pyz, tmp_path, upstream, place, flags):
    cwd = tmp_path / place
    archive = os.path.relpath(pyz, cwd)
    out = run(sys.executable, *flags, archive, "list", cwd=cwd)
    assert "  http/GetRequest(" in out
    assert "  smtp/SendEmail(" in out
    out = run(sys.executable, *flags, archive, "call", "http/GetRequest", f"url={upstream.url}", cwd=cwd)
    assert json.loads(out.replace("HTTP status 200 OK\n", "")) == {"ok": True}


def test_a_command_in_another_language_is_missing_in_the_pyz(sources, tmp_path):
    """Nothing is unpacked, so its program is no file."""
    source = "from spiffproxy_program import ProgramCommand\n"
    source += "class Fax(ProgramCommand):\n    program = ('echo', '1')\n"
    write_connector(tmp_path / "my", source=source)
    make(sources, "pyz", f"CONNECTORS={tmp_path / 'my'}", f"DIST={tmp_path}")
    sentence = "mine/Fax needs echo, which cannot run in an archive: put the connector into a folder."
    assert f"  {sentence}\n" in run(sys.executable, tmp_path / PYZ, "list", cwd=tmp_path)


def test_the_pyz_finds_the_connectors_beside_it(pyz, tmp_path):
    write_connector(pyz.parent / "connectors")
    assert "  mine/Hello()\n" in run(sys.executable, "-S", pyz, "list", cwd=tmp_path)
    out = run(sys.executable, "-S", pyz, "call", "mine/Hello", cwd=tmp_path)
    assert out == f"{pyz.parent}/connectors/connector_mine/commands/hello.py\nHTTP status 200 OK\n"


def test_the_pyz_serves(pyz, tmp_path, start_server, upstream):
    server = start_server(python=[sys.executable, "-S"], module=os.path.relpath(pyz, tmp_path), cwd=tmp_path)
    request = urllib.request.Request(
        f"{server.url}/v1/do/http/GetRequest",
        json.dumps({"url": upstream.url}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer) == {"ok": True}
    assert "connectors: bamboohr, coingecko, http, postgres, s3, smtp, xero;" in server.first_line
    with urllib.request.urlopen(urllib.request.Request(server.url, headers={"Accept": "text/html"})) as answer:
        assert answer.read() == PAGE.read_bytes()


# --- the wheel ---


@pytest.fixture(scope="session")
def installed(built, tmp_path_factory):
    """The folder of programs of an environment where the wheel is installed, without the network."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", built / WHEEL, cwd=folder)
    return folder / "bin"


def test_the_wheel_holds_every_package_and_asks_for_nothing(built):
    with zipfile.ZipFile(built / WHEEL) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(f"spiffproxy-{__version__}.dist-info/METADATA").decode().partition("\n\n")[0]
    assert names == {"spiffproxy.py", *BUNDLED}
    assert f"\nVersion: {__version__}\n" in metadata
    assert "\nRequires-Python: >=3.9\n" in metadata
    extra = re.findall("^Requires-Dist: (.*)$", metadata, re.MULTILINE)
    assert [re.sub(r"[\s'\"]", "", line) for line in extra] == ["psycopg[binary]>=3.2;extra==postgres"]


@pytest.mark.parametrize("program", [["spiffproxy"], ["python", "-m", "spiffproxy"]], ids=" ".join)
def test_the_wheel_installs_the_program(installed, tmp_path, program):
    program = [installed / program[0], *program[1:]]
    out = run(*program, "list", cwd=tmp_path)
    assert "  http/GetRequest(" in out
    assert "  smtp/SendEmail(" in out
    assert run(*program, "--version", cwd=tmp_path) == f"{__version__}\n"


def test_the_wheel_installs_the_connectors_at_the_top(installed, tmp_path):
    """As any other connector is, and so a connector of the ecosystem finds them."""
    code = "import connector_http, connector_smtp, spiffworkflow_connector_command as base; print(base.__file__)"
    where = Path(run(installed / "python", "-I", "-c", code, cwd=tmp_path).strip())
    assert where.is_relative_to(installed.parent)
    assert where.parent.parent.name == "site-packages"
    assert (where.parent.parent / "spiffproxy_page" / "index.html").read_bytes() == PAGE.read_bytes()
