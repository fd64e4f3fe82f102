"""The postgres connector, against a real PostgreSQL, and against servers that fall silent."""

import ast
import contextlib
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
"""


def as_nobody():
    """Return the options by which a process is not root's, which PostgreSQL refuses to be."""
    if os.getuid():
        return {}
    account = pwd.getpwnam("nobody")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def postgres():
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
        settings += ["fsync=off", "timezone=UTC"]
        log = Path(folder, "log")
        with log.open("wb") as err:
            flags = [part for setting in settings for part in ("-c", setting)]
            process = subprocess.Popen([bin_folder / "postgres", "-D", data, *flags], stderr=err, **options)
        server = SimpleNamespace(folder=folder, port=port, admin=f"host={folder} port={port} user=postgres")
        try:
            while True:
                with contextlib.suppress(psycopg.OperationalError), psycopg.connect(server.admin) as connection:
                    connection.execute(ROLES)
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
    return psycopg.conninfo.make_conninfo(**given, sslmode="disable")


def list_errors():
    """Return the codes that all commands declare, which an application has made importable."""
    from connector_postgres.commands.do_sql import DoSQL

    return DoSQL.errors


@pytest.fixture
def make_call(make_app, postgres, caplog):
    """Return a function that makes one which calls a command and returns body, error and status."""

    def make(conninfo=None, **settings):
        app = make_app(**settings)
        conninfo = conninfo or connection_string(postgres, host=postgres.folder)
        secrets = {SECRET, postgres.folder, "127.0.0.1"}

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
    examples = re.findall(r"^(\{.*\})  # (\w+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
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


def test_a_domain_takes_what_it_is_made_of(call, sql):
    sql("CREATE DOMAIN octets AS bytea; CREATE DOMAIN things AS jsonb; CREATE TYPE mood AS ENUM ('glad')")
    sql("CREATE TABLE t (a octets, b things, c mood); ALTER TABLE t OWNER TO owner")
    assert call("InsertValues", "t", {"columns": ["a", "b", "c"], "values": [["AP8=", [1, "x"], "glad"]]}) == done(1)
    assert sql("SELECT a::bytea, b::jsonb, c::text FROM t") == [(b"\0\xff", [1, "x"], "glad")]


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


@pytest.mark.parametrize("name", ['a"b', "a%b %s", "a{b}{}", "select", "Über", "a'b; --", "$1", " ", "a\nb", "\\"])
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
        ({"sql": "SELECT %s::int[], %s::jsonb", "values": [[1], [1]], "fetch_results": True}, [[[1], [1]]]),
        ({"sql": "SELECT 1 WHERE false", "fetch_results": True}, []),
        ({"sql": "INSERT INTO t VALUES (1), (2) RETURNING n;", "fetch_results": True}, [[1], [2]]),
        ({"sql": "INSERT INTO t VALUES (%s)", "values": [1]}, {"result": "1 rows affected"}),
        ({"sql": "INSERT INTO t VALUES (1)", "fetch_results": True}, {"result": "1 rows affected"}),
        ({"sql": "SELECT generate_series(1, 5)"}, {"result": "5 rows affected"}),
        ({"sql": "CREATE TABLE u ()"}, {"result": "ok"}),
        ({"sql": "CREATE TABLE u ()", "values": []}, {"result": "ok"}),
        ({"sql": "DO $$ BEGIN CREATE TABLE u (); DROP TABLE u; END $$"}, {"result": "ok"}),
        ({"sql": ""}, {"result": "ok"}),
    ],
    ids=str,
)
def test_sql_of_the_author(call, sql, schema, body):
    sql("CREATE TABLE t (n int); ALTER TABLE t OWNER TO owner")
    assert call("DoSQL", schema) == (body, None, 200)


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
        ("json", "9" * 5000, None),
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
        ("DeleteValues", ["t", {"were": [["n", "=", 2]]}], "unknown 'were'; it takes where, all_rows$"),
        ("DeleteValues", ["t", {"all_rows": "yes"}], "where that is not empty"),
        ("DeleteValues", ["t", {"all_rows": True, "where": [["n", "=", 2]]}], "where that is not empty"),
        ("DeleteValues", ["t", {"where": ["n", "=", 2]}], "no list of conditions"),
        ("DeleteValues", ["t", {"where": [["n", "= 2 OR n =", 1]]}], "'= 2 OR n ='; before this value it takes"),
        ("DeleteValues", ["t", {"where": [["n", ">", None]]}], "takes !=, <>, =, IS, IS NOT$"),
        ("DeleteValues", ["t", {"where": [["n", "IS", 1]]}], "'IS'"),
        ("DeleteValues", ["t", {"where": [["n", None, 1]]}], "'None'"),
        ("DeleteValues", ["t", {"where": [["n", "IN", []]]}], "IN without a list of values"),
        ("DeleteValues", ["t", {"where": [["n", "NOT IN", [1, None]]]}], "none of them null"),
        ("DeleteValues", ["t", {"where": [["n", "IN", 1]]}], "IN without a list"),
        ("DeleteValues", ["t", {"where": [[["n"], "=", 1]]}], "takes a column's name"),
        ("DeleteValues", ["t", "where"], "schema is no object"),
        ("UpdateValues", ["t", {"set": {"n": 2}}], "where that is not empty"),
        ("UpdateValues", ["t", {"where": [["n", "=", 1]]}], "lacks 'set'; it takes set, where, all_rows"),
        ("UpdateValues", ["t", {"set": {}, "all_rows": True}], "set is no object"),
        ("UpdateValues", ["t", {"set": [["n", 2]], "all_rows": True}], "set is no object"),
        ("InsertValues", ["t", {"columns": ["n"], "values": [2]}], "no list of rows, each a list of 1 values"),
        ("InsertValues", ["t", {"columns": ["n"], "values": [[2], [3, 4]]}], "each a list of 1"),
        ("InsertValues", ["t", {"columns": [], "values": [[]]}], "columns is no list of names"),
        ("InsertValues", ["t", {"columns": "n", "values": [[2]]}], "columns is no list"),
        ("InsertValues", ["t", {"columns": ["n\0"], "values": [[2]]}], "takes a column's name"),
        ("InsertValues", ["t", {"columns": ["n"], "values": [["\0"]]}], r"cannot contain NUL \(0x00\)"),
        ("InsertValues", ["t", {"columns": ["n"], "values": [["\ud800"]]}], "half of a character"),
        ("InsertValues", ["", {"columns": ["n"], "values": [[2]]}], "table_name is no name of a table"),
        ("InsertValues", ["a.b.c", {"columns": ["n"], "values": [[2]]}], "table_name"),
        ("InsertValues", [5, {"columns": ["n"], "values": [[2]]}], "table_name"),
        ("SelectValues", ["t", {}], "lacks 'columns'; it takes columns, where$"),
        ("SelectValues", ["t", {"columns": [1]}], "has 1 where it takes a column's name"),
        ("CreateTable", ["u", {"column_definitions": {"n": "int"}}], "no list of objects"),
        ("CreateTable", ["u", {"column_definitions": [{"name": "n"}]}], "column definition lacks 'type'"),
        *(
            ("CreateTable", ["u", {"column_definitions": [{"name": "n", "type": kind}]}], "a type is words")
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
        ("DoSQL", [{"sql": 5}], "no text of SQL"),
        ("DoSQL", [{"sql": "SELECT 1\0"}], "no text of SQL"),
        ("DoSQL", [{"sql": "SELECT 1", "values": 5}], "neither a list"),
        ("DoSQL", [{"sql": "SELECT %s", "values": [1, 2]}], "%s 1 times, and values has 2"),
        ("DoSQL", [{"sql": "SELECT %s, %s", "values": [1]}], "nothing for %s"),
        ("DoSQL", [{"sql": "SELECT %(a)s", "values": {"b": 1}}], r"nothing for %\(a\)s"),
        ("DoSQL", [{"sql": "SELECT %(a)s", "values": [1]}], r"nothing for %\(a\)s"),
        ("DoSQL", [{"sql": "SELECT %s", "values": {"b": 1}}], "nothing for %s"),
        ("DoSQL", [{"sql": "SELECT $1::int"}], "places for 1 values, and values has 0"),
        ("DoSQL", [{"sql": "SELECT %s::bytea", "values": ["no base64"]}], "no base64"),
        ("DoSQL", [{"sql": "SELECT %s", "values": [json.loads("[" * 600 + "]" * 600)]}], "nested too deeply"),
        ("DoSQL", [{"sql": "COPY t TO STDOUT", "fetch_results": True}], "COPY"),
        ("DoSQL", [{"sql": "SELECT 1" + ", %s" * 65536, "values": [1] * 65536}], "takes 65535 values, and not 65536"),
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
        assert "nested too deeply" in error["message"]
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
    ("changes", "code", "status"),
    [
        ({"password": "wrong"}, "InvalidPassword", 403),
        ({"password": ""}, "InvalidPassword", 403),
        ({"user": "nobody"}, "InvalidPassword", 403),
        ({"dbname": "nothing"}, "InvalidAuthorizationSpecification", 403),
        ({"dbname": "forbidden"}, "InvalidAuthorizationSpecification", 403),
        ({"user": "crowd"}, "CannotConnectNow", 503),
        ({"port": 1}, "ConnectionFailed", 503),
        ({"port": "s3cret"}, "ConnectionFailed", 503),
        ({"host": "nothing.invalid"}, "ConnectionFailed", 503),
    ],
    ids=str,
)
def test_a_connection_that_is_refused(make_call, postgres, changes, code, status):
    """Names neither host nor user nor database."""
    result = make_call(connection_string(postgres, **changes))("DropTable", "t")
    assert refusal(result) == (code, status)
    assert not re.search("nothing[^ ]|nobody|crowd|forbidden|owner", result[1]["message"])


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("the database system is starting up", "CannotConnectNow", 503),
        ("sorry, too many clients already", "CannotConnectNow", 503),
        ("remaining connection slots are reserved for roles with the SUPERUSER attribute", "CannotConnectNow", 503),
        ('no pg_hba.conf entry for host "127.0.0.1"', "InvalidAuthorizationSpecification", 403),
        (f"{SECRET} could not be understood", "ConnectionFailed", 503),
    ],
)
def test_what_a_server_says_to_a_connection(make_call, postgres, raw_server, text, code, status):
    """Is not shown, whatever it is."""
    fields = f"SFATAL\0C57P03\0M{text}\0\0".encode()
    message = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
    server = raw_server(lambda connection, _: connection.recv(1000) and message)
    result = make_call(connection_string(postgres, port=server.port))("DropTable", "t")
    assert refusal(result) == (code, status)


