"""The server on a network: TLS, its renewal, who is refused, and slow clients."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme
from support import WS, RunningServer, eventually, kill_all

from mooring.sdk import local_server
from mooring.sdk.exceptions import UserErrorException
from mooring.sdk.workspace import Workspace


def write(issued: trustme.LeafCert, directory: Path) -> tuple[str, str]:
    chain, key = directory / "server.pem", directory / "server.key"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return str(chain), str(key)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_server(tmp_path: Path, authority: trustme.CA) -> Iterator[RunningServer]:
    chain, key = write(authority.issue_cert("127.0.0.1", "localhost"), tmp_path)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    server = RunningServer(tmp_path / "home", "--tls-cert", chain, "--tls-key", key, verify=trust).start()
    try:
        assert server.client.put(WS, json={}).status_code == 201
        yield server
        server.close()
    finally:
        kill_all(server.home)


def test_clients_speak_tls_when_they_trust_the_certificate(
    tls_server: RunningServer, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tls_server.url.startswith("https://127.0.0.1:")
    # The registry comes by the same listener, and links by the same scheme.
    keys = tls_server.client.post(f"{WS}/listKeys").json()["containerRegistryCredentials"]
    login = (keys["username"], keys["passwords"][0]["value"])
    assert (
        httpx.get(f"{tls_server.url}/v2/", auth=login, verify=tls_server.verify, timeout=60).status_code
        == 200
    )

    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(authority.cert_pem.bytes())
    monkeypatch.setenv("MOORING_ENDPOINT", tls_server.url)
    monkeypatch.setenv("MOORING_TOKEN", tls_server.token)
    monkeypatch.setenv("MOORING_CA_BUNDLE", str(bundle))
    assert Workspace.get("ws", subscription_id="sub", resource_group="rg").name == "ws"
    monkeypatch.delenv("MOORING_CA_BUNDLE")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert Workspace.get("ws", subscription_id="sub", resource_group="rg").name == "ws"
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(UserErrorException) as caught:
        Workspace.get("ws", subscription_id="sub", resource_group="rg")
    assert caught.value.code == "CertificateNotTrusted"  # type: ignore[attr-defined]
    monkeypatch.setenv("MOORING_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with pytest.raises(UserErrorException) as caught:
        Workspace.get("ws", subscription_id="sub", resource_group="rg")
    assert caught.value.code == "CaBundleUnusable"  # type: ignore[attr-defined]

    # On the server's own machine nothing has to be configured: its very certificate is known.
    for name in ("MOORING_ENDPOINT", "MOORING_TOKEN", "MOORING_CA_BUNDLE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("MOORING_HOME", str(tls_server.home))
    connection = local_server.running()
    assert connection is not None
    assert connection.endpoint == tls_server.url
    assert Workspace.get("ws", subscription_id="sub", resource_group="rg").name == "ws"


def test_a_renewed_certificate_is_used_without_a_restart_and_tls_is_remembered(
    tls_server: RunningServer, authority: trustme.CA, tmp_path: Path
) -> None:
    port = httpx.URL(tls_server.url).port
    assert port is not None

    def shown() -> bytes | None:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            tls_server.verify.wrap_socket(plain, server_hostname="127.0.0.1") as secure,  # type: ignore[union-attr]
        ):
            return secure.getpeercert(binary_form=True)

    before = shown()
    # A key without its certificate first, as renewals may leave it for a moment: the old pair goes on.
    renewed = authority.issue_cert("127.0.0.1")
    (tmp_path / "server.key").write_bytes(renewed.private_key_pem.bytes())
    log = tls_server.home / "output.log"
    eventually(lambda: "is not used" in log.read_text(), "the half pair is looked at")
    assert shown() == before
    write(renewed, tmp_path)
    eventually(lambda: shown() != before, "the new certificate is shown")

    assert tls_server.stop() == 0
    tls_server.arguments = ()
    tls_server.start()
    assert tls_server.url.startswith("https://")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--host", "0.0.0.0"], "TlsRequired"),
        (["--tls-cert", "missing.pem"], "TlsIncomplete"),
        (["--tls-cert", "missing.pem", "--tls-key", "missing.key"], "CertificateUnusable"),
    ],
)
def test_what_would_be_unsafe_is_refused(arguments: list[str], code: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mooring_server", "--home", str(tmp_path / "home"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert f"mooring-server: {code}: " in done.stderr
    assert not (tmp_path / "home" / "server.json").exists()


def test_insecure_has_to_be_asked_for(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "home", "--host", "0.0.0.0", "--insecure").start()
    try:
        assert server.url.startswith("http://127.0.0.1:")
        server.close()
    finally:
        kill_all(server.home)


def test_wrong_credentials_are_slowed_down_and_good_ones_are_not(own_server: RunningServer) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    answers = [own_server.client.get(WS, headers=wrong) for _ in range(101)]
    assert {answer.status_code for answer in answers[:100]} == {401}
    assert answers[-1].status_code == 429
    assert answers[-1].json()["error"]["code"] == "TooManyAttempts"
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    refused = own_server.client.get("/v2/", auth=("nobody", "wrong"))
    assert refused.status_code == 429
    assert own_server.client.get(WS).status_code == 200
    keys = own_server.client.post(f"{WS}/listKeys").json()["containerRegistryCredentials"]
    login = (keys["username"], keys["passwords"][0]["value"])
    assert own_server.client.get("/v2/", auth=login).status_code == 200
    # One line for the whole flood above the limit.
    audit = own_server.client.get("/mooring/v1/audit", params={"count": 1000}).json()["value"]
    statuses = [entry["status"] for entry in audit]
    assert statuses.count(401) == 100
    assert statuses.count(429) == 1


@pytest.mark.full
def test_headers_that_never_end_are_cut_off_and_hold_nobody_up(own_server: RunningServer) -> None:
    port = httpx.URL(own_server.url).port
    assert port is not None
    stuck = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    try:
        for connection in stuck[::2]:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        began = time.monotonic()
        assert own_server.client.get("/livez").status_code == 200
        assert time.monotonic() - began < 5
        for connection in stuck:
            connection.settimeout(60)
            assert connection.recv(1) == b""
    finally:
        for connection in stuck:
            connection.close()
