"""The server's certificate, and those of services."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mooring_runtime import tls
from mooring_server.domain.errors import InvalidRequest, MooringError


class Certificate(tls.Certificate):
    """A certificate chain and its key, both PEM files.

    Raises:
        MooringError: ``CertificateUnusable``.
    """

    def __post_init__(self) -> None:
        """Load it."""
        try:
            super().__post_init__()
        except tls.CertificateUnusable as error:
            raise MooringError(
                "CertificateUnusable",
                str(error),
                hint="Give a PEM certificate chain (--tls-cert) and its unencrypted PEM key (--tls-key), "
                "both readable by the server's user.",
                phase="Start",
                target=str(self.chain),
            ) from error


def check_pair(certificate: str, key: str) -> None:
    """Whether two texts (PEM) are a certificate and its key; OpenSSL reads them from files only.

    Raises:
        InvalidRequest: ``InvalidSsl``.
    """
    with tempfile.TemporaryDirectory(prefix="mooring-tls-") as folder:  # 0700
        chain, secret = Path(folder) / "certificate.pem", Path(folder) / "key.pem"
        chain.write_text(certificate, encoding="utf-8")
        secret.write_text(key, encoding="utf-8")
        try:
            tls.Certificate(chain, secret)
        except tls.CertificateUnusable as error:
            raise InvalidRequest(
                "InvalidSsl",
                f"The certificate and its key cannot be used: {error.__cause__}.",
                hint="Give a PEM certificate chain and its unencrypted PEM key.",
                target="sslCertificate",
            ) from error
