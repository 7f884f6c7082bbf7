"""Bases from registries that are real HTTP servers on this machine."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mooring_server.domain.errors import InvalidRequest, MooringError
from mooring_server.images.bases.base import Base
from mooring_server.images.bases.pull import named
from mooring_server.images.bases.pull import pull as pull_reference
from mooring_server.images.documents import INDEX_TYPE, MANIFEST_TYPE
from mooring_server.images.references import ImageReference
from mooring_server.images.registry_settings import Credentials
from mooring_server.store.content import ContentStore

from .roots import digest, image

GOOD = Credentials("me", "secret")
BASIC = "Basic " + base64.b64encode(b"me:secret").decode()


class Upstream(ThreadingHTTPServer):
    """A registry with one repository, `base`.

    Attributes:
        asks: how it wants to know who asks: nothing, ``basic`` or ``token``.
        change: what becomes of a blob on its way.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.asks = ""
        self.seen: list[str] = []
        self.change: Callable[[bytes], bytes] = bytes
        self.cut = 0

    def hold(self, blobs: dict[str, bytes], tag: str) -> str:
        self.blobs |= blobs
        *_, self.tags[tag] = blobs
        return self.tags[tag]


class Handler(BaseHTTPRequestHandler):
    server: Upstream

    def log_message(self, *_: Any) -> None:
        """Not on the test's output."""

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        shown = self.headers.get("Authorization", "")
        if self.path.startswith("/token"):
            good = shown == BASIC and "scope=repository%3Abase%3Apull" in self.path
            self._answer(200 if good else 401, json.dumps({"token": "abc"} if good else {}).encode())
            return
        wanted = {"": "", "basic": BASIC, "token": "Bearer abc"}[self.server.asks]
        if self.server.asks and shown != wanted:
            realm = (
                f'Bearer realm="http://{self.server.address}/token",service="s",scope="repository:base:pull"'
            )
            challenge = realm if self.server.asks == "token" else 'Basic realm="r"'
            self._answer(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}', {"WWW-Authenticate": challenge})
            return
        name = self.path.rpartition("/")[2]
        data = self.server.blobs.get(self.server.tags.get(name, name)) if "/v2/base/" in self.path else None
        if data is None:
            self._answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}')
            return
        self._answer(200, self.server.change(data) if "/blobs/" in self.path else data)

    def _answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[: len(data) - self.server.cut] if "/blobs/" in self.path else data)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ContentStore:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    monkeypatch.delenv("MOORING_REGISTRY_MIRRORS", raising=False)
    return ContentStore(tmp_path / "content")


def refused(code: str, call: Callable[[], object]) -> MooringError:
    with pytest.raises(MooringError) as caught:
        call()
    assert caught.value.code == code, caught.value
    assert caught.value.hint
    return caught.value


def pull(
    store: ContentStore, text: str, log: Callable[[str], None], credentials: Credentials | None = None
) -> Base:
    return pull_reference(store, ImageReference.parse(text), log, credentials)


def ignore(_: str) -> None:
    """For lines nobody reads."""


def test_by_tag_and_by_digest(store: ContentStore, upstream: Upstream) -> None:
    manifest = upstream.hold(image(), "1")
    by_tag = pull(store, f"{upstream.address}/base:1", ignore)
    asked = len(upstream.seen)
    pinned = pull(store, f"{upstream.address}/base@{manifest}", ignore)
    assert pinned.digest == by_tag.digest
    # The layer was here already.
    assert len(upstream.seen) - asked < asked


def test_the_image_for_this_machine_of_several(store: ContentStore, upstream: Upstream) -> None:
    theirs, ours = image(architecture="s390x"), image()
    manifests = [
        {
            "mediaType": MANIFEST_TYPE,
            "digest": [*blobs][-1],
            "platform": {"os": "linux", "architecture": name},
        }
        for blobs, name in ((theirs, "s390x"), (ours, json.loads([*ours.values()][1])["architecture"]))
    ]
    for wanted, code in ((manifests, None), (manifests[:1], "ArchitectureMismatch")):
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": wanted}).encode()
        upstream.hold({**theirs, **ours, digest(index): index}, "all")

        def call() -> object:
            return pull(store, f"{upstream.address}/base:all", ignore)

        if code:
            assert "only for linux/s390x" in refused(code, call).message
        else:
            call()


