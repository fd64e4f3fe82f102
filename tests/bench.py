"""Measure what the proxy costs. `make bench` runs it; it prints ratios, because times differ between machines.

Bytecode is compiled, and the log is off. Each number is the median of several rounds, in which the measures take turns.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from urllib.request import urlopen

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
COMMAND = """
class {name}:
    def __init__(self, text: str, count: int = 1):
        self.text = text

    def execute(self, config, task_data):
        return {{
            "command_response": {{"body": {{"text": self.text}}, "mimetype": "application/json", "http_status": 200}},
            "command_response_version": 2,
            "error": None,
            "spiff__logs": [],
        }}
"""
# what SpiffArena sends, with a small workflow's data
BODY = {
    "text": "hello",
    "spiff__task_data": {f"field_{number}": {"value": "text" * 5, "count": number} for number in range(20)},
    "spiff__callback_url": "http://localhost:7000/v1.0/tasks/1/5e8f6a4e-7a53-4b0f-9d9c-1f8d6b3d3a11/callback",
    "spiff__process_instance_id": 1,
    "spiff__process_model_identifier": "examples/0-1-hello",
    "spiff__task_id": "5e8f6a4e-7a53-4b0f-9d9c-1f8d6b3d3a11",
}


def bare(environ, start_response):
    """Read and write the same JSON, and nothing else: what any proxy must do."""
    body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    answer = json.dumps(
        {
            "command_response": {"body": {"text": body["text"]}, "mimetype": "application/json", "http_status": 200},
            "command_response_version": 2,
            "error": None,
            "spiff__logs": [],
        }
    ).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]


def environ(method, path, body=b""):
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }


def microseconds(application, method, path, body=b"", calls=2000):
    """Return the time of one call."""
    environs = [environ(method, path, body) for _ in range(calls)]
    start = time.perf_counter()
    for one in environs:
        application(one, lambda status, headers: None)
    return (time.perf_counter() - start) / calls * 1e6


def take_turns(rounds, **measures):
    """Return the median of each measure, the measures taking turns, so that a slow moment of the machine affects all of them."""
    results = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            results[name].append(measure())
    return {name: median(values) for name, values in results.items()}


def write_connectors(folder, commands, per_connector=20):
    """Write this number of commands into a folder, and return it."""
    for start in range(0, commands, per_connector):
        package = Path(folder) / f"connector_bench{start // per_connector}" / "commands"
        package.mkdir(parents=True)
        (package.parent / "__init__.py").touch()
        (package / "__init__.py").touch()
        names = [f"Command{number}" for number in range(min(per_connector, commands - start))]
        (package / "many.py").write_text("\n".join(COMMAND.format(name=name) for name in names))
    return str(folder)


def bench_calls():
    from spiffproxy import Proxy

    body = json.dumps(BODY).encode()
    measures = {"bare": lambda: microseconds(bare, "POST", "/", body)}
    with tempfile.TemporaryDirectory() as parent:
        for count in 1, 100, 1000:
            # each in its own process, because the names are the same
            folder = write_connectors(Path(parent) / str(count), count)
            measures[str(count)] = in_process(
                f"from spiffproxy import Proxy; app = Proxy({{'CONNECTOR_PROXY_CONNECTORS': {folder!r}}})",
                f"bench.microseconds(app, 'POST', '/v1/do/bench0/Command0', {body!r})",
            )
        proxy = Proxy({"CONNECTOR_PROXY_CONNECTORS": str(Path(parent) / "1000")})
        measures["list"] = lambda: microseconds(proxy, "GET", "/v1/commands")
        proxy({**environ("GET", "/v1/commands")}, lambda status, headers: None)
        results = take_turns(9, **measures)
    for count in 1, 100, 1000:
        print(f"call with {count:4} commands installed   {results[str(count)] / results['bare']:.2f} × a bare function")
    print(f"/v1/commands with 1000 commands     {results['list'] / results['bare']:.2f} × a bare function")
    print(f"(the bare function: {results['bare']:.1f} µs for {len(body)} bytes)")


PROGRAM = """
from spiffproxy_program import ProgramCommand
class {name}(ProgramCommand):
    program = {program!r}
    def __init__(self, text: str):
        self.text = text
