"""What the OCI distribution specification 1.1 asks of a registry, from its text: push, discovery, management."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest

from mooring_server.images.documents import CONFIG_TYPE, INDEX_TYPE, MANIFEST_TYPE
from mooring_server.store.content import digest_of

from .conftest import Registry

CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
LAYER = bytes(range(256)) * 64
REPOSITORY = "/v2/mine/app"


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    (error,) = answer.json()["errors"]
    assert error["code"] == code
    assert error["message"]


def begin(client: httpx.Client, repository: str = REPOSITORY) -> str:
    answer = client.post(f"{repository}/blobs/uploads/", headers={"Content-Length": "0"})
    assert answer.status_code == 202
    return answer.headers["location"]


def push_blob(client: httpx.Client, data: bytes, repository: str = REPOSITORY) -> str:
    digest = digest_of(data)
    answer = client.put(begin(client, repository), params={"digest": digest}, content=data)
    assert answer.status_code == 201
    return digest


def descriptor(data: bytes, media_type: str = "application/octet-stream") -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def image(**more: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(CONFIG, CONFIG_TYPE),
        "layers": [descriptor(LAYER, "application/vnd.oci.image.layer.v1.tar+gzip")],
        **more,
    }
    return json.dumps(document).encode()


def push_manifest(
    client: httpx.Client, data: bytes, reference: str, media_type: str = MANIFEST_TYPE
) -> httpx.Response:
    return client.put(
        f"{REPOSITORY}/manifests/{reference}", content=data, headers={"Content-Type": media_type}
    )


def push_image(client: httpx.Client, *references: str, **more: Any) -> str:
    for data in (CONFIG, LAYER):
        push_blob(client, data)
    data = image(**more)
    for reference in references or (digest_of(data),):
        assert push_manifest(client, data, reference).status_code == 201
    return digest_of(data)


# Push: blobs


def test_post_then_put(registry: Registry) -> None:
    digest = digest_of(LAYER)
    answer = registry.client.put(begin(registry.client), params={"digest": digest}, content=LAYER)
    assert answer.status_code == 201
    assert answer.headers["docker-content-digest"] == digest
    assert registry.client.get(answer.headers["location"]).content == LAYER


def test_a_single_post(registry: Registry) -> None:
    digest = digest_of(LAYER)
    answer = registry.client.post(f"{REPOSITORY}/blobs/uploads/", params={"digest": digest}, content=LAYER)
    assert answer.status_code == 201
    assert registry.client.get(answer.headers["location"]).content == LAYER


def test_in_chunks(registry: Registry) -> None:
    location = begin(registry.client)
    for start in range(0, len(LAYER), 5000):
        chunk = LAYER[start : start + 5000]
        end = start + len(chunk) - 1
        headers = {"Content-Range": f"{start}-{end}", "Content-Type": "application/octet-stream"}
        answer = registry.client.patch(location, content=chunk, headers=headers)
        assert answer.status_code == 202
        assert answer.headers["range"] == f"0-{end}"
        location = answer.headers["location"]
        status = registry.client.get(location)
        assert (status.status_code, status.headers["range"]) == (204, f"0-{end}")
    answer = registry.client.put(location, params={"digest": digest_of(LAYER)})
    assert answer.status_code == 201
    assert registry.client.get(answer.headers["location"]).content == LAYER


def test_the_last_chunk_comes_with_the_end(registry: Registry) -> None:
    location = begin(registry.client)
    registry.client.patch(location, content=LAYER[:100], headers={"Content-Range": "0-99"})
    headers = {"Content-Range": f"100-{len(LAYER) - 1}"}
    answer = registry.client.put(
        location, params={"digest": digest_of(LAYER)}, content=LAYER[100:], headers=headers
    )
    assert answer.status_code == 201


def test_chunks_out_of_order(registry: Registry) -> None:
    location = begin(registry.client)
    registry.client.patch(location, content=LAYER[:100], headers={"Content-Range": "0-99"})
    for start in (200, 50):
        headers = {"Content-Range": f"{start}-{start + 9}"}
        answer = registry.client.patch(location, content=b"x" * 10, headers=headers)
        refused(answer, 416, "BLOB_UPLOAD_INVALID")
    assert registry.client.get(location).headers["range"] == "0-99"
    refused(
        registry.client.patch(location, content=b"x", headers={"Content-Range": "bits"}),
        416,
        "BLOB_UPLOAD_INVALID",
    )
    refused(
        registry.client.patch(location, content=b"x", headers={"Content-Range": "100-199"}),
        400,
        "SIZE_INVALID",
    )


def test_an_upload_is_gone_on_with_after_a_broken_connection_and_a_restart(registry: Registry) -> None:
    location = begin(registry.client)

    def cut_short() -> Any:
        yield LAYER[:1000]
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        registry.client.patch(location, content=cut_short())
    # As after a restart: nobody remembers what was hashed. What came before the break counts, however much it is.
    have = int(registry.client.get(location).headers["range"].partition("-")[2]) + 1
    start = have if have > 1 else 0
    headers = {"Content-Range": f"{start}-{len(LAYER) - 1}"}
    assert registry.client.patch(location, content=LAYER[start:], headers=headers).status_code == 202
    answer = registry.client.put(location, params={"digest": digest_of(LAYER)})
    assert answer.status_code == 201


def test_what_does_not_have_its_digest(registry: Registry) -> None:
    wrong = digest_of(b"something else")
    answer = registry.client.put(begin(registry.client), params={"digest": wrong}, content=LAYER)
    refused(answer, 400, "DIGEST_INVALID")
    assert registry.client.head(f"{REPOSITORY}/blobs/{wrong}").status_code == 404
    for bad in ("", "sha256:12", "md5:" + hashlib.md5(b"", usedforsecurity=False).hexdigest()):
        answer = registry.client.put(begin(registry.client), params={"digest": bad}, content=LAYER)
        refused(answer, 400, "DIGEST_INVALID")


def test_an_upload_that_is_cancelled_or_was_never_begun(registry: Registry) -> None:
    location = begin(registry.client)
    assert registry.client.delete(location).status_code == 204
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        for place in (location, f"{REPOSITORY}/blobs/uploads/{'0' * 32}", f"{REPOSITORY}/blobs/uploads/.."):
            answer = registry.client.request(method, place, params={"digest": digest_of(b"")})
            assert answer.status_code in {404, 405}
    assert not list((registry.root / "pushes").iterdir())
    # Another repository's upload is none, either.
    other = begin(registry.client, "/v2/mine/other").replace("/other/", "/app/")
    refused(registry.client.patch(other, content=b"x"), 404, "BLOB_UPLOAD_UNKNOWN")


def test_mounted_from_another_repository(registry: Registry) -> None:
    digest = push_blob(registry.client, LAYER, "/v2/mine/other")
    mount = {"mount": digest, "from": "mine/other"}
    answer = registry.client.post(f"{REPOSITORY}/blobs/uploads/", params=mount)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{REPOSITORY}/blobs/{digest}"
    assert registry.client.get(f"{REPOSITORY}/blobs/{digest}").content == LAYER


def test_what_cannot_be_mounted_is_uploaded(registry: Registry) -> None:
    digest = push_blob(registry.client, LAYER, "/v2/mine/other")
    for mount in (
        {"mount": digest_of(b"1"), "from": "mine/other"},
        {"mount": digest},
        {"mount": digest, "from": "yours/app"},
    ):
        answer = registry.client.post(f"{REPOSITORY}/blobs/uploads/", params=mount)
        assert answer.status_code == 202
        assert "/blobs/uploads/" in answer.headers["location"]


def test_nobody_pushes_into_another_registry(registry: Registry) -> None:
    answer = registry.client.post("/v2/yours/app/blobs/uploads/")
    refused(answer, 403, "DENIED")
    answer = httpx.post(registry.client.base_url.join(f"{REPOSITORY}/blobs/uploads/"))
    refused(answer, 401, "UNAUTHORIZED")
    refused(registry.client.post("/v2/mine/Upper/blobs/uploads/"), 400, "NAME_INVALID")


# Push: manifests


def test_a_manifest_by_tag_and_by_digest(registry: Registry) -> None:
    for data in (CONFIG, LAYER):
        push_blob(registry.client, data)
    data = image()
    for reference in ("v1", digest_of(data)):
        answer = push_manifest(registry.client, data, reference)
        assert answer.status_code == 201
        assert answer.headers["docker-content-digest"] == digest_of(data)
        assert registry.client.get(answer.headers["location"]).content == data
        found = registry.client.get(f"{REPOSITORY}/manifests/{reference}")
        assert (found.content, found.headers["content-type"]) == (data, MANIFEST_TYPE)
    refused(push_manifest(registry.client, data, digest_of(b"")), 400, "DIGEST_INVALID")
    refused(push_manifest(registry.client, data, "sha256:1"), 400, "DIGEST_INVALID")
    refused(push_manifest(registry.client, data, ".bad"), 400, "TAG_INVALID")


def test_a_manifest_whose_parts_are_missing(registry: Registry) -> None:
    push_blob(registry.client, CONFIG)
    push_blob(registry.client, LAYER, "/v2/mine/other")
    answer = push_manifest(registry.client, image(), "v1")
    refused(answer, 400, "MANIFEST_BLOB_UNKNOWN")
    assert digest_of(LAYER) in answer.text
    index = json.dumps({"schemaVersion": 2, "manifests": [descriptor(image(), MANIFEST_TYPE)]}).encode()
    refused(push_manifest(registry.client, index, "v1", INDEX_TYPE), 400, "MANIFEST_BLOB_UNKNOWN")


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"{", MANIFEST_TYPE),
        (b"[]", MANIFEST_TYPE),
        (b'{"schemaVersion":1}', MANIFEST_TYPE),
        (b'{"schemaVersion":2,"mediaType":"other"}', MANIFEST_TYPE),
        (b'{"schemaVersion":2,"config":{},"layers":[]}', MANIFEST_TYPE),
        (b'{"schemaVersion":2,"config":{"digest":"sha256:1"},"layers":[]}', MANIFEST_TYPE),
        (b'{"schemaVersion":2,"config":{"digest":7},"layers":7}', MANIFEST_TYPE),
        (b'{"schemaVersion":2,"manifests":7}', INDEX_TYPE),
        (b'{"schemaVersion":2}', "text/plain"),
        (b"[" * 100_000, MANIFEST_TYPE),
    ],
)
def test_manifests_that_are_none(registry: Registry, data: bytes, media_type: str) -> None:
    refused(push_manifest(registry.client, data, "v1", media_type), 400, "MANIFEST_INVALID")


def test_a_manifest_that_is_too_large(registry: Registry) -> None:
    refused(push_manifest(registry.client, b" " * (5 << 20), "v1"), 413, "MANIFEST_INVALID")


def test_an_index_of_images(registry: Registry) -> None:
    digest = push_image(registry.client)
    index = json.dumps({"schemaVersion": 2, "manifests": [descriptor(image(), MANIFEST_TYPE)]}).encode()
    assert push_manifest(registry.client, index, "all", INDEX_TYPE).status_code == 201
    assert registry.client.get(f"{REPOSITORY}/manifests/all").headers["content-type"] == INDEX_TYPE
    refused(registry.client.delete(f"{REPOSITORY}/manifests/{digest}"), 403, "DENIED")


# Content discovery


def test_tags_in_order_and_in_pages(registry: Registry) -> None:
    push_image(registry.client, "b", "a", "10", "C", "2")
    answer = registry.client.get(f"{REPOSITORY}/tags/list")
    assert answer.json() == {"name": "mine/app", "tags": ["10", "2", "C", "a", "b"]}
    found: list[str] = []
    place = f"{REPOSITORY}/tags/list?n=2"
    while place:
        answer = registry.client.get(place)
        assert len(answer.json()["tags"]) <= 2
        found += answer.json()["tags"]
        place = answer.headers.get("link", "").partition(">")[0].lstrip("<")
    assert found == ["10", "2", "C", "a", "b"]
    assert registry.client.get(f"{REPOSITORY}/tags/list?n=2&last=C").json()["tags"] == ["a", "b"]
    assert registry.client.get(f"{REPOSITORY}/tags/list?n=0").json()["tags"] == []
    refused(registry.client.get("/v2/mine/none/tags/list"), 404, "NAME_UNKNOWN")
    assert registry.client.get("/v2/_catalog").json() == {"repositories": ["mine/app"]}


def test_a_tag_moves(registry: Registry) -> None:
    push_image(registry.client, "latest")
    second = push_image(registry.client, "latest", annotations={"version": "2"})
    found = registry.client.head(f"{REPOSITORY}/manifests/latest")
    assert found.headers["docker-content-digest"] == second


def test_referrers(registry: Registry) -> None:
    subject = {"subject": descriptor(image(), MANIFEST_TYPE)}
    place = f"{REPOSITORY}/referrers/{digest_of(image())}"
    push_blob(registry.client, CONFIG)
    assert registry.client.get(place).json()["manifests"] == []
    for data in (CONFIG, LAYER):
        push_blob(registry.client, data)
    # What is attached may come before its subject.
    signature = image(**subject, artifactType="application/signature", annotations={"by": "me"})
    answer = push_manifest(registry.client, signature, digest_of(signature))
    assert answer.headers["oci-subject"] == digest_of(image())
    sbom = image(**subject, artifactType="application/sbom")
    assert push_manifest(registry.client, sbom, "sbom").status_code == 201
    answer = registry.client.get(place)
    assert answer.headers["content-type"] == INDEX_TYPE
    found = {each["artifactType"]: each for each in answer.json()["manifests"]}
    assert found["application/signature"] == {
        "mediaType": MANIFEST_TYPE,
        "digest": digest_of(signature),
        "size": len(signature),
        "artifactType": "application/signature",
        "annotations": {"by": "me"},
    }
    filtered = registry.client.get(place, params={"artifactType": "application/sbom"})
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert [each["digest"] for each in filtered.json()["manifests"]] == [digest_of(sbom)]
    registry.client.delete(f"{REPOSITORY}/manifests/{digest_of(sbom)}")
    assert len(registry.client.get(place).json()["manifests"]) == 1
    refused(registry.client.get(f"{REPOSITORY}/referrers/sha256:1"), 400, "DIGEST_INVALID")


# Content management


def test_a_tag_is_deleted_and_its_manifest_stays(registry: Registry) -> None:
    digest = push_image(registry.client, "v1", "v2")
    assert registry.client.delete(f"{REPOSITORY}/manifests/v1").status_code == 202
    refused(registry.client.get(f"{REPOSITORY}/manifests/v1"), 404, "MANIFEST_UNKNOWN")
    assert registry.client.get(f"{REPOSITORY}/manifests/{digest}").status_code == 200
    assert registry.client.get(f"{REPOSITORY}/tags/list").json()["tags"] == ["v2"]
    refused(registry.client.delete(f"{REPOSITORY}/manifests/v1"), 404, "MANIFEST_UNKNOWN")


def test_a_manifest_is_deleted_with_its_tags_then_its_blobs(registry: Registry) -> None:
    digest = push_image(registry.client, "v1", "v2")
    layer = f"{REPOSITORY}/blobs/{digest_of(LAYER)}"
    refused(registry.client.delete(layer), 403, "DENIED")
    assert registry.client.delete(f"{REPOSITORY}/manifests/{digest}").status_code == 202
    for reference in ("v1", "v2", digest):
        refused(registry.client.get(f"{REPOSITORY}/manifests/{reference}"), 404, "MANIFEST_UNKNOWN")
    assert registry.client.delete(layer).status_code == 202
    refused(registry.client.get(layer), 404, "BLOB_UNKNOWN")
    refused(registry.client.delete(layer), 404, "BLOB_UNKNOWN")
