"""A base image in the content store, and what was found in it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring_server.domain.errors import MooringError, PhaseFailed
from mooring_server.images.documents import CONFIG_TYPE, MANIFEST_TYPE, canonical_json, load_manifest
from mooring_server.store.content import ContentStore

ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# Docker's media types name the same bytes as OCI's.
_OCI_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}
LAYER_TYPES = frozenset(
    {
        *_OCI_TYPES,
        *_OCI_TYPES.values(),
        "application/vnd.oci.image.layer.v1.tar+zstd",
    }
)


def own_architecture() -> str:
    """This machine's architecture by OCI's name."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


@dataclass(frozen=True)
class Facts:
    """What matters of the files of a base.

    Attributes:
        pythons: interpreters by ``X.Y``: their paths.
        glibc: ``X.Y``; empty without the GNU C library.
        shell: path of a shell, empty if there is none.
        certificates: whether it has the bundle of certificate authorities that OpenSSL looks for.
    """

    pythons: Mapping[str, str] = field(default_factory=dict)
    glibc: str = ""
    shell: str = ""
    certificates: bool = False


@dataclass(frozen=True)
class Base:
    """A base image.

    Attributes:
        digest: of its manifest in the content store.
        reference: how its user calls it.
        architecture: by OCI's name.
        size: bytes of its layers, packed.
        facts: see there.
    """

    digest: str
    reference: str
    architecture: str
    size: int
    facts: Facts = field(default_factory=Facts)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Base:
        """What `asdict` gave."""
        return cls(**{**data, "facts": Facts(**data["facts"])})


@dataclass(frozen=True)
class BaseContent:
    """What of a base goes into the images upon it.

    Attributes:
        layers: descriptors of its manifest, lowest first.
        diff_ids: of the same layers.
        variables: of its configuration.
        history: of its configuration.
    """

    layers: list[dict[str, Any]]
    diff_ids: list[str]
    variables: dict[str, str]
    history: list[dict[str, Any]]

    @classmethod
    def load(cls, store: ContentStore, base: Base) -> BaseContent:
        """Read it.

        Raises:
            NotFound: code ``BlobNotFound``.
            MooringError: code ``ImageInvalid``.
        """
        manifest = load_manifest(store, base.digest)
        config = json.loads(store.read(manifest["config"]["digest"]))
        settings = config.get("config") or {}
        return cls(
            manifest["layers"],
            config["rootfs"]["diff_ids"],
            dict(item.partition("=")[::2] for item in settings.get("Env") or []),
            config.get("history") or [],
        )


def store_base(store: ContentStore, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Write the manifest of a base whose layers are stored; its digest.

    Layers keep their bytes; Docker's media types become OCI's. The configuration is taken over as it is, with a
    history if it has none: Podman refuses to build upon an image whose history does not fit its layers.

    Raises:
        MooringError: code ``ImageInvalid``.
    """
    layers = manifest["layers"]
    if len(layers) != len(config.get("rootfs", {}).get("diff_ids", ())):
        raise MooringError(
            "ImageInvalid", "The image's configuration does not fit its layers.", phase="Resolve"
        )
    data = canonical_json({**config, "history": _history(config, len(layers))})
    return store.put_bytes(
        canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": {"mediaType": CONFIG_TYPE, "digest": store.put_bytes(data), "size": len(data)},
                "layers": [
                    {
                        "mediaType": _OCI_TYPES.get(layer["mediaType"], layer["mediaType"]),
                        "digest": layer["digest"],
                        "size": layer["size"],
                    }
                    for layer in layers
                ],
            }
        )
    )


def _history(config: Mapping[str, Any], layers: int) -> list[dict[str, Any]]:
    known = list(config.get("history") or [])
    if sum(not entry.get("empty_layer") for entry in known) == layers:
        return known
    return [{"created": config.get("created", "1980-01-01T00:00:00Z"), "created_by": "base"}] * layers


def check_architecture(config: Mapping[str, Any], reference: str) -> str:
    """The architecture of an image, if it is this machine's.

    Raises:
        PhaseFailed: code ``ArchitectureMismatch``.
    """
    found, wanted = str(config.get("architecture", "")), own_architecture()
    system = str(config.get("os", "linux"))
    if found != wanted or system != "linux":
        raise PhaseFailed(
            "ArchitectureMismatch",
            f"The base image {reference} is for {system}/{found or 'an unknown architecture'}; "
            f"this machine is linux/{wanted}.",
            hint=f"Name one for linux/{wanted}.",
            phase="Resolve",
            target=reference,
        )
    return found
