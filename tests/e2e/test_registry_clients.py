"""The registry with the clients that people have: podman, skopeo, docker, oras; and its tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import engines
import httpx
import pytest
from az_support import environment
from support import WS, RunningServer

from mooring_runtime.engine.client import Engine
from mooring_server.images.bases.base import own_architecture

pytestmark = pytest.mark.full

LOGIN = "/adfs/oauth2/token"
MOORING = str(Path(sys.executable).with_name("mooring"))
REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements" / "reference-oras.txt"
# What `oras` of PyPI does for a user: it pushes a file as an artifact and brings it back.
ORAS = """
import sys
import oras.client
command, host, user, password, target, folder = sys.argv[1:]
client = oras.client.OrasClient(hostname=host, insecure=True, auth_backend="basic")
client.login(hostname=host, username=user, password=password)
if command == "push":
    answer = client.push(target=target, files=["notes.txt"], disable_path_validation=True)
    print(answer.headers["docker-content-digest"])
else:
    print(*client.pull(target=target, outdir=folder))
"""


@dataclass
class Registry:
    """The workspace's registry, and one of its two passwords."""

    server: RunningServer
    folder: Path
    user: str
    password: str

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.server.url).netloc

    def name(self, rest: str) -> str:
        return f"{self.host}/{self.user}/{rest}"

    def tags(self, repository: str) -> list[str]:
        with httpx.Client(base_url=self.server.url, auth=(self.user, self.password)) as client:
            return list(client.get(f"/v2/{self.user}/{repository}/tags/list").json()["tags"])


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str, **more: object) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        **more,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("clients")
    server = RunningServer(folder / "home").start()
    assert server.client.put(WS, json={}).status_code == 201
    keys = server.client.post(f"{WS}/listKeys").json()["containerRegistryCredentials"]
    yield Registry(server, folder, keys["username"], keys["passwords"][0]["value"])
    server.close()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of one layer, as ``docker save`` writes it."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "file").write_bytes(os.urandom(3 << 20))
    with tarfile.open(folder / "layer.tar", "w") as layer:
        layer.add(folder / "file", "file")
    diff_id = "sha256:" + hashlib.sha256((folder / "layer.tar").read_bytes()).hexdigest()
    config = {
        "architecture": own_architecture(),
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    (folder / "config.json").write_text(json.dumps(config))
    listing = [{"Config": "config.json", "RepoTags": ["localhost/tiny:1"], "Layers": ["layer.tar"]}]
    (folder / "manifest.json").write_text(json.dumps(listing))
    with tarfile.open(folder / "image.tar", "w") as saved:
        for name in ("config.json", "layer.tar", "manifest.json"):
            saved.add(folder / name, name)
    return folder / "image.tar"


def test_podman(registry: Registry, archive: Path, short_path: Path) -> None:
    tool("podman")
    root = registry.folder / "podman"
    runtime = ["--runtime", "runc"] if shutil.which("runc") else []
    command = ["podman", *runtime, "--root", str(root / "images"), "--runroot", str(short_path)]
    command += ["--storage-driver", "vfs"]
    variables = {**os.environ, "REGISTRY_AUTH_FILE": str(registry.folder / "podman.json")}

    def podman(*arguments: str, **more: object) -> str:
        return run(*command, *arguments, env=variables, **more).strip()

    name = registry.name("by-podman:1")
    try:
        podman("load", "-i", str(archive))
        login = ("login", "--tls-verify=false", "-u", registry.user, "--password-stdin", registry.host)
        podman(*login, input=registry.password)
        podman("push", "--tls-verify=false", "localhost/tiny:1", name)
        before = podman("image", "inspect", "-f", "{{.Id}}", "localhost/tiny:1")
        podman("rmi", "--all", "--force")
        podman("pull", "--tls-verify=false", name)
        assert podman("image", "inspect", "-f", "{{.Id}}", name) == before
    finally:
        podman("system", "reset", "--force")
    assert registry.tags("by-podman") == ["1"]


def test_skopeo(registry: Registry, archive: Path, tmp_path: Path) -> None:
    skopeo = tool("skopeo")
    credentials = f"{registry.user}:{registry.password}"
    name = f"docker://{registry.name('by-skopeo:1')}"
    run(
        *(skopeo, "copy", "--dest-tls-verify=false", "--dest-creds", credentials),
        *(f"docker-archive:{archive}", name),
    )
    run(
        *(skopeo, "copy", "--src-tls-verify=false", "--src-creds", credentials),
        *(name, f"dir:{tmp_path / 'back'}"),
    )
    manifest = json.loads((tmp_path / "back" / "manifest.json").read_text())
    for each in (manifest["config"], *manifest["layers"]):
        digest = each["digest"].removeprefix("sha256:")
        assert hashlib.sha256((tmp_path / "back" / digest).read_bytes()).hexdigest() == digest
    wrong = subprocess.run(
        [skopeo, "inspect", "--tls-verify=false", "--creds", f"{registry.user}:wrong", name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode != 0
    assert "unauthorized" in wrong.stderr.lower()


@pytest.fixture
def docker_engine(tmp_path: Path) -> Iterator[Engine]:
    """One that reaches 127.0.0.1: of the test's own where it can be started, else the machine's."""
    if shutil.which("dockerd") and os.geteuid() == 0:
        with engines.own_docker(tmp_path) as own:
            yield own.engine
    else:
        yield engines.docker()


def test_docker(registry: Registry, archive: Path, docker_engine: Engine) -> None:
    docker = tool("docker")
    engine = docker_engine
    variables = {
        **os.environ,
        "DOCKER_HOST": f"unix://{engine.path}",
        "DOCKER_CONFIG": str(registry.folder / "docker"),
    }

    def call(*arguments: str, **more: object) -> str:
        return run(docker, *arguments, env=variables, **more).strip()

    login = ("login", "--username", registry.user, "--password-stdin", registry.host)
    reached = subprocess.run(
        [docker, *login], env=variables, input=registry.password, capture_output=True, text=True, check=False
    )
    if "connection refused" in reached.stderr:
        pytest.skip("this Docker Engine is in another network and cannot reach 127.0.0.1")
    assert reached.returncode == 0, reached.stderr
    name = registry.name("by-docker:1")
    call("load", "-i", str(archive))
    try:
        call("tag", "localhost/tiny:1", name)
        call("push", name)
        identity = call("image", "inspect", "-f", "{{.Id}}", name)
        call("rmi", name, "localhost/tiny:1")
        call("pull", name)
        assert call("image", "inspect", "-f", "{{.Id}}", name) == identity
    finally:
        call("rmi", "--force", name)
        call("logout", registry.host)
    assert registry.tags("by-docker") == ["1"]


def test_oras(registry: Registry, tmp_path: Path) -> None:
    python = str(environment("oras", REQUIREMENTS) / "python")
    (tmp_path / "notes.txt").write_text("what was measured")
    (tmp_path / "back").mkdir()

    def oras(command: str) -> str:
        target = registry.name("artifact:v1")
        arguments = (registry.host, registry.user, registry.password, target, "back")
        variables = {**os.environ, "HOME": str(tmp_path)}
        return run(python, "-c", ORAS, command, *arguments, cwd=tmp_path, env=variables).split()[-1]

    assert oras("push").startswith("sha256:")
    assert Path(oras("pull")).name == "notes.txt"
    assert (tmp_path / "back" / "notes.txt").read_text() == "what was measured"
    assert registry.tags("artifact") == ["v1"]


@pytest.fixture
def http(registry: Registry) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=registry.server.url, timeout=60) as client:
        yield client


def by_password(registry: Registry, http: httpx.Client) -> str:
    form = {
        "grant_type": "password",
        "service": registry.name("")[:-1],
        "username": registry.user,
        "password": registry.password,
    }
    return str(http.post("/oauth2/token", data=form).json()["access_token"])


def by_sign_in(registry: Registry, http: httpx.Client) -> str:
    """As `az acr login --expose-token`: sign in, exchange, ask for a token."""
    body = {"name": "pusher", "role": "contributor", "workspaces": None, "expiresInDays": None}
    made = registry.server.client.post("/mooring/v1/tokens", json=body)
    assert made.status_code == 201, made.text
    form = {"grant_type": "client_credentials", "client_id": "pusher", "client_secret": made.json()["token"]}
    access = http.post(LOGIN, data=form).json()["access_token"]
    service = registry.name("")[:-1]
    form = {"grant_type": "access_token", "service": service, "access_token": access}
    refresh = http.post("/oauth2/exchange", data=form).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "service": service, "refresh_token": refresh}
    form["scope"] = f"repository:{registry.user}/tokens:pull,push"
    return str(http.post("/oauth2/token", data=form).json()["access_token"])


@pytest.mark.parametrize("token", [by_password, by_sign_in])
def test_tokens_open_it(
    registry: Registry, http: httpx.Client, token: Callable[[Registry, httpx.Client], str]
) -> None:
    shown = {"Authorization": f"Bearer {token(registry, http)}"}
    data = b"a part of an image"
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    begun = http.post(f"/v2/{registry.user}/tokens/blobs/uploads/", headers=shown)
    assert begun.status_code == 202
    ended = http.put(begun.headers["location"], params={"digest": digest}, content=data, headers=shown)
    assert ended.status_code == 201
    got = http.get(f"/v2/{registry.user}/tokens/blobs/{digest}", headers=shown)
    assert got.content == data
    wrong = base64.b64encode(f"{registry.user}:wrong".encode()).decode()
    for bad in (wrong, shown["Authorization"][7:-4] + "AAAA", "x"):
        refused = http.get(
            f"/v2/{registry.user}/tokens/blobs/{digest}", headers={"Authorization": f"Bearer {bad}"}
        )
        assert refused.status_code == 401


def test_the_passwords_are_renewed_one_by_one(registry: Registry, http: httpx.Client) -> None:
    named = ["-w", "ws", "-g", "rg", "--subscription-id", "sub", "--output", "json"]
    variables = {
        **os.environ,
        "MOORING_ENDPOINT": registry.server.url,
        "MOORING_TOKEN": registry.server.token,
    }

    def mooring(*arguments: str) -> dict[str, str]:
        answer: dict[str, str] = json.loads(
            run(MOORING, "registry", *arguments, *named, env=variables, stdin=subprocess.DEVNULL)
        )
        return answer

    before = mooring("credentials")
    after = mooring("renew", "--password-name", "password2", "--yes")
    assert before["password"] == after["password"] == registry.password
    assert before["password2"] != after["password2"]
    for password, status in (
        (before["password2"], 401),
        (after["password2"], 200),
        (registry.password, 200),
    ):
        assert http.get("/v2/", auth=(registry.user, password)).status_code == status
