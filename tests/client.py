"""A client of the built-in server: requests from outside its process, each over a new connection."""

import http.client
import json
import socket
import ssl
import time

from conftest import CONNECTORS, JSON

EXAMPLES = ("--connectors", str(CONNECTORS))
# the start of a request, to which a test adds what it is about
HEAD = b"GET /liveness HTTP/1.1\r\nHost: x\r\n"
CALL = b"POST /v1/do/example/Echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def request(server, method, path, body=None, **headers):
    """Send one request over a new connection, as SpiffArena's backend does."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def call(server, command, **body):
    status, _, answer = request(server, "POST", f"/v1/do/{command}", json.dumps(body), **{"Content-Type": JSON})
    return status, json.loads(answer)


def connect(server):
    return socket.create_connection((server.host, server.port), timeout=20)


def exchange(server, data):
    """Send bytes as they are, and return all that the server sends."""
    with connect(server) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            return answer.read()


def start_command(server, command, **body):
    """Send a call, and return its connection without reading the response."""
    connection, data = connect(server), json.dumps(body).encode()
    connection.sendall(CALL.replace(b"Echo", command.encode()) + b"Content-Length: %d\r\n\r\n" % len(data) + data)
    return connection


def read_answer(connection):
    """Return the status, the status line and headers as one string, and the body."""
    with connection.makefile("rb") as file:
        head, _, body = file.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body


def secure(connection, authority, server, **versions):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    for name, value in versions.items():
        setattr(context, name, value)
    return context.wrap_socket(connection, server_hostname=server.host)


def wait_until(condition):
    """Poll a condition until it is true; fail after 20 s."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
