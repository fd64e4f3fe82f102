"""Discovery: which classes are commands, in which order, and that one bad connector hurts nobody else."""

import subprocess
import sys
import threading
import types

import pytest
from conftest import BUNDLED, CONNECTORS, MODULE, error_reply, forget_connectors, standard_fields


def command(name):
    """The source of a command that answers `ok`."""
    return f"class {name}:\n    def execute(self, *_):\n        return {{'response': 'ok', 'mimetype': 'text/plain'}}\n"


STATUS = ["example/Inner", "example/Status"]


def ids(app, path="/v1/commands"):
    """The ids that are listed, without those of the bundled connectors."""
    return [x["id"] for x in app.get(path).json if f"connector_{x['id'].split('/')[0]}" not in BUNDLED]


def test_what_the_example_offers(app):
    """Connectors by name, modules by name, classes by name; the broken ones are not there."""
    assert ids(app) == ["example/CombineStrings", "example/Echo", "example/Fail", *STATUS, "example/Wait", "half/Good"]
    auths = ["example/OldSignIn", "example/SignIn", "xero/OAuth"]
    assert standard_fields(app.get("/v1/auths").json) == {auth: [] for auth in auths}
    everything = [entry["id"].split("/")[0] for entry in app.get("/v1/commands").json]
    assert sorted(set(everything)) == list(dict.fromkeys(everything))
    assert {"bamboohr", "coingecko", "example", "half", "http", "postgres", "s3", "smtp", "xero"} <= set(everything)
    described = standard_fields(app.get("/v1/commands").json)
    assert described["http/GetRequest"] == [
        {"id": "url", "type": "str", "required": True},
        {"id": "headers", "type": "any", "required": False},
        {"id": "params", "type": "any", "required": False},
        {"id": "basic_auth_username", "type": "str", "required": False},
        {"id": "basic_auth_password", "type": "str", "required": False},
    ]


def test_only_public_concrete_classes_of_the_module_are_commands(write_connector, make_app, tmp_path, caplog):
    name = write_connector(
        """
import abc, enum, typing
from ..elsewhere import Imported

class Command:
    def execute(self, config, task_data): pass

Alias = Command

class Child(Command):
    pass

class Imported2(Imported):
    pass

class _Private(Command):
    pass

class Abstract(abc.ABC):
    def execute(self, config, task_data): pass
    @abc.abstractmethod
    def other(self): pass

class Shape(typing.Protocol):
    def execute(self, config, task_data): ...

class Fault(Exception):
    def execute(self, config, task_data): pass

class Colour(enum.Enum):
    RED = 1
    def execute(self, config, task_data): pass

class Fields(typing.TypedDict):
    execute: str

class NoExecute:
    def run(self, config, task_data): pass

class NotCallable:
    execute = "a text"

Generic = list[str]
instance = Command()
def function(): pass
""",
        elsewhere="class Imported:\n    def execute(self, config, task_data): pass\n",
    )
    app = make_app(tmp_path)
    assert ids(app) == [f"{name}/Child", f"{name}/Command", f"{name}/Imported2"]
    for other in "_Private", "Alias", "Abstract", "Fault", "NoExecute":
        app.post_json(f"/v1/do/{name}/{other}", {}, status=404)
    assert name not in caplog.text


def test_a_command_with_a_name_beyond_ascii(write_connector, make_app, tmp_path):
    name = write_connector(command("Größe"))
    app = make_app(tmp_path)
    assert ids(app) == [f"{name}/Größe"]
    assert app.post_json(f"/v1/do/{name}/Gr%C3%B6%C3%9Fe", {}).text == "ok"