@pytest.mark.parametrize(
    "conninfo",
    [
        f"{SECRET} hello",
        f"postgresql+psycopg2://u:{SECRET}@h/d",
        f"nothing={SECRET}",
        f"postgresql://u:{SECRET}@h/d?nothing=1",
        5,
    ],
)
def test_a_connection_string_that_is_none(make_call, conninfo):
    """Is not quoted, of which libpq's own message makes a habit."""
    result = make_call(conninfo)("DropTable", "t")
    assert refusal(result) == ("ValueError", 400)
    assert "write postgresql://user:password@host/database" in result[1]["message"]


def test_the_readme_has_every_code(app):
    for code in list_errors():
        assert f"`{code}`" in (ROOT / "README.md").read_text(), code


# --- time ---


def test_a_statement_that_takes_too_long(make_call, sql):
    """Is ended by PostgreSQL, and undone."""
    sql("CREATE TABLE t (n int); ALTER TABLE t OWNER TO owner")
    call = make_call(POSTGRES_TIMEOUT="0.5")
    text = "WITH x AS (INSERT INTO t VALUES (1) RETURNING n) SELECT n, pg_sleep(10) FROM x"
    result = call("DoSQL", {"sql": text})
    assert refusal(result) == ("StatementTimeout", 503)
    assert result[1]["message"] == "canceling statement due to statement timeout"
    assert sql("SELECT count(*) FROM t") == [(0,)]


