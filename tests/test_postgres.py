"""The postgres connector, against a real PostgreSQL, and against servers that fall silent."""

import ast
import contextlib
import functools
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
import trustme
from conftest import ROOT, free_port, run_proxy, serve_nobody

SECRET = "s3cret/pass word"
PATH = f"{os.environ['PATH']}:{':'.join(map(str, sorted(Path('/usr/lib/postgresql').glob('*/bin'), reverse=True)))}"
INITDB = shutil.which("initdb", path=PATH)
ACCESS = """
local all all trust
host forbidden all 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
"""
ROLES = f"""
CREATE ROLE owner LOGIN PASSWORD '{SECRET}';
CREATE ROLE crowd LOGIN PASSWORD '{SECRET}' CONNECTION LIMIT 0;
CREATE ROLE password_x LOGIN PASSWORD '{SECRET}';
CREATE ROLE "timeout too many" PASSWORD '{SECRET}';
CREATE DATABASE timeout_log ALLOW_CONNECTIONS false;
CREATE DATABASE "the database system is" OWNER owner;
REVOKE CONNECT ON DATABASE "the database system is" FROM PUBLIC;
ALTER DATABASE postgres SET lc_messages = 'C';
"""


def as_nobody():
    """Return the options by which a process is not root's, which PostgreSQL refuses to be."""
    if os.getuid():
        return {}
    account = pwd.getpwnam("nobody")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def postgres(authority):
    """A PostgreSQL of our own: its folder, where its socket is, and its port on loopback."""
    if not INITDB:
        pytest.skip("PostgreSQL is not installed")
    bin_folder, options = Path(INITDB).parent, as_nobody()
    # not pytest's folder: the name of a socket has 107 bytes at most
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        if options:
            os.chown(folder, options["user"], options["group"])
        data, port = f"{folder}/data", free_port()
        options.update(cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        made = [INITDB, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"]
        subprocess.run(made, check=True, **options)
        Path(data, "pg_hba.conf").write_text(ACCESS)
        settings = [f"port={port}", f"unix_socket_directories={folder}", "listen_addresses=127.0.0.1"]
        settings += ["fsync=off", "timezone=UTC", "ssl=on"]
        # with LANGUAGE, a connection is refused in German wherever the translations are installed
        settings += ["lc_messages=C.UTF-8"]
        issued = authority.issue_cert("localhost")
        issued.private_key_pem.write_to_path(f"{data}/server.key")
        issued.cert_chain_pems[0].write_to_path(f"{data}/server.crt")
        Path(data, "server.key").chmod(0o600)
        if options.get("user"):
            os.chown(f"{data}/server.key", options["user"], options["group"])
        log = Path(folder, "log")
        with log.open("wb") as err:
            flags = [part for setting in settings for part in ("-c", setting)]
            environ = {**os.environ, "LANGUAGE": "de"}
            process = subprocess.Popen(
                [bin_folder / "postgres", "-D", data, *flags], stderr=err, env=environ, **options
            )
        server = SimpleNamespace(folder=folder, port=port, admin=f"host={folder} port={port} user=postgres")
        try:
            while True:
                with contextlib.suppress(psycopg.OperationalError), psycopg.connect(server.admin) as connection:
                    connection.autocommit = True
                    for statement in ROLES.strip().split("\n"):
                        connection.execute(statement)
                    break
                assert process.poll() is None, log.read_text()
                time.sleep(0.02)  # it has no other way to say that it is ready
            yield server
        finally:
            process.send_signal(subprocess.signal.SIGQUIT)  # at once
            process.wait()


@pytest.fixture
def sql(postgres):
    """What runs SQL as the superuser, and returns the rows; no table is there."""
    # fails where a test has left a lock behind
    with psycopg.connect(postgres.admin, autocommit=True, options="-c lock_timeout=5s") as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION owner")

        def run(text):
            cursor = connection.execute(text)
            return cursor.fetchall() if cursor.description else None

        yield run


def connection_string(postgres, host="127.0.0.1", **changes):
    given = {"host": host, "port": postgres.port, "user": "owner", "dbname": "postgres", "password": SECRET, **changes}
    return psycopg.conninfo.make_conninfo(**{"sslmode": "disable", **given})


def list_errors():
    """Return the codes that all commands declare, which an application has made importable."""
    from connector_postgres.commands.database import DoSQL

    return DoSQL.errors


@pytest.fixture
def make_call(make_app, postgres, caplog):
    """Return a function that makes one which calls a command and returns body, error and status."""

    def make(conninfo=None, **settings):
        app = make_app(**settings)
        if conninfo is None:
            conninfo = connection_string(postgres, host=postgres.folder)
        secrets = {SECRET, "s3cret", "pass word"}

        def call(command, *arguments):
            names = ["schema"] if command == "DoSQL" else ["table_name", "schema"]
            parameters = {"database_connection_str": conninfo, **dict(zip(names, arguments))}
            answer = app.post_json(f"/v1/do/postgres/{command}", parameters)
            assert not any(secret in answer.text + caplog.text for secret in secrets)
            result = json.loads(answer.text, parse_constant=pytest.fail)
            body, status = result["command_response"]["body"], result["command_response"]["http_status"]
            if result["error"]:
                assert result["error"]["error_code"] in list_errors()
                assert body == {}
            assert result["spiff__logs"] == []
            return body, result["error"], status

        return call

    return make


@pytest.fixture
def call(make_call):
    return make_call()


def done(count):
    return {"result": f"{count} rows affected"}, None, 200


OK = ({"result": "ok"}, None, 200)


def refusal(result):
    """Return the code and the status of a result that is an error."""
    _, error, status = result
    return error["error_code"], status


# --- what they do ---


def test_rows_come_and_go(call, sql):
    """The life of a table, as a diagram has it."""
    columns = [("id", "integer primary key"), ("name", "varchar(20)"), ("amount", "NUMERIC(10, 2) NULL")]
    definitions = {"column_definitions": [{"name": name, "type": kind} for name, kind in columns]}
    assert call("CreateTable", "invoices", definitions) == OK
    assert call("CreateTable", "invoices", definitions) == OK
    rows = [[1, "Jane", 10.5], [2, "Joe", "0.10"], [3, None, None]]
    assert call("InsertValues", "invoices", {"columns": ["id", "name", "amount"], "values": rows}) == done(3)
    assert call("InsertValues", "invoices", {"columns": ["id"], "values": []}) == done(0)
    everything = [[1, "Jane", "10.50"], [2, "Joe", "0.10"], [3, None, None]]
    assert call("SelectValues", "invoices", {"columns": ["*"]}) == (everything, None, 200)
    change = {"set": {"name": "Jim", "amount": None}, "where": [["id", ">", 1], ["name", "=", "Joe"]]}
    assert call("UpdateValues", "public.invoices", change) == done(1)
    where = [["name", "in", ["Jim", "nobody"]]]
    assert call("SelectValues", "invoices", {"columns": ["amount", "id"], "where": where}) == ([[None, 2]], None, 200)
    assert call("DeleteValues", "invoices", {"where": [["name", "=", "nobody"]]}) == done(0)
    assert call("DeleteValues", "invoices", {"where": [["name", "=", None]]}) == done(1)
    assert call("DeleteValues", "invoices", {"all_rows": True}) == done(2)
    assert call("DropTable", "invoices") == OK
    assert call("DropTable", "invoices") == OK
    assert sql("SELECT to_regclass('invoices')") == [(None,)]


@pytest.mark.usefixtures("sql")
def test_the_examples_of_the_readme(call):
    examples = re.findall(
        r"^(\{.*\})  # (\w+)$", (ROOT / "connectors" / "connector_postgres" / "README.md").read_text(), re.MULTILINE
    )
    results = {}
    for schema, command in examples:
        arguments = [ast.literal_eval(schema)] if command == "DoSQL" else ["invoices", ast.literal_eval(schema)]
        results[command], error, _ = call(command, *arguments)
        assert not error
    assert results == {
        "CreateTable": {"result": "ok"},
        "InsertValues": {"result": "3 rows affected"},
        "SelectValues": [[1, "10.50"]],
        "UpdateValues": {"result": "1 rows affected"},
        "DeleteValues": {"result": "1 rows affected"},
        "DoSQL": [[2], [3]],
    }


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        (["n", "=", 2], [2]),
        (["n", "=", "2"], [2]),
        (["n", "!=", 2], [1, 3]),
        (["n", "<>", 2], [1, 3]),
        (["n", "<", 2], [1]),
        (["n", "<=", 2.0], [1, 2]),
        (["n", ">", 1.5], [2, 3]),
        (["n", ">=", 3], [3]),
        (["name", "LIKE", "%b"], [2]),
        (["name", "not  like", "%b"], [1]),
        (["name", "ilike", "A%"], [1]),
        (["name", "NOT ILIKE", "A%"], [2]),
        (["n", "IN", [1, 3, 9]], [1, 3]),
        (["n", "not in", [1, 3]], [2]),
        (["name", "=", None], [3]),
        (["name", "is", None], [3]),
        (["name", "!=", None], [1, 2]),
        (["name", "<>", None], [1, 2]),
        (["name", "is not", None], [1, 2]),
        (["name", "=", "'; DROP TABLE t; --"], []),
    ],
    ids=str,
)
def test_a_condition(call, sql, condition, ids):
    sql("CREATE TABLE t (n numeric, name text); INSERT INTO t VALUES (1, 'a%'), (2, 'b'), (3, NULL)")
    sql("ALTER TABLE t OWNER TO owner")
    rows = [[str(number)] for number in ids]
    assert call("SelectValues", "t", {"columns": ["n"], "where": [condition]}) == (rows, None, 200)


def test_a_shorter_limit_of_the_role_holds(call, sql):
    """And no longer one."""
    shown = {"sql": "SHOW statement_timeout", "fetch_results": True}
    sql("ALTER ROLE owner SET statement_timeout = '7s'")
    try:
        assert call("DoSQL", shown)[0] == [["7s"]]
        sql("ALTER ROLE owner SET statement_timeout = '70s'")
        assert call("DoSQL", shown)[0][0][0].startswith("35")
    finally:
        sql("ALTER ROLE owner RESET statement_timeout")


