"""Settings: what is refused, in one line that names the setting; where a value comes from; what stays secret."""

import importlib
import re
import sys

import pytest
from conftest import ROOT, run_proxy

from spiffproxy import Proxy, SettingError, main

API_KEY = "CONNECTOR_PROXY_API_KEY"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "http", "'http'. Use a whole number from 0 to 65535."),
        ("PORT", "65536", "from 0 to 65535"),
        ("PORT", "-1", "from 0 to 65535"),
        ("PORT", "７００４", "from 0 to 65535"),
        ("PORT", "9" * 5000, "from 0 to 65535"),
        ("THREADS", "0", "from 1"),
        ("THREADS", "many", "from 1"),
        ("THREADS", "449", "to 448"),
        ("MAX_REQUEST_BYTES", "32M", "from 1"),
        ("HTTP_TIMEOUT", "soon", "'soon'. Use a number of seconds above 0"),
        ("HTTP_TIMEOUT", "0", "above 0"),
        ("HTTP_TIMEOUT", "nan", "above 0"),
        ("SMTP_TIMEOUT", "-1", "above 0"),
        ("POSTGRES_TIMEOUT", "x", "above 0"),
        ("HTTP_MAX_RESPONSE_BYTES", "64M", "from 1"),
        ("CONNECTORS", "/no/such/folder", "there is no folder /no/such/folder"),
        ("CONFIG", "/no/such/file.py", "No such file"),
        ("CORS_ORIGINS", "https://a.example/, b.example", "'https://a.example/' is not an origin; write https://host"),
        ("CORS_ORIGINS", "a.example", "'a.example' is not an origin"),
        ("CORS_ORIGINS", "https://*.example", "'https://*.example' is not an origin"),
        ("PUBLIC_URL", "proxy.example", "'proxy.example' cannot be used: it is not an http or https URL"),
        ("PUBLIC_URL", "ftp://proxy.example", "not an http or https URL"),
        ("PUBLIC_URL", "https://", "not an http or https URL"),
        ("PUBLIC_URL", "https://proxy.example:http", "cannot be used"),
        ("PUBLIC_URL", "https://proxy.example/?a=b", "it has more than scheme, host, port and path"),
        ("PUBLIC_URL", "https://proxy.example/#a", "it has more than"),
        ("PUBLIC_URL", "https://proxy.example/;a", "it has more than"),
        ("PUBLIC_URL", "https://jane@proxy.example", "it has user information"),
        ("PUBLIC_URL", "https://proxy.example/a b", "a blank or another odd character"),
        (
            "AUTH_REDIRECT_URLS",
            "https://a.example, b.example",
            "'b.example' cannot be used: it is not an http or https URL",
        ),
        ("AUTH_REDIRECT_URLS", "*", "not an http or https URL"),
        ("AUTH_REDIRECT_URLS", "https://*.example", "not an http or https URL"),
        ("AUTH_REDIRECT_URLS", "https://a.example/b/../c", "it has user information, a backslash, .."),
        ("AUTH_REDIRECT_URLS", "https://a.example/b?token=", "it has more than scheme, host, port and path"),
        ("AUTH_REDIRECT_URLS", "https://a.example:99999", "cannot be used"),
        ("TYPEAHEAD_PUBLIC", "maybe", "'maybe'. Use off or 0 or"),
        ("SECRET_KEY", "", "set but empty"),
        ("SECRET_KEY", " ", "set but empty"),
        ("API_KEY", "", "set but empty"),
        ("API_KEY", " \t", "set but empty"),
        ("API_KEY", "k\nl", "a key has a control character"),
        ("API_KEY_FILE", "", "set but empty"),
        ("API_KEY_FILE", "/no/such/file", "No such file"),
        ("API_KEY_FILE", "/dev/null", "has no key"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(name, value, words, monkeypatch, capsys):
    """The application is not made, and `serve` ends with one line and status 2."""
    variable = f"CONNECTOR_PROXY_{name}"
    with pytest.raises(ValueError, match=variable) as caught:
        Proxy({variable: value})
    assert words in str(caught.value)

    monkeypatch.setenv(variable, value)
    assert main([]) == 2
    assert capsys.readouterr() == ("", f"spiffproxy: {caught.value}\n")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "PORT",
        "THREADS",
        "MAX_REQUEST_BYTES",
        "CONNECTORS",
        "CONFIG",
        "CORS_ORIGINS",
        "HOST",
        "PUBLIC_URL",
        "AUTH_REDIRECT_URLS",
        "TYPEAHEAD_PUBLIC",
    ],
)
def test_an_empty_setting_is_an_unset_one(imports, name):
    """As container files write it, `NAME=${NAME:-}`; the key alone is too dangerous for that."""
    Proxy({f"CONNECTOR_PROXY_{name}": ""})


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("A = 1\nB = \n", "line 2: SyntaxError"),
        ("A = 1\n\nraise ValueError('s3cret')\n", "line 3: ValueError"),
        ("import sys\nsys.exit('s3cret')\n", "line 2: SystemExit"),
        ("def f():\n    raise OSError('s3cret')\n\nf()\n", "line 2: OSError"),
        ("CONNECTOR_PROXY_API_KEY = True\n", "CONNECTOR_PROXY_API_KEY must be a string or a number, but is a boolean"),
        ("CONNECTOR_PROXY_API_KEY = None\n", "CONNECTOR_PROXY_API_KEY must be a string or a number, but is null"),
        ("CONNECTOR_PROXY_PORT = 'x'\n", "CONNECTOR_PROXY_PORT is 'x'"),
    ],
)
def test_a_config_file_that_fails_is_refused_without_its_secrets(tmp_path, source, words):
    """The message says where, and leaves out what the error says: it may be what the file keeps secret."""
    file = tmp_path / "config.py"
    file.write_text(source)
    with pytest.raises(ValueError, match="CONNECTOR_PROXY_") as caught:
        Proxy({"CONNECTOR_PROXY_CONFIG": str(file)})
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_the_environment_goes_before_the_config_file(make_command, tmp_path):
    """And commands see both, with the config file's upper-case names alone, and without the proxy's own secrets."""
    file, key_file = tmp_path / "config.py", tmp_path / "key"
    key_file.write_text("another key")
    file.write_text(
        "import os\nlower = 1\nFROM_FILE = {'deep': [1]}\nFROM_BOTH = 'file'\n"
        f"CONNECTOR_PROXY_API_KEY = 'filekey'\nCONNECTOR_PROXY_API_KEY_FILE = {str(key_file)!r}\n"
        "CONNECTOR_PROXY_SECRET_KEY = 'x'\n"
    )
    call = make_command(
        """
class Show:
    def execute(self, config, task_data):
        try:
            config["NEW"] = 1
        except TypeError:
            return {"response": {name: config[name] for name in config}}
""",
        CONFIG=file,
        environ={"FROM_BOTH": "environment"},
    )
    headers = {"Spiff-Connector-Proxy-Api-Key": "filekey"}
    answer = call.app.post_json(f"/v1/do/{call.name}/Show", {}, headers=headers)
    assert answer.json == {
        "CONNECTOR_PROXY_CONFIG": str(file),
        "CONNECTOR_PROXY_CONNECTORS": str(tmp_path),
        "FROM_FILE": {"deep": [1]},
        "FROM_BOTH": "environment",
    }


