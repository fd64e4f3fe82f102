"""A process that runs commands, for tests of what exists once in a process: environment, resolver, memory.

It reads a call from each line of stdin, and prints the response as a line. Its argument is JSON, `[names, routes]`:
`names` maps a host to the addresses of each look-up, or null if the resolver does not respond; `routes` maps an address
to the one that it stands for.
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
    """Return the next addresses of the name; null stands for a resolver that does not respond.

    The tests cannot use a resolver of their own, because the system asks the servers in /etc/resolv.conf.
    """
    if host not in names:
        return look_up(host, port, *arguments, **options)
    addresses = names[host].pop(0) if len(names[host]) > 1 else names[host][0]
    if addresses is None:
        time.sleep(30)  # longer than any test waits for it
        raise socket.gaierror("no server responded")
    return [entry for address in addresses for entry in look_up(address, port, *arguments, **options)]


def find_own_name(*_):
    raise AssertionError("our own name was looked up")


def connect_routed(self, address):
    """Connect to a loopback address in place of an address of another machine."""
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
        "HTTP_SPIFF_CONNECTOR_PROXY_API_KEY": "k",  # without a key the proxy would warn on stderr
        "wsgi.input": io.BytesIO(body),
    }
    settings["CONNECTOR_PROXY_API_KEY"] = "k"
    answer = json.loads(b"".join(Proxy(settings)(environ, lambda status, _: statuses.append(int(status[:3])))))
    # not ru_maxrss, which begins with the parent's memory
    kilobytes = re.findall(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    print(json.dumps([answer, statuses[-1], threading.active_count(), int(kilobytes[0])]), flush=True)