@pytest.mark.parametrize(
    "name", ['a"b', "a%b %s", "a{b}{}", "select", "Über", "a'b; --", "$1", "a?", " ", "a\nb", "\\"]
)
@pytest.mark.usefixtures("sql")
def test_names_are_quoted(call, name):
    table, column = f'"{name}.t"'.replace('a"b', 'a""b'), name
    assert call("CreateTable", table, {"column_definitions": [{"name": column, "type": "text"}]}) == OK
    assert call("InsertValues", table, {"columns": [column], "values": [["x"]]}) == done(1)
    assert call("UpdateValues", table, {"set": {column: "y"}, "where": [[column, "=", "x"]]}) == done(1)
    selected = call("SelectValues", f"public.{table}", {"columns": [column], "where": [[column, "=", "y"]]})
    assert selected == ([["y"]], None, 200)
    assert call("DropTable", table) == OK


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        ({"sql": "SELECT 'a%s' LIKE '%', '{}', '%%'", "fetch_results": True}, [[True, "{}", "%%"]]),
        ({"sql": "SELECT %s || '%%' || '{x}'", "values": ["%s"], "fetch_results": True}, [["%s%{x}"]]),
        ({"sql": "SELECT 'a' LIKE 'a%', %s", "values": ["b"], "fetch_results": True}, [[True, "b"]]),
        (
            {"sql": "SELECT %(a)s, %(b)s, %(a)s", "values": {"a": "x", "b": True}, "fetch_results": True},
            [["x", True, "x"]],
        ),
        (
            {"sql": "SELECT %s + 1, to_jsonb(%s), %s", "values": [2, 0.1, 2**70], "fetch_results": True},
            [[3, 0.1, str(2**70)]],
        ),
        ({"sql": "SELECT date '2026-02-28' + %s", "values": [1], "fetch_results": True}, [["2026-03-01"]]),
        (
            {"sql": "SELECT %s, %s, %s", "values": [2**31, -(2**63), 2**63], "fetch_results": True},
            [[2**31, -(2**63), str(2**63)]],
        ),
        ({"sql": "SELECT 1 FETCH FIRST %s ROWS ONLY", "values": [1], "fetch_results": True}, [[1]]),
        ({"sql": "SELECT %s::int[], %s::jsonb", "values": [[1], [1]], "fetch_results": True}, [[[1], [1]]]),
        ({"sql": "SELECT 1 WHERE false", "fetch_results": True}, []),
        ({"sql": "INSERT INTO t VALUES (1), (2) RETURNING n;", "fetch_results": True}, [[1], [2]]),
        ({"sql": "INSERT INTO t VALUES (%s)", "values": [1]}, {"result": "1 rows affected"}),
        ({"sql": "INSERT INTO t VALUES (1)", "fetch_results": True}, {"result": "1 rows affected"}),
        ({"sql": "SELECT generate_series(1, 5)"}, {"result": "5 rows affected"}),
        ({"sql": "CREATE TABLE u ()"}, {"result": "ok"}),
        ({"sql": "CREATE TABLE u ()", "values": []}, {"result": "ok"}),
        ({"sql": "DO $$ BEGIN CREATE TABLE u (); DROP TABLE u; END $$"}, {"result": "ok"}),
    ],
    ids=str,
)
def test_sql_of_the_author(call, sql, schema, body):
    sql("CREATE TABLE t (n int); ALTER TABLE t OWNER TO owner")
    assert call("DoSQL", schema) == (body, None, 200)


PEOPLE = """
CREATE TABLE people (id int PRIMARY KEY, name text, created date, salary numeric DEFAULT 1.50);
INSERT INTO people VALUES (1, 'Jane', '2026-01-01'), (2, 'Joe', '2026-02-01'), (3, 'Jim', '2026-02-01'), (4, 'Ann', NULL);
ALTER TABLE people OWNER TO owner;
"""


@pytest.mark.parametrize(
    ("more", "ids"),
    [
        ({"order_by": [["created", "desc"], ["id", "asc"]]}, [4, 2, 3, 1]),
        ({"order_by": [["created", "ASC"], ["id", "DESC"]]}, [1, 3, 2, 4]),
        ({"order_by": [["name", "asc"]], "limit": 2}, [4, 1]),
        ({"order_by": [["name", "asc"]], "limit": 2, "offset": 1}, [1, 3]),
        ({"order_by": [["id", "asc"]], "offset": 3.0}, [4]),
        ({"order_by": [["id", "asc"]], "limit": 0}, []),
        ({"order_by": [["id", "desc"]], "where": [["id", ">", 1]], "limit": 1}, [4]),
        ({"order_by": []}, [1, 2, 3, 4]),
    ],
    ids=str,
)
def test_order_limit_and_offset(call, sql, more, ids):
    sql(PEOPLE)
    rows, error, _ = call("SelectValues", "people", {"columns": ["id"], **more})
    assert (rows, error) == ([[number] for number in ids], None)


def test_rows_as_objects(call, sql):
    sql(PEOPLE)
    jane = {"id": 1, "name": "Jane", "created": "2026-01-01", "salary": "1.50"}
    everything = {"columns": ["*"], "where": [["id", "=", 1]], "as_objects": True}
    assert call("SelectValues", "people", everything) == ([jane], None, 200)
    assert call("SelectValues", "people", {**everything, "where": [["id", "=", 9]]}) == ([], None, 200)
    text = {"sql": "SELECT id AS a, salary FROM people WHERE id < %s", "values": [3], "as_objects": True}
    objects = [{"a": 1, "salary": "1.50"}, {"a": 2, "salary": "1.50"}]
    assert call("DoSQL", text) == (objects, None, 200)
    assert call("DoSQL", {**text, "fetch_results": True}) == (objects, None, 200)
    changed = call("DoSQL", {"sql": "UPDATE people SET name = 'x'", "as_objects": True, "fetch_results": True})
    assert changed == done(4)


@pytest.mark.parametrize("size", [1, 3, 1200])
def test_on_conflict(call, sql, size):
    """Changes the rows that exist, or leaves them as they are."""
    sql(PEOPLE)
    rows = [[number, f"new {number}"] for number in range(size)]
    insert = {"columns": ["id", "name"], "values": rows, "returning": ["id"]}
    conflict = {"columns": ["id"], "update": ["name"]}
    assert call("InsertValues", "people", {**insert, "on_conflict": {**conflict, "do": "nothing"}})[2] == 400
    ids = [[number] for number in range(size)]
    assert call("InsertValues", "people", {**insert, "on_conflict": conflict}) == (ids, None, 200)
    expected = {1: "Jane", 2: "Joe", 3: "Jim", 4: "Ann"}
    expected.update({number: f"new {number}" for number in range(size)})
    assert dict(sql("SELECT id, name FROM people")) == expected
    again = [[0, "kept"], [-1, "new"]]
    for target in {"columns": ["id"], "do": "nothing"}, {"do": "nothing"}:
        result = call("InsertValues", "people", {**insert, "values": again, "on_conflict": target})
        assert result == ([[-1]], None, 200)
        sql("DELETE FROM people WHERE id < 0")
    counted = {"columns": ["id"], "values": [[0], [-1]], "on_conflict": {"do": "nothing"}}
    assert call("InsertValues", "people", counted) == done(1)
    assert sql("SELECT name FROM people WHERE id = 0") == [("new 0",)]


def test_on_conflict_with_one_key_twice(call, sql):
    """The last one wins: each row is a statement of its own."""
    sql(PEOPLE)
    values = {"columns": ["id", "name"], "values": [[9, "a"], [9, "b"]]}
    conflict = {"on_conflict": {"columns": ["id"], "update": ["name"]}}
    assert call("InsertValues", "people", {**values, **conflict}) == done(2)
    assert sql("SELECT name FROM people WHERE id = 9") == [("b",)]


def test_returning(call, sql):
    sql(PEOPLE)
    insert = {"columns": ["id"], "values": [[7], [8]], "returning": ["id", "salary"]}
    assert call("InsertValues", "people", insert) == ([[7, "1.50"], [8, "1.50"]], None, 200)
    nobody = {**insert, "values": []}
    assert call("InsertValues", "people", nobody) == ([], None, 200)
    update = {"set": {"name": "x"}, "where": [["id", ">", 6]], "returning": ["*"], "as_objects": True}
    row = {"name": "x", "created": None, "salary": "1.50"}
    assert call("UpdateValues", "people", update) == ([{"id": 7, **row}, {"id": 8, **row}], None, 200)
    delete = {"where": [["id", "in", [7, 8, 9]]], "returning": ["id"], "as_objects": True}
    assert call("DeleteValues", "people", delete) == ([{"id": 7}, {"id": 8}], None, 200)
    assert call("DeleteValues", "people", {**delete, "as_objects": False}) == ([], None, 200)


OUTSIDE = """
CREATE PROCEDURE steps(INOUT n int, at timestamptz DEFAULT '2026-11-25 09:00+00', INOUT d date DEFAULT '2026-11-25')
LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (n); COMMIT; n := n + 1; IF n = 9 THEN RAISE deadlock_detected; END IF; END $$
"""