def test_an_empty_variable_does_not_hide_that_of_the_file(tmp_path):
    file = tmp_path / "config.py"
    file.write_text("CONNECTOR_PROXY_PORT = 'file'\n")
    with pytest.raises(ValueError, match="CONNECTOR_PROXY_PORT is 'file'"):
        Proxy({"CONNECTOR_PROXY_CONFIG": str(file), "CONNECTOR_PROXY_PORT": " "})


def test_what_the_config_file_prints_goes_to_stderr(imports, tmp_path, capsys):
    (tmp_path / "config.py").write_text("print('printed by a config file')\n")
    assert main(["list", "--config", str(tmp_path / "config.py")]) == 0
    out, err = capsys.readouterr()
    assert "printed" not in out
    assert "printed by a config file\n" in err


def test_a_variable_of_the_environment_hides_that_of_the_file(make_command, tmp_path):
    file = tmp_path / "config.py"
    file.write_text("CONNECTOR_PROXY_MAX_REQUEST_BYTES = 10\nCONNECTOR_PROXY_THREADS = 5\n")
    source = "class C:\n    def execute(self, config, task_data):\n        return {'response': 'ok'}\n"
    call = make_command(source, CONFIG=file, MAX_REQUEST_BYTES=1000)
    call("C", spiff__task_data="longer than ten bytes")


