"""Commands that another program executes: what it reads, what it prints, how it ends, and what the proxy does then."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from client import CALL, connect, read_answer, wait_until
from conftest import JSON, error_reply, run_proxy

CLASS = """
from __future__ import annotations
from dataclasses import dataclass, field
from typing import Any
from spiffproxy_program import ProgramCommand

@dataclass
class Run(ProgramCommand):
    program = {program!r}
    value: Any = None
"""
PYTHON = (sys.executable, "-S", "-E", "run.py")


@pytest.fixture
def write_program(write_connector, tmp_path):
    """Return a function that writes a connector whose command runs a program; `files` are beside its class."""

    def write(program=PYTHON, script="", *, attributes="", source=CLASS, files=()):
        name = write_connector(source.format(program=program) + textwrap.indent(attributes, "    "))
        folder = tmp_path / f"connector_{name}" / "commands"
        for file, content in {"run.py": script, **dict(files)}.items():
            data = content if isinstance(content, bytes) else textwrap.dedent(content).encode()
            (folder / file).write_bytes(data)
            (folder / file).chmod(0o755)
        return name

    return write


@pytest.fixture
def make_program(write_program, make_app, tmp_path):
    """Return a function that writes such a connector, and returns what calls its command and returns the JSON."""

    def make(*arguments, environ=None, settings=None, **options):
        name = write_program(*arguments, **options)
        app = make_app(tmp_path, environ, **(settings or {}))

        def call(status=200, command="Run", **body):
            return app.post_json(f"/v1/do/{name}/{command}", body, status=status).json

        call.app, call.name, call.folder = app, name, tmp_path / f"connector_{name}" / "commands"
        return call

    return make


def result(body):
    response = {"body": body, "mimetype": JSON, "http_status": 200}
    return {"command_response": response, "command_response_version": 2, "error": None, "spiff__logs": []}


def error(code, message, http_status=500):
    envelope = error_reply(code, message)
    return {**envelope, "command_response": {**envelope["command_response"], "http_status": http_status}}


def is_running(pid):
    """Whether a process runs; one that has ended, and that nobody waits for, does not."""
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(status.strip()) and not status.startswith("Z")


def read_pid(path):
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


# --- languages ---


@pytest.fixture(scope="module")
def other_python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("env")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    return str(folder / "bin" / "python")


PROGRAMS = {
    "sh": (("sh", "run.sh"), "cat"),
    "executable": (("./run.sh",), "#!/bin/sh\nexec cat\n"),
    "perl": (
        ("perl", "-MJSON::PP", "run.pl"),
        "my $call = decode_json(do { local $/; <STDIN> });\nprint JSON::PP->new->utf8->encode($call);\n",
    ),
    "node": (("node", "run.js"), "process.stdout.write(JSON.stringify(JSON.parse(require('fs').readFileSync(0))))"),
    "other python": (None, "import json, sys\nprint(json.dumps({**json.load(sys.stdin), 'prefix': sys.prefix}))\n"),
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_program_of_any_language(make_program, language, request):
    """Reads the call on stdin, and prints the body of the result."""
    program, script = PROGRAMS[language]
    program = program or (request.getfixturevalue("other_python"), "run.other")
    if not shutil.which(program[0]) and "/" not in program[0]:
        pytest.skip(f"{program[0]} is not installed")
    if language == "perl" and subprocess.run(["perl", "-MJSON::PP", "-e", "1"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("Perl has no JSON::PP")
    call = make_program(program, files={program[-1].lstrip("./"): script})
    value = {"text": 'ä€\U0001f600"\n\\', "numbers": [0, -1, 1.5, 2**53], "nothing": None, "yes": True}
    body = call(value=value, spiff__task_data={"name": "x"})["command_response"]["body"]
    assert body["command"] == f"{call.name}/Run"
    assert (body["parameters"], body["task_data"]) == ({"value": value}, {"name": "x"})
    if language == "other python":
        assert body["prefix"] not in (sys.prefix, sys.base_prefix)


def test_twenty_megabytes_both_ways(make_program):
    call = make_program(("cat",))
    value = "x" * 20_000_000
    body = call(value=value)["command_response"]["body"]
    assert body["parameters"] == {"value": value}


# --- what it reads ---


def test_what_the_program_reads(make_program, tmp_path):
    """One line of ASCII: no setting that is a secret of the proxy's own, and none that JSON does not have."""
    config = tmp_path / "config.py"
    config.write_text("import datetime\nDATE = datetime.date(2026, 1, 1)\nNUMBERS = [1, 2]\nINFINITE = 1e999\n")
    environ = {"TICKETS_TOKEN": "s3cret", "NOT_UTF8": "\udcff", "SPIFF_CONNECTOR_PROXY_API_KEY": "k"}
    settings = {"CONFIG": config, "SECRET_KEY": "own"}
    script = "import json, sys; data = sys.stdin.buffer.read(); print(json.dumps(data.decode('ascii')))"
    call = make_program(PYTHON, script, environ=environ, settings=settings)
    text = call(value="ä")["command_response"]["body"]
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    request = json.loads(text)
    assert list(request) == ["command", "parameters", "task_data", "config"]
    assert request["parameters"] == {"value": "ä"}
    assert request["task_data"] == {}
    assert request["config"]["NUMBERS"] == [1, 2]
    assert request["config"]["TICKETS_TOKEN"] == "s3cret"
    assert not {"DATE", "INFINITE", "NOT_UTF8", "CONNECTOR_PROXY_SECRET_KEY"} & request["config"].keys()