def test_autocommit(call, sql, postgres):
    """Statements that cannot run in a transaction; without it, the message says what to add."""
    sql("DROP DATABASE IF EXISTS made"), sql("ALTER ROLE owner CREATEDB; ALTER ROLE owner SET datestyle = 'German'")
    sql("CREATE TABLE t (n int); ALTER TABLE t OWNER TO owner"), sql(OUTSIDE)
    try:
        for text in "VACUUM t", "CREATE DATABASE made", "CREATE INDEX CONCURRENTLY ON t (n)", "CALL steps(1)":
            result = call("DoSQL", {"sql": text})
            assert refusal(result) == ("DatabaseError", 400)
            assert re.search('SQLSTATE (25001|2D000): .*"autocommit": true', result[1]["message"])
            body = {"result": "1 rows affected" if "CALL" in text else "ok"}
            assert call("DoSQL", {"sql": text, "autocommit": True}) == (body, None, 200)
        assert sql("SELECT n FROM t") == [(1,)]
        with_values = {"sql": "CALL steps(%s)", "values": [5], "autocommit": True, "as_objects": True}
        assert call("DoSQL", with_values) == ([{"n": 6, "d": "2026-11-25"}], None, 200)
        shown = {"sql": "SHOW statement_timeout", "autocommit": True, "fetch_results": True}
        assert call("DoSQL", shown)[0][0][0].startswith("35")
        result = call("DoSQL", {"sql": "CREATE DATABASE made", "autocommit": True})
        assert refusal(result) == ("DatabaseError", 400)
        bad = {"sql": "INSERT INTO t VALUES (%s)", "values": ["x"], "autocommit": True}
        assert refusal(call("DoSQL", bad)) == ("InvalidTextRepresentation", 400)
    finally:
        sql("ALTER ROLE owner NOCREATEDB"), sql("ALTER ROLE owner RESET ALL"), sql("DROP DATABASE IF EXISTS made")


def test_autocommit_that_fails_halfway(make_call, sql):
    """A part of it may have been kept, so that SpiffArena must not try again."""
    sql("CREATE TABLE t (n int); ALTER TABLE t OWNER TO owner"), sql(OUTSIDE)
    call = make_call(POSTGRES_TIMEOUT="2")
    for text in "CALL steps(8)", "SELECT pg_sleep(5)", "SELECT pg_terminate_backend(pg_backend_pid())":
        assert refusal(call("DoSQL", {"sql": text, "autocommit": True})) == ("OutcomeUnknown", 422)
    assert sql("SELECT n FROM t") == [(8,)]


@pytest.mark.parametrize("text", ["COPY t TO STDOUT", "COPY t FROM STDIN", "/* x */ copy (SELECT 1) to stdout"])
@pytest.mark.parametrize("autocommit", [False, True])
def test_copy_is_refused(call, sql, text, autocommit):
    sql("CREATE TABLE t (n int); ALTER TABLE t OWNER TO owner")
    result = call("DoSQL", {"sql": text, "autocommit": autocommit})
    assert refusal(result) == ("ValueError", 400)
    assert re.search("COPY .* Use SelectValues or InsertValues", result[1]["message"])


def test_everything_or_nothing(call, sql):
    sql("CREATE TABLE t (n int PRIMARY KEY); ALTER TABLE t OWNER TO owner")
    result = call("InsertValues", "t", {"columns": ["n"], "values": [[number] for number in [*range(100), 0]]})
    assert refusal(result) == ("UniqueViolation", 409)
    assert "Key (n)=(0) already exists." in result[1]["message"]
    assert sql("SELECT count(*) FROM t") == [(0,)]


# --- values ---

TYPED = "date", "datetime", "UUID", "timedelta"


