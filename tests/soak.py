"""Everything at once, for ten minutes, against the proxy's own server. Run by `make soak`; SECONDS=30 makes it shorter.

Calls in bursts, commands that hang, clients that stall, hang up, go on sending or send nonsense, each kind from a
process of its own, on loopback. Prints what became of the calls ("too busy" is as it should be: that many commands
were running), and the server's threads, descriptors and memory after a warm-up and at the end. Exits with 1 where a
call got no answer or a wrong one, or where one of those has grown.
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
THREADS = 16  # few, so that they are all taken now and then
CLIENTS = 64  # of one burst; of all that is below, some 300 connections are open at once
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
# what may be more at the end than after the warm-up, for what happens to go on
MORE_THREADS, MORE_DESCRIPTORS = 4, 4
# The allocator keeps what a thread once had for bodies of up to 1 MB; where each call leaves 100 bytes behind, it is
# more than this after ten minutes.
MORE_MEGABYTES = 16


# --- what clients do: each returns how many calls came to what end ---


def rounds(until, pause):
    """Yield numbers until the time is over, with a pause behind each, which bounds them."""
    number = 0
    while time.monotonic() < until:
        yield number
        number += 1
        time.sleep(pause)


def ask(port, path, body, status, words, key=KEY):
    """Make a call over a connection of its own and return, in a word, what became of it."""
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
    """Many clients at once, each with a text that nobody else sends."""
    counts = Counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for number in rounds(until, 0.2):
            texts = [f"{seed} {number} {client}" for client in range(CLIENTS)]
            counts.update(pool.map(functools.partial(echo, port), texts))
    return counts


def large_bodies(port, until, seed):
    return Counter(echo(port, f"{seed} {number} " * 100_000) for number in rounds(until, 0.2))


def hangs(port, until, seed):
    """As many commands as may run, for a second of every two."""
    counts = Counter()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in rounds(until, 1):
            waits = [pool.submit(ask, port, WAIT, '{"seconds": 1}', 200, b"{}") for _ in range(THREADS)]
            counts.update(wait.result() for wait in waits)
    return counts


def early_answers(port, until, seed):
    """Too large a body and a wrong key: both are answered while the body is on its way."""
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
    """Bytes that are no request: what they are answered with is not looked at, but the server must come to an end."""
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
    """Do it all at once, each in a process of its own, and return the sum."""
    until = time.monotonic() + seconds
    with ProcessPoolExecutor(len(WORK)) as pool:
        return sum((job.result() for job in [pool.submit(do, port, until, n) for n, do in enumerate(WORK)]), Counter())


# --- the server ---


def measure(pid):
    """Return what a process has, as Linux says it, once it has come to rest."""
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