def test_the_environment_and_the_folder(make_program, monkeypatch):
    """Are those of the proxy without its own secrets, and that of the class."""
    for name in "API_KEY", "API_KEY_FILE", "SECRET_KEY", "THREADS":
        monkeypatch.setenv(f"CONNECTOR_PROXY_{name}", "1")
    script = "import json, os, sys; print(json.dumps([dict(os.environ), os.getcwd(), os.getpgrp() == os.getpid()]))"
    call = make_program(PYTHON, script)
    environ, folder, leads_a_group = call()["command_response"]["body"]
    assert {name for name in environ if name.startswith("CONNECTOR_PROXY_")} == {"CONNECTOR_PROXY_THREADS"}
    assert environ["PATH"] == os.environ["PATH"]
    assert Path(folder) == call.folder.resolve()
    assert leads_a_group


CLASSES = """
from dataclasses import InitVar, dataclass, field, fields
import sys
from spiffproxy_program import ProgramCommand

class _Base(ProgramCommand):
    program = ("cat",)

class Plain(_Base):
    def __init__(self, a: str, b: int = 2):
        self.a = a.upper()
        self.b = b
        self._c = object()

@dataclass(frozen=True, **({{"slots": True}} if sys.version_info >= (3, 10) else {{}}))
class Frozen(_Base):
    a: str
    b: int = 2

@dataclass
class Derived(_Base):
    a: str
    b: InitVar[int] = 2
    c: list = field(init=False)

    def __post_init__(self, b):
        self.c = [b]

@dataclass
class Program(_Base):
    program: tuple = ("cat",)
    a: str = ""
"""


@pytest.mark.parametrize(
    ("command", "body", "parameters"),
    [
        ("Plain", {"a": "x"}, {"a": "X", "b": 2}),
        ("Frozen", {"a": "x", "b": 3}, {"a": "x", "b": 3}),
        ("Derived", {"a": "x", "b": 3}, {"a": "x", "c": [3]}),
        ("Program", {"program": ["touch", "x"]}, {"program": ["touch", "x"], "a": ""}),
    ],
    ids=["constructor", "slots", "init only", "no parameter names the program"],
)
def test_the_parameters(make_program, command, body, parameters):
    """Are the fields of the dataclass, or what the constructor has set."""
    call = make_program(source=CLASSES)
    read = call(command=command, **body)["command_response"]["body"]
    assert (read["command"], read["parameters"]) == (f"{call.name}/{command}", parameters)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ('{"value": [1e999]}', "value"),
        ('{"spiff__task_data": {"a": -1e999}}', "the task data"),
    ],
)
def test_what_is_not_json(make_program, data, name):
    """Is refused, with its name: Python reads as infinity what is too large for it."""
    call = make_program(("cat",))
    answer = call.app.post(f"/v1/do/{call.name}/Run", data, content_type=JSON).json
    assert answer == error("ValueError", f"^{name}: cannot be written as JSON", 400)