def test_settings_do_not_show_their_secrets():
    """Not even where somebody prints the application's state."""
    secrets = {API_KEY: "s3cret-key", "CONNECTOR_PROXY_SECRET_KEY": "s3cret-as-well", "PASSWORD": "s3cret-too"}
    proxy = Proxy(secrets)
    assert "s3cret" not in repr(vars(proxy))


@pytest.mark.parametrize(("value", "status"), [("True", 404), ("False", 401), ("'yes'", 404), ("0", 401)])
def test_a_switch_in_the_config_file(make_app, tmp_path, value, status):
    (tmp_path / "config.py").write_text(f"CONNECTOR_PROXY_TYPEAHEAD_PUBLIC = {value}\n")
    make_app(CONFIG=tmp_path / "config.py", API_KEY="k").get("/v1/typeahead/nothing", status=status)


# --- settings of connectors ---


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("BAMBOOHR_URL", "nonsense", "is 'nonsense'. Use a URL such as https://host or http://host:8080/path"),
        ("S3_URL", "s3.example.org", "is 's3.example.org'. Use a URL"),
        ("S3_URL", "ftp://host", "is 'ftp://host'. Use a URL"),
        ("S3_URL", "https://", "is 'https://'. Use a URL"),
        ("S3_URL", "https://host:port", "is 'https://host:port'. Use a URL"),
        ("S3_URL", "https://host:99999", "is 'https://host:99999'. Use a URL"),
        ("COINGECKO_URL", "https://host?key=s3cret", "has a user, a password or a query. Write the URL without them"),
        ("XERO_URL", "https://host/a b", "Use a URL"),
        ("XERO_IDENTITY_URL", "https://host#a", "Use a URL"),
        ("OTHER_URL", "s3cret", "is not a URL such as https://host/path"),
        ("S3_URL", "https://user:s3cret@host", "has a user, a password or a query. Write the URL without them"),
        ("HTTP_TIMEOUT", "soon", "is 'soon'. Use a number of seconds above 0"),
        ("OTHER_TIMEOUT", "0", "is '0'. Use a number of seconds above 0"),
        ("OTHER_MAX_BYTES", "1k", "is '1k'. Use a whole number from 1 to "),
        ("HTTP_ALLOWED_HOSTS", "http://10.0.0.1", "'http://10.0.0.1' is not a host. Use"),
        ("HTTP_ALLOWED_HOSTS", "a.example;b.example", "'a.example;b.example' is not a host. Use"),
        ("HTTP_ALLOWED_HOSTS", ",", "contains no host. Name at least one"),
        ("HTTP_ALLOWED_HOSTS", "10.0.0.256", "'10.0.0.256' is not a host. Use"),
        ("HTTP_ALLOWED_HOSTS", "a.example:0", "'a.example:0' is not a host. Use"),
        ("HTTP_ALLOWED_HOSTS", "a.example:65536", "'a.example:65536' is not a host. Use"),
        ("HTTP_ALLOWED_HOSTS", "a.example/path", "'a.example/path' is not a host. Use"),
        ("SMTP_HELO_NAME", "my proxy", "is 'my proxy'. Use a domain such as proxy.example.org, or [192.0.2.1]"),
    ],
)
def test_what_a_connector_could_not_use_is_refused_at_the_start(imports, name, value, words):
    """In one line that names the setting, and without importing a connector."""
    with pytest.raises(ValueError, match=f"^CONNECTOR_PROXY_{name}:? ") as caught:
        Proxy({f"CONNECTOR_PROXY_{name}": value})
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert not [module for module in sys.modules if module.startswith("connector_other")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("S3_URL", "https://s3.example.org"),
        ("S3_URL", "http://[::1]:9000/path/"),
        ("S3_URL", "HTTPS://bücher.example:443"),
        ("OTHER_TIMEOUT", "0.5"),
        ("OTHER_MAX_BYTES", "1024"),
        ("HTTP_ALLOWED_HOSTS", "a.example, *.intern:443, 10.0.0.0/8, [::1]"),
        ("SMTP_HELO_NAME", "proxy.example.org"),
        ("SMTP_HELO_NAME", "[IPv6:2001:db8::1]"),
        ("S3_URL", ""),
        ("OTHER_URL", "https://hooks.example/a?sig=s3cret"),
        ("OTHER_URL", "postgresql://user:s3cret@host/database"),
    ],
)
def test_what_a_connector_can_use(imports, name, value):
    assert Proxy({f"CONNECTOR_PROXY_{name}": value}).warnings == []


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_ca_bundle_that_is_not_there(imports, tmp_path, name):
    with pytest.raises(ValueError, match=f"^{name}: there is no file {tmp_path}/nowhere.pem$"):
        Proxy({name: f"{tmp_path}/nowhere.pem"})
    (tmp_path / "there.pem").touch()
    Proxy({"REQUESTS_CA_BUNDLE": f"{tmp_path}/there.pem", "SSL_CERT_FILE": f"{tmp_path}/nowhere.pem"})


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("HTTP_TIMOUT", "HTTP_TIMEOUT"),
        ("API_KEYS", "API_KEY"),
        ("THREAD", "THREADS"),
        ("ALLOWED_HOSTS", "HTTP_ALLOWED_HOSTS"),
        ("MY_CONNECTOR_TOKEN", None),
        ("HTTP_TIMEOUT", None),
    ],
)
def test_a_variable_that_is_nearly_a_setting(imports, name, near):
    """A warning names both; a variable that is like no setting is a connector's own."""
    proxy = Proxy({f"CONNECTOR_PROXY_{name}": "5"})
    expected = [f"CONNECTOR_PROXY_{name} is not a setting; should it be CONNECTOR_PROXY_{near}?"] if near else []
    assert proxy.warnings == expected