"""
# by language: a program that only reads its input and prints null
PROGRAMS = {
    "sh": ("sh", "-c", "cat > /dev/null; echo null"),
    "python -S": (sys.executable, "-S", "-c", "import json, sys; json.load(sys.stdin); print(json.dumps(None))"),
    "perl": ("perl", "-MJSON::PP", "-e", "decode_json(join '', <STDIN>); print 'null'"),
    "node": ("node", "-e", "JSON.parse(require('fs').readFileSync(0)); console.log('null')"),
}


def bench_programs():
    """Compare a call that a program executes with the program alone, and with a command in the proxy."""
    from spiffproxy import Proxy

    body = json.dumps(BODY).encode()
    installed = {language: program for language, program in PROGRAMS.items() if shutil.which(program[0])}
    with tempfile.TemporaryDirectory() as folder:
        write_connectors(folder, 1)
        sources = [PROGRAM.format(name=f"Program{i}", program=program) for i, program in enumerate(installed.values())]
        (Path(folder) / "connector_bench0" / "commands" / "programs.py").write_text("\n".join(sources))
        proxy = Proxy({"CONNECTOR_PROXY_CONNECTORS": folder})

        def call(name):
            return lambda: microseconds(proxy, "POST", f"/v1/do/bench0/{name}", body, calls=20)

        direct = take_turns(5, direct=call("Command0"))["direct"]
        for i, (language, program) in enumerate(installed.items()):
            results = take_turns(5, ours=call(f"Program{i}"), bare=lambda program=program: run_bare(program, body))
            print(
                f"call of a program, {language:15}  {results['ours'] / results['bare']:.2f} × subprocess.run()", end=" "
            )
            print(f"({results['ours'] / 1000:.1f} ms; a command in the proxy: {direct / 1000:.2f} ms)")


def run_bare(program, body, calls=20):
    """Return the time, in microseconds, of a run of the program."""
    start = time.perf_counter()
    for _ in range(calls):
        subprocess.run(program, input=body, capture_output=True, check=True)
    return (time.perf_counter() - start) / calls * 1e6


def in_process(setup, expression):
    """Return a function that evaluates an expression in a process of its own, after `setup` has run there."""
    loop = (
        f"import sys, bench, logging\nlogging.disable()\n{setup}\nfor _ in sys.stdin: print({expression}, flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", loop],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def measure():
        process.stdin.write("\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    measure()
    return measure


WSGIREF = """
from wsgiref.simple_server import make_server
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "12")])
    return [b'{"ok": true}']
make_server("127.0.0.1", PORT, application).serve_forever()
"""


def seconds_to_first_answer(arguments):
    """Start a server and return the time until its first response."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *(argument.replace("PORT", str(port)) for argument in arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    connection.sendall(b"GET /liveness HTTP/1.0\r\n\r\n")
                    if connection.recv(1000):
                        return time.perf_counter() - start
            except ConnectionRefusedError:
                time.sleep(0.001)  # not up yet; this is the resolution
    finally:
        process.kill()
        process.wait()


def bench_start():
    results = take_turns(
        15,
        bare=lambda: seconds_to_first_answer(["-c", WSGIREF]),
        ours=lambda: seconds_to_first_answer([str(ROOT / "spiffproxy.py"), "--port", "PORT"]),
    )
    ratio, milliseconds = results["ours"] / results["bare"], results["bare"] * 1000
    print(f"start to first answer               {ratio:.2f} × a bare wsgiref server ({milliseconds:.0f} ms)")


INVOKE = """
import sys
from lambda_function import lambda_handler
method, path, body = sys.argv[1:]
event = {"rawPath": path, "requestContext": {"http": {"method": method}}, "body": body}
headers = {"content-type": "application/json", "spiff-connector-proxy-api-key": "k"}
answer = lambda_handler({**event, "headers": headers}, None)
assert answer["statusCode"] == 200, answer
print("answered", flush=True)
"""