# --- what it prints ---

ENVELOPE = {"command_response": {"body": [1], "mimetype": JSON}, "command_response_version": 2, "error": None}
NO_ANSWER = {"error_code": "NoAnswer", "message": "Nobody answered."}


@pytest.mark.parametrize(
    ("printed", "answer"),
    [
        (b'{"id": 7}\n', result({"id": 7})),
        (b" [1, null] ", result([1, None])),
        (b"null", result(None)),
        (b'"text"', result("text")),
        (b"false", result(False)),
        (b"1.50", result(1.5)),
        ('"ä"'.encode(), result("ä")),
        (b'\xef\xbb\xbf{"a": 1}', result({"a": 1})),
        (b'{"a": 1, "a": 2}', result({"a": 2})),
        (b'{"error": null, "http_status": 404}', result({"error": None, "http_status": 404})),
        (b'{"error": "a text"}', result({"error": "a text"})),
        (json.dumps(ENVELOPE).encode(), {**ENVELOPE, "spiff__logs": []}),
        (json.dumps({**ENVELOPE, "spiff__logs": ["x"]}).encode(), {**ENVELOPE, "spiff__logs": ["x"]}),
        (b'{"command_response_version": "2"}', {**result(None), "command_response": {"body": None, "mimetype": JSON}}),
        (json.dumps({"error": NO_ANSWER, "http_status": 404}).encode(), error("NoAnswer", "^Nobody answered.$", 404)),
        (b'{"error": {"error_code": "NoAnswer"}}', error("NoAnswer", "^$", 500)),
        (b'{"error": {"error_code": "NoAnswer", "message": null, "x": 1}}', error("NoAnswer", "^$", 500)),
    ],
    ids=lambda value: value.decode("latin-1")[:50] if isinstance(value, bytes) else "",
)
def test_the_result(make_program, printed, answer):
    """Is of version 1 or 2, or an error, or the body."""
    assert make_program(("cat", "answer"), files={"answer": printed})() == answer


@pytest.mark.parametrize(
    ("printed", "status", "answer"),
    [
        ({"response": {"a": 1}}, 200, {"a": 1}),
        ({"response": {"a": 1}, "status": 404, "mimetype": JSON}, 404, {"a": 1}),
        ({"response": {}, "status": 99}, 500, error_reply("invalid_response", "its status is 99")),
        ({"command_response": {"body": 1}}, 500, error_reply("invalid_response", "no 'response'")),
        (
            {"command_response_version": 2, "error": "x"},
            500,
            error_reply("invalid_response", "its error must be an object"),
        ),
    ],
)
def test_a_result_of_a_command(make_program, printed, status, answer):
    """Is used as the proxy uses it, and refused where it refuses it."""
    assert make_program(("cat", "answer"), files={"answer": json.dumps(printed)})(status) == answer


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (b"", "it is empty. A program that has nothing to return prints null"),
        (b" \n", "it is empty"),
        (b"s3cret", "it is not valid JSON; print nothing else to stdout: Expecting value: line 1 column 1"),
        (b'{"a": 1} s3cret', "not valid JSON; .*: Extra data"),
        (b'{"a": ', "not valid JSON"),
        (b"[NaN]", "not valid JSON; .*: a number must be finite"),
        (b"[" * 100_000, "not valid JSON; .*: it is nested too deeply"),
        (b"\xff", "not UTF-8 at byte 0"),
        ('"a"'.encode("utf-16"), "not UTF-8"),
        ('"a"'.encode("utf-16-le"), "not valid JSON"),
        (b'{"response": 1, "id": 7}', "beside response it has more than status and mimetype"),
        (b'{"error": {}}', "error_code and message of its error must be strings"),
        (b'{"error": {"error_code": 5}}', "must be strings"),
        (b'{"error": {"error_code": ""}}', "must be strings"),
        (b'{"error": {"error_code": "A", "message": {}}}', "must be strings"),
        *(
            (b'{"error": {"error_code": "A"}, "http_status": %s}' % status, "must be an integer from 400 to 599")
            for status in (b"200", b"399", b"600", b"true", b'"400"', b"null", b"400.0")
        ),
    ],
    ids=lambda value: value.decode("latin-1")[:60] if isinstance(value, bytes) else "",
)
def test_what_is_not_a_result(make_program, printed, reason):
    """Is invalid, and is not repeated."""
    answer = make_program(("cat", "answer"), files={"answer": printed})()
    assert answer == error("invalid_response", f"^The output of the program is not a valid result: .*{reason}")
    assert "s3cret" not in str(answer)


