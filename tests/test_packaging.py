"""What the project promises of its files: no dependency, one version, an import that does nothing."""

import ast
import subprocess
import sys

import pytest
from conftest import MODULE, ROOT

BUNDLED = sorted((ROOT / "connectors").rglob("*.py"))
OURS = {path.stem for path in (ROOT / "connectors").iterdir()}


def imported_names(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.skipif(sys.version_info < (3, 10), reason="Python 3.10 brought the list of its modules")
@pytest.mark.parametrize("path", [MODULE, *BUNDLED], ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_standard_library_is_imported(path):
    """But what a connector requires."""
    required = {"psycopg"} if path.parent.name == "connector_postgres" else set()
    assert set(imported_names(path)) <= {*sys.stdlib_module_names, *OURS, *required, MODULE.stem}


def test_the_version_stands_in_one_place():
    metadata = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in metadata
    assert "\ndependencies" not in metadata


def run_python(code, **environ):
    return subprocess.run(
        [sys.executable, "-S", "-W", "error", "-c", code],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_the_import_does_nothing():
    """No thread, no handler of the log, no change of the path; settings are read when `app` is asked for."""
    ended = run_python(
        """
import logging, sys, threading
path = list(sys.path)
import spiffproxy
assert sys.path == path
assert not logging.getLogger().handlers and not logging.getLogger("spiffproxy").handlers
assert threading.active_count() == 1
assert not [name for name in sys.modules if name.startswith(("connector_", "argparse"))]
try:
    spiffproxy.nothing
except AttributeError as error:
    print(error)
try:
    spiffproxy.app
except ValueError as error:
    print(error)
""",
        CONNECTOR_PROXY_PORT="x",
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        "module 'spiffproxy' has no attribute 'nothing'",
        "CONNECTOR_PROXY_PORT is 'x'. Use a whole number from 0 to 65535.",
    ]


def test_app_is_made_once():
    ended = run_python("import spiffproxy; a = spiffproxy.app; print(a is spiffproxy.app, type(a) is spiffproxy.Proxy)")
    assert (ended.stdout, ended.stderr) == ("True True\n", "")


def test_public_names():
    ended = run_python("from spiffproxy import *; print(Proxy.__name__, main.__name__, app.__class__.__name__)")
    assert (ended.stdout, ended.stderr) == ("Proxy main Proxy\n", "")
