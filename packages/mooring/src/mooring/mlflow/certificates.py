"""Which file of certificates MLflow's HTTP client is given for a server of ours."""

from __future__ import annotations

import os
import socket
import ssl
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from mooring.sdk.connection import Connection
from mooring.sdk.errors import user_error

_SECONDS = 30.0


def ca_file(connection: Connection) -> str | None:
    """A file with PEM certificates, or None where MLflow's own choice is right.

    MLflow takes one file, looks at no ``SSL_CERT_FILE``, and checks the name in a certificate always. The SDK accepts
    the very certificate of the server on its own machine; MLflow only one that is signed by itself, for that name.

    Raises:
        UserErrorException: CertificateNotTrusted.
    """
    if urlsplit(connection.endpoint).scheme != "https":
        return None
    bundle = os.environ.get("MOORING_CA_BUNDLE") or connection.ca_bundle
    if not bundle and connection.certificate:
        return _own(connection.endpoint, connection.certificate, os.environ.get("SSL_CERT_FILE"))
    found = bundle or os.environ.get("SSL_CERT_FILE")
    return str(Path(found).expanduser()) if found else None


@lru_cache(maxsize=8)
def _own(endpoint: str, certificate: str, bundle: str | None) -> str:
    """``bundle`` or ``certificate``, whichever the server's own certificate can be checked with."""
    error: OSError = OSError("there is no such file")
    for path in (bundle, certificate):
        if path:
            try:
                _handshake(endpoint, path)
            except OSError as refused:  # ssl.SSLError is one, too
                error = refused
            else:
                return path
    raise user_error(
        f"MLflow's client cannot check the certificate that {endpoint} shows: {error}.",
        code="CertificateNotTrusted",
        hint="Name the CA that signed it by MOORING_CA_BUNDLE; where the certificate is for another name, also the "
        "server by that name: MOORING_ENDPOINT and MOORING_TOKEN.",
    )


def _handshake(endpoint: str, cafile: str) -> None:
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    context = ssl.create_default_context(cafile=cafile)
    with (
        socket.create_connection((host, parts.port or 443), timeout=_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        pass
