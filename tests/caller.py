"""A process that runs commands, for tests of what a process has once: its environment, its resolver, its memory.

Each line that it reads is a call, and each that it writes is the answer. Its argument says where names and addresses lead.
"""

import io
import json
import re
import socket
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from spiffproxy import Proxy

names, routes = json.loads(sys.argv[1])
look_up = socket.getaddrinfo
connect = socket.socket.connect


def getaddrinfo(host, port, *arguments, **options):
    """Return the addresses that are next in turn for the name; null is a resolver that does not answer.

    No test can bring in a real one: the system asks the servers that /etc/resolv.conf names.
    """
    if host not in names:
        return look_up(host, port, *arguments, **options)
    addresses = names[host].pop(0) if len(names[host]) > 1 else names[host][0]
    if addresses is None:
        time.sleep(30)  # longer than any test waits for it
        raise socket.gaierror("no server has answered")
    return [entry for address in addresses for entry in look_up(address, port, *arguments, **options)]


def find_own_name(*_):
    raise AssertionError("our own name was looked up")


def connect_routed(self, address):
    """Stay on this machine: what lies elsewhere is at a loopback address."""
    return connect(self, (routes.get(address[0], address[0]), *address[1:]))


socket.getaddrinfo = getaddrinfo
socket.getfqdn = socket.gethostbyaddr = find_own_name
socket.socket.connect = connect_routed

statuses = []

for line in sys.stdin:
    command, settings, parameters = json.loads(line)
    body = json.dumps(parameters).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": f"/v1/do/{command}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_SPIFF_CONNECTOR_PROXY_API_KEY": "k",  # without one the proxy would warn on stderr
        "wsgi.input": io.BytesIO(body),
    }
    settings["CONNECTOR_PROXY_API_KEY"] = "k"
    answer = json.loads(b"".join(Proxy(settings)(environ, lambda status, _: statuses.append(int(status[:3])))))
    # not ru_maxrss, which begins with what the parent had
    kilobytes = re.findall(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    print(json.dumps([answer, statuses[-1], threading.active_count(), int(kilobytes[0])]), flush=True)
