"""Applications, servers and upstreams for the tests: all are real, on loopback."""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import json
import logging
import os
import pkgutil
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from webtest import TestApp

import spiffproxy
from spiffproxy import Proxy

ROOT = Path(__file__).parent.parent
CONNECTORS = ROOT / "tests" / "connectors"
BUNDLED = sorted(path.name for path in (ROOT / "connectors").glob("connector_*"))
MODULE = ROOT / "spiffproxy.py"
CALLER = ROOT / "tests" / "caller.py"
JSON = "application/json"
_numbers = itertools.count(1)
# a background job of a shell ignores SIGINT, and nohup ignores SIGHUP; the servers of the tests would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_make_parametrize_id(val):
    """Give gzip data a name: it contains the time, but a test needs the same name in every worker of pytest-xdist."""
    return "gzip" if isinstance(val, bytes) and val.startswith(b"\x1f\x8b") else None


# these take longest, several of them by waiting: they begin first, or the other workers would wait for them at the end
LONGEST = [
    f"test_{name}.py"
    for name in (
        "postgres",
        "server_threads",
        "http_connections",
        "server",
        "page",
        "command_line",
        "connectors",
        "archives",
        "program",
        "fuzz",
        "log",
        "openapi",
        "smtp",
    )
]


def pytest_collection_modifyitems(items):
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


# --- what is expected ---


def error_reply(code, message):
    """Return the envelope of an error, for comparison; `message` is a regular expression for a part of the message."""
    return {
        "command_response": {"body": None, "mimetype": JSON},
        "command_response_version": 2,
        "error": {"error_code": code, "message": _Matching(message)},
        "spiff__logs": [],
    }


class _Matching:
    def __init__(self, pattern):
        self.pattern = pattern

    def __eq__(self, text):
        return re.search(self.pattern, text) is not None

    def __repr__(self):
        return f"… {self.pattern} …"


def standard_fields(entries):
    """Map the id of each listed entry to its parameters, without the fields beyond the protocol."""
    return {
        entry["id"]: [
            {name: parameter[name] for name in ("id", "type", "required")} for parameter in entry["parameters"]
        ]
        for entry in entries
    }


@functools.cache
def find_commands(connector):
    """Return the classes of a bundled connector's commands, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(ROOT / "connectors")])  # as the proxy does
        package = importlib.import_module(f"{connector}.commands")
        names = [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
        classes = [cls for name in names for cls in spiffproxy.find_classes(importlib.import_module(name))]
    return {cls.__name__: cls for cls in classes}


def check_code(path, status, body):
    """Fail if a bundled command responds with a code that it does not declare, whatever the test is about.

    An error of the proxy itself is an envelope, too, with an HTTP status of 400 or above and a code in lower case. The
    exception of a command has such a status, too, but its code is the name of the class.
    """
    match = re.fullmatch(r"/?v1/do/(\w+)/(\w+)", path)
    answer = json.loads(body) if match and f"connector_{match[1]}" in BUNDLED and body.startswith(b'{"') else {}
    error = answer.get("error")
    if isinstance(error, dict):
        code = error["error_code"]
        if status >= 400 and "command_response_version" in answer and code.islower():
            return
        command = find_commands(f"connector_{match[1]}")[match[2]]
        general = re.sub("^HttpError[0-9]{3}$", "HttpError<status>", code)
        is_declared = {code, general} & getattr(command, "errors", {}).keys()
        assert is_declared, f"{match[1]}/{match[2]} responds with {code}, which its errors do not declare"


def watch(proxy):
    """Return the application, whose responses are all checked by `check_code`."""

    def application(environ, start_response):
        statuses = []

        def start(status, headers, *more):
            statuses.append(int(status[:3]))
            return start_response(status, headers, *more)

        parts = proxy(environ, start)
        check_code(environ["PATH_INFO"], statuses[0], b"".join(parts))
        return parts

    return application


# --- applications in this process ---


def forget_connectors(but=BUNDLED):
    """Let connectors be imported again, except the bundled ones: they are slow to import, and do not change."""
    for name in list(sys.modules):
        if name.startswith("connector_") and name.split(".")[0] not in but:
            del sys.modules[name]


@pytest.fixture(autouse=True)
def same_logger(monkeypatch):
    """Undo what the command line changes in its process."""
    monkeypatch.setattr("spiffproxy.logger", spiffproxy.logger)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)


@pytest.fixture(autouse=True)
def usual_finders(monkeypatch):
    """Leave out the import hooks of pytest and others: with any, each proxy reads the metadata of all that is installed."""
    usual = [finder for finder in sys.meta_path if finder.__module__.startswith("_frozen_importlib")]
    monkeypatch.setattr(sys, "meta_path", usual)


@pytest.fixture
def imports(monkeypatch):
    """Undo what a test changes: the imported connectors, `sys.path`, and the handlers of the log."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))
    yield
    forget_connectors()