def test_files_and_folders_of_any_name(write_connector, make_app, tmp_path):
    """Several classes a file, files of any name, packages; but nothing below those, and nothing in `commands` itself."""
    name = write_connector(
        command("Beta") + command("Alpha"),
        commands__in____init__=command("InTheSubpackage"),
        commands__in__camelCase=command("Camel"),
        commands__in__zed__in____init__=command("Zed"),
        commands__in__zed__in__deeper=command("Deeper"),
        helpers=command("Helper"),
    )
    app = make_app(tmp_path)
    assert ids(app) == [f"{name}/{cls}" for cls in ("Camel", "Alpha", "Beta", "Zed")]
    assert app.post_json(f"/v1/do/{name}/Zed", {}).text == "ok"
    assert app.post_json(f"/v1/do/{name}/Deeper", {}, status=404).json == error_reply("command_not_found", "Deeper")


def test_of_two_equal_ids_the_first_module_wins(write_connector, make_app, tmp_path, caplog):
    name = write_connector(command("Twin").replace("'ok'", "'second'"), commands__in__a_first=command("Twin"))
    app = make_app(tmp_path)
    assert ids(app) == [f"{name}/Twin"]
    assert app.post_json(f"/v1/do/{name}/Twin", {}).text == "ok"
    package = f"connector_{name}.commands"
    assert [message for message in caplog.messages if name in message] == [
        f"{name}/Twin is in {package}.a_first and {package}.things: the second is left out"
    ]


def test_without_an_init_file_there_are_no_commands(write_connector, make_app, tmp_path):
    name = write_connector(command("C"))
    (tmp_path / f"connector_{name}" / "commands" / "__init__.py").unlink()
    (tmp_path / f"connector_{name}" / "auths").mkdir()
    (tmp_path / "connector_nothing").mkdir()
    (tmp_path / "connector_module.py").write_text(command("C"))
    app = make_app(tmp_path)
    assert ids(app) == []
    assert app.post_json(f"/v1/do/{name}/C", {}, status=404).json == error_reply("command_not_found", "there are none")
    for absent in "nothing", "module", "":
        app.post_json(f"/v1/do/{absent}/C", {}, status=404)


@pytest.mark.parametrize(
    ("path", "status", "code", "words"),
    [
        ("nobody/C", 404, "command_not_found", "No connector 'nobody'.*: .*example.*http"),
        ("example/Nothing", 404, "command_not_found", "no command 'Nothing'; there are: CombineStrings, Echo, Fail"),
        ("example/__class__", 404, "command_not_found", "no command"),
        ("example/SignIn", 404, "command_not_found", "no command"),
        ("os/system", 404, "command_not_found", "No connector"),
        (
            "broken/C",
            503,
            "connector_unavailable",
            "connector_broken cannot be imported: RuntimeError: broken on purpose",
        ),
        ("exits/C", 503, "connector_unavailable", "SystemExit: this connector wants to end the process"),
        (
            "hollow/C",
            503,
            "connector_unavailable",
            "hollow.commands.bad .*No module named.*hollow.commands.worse .*bad, too",
        ),
        ("half/Bad", 404, "command_not_found", "there are: Good; connector_half.commands.bad cannot be imported"),
    ],
)
def test_what_cannot_be_called_says_why(app, path, status, code, words):
    assert app.post_json(f"/v1/do/{path}", {}, status=status).json == error_reply(code, words)


def test_a_broken_connector_hurts_nobody_else(app, caplog):
    """It is logged once with its traceback, and stays broken; half of a broken one works."""
    for _ in range(3):
        assert "example/Echo" in ids(app)
        app.post_json("/v1/do/broken/C", {}, status=503)
        assert app.post_json("/v1/do/half/Good", {}).text == "good"
    logged = [record for record in caplog.records if record.levelname == "ERROR"]
    assert sorted(record.message for record in logged) == [
        "connector_broken cannot be imported and is left out",
        "connector_exits cannot be imported and is left out",
        "connector_half.commands.bad cannot be imported and is left out",
        "connector_hollow.commands.bad cannot be imported and is left out",
        "connector_hollow.commands.worse cannot be imported and is left out",
    ]
    assert all(record.exc_info for record in logged)


