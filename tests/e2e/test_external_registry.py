"""A workspace whose images go to a registry elsewhere: Debian's `docker-registry` with htpasswd and TLS."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from support import WS, RunningServer, eventually

pytestmark = pytest.mark.full

MOORING = str(Path(sys.executable).with_name("mooring"))
# `me` with the password `secret`, as `htpasswd -B` writes it.
HTPASSWD = "me:$2b$04$/K/INmgFSRcf5uPv0mGP1.XC1IZCkFOh4iFDwBT3P2YDhciCwFQOu\n"
SCORE = b"""
def init():
    pass

def run(data):
    return "scored"
"""


class Upstream:
    """``docker-registry`` on a free port, which it keeps when it is started again."""

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        self.folder = folder
        self.port = 0
        (folder / "htpasswd").write_text(HTPASSWD)
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
        for number, pem in enumerate(certificate.cert_chain_pems):
            pem.write_to_path(str(folder / "cert.pem"), append=number > 0)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        config = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}},
            "http": {
                "addr": self.address,
                "secret": "x",
                "tls": {
                    "certificate": str(self.folder / "cert.pem"),
                    "key": str(self.folder / "key.pem"),
                },
            },
            "auth": {"htpasswd": {"realm": "r", "path": str(self.folder / "htpasswd")}},
        }
        (self.folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
        log = self.folder / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(shutil.which("docker-registry")), "serve", str(self.folder / "config.yml")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

        def listening() -> Any:
            assert self._process is not None
            assert self._process.poll() is None, log.read_text()
            return re.search(r"listening on 127\.0\.0\.1:(\d+), tls", log.read_text())

        self.port = int(eventually(listening, "docker-registry listens")[1])

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[Upstream]:
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    made = Upstream(tmp_path_factory.mktemp("upstream"), authority)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def trusted(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, authority: trustme.CA
) -> dict[str, str]:
    """Variables of a user who trusts the registry as Podman's users do."""
    folder = tmp_path_factory.mktemp("config")
    place = folder / "containers" / "certs.d" / upstream.address
    place.mkdir(parents=True)
    authority.cert_pem.write_to_path(str(place / "ca.crt"))
    return {"XDG_CONFIG_HOME": str(folder), "REGISTRY_AUTH_FILE": str(folder / "none.json")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, trusted: dict[str, str]) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("external") / "home", variables=trusted).start()
    assert running.client.put(WS, json={}).status_code in {200, 201}
    yield running
    running.close()


@pytest.fixture
def used(server: RunningServer, upstream: Upstream) -> Iterator[str]:
    """The address that the workspace pushes to."""
    address = f"{upstream.address}/team"
    body = {"address": address, "username": "me", "password": "secret"}
    answer = server.client.put(f"{WS}/registry", json=body)
    assert answer.status_code == 200, answer.text
    yield address
    assert server.client.delete(f"{WS}/registry").json()["external"] is False


@pytest.fixture
def peer(upstream: Upstream, authority: trustme.CA) -> Iterator[httpx.Client]:
    """What anybody else sees of the registry."""
    import ssl

    context = ssl.create_default_context()
    authority.configure_trust(context)
    with httpx.Client(
        base_url=f"https://{upstream.address}/v2/", auth=("me", "secret"), verify=context, trust_env=False
    ) as client:
        yield client


def image(server: RunningServer, name: str, **more: Any) -> dict[str, Any]:
    """An image's operation when it has ended, with the image in it."""
    answer = server.client.post(f"{WS}/images", json={"name": name, **server.request(SCORE), **more})
    assert answer.status_code == 202, answer.text
    operation = server.wait(answer.json())
    view = server.client.get(f"{WS}/images/{answer.json()['id']}").json()
    return {**operation, "image": view}


def test_images_go_there(server: RunningServer, used: str, peer: httpx.Client) -> None:
    operation = image(server, "remote", imageLabel="mylabel")
    assert operation["state"] == "Succeeded", operation
    assert [phase["name"] for phase in operation["phases"]] == ["Resolve", "Build", "Push"]
    view = operation["image"]
    assert view["imageLocation"] == f"{used}/remote:1"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    for tag in ("1", "mylabel"):
        answer = peer.get(f"team/remote/manifests/{tag}", headers=accept)
        assert answer.headers["docker-content-digest"] == view["imageDigest"]
    # It does not know referrers; the specification's tag leads to the bill of materials.
    listed = peer.get(
        f"team/remote/manifests/{view['imageDigest'].replace(':', '-')}",
        headers={"Accept": "application/vnd.oci.image.index.v1+json"},
    ).json()["manifests"]
    assert [each["artifactType"] for each in listed] == ["application/vnd.cyclonedx+json"]
    keys = server.client.post(f"{WS}/listKeys").json()["containerRegistryCredentials"]
    assert (keys["location"], keys["username"]) == (used.partition("/")[0], "me")


