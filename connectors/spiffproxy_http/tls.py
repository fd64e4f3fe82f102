"""TLS on a connected socket. Imported for the first https URL, because the import is slow."""

from __future__ import annotations

import functools
import os
import socket
import ssl
from pathlib import Path
from typing import NamedTuple

from spiffproxy_http.client_certs import SETTING, read_client_certs
from spiffproxy_http.errors import RequestError
from spiffproxy_http.sockets import seconds_until

# the reasons that the versions of OpenSSL give for bytes that are not TLS
NOT_TLS = {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
UNKNOWN_ISSUER = {2, 18, 19, 20, 21}  # X509_V_ERR_… of a certificate whose authority is not known


def wrap_tls(sock: socket.socket, host: str, port: int, deadline: float, client_cert: str | None) -> ssl.SSLSocket:
    """Return the socket with TLS, the certificate checked. If that fails, close it and raise `RequestError`:
    `SSLError`, `ReadTimeout`, `ConnectionError`. `client_cert` is the file of a certificate to show, or None.
    """
    try:
        sock.settimeout(seconds_until(deadline))
        return create_tls_context(client_cert).wrap_socket(sock, server_hostname=host)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):  # SSLError is one of them
            raise translate_tls_error(error, host, port) from None
        raise


def translate_tls_error(error: OSError, host: str, port: int) -> RequestError:
    if isinstance(error, socket.timeout):
        return RequestError("ReadTimeout", f"The TLS handshake with {host} did not finish in time")
    if isinstance(error, ssl.SSLCertVerificationError):
        message = f"The certificate of {host} is not trusted: {error.verify_message}"
        if error.verify_code in UNKNOWN_ISSUER:
            message = f"{message}. The trusted authorities are in {find_ca_bundle()}"
        return RequestError("SSLError", message)
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        if reason in NOT_TLS:
            reason = f"port {port} does not use TLS. Correct the port, or write http:// in the URL"
        elif isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            reason = f"the server closed the connection. Does port {port} use TLS?"
        return RequestError("SSLError", f"TLS with {host} failed: {reason}")
    message = f"{host} closed the connection during the TLS handshake: {error.strerror or error}"
    return RequestError("ConnectionError", message)


class CaBundle(NamedTuple):
    """A file or folder with certificates, and the variable that names it, or None for the system's."""

    path: str
    variable: str | None

    def __str__(self) -> str:
        return f"{self.path} ({self.variable or 'the default of the system'})"


@functools.cache
def find_ca_bundle() -> CaBundle:
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(variable)
        if path:
            return CaBundle(path, variable)
    paths = ssl.get_default_verify_paths()
    return CaBundle(paths.cafile or paths.capath or paths.openssl_cafile, None)


@functools.cache
def create_tls_context(client_cert: str | None) -> ssl.SSLContext:
    """Return the context for the file of a client certificate, or for none. The process has one for each, because
    reading all certificate authorities takes 20 ms.
    """
    bundle = find_ca_bundle()
    # OpenSSL reads the variables that begin with SSL_ by itself
    path = bundle.path if bundle.variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") else None
    try:
        if path and Path(path).is_dir():
            context = ssl.create_default_context(capath=path)
        else:
            context = ssl.create_default_context(cafile=path)
    except OSError as error:
        message = f"{bundle.variable}: the CA bundle {path} cannot be read: {error.strerror or error}"
        raise RequestError("SSLError", message) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # 3.13 requires key identifiers, which the certificates of many private authorities do not have
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if client_cert:
        load_client_cert(context, client_cert)
    return context


def check_client_certs(text: str) -> None:
    """Raise `RequestError` if the setting is invalid, or a file of it cannot be used."""
    for cert in read_client_certs(text):
        load_client_cert(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert.path)


def load_client_cert(context: ssl.SSLContext, path: str) -> None:
    """Have the context show the certificate in a file; raise `RequestError` that says why it cannot be used."""

    def refuse_password() -> str:
        raise unusable_cert(f"the key in {path} is encrypted. Use a key without a password")

    try:
        text = Path(path).read_text("latin-1")
        if "-----BEGIN CERTIFICATE" not in text:
            raise unusable_cert(f"{path} has no certificate in PEM form")
        if "PRIVATE KEY-----" not in text:
            raise unusable_cert(f"{path} has no private key in PEM form. Append it to the certificate")
        context.load_cert_chain(path, None, refuse_password)
    except ssl.SSLError as error:
        reason = error.reason or "its PEM data cannot be read"
        if reason.endswith("_MISMATCH"):
            raise unusable_cert(f"the key in {path} does not belong to the certificate") from None
        raise unusable_cert(f"{path} is damaged: {reason}") from None
    except (OSError, ValueError) as error:  # ValueError for a null character in the path
        raise unusable_cert(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def unusable_cert(problem: str) -> RequestError:
    return RequestError("SSLError", f"{SETTING}: {problem}")
