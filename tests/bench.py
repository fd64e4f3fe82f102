"""Measure what the proxy costs. Run by `make bench`; prints ratios, so that machines compare. Asserts nothing.

With bytecode compiled, but for AWS Lambda, and logging off; medians of several rounds, the things compared taking turns.
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
    """Read and write the same JSON, and nothing else: what any proxy has to do."""
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
    """Return the median of each measure, the measures taking turns so that the machine's moods hit all alike."""
    results = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            results[name].append(measure())
    return {name: median(values) for name, values in results.items()}


def write_connectors(folder, commands, per_connector=20):
    """Write that many commands into a folder, and return it."""
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
            # a process of its own for each: the names are the same
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


def in_process(setup, expression):
    """Return a function that evaluates an expression in a process of its own, where `setup` has run."""
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
    """Start a server and return the time until it has answered."""
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
answer = lambda_handler({**event, "headers": {"content-type": "application/json"}}, None)
assert answer["statusCode"] == 200, answer
print("answered", flush=True)
"""


def bench_lambda():
    """Compare what a new process takes for its first answer, from the unpacked zip, with a Python that does nothing."""
    # Lambda's folder is read-only: what is in there is compiled each time, which the standard library is not
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": ""}
    with tempfile.TemporaryDirectory() as folder, upstream() as port:
        archive = Path(folder) / "spiffproxy-lambda.zip"
        subprocess.run(
            [sys.executable, str(ROOT / ".ci" / "pack.py"), str(archive)], check=True, stdout=subprocess.DEVNULL
        )
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
            list=lambda: seconds(INVOKE, "GET", "/v1/commands", ""),
            call=lambda: seconds(INVOKE, "POST", "/v1/do/http/GetRequest", body),
        )
    for title, name in ("/v1/commands", "list"), ("http/GetRequest", "call"):
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
    print(f"peak memory of a call with 20 MB    {float(ended.stdout):.1f} × the body (which the measure holds, too)")


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
    """Compare GetRequestV2 over https with a bare connection that is kept, and with urlopen() as it comes."""
    import trustme

    authority = trustme.CA()
    with tempfile.TemporaryDirectory() as folder:
        bundle, own = Path(folder) / "bundle.pem", Path(folder) / "own.pem"
        authority.cert_pem.write_to_path(str(bundle))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(own))
        os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = str(bundle)
        with upstream(str(own)) as port:
            compare_clients(port)


@contextlib.contextmanager
def upstream(*certificate):
    """Start a server that answers every GET, and yield its port."""
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
            raise SystemExit("the upstream does not answer")

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
    print(f"http/GetRequestV2 over https        {results['ours'] / results['kept']:.2f} × a bare kept http.client")
    print(f"                                    {results['ours'] / results['anew']:.1f} × urlopen() as it comes")
    print(f"(calls a second: {results['ours']:.0f}, {results['kept']:.0f}, {results['anew']:.0f})")


BARE_SERVER = """
import socketserver, sys, bench
from wsgiref.simple_server import WSGIServer, make_server
WSGIServer.request_queue_size = 1024  # with 5, its own, 64 clients would wait for lost packets
class Threading(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
def application(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        return bench.bare(environ, start_response)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", sys.argv[3])])
    return [b" " * int(sys.argv[3])]
server = Threading if sys.argv[2] == "threading" else WSGIServer
make_server("127.0.0.1", int(sys.argv[1]), application, server).serve_forever()
"""
SLEEPING = """
import time
class Sleep:
    def execute(self, config, task_data):
        time.sleep(0.05)
        return {"response": {}}
"""


def bench_server():
    """Compare requests a second, a connection for each as SpiffArena's backend makes them, from a process of its own."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        write_connectors(folder, 20)
        Path(folder, "connector_bench0", "commands", "sleeping.py").write_text(SLEEPING)
        python = sys.executable
        command = [python, str(ROOT / "spiffproxy.py"), "--port", "PORT", "--connectors", folder]
        ours = stack.enter_context(running(command))
        with urlopen(f"http://127.0.0.1:{ours}/v1/commands") as listing:
            length = str(len(listing.read()))
        ports = {
            "single": [python, "-c", BARE_SERVER, "PORT", "single", length],
            "threading": [python, "-c", BARE_SERVER, "PORT", "threading", length],
        }
        if importlib.util.find_spec("gunicorn"):
            ports["gunicorn"] = [python, "-m", "gunicorn", "-w", "3", "-b", "127.0.0.1:PORT", "spiffproxy:app"]
        os.environ["CONNECTOR_PROXY_CONNECTORS"] = folder
        for name, arguments in ports.items():
            ports[name] = stack.enter_context(running(arguments))
        ports["ours"] = ours
        trivial = http_request("POST", "/v1/do/bench0/Command0", json.dumps(BODY).encode())
        for title, data in ("discovery", http_request("GET", "/v1/commands")), ("trivial command", trivial):
            for clients in 8, 64:
                results = rates(ports, ["single", "threading", "ours"], data, clients)
                print(f"{title} at {clients} clients".ljust(35), end=" ")
                print(f"{results['ours'] / results['single']:.2f} × wsgiref,", end=" ")
                print(f"{results['ours'] / results['threading']:.1f} × with a thread a request", end=" ")
                print(f"({results['ours']:.0f} a second)")
        if "gunicorn" not in ports:
            print("not compared with gunicorn, which is not installed")
            return
        for clients in 8, 64:
            results = rates(ports, ["gunicorn", "ours"], http_request("POST", "/v1/do/bench0/Sleep", b"{}"), clients)
            print(f"50 ms command at {clients} clients".ljust(35), end=" ")
            print(
                f"{results['ours'] / results['gunicorn']:.1f} × gunicorn with 3 workers ({results['ours']:.0f} a second)"
            )


def http_request(method, path, body=b""):
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextlib.contextmanager
def running(arguments):
    """Start a server, wait until it answers, and yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [argument.replace("PORT", str(port)) for argument in arguments],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                rate(port, http_request("GET", "/v1/commands"), clients=1, seconds=0.1)
                break
            except ConnectionRefusedError:
                time.sleep(0.05)  # not up yet
        yield port
    finally:
        process.terminate()
        process.wait()


def rates(ports, names, data, clients):
    expression = "bench.rate({}, {!r}, clients={}, seconds=1)"
    measures = {name: in_process("", expression.format(ports[name], data, clients)) for name in names}
    return take_turns(5, **measures)


def rate(port, data, *, clients, seconds):
    """Return requests a second, of that many clients at once."""
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
                raise SystemExit(f"no answer, but {answer[:200]!r}")
            count += 1
        return count

    with ThreadPoolExecutor(clients) as threads:
        return sum(threads.map(one_client, range(clients))) / (time.perf_counter() - start)


if __name__ == "__main__":
    logging.disable()
    for measure in bench_calls, bench_start, bench_lambda, bench_memory, bench_http, bench_server:
        if sys.argv[1:] in ([], [measure.__name__]):
            measure()