@pytest.mark.parametrize(
    ("kind", "value", "back"),
    [
        ("text", "grün \U0001f529 \\ ' \" %s {}", None),
        ("text", "", None),
        ("text", 5, "5"),
        ("text", True, "true"),
        ("text", {"a": "ü"}, '{"a": "ü"}'),
        ("boolean", False, None),
        ("integer", -5, None),
        ("integer", 5.0, 5),
        ("bigint", 2**63 - 1, None),
        ("real", 0.1, None),
        ("double precision", 0.1 + 0.2, None),
        ("double precision", 1e300, None),
        ("double precision", "NaN", None),
        ("double precision", "-Infinity", None),
        ("numeric", 0.1, "0.1"),
        ("numeric", 12345678901234.56, "12345678901234.56"),
        ("numeric", "1234567890123456789012345678.900", None),
        ("numeric", 10**30, str(10**30)),
        ("numeric", "NaN", None),
        ("money", "1.50", "$1.50"),
        ("date", "2026-11-25", None),
        ("date", {"typename": "date", "value": "2026-11-25"}, "2026-11-25"),
        ("date", "infinity", None),
        ("date", "0044-03-15 BC", None),
        ("date", "12026-01-01", None),
        ("time", "09:00:00.5", None),
        ("time with time zone", "09:00:00-03", "09:00:00-03:00"),
        ("timestamp", "2026-11-25T09:00:00", None),
        ("timestamp", "-infinity", None),
        ("timestamp", "12026-11-25 09:00", "12026-11-25T09:00:00"),
        ("timestamp with time zone", "2026-11-25T09:00:00.123456+01:00", "2026-11-25T08:00:00.123456+00:00"),
        ("timestamptz", {"typename": "datetime", "value": "2026-11-25T09:00:00+00:00"}, "2026-11-25T09:00:00+00:00"),
        ("timestamptz", "0044-03-15 12:00:00+00 BC", "0044-03-15T12:00:00+00 BC"),
        ("interval", "1 month 2 days 3 hours", "P1M2DT3H"),
        ("interval", {"typename": "timedelta", "days": -1, "seconds": 5}, "P-1DT5S"),
        ("uuid", "12345678-1234-5678-1234-567812345678", None),
        (
            "uuid",
            {"typename": "UUID", "value": "12345678123456781234567812345678"},
            "12345678-1234-5678-1234-567812345678",
        ),
        ("bytea", "AP8=", None),
        ("bytea", "data:image/png;name=a.png;base64,AP8=", "AP8="),
        ("bytea", "\\x00ff", "AP8="),
        ("bytea", "", None),
        ("jsonb", {"a": [1, 2.5, None, {"b": "\u20ac"}]}, None),
        ("json", [1, [2]], None),
        ("jsonb", [], None),
        ("jsonb", 5, None),
        ("jsonb", True, None),
        ("jsonb", '{"a": 1}', {"a": 1}),
        ("jsonb", '"text"', "text"),
        ("jsonb", {"at": {"typename": "datetime", "value": "2026-11-25T09:00:00"}}, {"at": "2026-11-25T09:00:00"}),
        ("json", '[1e999, 0.5, "\\ud800"]', ["1e999", 0.5, "\ud800"]),
        ("json", '["' + "[" * 300 + '"]', ["[" * 300]),
        ("integer[]", [1, None, 3], None),
        ("text[]", ["a", 'b"c', "d\\e", "NULL", "", "{,}"], None),
        ("numeric[]", [[0.1, 2], [3, 4]], [["0.1", "2"], ["3", "4"]]),
        ("date[]", [{"typename": "date", "value": "2026-11-25"}], ["2026-11-25"]),
        ("jsonb[]", [{"a": 1}, 3, "null"], [{"a": 1}, 3, None]),
        ("boolean[]", [], None),
        ("bytea[]", ["\\x00ff"], ["AP8="]),
        ("inet", "10.0.0.1", None),
        ("cidr", "10.0.0.0/8", None),
        ("int4range", "[1,5)", None),
        ("tstzmultirange", "{}", None),
        ("point", "(1,2)", None),
        ("xml", "<a/>", None),
        ("bit varying", "101", None),
        ("mood", "happy", None),
        ("pair", "(1,x)", None),
        ("oid", 5, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_value_both_ways(call, sql, kind, value, back):
    """It comes back as it went in, unless the table says how."""
    sql(f"CREATE TYPE mood AS ENUM ('happy'); CREATE TYPE pair AS (a int, b text); CREATE TABLE t (v {kind})")
    sql("ALTER TABLE t OWNER TO owner")
    assert call("InsertValues", "t", {"columns": ["v"], "values": [[value]]}) == done(1)
    assert call("SelectValues", "t", {"columns": ["v"]}) == ([[value if back is None else back]], None, 200)
    assert call("UpdateValues", "t", {"set": {"v": value}, "all_rows": True}) == done(1)


OWN_TYPES = """
DROP SCHEMA IF EXISTS "Our ""types" CASCADE; CREATE SCHEMA "Our ""types"; GRANT USAGE ON SCHEMA "Our ""types" TO owner;
SET search_path = public, "Our ""types";
CREATE TYPE mood AS ENUM ('sad', 'ok', 'NULL', 'a,b"{}');
CREATE TYPE "Our ""types"."The mood" AS ENUM ('sad', 'ok');
CREATE DOMAIN octets AS bytea; CREATE DOMAIN octets2 AS octets CHECK (value <> '');
CREATE DOMAIN "Our ""types"."Octets 3" AS octets2;
CREATE DOMAIN things AS jsonb; CREATE DOMAIN things2 AS things;
CREATE DOMAIN plain AS json; CREATE DOMAIN plain2 AS plain;
CREATE DOMAIN mood1 AS mood; CREATE DOMAIN mood2 AS mood1;
CREATE DOMAIN count1 AS int CHECK (value > 0); CREATE DOMAIN count2 AS count1;
CREATE DOMAIN price AS numeric(10, 2); CREATE DOMAIN moment AS timestamptz; CREATE DOMAIN words AS text;
CREATE DOMAIN octet_list AS bytea[]; CREATE DOMAIN octet_list2 AS octet_list; CREATE DOMAIN thing_list AS things2[];
CREATE DOMAIN mood_list AS mood[]; CREATE DOMAIN count_list AS count2[];
CREATE TYPE pair AS (a int, b text); CREATE TYPE secret AS (a int, b octets2); CREATE TYPE deep AS (a secret[]);
CREATE TYPE spans AS RANGE (subtype = float8);
"""


@pytest.mark.parametrize(
    ("kind", "value", "back", "stored"),
    [
        ("bytea[]", ["aGVsbG8=", None, ""], None, r'{"\\x68656c6c6f",NULL,"\\x"}'),
        ("bytea[]", [["aGk=", None], ["AP8=", "aGk="]], None, r'{{"\\x6869",NULL},{"\\x00ff","\\x6869"}}'),
        ("bytea[]", [], None, "{}"),
        ("octets", "aGk=", None, r"\x6869"),
        ("octets2", "data:;base64,aGk=", "aGk=", r"\x6869"),
        ('"Octets 3"', "aGk=", None, r"\x6869"),
        ('"Octets 3"[]', ["aGk=", None], None, r'{"\\x6869",NULL}'),
        ('"Octets 3"[]', [["aGk="], ["aGk="]], None, r'{{"\\x6869"},{"\\x6869"}}'),
        ("octet_list", ["aGk="], None, r'{"\\x6869"}'),
        ("octet_list2", ["aGk=", None], None, r'{"\\x6869",NULL}'),
        ("octet_list2[]", [["aGk="], ["AP8=", "aGk="], []], None, None),
        ("things2", {"a": [1, None]}, None, '{"a": [1, null]}'),
        ("things2", [1, {"b": 2}], None, '[1, {"b": 2}]'),
        ("things2", "[1]", [1], "[1]"),
        ("things2", None, None, None),
        ("plain2", [1, "x"], None, '[1, "x"]'),
        ("things2[]", [{"a": 1}, None, 3, "null"], [{"a": 1}, None, 3, None], '{"{\\"a\\": 1}",NULL,3,"null"}'),
        ("thing_list", [{"a": ["AP8="]}], None, None),
        ("jsonb[]", [{"at": {"typename": "date", "value": "2026-11-25"}}], [{"at": "2026-11-25"}], None),
        ("mood[]", ["sad", None, "NULL", 'a,b"{}'], None, r'{sad,NULL,"NULL","a,b\"{}"}'),
        ("mood[]", [["sad", "ok"], ["ok", "sad"]], None, "{{sad,ok},{ok,sad}}"),
        ("mood[]", [], None, "{}"),
        ("mood2", "ok", None, "ok"),
        ("mood2[]", ["ok", "sad"], None, "{ok,sad}"),
        ("mood_list", ["ok", "sad"], None, "{ok,sad}"),
        ("mood_list[]", [["ok", "sad"], ["sad"]], None, '{"{ok,sad}","{sad}"}'),
        ('"The mood"', "ok", None, "ok"),
        ('"The mood"[]', ["ok", None], None, "{ok,NULL}"),
        ("count2", 5, None, "5"),
        ("count2", 5.0, 5, "5"),
        ("count2[]", [1, None, 2], None, "{1,NULL,2}"),
        ("count_list", [[1], [2]], None, "{{1},{2}}"),
        ("price", 1.5, "1.50", "1.50"),
        ("price[]", [1.5, "2"], ["1.50", "2.00"], "{1.50,2.00}"),
        ("moment[]", ["2026-11-25T09:00:00+01:00"], ["2026-11-25T08:00:00+00:00"], None),
        ("words", {"a": 1}, '{"a": 1}', '{"a": 1}'),
        ("words[]", ["a", None, "", "NULL", {"b": 1}, 5], ["a", None, "", "NULL", '{"b": 1}', "5"], None),
        ("pair", "(1,x)", None, "(1,x)"),
        ("pair[]", ["(1,x)", None, '(2,"a b")'], None, None),
        ("secret", None, None, None),
        ("spans", "[1,2.5)", None, "[1,2.5)"),
        ("spans[]", ["[1,2.5)", None], None, None),
        ("int4range[]", ["[1,5)", "empty"], None, None),
        ("int4multirange[]", ["{[1,5)}"], None, None),
        ("xml[]", ["<a/>"], None, None),
        ("box[]", ["(2,2),(1,1)", "(4,4),(3,3)"], None, "{(2,2),(1,1);(4,4),(3,3)}"),
        (
            "uuid[]",
            [{"typename": "UUID", "value": "12345678123456781234567812345678"}],
            ["12345678-1234-5678-1234-567812345678"],
            None,
        ),
        ("interval[]", [{"typename": "timedelta", "days": 1, "seconds": 5}], ["P1DT5S"], None),
        ("double precision[]", [0.1, "NaN", 1e300], None, None),
        ("boolean[]", [[True, False], [None, True]], None, "{{t,f},{NULL,t}}"),
        ("integer[]", "[2:3]={7,8}", [7, 8], "[2:3]={7,8}"),
        ("oidvector", "1 2", None, "1 2"),
        ("name[]", ["a"], None, "{a}"),
        ('"char"', "x", None, "x"),
        ("information_schema.sql_identifier[]", ["a"], None, "{a}"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_value_of_a_type_of_the_database(call, sql, kind, value, back, stored):
    """Goes both ways by every command, at every depth; it comes back as it went in, unless the table says how."""
    sql(OWN_TYPES)
    sql(f"CREATE TABLE t (n int, v {kind}); ALTER TABLE t OWNER TO owner")
    back = value if back is None else back
    insert = {"columns": ["n", "v"], "values": [[1, value], [2, None], [3, value]]}
    assert call("InsertValues", "t", {**insert, "returning": ["v"]}) == ([[back], [None], [back]], None, 200)
    if stored is not None:
        assert sql("SELECT v::text FROM t") == [(stored,), (None,), (stored,)]
    assert call("SelectValues", "t", {"columns": ["v"]})[0] == [[back], [None], [back]]
    update = {"set": {"v": value}, "where": [["n", "=", 2]], "returning": ["v"], "as_objects": True}
    assert call("UpdateValues", "t", update) == ([{"v": back}], None, 200)
    assert call("DeleteValues", "t", {"where": [["n", "=", 2]], "returning": ["v"]}) == ([[back]], None, 200)
    text = {"sql": f"SELECT %s::{kind}, NULL::{kind}", "values": [value], "fetch_results": True}
    if "Our" not in kind and '"The' not in kind and '"Oct' not in kind:
        assert call("DoSQL", text) == ([[back, None]], None, 200)


@pytest.mark.parametrize(
    ("kind", "value", "condition"),
    [
        ("bytea", "aGk=", ["IN", ["AP8=", "aGk="]]),
        ("bytea", "aGk=", ["=", "aGk="]),
        ("bytea", "aGk=", ["NOT IN", ["AP8="]]),
        ("bytea[]", ["aGk=", None], ["=", ["aGk=", None]]),
        ('"Octets 3"', "aGk=", ["IN", ["aGk="]]),
        ('"Octets 3"', "aGk=", ["=", "aGk="]),
        ('"Octets 3"[]', ["aGk="], ["=", ["aGk="]]),
        ("mood", "ok", ["IN", ["ok", "sad"]]),
        ("mood[]", ["ok"], ["=", ["ok"]]),
        ("things2", {"a": 1}, ["=", {"a": 1}]),
        ("jsonb", {"a": 1}, ["IN", [{"a": 1}]]),
        ("count2", 5, ["IN", [5, 6]]),
        ("price", 1.5, [">=", 1]),
        ("uuid", "12345678-1234-5678-1234-567812345678", ["IN", ["12345678123456781234567812345678"]]),
        ("moment", "2026-11-25T09:00:00+01:00", ["<", "2026-11-25T08:00:01Z"]),
        ("words", "a", ["LIKE", "a%"]),
        ("int4range", "[1,5)", ["=", "[1,4]"]),
    ],
    ids=str,
)
def test_a_condition_on_a_type_of_the_database(call, sql, kind, value, condition):
    sql(OWN_TYPES)
    sql(f"CREATE TABLE t (n int, v {kind}); ALTER TABLE t OWNER TO owner")
    assert call("InsertValues", "t", {"columns": ["n", "v"], "values": [[1, value]]}) == done(1)
    assert call("SelectValues", "t", {"columns": ["n"], "where": [["v", *condition]]}) == ([[1]], None, 200)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *[
            ("bytea", value)
            for value in ["aGk", "a b=", "aGk=\n", "\\xzz", "\\000", 1234, True, 1.5, {"a": 1}, ["aGk="]]
        ],
        *[("bytea[]", value) for value in ["{aGk=}", "aGk=", ["aGk"], [1234], [True], [{}], {}, [["aGk="], "aGk="], 5]],
        *[("octets2", value) for value in ["", "x", 1234, {}]],
        *[("octet_list2", value) for value in ["{aGk=}", ["x"], [1234], {}]],
        *[("secret", value) for value in [{"a": 1, "b": "aGk="}, [1, "aGk="]]],
        *[
            ("integer[]", value)
            for value in [{}, [[]], [[], []], [[1], 2], [[1], [2, 3]], [[[1]], [2]], [None, [1]], ["x"], [{}], 5, True]
        ],
        *[("integer", value) for value in [[], [1], {}, True, "x"]],
        *[("text", value) for value in [[], ["a"], [1]]],
        *[("jsonb[]", value) for value in [[[1], [2]], [[1]], {}, ["x"]]],
        *[("mood", value) for value in ["happy", [], {}, 5]],
        *[("mood[]", value) for value in [["happy"], {}, "ok"]],
        *[("pair", value) for value in [{}, [], {"a": 1, "b": "x"}, [1, "x"]]],
        ("tstzmultirange", {}),
        ("xml", {"a": 1}),
        ("count2", 0),
        ("count2[]", [1, 0]),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit(call, sql, kind, value):
    """Is refused by every command, and nothing is stored in its place."""
    sql(OWN_TYPES)
    sql(f"CREATE TABLE t (n int, v {kind}); INSERT INTO t VALUES (1); ALTER TABLE t OWNER TO owner")
    for result in (
        call("InsertValues", "t", {"columns": ["v"], "values": [[value]]}),
        call("InsertValues", "t", {"columns": ["v"], "values": [[None], [value]]}),
        call("UpdateValues", "t", {"set": {"v": value}, "all_rows": True}),
        call("DoSQL", {"sql": "INSERT INTO t (v) VALUES (%s)", "values": [value]}),
    ):
        assert result[2] == 400, result
    assert sql("SELECT n, v::text FROM t") == [(1, None)]


def test_settings_of_the_database_change_nothing(call, sql):
    """Dates and bytes are written as ever, whatever the role or the database prefers."""
    sql("ALTER ROLE owner SET datestyle = 'German'; ALTER ROLE owner SET intervalstyle = 'postgres_verbose'")
    sql("ALTER ROLE owner SET bytea_output = 'escape'; ALTER ROLE owner SET extra_float_digits = -5")
    sql("ALTER ROLE owner SET timezone = 'Asia/Kolkata'")
    text = "SELECT date '2026-11-25', timestamptz '2026-11-25 09:00+00', interval '1 day', '\\x00'::bytea, 0.1::float8 + 0.2"
    try:
        row = ["2026-11-25", "2026-11-25T14:30:00+05:30", "P1D", "AA==", 0.1 + 0.2]
        assert call("DoSQL", {"sql": text, "fetch_results": True}) == ([row], None, 200)
    finally:
        sql("ALTER ROLE owner RESET ALL")


def test_a_database_of_any_encoding(make_call, postgres, sql):
    """One without an encoding may hold what is no UTF-8, which PostgreSQL does not send."""
    sql("DROP DATABASE IF EXISTS raw")
    sql("CREATE DATABASE raw ENCODING 'SQL_ASCII' TEMPLATE template0 OWNER owner")
    call = make_call(connection_string(postgres, dbname="raw"))
    assert call("DoSQL", {"sql": "SELECT 'ü'", "fetch_results": True}) == ([["ü"]], None, 200)
    result = call("DoSQL", {"sql": "SELECT convert_from('\\xff', 'SQL_ASCII')", "fetch_results": True})
    assert refusal(result) == ("DatabaseError", 400)


# --- what they refuse ---

UNCHANGED = "CREATE TABLE t (n int); INSERT INTO t VALUES (1); ALTER TABLE t OWNER TO owner"


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("DeleteValues", ["t", {}], 'where that is not empty, or "all_rows": true'),
        ("DeleteValues", ["t", {"where": []}], "where that is not empty"),
        ("DeleteValues", ["t", {"where": None}], "where that is not empty"),
        (
            "DeleteValues",
            ["t", {"were": [["n", "=", 2]]}],
            "unknown 'were'; it expects where, all_rows, returning, as_objects$",
        ),
        ("DeleteValues", ["t", {"all_rows": "yes"}], "where that is not empty"),
        ("DeleteValues", ["t", {"all_rows": True, "where": [["n", "=", 2]]}], "where that is not empty"),
        ("DeleteValues", ["t", {"where": ["n", "=", 2]}], "not a list of conditions"),
        ("DeleteValues", ["t", {"where": [["n", "= 2 OR n =", 1]]}], '"= 2 OR n ="\\]; before this value it expects'),
        ("DeleteValues", ["t", {"where": [["n", ">", None]]}], "one of !=, <>, =, IS, IS NOT$"),
        ("DeleteValues", ["t", {"where": [["n", "IS", 1]]}], '"IS"'),
        ("DeleteValues", ["t", {"where": [["n", None, 1]]}], "null"),
        ("DeleteValues", ["t", {"where": [["n", "IN", []]]}], "IN without a list of values"),
        ("DeleteValues", ["t", {"where": [["n", "NOT IN", [1, None]]]}], "none of them null"),
        ("DeleteValues", ["t", {"where": [["n", "IN", 1]]}], "IN without a list"),
        ("DeleteValues", ["t", {"where": [[["n"], "=", 1]]}], "expects a column"),
        ("DeleteValues", ["t", "where"], "schema must be an object, but is a string. Remove the quotes"),
        ("SelectValues", ["t", {"columns": ["n"], "where": None}], "not a list of conditions"),
        ("UpdateValues", ["t", {"set": {"n": 2}}], "where that is not empty"),
        ("UpdateValues", ["t", {"where": [["n", "=", 1]]}], "lacks 'set'; it expects set, where, all_rows"),
        ("UpdateValues", ["t", {"set": {}, "all_rows": True}], "set must be like"),
        ("UpdateValues", ["t", {"set": [["n", 2]], "all_rows": True}], "set must be like"),
        ("InsertValues", ["t", {"columns": ["n"], "values": [2]}], "not a list of rows, each a list of 1 values"),
        ("InsertValues", ["t", {"columns": ["n"], "values": [[2], [3, 4]]}], "each a list of 1"),
        ("InsertValues", ["t", {"columns": [], "values": [[]]}], "columns must be like"),
        ("InsertValues", ["t", {"columns": "n", "values": [[2]]}], "columns must be like"),
        ("InsertValues", ["t", {"columns": ["n\0"], "values": [[2]]}], "columns must be like"),
        ("InsertValues", ["t", {"columns": ["n"], "values": [["\0"]]}], r"cannot contain NUL \(0x00\)"),
        ("InsertValues", ["t", {"columns": ["n"], "values": [["\ud800"]]}], "surrogates not allowed"),
        ("InsertValues", ["", {"columns": ["n"], "values": [[2]]}], "table_name is not a name of a table"),
        ("InsertValues", ["a.b.c", {"columns": ["n"], "values": [[2]]}], "table_name"),
        ("InsertValues", [5, {"columns": ["n"], "values": [[2]]}], "table_name"),
        ("SelectValues", ["t", {}], "lacks 'columns'; it expects columns, where, order_by, limit, offset, as_objects$"),
        ("SelectValues", ["t", {"columns": [1]}], "columns must be like"),
        ("CreateTable", ["u", {"column_definitions": {"n": "int"}}], "column_definitions must be like"),
        ("CreateTable", ["u", {"column_definitions": [{"name": "n"}]}], "column definition lacks 'type'"),
        *(
            ("CreateTable", ["u", {"column_definitions": [{"name": "n", "type": kind}]}], "type (of n )?must be")
            for kind in [
                "int); DROP TABLE t; --",
                "int, m int",
                "text DEFAULT 'x'",
                "int -- x",
                "int/**/",
                "",
                5,
                '"int"',
            ]
        ),
        ("DoSQL", [{"sql": 5}], "sql must be like"),
        ("DoSQL", [{"sql": "SELECT 1\0"}], "sql must be like"),
        ("DoSQL", [{"sql": "SELECT 1", "values": 5}], "neither a list"),
        ("DoSQL", [{"sql": "SELECT %s", "values": [1, 2]}], "%s 1 times, and values has 2"),
        ("DoSQL", [{"sql": "SELECT %s, %s", "values": [1]}], "nothing for %s"),
        ("DoSQL", [{"sql": "SELECT %(a)s", "values": {"b": 1}}], r"nothing for %\(a\)s"),
        ("DoSQL", [{"sql": "SELECT %(a)s", "values": [1]}], r"nothing for %\(a\)s"),
        ("DoSQL", [{"sql": "SELECT %s", "values": {"b": 1}}], "nothing for %s"),
        ("DoSQL", [{"sql": "SELECT $1::int"}], "places for 1 values, and values has 0"),
        ("DoSQL", [{"sql": "SELECT %s::bytea", "values": ["no base64"]}], "must be a string of valid base64"),
        (
            "DoSQL",
            [{"sql": "SELECT %s", "values": [json.loads("[" * 600 + "]" * 600)]}],
            "recursion|A list needs",
        ),
        *[
            ("DoSQL", [{"sql": text}], "sql (must be like|has no statement)")
            for text in ["", " \n", ";", "-- nothing", "/* */ ;"]
        ],
        ("DoSQL", [{"sql": "SELECT 1 AS a, 2 AS a", "as_objects": True}], "two columns are called a.* with AS"),
        ("DoSQL", [{"sql": "INSERT INTO t VALUES (2) RETURNING n, n", "as_objects": True}], "two columns are called n"),
        ("SelectValues", ["t", {"columns": ["n", "n"], "as_objects": True}], "two columns are called n"),
        ("DeleteValues", ["t", {"all_rows": True, "returning": ["n", "n"], "as_objects": True}], "two columns"),
        ("DoSQL", [{"sql": "SELECT 1", "as_objects": "yes"}], "as_objects must be like"),
        ("DoSQL", [{"sql": "VACUUM", "autocommit": "true"}], "autocommit must be like"),
        ("SelectValues", ["t", {"columns": ["n"], "as_objects": 1}], "as_objects must be like"),
        *[
            ("SelectValues", ["t", {"columns": ["n"], "order_by": order}], "order_by")
            for order in [
                "n",
                ["n"],
                [["n"]],
                [["n", "up"]],
                [["n", None]],
                [["n", "asc; DROP TABLE t"]],
                [[1, "asc"]],
                {"n": "asc"},
                None,
            ]
        ],
        *[
            ("SelectValues", ["t", {"columns": ["n"], key: value}], f"{key} must be like 10")
            for key in ["limit", "offset"]
            for value in [None, -1, "1", True, 1.5, [1], 2**63]
        ],
        *[
            ("InsertValues", ["t", {"columns": ["n"], "values": [[2]], "on_conflict": conflict}], "on_conflict")
            for conflict in [
                None,
                [],
                {},
                {"columns": ["n"]},
                {"update": ["n"]},
                {"columns": ["n"], "update": []},
                {"do": "update"},
                {"columns": ["n"], "update": ["n"], "do": "nothing"},
                {"columns": ["n"], "update": ["m"]},
                {"do": None},
                {"columns": [], "do": "nothing"},
                {"columns": "n", "do": "nothing"},
                {"column": ["n"], "do": "nothing"},
            ]
        ],
        *[
            (
                command,
                ["t", {**schema, "returning": returning}],
                "returning must be like",
            )
            for command, schema in [
                ("InsertValues", {"columns": ["n"], "values": [[2]]}),
                ("DeleteValues", {"all_rows": True}),
                ("UpdateValues", {"set": {"n": 2}, "all_rows": True}),
            ]
            for returning in [[], "n", None, [1], ["n\0"]]
        ],
        ("DoSQL", [{"statement": "SELECT 1"}], "lacks 'sql'"),
    ],
    ids=str,
)
def test_a_parameter_of_the_wrong_shape(call, sql, command, arguments, words):
    """Is refused with a message that says what is right, and changes nothing."""
    sql(UNCHANGED)
    result = call(command, *arguments)
    assert refusal(result) == ("ValueError", 400)
    assert re.search(words, result[1]["message"])
    assert sql("SELECT n FROM t") == [(1,)]


def test_json_that_is_nested_deeply(call):
    """Is refused where this Python's json cannot read it, which some can."""
    body, error, status = call(
        "DoSQL", {"sql": "SELECT (repeat('[', 2000) || repeat(']', 2000))::json", "fetch_results": True}
    )
    if error:
        assert (error["error_code"], status) == ("ValueError", 400)
        assert "recursion" in error["message"]
    else:
        assert (len(body), status) == (1, 200)


TABLES = """
CREATE TABLE parents (n int PRIMARY KEY CHECK (n > 0), name varchar(3) NOT NULL, at date, u uuid);
CREATE TABLE children (n int REFERENCES parents DEFERRABLE INITIALLY DEFERRED, EXCLUDE USING btree (n WITH =));
ALTER TABLE parents OWNER TO owner; ALTER TABLE children OWNER TO owner;
INSERT INTO parents VALUES (1, 'a'); INSERT INTO children VALUES (1);
CREATE TABLE private (n int);
"""


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("INSERT INTO parents VALUES (1, 'b')", "UniqueViolation", 409),
        ("INSERT INTO children VALUES (2)", "ForeignKeyViolation", 409),  # on commit
        ("DELETE FROM parents", "ForeignKeyViolation", 409),
        ("INSERT INTO children VALUES (1)", "ExclusionViolation", 409),
        ("DROP TABLE parents", "DependentObjectsStillExist", 409),
        ("CREATE TABLE parents ()", "DuplicateTable", 409),
        ("INSERT INTO parents VALUES (2, NULL)", "NotNullViolation", 400),
        ("INSERT INTO parents VALUES (0, 'a')", "CheckViolation", 400),
        ("INSERT INTO parents VALUES (2, 'long')", "StringDataRightTruncation", 400),
        ("INSERT INTO parents VALUES ('x', 'a')", "InvalidTextRepresentation", 400),
        ("INSERT INTO parents VALUES (3000000000, 'a')", "NumericValueOutOfRange", 400),
        ("INSERT INTO parents VALUES (true, 'a')", "DatatypeMismatch", 400),
        ("SELECT date 'soon'", "InvalidDatetimeFormat", 400),
        ("SELECT date '2026-02-30'", "DatetimeFieldOverflow", 400),
        ("SELECT 1 / 0", "DivisionByZero", 400),
        ("SELECT 'a'; SELECT 'b'", "SyntaxError", 400),
        ("SELEC", "SyntaxError", 400),
        ("SELECT * FROM nothing", "UndefinedTable", 404),
        ("SELECT x FROM parents", "UndefinedColumn", 400),
        ("SELECT nothing(1)", "UndefinedFunction", 400),
        ("SELECT 1::nothing", "UndefinedObject", 400),
        ("CREATE TABLE nothing.t ()", "InvalidSchemaName", 404),
        ("SELECT * FROM private", "InsufficientPrivilege", 403),
        ("SELECT num_nulls($1)", "IndeterminateDatatype", 400),
        ("DO $$ BEGIN RAISE serialization_failure; END $$", "SerializationFailure", 503),
        ("DO $$ BEGIN RAISE deadlock_detected; END $$", "DeadlockDetected", 503),
        ("DO $$ BEGIN RAISE lock_not_available; END $$", "LockNotAvailable", 503),
        ("DO $$ BEGIN RAISE disk_full; END $$", "DatabaseError", 503),
        ("DO $$ BEGIN RAISE SQLSTATE 'ZZ999'; END $$", "DatabaseError", 400),
        ("DO $$ BEGIN RAISE query_canceled; END $$", "StatementTimeout", 503),
        ("SELECT pg_terminate_backend(pg_backend_pid())", "DatabaseError", 503),
        ("VACUUM", "DatabaseError", 400),
    ],
    ids=str,
)
def test_what_postgres_refuses(call, sql, text, code, status):
    """Has the name of PostgreSQL's code, and its words."""
    sql(TABLES)
    result = call("DoSQL", {"sql": text, "fetch_results": True})
    assert refusal(result) == (code, status)
    assert code != "DatabaseError" or "SQLSTATE" in result[1]["message"]
    assert "Failing row" not in result[1]["message"]


@pytest.mark.parametrize(
    ("changes", "code", "status", "words"),
    [
        ({"password": "wrong"}, "InvalidPassword", 403, ""),
        ({"password": ""}, "ValueError", 400, "no password"),
        ({"user": "nobody"}, "InvalidPassword", 403, ""),
        ({"user": "password_x", "password": "wrong"}, "InvalidPassword", 403, ""),
        ({"user": "timeout too many"}, "InvalidAuthorizationSpecification", 403, ""),
        ({"dbname": "nothing"}, "InvalidAuthorizationSpecification", 403, ""),
        ({"dbname": "password timeout"}, "InvalidAuthorizationSpecification", 403, ""),
        ({"dbname": "timeout_log"}, "InvalidAuthorizationSpecification", 403, ""),
        ({"dbname": "the database system is", "user": "password_x"}, "InsufficientPrivilege", 403, ""),
        ({"dbname": "forbidden"}, "InvalidAuthorizationSpecification", 403, ""),
        ({"user": "crowd"}, "CannotConnectNow", 503, ""),
        ({"options": "-cfoo=b"}, "UndefinedObject", 400, "foo"),
        ({"options": "-cstatement_timeout=b"}, "DatabaseError", 400, "SQLSTATE 22023"),
        ({"options": "-cmax_connections=5"}, "DatabaseError", 400, "SQLSTATE 55P02"),
        ({"port": 1}, "ConnectionFailed", 503, "^No connection to 127.0.0.1 port 1: Connection refused$"),
        ({"port": "1,2", "host": "127.0.0.1,127.0.0.1"}, "ConnectionFailed", 503, "port 2: Connection refused$"),
        ({"host": "/nowhere"}, "ConnectionFailed", 503, "^No connection to /nowhere port .*: No such file"),
        (
            {"host": "nothing.invalid"},
            "ConnectionFailed",
            503,
            "^No connection to port .*: failed to resolve host .nothing.invalid.: ",
        ),
        ({"port": "s3cret"}, "ValueError", 400, "port"),
        ({"port": 70000}, "ValueError", 400, "port"),
        ({"port": "1,2"}, "ValueError", 400, "2 port numbers to 1 hosts"),
        ({"host": "127.0.0.1,127.0.0.1", "hostaddr": "127.0.0.1"}, "ValueError", 400, "2 host names with 1 hostaddr"),
        ({"dbname": "x@h/d"}, "InvalidAuthorizationSpecification", 403, ""),
        ({"connect_timeout": "s3cret"}, "ValueError", 400, "not PostgreSQL's"),
        ({"sslmode": "foo"}, "ValueError", 400, 'invalid sslmode value: "foo"'),
        ({"service": "nope"}, "ValueError", 400, 'definition of service "nope" not found'),
        ({"target_session_attrs": "foo"}, "ValueError", 400, "target_session_attrs"),
        ({"gssencmode": "foo"}, "ValueError", 400, "gssencmode"),
        ({"channel_binding": "require"}, "ValueError", 400, "channel binding"),
        ({"sslmode": "verify-full"}, "SSLError", 400, "127.0.0.1 port .*: TLS failed.*root certificate file"),
        ({"sslmode": "verify-ca", "sslrootcert": "OTHER"}, "SSLError", 400, "certificate verify failed"),
        ({"sslmode": "verify-full", "sslrootcert": "OTHER"}, "SSLError", 400, "certificate verify failed"),
        ({"sslmode": "verify-full", "sslrootcert": "OURS"}, "SSLError", 400, "certificate .* does not match host name"),
    ],
    ids=str,
)
def test_a_connection_that_is_refused(make_call, postgres, authority, tmp_path, changes, code, status, words):
    """By SQLSTATE and by libpq's state: names of users and databases mean nothing, and are not shown."""
    if "sslrootcert" in changes:
        trusted = {"OURS": authority, "OTHER": trustme.CA()}[changes["sslrootcert"]]
        trusted.cert_pem.write_to_path(str(tmp_path / "root.pem"))
        changes = {**changes, "sslrootcert": str(tmp_path / "root.pem")}
    message = make_call(connection_string(postgres, **changes))("DropTable", "t")
    assert refusal(message) == (code, status)
    assert re.search(words, message[1]["message"])
    hidden = [str(changes[name]) for name in ("user", "dbname") if name in changes]
    assert not any(name in message[1]["message"] for name in [*hidden, "owner"])


def test_tls_with_a_certificate_that_is_trusted(make_call, postgres, authority, tmp_path):
    authority.cert_pem.write_to_path(str(tmp_path / "root.pem"))
    changes = {"sslmode": "verify-full", "sslrootcert": str(tmp_path / "root.pem"), "host": "localhost"}
    assert make_call(connection_string(postgres, **changes))("DropTable", "t") == OK


def test_refusals_in_another_language(postgres):
    """The tests above mean more where PostgreSQL has its translations."""
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(connection_string(postgres, dbname="nothing"))
    if "existiert nicht" not in str(caught.value):
        pytest.skip("PostgreSQL's translations are not installed")


def error_message(sqlstate, words):
    fields = f"SFATAL\0C{sqlstate}\0M{words}\0\0".encode()
    return b"E" + (len(fields) + 4).to_bytes(4, "big") + fields


@pytest.mark.parametrize(
    ("sent", "code", "status"),
    [
        (error_message("57P03", "le système démarre"), "CannotConnectNow", 503),
        (error_message("57P01", "arrêt"), "DatabaseError", 503),
        (error_message("53300", "désolé, password"), "CannotConnectNow", 503),
        (error_message("28000", "timeout: too many connections"), "InvalidAuthorizationSpecification", 403),
        (error_message("ZZ999", f"{SECRET} could not be understood"), "DatabaseError", 400),
        (error_message("58030", "disk"), "DatabaseError", 503),
        # PgBouncer's own refusals, and PostgreSQL's 08P01
        (error_message("08P01", "no such database: no more connections"), "InvalidAuthorizationSpecification", 403),
        (error_message("08P01", "password authentication failed"), "InvalidAuthorizationSpecification", 403),
        (error_message("08P01", "bouncer config error"), "InvalidAuthorizationSpecification", 403),
        (error_message("08P01", 'database "d" is disabled'), "InvalidAuthorizationSpecification", 403),
        (error_message("08P01", "unsupported startup parameter: options"), "InvalidAuthorizationSpecification", 403),
        (error_message("08P01", "no more connections allowed (max_client_conn)"), "DatabaseError", 503),
        (error_message("08P01", "server login has been failing, try again later"), "DatabaseError", 503),
        (error_message("08P01", "query_wait_timeout"), "DatabaseError", 503),
        (b"", "ConnectionFailed", 503),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "ValueError", 400),
    ],
)
def test_what_a_server_says_to_a_connection(make_call, postgres, raw_server, sent, code, status):
    def talk(connection, _):
        connection.recv(1000)
        connection.sendall(sent)
        if sent:
            connection.recv(1)  # until the other side closes the connection

    server = raw_server(talk)
    result = make_call(connection_string(postgres, port=server.port))("DropTable", "t")
    assert refusal(result) == (code, status)


@pytest.mark.parametrize(
    ("sqlstate", "words", "code", "status"),
    [
        ("08P01", "no such database: d", "InvalidAuthorizationSpecification", 403),
        ("08P01", "query_wait_timeout", "DatabaseError", 503),
        ("3D000", "timeout", "InvalidAuthorizationSpecification", 403),
        ("57P03", "password", "CannotConnectNow", 503),
    ],
)
def test_a_pooler_that_refuses_the_first_statement(make_call, postgres, raw_server, sqlstate, words, code, status):
    """It lets a client in before it has a connection to PostgreSQL."""
    encoding = b"client_encoding\0UTF8\0"
    ready = b"R\0\0\0\x08\0\0\0\0S" + (len(encoding) + 4).to_bytes(4, "big") + encoding + b"Z\0\0\0\x05I"

    def talk(connection, _):
        connection.recv(1000)
        connection.sendall(ready)
        connection.recv(1000)
        connection.sendall(error_message(sqlstate, words))

    server = raw_server(talk)
    result = make_call(connection_string(postgres, port=server.port))("DropTable", "t")
    assert refusal(result) == (code, status)


@pytest.mark.parametrize(
    ("mode", "answer", "code", "status"),
    [
        ("require", b"N", "SSLError", 400),
        ("require", b"S", "SSLError", 400),
        ("require", b"", "ConnectionFailed", 503),
        ("require", None, "ConnectTimeout", 503),
    ],
)
def test_tls_that_does_not_begin(make_call, postgres, raw_server, mode, answer, code, status):
    def talk(connection, _):
        connection.recv(8)
        connection.sendall(answer or b"")
        if answer != b"":
            connection.recv(1)  # until the other side closes the connection

    server = raw_server(talk)
    call = make_call(connection_string(postgres, port=server.port, sslmode=mode), POSTGRES_TIMEOUT="2")
    assert refusal(call("DropTable", "t")) == (code, status)


@pytest.mark.parametrize(
    "conninfo",
    [
        f"{SECRET} hello",
        f"postgresql+psycopg2://u:{SECRET}@h/d",
        f"nothing={SECRET}",
        f"postgresql://u:{SECRET}@h/d?nothing=1",
        "",
        "  ",
        f"postgresql://u:{SECRET.replace(' ', '')}@h/d",
        "postgresql://u:s3cret@pass word@h/d",
        "postgresql://u:1234/s3cret@h/d",
        "postgresql://u:s3cret/1@h/d?application_name=x",
    ],
)
def test_a_connection_string_that_is_none(make_call, conninfo):
    """Is not quoted, of which libpq's own message makes a habit."""
    result = make_call(conninfo)("DropTable", "t")
    assert refusal(result) == ("ValueError", 400)
    assert "Write postgresql://user:password@host/database" in result[1]["message"]


def test_the_readme_has_every_code(app):
    for code in list_errors():
        assert f"`{code}`" in (ROOT / "connectors" / "connector_postgres" / "README.md").read_text(), code


# --- time ---


def test_a_statement_that_takes_too_long(make_call, sql):
    """Is ended by PostgreSQL, and undone."""
    sql("CREATE TABLE t (n int); ALTER TABLE t OWNER TO owner")
    call = make_call(POSTGRES_TIMEOUT="3")  # the proxy itself gives up a tenth of this later, on a busy machine too
    text = "WITH x AS (INSERT INTO t VALUES (1) RETURNING n) SELECT n, pg_sleep(10) FROM x"
    result = call("DoSQL", {"sql": text})
    assert refusal(result) == ("StatementTimeout", 503)
    assert result[1]["message"] == "canceling statement due to statement timeout"
    assert sql("SELECT count(*) FROM t") == [(0,)]


def test_a_table_that_somebody_holds(make_call, postgres, sql):
    sql("CREATE TABLE t (n int); ALTER TABLE t OWNER TO owner")
    call = make_call(POSTGRES_TIMEOUT="2")
    with psycopg.connect(postgres.admin) as other:
        other.execute("LOCK TABLE t")
        assert refusal(call("SelectValues", "t", {"columns": ["n"]})) == ("StatementTimeout", 503)


def test_servers_that_say_nothing(make_call, postgres, raw_server):
    """One that accepts and one that does not even do that."""
    server = raw_server(lambda connection, _: connection.recv(1000) and connection.recv(1000))
    with serve_nobody() as nobody:
        for port in server.port, nobody:
            call = make_call(connection_string(postgres, port=port), POSTGRES_TIMEOUT="0.3")
            assert refusal(call("DropTable", "t")) == ("ConnectTimeout", 503)


def test_the_next_of_several_hosts(make_call, postgres):
    """Has its turn when the one before says nothing for its share of the time."""
    with serve_nobody() as nobody:
        hosts = connection_string(postgres, host=f"127.0.0.1,{postgres.folder}", port=f"{nobody},{postgres.port}")
        call = make_call(hosts, POSTGRES_TIMEOUT="1")
        assert call("DropTable", "t") == OK


def test_a_name_that_is_not_looked_up(make_caller, postgres):
    """The resolver does not answer."""
    packages = str(Path(psycopg.__file__).parent.parent)
    caller = make_caller({"silent.test": [None]}, PYTHONPATH=packages)
    parameters = {"database_connection_str": "host=silent.test user=u", "table_name": "t"}
    answer = caller("postgres/DropTable", {"CONNECTOR_PROXY_POSTGRES_TIMEOUT": "0.3"}, **parameters)
    assert answer["error"]["error_code"] == "ConnectTimeout"


@pytest.fixture
def relay(raw_server, postgres):
    """A way to PostgreSQL; `act` gets what a client sends and its connection, and returns what is passed on."""

    def talk(client, _):
        with socket.create_connection(("127.0.0.1", postgres.port)) as server:
            threading.Thread(target=pump, args=(server, client), daemon=True).start()
            while data := client.recv(65536):
                relay.seen += data
                data = relay.act(data)
                if data is None:
                    break
                server.sendall(data)
            for end in server, client:  # the other thread waits for one of them
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        relay.ended.set()

    def pump(server, client):
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)

    relay = SimpleNamespace(seen=b"", act=lambda data: data, ended=threading.Event())
    relay.port = raw_server(talk).port
    return relay


