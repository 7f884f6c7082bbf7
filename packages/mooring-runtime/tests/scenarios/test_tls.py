"""TLS with certificates that are renewed, and keys that are rotated, under load."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from mooring_runtime.supervisor.failure import SupervisorError
from mooring_runtime.testing import Service, until

SCORE = """
import os, time
def init(): pass
def run(data):
    while data.startswith("/") and not os.path.exists(data): time.sleep(0.01)
    time.sleep(0.002)
    return data
"""


class Authority:
    """Issues certificates into two files."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.chain, self.key = folder / "chain.pem", folder / "key.pem"
        self.trust = ssl.create_default_context()
        self._ca.configure_trust(self.trust)
        self.spec = {"certificate": str(self.chain), "key": str(self.key)}

    def issue(self) -> None:
        """Replaces the certificate as renewal tools do: one file, then the other."""
        issued = self._ca.issue_cert("127.0.0.1")
        for path, blob in (
            (self.chain, b"".join(part.bytes() for part in issued.cert_chain_pems)),
            (self.key, issued.private_key_pem.bytes()),
        ):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(blob)
            fresh.replace(path)

    def shown(self, service: Service) -> bytes:
        """The certificate that a new connection gets."""
        address = urlsplit(service.client.status()["url"])
        with (
            socket.create_connection((str(address.hostname), int(address.port or 0))) as plain,
            self.trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            shown = connection.getpeercert(binary_form=True)
        assert shown is not None
        return shown


@pytest.fixture
def authority(tmp_path: Path, service: Service) -> Authority:
    made = Authority(tmp_path)
    made.issue()
    service.trust = made.trust
    return made


@contextmanager
def load(call: Callable[[], int], callers: int = 3) -> Iterator[list[int]]:
    """Calls without pause, and the statuses."""
    done = threading.Event()
    statuses: list[int] = []
    failures: list[Exception] = []

    def repeat() -> None:
        while not done.is_set():
            try:
                statuses.append(call())
            except (OSError, http.client.HTTPException) as exc:
                failures.append(exc)
                return

    threads = [threading.Thread(target=repeat) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_caller_that_sends_no_more_is_taken_for_gone(
    service: Service, authority: Authority, tmp_path: Path
) -> None:
    service.apply(SCORE, spec={"tls": authority.spec})
    address = urlsplit(service.ready()["url"])
    path = str(tmp_path / "gate").encode()
    with (
        socket.create_connection((str(address.hostname), int(address.port or 0)), 30) as plain,
        authority.trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(
            b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path)
        )
        with socket.socket(fileno=os.dup(connection.fileno())) as raw:
            raw.shutdown(socket.SHUT_WR)
        # Although nobody has opened the gate.
        assert connection.recv(1000) == b""
    (tmp_path / "gate").touch()
    assert service.post(b"mine").json() == "mine"


def test_a_renewed_certificate_loses_no_request(service: Service, authority: Authority) -> None:
    service.apply(SCORE, spec={"tls": authority.spec}, workers=2)
    assert service.ready()["url"].startswith("https://127.0.0.1:")
    front = service.client.status()["front"]["pid"]
    seen = {authority.shown(service)}
    with load(lambda: service.post(b"1").status) as statuses:
        for _ in range(3):
            authority.issue()
            until(lambda: authority.shown(service) not in seen, "new connections get the new certificate")
            seen.add(authority.shown(service))
            count = len(statuses)
            until(lambda count=count: len(statuses) > count + 20, "calls go on")  # type: ignore[misc]
    assert set(statuses) == {200}
    assert service.client.status()["front"]["pid"] == front
    assert "is in use" in service.log("front")


def test_half_a_pair_is_not_used(service: Service, authority: Authority) -> None:
    service.apply(SCORE, spec={"tls": authority.spec})
    service.ready()
    before = authority.shown(service)
    key = authority.key.read_bytes()
    authority.key.write_bytes(b"not a key")
    service.logged("is not used", "front")
    assert authority.shown(service) == before
    assert service.post(b"1").status == 200
    authority.key.write_bytes(key)
    service.logged("is in use", "front")
    assert service.post(b"1").status == 200


def test_from_http_to_https_and_back(service: Service, authority: Authority) -> None:
    service.apply(SCORE)
    service.ready()
    workers = [row["pid"] for row in service.client.status()["workers"]]
    service.apply_spec({"tls": authority.spec})
    service.client.wait(
        lambda seen: seen["front"]["state"] == "Ready" and seen["url"].startswith("https"), 30
    )
    until(lambda: service.ready() and service.post(b"1").status == 200, "https answers")
    service.apply_spec({"tls": None})
    service.client.wait(
        lambda seen: seen["front"]["state"] == "Ready" and seen["url"].startswith("http:"), 30
    )
    until(lambda: service.ready() and service.post(b"1").status == 200, "http answers")
    assert [row["pid"] for row in service.client.status()["workers"]] == workers


def test_what_is_no_certificate(service: Service, authority: Authority) -> None:
    with pytest.raises(SupervisorError) as missing:
        service.apply(SCORE, spec={"tls": {**authority.spec, "key": "/nowhere/key.pem"}})
    assert missing.value.failure.code == "CertificateUnusable"
    assert "No such file" in missing.value.failure.message
    with pytest.raises(SupervisorError, match=r"tls\.key is missing"):
        service.apply(SCORE, spec={"tls": {"certificate": "x"}})
    # One that vanishes while the service is down is not another's port.
    service.apply(SCORE, spec={"tls": authority.spec})
    service.ready()
    service.kill()
    authority.key.unlink()
    service.restart()
    assert service.failed()["code"] == "CertificateUnusable"
    authority.issue()
    service.client.wait(lambda seen: seen["phase"] == "Ready", 120)
    assert service.post(b"1").status == 200


def test_keys_are_rotated_without_losing_a_request(service: Service) -> None:
    service.apply(SCORE, spec={"auth_keys": ["old", "both"]}, workers=2)
    service.ready()
    with load(lambda: service.post(b"1", authorization="Bearer both").status) as statuses:
        for number in range(5):
            service.apply_spec({"auth_keys": ["both", f"new {number}"]})
            until(
                lambda number=number: service.post(b"1", authorization=f"Bearer new {number}").status == 200,  # type: ignore[misc]
                "the new key opens",
            )
            assert service.post(b"1", authorization="Bearer old").status == 401
    assert set(statuses) == {200}
    assert [row["restarts"] for row in service.client.status()["workers"]] == [0, 0]