@pytest.mark.parametrize("asks", ["basic", "token"])
def test_credentials(store: ContentStore, upstream: Upstream, asks: str, tmp_path: Path) -> None:
    upstream.hold(image(), "1")
    upstream.asks = asks
    name = f"{upstream.address}/base:1"
    assert pull(store, name, ignore, GOOD)
    for wrong in (None, Credentials("me", "wrong")):
        error = refused("RegistryDenied", lambda wrong=wrong: pull(store, name, ignore, wrong))  # type: ignore[misc]
        assert "secret" not in str(error.to_json())
    # As `podman login` keeps them.
    auths = {"auths": {upstream.address: {"auth": BASIC.removeprefix("Basic ")}}}
    (tmp_path / "auth.json").write_text(json.dumps(auths))
    assert pull(store, name, ignore)


def test_as_an_environment_names_it(store: ContentStore, upstream: Upstream) -> None:
    upstream.hold(image(), "1")
    upstream.asks = "basic"
    registry = {"address": upstream.address, "username": "me", "password": "secret"}
    asked = named({"docker": {"baseImage": "base:1", "baseImageRegistry": registry}})
    assert asked is not None
    assert str(asked[0]) == f"{upstream.address}/base:1"
    assert pull_reference(store, asked[0], ignore, asked[1])
    assert named({"docker": {"baseImage": "mcr.microsoft.com/azureml/base:1"}}) is None
    with pytest.raises(InvalidRequest, match="must be a string"):
        named({"docker": {"baseImage": 7}})


def test_a_mirror_is_asked_first(
    store: ContentStore, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.hold(image(), "1")
    monkeypatch.setenv("MOORING_REGISTRY_MIRRORS", f"registry.invalid=http://{upstream.address}")
    assert pull(store, "registry.invalid/base:1", ignore)
    monkeypatch.setenv("MOORING_REGISTRY_MIRRORS", "registry.invalid=ftp://x")
    refused("SettingInvalid", lambda: pull(store, "registry.invalid/base:1", ignore))


def test_what_is_not_there(store: ContentStore, upstream: Upstream) -> None:
    for name in ("base:2", f"base@{digest(b'')}", "other:1"):
        error = refused("BaseUnknown", lambda name=name: pull(store, f"{upstream.address}/{name}", ignore))  # type: ignore[misc]
        assert "MANIFEST_UNKNOWN" in error.evidence["tried"]


def test_nobody_answers(store: ContentStore, upstream: Upstream) -> None:
    upstream.server_close()
    error = refused("RegistryUnreachable", lambda: pull(store, f"{upstream.address}/base:1", ignore))
    assert f"https://{upstream.address}: " in error.message
    assert f"http://{upstream.address}: " in error.message


def test_bytes_that_changed_on_their_way(store: ContentStore, upstream: Upstream) -> None:
    upstream.hold(image(), "1")
    before = set(store.digests())
    upstream.change = lambda data: data[:-1] + b"\0"
    refused("LayerTampered", lambda: pull(store, f"{upstream.address}/base:1", ignore))
    upstream.change = lambda data: data + b"more"
    refused("LayerTampered", lambda: pull(store, f"{upstream.address}/base:1", ignore))
    upstream.change = bytes
    upstream.cut = 5
    refused("RegistryUnreachable", lambda: pull(store, f"{upstream.address}/base:1", ignore))
    assert set(store.digests()) == before
    assert not list(store.uploads.iterdir())


def test_a_manifest_that_is_not_the_one_that_was_pinned(store: ContentStore, upstream: Upstream) -> None:
    manifest = upstream.hold(image(), "1")
    upstream.blobs[manifest] += b"\n"
    refused("LayerTampered", lambda: pull(store, f"{upstream.address}/base@{manifest}", ignore))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("debian", "docker.io/library/debian:latest"),
        ("debian:12", "docker.io/library/debian:12"),
        ("me/app", "docker.io/me/app:latest"),
        ("localhost/app:1", "localhost/app:1"),
        ("example.com:5000/a/b:x", "example.com:5000/a/b:x"),
        ("example.com/a@sha256:" + "0" * 64, "example.com/a:latest@sha256:" + "0" * 64),
    ],
)
def test_references(text: str, parsed: str) -> None:
    assert str(ImageReference.parse(text)) == parsed
    assert str(ImageReference.parse(parsed)) == parsed


@pytest.mark.parametrize(
    "text", ["", "Debian", "a:b:c", "a@sha256:12", "a b", "-x/y", "../etc", "a:" + "x" * 200]
)
def test_references_that_are_none(text: str) -> None:
    refused("ImageReferenceInvalid", lambda: ImageReference.parse(text))