@pytest.mark.parametrize(
    ("mark", "reaction", "code", "status"),
    [
        (b"INSERT", b"", "StatementTimeout", 503),
        (b"INSERT", None, "ConnectionFailed", 503),
        (b"COMMIT", b"", "OutcomeUnknown", 422),
        (b"COMMIT", None, "OutcomeUnknown", 422),
        (b"set_config", b"", "ConnectTimeout", 503),
    ],
    ids=str,
)
def test_a_connection_that_is_lost(make_call, postgres, sql, relay, mark, reaction, code, status):
    """Silently or not: where nothing can have been kept, SpiffArena may try again, and else it may not."""
    sql("CREATE TABLE t (n int); ALTER TABLE t OWNER TO owner")
    relay.act = lambda data: reaction if mark in data else data
    call = make_call(connection_string(postgres, port=relay.port), POSTGRES_TIMEOUT="2")
    assert refusal(call("InsertValues", "t", {"columns": ["n"], "values": [[1]]})) == (code, status)
    assert relay.ended.wait(10)
    assert sql("SELECT count(*) FROM t") == [(0,)]


def test_a_connection_that_is_lost_while_much_is_sent(make_call, postgres, sql, relay):
    sql("CREATE TABLE t (v text); ALTER TABLE t OWNER TO owner")
    relay.act = lambda data: None if b"yyyy" in data else data
    call = make_call(connection_string(postgres, port=relay.port))
    result = call("InsertValues", "t", {"columns": ["v"], "values": [["y" * 5_000_000]]})
    assert refusal(result) == ("ConnectionFailed", 503)