def test_skopeo_pulls_what_was_pushed(
    server: RunningServer, used: str, trusted: dict[str, str], tmp_path: Path
) -> None:
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not installed")
    operation = image(server, "pulled")
    certificates = Path(trusted["XDG_CONFIG_HOME"]) / "containers" / "certs.d" / used.partition("/")[0]
    subprocess.run(
        [
            *(skopeo, "copy", "--src-cert-dir", str(certificates), "--src-creds", "me:secret"),
            *(f"docker://{operation['image']['imageLocation']}", f"oci:{tmp_path / 'layout'}:1"),
        ],
        check=True,
        timeout=600,
    )
    index = json.loads((tmp_path / "layout" / "index.json").read_text())
    assert index["manifests"][0]["digest"] == operation["image"]["imageDigest"]


@pytest.mark.usefixtures("used")
def test_a_service_is_deployed_and_scores(server: RunningServer) -> None:
    view = server.deploy("remote", SCORE)
    operation = server.wait(view)
    assert operation["state"] == "Succeeded", operation
    assert "Push" in [phase["name"] for phase in operation["phases"]]
    uri = server.client.get(f"{WS}/services/remote").json()["scoringUri"]
    assert httpx.post(uri, json={}).json() == "scored"


def test_without_it_there_is_no_such_phase(server: RunningServer) -> None:
    operation = image(server, "plain")
    assert [phase["name"] for phase in operation["phases"]] == ["Resolve", "Build"]
    assert operation["image"]["imageLocation"].startswith(server.url.partition("//")[2])


def mooring(server: RunningServer, *arguments: str, password: str) -> subprocess.CompletedProcess[str]:
    named = ["-w", "ws", "-g", "rg", "--subscription-id", "sub", "--output", "json"]
    variables = {**os.environ, "MOORING_ENDPOINT": server.url, "MOORING_TOKEN": server.token}
    return subprocess.run(
        [MOORING, "registry", *arguments, *named],
        env=variables,
        input=password,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command(server: RunningServer, upstream: Upstream) -> None:
    options = ("use", upstream.address, "--username", "me", "--password-stdin")
    wrong = mooring(server, *options, password="wrong\n")
    assert wrong.returncode == 1
    assert "RegistryDenied" in wrong.stderr
    assert f"https://{upstream.address}" in wrong.stderr
    assert mooring(server, "show", password="").stdout.count('"external": false') == 1
    good = mooring(server, *options, password="secret\n")
    assert json.loads(good.stdout) == {"address": upstream.address, "username": "me", "external": True}
    shown = json.loads(mooring(server, "credentials", password="").stdout)
    assert shown == {"location": upstream.address, "username": "me", "password": "secret"}
    assert json.loads(mooring(server, "reset", password="").stdout)["external"] is False


def test_a_password_that_was_changed(server: RunningServer, used: str, upstream: Upstream) -> None:
    assert image(server, "changed")["state"] == "Succeeded"
    (upstream.folder / "htpasswd").write_text(HTPASSWD.replace("me:", "them:"))
    upstream.stop()
    upstream.start()
    try:
        error = image(server, "changed")["error"]
    finally:
        (upstream.folder / "htpasswd").write_text(HTPASSWD)
        upstream.stop()
        upstream.start()
    assert (error["code"], error["phase"]) == ("RegistryDenied", "Push")
    assert f"{used}/changed:2 from me" in error["message"]
    assert "secret" not in json.dumps(error)


def test_a_registry_that_stops(server: RunningServer, used: str, upstream: Upstream) -> None:
    upstream.stop()
    try:
        failed = image(server, "stopped")
    finally:
        upstream.start()
    error = failed["error"]
    assert (error["code"], error["phase"]) == ("RegistryUnreachable", "Push")
    assert f"https://{upstream.address}: ConnectError" in error["evidence"]["tried"]
    assert failed["image"]["creationState"] == "Failed"
    # What was built is kept: the next one is pushed at once.
    again = image(server, "stopped")
    assert again["image"]["imageLocation"] == f"{used}/stopped:2"


def test_a_certificate_that_nobody_trusts(tmp_path: Path, upstream: Upstream) -> None:
    running = RunningServer(tmp_path / "home", variables={"XDG_CONFIG_HOME": str(tmp_path)}).start()
    try:
        assert running.client.put(WS, json={}).status_code == 201
        body = {"address": upstream.address, "username": "me", "password": "secret"}
        error = running.client.put(f"{WS}/registry", json=body).json()["error"]
    finally:
        running.close()
    assert error["code"] == "RegistryUnreachable"
    assert "CERTIFICATE_VERIFY_FAILED" in error["evidence"]["tried"]
    assert f"certs.d/{upstream.address}/ca.crt" in error["hint"]
