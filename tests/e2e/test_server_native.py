"""The native API of a real server: deployments, errors, edges."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from host_base import write_base
from support import WS, RunningServer, eventually

ECHO = b"""
import os, json
def init():
    print("init of", os.environ["SERVICE_NAME"], flush=True)
def run(data):
    return {"got": json.loads(data), "greeting": os.environ["GREETING"]}
"""


def fetch(server: RunningServer, name: str) -> dict[str, Any]:
    return server.client.get(f"{WS}/services/{name}").json()


def score(view: dict[str, Any], payload: Any, key: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.post(view["scoringUri"], json=payload, headers=headers, timeout=60)


def test_deploy_score_update_delete(server: RunningServer) -> None:
    asked = server.deploy("native", ECHO, containerResourceRequirements={"cpu": 1, "memoryInGB": 1})
    operation = server.wait(asked)
    assert operation["state"] == "Succeeded", operation
    assert [p["state"] for p in operation["phases"]] == ["Succeeded"] * 5
    view = fetch(server, "native")
    assert view["state"] == "Healthy"
    assert score(view, [1]).json() == {"got": [1], "greeting": "hello"}

    changed = ECHO.replace(b'"got"', b'"new"')
    update = {"imageRequest": server.request(changed), "kvTags": {"a": "b"}}
    operation = server.wait(server.client.patch(f"{WS}/services/native", json=update).json())
    assert operation["state"] == "Succeeded", operation
    after = fetch(server, "native")
    assert after["scoringUri"] == view["scoringUri"]
    assert after["kvTags"] == {"a": "b"}
    assert score(after, 2).json()["new"] == 2

    log = server.client.get(f"{WS}/services/native/logs").json()["content"]
    assert "init of native" in log
    with server.client.stream(
        "GET", f"{WS}/services/native/logs", params={"follow": True, "tail": 5}
    ) as stream:
        assert "init of native" in next(stream.iter_text())

    operation = server.wait(server.client.delete(f"{WS}/services/native").json())
    assert operation["state"] == "Succeeded"
    gone = server.client.get(f"{WS}/services/native")
    assert gone.status_code == 404
    assert gone.json()["error"]["code"] == "ServiceNotFound"
    with pytest.raises(httpx.ConnectError):
        score(after, 1)


def test_an_init_that_raises_is_explained(server: RunningServer) -> None:
    asked = server.deploy("raises", b"def init():\n    open('/no/such/model.pkl')\ndef run(d): return d\n")
    operation = server.wait(asked)
    assert operation["state"] == "Failed"
    error = operation["error"]
    assert (error["code"], error["phase"]) == ("InitRaised", "Init")
    assert "model.pkl" in error["evidence"]["traceback"]
    assert error["hint"]
    view = fetch(server, "raises")
    assert view["state"] == "Failed"
    assert view["error"] == error
    assert "model.pkl" in server.client.get(f"{WS}/services/raises/logs").json()["content"]
    mended = {"name": "raises", "imageRequest": server.request(ECHO), "overwrite": True}
    assert server.wait(server.client.post(f"{WS}/services", json=mended).json())["state"] == "Succeeded"
    assert fetch(server, "raises")["state"] == "Healthy"


def test_update_under_load_loses_nothing(server: RunningServer) -> None:
    server.wait(server.deploy("loaded", ECHO))
    view = fetch(server, "loaded")
    stop, outcomes = threading.Event(), []

    def load() -> None:
        with httpx.Client(timeout=60) as client:
            while not stop.is_set():
                outcomes.append(client.post(view["scoringUri"], json=1).status_code)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(3):
            script = ECHO + b"# %d\n" % number
            update = {"imageRequest": server.request(script)}
            operation = server.wait(server.client.patch(f"{WS}/services/loaded", json=update).json())
            assert operation["state"] == "Succeeded", operation
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(outcomes) > 50
    assert set(outcomes) == {200}


def test_keys(server: RunningServer) -> None:
    server.wait(server.deploy("keyed", ECHO, authEnabled=True))
    view = fetch(server, "keyed")
    keys = server.client.post(f"{WS}/services/keyed/listkeys").json()
    assert score(view, 1).status_code == 401
    assert score(view, 1, "wrong").status_code == 401
    assert score(view, 1, keys["primaryKey"]).status_code == 200
    assert score(view, 1, keys["secondaryKey"]).status_code == 200
    answer = server.client.post(f"{WS}/services/keyed/regenerateKeys", json={"keyType": "Primary"})
    new = answer.json()["primaryKey"]
    eventually(lambda: score(view, 1, new).status_code == 200, "the new key is accepted")
    assert score(view, 1, keys["primaryKey"]).status_code == 401
    assert score(view, 1, keys["secondaryKey"]).status_code == 200
    assert keys["secondaryKey"] not in fetch(server, "keyed").__repr__()


def test_services_outlive_the_server(own_server: RunningServer) -> None:
    own_server.wait(own_server.deploy("survivor", ECHO))
    view = fetch(own_server, "survivor")
    own_server.kill()
    assert score(view, 1).status_code == 200
    own_server.start()
    assert score(view, 1).status_code == 200
    again = eventually(lambda: fetch(own_server, "survivor"), "listed")
    assert again["state"] == "Healthy"
    assert again["scoringUri"] == view["scoringUri"]
    operation = own_server.wait(own_server.client.delete(f"{WS}/services/survivor").json())
    assert operation["state"] == "Succeeded"


def test_a_server_killed_in_the_middle_of_a_deployment_goes_on(own_server: RunningServer) -> None:
    asked = own_server.deploy("resumed", ECHO)
    own_server.kill()
    own_server.start()
    assert own_server.wait(asked)["state"] == "Succeeded"
    assert score(fetch(own_server, "resumed"), 1).status_code == 200


def test_what_dies_comes_back(own_server: RunningServer) -> None:
    import os
    import signal

    own_server.wait(own_server.deploy("phoenix", ECHO))
    view = fetch(own_server, "phoenix")
    from support import processes_below

    supervisors = [
        p for p, c in processes_below(own_server.home).items() if "mooring_runtime.supervisor" in c
    ]
    assert len(supervisors) == 1
    os.kill(supervisors[0], signal.SIGKILL)

    def answers() -> bool:
        try:
            return score(view, 1).status_code == 200
        except httpx.TransportError:
            return False

    eventually(answers, "the service answers again, at its old address")


def test_a_second_server_is_refused(server: RunningServer) -> None:
    import subprocess
    import sys

    second = subprocess.run(
        [sys.executable, "-m", "mooring_server", "--home", str(server.home)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert "ServerRunning" in second.stderr
    assert "mooring down" in second.stderr
    assert server.client.get("/livez").status_code == 200


def test_tokens(server: RunningServer) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {server.token}"}):
        answer = httpx.get(server.url + WS, headers=headers, timeout=60)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "Unauthorized"
    assert httpx.get(server.url + "/livez", timeout=60).json()["status"] == "ok"
    assert server.client.get("/mooring/v1/info").json()["home"] == str(server.home)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/models", b"{", 400, "InvalidRequest"),
        ("POST", "/models", b'{"name": "m", "files": [], "surprise": 1}', 400, "InvalidRequest"),
        ("POST", "/models", b'{"name": 5, "files": "x"}', 400, "InvalidRequest"),
        ("POST", "/models", b'{"name": "a/b", "files": []}', 400, "InvalidName"),
        ("POST", "/services", b'{"name": "svc"}', 400, "InvalidRequest"),
        ("POST", "/services", b'{"name": "No", "imageId": "a:1"}', 400, "InvalidName"),
        ("POST", "/services", b'{"name": "svc", "imageId": "nope:1"}', 404, "ImageNotFound"),
        (
            "POST",
            "/services",
            b'{"name": "svc", "imageId": "a:1", "computeType": "AKS"}',
            400,
            "ComputeTypeNotSupported",
        ),
        (
            "POST",
            "/services",
            b'{"name": "svc", "imageRequest": {"modelIds": ["no:1"]}}',
            404,
            "ModelNotFound",
        ),
        (
            "POST",
            "/services",
            b'{"name": "svc", "imageRequest": {"entryScript": "x.py"}}',
            400,
            "EntryScriptNotFound",
        ),
        ("POST", "/services", b'{"name": "svc", "imageRequest": {}}', 400, "NoCodeNeedsOneModel"),
        ("GET", "/services/none", b"", 404, "ServiceNotFound"),
        ("GET", "/operations/none", b"", 404, "OperationNotFound"),
        ("GET", "/models/none", b"", 404, "ModelNotFound"),
        ("GET", "/images/none:x", b"", 400, "InvalidId"),
        ("GET", "/nothing/here", b"", 404, "NotFound"),
        ("DELETE", "/models", b"", 405, "MethodNotAllowed"),
        ("PUT", "/blobs/sha256:" + "0" * 64, b"other", 400, "DigestMismatch"),
        ("PUT", "/blobs/..%2F..%2Fetc", b"x", 404, "NotFound"),
        ("PUT", "/blobs/nonsense", b"x", 400, "InvalidDigest"),
    ],
)
def test_bad_requests(
    server: RunningServer, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    answer = server.client.request(
        method, WS + path, content=body or None, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert answer.json()["error"]["message"]


def test_bodies_are_limited_and_uploads_are_not(server: RunningServer) -> None:
    big = b"x" * (33 * 2**20)
    assert server.client.post(f"{WS}/models", content=big).status_code == 413

    def chunks() -> Any:
        for _ in range(33):
            yield b"y" * 2**20

    chunked = server.client.post(f"{WS}/models", content=chunks())
    assert chunked.status_code == 413
    digest = "sha256:" + hashlib.sha256(big).hexdigest()
    assert server.client.post(f"{WS}/blobs/missing", json={"digests": [digest]}).json() == {
        "missing": [digest]
    }
    stored = server.client.put(f"{WS}/blobs/{digest}", content=big)
    assert stored.json() == {"digest": digest, "size": len(big)}
    assert server.client.post(f"{WS}/blobs/missing", json={"digests": [digest]}).json() == {"missing": []}


def test_an_upload_that_breaks_off_leaves_nothing(server: RunningServer) -> None:
    digest = "sha256:" + hashlib.sha256(b"never complete").hexdigest()

    def broken() -> Any:
        yield b"never "
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        server.client.put(f"{WS}/blobs/{digest}", content=broken())
    assert server.client.post(f"{WS}/blobs/missing", json={"digests": [digest]}).json()["missing"] == [digest]
    eventually(
        lambda: not list((server.home / "content" / "uploads").iterdir()), "the partial file is removed"
    )


def test_the_description_is_served(server: RunningServer) -> None:
    description = server.client.get("/mooring/v1/openapi.json").json()
    assert description["openapi"].startswith("3.")
    paths = description["paths"]
    assert any(p.endswith("/services/{name}") for p in paths)
    assert any(p.endswith("/localServices/{name}/logs") for p in paths)
    assert "Error" in description["components"]["schemas"]
    used = str(paths).count("#/components/schemas/Error")
    assert used > 50


def test_a_thousand_reads_while_something_is_deployed(server: RunningServer) -> None:
    asked = server.deploy("busy", ECHO)
    codes = []

    def read() -> None:
        with httpx.Client(base_url=server.url, headers=server.client.headers, timeout=60) as client:
            codes.extend(client.get(f"{WS}/models").status_code for _ in range(100))

    threads = [threading.Thread(target=read) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [200] * 1000
    assert server.wait(asked)["state"] == "Succeeded"


def test_the_image_can_be_read_from_the_registry(server: RunningServer) -> None:
    asked = server.client.post(f"{WS}/images", json={"name": "regimage", **server.request(ECHO)})
    assert asked.status_code == 202
    assert asked.headers["Operation-Location"].startswith(WS + "/operations/")
    assert server.wait(asked.json())["state"] == "Succeeded"
    image = server.client.get(f"{WS}/images/regimage:1").json()
    assert image["creationState"] == "Succeeded"
    host, repository = image["imageLocation"].rsplit(":", 1)[0].split("/", 1)
    credentials = server.client.post(f"{WS}/listKeys").json()["containerRegistryCredentials"]
    auth = (credentials["username"], credentials["passwords"][1]["value"])
    assert credentials["location"] == host
    details = server.client.get(WS).json()
    assert details["containerRegistry"].rsplit("/", 1)[1] == credentials["username"]
    with httpx.Client(base_url=f"http://{host}/v2", auth=auth, timeout=60) as registry:
        assert registry.get("/").status_code == 200
        manifest = registry.get(f"/{repository}/manifests/1")
        assert manifest.headers["Docker-Content-Digest"] == image["imageDigest"]
        for layer in manifest.json()["layers"]:
            blob = registry.get(f"/{repository}/blobs/{layer['digest']}").content
            assert "sha256:" + hashlib.sha256(blob).hexdigest() == layer["digest"]
        assert registry.get(f"/{repository}/tags/list").json()["tags"] == ["1"]
    assert httpx.get(f"http://{host}/v2/", auth=("x", "y"), timeout=60).status_code == 401
    link = httpx.get(image["imageBuildLogUri"], timeout=60)
    assert link.status_code == 200
    assert "Layer app" in link.text
    assert httpx.get(image["imageBuildLogUri"].partition("?")[0], timeout=60).status_code == 401
    assert (
        httpx.get(image["imageBuildLogUri"].replace("regimage:1", "regimage:2"), timeout=60).status_code
        == 401
    )
    for kind in ("log", "lock", "sbom"):
        assert server.client.get(f"{WS}/images/regimage:1/{kind}").status_code == 200
    assert server.client.get(f"{WS}/images/regimage:1/sbom").json()["bomFormat"] == "CycloneDX"
    assert server.client.delete(f"{WS}/images/regimage:1").status_code == 204
    assert server.client.get(f"{WS}/images/regimage:1").status_code == 404


@pytest.mark.parametrize(
    ("query", "hint"),
    [("tag=a", "Did you mean tags?"), ("zzz=1", "It knows:"), ("tags=a&tagz=b", "Did you mean tags?")],
)
def test_a_query_that_nobody_reads_is_refused(server: RunningServer, query: str, hint: str) -> None:
    """A filter with a misspelt name would let everything through."""
    answer = server.client.get(f"{WS}/models?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "QueryUnknown"
    assert hint in answer.json()["error"]["hint"]
    assert server.client.get(f"{WS}/models?tags=a").status_code == 200


def test_a_base_is_larger_than_other_bodies(server: RunningServer, tmp_path: Path) -> None:
    archive = write_base(tmp_path / "base.tar")
    with tarfile.open(archive, "a") as more:
        entry = tarfile.TarInfo("usr/share/large")
        entry.size = 40_000_000
        more.addfile(entry, io.BytesIO(bytes(entry.size)))
    with archive.open("rb") as body:
        answer = server.client.put("/mooring/v1/bases/large", content=body, timeout=300)
    assert answer.status_code == 200, answer.text
    base = json.loads(answer.text.splitlines()[-1])["base"]
    assert base["name"] == "large"
    assert server.client.delete("/mooring/v1/bases/large").status_code == 204


@pytest.mark.skipif(find_spec("proton") is not None, reason="the Service Bus broker is installed here")
def test_without_the_broker_what_needs_it_says_what_to_install(server: RunningServer) -> None:
    namespaces = "/mooring/v1/subscriptions/sub/resourceGroups/rg/serviceBusNamespaces"
    answer = server.client.put(f"{namespaces}/mynamespace", json={})
    assert answer.status_code == 501
    error = answer.json()["error"]
    assert (error["code"], error["phase"]) == ("ServiceBusNotInstalled", "Start")
    assert 'pip install "mooring-server[servicebus]"' in error["hint"]
    assert server.client.get(f"{namespaces}/mynamespace").status_code == 404
    listed = server.client.get("/mooring/v1/subscriptions/sub/serviceBusNamespaces")
    assert listed.json()["value"] == []