def bench_lambda():
    """Compare the first response of a new process, from the unpacked zip, with a Python that does nothing."""
    # Lambda's folder is read-only: what has no bytecode there is compiled each time
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "", "CONNECTOR_PROXY_API_KEY": "k"}
    with tempfile.TemporaryDirectory() as folder, upstream() as port:
        archive = Path(folder) / "spiffproxy-lambda.zip"
        pack = [sys.executable, str(ROOT / "spiffproxy.py"), "pack", str(archive)]
        subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
        shutil.unpack_archive(archive, folder)

        def seconds(*arguments):
            start = time.perf_counter()
            python = [sys.executable, "-S", "-c", *arguments]
            with subprocess.Popen(python, cwd=folder, env=environ, stdout=subprocess.PIPE) as process:
                process.stdout.readline()
                return time.perf_counter() - start

        body = json.dumps({"url": f"http://127.0.0.1:{port}/"})
        results = take_turns(
            25,
            bare=lambda: seconds("pass"),
            module=lambda: seconds("import spiffproxy; print()"),
            list=lambda: seconds(INVOKE, "GET", "/v1/commands", ""),
            call=lambda: seconds(INVOKE, "POST", "/v1/do/http/GetRequest", body),
        )
    for title, name in ("import", "module"), ("/v1/commands", "list"), ("http/GetRequest", "call"):
        print(f"Lambda, first {title:15}       {results[name] / results['bare']:.1f} × python -S -c pass", end=" ")
        print(f"({results[name] * 1000:.0f} ms)")


MEMORY = """
import bench, json, logging, resource, sys
logging.disable()
from spiffproxy import Proxy
app = Proxy({'CONNECTOR_PROXY_CONNECTORS': sys.argv[1]})
def call(size):
    body = json.dumps({"text": "x", "spiff__task_data": {"file": "A" * size}}).encode()
    environ = bench.environ("POST", "/v1/do/bench0/Command0", body)
    del body
    assert app(environ, lambda status, headers: None)
call(10)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = int(sys.argv[2])
call(size)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / size)
"""


