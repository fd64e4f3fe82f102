"""A connection to a mail server: TCP and TLS, before a deadline."""

from __future__ import annotations

import functools
import os
import socket
import ssl
from typing import Any

from spiffproxy_http.sockets import connect_first, has_interface, look_up

# the reasons that OpenSSL 1.1 to 3.x gives for bytes that are not TLS
NOT_TLS = {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}


def connect(host: str, port: int, deadline: float) -> socket.socket:
    """Return a socket connected to the first address of the host that accepts."""
    addresses = resolve(host, port, deadline)
    try:
        return connect_first(addresses, deadline)[0]
    except socket.timeout:
        raise TimeoutError(f"{host} port {port} does not respond") from None
    except OSError as error:
        message = f"No connection to {host} port {port}: {error.strerror or error}"
        raise type(error)(error.errno, message) from None


def resolve(host: str, port: int, deadline: float) -> list[Any]:
    """Return what getaddrinfo() returns."""
    zone = host.partition("%")[2]
    if zone and not has_interface(zone):
        raise ValueError(f"smtp_host names the network interface {zone}, which the proxy's machine does not have.")
    try:
        return look_up(host, port, deadline)
    except socket.timeout:
        raise TimeoutError(f"The name {host} could not be looked up in time") from None
    except OSError as error:
        raise type(error)(error.errno, f"The name {host} cannot be resolved: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"smtp_host: {error}") from None


def wrap_tls(sock: socket.socket, host: str, port: int) -> ssl.SSLSocket:
    """Return the socket with TLS, the certificate checked; the socket's timeout applies to the handshake."""
    context, _ = create_tls_context()
    try:
        # a dot at the end of a name is not a part of it in TLS (RFC 6066 section 3), nor is the zone of an address
        return context.wrap_socket(sock, server_hostname=host.partition("%")[0].rstrip("."))
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