@pytest.mark.parametrize(
    ("printed", "end", "answer"),
    [
        ('{"id": 7}', "exit 3", error("ProgramFailed", "^The program exited with status 3. The proxy's log has")),
        ("", "exit 1", error("ProgramFailed", "status 1")),
        ("nonsense", "exit 255", error("ProgramFailed", "status 255")),
        ('{"error": {}}', "exit 1", error("ProgramFailed", "status 1")),
        ('{"response": {}}', "exit 1", error("ProgramFailed", "status 1")),
        (json.dumps(ENVELOPE), "exit 1", error("ProgramFailed", "status 1")),
        ('{"error": {"error_code": "A"}}', "kill -9 $$", error("A", "^$")),
        ('{"error": {"error_code": "A"}, "http_status": 429}', "exit 1", error("A", "^$", 429)),
        (json.dumps({**ENVELOPE, "error": NO_ANSWER}), "exit 1", {**ENVELOPE, "error": NO_ANSWER, "spiff__logs": []}),
        ("{}", "kill -9 $$", error("ProgramFailed", "^The program was ended by signal 9.")),
        ("{}", "kill -15 $$", error("ProgramFailed", "signal 15")),
    ],
)
def test_an_exit_status_that_is_not_0(make_program, printed, end, answer):
    """Is a failure, unless the program has printed what is wrong."""
    assert make_program(("sh", "-c", f"cat answer; {end}"), files={"answer": printed})() == answer


# --- what it prints to stderr ---


def test_stderr_is_in_the_log_alone(make_program, caplog):
    """Line by line, whole and harmless, of a call that fails, too."""
    script = r"""
        import sys
        write = sys.stderr.buffer.write
        write(b"the password is s3cret\n\n \nforged\r2026-01-01 INFO \x1b[31mred \xe2\x80\xae \xff \xc3\xa4\n")
        write(b"x" * 200_000 + b"\nlast")
        sys.exit(1)
    """
    call = make_program(PYTHON, script)
    answer = call()
    assert answer == error("ProgramFailed", "status 1")
    assert "s3cret" not in str(answer)
    lines = [record.getMessage() for record in caplog.records if "stderr" in record.getMessage()]
    start = f"{call.name}/Run stderr: "
    assert lines[:2] == [
        f"{start}the password is s3cret",
        f"{start}forged\\r2026-01-01 INFO \\x1b[31mred \\u202e \\xff ä",
    ]
    assert lines[-1] == f"{start}last"
    assert "".join(line[len(start) :] for line in lines[2:-1]) == "x" * 200_000
    assert max(map(len, lines)) <= 8192 + len(start)


# --- programs that do not behave ---


@pytest.mark.parametrize(
    "program",
    [
        ("sh", "-c", "echo true"),
        ("sh", "-c", "exec <&-; sleep 0.2; echo true"),
        ("sh", "-c", "head -c 10 > /dev/null; echo true"),
    ],
    ids=["ends", "closes stdin", "reads a part"],
)
def test_a_program_that_does_not_read(make_program, program):
    """Works: it need not take what it does not use."""
    assert make_program(program)(value="x" * 1_000_000) == result(True)


