"""Pushing to a registry elsewhere: here it is our own, which keeps the same specification."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mooring_server.domain.errors import MooringError
from mooring_server.images.artifacts import SBOM_TYPE, attach
from mooring_server.images.documents import CONFIG_TYPE, MANIFEST_TYPE, canonical_json
from mooring_server.images.references import ImageReference
from mooring_server.images.registry_push import check_access, push
from mooring_server.images.registry_settings import Credentials, RegistrySettings
from mooring_server.store.content import ContentStore

from .conftest import Registry

GOOD = Credentials("mine", "secret")


@pytest.fixture
def settings(tmp_path: Path) -> RegistrySettings:
    return RegistrySettings({}, tmp_path / "none.json")


@pytest.fixture
def source(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "source")


def built(store: ContentStore, layer: bytes = b"layer") -> str:
    def descriptor(data: bytes, media_type: str) -> dict[str, object]:
        return {"mediaType": media_type, "digest": store.put_bytes(data), "size": len(data)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(b"{}", CONFIG_TYPE),
        "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar+gzip")],
    }
    return store.put_bytes(canonical_json(manifest))


def place(registry: Registry, name: str = "mine/app:1") -> ImageReference:
    return ImageReference.parse(f"{registry.client.base_url.netloc.decode()}/{name}")


def refused(code: str, call: Callable[[], object]) -> MooringError:
    with pytest.raises(MooringError) as caught:
        call()
    assert caught.value.code == code, caught.value
    assert caught.value.phase == "Push"
    assert caught.value.hint
    assert "secret" not in json.dumps(caught.value.to_json())
    return caught.value


def test_everything_arrives_once(
    registry: Registry, source: ContentStore, settings: RegistrySettings
) -> None:
    digest = built(source)
    attached = attach(source, digest, source.put_bytes(b"sbom"), SBOM_TYPE, "sbom.cdx.json")
    said: list[str] = []
    for _ in range(2):
        push(
            source, digest, place(registry), GOOD, settings, said.append, tags=["mylabel"], attached=attached
        )
    for tag in ("1", "mylabel"):
        answer = registry.client.get(f"/v2/mine/app/manifests/{tag}")
        assert answer.headers["docker-content-digest"] == digest
    for each in json.loads(source.read(digest))["layers"]:
        assert registry.client.get(f"/v2/mine/app/blobs/{each['digest']}").content == b"layer"
    referrers = registry.client.get(f"/v2/mine/app/referrers/{digest}").json()["manifests"]
    assert [each["digest"] for each in referrers] == [attached]
    # The empty configuration of what is attached is the image's own here.
    assert [line.rpartition(", ")[2] for line in said if line.startswith("Part")] == [
        *("sent.", "sent.", "there already.", "sent."),
        *("there already.",) * 4,
    ]


def test_a_tag_that_moves_is_told(
    registry: Registry, source: ContentStore, settings: RegistrySettings
) -> None:
    said: list[str] = []
    before, after = built(source, b"before"), built(source, b"after")
    for digest in (before, after):
        push(source, digest, place(registry), GOOD, settings, said.append)
    assert said[-1].endswith(f"/mine/app:1; it was {before} before.")


@pytest.mark.parametrize("shown", [None, Credentials("mine", "wrong"), Credentials("yours", "secret")])
def test_wrong_credentials(
    registry: Registry, source: ContentStore, settings: RegistrySettings, shown: Credentials | None
) -> None:
    digest = built(source)
    error = refused(
        "RegistryDenied", lambda: push(source, digest, place(registry), shown, settings, lambda _: None)
    )
    assert str(registry.client.base_url).rstrip("/") in error.message
    assert ("without credentials" if shown is None else f"from {shown.username}") in error.message
    assert registry.client.get("/v2/mine/app/tags/list").status_code == 404


def test_nobody_answers(source: ContentStore, settings: RegistrySettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "{}:{}".format(*listener.getsockname())
    reference = ImageReference.parse(f"{address}/mine/app:1")
    error = refused("RegistryUnreachable", lambda: check_access(reference, GOOD, settings))
    assert f"https://{address}: ConnectError" in error.evidence["tried"]
    assert f"http://{address}: ConnectError" in error.evidence["tried"]


def test_what_the_disk_has_changed_is_not_taken(
    registry: Registry, source: ContentStore, settings: RegistrySettings
) -> None:
    digest = built(source)
    layer = json.loads(source.read(digest))["layers"][0]["digest"]
    source.path(layer).chmod(0o644)
    source.path(layer).write_bytes(b"LAYER")
    error = refused(
        "PushDigestMismatch", lambda: push(source, digest, place(registry), GOOD, settings, lambda _: None)
    )
    assert layer in error.message
    assert registry.client.get("/v2/mine/app/manifests/1").status_code == 404


def test_what_is_refused_says_why(
    registry: Registry, source: ContentStore, settings: RegistrySettings
) -> None:
    digest = source.put_bytes(canonical_json({"config": _empty(source), "layers": []}))
    error = refused(
        "RegistryRefused", lambda: push(source, digest, place(registry), GOOD, settings, lambda _: None)
    )
    assert "MANIFEST_INVALID" in error.message


def _empty(store: ContentStore) -> dict[str, object]:
    return {"mediaType": CONFIG_TYPE, "digest": store.put_bytes(b"{}"), "size": 2}
