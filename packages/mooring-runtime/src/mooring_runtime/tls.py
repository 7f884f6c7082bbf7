"""A certificate: checked before it is used, and read again when it was renewed."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path


class CertificateUnusable(Exception):
    """A certificate or its key cannot be read, or they do not fit together; the text says which and why."""


@dataclass
class Certificate:
    """A certificate chain and its key, both PEM files.

    Connections that exist keep the certificate they began with.

    Attributes:
        context: for the server's side; always with the certificate in use.
        renewals: how often files that had changed were taken over.

    Raises:
        CertificateUnusable: see there.
    """

    chain: Path
    key: Path
    context: ssl.SSLContext = field(init=False)
    renewals: int = field(init=False, default=0)
    _seen: tuple[object, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Load it."""
        self._seen = self._look()
        try:
            self.context = self._load()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise CertificateUnusable(
                f"The certificate {self.chain} with the key {self.key} cannot be used: {_reason(error)}."
            ) from error

    def refresh(self) -> str | None:
        """Take over files that have changed; costs two ``stat`` calls when they have not.

        Returns:
            What happened, in words, or None. A pair that does not fit together (the key is not written yet) is not
            taken over; the next change of either file is looked at again.
        """
        look = self._look()
        if look == self._seen:
            return None
        self._seen = look
        try:
            self._load()  # on trial: half a pair must not come into the context in use
            self.context.load_cert_chain(self.chain, self.key, _no_password)
        except (OSError, ValueError) as error:
            return f"the new certificate {self.chain} is not used: {_reason(error)}"
        self.renewals += 1
        return f"the new certificate {self.chain} is in use"

    def _look(self) -> tuple[object, ...]:
        return tuple(_stamp(path) for path in (self.chain, self.key))

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.chain, self.key, _no_password)
        context.set_alpn_protocols(["http/1.1"])
        return context


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal.
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)


def _stamp(path: Path) -> object:
    try:
        status = path.stat()
    except OSError as error:
        return error.errno
    return status.st_mtime_ns, status.st_size, status.st_ino