@pytest.fixture
def make_app(imports):
    """Return a function that creates the application, under WebTest and the validator of the standard library."""

    def make(connectors=CONNECTORS, environ=None, **settings):
        values = {f"CONNECTOR_PROXY_{name}": str(value) for name, value in settings.items()}
        proxy = watch(Proxy({"CONNECTOR_PROXY_CONNECTORS": str(connectors), **values, **(environ or {})}))
        application = TestApp(proxy)
        application.without_lint = TestApp(proxy, lint=False)  # lint also checks requests, and fails if one is invalid
        return application

    return make


@pytest.fixture
def app(make_app):
    return make_app()


@pytest.fixture
def write_connector(tmp_path):
    """Return a function that writes a connector with one module of commands, and returns its name."""

    def write(source, **files):
        name = f"written{next(_numbers):05}"  # in the order in which they are listed
        folder = tmp_path / f"connector_{name}"
        contents = {"__init__": "", "commands/__init__": "", "commands/things": source}
        for path, text in {**contents, **{key.replace("__in__", "/"): value for key, value in files.items()}}.items():
            file = folder / f"{path}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return name

    return write


@pytest.fixture
def make_command(write_connector, make_app, tmp_path):
    """Return a function that writes a connector with the given source, and returns one that calls its commands."""

    def make(source, **settings):
        name = write_connector(source)
        application = make_app(tmp_path, **settings)

        def call(command, status=200, **body):
            return application.post_json(f"/v1/do/{name}/{command}", body, status=status)

        call.app = application
        call.name = name
        return call

    return make


@pytest.fixture
def make_http_call(make_app):
    """Return a function that accepts settings, and returns a function that calls commands of the http connector."""

    def make(**settings):
        app = make_app(**settings)
        return lambda command, status=200, **body: app.post_json(f"/v1/do/http/{command}", body, status=status)

    return make


@pytest.fixture
def http_call(make_http_call):
    return make_http_call()


# --- the proxy as a process of its own ---


def make_environ(**environ):
    """Return the environment of the tests without settings of the proxy, and with these variables."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTOR_PROXY_")}
    return {**clean, **environ}


class _Server:
    """`python3 spiffproxy.py` as a process of its own."""

    def __init__(self, *arguments, python=(sys.executable, "-S"), module=MODULE, cwd=None, **environ):
        self.process = subprocess.Popen(
            [*python, str(module), "--port", "0", *arguments],
            cwd=cwd,
            env=make_environ(**environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # readline() would read ahead, and communicate() would miss those lines
        )
        self.first_line = self.process.stderr.readline().decode()
        match = re.search(r"https?://([\d.]+|\[[\d:a-f]+\]):(\d+)", self.first_line)
        if not match:
            self.process.kill()
            raise AssertionError(self.first_line + self.process.stderr.read().decode())
        self.host, self.port = match[1].strip("[]"), int(match[2])
        self.url = match[0]

    def stop(self, lines=0):
        """End the process and return what it has printed and logged.

        A response is sent before its line is logged: wait for this number of `lines`.
        """
        log = [self.process.stderr.readline().decode() for _ in range(lines)]
        self.process.terminate()
        out, rest = self.process.communicate(timeout=10)
        return out.decode(), "".join([self.first_line, *log, rest.decode()])

    def kill(self):
        """End the process at once, and return what it has logged since its first line."""
        self.process.kill()
        return self.process.communicate()[1].decode()


@pytest.fixture(scope="module")
def example_server():
    """The proxy's own server, with the connectors of the tests, for all tests of a module."""
    server = _Server("--connectors", str(CONNECTORS))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def guarded_server():
    """The same with the key `k`; typeahead needs no key."""
    settings = {"CONNECTOR_PROXY_API_KEY": "k", "CONNECTOR_PROXY_TYPEAHEAD_PUBLIC": "on"}
    server = _Server("--connectors", str(CONNECTORS), **settings)
    yield server
    server.kill()


@pytest.fixture
def start_server():
    """Return a function that starts the proxy's own server."""
    with contextlib.ExitStack() as stack:

        def start(*arguments, **options):
            server = _Server(*arguments, **options)
            stack.callback(server.kill)
            return server

        yield start


def with_code(code):
    """Return the command that starts the server after this code has run in its process."""
    start = f"import sys; sys.path.insert(0, {str(MODULE.parent)!r}); import spiffproxy\n{code}\n"
    return sys.executable, "-S", "-c", start + "sys.exit(spiffproxy.main(sys.argv[2:]))"


