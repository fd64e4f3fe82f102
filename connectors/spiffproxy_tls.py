"""HTTPS for the built-in server. Imported when a certificate is set."""

from __future__ import annotations

import ssl
from pathlib import Path

from spiffproxy import SettingError


def load_certificate(certfile: str, keyfile: str) -> ssl.SSLContext:
    """Return the context of a server (TLS 1.2 and above); raise SettingError if the files cannot be used."""

    def refuse_password() -> str:
        path = keyfile or certfile
        raise SettingError(f"CONNECTOR_PROXY_KEYFILE: {path} is encrypted; give a key without a password")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        for path in (certfile, keyfile):
            if path:
                Path(path).open("rb").close()  # load_cert_chain() does not name the file that is missing
        context.load_cert_chain(certfile, keyfile or None, refuse_password)
    except ssl.SSLError as error:
        reason = f"no PEM file: {error.reason or error}"
        if (error.reason or "").endswith("_MISMATCH"):
            reason = "the key is not that of the certificate"
    except OSError as error:
        reason = str(error)
    else:
        return context
    raise SettingError(f"CONNECTOR_PROXY_CERTFILE, CONNECTOR_PROXY_KEYFILE: {reason}")