def test_a_program_that_prints_before_it_reads(make_program):
    """Does not wait for the proxy, nor the proxy for it."""
    script = """
        import sys
        sys.stdout.write('"' + "x" * 1_000_000)
        sys.stderr.write("y" * 1_000_000)
        sys.stdout.flush()
        print(len(sys.stdin.read()) > 1_000_000, end='"')
    """
    assert make_program(PYTHON, script)(value="x" * 1_000_000) == result("x" * 1_000_000 + "True")


@pytest.mark.parametrize(
    "script",
    [
        "(trap '' TERM; echo $$ > pid; sleep 60) & echo true",
        "setsid sh -c 'echo $$ > pid; sleep 60' & while [ ! -s pid ]; do :; done; echo true",
    ],
    ids=["in its group", "in a session of its own"],
)
def test_a_process_that_outlives_its_program(make_program, script):
    """Keeps stdout open, and does not keep the call."""
    call = make_program(("sh", "-c", script))
    started = time.monotonic()
    assert call() == result(True)
    assert time.monotonic() < started + 30  # the program's own process sleeps for 60
    with_session = "setsid" in script
    pid = read_pid(call.folder / "pid")
    if with_session:
        os.kill(pid, signal.SIGKILL)


def test_what_a_program_starts_is_killed(make_program):
    """After its end, though it holds no pipe."""
    call = make_program(("sh", "-c", "sleep 60 < /dev/null > /dev/null 2>&1 & echo $!"))
    pid = call()["command_response"]["body"]
    wait_until(lambda: not is_running(pid))


@pytest.mark.parametrize(
    "script",
    [
        "echo $$ > pid; sleep 60",
        "trap '' TERM; echo $$ > pid; sleep 60",
        "trap '' TERM; exec 2>&- >&- <&-; echo $$ > pid; while :; do sleep 1; done",
        "echo $$ > pid; while :; do echo 1; done",
    ],
    ids=["sleeps", "ignores SIGTERM", "closes its pipes", "prints"],
)
def test_a_program_that_does_not_end(make_program, script):
    """Is terminated, then killed."""
    call = make_program(("sh", "-c", script), attributes="seconds = 0.5")
    assert call(value="x" * 1_000_000) == error("ProgramTimeout", r"^The program did not end within 0\.5 s\.$")
    assert not is_running(read_pid(call.folder / "pid"))


def test_a_program_that_ends_at_sigterm_can_say_why(make_program, caplog):
    """Its last words are in the log."""
    script = "trap 'echo interrupted >&2; exit' TERM; while :; do sleep 0.1; done"
    call = make_program(("sh", "-c", script), attributes="seconds = 0.5")
    assert call()["error"]["error_code"] == "ProgramTimeout"
    assert f"{call.name}/Run stderr: interrupted" in caplog.messages


@pytest.mark.parametrize(("size", "is_allowed"), [(1000, True), (1001, False), (10_000_000, False)])
def test_a_program_that_prints_too_much(make_program, size, is_allowed):
    """Is killed, by the bound that responses over HTTP have."""
    script = f"import time; print('\"' + 'x' * {size - 2} + '\"', end='', flush=True); {is_allowed} or time.sleep(60)"
    call = make_program(PYTHON, script, settings={"HTTP_MAX_RESPONSE_BYTES": 1000})
    too_large = error("ResponseTooLarge", "CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES", 413)
    assert call() == (result("x" * 998) if is_allowed else too_large)


# --- what is not installed ---

TWO = """
from spiffproxy_program import ProgramCommand

class Here(ProgramCommand):
    program = ("echo", "true")

class Nowhere(ProgramCommand):
    program = {program!r}
"""


NOWHERE = [
    (("a-program-that-nobody-has", "x"), "PATH"),
    (("echo2.sh",), "PATH"),
    (("./missing.sh",), "/.*/commands"),
    (("./plain.txt",), "/.*/commands"),
    (("./folder",), "/.*/commands"),
    (("/nowhere/python",), "/.*/commands"),
    (("",), "PATH"),
    ((), "PATH"),
]