def test_a_table_that_somebody_holds(make_call, postgres, sql):
    sql("CREATE TABLE t (n int); ALTER TABLE t OWNER TO owner")
    call = make_call(POSTGRES_TIMEOUT="0.5")
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
        call = make_call(hosts, POSTGRES_TIMEOUT="4")  # libpq waits for 2 at least
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
        (b"SET LOCAL", b"", "StatementTimeout", 503),
    ],
    ids=str,
)
def test_a_connection_that_is_lost(make_call, postgres, sql, relay, mark, reaction, code, status):
    """Silently or not: where nothing can have been kept, SpiffArena may try again, and else it may not."""
    sql("CREATE TABLE t (n int); ALTER TABLE t OWNER TO owner")
    relay.act = lambda data: reaction if mark in data else data
    call = make_call(connection_string(postgres, port=relay.port), POSTGRES_TIMEOUT="0.5")
    assert refusal(call("InsertValues", "t", {"columns": ["n"], "values": [[1]]})) == (code, status)
    assert relay.ended.wait(10)
    assert sql("SELECT count(*) FROM t") == [(0,)]


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
    assert re.search(r"After \d\d rows .* LIMIT", result[1]["message"])
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


# --- without psycopg ---

HOW = "pip install 'spiffproxy[postgres]'"
CALL = ("call", "postgres/DropTable", "database_connection_str=host=h", "table_name=t")


def test_without_psycopg():
    """It is listed, a call says how to get it, and nothing else is touched."""
    ended = run_proxy("list")
    assert "\n  postgres/DropTable(database_connection_str*: str, table_name*: str)\n" in ended.stdout
    assert f"\nLacking\n  connector_postgres needs psycopg, which is not installed: {HOW}\n" in ended.stdout
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