def test_nothing_is_done_late(make_call, postgres, sql, relay):
    """A connection that is there when nobody waits any more is closed."""
    sql("CREATE TABLE t (n int); ALTER TABLE t OWNER TO owner")
    answered = threading.Event()

    def act(data):
        assert answered.wait(10)
        return data

    relay.act = act
    call = make_call(connection_string(postgres, port=relay.port), POSTGRES_TIMEOUT="0.3")
    result = call("InsertValues", "t", {"columns": ["n"], "values": [[1]]})
    answered.set()
    assert refusal(result) == ("ConnectTimeout", 503)
    assert relay.ended.wait(10)
    assert b"user\0" in relay.seen
    assert b"BEGIN" not in relay.seen


# --- size ---


def test_more_rows_than_the_operator_allows(make_call):
    call = make_call(HTTP_MAX_RESPONSE_BYTES=10_000)
    text = "SELECT n, 'some text' FROM generate_series(1, %s) n"
    rows, _, _ = call("DoSQL", {"sql": text, "values": [40], "fetch_results": True})
    assert len(rows) == 40
    result = call("DoSQL", {"sql": text, "values": [1000], "fetch_results": True})
    assert refusal(result) == ("ResponseTooLarge", 413)
    assert re.search(r"After \d\d rows .* limit", result[1]["message"])
    assert call("DoSQL", {"sql": text, "values": [1000]}) == done(1000)


