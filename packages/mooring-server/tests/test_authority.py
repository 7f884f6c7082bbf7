"""The CA for `az`."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509

from mooring_server import authority as module
from mooring_server.authority import Authority


def shown(authority: Authority) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.chain.read_bytes())


def test_a_certificate_is_made_anew_for_other_names_by_the_same_ca(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "az")
    authority.ensure(["localhost", "127.0.0.1"])
    ca, first = authority.certificate.read_bytes(), shown(authority)
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert next(name.value for name in names) == "localhost"
    first.verify_directly_issued_by(x509.load_pem_x509_certificate(ca))
    authority.ensure(["127.0.0.1", "localhost"])
    assert shown(authority) == first
    authority.ensure(["mooring.example.org"])
    assert shown(authority) != first
    assert authority.certificate.read_bytes() == ca


def test_a_certificate_that_is_nearly_over_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "az")
    monkeypatch.setattr(module, "_SERVER_DAYS", 10)
    authority.ensure(["localhost"])
    soon = datetime.now(timezone.utc) + timedelta(days=11)
    assert shown(authority).not_valid_after_utc < soon
    monkeypatch.undo()
    authority.ensure(["localhost"])
    assert shown(authority).not_valid_after_utc > soon
