"""Which certificates a client accepts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mooring.sdk.connection import Connection
from mooring.sdk.errors import user_error

if TYPE_CHECKING:
    import ssl

# OpenSSL's X509_V_FLAG_PARTIAL_CHAIN; `ssl` names it from Python 3.10 on.
_PARTIAL_CHAIN = 0x80000
_END = "-----END CERTIFICATE-----"


def context(endpoint: str, connection: Connection | None = None) -> ssl.SSLContext | None:
    """How to check who answers at ``endpoint``.

    The per-user server's own certificate is known from `server.json`: exactly it is accepted, under whatever name, so
    that commands on its machine need no CA. Elsewhere the CAs of ``MOORING_CA_BUNDLE`` (or ``ca_bundle`` in
    config.json) are trusted beside the system's, and those of ``SSL_CERT_FILE`` as OpenSSL does.

    Returns:
        None where the HTTP client's own default is right.

    Raises:
        UserErrorException: CaBundleUnusable.
    """
    if urlsplit(endpoint).scheme != "https":
        return None
    if connection is not None and connection.certificate:
        return _exactly(connection.certificate)
    bundle = os.environ.get("MOORING_CA_BUNDLE") or (connection.ca_bundle if connection else "")
    if not bundle and not os.environ.get("SSL_CERT_FILE"):
        return None
    import ssl

    try:
        result = ssl.create_default_context()
        if bundle:
            result.load_verify_locations(cafile=str(Path(bundle).expanduser()))
    except OSError as error:  # ssl.SSLError is one, too
        raise user_error(
            f"The certificates in {bundle} cannot be used: {error.strerror or error}.",
            code="CaBundleUnusable",
            hint="Name a file with PEM certificates by MOORING_CA_BUNDLE or 'ca_bundle' in config.json.",
        ) from error
    return result


def _exactly(path: str) -> ssl.SSLContext | None:
    import ssl

    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
        result = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # The name does not matter, since nobody else has this certificate's key.
        result.check_hostname = False
        result.load_verify_locations(cadata=text[: text.index(_END) + len(_END)] + "\n")
    except (OSError, ValueError):  # moved since the server read it: then it is checked like any other
        return None
    result.verify_flags |= ssl.VerifyFlags(_PARTIAL_CHAIN)
    return result
