"""A certificate authority of one's own, for clients that insist on HTTPS where nobody has given a certificate."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mooring_server.settings import write_private

_CA_DAYS, _SERVER_DAYS = 3650, 820
# A certificate with fewer days left is made anew when the server starts.
_RENEWED_DAYS = 180
# Clocks of clients may be behind ours.
_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class Authority:
    """Keeps its certificate (``ca.pem``), its key and what it issued in a folder that only the owner can enter."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """What clients have to trust."""
        return self.folder / "ca.pem"

    @property
    def chain(self) -> Path:
        """The server's certificate."""
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        """Its key."""
        return self.folder / "server.key"

    def ensure(self, names: Sequence[str]) -> None:
        """See to it that there is a certificate for these host names and addresses, good for a while."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        now = datetime.now(timezone.utc)
        if not self.certificate.exists():
            self._make_authority(now)
        if not self._fits(names, now):
            self._issue(names, now)

    def _make_authority(self, now: datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        # The machine's name tells two of them apart in a list of trusted ones.
        name = _name(f"Mooring on {os.uname().nodename}")
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + timedelta(days=_CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(self._ca_key, _private(key))
        write_private(self.certificate, _pem(made))

    @property
    def _ca_key(self) -> Path:
        return self.folder / "ca.key"

    def _fits(self, names: Sequence[str], now: datetime) -> bool:
        if not self.chain.exists():
            return False
        shown = x509.load_pem_x509_certificate(self.chain.read_bytes())
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        known = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        same = set(known) == set(_alternatives(names)) and shown.issuer == issuer.subject
        return same and shown.not_valid_after_utc - now > timedelta(days=_RENEWED_DAYS)

    def _issue(self, names: Sequence[str], now: datetime) -> None:
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        signing = serialization.load_pem_private_key(self._ca_key.read_bytes(), None)
        assert isinstance(signing, ec.EllipticCurvePrivateKey)  # noqa: S101 - made above
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            x509.CertificateBuilder(
                issuer.subject, _name(names[0]), key.public_key(), x509.random_serial_number()
            )
            .not_valid_before(now - _SKEW)
            .not_valid_after(min(now + timedelta(days=_SERVER_DAYS), issuer.not_valid_after_utc))
            .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
            )
            .sign(signing, hashes.SHA256())
        )
        write_private(self.key, _private(key))
        write_private(self.chain, _pem(made))


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    return [_alternative(name) for name in names]


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