def test_the_port_that_kubernetes_names_is_not_the_proxys():
    """It sets this in each pod beside a service named connector-proxy; such a value in another setting is a mistake."""
    address = "tcp://10.0.0.1:7004"
    assert Proxy({"CONNECTOR_PROXY_PORT": address}).settings.port == 7004
    with pytest.raises(SettingError, match="CONNECTOR_PROXY_THREADS"):
        Proxy({"CONNECTOR_PROXY_THREADS": address})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CONNECTOR_PROXY_PROT", "CONNECTOR_PROXY_PORT"),
        ("CONNECTOR_PROXY_HOSTS", "CONNECTOR_PROXY_HOST"),
        ("CONNECTOR_PROXY_KEY", "CONNECTOR_PROXY_API_KEY"),
        ("CONNECTOR_PROXY_APIKEY", "CONNECTOR_PROXY_API_KEY"),
        ("CONECTOR_PROXY_PORT", "CONNECTOR_PROXY_PORT"),
        ("CONNECTORS_PROXY_API_KEY", "CONNECTOR_PROXY_API_KEY"),
        ("CONNECTOR_PROXY_FAX_URL", None),
        ("CONNECTOR_PROXY_PORT", None),
        ("HTTP_PROXY_PORT", None),
        ("SPIFFWORKFLOW_BACKEND_CONNECTOR_PROXY_API_KEY", None),
    ],
)
def test_the_setting_that_a_variable_probably_means(make_app, imports, name, meant):
    """A name that is like none may be a setting of somebody's own connector, or of another program."""
    warnings = Proxy({name: "https://a.example" if name.endswith("URL") else "1"}).warnings
    assert warnings == ([f"{name} is not a setting; should it be {meant}?"] if meant else [])


