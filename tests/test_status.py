"""`/v1/status`: what the proxy offers, what runs, what is missing, and what is broken."""

import re
import threading

import pytest
from client import call, request, start_command, wait_until
from conftest import CONNECTORS, JSON

import spiffproxy

EMPTY = {"commands": [], "auths": [], "typeaheads": [], "missing": [], "failures": {}, "importing": False}


def status_of(app, name):
    """Return the state of one connector."""
    return next(connector for connector in app.get("/v1/status").json["connectors"] if connector["name"] == name)


def test_the_state_of_the_proxy(make_app, write_connector, tmp_path):
    """Without a connector that is broken; the connections of other servers are unknown."""
    name = write_connector("class Hello:\n    def execute(self, *_): ...\n")
    answer = make_app(tmp_path, THREADS=7).get("/v1/status")
    state = answer.json
    assert answer.content_type == JSON
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", state.pop("since"))
    connectors = {connector["name"]: connector for connector in state.pop("connectors")}
    assert state == {
        "ok": True,
        "version": spiffproxy.__version__,
        "commands": {"running": 0, "allowed": 7},
        "connections": None,
        "upstreams": [],
    }
    assert connectors[name] == {"name": name, "ok": True, **EMPTY, "commands": [f"{name}/Hello"]}
    assert connectors["xero"]["auths"] == ["xero/OAuth"]


def test_what_is_broken_is_told_with_the_reason(app):
    """With status 200: a connector that is broken is no reason to restart the proxy."""
    assert app.get("/v1/status").json["ok"] is False
    broken = status_of(app, "broken")
    assert (broken["ok"], broken["commands"]) == (False, [])
    assert all(re.match(r"connector_broken[.\w]*$", module) for module in broken["failures"])
    assert all(re.match(r"\w+(Error|Exit): ", reason) for reason in broken["failures"].values())
    half = status_of(app, "half")
    assert (half["ok"], bool(half["commands"]), len(half["failures"])) == (False, True, 1)
    example = status_of(app, "example")
    assert (example["ok"], example["typeaheads"][:1]) == (True, ["example/Asked"])


def test_what_is_missing_is_told_with_how_to_install_it(make_app, write_connector, tmp_path):
    """It breaks nothing: an installation may do without."""
    source = "class Hello:\n    def execute(self, *_): ...\n"
    name = write_connector(source, __init__="requires = {'nobody_has_it': 'pip install it'}\n")
    app = make_app(tmp_path)
    state = status_of(app, name)
    message = f"connector_{name} needs nobody_has_it, which is not installed: pip install it"
    assert state == {"name": name, "ok": True, **EMPTY, "commands": [f"{name}/Hello"], "missing": [message]}
    assert app.get("/v1/status").json["ok"] is True


BROKEN_HOOKS = {
    "raises": "    @classmethod\n    def find_missing_requirements(cls): raise OSError('a tray is open')\n",
    "instance": "    def find_missing_requirements(self): return []\n",
    "null": "    @classmethod\n    def find_missing_requirements(cls): return None\n",
    "attribute": "    find_missing_requirements = 7\n",
}


@pytest.mark.parametrize("hook", BROKEN_HOOKS.values(), ids=BROKEN_HOOKS)
def test_a_class_that_fails_to_say_what_it_needs(make_app, write_connector, tmp_path, hook):
    """Is named, and breaks neither the list nor another command."""
    source = "class Fax:\n    def execute(self, *_): ...\n" + hook
    source += "class Hello:\n    def execute(self, *_): return {'response': 'hello'}\n"
    name = write_connector(source)
    app = make_app(tmp_path)
    (sentence,) = status_of(app, name)["missing"]
    assert re.match(rf"{name}/Fax: find_missing_requirements raised (OSError: a tray is open$|TypeError: .)", sentence)
    error = app.post_json(f"/v1/do/{name}/Fax", {}, status=500).json["error"]
    assert error["error_code"] in ("OSError", "TypeError")
    assert app.post_json(f"/v1/do/{name}/Hello", {}).text == "hello"


def test_what_is_still_being_imported(make_app, write_connector, tmp_path, monkeypatch):
    """Shows nothing of it but that; afterwards it shows all."""
    monkeypatch.setattr("spiffproxy.LIST_SECONDS", 0.1)
    source = "import spiffproxy\nspiffproxy.gate.wait(20)\nclass Hello:\n    def execute(self, *_): ...\n"
    name = write_connector(source)
    gate = threading.Event()
    monkeypatch.setattr("spiffproxy.gate", gate, raising=False)
    app = make_app(tmp_path)
    assert status_of(app, name) == {"name": name, "ok": False, **EMPTY, "importing": True}
    gate.set()
    wait_until(lambda: status_of(app, name) == {"name": name, "ok": True, **EMPTY, "commands": [f"{name}/Hello"]})


def test_what_runs_is_counted(start_server):
    """Commands, and connections: that of the request itself among them."""
    server = start_server("--connectors", str(CONNECTORS), "--threads", "2")

    def read():
        state = spiffproxy.decode_json(request(server, "GET", "/v1/status")[2].decode())
        return state["commands"], state["connections"]

    call(server, "example/Echo")
    assert read()[0] == {"running": 0, "allowed": 2}
    with start_command(server, "Wait", seconds=20):
        wait_until(lambda: read() == ({"running": 1, "allowed": 2}, 2))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_state_is_guarded(make_app, method):
    app = make_app(API_KEY="k")
    assert app.request("/v1/status", method=method, status=401).headers["WWW-Authenticate"].startswith("ApiKey ")
    app.request("/v1/status", method=method, headers={"Spiff-Connector-Proxy-Api-Key": "k"})
