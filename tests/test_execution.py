"""Execution: what becomes of a command's result, of what it raises and prints, and of the keys meant for the proxy."""

import json
import sys
import threading
import types

import pytest
from conftest import JSON, error_reply


def returning(make_command, expression, status=200):
    """Call a command that returns the value of a Python expression."""
    source = "import collections, datetime, enum, http, types\nclass C:\n    def execute(self, config, task_data):\n        return "
    return make_command(source + expression)("C", status=status)


# --- version 1 ---


@pytest.mark.parametrize(
    ("result", "status", "content_type", "body"),
    [
        ("{'response': 'text', 'status': 200, 'mimetype': 'text/plain'}", 200, "text/plain; charset=utf-8", b"text"),
        ("{'response': 'grün', 'mimetype': 'text/html'}", 200, "text/html; charset=utf-8", "grün".encode()),
        ("{'response': 'ü', 'mimetype': 'text/plain; charset=UTF-8'}", 200, "text/plain; charset=UTF-8", "ü".encode()),
        ("{'response': '{\"a\": 1}', 'status': '201'}", 201, JSON, b'{"a": 1}'),
        ("{'response': {'ü': 1}, 'status': None, 'mimetype': None}", 200, JSON, b'{"\\u00fc": 1}'),
        ("{'response': [1, 'x'], 'other': 'ignored'}", 200, JSON, b'[1, "x"]'),
        ("{'response': 5}", 200, JSON, b"5"),
        ("{'response': True}", 200, JSON, b"true"),
        ("{'response': None}", 200, JSON, b""),
        ("{'response': b'\\x00\\xff', 'mimetype': 'image/png'}", 200, "image/png", b"\x00\xff"),
        ("{'response': type('B', (bytes,), {})(b'x')}", 200, JSON, b"x"),
        ("{'response': types.MappingProxyType({'a': 1})}", 200, JSON, b'{"a": 1}'),
        ("{'response': {'a': 1}, 'status': 404}", 404, JSON, b'{"a": 1}'),
        ("{'response': 'x', 'status': 299}", 299, JSON, b"x"),
        ("{'response': 'x', 'status': http.HTTPStatus.CREATED}", 201, JSON, b"x"),
        ("{'response': 'x', 'status': ' 201 '}", 201, JSON, b"x"),
        (
            "{'response': 'x', 'mimetype': enum.Enum('M', {'T': 'Text/PLAIN'}, type=str).T}",
            200,
            "Text/PLAIN; charset=utf-8",
            b"x",
        ),
        ("{'response': 'x', 'status': 599}", 599, JSON, b"x"),
        ("{'response': 'x', 'status': 302}", 302, JSON, b"x"),
        ("{'response': 'x', 'status': 202}", 200, JSON, b"x"),
        ("{'response': 'x', 'status': '202'}", 200, JSON, b"x"),
        ("{'response': 'x', 'status': 204}", 204, None, b""),
        ("{'response': 'x', 'status': 304}", 304, None, b""),
        ("{'response': {}, 'command_response_version': 1}", 200, JSON, b"{}"),
        ("{'response': {}, 'command_response_version': '1'}", 200, JSON, b"{}"),
        ("{'response': {}, 'command_response_version': 'two'}", 200, JSON, b"{}"),
        ("{'response': {}, 'command_response_version': None}", 200, JSON, b"{}"),
        ("collections.UserDict({'response': 'x'})", 200, JSON, b"x"),
    ],
)
def test_version_1(make_command, result, status, content_type, body):
    answer = returning(make_command, result, status="*")
    assert (answer.status_int, answer.headers.get("Content-Type"), answer.body) == (status, content_type, body)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("None", "must be an object with response, or command_response, but is null. Does execute end with return"),
        ("'text'", "must be an object .*, but is a string. Return the dictionary itself, without json.dumps"),
        ("{'command_response': {}}", 'only: command_response. Add "command_response_version": 2'),
        ("[{'response': 1}]", "but is a list"),
        ("(1, 2)", "but is of type tuple"),
        ("{}", "no 'response'"),
        ("{'body': 1, 'status': 200}", "no 'response' .*: body, status"),
        ("{'response': datetime.date(2026, 1, 1)}", "date is not JSON serializable"),
        ("{'response': {1, 2}}", r"set is not JSON serializable\. result\['response'\] is of type set; return sorted"),
        ("{'response': [{'a': datetime.datetime(2026, 1, 1)}]}", r"result\['response'\]\[0\]\['a'\] .*value.isoformat"),
        ("{'response': {'a': b'x'}}", r"result\['response'\]\['a'\] is of type bytes; return base64"),
        ("{'response': [float('inf')]}", r"result\['response'\]\[0\] is inf, which JSON does not have"),
        ("{'response': {(1, 2): 3}}", r"result\['response'\] is an object with the key \(1, 2\); keys must be strings"),
        ("{'response': [object()]}", r"result\['response'\]\[0\] is of type object; return a string"),
        ("{'response': {(1, 2): 3}}", "keys must be str"),
        ("{'response': float('nan')}", "JSON compliant"),
        ("{'response': '\\ud800'}", "can't encode"),
        ("{'response': 1, 'status': 100}", "status is 100. Use a number from 200 to 599"),
        ("{'response': 1, 'status': 600}", "status is 600"),
        ("{'response': 1, 'status': 'OK'}", "status is 'OK'"),
        ("{'response': 1, 'status': True}", "status is True"),
        ("{'response': 1, 'status': 200.0}", "status is 200.0"),
        ("{'response': 1, 'mimetype': 'text/plain\\r\\nX-Evil: 1'}", "mimetype is"),
        ("{'response': 1, 'mimetype': ''}", "mimetype is ''"),
        ("{'response': 1, 'mimetype': 5}", "mimetype is 5"),
        ("{'response': 1, 'mimetype': 'text/plän'}", "mimetype is"),
        (
            "{'command_response_version': 2, 'command_response': 'text'}",
            "its command_response must be an object with body and mimetype, but is a string",
        ),
        ("{'command_response_version': 2, 'error': 'text'}", "its error must be an object"),
        ("{'command_response_version': 2, 'command_response': {'body': {1}}}", "set is not JSON serializable"),
        ("(lambda deep: [deep := {'a': deep} for _ in range(100000)][-1])({})", "no 'response'"),
        ("(lambda deep: {'response': [deep := [deep] for _ in range(100000)][-1]})([])", "recursion"),
        ("(lambda loop: loop.update(response=loop) or loop)({})", "Circular reference"),
    ],
)
def test_a_result_that_is_none(make_command, result, words):
    assert returning(make_command, result, status=500).json == error_reply(
        "invalid_response", f"C returned no.*{words}"
    )


