"""Brings an image from elsewhere into the content store, believing no byte that does not have its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from mooring_server.domain.errors import InvalidRequest, PhaseFailed
from mooring_server.images.bases.base import (
    LAYER_TYPES,
    Base,
    check_architecture,
    own_architecture,
    store_base,
)
from mooring_server.images.bases.facts import check_usable, look
from mooring_server.store.content import ContentStore, digest_of, parse_digest

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
Log = Callable[[str], None]


class Origin(Protocol):
    """Where an image comes from: a registry, an archive."""

    def manifest(self, reference: str) -> bytes:
        """A manifest or an index, by tag or digest."""
        ...

    def blob(self, digest: str) -> Iterable[bytes]:
        """The pieces of a blob."""
        ...


def fetch(
    store: ContentStore, origin: Origin, reference: str, name: str, log: Log, *, usable: bool = True
) -> Base:
    """Store an image and look through it.

    Args:
        store: takes its blobs; those it has are not fetched again.
        origin: has them.
        reference: tag or digest there.
        name: what the base is called.
        log: takes lines that tell how it goes.
        usable: refuse one that wheels do not run on.

    Raises:
        PhaseFailed: codes ``ArchitectureMismatch``, ``BaseNotSupported``, ``ImageInvalid``, ``LayerTampered``,
            ``LayerDamaged``, and those of the origin.
        MooringError: code ``DiskFull``.
    """
    manifest = _manifest(origin, reference, name)
    config = json.loads(_small(store, origin, manifest["config"]["digest"], name))
    architecture = check_architecture(config, name)
    for number, layer in enumerate(manifest["layers"], 1):
        digest, size = str(layer["digest"]), int(layer["size"])
        if layer.get("mediaType") not in LAYER_TYPES:
            raise invalid(name, f"its layer {digest} has the type {layer.get('mediaType')}")
        if store.touch(digest):
            log(f"Layer {number} of {len(manifest['layers'])}: {size:,} bytes, here already.")
            continue
        log(f"Layer {number} of {len(manifest['layers'])}: {size:,} bytes.")
        _layer(store, origin, digest, size, name)
    facts = look(store.path(layer["digest"]) for layer in manifest["layers"])
    if usable:
        check_usable(facts, name)
    digest = store_base(store, manifest, config)
    return Base(digest, name, architecture, sum(int(layer["size"]) for layer in manifest["layers"]), facts)


def invalid(name: str, why: str) -> PhaseFailed:
    """The error for what is no image that can be used."""
    return PhaseFailed(
        "ImageInvalid",
        f"{name} cannot be used as a base image: {why}.",
        hint="It must be an OCI or Docker image (schema 2) for Linux.",
        phase="Resolve",
        target=name,
    )


def tampered(name: str, what: str, expected: str, found: str) -> PhaseFailed:
    """The error for bytes that are not those announced."""
    return PhaseFailed(
        "LayerTampered",
        f"{what} of {name} is not what was announced: expected {expected}, got {found}.",
        hint="It was changed or cut short on its way or at its origin. Fetch it again; if that does not help, "
        "do not use it.",
        phase="Resolve",
        target=name,
        evidence={"expected": expected, "found": found},
    )


def _manifest(origin: Origin, reference: str, name: str) -> dict[str, Any]:
    data = origin.manifest(reference)
    if ":" in reference:
        _check(data, reference, name, "The manifest")
    document = _document(data, name)
    if "manifests" in document:
        chosen = _own(document["manifests"], name)
        data = origin.manifest(chosen)
        _check(data, chosen, name, "The manifest")
        document = _document(data, name)
    if document.get("schemaVersion") != 2 or not isinstance(document.get("layers"), list):
        raise invalid(name, "its manifest has no layers in the form of schema 2")
    try:
        for each in (document["config"], *document["layers"]):
            parse_digest(each["digest"])
            int(each["size"])
    except (InvalidRequest, KeyError, TypeError, ValueError) as error:
        raise invalid(name, "its manifest does not say digest and size of all parts") from error
    return document


def _document(data: bytes, name: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError as error:
        raise invalid(name, "its manifest is no JSON") from error
    if not isinstance(document, dict):
        raise invalid(name, "its manifest is no JSON object")
    return document


def _own(manifests: Iterable[Mapping[str, Any]], name: str) -> str:
    """Of an index, the digest of the image for this machine."""
    wanted = own_architecture()
    platforms = []
    for each in manifests:
        platform = each.get("platform") or {}
        if (platform.get("os", "linux"), platform.get("architecture", wanted)) == ("linux", wanted):
            return str(each["digest"])
        platforms.append(f"{platform.get('os')}/{platform.get('architecture')}")
    raise PhaseFailed(
        "ArchitectureMismatch",
        f"The base image {name} is not there for linux/{wanted}, only for {', '.join(platforms)}.",
        hint=f"Name one for linux/{wanted}.",
        phase="Resolve",
        target=name,
    )


def _check(data: bytes, digest: str, name: str, what: str) -> None:
    found = digest_of(data)
    if found != digest:
        raise tampered(name, what, digest, found)


def _small(store: ContentStore, origin: Origin, digest: str, name: str) -> bytes:
    data = b"".join(origin.blob(digest))
    _check(data, digest, name, "The configuration")
    store.put_bytes(data)
    return data


def _layer(store: ContentStore, origin: Origin, digest: str, size: int, name: str) -> None:
    with store.writer() as writer:
        hashed = hashlib.sha256()
        for piece in origin.blob(digest):
            if writer.size + len(piece) > size:
                raise tampered(name, f"The layer {digest[:19]}", f"{size:,} bytes", "more")
            hashed.update(piece)
            writer.write(piece)
        if writer.size != size:
            raise tampered(name, f"The layer {digest[:19]}", f"{size:,} bytes", f"{writer.size:,}")
        found = f"sha256:{hashed.hexdigest()}"
        if found != digest:
            raise tampered(name, f"The layer {digest[:19]}", digest, found)
        writer.commit()
