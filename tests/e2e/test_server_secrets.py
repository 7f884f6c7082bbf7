"""No secret in any log, image, command line, environment or error: deploy with many, then look everywhere."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.server
import io
import json
import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import WS, RunningServer, kill_all, processes_below

# Files that are meant to have them; each has to be readable by its owner only.
MEANT = {
    "spec.json",
    "active.json",
    "settings.json",
    "server.json",
    "mooring.db",
    "mooring.db-wal",
    "mooring.db-shm",
}
INDEX_PASSWORD = "index-password-4c1d"
EXTRA_PASSWORD = "extra-password-77ab"
PRIMARY, SECONDARY = "primary-key-19f3", "secondary-key-5e2b"
SCORE = b"import tinysecret\ndef init(): print('started')\ndef run(data): return data\n"


def wheel() -> bytes:
    buffer = io.BytesIO()
    name = "tinysecret-1.0.dist-info"
    files = {
        "tinysecret.py": "x = 1\n",
        f"{name}/METADATA": "Metadata-Version: 2.1\nName: tinysecret\nVersion: 1.0\n",
        f"{name}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{name}/RECORD"])
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in {**files, f"{name}/RECORD": record}.items():
            archive.writestr(path, text)
    return buffer.getvalue()


class PrivateIndex(http.server.BaseHTTPRequestHandler):
    """A package index with one package, for those who know the password."""

    content = wheel()

    def do_GET(self) -> None:
        passwords = (INDEX_PASSWORD, EXTRA_PASSWORD)
        expected = ["Basic " + base64.b64encode(f"user:{p}".encode()).decode() for p in passwords]
        if self.headers.get("Authorization") not in expected:
            self.answer(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
        elif self.path == "/simple/tinysecret/":
            file = "tinysecret-1.0-py3-none-any.whl"
            digest = hashlib.sha256(self.content).hexdigest()
            self.answer(200, f'<a href="/{file}#sha256={digest}">{file}</a>'.encode())
        elif self.path.endswith(".whl"):
            self.answer(200, self.content)
        else:
            self.answer(404, b"")

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/html", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.answer(405, b"")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def index() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), PrivateIndex) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def server(tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    for name in [n for n in os.environ if n.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    # What a user's shell may have: it must not travel into what the server starts and leaves running.
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"http://user:{EXTRA_PASSWORD}@{index}/simple")
    monkeypatch.setenv("MOORING_TOKEN", "token-of-the-users-shell")
    running = RunningServer(tmp_path / "home").start()
    try:
        assert running.client.put(WS, json={}).status_code == 201
        yield running
        running.close()
    finally:
        kill_all(running.home)


def environment(index: str, package: str) -> dict[str, Any]:
    pip = [f"--index-url http://user:{INDEX_PASSWORD}@{index}/simple", package]
    return {"python": {"condaDependencies": {"dependencies": [{"pip": pip}]}}}


def places(home: Path) -> Iterator[tuple[str, bytes]]:
    """Everything below the data directory that is not meant to have secrets; archives unpacked."""
    for path in sorted(home.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        if path.name in MEANT:
            assert path.stat().st_mode & 0o077 == 0, path
            continue
        content = path.read_bytes()
        yield str(path.relative_to(home)), content
        if content.startswith(b"\x1f\x8b"):
            yield f"{path.relative_to(home)} (unpacked)", gzip.decompress(content)


def test_secrets_are_nowhere_but_where_they_are_meant_to_be(server: RunningServer, index: str) -> None:
    client = server.client
    token = client.post("/mooring/v1/tokens", json={"name": "ci", "role": "reader"}).json()["token"]
    credentials = client.post(f"{WS}/listKeys").json()["containerRegistryCredentials"]
    passwords = [p["value"] for p in credentials["passwords"]]
    keys = {"primaryKey": PRIMARY, "secondaryKey": SECONDARY}

    request = server.request(SCORE, environment=environment(index, "tinysecret"))
    body = {"name": "svc", "imageRequest": request, "authEnabled": True, "keys": keys}
    asked = client.post(f"{WS}/services", json=body)
    assert asked.status_code == 202, asked.text
    done = server.wait(asked.json())
    assert done["state"] == "Succeeded", done
    service = client.get(f"{WS}/services/svc").json()
    score = httpx.post(
        service["scoringUri"], headers={"Authorization": f"Bearer {PRIMARY}"}, json="x", timeout=60
    )
    assert score.status_code == 200

    seen: dict[str, bytes] = {"operation": json.dumps(done).encode()}
    broken = server.request(SCORE, environment=environment(index, "no-such-package"))
    failed = server.wait(
        client.post(f"{WS}/services", json={"name": "broken", "imageRequest": broken}).json()
    )
    assert failed["state"] == "Failed", failed
    seen["failed operation"] = json.dumps(failed).encode()
    seen["failed service"] = client.get(f"{WS}/services/broken").content
    # Refusals: of a wrong token, a wrong body with secrets in it, a wrong password.
    shown = {"Authorization": f"Bearer {token}x"}
    seen["401"] = client.get(WS, headers=shown).content
    seen["400"] = client.post(
        f"{WS}/services", json={**body, "unknown": 1, "keys": {"primaryKey": PRIMARY + "\n"}}
    ).content
    seen["registry"] = client.get("/v2/", auth=(credentials["username"], passwords[0] + "x")).content
    seen["service"] = json.dumps(service).encode()
    seen["logs"] = client.get(f"{WS}/services/svc/logs").content
    image = service["imageId"]
    for part in ("log", "lock", "sbom"):
        answer = client.get(f"{WS}/images/{image}/{part}")
        assert answer.status_code == 200
        seen[part] = answer.content
    assert b"tinysecret" in seen["lock"]

    name = f"{WS}/environments/private"
    assert client.put(name, json=environment(index, "tinysecret")).status_code == 200
    assert INDEX_PASSWORD in client.get(name).text  # who deploys gets back what was registered
    seen["environment for a reader"] = client.get(name, headers={"Authorization": f"Bearer {token}"}).content
    seen["image"] = client.get(f"{WS}/images/{image}").content

    processes = processes_below(server.home)
    assert len(processes) > 2  # server, supervisor, worker
    for pid, command in processes.items():
        seen[f"command line {command}"] = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert server.process is not None
        if pid != server.process.pid:  # its own environment is the caller's
            seen[f"environment of {command}"] = Path(f"/proc/{pid}/environ").read_bytes()
    seen |= dict(places(server.home))

    secrets = {
        "server token": server.token,
        "token": token,
        "shell's token": "token-of-the-users-shell",
        "index": INDEX_PASSWORD,
        "extra index": EXTRA_PASSWORD,
        "primary key": PRIMARY,
        "secondary key": SECONDARY,
        **{f"registry {i}": password for i, password in enumerate(passwords)},
    }
    leaks = [
        f"{name} in {place}"
        for place, content in seen.items()
        for name, secret in secrets.items()
        if secret.encode() in content
    ]
    assert not leaks, "\n".join(leaks)