def test_a_query_without_end_does_not_fill_the_memory(make_caller, postgres):
    """Whether its rows are wanted or not."""
    packages = str(Path(psycopg.__file__).parent.parent)
    caller = make_caller(PYTHONPATH=packages)
    settings = {"CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES": "1000000"}

    def call(text, fetches):
        schema = {"sql": text, "fetch_results": fetches}
        return caller("postgres/DoSQL", settings, database_connection_str=postgres.admin, schema=schema)

    call("SELECT 1", True)
    before = caller.kilobytes
    text = "SELECT repeat('x', 100000) FROM generate_series(1, 2000)"
    assert call(text, True)["error"]["error_code"] == "ResponseTooLarge"
    assert call(text, False)["command_response"]["body"] == {"result": "2000 rows affected"}
    assert caller.kilobytes - before < 50_000
    assert caller.threads == 1


VALUE = "SELECT repeat('x', 100000000)"


@pytest.mark.parametrize(
    ("way", "schema"),
    [
        ("socket", {"sql": VALUE, "fetch_results": True}),
        ("TLS", {"sql": VALUE, "fetch_results": True}),
        ("TCP", {"sql": VALUE}),
        ("TLS", {"sql": f"{VALUE}::bytea", "fetch_results": True}),
        ("socket", {"sql": "SELECT array_fill('x'::text, ARRAY[30000000])", "fetch_results": True}),
        ("TCP", {"sql": f"{VALUE} FROM generate_series(1, 3)", "as_objects": True}),
        ("socket", {"sql": VALUE, "fetch_results": True, "autocommit": True}),
        ("TCP", {"sql": "DO $$ BEGIN RAISE NOTICE '%', repeat('x', 100000000); END $$"}),
        ("TLS", {"sql": "DO $$ BEGIN RAISE EXCEPTION '%', repeat('x', 100000000); END $$"}),
    ],
    ids=str,
)
def test_a_value_that_is_larger_than_the_operator_allows(make_caller, postgres, way, schema):
    """Is refused while it arrives, and does not fill the memory."""
    caller = make_caller(PYTHONPATH=str(Path(psycopg.__file__).parent.parent))
    tcp = {"sslmode": "require" if way == "TLS" else "disable"}
    conninfo = postgres.admin if way == "socket" else connection_string(postgres, **tcp)
    settings = {"CONNECTOR_PROXY_HTTP_MAX_RESPONSE_BYTES": "4000000"}
    call = functools.partial(caller, "postgres/DoSQL", settings, database_connection_str=conninfo)
    call(schema={"sql": "SELECT 1", "fetch_results": True})
    before = caller.kilobytes
    assert call(schema=schema)["error"]["error_code"] == "ResponseTooLarge"
    assert caller.kilobytes - before < 30_000
    assert caller.threads == 1