def test_a_mapping_that_raises_is_no_result(make_command):
    call = make_command("""
import collections

class Evil(collections.UserDict):
    def get(self, *_):
        raise SystemExit("evil")

class C:
    def execute(self, config, task_data):
        return Evil()
""")
    assert call("C", 500).json == error_reply("invalid_response", "C returned no valid result: evil")


# --- version 2 ---

WHOLE = {
    "command_response": {"body": {"a": 1}, "mimetype": JSON, "http_status": 200, "headers": {"X": "y"}},
    "command_response_version": 2,
    "error": None,
    "spiff__logs": ["one", "two"],
}
EMPTY = {
    "command_response": {"body": None, "mimetype": JSON},
    "command_response_version": 2,
    "error": None,
    "spiff__logs": [],
}
ERROR = {"error_code": "Code", "message": "text"}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (WHOLE, WHOLE),
        ({**WHOLE, "more": [1]}, {**WHOLE, "more": [1]}),
        ({"command_response_version": 2}, EMPTY),
        ({"command_response_version": 3}, {**EMPTY, "command_response_version": 3}),
        ({"command_response_version": "2"}, EMPTY),
        ({"command_response_version": " 2 "}, EMPTY),
        ({"command_response_version": "2.0"}, EMPTY),
        (
            {"command_response_version": 2, "command_response": {"body": 1, "mimetype": ""}},
            {**EMPTY, "command_response": {"body": 1, "mimetype": ""}},
        ),
        ({"command_response_version": 2, "command_response": None, "error": None, "spiff__logs": None}, EMPTY),
        ({"command_response_version": 2, "command_response": {"mimetype": None, "body": None}}, EMPTY),
        (
            {"command_response_version": 2, "command_response": {"http_status": 404}},
            {**EMPTY, "command_response": {"body": None, "mimetype": JSON, "http_status": 404}},
        ),
        ({"command_response_version": 2, "spiff__logs": "one line"}, {**EMPTY, "spiff__logs": ["one line"]}),
        ({"command_response_version": 2, "error": {}}, EMPTY),
        ({**EMPTY, "error": ERROR}, {**EMPTY, "error": ERROR}),
        ({**EMPTY, "error": {**ERROR, "more": 1}}, {**EMPTY, "error": {**ERROR, "more": 1}}),
        ({**EMPTY, "error": {"error_code": "Code"}}, {**EMPTY, "error": {"error_code": "Code", "message": ""}}),
        ({**EMPTY, "error": {**ERROR, "message": None}}, {**EMPTY, "error": {"error_code": "Code", "message": ""}}),
        ({**EMPTY, "error": {**ERROR, "error_code": 404}}, {**EMPTY, "error": {**ERROR, "error_code": "404"}}),
        ({**EMPTY, "error": {"message": "x"}}, {**EMPTY, "error": {"error_code": "unspecified_error", "message": "x"}}),
    ],
)
def test_version_2(make_command, result, expected):
    """Is answered whole, and completed where SpiffArena's backend would fall over it."""
    answer = returning(make_command, repr(result))
    assert (answer.json, answer.content_type) == (expected, JSON)