def run_proxy(*arguments, module=MODULE, cwd=None, **environ):
    """Run the command line to its end."""
    return subprocess.run(
        [sys.executable, "-S", "-W", "error", str(module), *arguments],
        cwd=cwd,
        env=make_environ(**environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )


class _Caller:
    """tests/caller.py. After a call, `threads` is the number of its threads, and `kilobytes` its peak memory."""

    def __init__(self, names, routes, environ):
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-W", "error", str(CALLER), json.dumps([names, routes])],
            env=make_environ(**environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, command, settings=None, **parameters):
        print(json.dumps([command, settings or {}, parameters]), file=self.process.stdin, flush=True)
        answer, status, self.threads, self.kilobytes = json.loads(self.process.stdout.readline())
        check_code(f"/v1/do/{command}", status, json.dumps(answer).encode())
        return answer

    def stop(self):
        _, err = self.process.communicate(timeout=10)
        assert err == ""


@contextlib.contextmanager
def start_caller(names=(), routes=(), **environ):
    """Start a process that calls commands; tests/caller.py describes `names` and `routes`."""
    caller = _Caller(dict(names), dict(routes), environ)
    try:
        yield caller
    finally:
        caller.stop()


@pytest.fixture
def make_caller():
    """Return a function that starts a process which calls commands."""
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **environ: stack.enter_context(start_caller(*arguments, **environ))


# --- upstreams over HTTP ---


class _UpstreamHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do(self):
        length = int(self.headers.get("Content-Length", 0))
        request = SimpleNamespace(
            command=self.command, path=self.path, headers=self.headers, body=self.rfile.read(length), connection=self
        )
        self.server.requests.append(request)
        status, headers, body = self.server.answer(request)
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            for part in value if isinstance(value, list) else [value]:
                self.send_header(name, str(part))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_DELETE = do_PATCH = do_POST = do_PUT = do  # noqa: N815

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serve_http(tls=None, host="127.0.0.1", port=0):
    """A real HTTP server; `answer` maps a request to status, headers and body; `requests` are those that it has seen."""
    server = ThreadingHTTPServer((host, port), _UpstreamHandler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with server:
        server.handle_error = lambda *_: None  # clients disconnect on purpose
        server.requests = []
        server.answer = lambda request: (200, {"Content-Type": JSON}, b'{"ok": true}')
        server.url = f"{'https' if tls else 'http'}://{host}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def upstream():
    with serve_http() as server:
        yield server


@pytest.fixture
def other_upstream():
    with serve_http() as server:
        yield server


# --- TLS ---


@pytest.fixture(scope="session", autouse=True)
def authority(tmp_path_factory):
    """A certificate authority that the process trusts."""
    authority = trustme.CA()
    bundle = tmp_path_factory.mktemp("authority") / "bundle.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with pytest.MonkeyPatch.context() as patch:
        for name in "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE":
            patch.setenv(name, str(bundle))
        yield authority


def server_context(authority, *names):
    """Return the TLS context of a server with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def certificate(authority, tmp_path):
    """The flags of a server with a certificate."""
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return "--certfile", str(tmp_path / "cert.pem"), "--keyfile", str(tmp_path / "key.pem")


@pytest.fixture
def tls_upstream(authority):
    with serve_http(server_context(authority, "127.0.0.1")) as server:
        yield server


# --- upstreams of bytes ---


def free_port():
    """Return a port on which nothing listens, and that no other test gets; a server may be started on it."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", 0))
    port = server.getsockname()[1]
    server.detach()  # bound for as long as the process lives, or the system gives the port to another worker of xdist
    return port


@pytest.fixture
def raw_server():
    """Return a function that starts a server of sockets: `talk` gets each connection, and what it returns is sent.

    The returned server has `url` and `connections`, the number of connections made.
    """
    with contextlib.ExitStack() as stack:
        yield lambda talk, host="127.0.0.1", port=0: stack.enter_context(serve_sockets(talk, host, port))


@contextlib.contextmanager
def serve_sockets(talk, host="127.0.0.1", port=0):
    """The server that `raw_server` starts; its `talk` may be changed."""
    with socket.create_server((host, port)) as listener:
        port = listener.getsockname()[1]
        server = SimpleNamespace(url=f"http://{host}:{port}", port=port, connections=0, talk=talk)

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                server.connections += 1
                threading.Thread(target=converse, args=(connection, server.connections), daemon=True).start()

        def converse(connection, number):
            with connection, contextlib.suppress(OSError):
                connection.settimeout(20)
                answer = server.talk(connection, number)
                if answer:
                    connection.sendall(answer)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextlib.contextmanager
def serve_nobody(host="127.0.0.1", port=0):
    """Yield the port of a listener whose queue is full: a connection to it times out."""
    with socket.create_server((host, port), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def read_request(connection):
    """Return the request line and headers of a request."""
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(65536)
        if not part:
            break
        head += part
    return head


# --- time and threads ---


def at_once(function, rows):
    """Call the function with each row, all at the same time, and return what it returned, in their order."""
    with ThreadPoolExecutor(len(rows)) as pool:
        return [future.result() for future in [pool.submit(function, *row) for row in rows]]


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test can put forward, in place of a wait of 15 or 40 seconds."""
    started = time.monotonic
    clock = SimpleNamespace(seconds=0)
    monkeypatch.setattr(time, "monotonic", lambda: started() + clock.seconds)
    return clock
