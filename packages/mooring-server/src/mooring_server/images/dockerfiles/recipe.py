"""The Dockerfile of an environment and the files it may copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mooring_server.domain.errors import InvalidRequest
from mooring_server.images.dockerfiles.dockerfile import Dockerfile
from mooring_server.images.environment import invalid, kind, section
from mooring_server.images.types import TreeFile
from mooring_server.store.content import ContentStore

_LARGEST = 1 << 20


@dataclass(frozen=True)
class Recipe:
    """What is built.

    Attributes:
        dockerfile: its text, read.
        path: of the Dockerfile in the context; empty where it came as a text.
        files: of the context.
    """

    dockerfile: Dockerfile
    path: str
    files: tuple[TreeFile, ...]


def context_files(environment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The uploaded files of an environment's build context, as they were described; empty without one.

    Raises:
        InvalidRequest: code ``EnvironmentInvalid``.
    """
    context = section(environment, "docker").get("buildContext")
    files = (context.get("files") if isinstance(context, Mapping) else None) or []
    good = isinstance(files, list) and all(
        isinstance(file, Mapping)
        and isinstance(file.get("path"), str)
        and isinstance(file.get("digest"), str)
        for file in files
    )
    if not good:
        raise invalid(
            "each of `docker.buildContext.files` must have `path` and `digest`.", "docker.buildContext"
        )
    return files


def context_digests(environment: Mapping[str, Any]) -> list[str]:
    """The blobs of a build context; none for an environment that cannot be read, as some of before cannot."""
    try:
        return [str(file["digest"]) for file in context_files(environment)]
    except InvalidRequest:
        return []


def recipe_of(environment: Mapping[str, Any], store: ContentStore) -> Recipe | None:
    """The Dockerfile that an environment has (``docker.baseDockerfile``, ``docker.buildContext``), if any.

    Raises:
        InvalidRequest: codes ``DockerfileInvalid``, ``DockerfileNotFound``, ``EnvironmentInvalid``.
    """
    docker = section(environment, "docker")
    text, context = docker.get("baseDockerfile"), docker.get("buildContext")
    if text:
        if not isinstance(text, str):
            raise invalid(
                f"`docker.baseDockerfile` must be a string, but it is {kind(text)}.", "docker.baseDockerfile"
            )
        return Recipe(Dockerfile(text), "", ())
    if not context:
        return None
    if not isinstance(context, Mapping):
        raise invalid(
            f"`docker.buildContext` must be an object, but it is {kind(context)}.", "docker.buildContext"
        )
    files = tuple(
        TreeFile(file["path"], file["digest"], store.size(file["digest"]), bool(file.get("executable")))
        for file in context_files(environment)
    )
    path = str(context.get("dockerfilePath") or "Dockerfile").removeprefix("./")
    found = next((file for file in files if file.path == path), None)
    if found is None:
        raise InvalidRequest(
            "DockerfileNotFound",
            f"The build context has no {path}.",
            hint="DockerBuildContext.from_local_directory(ws, folder, dockerfile_path) sends a folder of this machine; "
            "contexts elsewhere are not fetched.",
            phase="Resolve",
            target=path,
            evidence={"tree": "\n".join(file.path for file in files[:200])},
        )
    if store.size(found.digest) > _LARGEST:
        raise invalid(f"{path} is too large for a Dockerfile", "docker.buildContext")
    return Recipe(Dockerfile(store.read(found.digest).decode("utf-8", "replace")), path, files)