def test_commands_that_fail_do_not_take_the_authentications_along(write_connector, make_app, tmp_path):
    name = write_connector(
        command("C"),
        commands__in____init__="raise OSError('no commands today')",
        auths__in____init__="",
        auths__in__sign_in="class SignIn:\n    def app_description(self, config): pass\n",
    )
    app = make_app(tmp_path)
    assert ids(app, "/v1/auths") == [f"{name}/SignIn"]
    answer = app.post_json(f"/v1/do/{name}/C", {}, status=503)
    assert answer.json == error_reply("connector_unavailable", r"\.commands cannot be imported: OSError: no commands")


REQUIRES = """
requires = {"json": "comes with Python", "a_module_that_nobody_has": "pip install nothing", "nobody.has.this": "take it"}
requires["xml.a_part_that_nobody_has"] = "and this"
"""


def test_a_connector_says_what_it_requires(write_connector, make_app, tmp_path):
    """It is listed nonetheless; a call says how to get what is not installed, and so does a module that needs it."""
    name = write_connector(command("C"), __init__=REQUIRES, commands__in__bad="import a_module_that_nobody_has")
    other = write_connector(command("C"), __init__="requires = ['what this proxy does not know']")
    app = make_app(tmp_path)
    assert ids(app) == [f"{name}/C", f"{other}/C"]
    lacks = f"connector_{name} needs a_module_that_nobody_has, which is not installed: pip install nothing; "
    lacks += f"connector_{name} needs nobody.has.this, which is not installed: take it; "
    lacks += f"connector_{name} needs xml.a_part_that_nobody_has, which is not installed: and this"
    answer = app.post_json(f"/v1/do/{name}/C", {}, status=503)
    assert answer.json == error_reply("connector_unavailable", f"^{lacks}$")
    assert app.post_json(f"/v1/do/{other}/C", {}).text == "ok"
    answer = app.post_json(f"/v1/do/{name}/D", {}, status=404)
    assert answer.json == error_reply("command_not_found", f"there are: C; .*bad cannot be imported: .*; {lacks}$")


def test_a_call_imports_its_own_connector_alone(app):
    forget_connectors(but=())
    app.get("/liveness")
    assert not [name for name in sys.modules if name.startswith("connector_")]
    app.post_json("/v1/do/half/Good", {})
    assert {name.split(".")[0] for name in sys.modules if name.startswith("connector_")} == {"connector_half"}


def test_a_connector_is_imported_once(write_connector, make_app, tmp_path):
    """However many ask for it at once, and in whatever way."""
    counter = types.ModuleType("connector_counter")
    counter.count = 0
    counter.ready = threading.Barrier(16)
    sys.modules["connector_counter"] = counter
    name = write_connector(
        command("C"), __init__="import connector_counter, time\nconnector_counter.count += 1\ntime.sleep(0.1)\n"
    )
    app = make_app(tmp_path)
    answers = []

    def ask(number):
        counter.ready.wait()
        answers.append(app.get("/v1/commands") if number % 2 else app.post_json(f"/v1/do/{name}/C", {}))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_int for answer in answers] == [200] * 16
    assert counter.count == 1


def test_a_connector_that_is_slow_to_import_holds_up_nobody_else(write_connector, make_app, tmp_path, monkeypatch):
    """Others are called while it is imported; it is called as soon as it is there."""
    gate = types.ModuleType("connector_gate")
    gate.reached, gate.opened = threading.Event(), threading.Event()
    sys.modules["connector_gate"] = gate
    slow = write_connector(
        command("C"), __init__="import connector_gate as gate\ngate.reached.set()\nassert gate.opened.wait(30)\n"
    )
    quick = write_connector(command("C"))
    app = make_app(tmp_path)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(app.post_json(f"/v1/do/{slow}/C", {})))
    waiting.start()
    assert gate.reached.wait(10)

    assert app.post_json(f"/v1/do/{quick}/C", {}).text == "ok"
    app.get("/liveness")
    monkeypatch.setattr("spiffproxy.LIST_SECONDS", 0)
    assert ids(app) == [f"{quick}/C"]
    monkeypatch.setattr("spiffproxy.IMPORT_SECONDS", 0)
    answer = app.post_json(f"/v1/do/{slow}/C", {}, status=503)
    assert answer.json == error_reply("connector_unavailable", "still being imported")
    assert answer.headers["Retry-After"]

    gate.opened.set()
    waiting.join()
    assert answers[0].text == "ok"
    assert ids(app) == [f"{slow}/C", f"{quick}/C"]