def test_the_body_is_ascii_json(make_command):
    """So that no byte order mark, character set or lone surrogate can spoil it on the way."""
    answer = returning(make_command, "{'command_response_version': 2, 'command_response': {'body': '\\ud800ü€😀'}}")
    assert answer.body.isascii()
    assert answer.json["command_response"]["body"] == "\ud800ü€😀"


# --- asynchronous ---

ASYNCHRONOUS = """
class Both:
    def execute(self, config, task_data):
        return {"response": "now", "mimetype": "text/plain"}
    def execute_async(self, config, task_data, callback_url):
        return {"anything": callback_url, "data": task_data}

class OnlyNow:
    def execute(self, config, task_data):
        return {"response": "now", "mimetype": "text/plain"}

class Refuses(OnlyNow):
    def execute_async(self, config, task_data, callback_url):
        return {"command_response_version": 2, "error": {"error_code": "No", "message": "no"}}

class Raises(OnlyNow):
    def execute_async(self, config, task_data, callback_url):
        raise OSError("failed")

class NoResult(OnlyNow):
    def execute_async(self, config, task_data, callback_url):
        return "text"
"""
CALLBACK = {"spiff__callback_url": "http://backend/callback"}


@pytest.mark.parametrize(
    ("command", "body", "status", "expected"),
    [
        ("Both", CALLBACK, 202, {"anything": "http://backend/callback", "data": {}}),
        ("Refuses", CALLBACK, 202, {**EMPTY, "error": {"error_code": "No", "message": "no"}}),
        ("Raises", CALLBACK, 500, error_reply("OSError", "failed")),
        ("NoResult", CALLBACK, 500, error_reply("invalid_response", "must be an object")),
    ],
)
def test_asynchronous(make_command, command, body, status, expected):
    answer = make_command(ASYNCHRONOUS)(command, status, **body)
    assert (answer.json, answer.content_type) == (expected, JSON)


@pytest.mark.parametrize(
    ("command", "body"),
    [
        ("OnlyNow", CALLBACK),
        ("Both", {}),
        ("Both", {"spiff__callback_url": None}),
        ("Both", {"spiff__callback_url": ""}),
    ],
)
def test_not_asynchronous(make_command, command, body):
    """Without the method, or without a URL to call back."""
    assert make_command(ASYNCHRONOUS)(command, **body).text == "now"


# --- what the backend adds ---


def test_the_keys_of_the_backend_are_not_parameters(app):
    body = {
        "value": 1,
        "spiff__task_data": {"deep": [1, {"x": None}]},
        "spiff__process_instance_id": 7,
        "spiff__process_model_identifier": None,
        "spiff__task_id": "5b3a…",
        "spiff__anything_new": 1,
        "spiff_": "a parameter",
    }
    answer = app.post_json("/v1/do/example/Echo", body).json["command_response"]["body"]
    assert answer == {"value": 1, "others": {"spiff_": "a parameter"}, "task_data": {"deep": [1, {"x": None}]}}


@pytest.mark.parametrize(("sent", "received"), [({}, {}), ({"spiff__task_data": None}, {})])
def test_without_task_data_it_is_an_empty_object(app, sent, received):
    assert app.post_json("/v1/do/example/Echo", sent).json["command_response"]["body"]["task_data"] == received


# --- containment ---


def test_a_variable_that_is_not_set_is_named(make_command):
    """As one that is not set; its name can be read from the exception."""
    call = make_command("""
class C:
    def execute(self, config, task_data):
        assert "A_URL" not in config and config.get("A_URL") is None
        try:
            config["A_URL"]
        except KeyError as error:
            assert error.args == ("A_URL",)
            raise
""")
    words = "^A_URL is not set in the environment or the config file of the proxy$"
    assert call("C", 500).json == error_reply("KeyError", words)