def test_a_misspelled_variable_is_in_the_log(start_server):
    server = start_server(CONNECTOR_PROXY_HTTP_TIMOUT="5")
    assert "WARNING CONNECTOR_PROXY_HTTP_TIMOUT is not a setting; " in server.stop(1)[1]


def test_the_settings_are_those_of_the_readme():
    readmes = (ROOT / "README.md").read_text() + (ROOT / "connectors" / "README.md").read_text()
    listed = re.findall(r"^\| `CONNECTOR_PROXY_([A-Z0-9_]+)`", readmes, re.MULTILINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "connectors")
        assert sorted(listed) == importlib.import_module("spiffproxy_settings").SETTING_NAMES


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbfk\n", b"# a comment\nk\n", b"k\r\n#old\r\n", b"  k  \n\n  # another\n", b"\xef\xbb\xbf# first\nk"],
)
def test_a_key_file_may_have_a_byte_order_mark_and_comments(make_app, tmp_path, content):
    (tmp_path / "keys").write_bytes(content)
    app = make_app(API_KEY_FILE=tmp_path / "keys")
    assert app.get("/v1/auths", headers={"Spiff-Connector-Proxy-Api-Key": "k"}).status_int == 200
    for other in "# a comment", "#old", "\xef\xbb\xbfk", "":
        app.get("/v1/auths", headers={"Spiff-Connector-Proxy-Api-Key": other}, status=401)


def test_a_key_file_in_utf_16_is_refused(make_app, tmp_path):
    """PowerShell's `>` writes it."""
    (tmp_path / "keys").write_text("k\n", encoding="utf-16")
    with pytest.raises(SettingError, match=r"a key has a control character, .* UTF-16"):
        make_app(API_KEY_FILE=tmp_path / "keys")


def test_a_connector_is_not_a_folder_of_connectors(write_connector, make_app, tmp_path):
    folder = tmp_path / f"connector_{write_connector('')}"
    with pytest.raises(SettingError, match=f"{folder} is a connector; give the folder that it is in, {tmp_path}$"):
        make_app(folder)


def test_the_config_file_is_compiled_by_its_own_rules(imports, tmp_path):
    """A `from __future__` of the proxy would make strings of its annotations."""
    (tmp_path / "config.py").write_text(
        "from dataclasses import dataclass, fields\n@dataclass\nclass A:\n    x: int\nTYPE = fields(A)[0].type.__name__\n"
    )
    assert Proxy({"CONNECTOR_PROXY_CONFIG": str(tmp_path / "config.py")}).settings.config["TYPE"] == "int"


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        (["--port", "x"], {}, "--port is 'x'. Use a whole number from 0 to 65535."),
        ([], {"CONNECTOR_PROXY_PORT": "x"}, "CONNECTOR_PROXY_PORT is 'x'. Use a whole number from 0 to 65535."),
        (["--port", "0"], {"CONNECTOR_PROXY_THREADS": "x"}, "CONNECTOR_PROXY_THREADS is 'x'. Use a whole"),
        (["--connectors", "/nowhere"], {}, "--connectors: there is no folder /nowhere"),
        (["list", "--config", "/nowhere.py"], {}, "--config: "),
        (["--log-format", "xml"], {}, "--log-format is 'xml'. Use text or json."),
    ],
)
def test_a_message_names_what_was_used(arguments, environ, message):
    ended = run_proxy(*arguments, **environ)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"spiffproxy: {message}")


def test_a_connector_without_its_prefix_is_not_a_folder_of_connectors(make_app, tmp_path):
    (tmp_path / "demo" / "commands").mkdir(parents=True)
    (tmp_path / "demo" / "commands" / "hello.py").touch()
    with pytest.raises(
        SettingError, match=f"{tmp_path}/demo is a connector; rename it to connector_demo, and give .* in, {tmp_path}$"
    ):
        make_app(tmp_path / "demo")