@pytest.fixture
def make_half(make_program):
    """Return a function that writes a connector with one program that is there and one that is not.

    It returns what calls the commands, and a pattern of what is said of the program.
    """

    def make(program, missing):
        call = make_program(program, source=TWO, files={"plain.txt": "", "echo2.sh": ""})
        (call.folder / "plain.txt").chmod(0o644)
        (call.folder / "folder").mkdir()
        name = "".join(program[:1]) or "a program"
        needs = f"{call.name}/Nowhere needs {name}, which is not installed"
        return call, f"{needs}: {missing} has no such executable file"

    return make


@pytest.mark.parametrize(("program", "missing"), NOWHERE)
def test_a_program_that_is_not_installed(make_half, program, missing):
    """Is named by a call, which is unavailable; the connector's other commands work."""
    call, message = make_half(program, missing)
    assert call(503, "Nowhere") == error_reply("connector_unavailable", f"^{message}.$")
    assert call(200, "Here") == result(True)


def test_programs_that_are_not_installed_are_listed(make_half, tmp_path):
    """And named by check, for all connectors and for one."""
    made = [make_half(*row) for row in NOWHERE]
    messages = [message for _, message in made]
    listed = run_proxy("list", "--connectors", str(tmp_path))
    for message in messages:
        assert re.search(rf"\nMissing\n(  .*\n)*  {message}\.\n", listed.stdout)
    assert listed.returncode == 0
    checked = run_proxy("check", "--connectors", str(tmp_path))
    for message in messages:
        assert re.search(rf"^{message}\.$", checked.stdout, re.MULTILINE), message
    assert re.search(
        r"\n[0-9]+ commands and 1 authentication checked, no fault found\. None was called: add --call\.\n$",
        checked.stdout,
    )
    checked = run_proxy("check", made[0][0].name, "--connectors", str(tmp_path))
    assert re.fullmatch(
        rf"{messages[0]}\.\n2 commands checked, no fault found\. None was called: add --call\.\n", checked.stdout
    )


@pytest.mark.parametrize("file", ["a.py", "z.py", "./z.py", "with-dash.py"])
def test_a_program_in_python(make_program, file):
    """Is not imported with the commands, whichever comes first, and is not listed."""
    script = "open('executed', 'x')\nclass Command:\n    def execute(self, *_): pass\nprint(str(__name__ == '__main__').lower())\n"
    call = make_program((*PYTHON[:-1], file), files={Path(file).name: script})
    (call.folder / "run.py").unlink()
    (call.folder / "unreadable.py").symlink_to("nowhere")
    listed = call.app.get("/v1/commands").json
    assert [entry["id"] for entry in listed if call.name in entry["id"]] == [f"{call.name}/Run"]
    assert not (call.folder / "executed").exists()
    assert call() == result(True)


def test_a_program_that_is_installed_later(make_program):
    """Works without a restart."""
    call = make_program(("./later.sh",))
    assert call(503)["error"]["error_code"] == "connector_unavailable"
    later = call.folder / "later.sh"
    later.write_text("#!/bin/sh\necho true\n")
    later.chmod(0o755)
    assert call() == result(True)


@pytest.mark.parametrize("content", ["#!/nowhere/python\n", "\0\1\2"], ids=["no interpreter", "not a program"])
def test_a_program_that_cannot_be_started(make_program, content):
    call = make_program(("./run.x",), files={"run.x": content})
    message = f"^The program of {call.name}/Run cannot be started: (No such file or directory|Exec format error)$"
    assert call() == error("connector_unavailable", message, 503)


def test_a_relative_entry_of_the_path(make_program, tmp_path, monkeypatch):
    """Is relative to the folder of the proxy, not to that of the program."""
    program = tmp_path / "bin" / "a-program-of-ours"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho true\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"bin:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    assert make_program(("a-program-of-ours",))() == result(True)


