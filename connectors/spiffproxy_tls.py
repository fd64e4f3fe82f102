"""HTTPS for the built-in server. Imported when a certificate is set."""

from __future__ import annotations

import ssl
from pathlib import Path

from spiffproxy import HEAD_SECONDS, Connection, SettingError

CERTFILE, KEYFILE = "CONNECTOR_PROXY_CERTFILE", "CONNECTOR_PROXY_KEYFILE"


def load_certificate(certfile: str, keyfile: str) -> ssl.SSLContext:
    """Return the context of a server (TLS 1.2 and above); raise SettingError if the files cannot be used."""

    def refuse_password() -> str:
        name, path = (KEYFILE, keyfile) if keyfile else (CERTFILE, certfile)
        raise SettingError(f"{name}: {path} is encrypted; give a key without a password")

    check_files(certfile, keyfile)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certfile, keyfile or None, refuse_password)
    except ssl.SSLError as error:
        if (error.reason or "").endswith("_MISMATCH"):
            raise SettingError(f"{KEYFILE}: the key does not belong to the certificate in {certfile}") from None
        raise SettingError(f"{CERTFILE}, {KEYFILE}: a file is damaged: {error.reason or error}") from None
    return context


def start(connection: Connection, context: ssl.SSLContext) -> None:
    """Do the handshake of a connection."""
    connection.pass_turn()
    tls = context.wrap_socket(connection.sock, server_side=True, do_handshake_on_connect=False)
    connection.sock = tls  # which the server closes if it stops in the meantime
    connection.flags = ()  # sockets of TLS accept no flags
    tls.settimeout(HEAD_SECONDS)
    tls.do_handshake()


def check_files(certfile: str, keyfile: str) -> None:
    """Raise SettingError that names the file that is wrong: OpenSSL does not."""
    certificate = read_pem(CERTFILE, certfile)
    key = read_pem(KEYFILE, keyfile) if keyfile else certificate
    is_swapped = "PRIVATE KEY-----" in certificate and "-----BEGIN CERTIFICATE" in key and keyfile
    if "-----BEGIN CERTIFICATE" not in certificate:
        advice = f"{KEYFILE} has one: swap the two" if is_swapped else "it needs one in PEM format"
        raise SettingError(f"{CERTFILE}: {certfile} has no certificate; {advice}")
    if "PRIVATE KEY-----" not in key:
        if keyfile:
            raise SettingError(f"{KEYFILE}: {keyfile} has no private key; it needs one in PEM format")
        raise SettingError(f"{CERTFILE}: {certfile} has no private key; name the file that has it with {KEYFILE}")


def read_pem(name: str, path: str) -> str:
    try:
        return Path(path).read_text("latin-1")
    except OSError as error:
        raise SettingError(f"{name}: {error}") from None