def test_a_large_value_both_ways(call, sql):
    """What is sent and what arrives passes through a pair of sockets, in parts."""
    sql("CREATE TABLE t (v text); ALTER TABLE t OWNER TO owner")
    value = "x" * 20_000_000
    assert call("InsertValues", "t", {"columns": ["v"], "values": [[value]], "returning": ["v"]})[0] == [[value]]
    assert call("SelectValues", "t", {"columns": ["v"], "where": [["v", "=", value]]})[0] == [[value]]
    rows = [["y" * 50_000]] * 300
    assert call("InsertValues", "t", {"columns": ["v"], "values": rows, "returning": ["v"]})[0] == rows


def test_rows_that_insert_values_returns(make_call, sql):
    """Count as those of a query."""
    sql("CREATE TABLE t (n int, v text GENERATED ALWAYS AS (repeat('x', n)) STORED); ALTER TABLE t OWNER TO owner")
    call = make_call(HTTP_MAX_RESPONSE_BYTES=10_000)
    insert = {"columns": ["n"], "values": [[1000]] * 9}
    assert len(call("InsertValues", "t", {**insert, "values": [[1000]] * 8, "returning": ["v"]})[0]) == 8
    assert refusal(call("InsertValues", "t", {**insert, "values": [[1000]] * 10, "returning": ["v"]})) == (
        "ResponseTooLarge",
        413,
    )
    assert call("InsertValues", "t", {**insert, "values": [[1000]] * 2000}) == done(2000)
    assert sql("SELECT count(*) FROM t") == [(2008,)]


# --- PgBouncer ---

PGBOUNCER = shutil.which("pgbouncer", path=f"{PATH}:/usr/sbin")


@pytest.fixture(scope="session")
def pooler(postgres):
    """PgBouncer in transaction mode, with one connection to PostgreSQL that all clients share; its port."""
    if not PGBOUNCER:
        pytest.skip("PgBouncer is not installed")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pgbouncer") as folder:
        options = as_nobody()
        Path(folder, "users").write_text(f'"owner" "{SECRET}"\n')
        server = f"host={postgres.folder} port={postgres.port}"
        Path(folder, "ini").write_text(
            f"[databases]\npostgres = {server}\nlost = {server} dbname=nothing\nsilent = host=127.0.0.1 port=1\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\n"
            f"auth_file = {folder}/users\npool_mode = transaction\ndefault_pool_size = 1\n"
        )
        Path(folder).chmod(0o755)
        process = subprocess.Popen(
            [PGBOUNCER, f"{folder}/ini"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **options,
        )
        try:
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert process.poll() is None
                time.sleep(0.02)  # it has no other way to say that it is ready
            yield port
        finally:
            process.kill()
            process.wait()


def test_each_command_by_a_pooler(make_call, postgres, sql, pooler):
    """In transaction mode, which knows no prepared statements; a second client finds the session as it was."""
    sql(OWN_TYPES)
    sql("ALTER ROLE owner SET datestyle = 'German'")
    call = make_call(connection_string(postgres, port=pooler))
    try:
        for autocommit in False, True, False:
            definitions = [("id", "integer primary key"), ("v", "octets2[]"), ("m", "mood[]")]
            columns = {"column_definitions": [{"name": name, "type": kind} for name, kind in definitions]}
            assert call("CreateTable", "t", columns) == OK
            rows = [[number, ["aGk="], ["ok", None]] for number in range(600)]
            insert = {"columns": ["id", "v", "m"], "values": rows}
            assert call("InsertValues", "t", insert) == done(600)
            conflict = {"on_conflict": {"columns": ["id"], "update": ["m"]}, "returning": ["id"]}
            assert call("InsertValues", "t", {**insert, **conflict})[0] == [[number] for number in range(600)]
            select = {"columns": ["*"], "order_by": [["id", "asc"]], "limit": 1}
            assert call("SelectValues", "t", select)[0] == rows[:1]
            change = {"set": {"v": None}, "where": [["v", "=", ["aGk="]]]}
            assert call("UpdateValues", "t", change) == done(600)
            text = {"sql": "SELECT %s + 1, date '2026-11-25', '\\x00'::bytea", "values": [1], "fetch_results": True}
            expected = [[2, "2026-11-25", "AA=="]]
            assert call("DoSQL", {**text, "autocommit": autocommit}) == (expected, None, 200)
            assert call("DoSQL", {"sql": "VACUUM t", "autocommit": True}) == OK
            assert refusal(call("DoSQL", {"sql": "SELECT 1/0", "autocommit": autocommit})) == ("DivisionByZero", 400)
            with psycopg.connect(connection_string(postgres, port=pooler), autocommit=True) as other:
                assert other.execute("SHOW statement_timeout").fetchone() == ("0",)
            assert call("DeleteValues", "t", {"where": [["id", "<", 300]]}) == done(300)
            assert call("DropTable", "t") == OK
    finally:
        sql("ALTER ROLE owner RESET ALL")


@pytest.mark.parametrize(
    ("changes", "code", "status"),
    [
        ({"password": "wrong"}, "InvalidAuthorizationSpecification", 403),
        ({"user": "nobody"}, "InvalidAuthorizationSpecification", 403),
        ({"dbname": "timeout_log"}, "InvalidAuthorizationSpecification", 403),
        ({"options": "-cfoo=b"}, "InvalidAuthorizationSpecification", 403),
        ({"dbname": "lost"}, "DatabaseError", 503),  # PostgreSQL said so to PgBouncer, which hides the SQLSTATE
        ({"sslmode": "require"}, "SSLError", 400),
    ],
    ids=str,
)
def test_what_a_pooler_refuses(make_call, postgres, pooler, changes, code, status):
    result = make_call(connection_string(postgres, port=pooler, **changes))("DropTable", "t")
    assert refusal(result) == (code, status)


# --- without psycopg ---

HOW = "python3 -m pip install --target FOLDER 'psycopg[binary]>=3.2', then start the proxy with --connectors FOLDER"
CALL = ("call", "postgres/DropTable", "database_connection_str=host=h", "table_name=t")


def test_without_psycopg():
    """It is listed, a call says how to get it, and nothing else is touched."""
    ended = run_proxy("list")
    assert "\n  postgres/DropTable(database_connection_str*: str, table_name*: str)\n" in ended.stdout
    assert f"\nMissing\n  connector_postgres needs psycopg, which is not installed: {HOW}\n" in ended.stdout
    assert ended.returncode == 0
    ended = run_proxy(*CALL)
    assert json.loads(ended.stdout)["error"]["error_code"] == "connector_unavailable"
    assert HOW in ended.stdout


def test_psycopg_that_cannot_be_imported(tmp_path):
    """As where there is no libpq for it."""
    (tmp_path / "psycopg").mkdir()
    (tmp_path / "psycopg" / "__init__.py").write_text("raise ImportError('no pq wrapper available')")
    ended = run_proxy(*CALL, PYTHONPATH=str(tmp_path))
    answer = json.loads(ended.stdout)
    assert answer["command_response"]["http_status"] == 503
    message = f"psycopg cannot be imported in the proxy: {HOW}"
    assert answer["error"] == {"error_code": "connector_unavailable", "message": message}
