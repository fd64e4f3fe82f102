"""Load the built-in server in every way at once, for ten minutes. `make soak` runs it; SECONDS=30 makes it shorter.

There are calls in bursts, commands that hang, and clients that stall, disconnect, go on sending or send nonsense; each
kind runs in its own process, on loopback. It prints the number of calls by outcome ("too busy" is right: the maximum
number of commands was running), and the server's threads, descriptors and memory after a warm-up and at the end. The
exit status is 1 if a call got no response or a wrong one, or if one of these numbers has grown.
"""

from __future__ import annotations

import functools
import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECONDS = int(os.environ.get("SECONDS", "600"))
THREADS = 16  # few, so that all of them are sometimes in use
CLIENTS = 64  # in one burst; all clients together have some 300 connections open
PATIENCE = 30  # s: a call that takes longer is lost
KEY = "correct horse"
ECHO, WAIT = "/v1/do/example/Echo", "/v1/do/example/Wait"
SLOWEST = "slowest liveness, ms"
HALVES = [
    b"",
    b"POST /v1/do/exam",
    b"POST /v1/do/example/Echo HTTP/1.1\r\nContent-Type: application/json\r\nContent-Le",
    b"POST /v1/do/example/Echo HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 99\r\n"
    b'Spiff-Connector-Proxy-Api-Key: correct horse\r\n\r\n{"value": ',
]
NONSENSE = [
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\xff\x00: \x01\r\n\r\n",
    b"POST /v1/do/example/Echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]
REST = 15  # s: longer than a thread without work lives
# the growth from the warm-up to the end that is allowed, because something may still be running
MORE_THREADS, MORE_DESCRIPTORS = 4, 4
# The allocator keeps the memory of bodies of up to 1 MB in each thread. A leak of 100 bytes for each call is more than
# this after ten minutes.
MORE_MEGABYTES = 16


# --- what clients do: each function returns the number of calls by outcome ---


def rounds(until, pause):
    """Yield numbers until the time is over, with a pause after each, which limits the load."""
    number = 0
    while time.monotonic() < until:
        yield number
        number += 1
        time.sleep(pause)


def ask(port, path, body, status, words, key=KEY):
    """Make a call over a new connection, and return its outcome as a word."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {"Content-Type": "application/json", "Spiff-Connector-Proxy-Api-Key": key}
    try:
        connection.request("POST" if body else "GET", path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        print(f"lost: {path}, {len(body)} bytes: {error!r}", file=sys.stderr)
        return "lost"
    finally:
        connection.close()
    if (answer.status, words in content) == (status, True):
        return "right"
    if answer.status == 503 and b'"too_busy"' in content:
        return "too busy"
    print(f"wrong: {path}, {len(body)} bytes: {answer.status} {content[:200]!r}", file=sys.stderr)
    return "wrong"


def echo(port, text):
    value = json.dumps({"value": text})
    return ask(port, ECHO, value, 200, value[1:-1].encode())


def bursts(port, until, seed):
    """Many clients at once, each with a string that no other client sends."""
    counts = Counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for number in rounds(until, 0.2):
            texts = [f"{seed} {number} {client}" for client in range(CLIENTS)]
            counts.update(pool.map(functools.partial(echo, port), texts))
    return counts


def large_bodies(port, until, seed):
    return Counter(echo(port, f"{seed} {number} " * 100_000) for number in rounds(until, 0.2))


def hangs(port, until, seed):
    """The maximum number of commands, which run for a second of every two."""
    counts = Counter()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in rounds(until, 1):
            waits = [pool.submit(ask, port, WAIT, '{"seconds": 1}', 200, b"{}") for _ in range(THREADS)]
            counts.update(wait.result() for wait in waits)
    return counts


def early_answers(port, until, seed):
    """Too large a body, and a wrong key: the response comes while the body is still being sent."""
    counts = Counter()
    for _ in rounds(until, 0.5):
        counts[ask(port, ECHO, "a" * 5_000_000, 413, b"request_too_large")] += 1
        counts[ask(port, ECHO, "a" * 5_000_000, 401, b"Unauthorized", key="wrong")] += 1
    return counts


def liveness(port, until, seed):
    counts, slowest = Counter(), 0.0
    for _ in rounds(until, 0.02):
        start = time.perf_counter()
        counts[ask(port, "/liveness", "", 200, b'{"ok": true}')] += 1
        slowest = max(slowest, time.perf_counter() - start)
    counts[SLOWEST] = round(slowest * 1000)
    return counts


def stalls(port, until, seed):
    """Half a request and then nothing, for longer than the server waits."""
    held = deque()
    for _ in rounds(until, 2):
        for half in HALVES:
            held.append(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
            held[-1].sendall(half)
        while len(held) > 80:
            held.popleft().close()
    for connection in held:
        connection.close()
    return Counter()


def resets(port, until, seed):
    """Half a request and then a reset."""
    for number in rounds(until, 0.05):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(HALVES[number % len(HALVES)])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return Counter()


def nonsense(port, until, seed):
    """Bytes that are not a request: any response is right, but the server must close the connection."""
    randomness = random.Random(seed)
    counts = Counter()
    for number in rounds(until, 0.05):
        noise = bytes(randomness.choices(range(256), k=randomness.randrange(300))) + b"\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            try:
                connection.sendall(NONSENSE[number % len(NONSENSE)] if number % 2 else noise)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except socket.timeout:
                counts["lost"] += 1
            except OSError:
                pass  # closed before all was sent
    return counts


WORK = [bursts, bursts, bursts, large_bodies, hangs, early_answers, stalls, resets, nonsense, liveness]


def work(port, seconds):
    """Run all kinds of clients at once, each in its own process, and return the sums."""
    until = time.monotonic() + seconds
    with ProcessPoolExecutor(len(WORK)) as pool:
        return sum((job.result() for job in [pool.submit(do, port, until, n) for n, do in enumerate(WORK)]), Counter())


# --- the server ---


def measure(pid):
    """Return what a process uses, as Linux reports it, after the process has become idle."""
    time.sleep(REST)
    status = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return {
        "threads": int(status["Threads"]),
        "descriptors": descriptors,
        "memory, MB": int(status["VmRSS"].split()[0]) // 1024,
    }


def start(log):
    """Start the server and return it with its port."""
    process = subprocess.Popen(
        [sys.executable, "spiffproxy.py", "--connectors", "tests/connectors", "--port", "0", "--threads", str(THREADS)],
        cwd=ROOT,
        env={**os.environ, "CONNECTOR_PROXY_API_KEY": KEY, "CONNECTOR_PROXY_MAX_REQUEST_BYTES": "1000000"},
        stdout=subprocess.DEVNULL,
        stderr=log,
    )
    while process.poll() is None:
        if match := re.search(r"http://127\.0\.0\.1:(\d+)", Path(log.name).read_text()):
            return process, int(match[1])
        time.sleep(0.05)
    raise SystemExit(Path(log.name).read_text())


def main():
    with tempfile.NamedTemporaryFile() as log:
        process, port = start(log)
        try:
            warm_up = work(port, min(SECONDS / 3, 30))
            before = measure(process.pid)
            counts = work(port, SECONDS)
            after = measure(process.pid)
        finally:
            process.terminate()
            code = process.wait(PATIENCE)
        faults = re.findall(r".* raised .*|Traceback.*", Path(log.name).read_text(errors="replace"))
    allowed = {"threads": MORE_THREADS, "descriptors": MORE_DESCRIPTORS, "memory, MB": MORE_MEGABYTES}
    counts.update({kind: warm_up[kind] for kind in ("lost", "wrong")})
    for kind in "right", "too busy", "lost", "wrong", SLOWEST:
        print(f"{kind:22}{counts[kind]:8}")
    for name in allowed:
        print(f"{name:22}{before[name]:8} after the warm-up, {after[name]} at the end")
    wrong = [name for name in allowed if after[name] > before[name] + allowed[name]]
    wrong += [f"{counts[kind]} calls {kind}" for kind in ("lost", "wrong") if counts[kind]]
    wrong += [f"exit status {code}"] if code else []
    wrong += [f"logged {len(faults)} times: {faults[0]}"] if faults else []
    print(f"FAILED: {'; '.join(wrong)}" if wrong else "passed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
