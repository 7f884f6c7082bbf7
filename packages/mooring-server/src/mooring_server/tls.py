"""The server's certificate."""

from __future__ import annotations

from mooring_runtime import tls
from mooring_server.domain.errors import MooringError


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
