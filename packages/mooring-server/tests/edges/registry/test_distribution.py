"""The read side of the OCI distribution API, as clients use it."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring_server.edges.registry import registry_app
from mooring_server.images.oci import MANIFEST_TYPE
from mooring_server.store.content import ContentStore

LAYER = bytes(range(256)) * 1000


class Index:
    """Two registries, as the control plane would have them."""

    def __init__(self, store: ContentStore) -> None:
        self.layer = store.put_bytes(LAYER)
        self.manifest_digest = store.put_bytes(b'{"schemaVersion":2}')
        self.secret = store.put_bytes(b"of another registry")

    def manifest(self, repository: str, reference: str) -> tuple[str, str] | None:
        if repository == "mine/score" and reference in {"1", "2", "10", self.manifest_digest}:
            return self.manifest_digest, MANIFEST_TYPE
        return None

    def tags(self, repository: str) -> list[str]:
        return ["1", "2", "10"] if repository == "mine/score" else []

    def repositories(self, registry: str) -> list[str]:
        return {"mine": ["mine/score", "mine/other"], "yours": ["yours/score"]}[registry]

    def has_blob(self, repository: str, digest: str) -> bool:
        return {"mine/score": self.layer, "yours/score": self.secret}.get(repository) == digest


def authenticate(username: str, password: str) -> str | None:
    return username if password == f"{username}-pässword" else None


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path)


@pytest.fixture
def index(store: ContentStore) -> Index:
    return Index(store)


@pytest.fixture
def client(store: ContentStore, index: Index) -> Iterator[httpx.Client]:
    app = FastAPI()
    app.include_router(registry_app(store, index, authenticate))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()  # who connects before it accepts waits in the listener's queue
        address = "http://{}:{}".format(*listener.getsockname())
        with httpx.Client(base_url=address, auth=("mine", "mine-pässword"), timeout=120) as client:
            yield client
        server.should_exit = True
        thread.join()


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    (error,) = answer.json()["errors"]
    assert error["code"] == code
    assert error["message"]


def test_version_check(client: httpx.Client) -> None:
    for path in ("/v2/", "/v2"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"


@pytest.mark.parametrize(
    "header", [None, "Bearer x", "Basic %%%", "Basic bWluZTp3cm9uZw==", "Basic //79", "Basic Og=="]
)
def test_without_valid_credentials(client: httpx.Client, header: str | None) -> None:
    for path in ("/v2/", "/v2/mine/score/tags/list", "/v2/nothing"):
        answer = httpx.get(client.base_url.join(path), headers={"Authorization": header} if header else {})
        refused(answer, 401, "UNAUTHORIZED")
        assert answer.headers["www-authenticate"] == 'Basic realm="mooring"'


def test_manifests_by_tag_and_digest(client: httpx.Client, index: Index) -> None:
    for reference in ("1", index.manifest_digest):
        for method in ("GET", "HEAD"):
            answer = client.request(method, f"/v2/mine/score/manifests/{reference}")
            assert answer.status_code == 200
            assert answer.headers["docker-content-digest"] == index.manifest_digest
            assert answer.headers["content-type"] == MANIFEST_TYPE
            assert answer.headers["content-length"] == "19"
            assert answer.content == (b'{"schemaVersion":2}' if method == "GET" else b"")
    refused(client.get("/v2/mine/score/manifests/3"), 404, "MANIFEST_UNKNOWN")
    refused(client.get("/v2/mine/other/manifests/1"), 404, "MANIFEST_UNKNOWN")
    refused(client.get("/v2/mine/score/manifests/sha256:12"), 400, "DIGEST_INVALID")


def test_blobs(client: httpx.Client, index: Index) -> None:
    url = f"/v2/mine/score/blobs/{index.layer}"
    answer = client.get(url)
    assert "sha256:" + hashlib.sha256(answer.content).hexdigest() == index.layer
    assert answer.headers["docker-content-digest"] == index.layer
    head = client.head(url)
    assert head.headers["content-length"] == str(len(LAYER))
    assert head.content == b""
    part = client.get(url, headers={"Range": "bytes=1000-1999"})
    assert part.status_code == 206
    assert part.content == LAYER[1000:2000]
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(LAYER)}"
    assert client.get(url, headers={"Range": f"bytes={len(LAYER)}-"}).status_code == 416
    assert client.get(url, headers={"Range": "bytes=-10"}).content == LAYER[-10:]


def test_blobs_that_are_not_of_the_repository(client: httpx.Client, index: Index) -> None:
    refused(client.get(f"/v2/mine/other/blobs/{index.layer}"), 404, "BLOB_UNKNOWN")
    refused(client.get(f"/v2/mine/score/blobs/{index.secret}"), 404, "BLOB_UNKNOWN")
    refused(client.get("/v2/mine/score/blobs/sha256:zz"), 400, "DIGEST_INVALID")


def test_a_blob_that_was_lost(client: httpx.Client, store: ContentStore, index: Index) -> None:
    store.delete(index.layer)
    store.delete(index.manifest_digest)
    refused(client.get(f"/v2/mine/score/blobs/{index.layer}"), 404, "BLOB_UNKNOWN")
    refused(client.get("/v2/mine/score/manifests/1"), 404, "BLOB_UNKNOWN")


def test_other_registries_do_not_exist(client: httpx.Client, index: Index) -> None:
    for path in ("manifests/1", f"blobs/{index.secret}", "tags/list"):
        refused(client.get(f"/v2/yours/score/{path}"), 404, "NAME_UNKNOWN")
        refused(client.get(f"/v2/mine/absent/{path}"), 404, "NAME_UNKNOWN")
    assert client.get("/v2/_catalog").json() == {"repositories": ["mine/other", "mine/score"]}


def test_tags_in_pages(client: httpx.Client) -> None:
    assert client.get("/v2/mine/score/tags/list").json() == {"name": "mine/score", "tags": ["1", "10", "2"]}
    first = client.get("/v2/mine/score/tags/list", params={"n": 2})
    assert first.json()["tags"] == ["1", "10"]
    link = first.headers["link"]
    assert link.endswith('>; rel="next"')
    second = client.get(link[1 : link.index(">")])
    assert second.json()["tags"] == ["2"]
    assert "link" not in second.headers
    assert client.get("/v2/mine/score/tags/list?n=0").json()["tags"] == []
    refused(client.get("/v2/mine/score/tags/list?n=x"), 400, "PAGINATION_NUMBER_INVALID")
    assert client.get("/v2/_catalog?n=1").json() == {"repositories": ["mine/other"]}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/mine/score/blobs/uploads/"),
        ("PUT", "/v2/mine/score/manifests/1"),
        ("PATCH", "/v2/mine/score/blobs/uploads/1"),
        ("DELETE", "/v2/mine/score/manifests/1"),
    ],
)
def test_pushing_is_refused_in_the_specifications_words(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    refused(answer, 405, "UNSUPPORTED")
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "name", ["Mine/score", "mine/%2e%2e/yours/score", "mine//score", "mine/%2e%2e", "mine/" + "a" * 300]
)
def test_names_that_are_none(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/v2/{name}/tags/list")
    assert answer.status_code in {400, 404}
    assert json.loads(answer.content)["errors"]


@given(path=st.text(st.characters(codec="utf-8", exclude_characters="?#"), max_size=60))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_path_breaks_it(client: httpx.Client, path: str) -> None:
    answer = client.get("/v2/mine/score/" + quote(path, safe=""))
    assert answer.status_code in {200, 400, 404}


PIECES = st.sampled_from(
    [
        *("mine", "yours", "score", "other", "manifests", "blobs", "tags", "list", "_catalog", "uploads"),
        *(
            "1",
            "latest",
            "..",
            ".",
            "",
            "%2e%2e",
            "%2F",
            "\0",
            "ä",
            "sha256:",
            "sha256:" + "0" * 64,
            "MANIFEST",
            "LAYER",
        ),
        "SECRET",
    ]
)
QUERIES = st.dictionaries(
    st.sampled_from(["n", "last", "digest", "mount", "from"]),
    st.sampled_from(["", "0", "1", "-1", "1e9", "9" * 30, "²", "mine/score", "10"]),
    max_size=3,
)


@given(
    method=st.sampled_from(["GET", "HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    pieces=st.lists(PIECES, max_size=7),
    query=QUERIES,
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_paths_made_of_real_parts_show_nothing_of_others(
    client: httpx.Client, index: Index, method: str, pieces: list[str], query: dict[str, str]
) -> None:
    digests = {"MANIFEST": index.manifest_digest, "LAYER": index.layer, "SECRET": index.secret}
    path = "/".join(digests.get(piece, piece) for piece in pieces)
    answer = client.request(method, "/v2/" + quote(path, safe="/:%"), params=query)
    assert answer.status_code < 500, path
    assert b"of another registry" not in answer.content
    inside = answer.request.url.path.startswith("/v2/")  # clients resolve `..` before they ask
    if inside and method == "GET" and answer.status_code >= 400:
        assert answer.json()["errors"][0]["code"]


@given(header=st.binary(max_size=80) | st.binary(max_size=60).map(lambda b: b"Basic " + base64.b64encode(b)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_credentials_that_are_none_open_it(client: httpx.Client, header: bytes) -> None:
    header = bytes(b for b in header if 32 < b < 127 or b == 32).strip()
    answer = client.get("/v2/", headers={b"Authorization": header}, auth=None)
    assert answer.status_code == 401
