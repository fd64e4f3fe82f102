"""A connection to a mail server: TCP and TLS, before a deadline."""

from __future__ import annotations

import functools
import os
import socket
import ssl
import threading
import time
from typing import Any

# what OpenSSL calls bytes that are no TLS, from 1.1 to 3.x
NOT_TLS = {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}


def seconds_until(deadline: float) -> float:
    """Return the seconds until the deadline; raise socket.timeout if there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise socket.timeout("the time is up")  # the class that sockets raise, on 3.9 too
    return seconds


def connect(host: str, port: int, deadline: float) -> socket.socket:
    """Return a socket connected to the first address of the host that answers."""
    addresses = resolve(host, port, deadline)
    for left in range(len(addresses), 0, -1):
        seconds = max(deadline - time.monotonic(), 0.001) / left  # a silent address leaves time for the others
        try:
            return socket.create_connection((addresses[-left], port), timeout=seconds)
        except OSError as problem:
            error = problem
    if isinstance(error, socket.timeout):
        raise TimeoutError(f"{host} port {port} does not answer") from None
    raise type(error)(error.errno, f"No connection to {host} port {port}: {error.strerror or error}")


def resolve(host: str, port: int, deadline: float) -> list[str]:
    """Look up a name in a thread of its own: getaddrinfo() knows no timeout."""
    found: list[Any] = []

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.append([entry[4][0] for entry in entries])
        except (OSError, ValueError) as error:
            found.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(max(deadline - time.monotonic(), 0))
    if not found:
        raise TimeoutError(f"the name {host} could not be looked up in time")
    if isinstance(found[0], OSError):
        raise type(found[0])(found[0].errno, f"the name {host} cannot be resolved: {found[0].strerror}")
    if isinstance(found[0], Exception):
        raise ValueError(f"smtp_host: {found[0]}")
    return list(dict.fromkeys(found[0]))


def wrap_tls(sock: socket.socket, host: str, port: int) -> ssl.SSLSocket:
    """Return the socket with TLS, the certificate checked; the socket's timeout counts for the handshake."""
    context, _ = create_tls_context()
    try:
        # a dot at the end of a name is not a part of it in TLS (RFC 6066 section 3)
        return context.wrap_socket(sock, server_hostname=host[:-1] if host.endswith(".") else host)
    except ssl.SSLCertVerificationError:
        raise
    except ssl.SSLError as error:
        if error.reason in NOT_TLS:
            message = (
                f"{host} port {port} does not speak TLS here. smtp_ssl is for a port with TLS from the start,"
                " such as 465; smtp_starttls is for 587 and 25."
            )
        else:
            message = f"TLS with {host} port {port} failed: {error.reason or error.strerror or error}"
        raise type(error)(error.errno, message) from None
    except ConnectionError as error:
        message = f"TLS with {host} port {port} failed: {error.strerror or error}"
        raise type(error)(error.errno, message) from None


@functools.cache
def create_tls_context() -> tuple[ssl.SSLContext, str]:
    """Return the one context of the process, and where its CA certificates are: reading them takes 20 ms."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # 3.13 requires key identifiers, which the certificates of many private authorities do not have
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    paths = ssl.get_default_verify_paths()
    return context, os.environ.get("SSL_CERT_FILE") or paths.cafile or paths.capath or paths.openssl_cafile