def test_a_folder_of_the_setting_goes_before_what_is_installed(write_connector, make_app, tmp_path, monkeypatch):
    """Then what is installed, then the bundled ones."""
    folders = []
    for word in "first", "second", "installed":
        folder = tmp_path / word
        (folder / "connector_http" / "commands").mkdir(parents=True)
        for file in "__init__.py", "commands/__init__.py":
            (folder / "connector_http" / file).touch()
        (folder / "connector_http" / "commands" / "c.py").write_text(command(word.title()))
        folders.append(folder)
    monkeypatch.syspath_prepend(str(folders[2]))
    for chosen, setting in ("First", f"{folders[0]}:{folders[1]}"), ("Installed", CONNECTORS):
        forget_connectors(but=())
        app = make_app(setting)
        listed = [entry["id"] for entry in app.get("/v1/commands").json if entry["id"].startswith("http/")]
        assert listed == [f"http/{chosen}"]
        sys.path[:] = [entry for entry in sys.path if entry not in map(str, folders[:2])]
    forget_connectors(but=())


# --- classes that are made, and packages that are hooked in ---

MADE = """
from dataclasses import dataclass, make_dataclass
from types import SimpleNamespace
from ..shared import Shared

def execute(self, config, task_data):
    return {"response": self.name}

Made = make_dataclass("Made", [("name", str)], namespace={"execute": execute})
Renamed = make_dataclass("Original", [("name", str)], namespace={"execute": execute})
_Hidden = make_dataclass("_Hidden", [("name", str)], namespace={"execute": execute})
Plain = type("Plain", (), {"execute": execute, "__module__": __name__, "name": "plain"})
"""


def test_classes_that_make_dataclass_made(write_connector, make_app, tmp_path):
    """Before 3.12 they say that they are of the module `types`; what is of that module is not listed."""
    name = write_connector(MADE, shared="class Shared: pass\n")
    app = make_app(tmp_path)
    assert ids(app) == [f"{name}/{cls}" for cls in ("Made", "Original", "Plain")]
    assert app.post_json(f"/v1/do/{name}/Made", {"name": "x"}).text == "x"


HOOK = """
import importlib.util, sys
MAPPING = {mapping!r}

class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in MAPPING:
            return importlib.util.spec_from_file_location(
                name, MAPPING[name] + "/__init__.py", submodule_search_locations=[MAPPING[name]]
            )

sys.meta_path.append(Finder)
"""


def test_an_editable_install_by_an_import_hook(tmp_path, write_connector):
    """As setuptools makes it of a flat project: no folder of sys.path has the package, only metadata names it."""
    name = write_connector(command("C"))
    site = tmp_path / "site"
    info = site / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "top_level.txt").write_text(f"connector_{name}\nconnector_that_is_gone\nsomething_else\n")
    mapping = {f"connector_{name}": str(tmp_path / f"connector_{name}")}
    (site / "sitecustomize.py").write_text(HOOK.format(mapping=mapping))
    ended = subprocess.run(
        [sys.executable, str(MODULE), "list"], env={"PYTHONPATH": str(site)}, capture_output=True, text=True, timeout=30
    )
    assert f"  {name}/C()\n" in ended.stdout
    assert "that_is_gone" not in ended.stdout
    assert ended.stderr == ""
