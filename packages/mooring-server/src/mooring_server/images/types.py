"""What the image builder is asked for and what it gives: the seam between control plane and builder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mooring_server.images.bases.base import Base


@dataclass(frozen=True)
class TreeFile:
    """One file of a tree kept in the content store.

    Attributes:
        path: relative, ``/``-separated, without ``.`` or ``..`` parts.
        digest: ``sha256:<hex>`` of its content, present in the content store.
        size: bytes.
        executable: whether to set the executable bits.
    """

    path: str
    digest: str
    size: int
    executable: bool = False


@dataclass(frozen=True)
class ModelTree:
    """A registered model's version and its files.

    Attributes:
        written_with: the paths of its pickles that scikit-learn wrote, with the version that did.
    """

    name: str
    version: int
    files: tuple[TreeFile, ...]
    written_with: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class BuildRequest:
    """All inputs of an image; equal requests give equal digests.

    Attributes:
        repository: ``<registry name>/<image name>`` in the registry.
        tag: the image's version.
        environment: Azure's environment JSON in lower camel case (``python.condaDependencies``,
            ``environmentVariables``, ``docker``, ...).
        entry_script: relative to ``source_directory`` if there is one, else to the app root.
        source_directory: base name of the uploaded source directory, or None.
        files: the app's files, relative to the app root.
        models: in the order the user gave.
        site: the files of a function app, relative to `functions.ROOT`; empty for an image without functions.
        base: what lies below; without one the image is for the process target only.
        froms: the server's own bases that the environment's Dockerfile names, by their names there.
    """

    repository: str
    tag: str
    environment: Mapping[str, Any]
    entry_script: str
    source_directory: str | None
    files: tuple[TreeFile, ...]
    models: tuple[ModelTree, ...]
    site: tuple[TreeFile, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    base: Base | None = None
    froms: Mapping[str, Base] = field(default_factory=dict)


@dataclass(frozen=True)
class BuiltImage:
    """A finished image in the content store.

    Attributes:
        digest: of the OCI manifest.
        size: bytes of all layers, compressed.
        python_version: ``X.Y`` the wheels are for.
        lock_digest: blob with the resolved requirements, hashes included.
        sbom_digest: blob with the CycloneDX JSON.
        changes: sentences telling what differs from what the user wrote and why.
        sbom_manifest: the manifest that attaches the bill of materials to the image; empty for images of before.
    """

    digest: str
    size: int
    python_version: str
    lock_digest: str
    sbom_digest: str
    changes: tuple[str, ...]
    sbom_manifest: str = ""


class Reporter(Protocol):
    """Where a build tells how it goes."""

    def phase(self, name: str, detail: str = "") -> None:
        """A phase (``Resolve``, ``Build``) begins; the previous one has succeeded."""
        ...

    def log(self, message: str) -> None:
        """One line of the build log."""
        ...


class Builder(Protocol):
    """Builds images; blocking, safe to call from several threads, safe to kill at any instant."""

    def build(self, request: BuildRequest, reporter: Reporter) -> BuiltImage:
        """Build and store the image.

        Raises:
            MooringError: with phase ``Resolve`` or ``Build`` when it cannot be built.
        """
        ...
