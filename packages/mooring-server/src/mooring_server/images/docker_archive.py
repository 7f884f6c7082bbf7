"""Images as ``docker save`` writes them: what every engine loads."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

from mooring_server.images import oci
from mooring_server.images.documents import load_manifest
from mooring_server.store.content import CHUNK, ContentStore, parse_digest


def has_base(config: Mapping[str, Any]) -> bool:
    """Whether the image of a configuration can run in a container."""
    labels = (config.get("config") or {}).get("Labels") or {}
    return bool(labels.get(oci.LABEL_BASE, "none") != "none")


def docker_archive(store: ContentStore, manifest_digest: str, name: str) -> Iterator[bytes]:
    """The image as ``docker save`` writes it, piece by piece, with its layers compressed as they are.

    This form and not an OCI layout, which Docker Engine takes only since version 25. The image's id in the engine
    is the digest of its configuration, in both engines.
    """
    manifest = load_manifest(store, manifest_digest)
    blobs = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
    paths = {digest: f"blobs/sha256/{parse_digest(digest)}" for digest in blobs}
    listing = [
        {"Config": paths[blobs[0]], "RepoTags": [name], "Layers": [paths[digest] for digest in blobs[1:]]}
    ]
    text = json.dumps(listing).encode()
    yield _header("manifest.json", len(text))
    yield _padded(text)
    for digest, path in paths.items():
        size = 0
        with store.path(digest).open("rb") as file:
            yield _header(path, file.seek(0, io.SEEK_END))
            file.seek(0)
            while chunk := file.read(CHUNK):
                size += len(chunk)
                yield chunk
        yield bytes(-size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _header(path: str, size: int) -> bytes:
    entry = tarfile.TarInfo(path)
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % tarfile.BLOCKSIZE)