@pytest.mark.parametrize("program", ["node fax.js", ("node", 5), ("node", None)])
def test_a_program_that_is_not_a_tuple_of_strings(make_program, program):
    """Is a mistake of the connector's author, and breaks this module alone."""
    message = r"Run: program must be a tuple of strings, such as \(\"node\", \"send_fax.js\"\)"
    call = make_program(program)
    (call.folder / "run.py").unlink()
    assert call(503) == error_reply("connector_unavailable", message)


def test_the_errors_that_are_listed(make_program):
    """Are those of every program, and those that the docstring raises."""
    docstring = '"""Send.\n\n:raises NoAnswer: nobody answered\n"""'
    source = CLASS.replace("    program =", textwrap.indent(docstring, "    ") + "\n    program =")
    call = make_program(("cat",), source=source)
    (listed,) = (entry for entry in call.app.get("/v1/commands").json if entry["id"] == f"{call.name}/Run")
    assert listed["description"] == "Send."
    assert listed["errors"].pop("NoAnswer") == "nobody answered"
    assert set(listed["errors"]) == {
        *("ProgramFailed", "ProgramTimeout", "ResponseTooLarge"),
        *("ValueError", "connector_unavailable", "invalid_response"),
    }
    assert [parameter["id"] for parameter in listed["parameters"]] == ["value"]


# --- the server ---


def start_call(server, name):
    """Send a call and return its connection, the answer unread."""
    connection = connect(server)
    connection.sendall(CALL.replace(b"example/Echo", f"{name}/Run".encode()) + b"Content-Length: 2\r\n\r\n{}")
    return connection


@pytest.mark.parametrize("printed", ["started\n", "x" * 70_000], ids=["a line", "a line without an end"])
def test_a_line_is_logged_when_it_comes(start_server, write_program, tmp_path, printed):
    """And not only when the program ends; one that is too long comes in parts."""
    name = write_program(("sh", "-c", "cat printed >&2; sleep 60"), files={"printed": printed})
    server = start_server("--connectors", str(tmp_path))
    with start_call(server, name):
        line = server.process.stderr.readline().decode()
    assert line.endswith(f" WARNING {name}/Run stderr: {printed[:8192].strip()}\n")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system has no /proc")
def test_what_a_program_inherits(start_server, write_program, tmp_path):
    """Is neither a socket or a file of the server, nor a signal that is ignored or blocked."""
    script = """
        import json, os, re
        status = open("/proc/self/status").read()
        masks = {name: int(mask, 16) for name, mask in re.findall("Sig(Blk|Ign):\\t(.*)", status)}
        print(json.dumps([sorted(os.listdir("/proc/self/fd")), masks["Blk"], masks["Ign"] & 1 << 14]))
    """
    name = write_program(PYTHON, script)
    server = start_server("--connectors", str(tmp_path))
    with start_call(server, name) as connection:
        descriptors, blocked, ignored = json.loads(read_answer(connection)[2])["command_response"]["body"]
    assert len(descriptors) == 4  # the fourth is that of the folder
    assert (blocked, ignored) == (0, 0)


def test_a_program_that_runs_when_the_server_stops(start_server, write_program, tmp_path):
    """Has its time, and the call its answer."""
    name = write_program(("sh", "-c", "echo $$ > pid; sleep 1; echo true"))
    server = start_server("--connectors", str(tmp_path))
    with start_call(server, name) as connection:
        read_pid(tmp_path / f"connector_{name}" / "commands" / "pid")
        server.process.terminate()
        assert json.loads(read_answer(connection)[2]) == result(True)
    assert server.process.wait(20) == 0


def test_a_program_that_runs_when_the_server_is_forced_to_stop(start_server, write_program, tmp_path):
    """Is killed."""
    name = write_program(("sh", "-c", "trap '' TERM; echo $$ > pid; sleep 60"))
    server = start_server("--connectors", str(tmp_path))
    with start_call(server, name):
        pid = read_pid(tmp_path / f"connector_{name}" / "commands" / "pid")
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)  # signals that wait are merged
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 1
    wait_until(lambda: not is_running(pid))
