"""Images in files: tar archives with an OCI layout, those of ``docker save``, and those with just a root directory."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from mooring_server.images.bases.base import Base, check_architecture, own_architecture, store_base
from mooring_server.images.bases.facts import check_usable, look
from mooring_server.images.bases.fetch import Log, fetch, invalid, tampered
from mooring_server.images.compression import (
    DAMAGE,
    GZIP,
    LIMITS,
    compressor,
    damaged,
    opened,
    packing,
    unpacking,
)
from mooring_server.store.content import CHUNK, ContentStore

_LARGEST_DOCUMENT = 4 << 20


def import_archive(
    store: ContentStore,
    path: Path,
    name: str,
    log: Log,
    known: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Base:
    """Store the image that a file holds.

    Args:
        store: takes it.
        path: of the file.
        name: what the base is called.
        log: takes lines that tell how it goes.
        known: descriptors of layers in the store by diff id; these are not packed again.

    Raises:
        PhaseFailed: as of `fetch`.
    """
    try:
        return _import(store, path, name, log, known)
    except DAMAGE as error:
        raise invalid(name, f"the file is no archive that can be read ({error})") from error


def _import(
    store: ContentStore, path: Path, name: str, log: Log, known: Mapping[str, Mapping[str, Any]]
) -> Base:
    if tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            # Docker wrote layers that occur twice as links.
            files = (member for member in archive if member.isreg() or member.issym() or member.islnk())
            members = {member.name.removeprefix("./"): member for member in files}
            if "index.json" in members and "oci-layout" in members:
                log("An OCI image layout.")
                layout = _Layout(archive, members, name)
                return fetch(store, layout, layout.chosen(), name, log)
            if "manifest.json" in members:
                log("An archive of docker save.")
                return _saved(store, archive, members, name, known)
    log("An archive of a root directory.")
    layer = _packed(store, path, name)
    return _base(store, {"architecture": own_architecture(), "os": "linux"}, [layer], name)


class _Layout:
    """An OCI image layout as an `Origin`."""

    def __init__(self, archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> None:
        self._archive, self._members, self._name = archive, members, name

    def chosen(self) -> str:
        """The digest of its only image."""
        manifests = _json(self._archive, self._members["index.json"], self._name).get("manifests") or []
        if len(manifests) != 1:
            raise invalid(self._name, f"its layout has {len(manifests)} images, not one")
        return str(manifests[0]["digest"])

    def manifest(self, reference: str) -> bytes:
        """By digest."""
        return b"".join(self.blob(reference))

    def blob(self, digest: str) -> Iterator[bytes]:
        """The pieces of a blob."""
        member = self._members.get(f"blobs/{digest.replace(':', '/')}")
        content = self._archive.extractfile(member) if member is not None else None
        if content is None:
            raise invalid(self._name, f"the archive does not have its part {digest}")
        while piece := content.read(CHUNK):
            yield piece


def _saved(
    store: ContentStore,
    archive: tarfile.TarFile,
    members: dict[str, tarfile.TarInfo],
    name: str,
    known: Mapping[str, Mapping[str, Any]],
) -> Base:
    images = _json(archive, members["manifest.json"], name)
    if not isinstance(images, list) or len(images) != 1:
        raise invalid(name, "the archive must hold one image")
    try:
        config = _json(archive, members[images[0]["Config"]], name)
        paths = [members[each] for each in images[0]["Layers"]]
        diff_ids = list(config["rootfs"]["diff_ids"])
    except (KeyError, TypeError) as error:
        raise invalid(name, f"the archive does not have {error}") from error
    check_architecture(config, name)
    if len(paths) != len(diff_ids):
        raise invalid(name, f"it has {len(paths)} layers, but its configuration {len(diff_ids)}")
    layers = []
    for member, diff_id in zip(paths, diff_ids, strict=True):
        if diff_id in known and store.touch(known[diff_id]["digest"]):
            layers.append({**known[diff_id], "diff_id": diff_id})
        else:
            layers.append(_saved_layer(store, archive, member, diff_id, name))
    return _base(store, config, layers, name)


def _saved_layer(
    store: ContentStore, archive: tarfile.TarFile, member: tarfile.TarInfo, diff_id: str, name: str
) -> dict[str, Any]:
    """Store a layer as it comes if it is packed, else packed; its bytes are looked at before."""
    with _content(archive, member, name) as content:
        kind = packing(content)
        size = content.seek(0, os.SEEK_END)
        content.seek(0)
        found = _diff_id(content, Path(member.name.removesuffix("/layer.tar")), size)
    if found != diff_id:
        raise tampered(name, f"The layer {member.name}", diff_id, found)
    with _content(archive, member, name) as content:
        pieces = iter(lambda: content.read(CHUNK), b"")
        return _pack(store, pieces) if kind is None else _keep(store, pieces, kind, diff_id)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> IO[bytes]:
    try:
        content = archive.extractfile(member)
    except KeyError:  # a link to what is not there
        content = None
    if content is None:
        raise invalid(name, f"the archive does not have {member.name}")
    return content


def _diff_id(content: IO[bytes], path: Path, size: int) -> str:
    hashed = hashlib.sha256()
    try:
        with unpacking(content, path.name, LIMITS.size(size)) as stream:
            while piece := stream.read(CHUNK):
                hashed.update(piece)
    except DAMAGE as error:
        raise damaged(path, error, "Save and import the image again.", "Resolve") from error
    return f"sha256:{hashed.hexdigest()}"


def _keep(store: ContentStore, pieces: Iterator[bytes], kind: str, diff_id: str) -> dict[str, Any]:
    """Store a layer that comes packed."""
    with store.writer() as writer:
        for piece in pieces:
            writer.write(piece)
        blob = writer.commit()
    return {"mediaType": kind, "digest": blob.digest, "size": blob.size, "diff_id": diff_id}


def _packed(store: ContentStore, path: Path, name: str) -> dict[str, Any]:
    with (
        opened(path, LIMITS.size(path.stat().st_size)) as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        if archive.next() is None:
            raise invalid(name, "the archive is empty")
    with opened(path, LIMITS.size(path.stat().st_size)) as stream:
        return _pack(store, iter(lambda: stream.read(CHUNK), b""))


def _pack(store: ContentStore, pieces: Iterator[bytes]) -> dict[str, Any]:
    """Store a layer that comes as a plain archive; a descriptor with its diff id beside."""
    hashed = hashlib.sha256()
    packed = compressor(GZIP)
    with store.writer() as writer:
        for piece in pieces:
            hashed.update(piece)
            writer.write(packed.compress(piece))
        writer.write(packed.flush())
        blob = writer.commit()
    return {
        "mediaType": GZIP,
        "digest": blob.digest,
        "size": blob.size,
        "diff_id": f"sha256:{hashed.hexdigest()}",
    }


def _base(store: ContentStore, config: dict[str, Any], layers: list[dict[str, Any]], name: str) -> Base:
    architecture = check_architecture(config, name)
    facts = look(store.path(layer["digest"]) for layer in layers)
    check_usable(facts, name)
    rootfs = {"type": "layers", "diff_ids": [layer["diff_id"] for layer in layers]}
    digest = store_base(store, {"layers": layers}, {**config, "rootfs": rootfs})
    return Base(digest, name, architecture, sum(layer["size"] for layer in layers), facts)


def _json(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> Any:
    content = archive.extractfile(member) if member.size <= _LARGEST_DOCUMENT else None
    if content is None:
        raise invalid(name, f"{member.name} is too large")
    return json.loads(content.read())