def bench_memory():
    with tempfile.TemporaryDirectory() as folder:
        write_connectors(folder, 1)
        ended = subprocess.run(
            [sys.executable, "-c", MEMORY, folder, str(20 * 1024**2)],
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    print(f"peak memory of a call with 20 MB    {float(ended.stdout):.1f} × the body (which the benchmark holds, too)")


UPSTREAM = """
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "12")
        self.end_headers()
        self.wfile.write(b'{"ok": true}')
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
for certificate in sys.argv[1:]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"""


def bench_http():
    """Compare GetRequestV2 over https with a reused connection of http.client, and with urlopen()."""
    with tempfile.TemporaryDirectory() as folder, upstream(write_certificates(folder)) as port:
        compare_clients(port)


@contextlib.contextmanager
def upstream(*certificate):
    """Start a server that responds to every GET, and yield its port."""
    process = subprocess.Popen([sys.executable, "-c", UPSTREAM, *certificate], stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def compare_clients(port):
    import http.client
    import ssl
    import urllib.request

    sys.path.append(str(ROOT / "connectors"))
    from connector_http.commands.get_request_v2 import GetRequestV2

    url = f"https://127.0.0.1:{port}/"
    kept = http.client.HTTPSConnection("127.0.0.1", port, context=ssl.create_default_context())
    headers = {"User-Agent": "spiffproxy/0.1.0", "Accept-Encoding": "gzip, deflate", "Accept": "*/*"}

    def ask_kept():
        kept.request("GET", "/", headers=headers)
        json.loads(kept.getresponse().read())

    def ask_ours():
        if GetRequestV2(url).execute({}, {})["error"]:
            raise SystemExit("the upstream does not respond")

    def ask_anew():
        with urllib.request.urlopen(url) as answer:
            json.loads(answer.read())

    def per_second(ask, calls):
        start = time.perf_counter()
        for _ in range(calls):
            ask()
        return calls / (time.perf_counter() - start)

    results = take_turns(
        7,
        kept=lambda: per_second(ask_kept, 200),
        ours=lambda: per_second(ask_ours, 200),
        anew=lambda: per_second(ask_anew, 10),
    )
    kept.close()
    print(f"http/GetRequestV2 over https        {results['ours'] / results['kept']:.2f} × http.client, reusing it")
    print(f"                                    {results['ours'] / results['anew']:.1f} × urlopen()")
    print(f"(calls a second: {results['ours']:.0f}, {results['kept']:.0f}, {results['anew']:.0f})")


# the least that could do the same work, on the single-threaded server of the standard library
FLOOR = """
import http.client, json, ssl, sys, bench
from wsgiref.simple_server import WSGIServer, make_server
port, length, plain, secure = map(int, sys.argv[1:])
WSGIServer.request_queue_size = 1024  # with its default, 5, clients would wait for lost packets
kept = http.client.HTTPSConnection("127.0.0.1", secure, context=ssl.create_default_context())
headers = {"User-Agent": "spiffproxy/0.1.0", "Accept-Encoding": "gzip, deflate", "Accept": "*/*"}
def fetch(connection):
    connection.request("GET", "/", headers=headers)
    return connection.getresponse().read()
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.endswith("Command0"):
        return bench.bare(environ, start_response)
    body = b" " * length
    if path.endswith("GetRequest"):
        json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        connection = http.client.HTTPConnection("127.0.0.1", plain)
        body = fetch(connection)
        connection.close()
    if path.endswith("GetRequestV2"):
        json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        body = json.dumps({"command_response": {"body": json.loads(fetch(kept))}}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
make_server("127.0.0.1", port, application).serve_forever()
"""
SLEEPING = """
import time
class Sleep:
    def execute(self, config, task_data):
        time.sleep(1)
        return {"response": {}}
"""


def bench_server():
    """Compare requests a second of 8 clients, with a connection for each request, as SpiffArena's backend makes them."""
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        certificate = write_certificates(folder)
        plain, secure = (stack.enter_context(upstream(*files)) for files in ([], [certificate]))
        write_connectors(folder, 20)
        Path(folder, "connector_bench0", "commands", "sleeping.py").write_text(SLEEPING)
        os.environ["CONNECTOR_PROXY_CONNECTORS"] = folder
        ours = stack.enter_context(running([python, str(ROOT / "spiffproxy.py"), "--port", "PORT"]))
        with urlopen(f"http://127.0.0.1:{ours}/v1/commands") as listing:
            length = str(len(listing.read()))
        floor = stack.enter_context(running([python, "-c", FLOOR, "PORT", length, str(plain), str(secure)]))
        trivial = json.dumps(BODY).encode()
        rows = {
            "trivial command": http_request("POST", "/v1/do/bench0/Command0", trivial),
            "GET /v1/commands": http_request("GET", "/v1/commands"),
            "http/GetRequest over http": call_request("http/GetRequest", f"http://127.0.0.1:{plain}/"),
            "http/GetRequestV2 over https": call_request("http/GetRequestV2", f"https://127.0.0.1:{secure}/"),
        }
        for title, data in rows.items():
            compare_servers(title, ours, floor, data, "a bare wsgiref server")
        bench_one_client(ours, floor, rows["http/GetRequestV2 over https"])
        bench_gunicorn(stack, rows["trivial command"])
        start = time.perf_counter()
        rate(ours, http_request("POST", "/v1/do/bench0/Sleep", b"{}"), clients=60, seconds=0.5)
        print(f"60 commands of 1 s at once          {time.perf_counter() - start:.2f} s")


def bench_upstreams():
    """Compare a call through an upstream with the same call of that upstream; then a list with both in it."""
    serve = [sys.executable, str(ROOT / "spiffproxy.py"), "--port", "PORT"]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        write_connectors(folder, 20)
        direct = stack.enter_context(running([*serve, "--connectors", folder]))
        url = f"http://127.0.0.1:{direct}"
        through = stack.enter_context(running(serve, CONNECTOR_PROXY_CONNECTORS="", CONNECTOR_PROXY_UPSTREAMS=url))
        call = http_request("POST", "/v1/do/bench0/Command0", json.dumps(BODY).encode())
        large = json.dumps({**BODY, "spiff__task_data": {"file": "A" * 10 * 1024**2}}).encode()
        rows = {
            "a call": call,
            "10 MB": http_request("POST", "/v1/do/bench0/Command0", large),
            "GET /v1/commands": http_request("GET", "/v1/commands"),
        }
        for title, data in rows.items():
            bench_through(title, through, direct, data)
        compare_servers("8 clients, through an upstream", through, direct, call, "without it")


def bench_through(title, through, direct, data):
    def milliseconds(port):
        return 1000 / rate(port, data, clients=1, seconds=0.5)

    results = take_turns(5, through=lambda: milliseconds(through), direct=lambda: milliseconds(direct))
    ratio = results["through"] / results["direct"]
    times = f"({results['through']:.2f} and {results['direct']:.2f} ms)"
    print(f"{title + ', through an upstream':35} {ratio:.2f} × without it {times}")


def compare_servers(title, ours, floor, data, name):
    expression = "bench.rate({}, {!r}, clients=8, seconds=1)"
    ports = {"ours": ours, "floor": floor}
    measures = {key: in_process("", expression.format(port, data)) for key, port in ports.items()}
    results = take_turns(5, **measures)
    ratio = results["ours"] / results["floor"]
    print(f"{title:35} {ratio:.2f} × {name} ({results['ours']:.0f} and {results['floor']:.0f} a second)")


def bench_one_client(ours, floor, data):
    def milliseconds(port):
        return 1000 / rate(port, data, clients=1, seconds=0.5)

    results = take_turns(5, ours=lambda: milliseconds(ours), floor=lambda: milliseconds(floor))
    print(
        f"the same, one client, a call        {results['ours']:.2f} ms, and {results['floor']:.2f} ms of the bare server"
    )


def bench_gunicorn(stack, data):
    if not importlib.util.find_spec("gunicorn"):
        print("not compared under gunicorn, which is not installed")
        return
    command = [sys.executable, "-m", "gunicorn", "-w", "3", "-b", "127.0.0.1:PORT"]
    ours = stack.enter_context(running([*command, "spiffproxy:app"]))
    floor = stack.enter_context(running([*command, "bench:bare"]))
    compare_servers("trivial command, gunicorn -w 3", ours, floor, data, "a bare application there")


def write_certificates(folder):
    """Write a certificate of a new authority, which this process and its children trust, and return its file."""
    import trustme

    authority = trustme.CA()
    bundle, own = Path(folder) / "bundle.pem", Path(folder) / "own.pem"
    authority.cert_pem.write_to_path(str(bundle))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(own))
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = str(bundle)
    return str(own)


def call_request(command, url):
    return http_request("POST", f"/v1/do/{command}", json.dumps({"url": url}).encode())


def http_request(method, path, body=b""):
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextlib.contextmanager
def running(arguments, **environ):
    """Start a server, wait until it responds, and yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [argument.replace("PORT", str(port)) for argument in arguments],
        env={**os.environ, **environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                rate(
                    port,
                    http_request("POST", "/v1/do/bench0/Command0", json.dumps(BODY).encode()),
                    clients=1,
                    seconds=0.1,
                )
                break
            except ConnectionRefusedError:
                time.sleep(0.05)  # not up yet
        yield port
    finally:
        process.terminate()
        process.wait()


def rate(port, data, *, clients, seconds):
    """Return the requests a second of this number of clients at once."""
    start = time.perf_counter()
    end = start + seconds

    def one_client(_):
        count = 0
        while time.perf_counter() < end:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(data)
                answer = b""
                while part := connection.recv(65536):
                    answer += part
            if not answer.startswith((b"HTTP/1.0 200", b"HTTP/1.1 200")):
                raise SystemExit(f"the response is not of status 200: {answer[:200]!r}")
            count += 1
        return count

    with ThreadPoolExecutor(clients) as threads:
        return sum(threads.map(one_client, range(clients))) / (time.perf_counter() - start)


if __name__ == "__main__":
    logging.disable()
    measures = [bench_calls, bench_programs, bench_upstreams, bench_start, bench_lambda, bench_memory, bench_http]
    for measure in [*measures, bench_server]:
        if sys.argv[1:] in ([], [measure.__name__]):
            measure()