@pytest.mark.parametrize(
    ("statement", "code", "words"),
    [
        ("raise LookupError('not there')", "LookupError", "^not there$"),
        ("raise KeyError('a')", "KeyError", "^'a'$"),
        ("raise ValueError", "ValueError", "^$"),
        ("sys.exit('leaving')", "SystemExit", "^leaving$"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", "^$"),
        ("raise GeneratorExit", "GeneratorExit", "^$"),
        ("self.execute(config, task_data)", "RecursionError", "recursion"),
        ("raise MemoryError('too much')", "MemoryError", "too much"),
        ("raise Unprintable", "Unprintable", "^$"),
        ("raise ValueError('lone \\ud800')", "ValueError", "lone"),
        ("1 / 0", "ZeroDivisionError", "division"),
    ],
)
def test_whatever_a_command_raises_is_contained(make_command, statement, code, words):
    call = make_command(f"""
import sys
class Unprintable(Exception):
    def __str__(self):
        raise SystemExit("cannot even say so")
class C:
    def execute(self, config, task_data):
        {statement}
class Early:
    def __init__(self):
        self.execute({{}}, {{}})
    execute = C.execute
class Good:
    def execute(self, config, task_data):
        return {{"response": "good"}}
""")
    for command in "C", "Early":
        assert call(command, 500).json == error_reply(code, words)
        assert call("Good").text == "good"


def test_the_log_of_a_failure_has_its_frames_and_not_its_text(app, caplog):
    """The text of an exception may hold a parameter."""
    app.post_json("/v1/do/example/Fail", {"secret": "s3cret"}, status=500)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.message.startswith("example/Fail raised LookupError\n")
    assert "echo.py" in record.message
    assert "s3cret" not in caplog.text


def test_more_commands_than_may_run_are_refused(make_command):
    """And what needs no command is still answered."""
    meeting = types.ModuleType("connector_meeting2")
    meeting.running, meeting.go_on = threading.Barrier(3), threading.Event()
    sys.modules["connector_meeting2"] = meeting
    call = make_command(
        """
from connector_meeting2 import running, go_on
class Stuck:
    def execute(self, config, task_data):
        running.wait(10)
        go_on.wait(10)
        return {"response": "ok"}
class Quick:
    def execute(self, config, task_data):
        return {"response": "ok"}
""",
        THREADS=2,
    )
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(call("Stuck"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    meeting.running.wait(10)

    refused = call("Quick", 503)
    assert refused.json == error_reply("too_busy", "CONNECTOR_PROXY_THREADS")
    assert refused.headers["Retry-After"] == "1"
    call.app.get("/liveness")
    call.app.get("/v1/commands")
    assert call("Quick", 400, unknown=1).json["error"]["error_code"] == "invalid_parameters"

    meeting.go_on.set()
    for thread in threads:
        thread.join()
    assert [answer.text for answer in answers] == ["ok", "ok"]
    assert call("Quick").text == "ok"


def test_slots_are_given_back_by_commands_that_fail(make_command):
    call = make_command("class C:\n    def execute(self, c, t):\n        raise SystemExit", THREADS=1)
    for _ in range(3):
        assert call("C", 500).json["error"]["error_code"] == "SystemExit"


def test_a_large_call(app):
    """Files travel as base64 in the task data."""
    data = {"file": "A" * 20_000_000}
    answer = app.post("/v1/do/example/Echo", json.dumps({"spiff__task_data": data}), content_type=JSON)
    assert answer.json["command_response"]["body"]["task_data"] == data


# --- commands that are coroutines ---

ASYNC = """
import asyncio
class Async:
    def __init__(self, name: str = "x"): self.name = name
    async def execute(self, config, task_data):
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        inner = await loop.run_in_executor(None, lambda: self.name)
        return {"response": inner}
    async def execute_async(self, config, task_data, callback_url):
        return {"command_response_version": 2, "command_response": {"body": callback_url}}
class Fails:
    async def execute(self, config, task_data):
        raise LookupError("no")
class Awaitable:
    def execute(self, config, task_data):
        async def later():
            return {"response": "later"}
        return later()
class Exits:
    async def execute(self, config, task_data):
        raise SystemExit(3)
"""


def test_a_coroutine_runs_to_its_end(make_command):
    call = make_command(ASYNC)
    for name in "a", "b":  # a loop of its own for each call
        assert call("Async", name=name).text == name
    assert call("Awaitable").text == "later"
    assert call("Fails", 500).json == error_reply("LookupError", "^no$")
    assert call("Exits", 500).json == error_reply("SystemExit", "^3$")


def test_an_asynchronous_command_may_be_a_coroutine(make_command):
    answer = make_command(ASYNC)("Async", 202, spiff__callback_url="http://x/callback")
    assert answer.json["command_response"]["body"] == "http://x/callback"
