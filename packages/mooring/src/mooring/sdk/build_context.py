"""Sends the folder of a Docker build context, so that the server can build it."""

from __future__ import annotations

from pathlib import Path

from mooring.sdk.client import Client
from mooring.sdk.errors import user_error
from mooring.sdk.files import upload, walk
from mooring.sdk.ignore import IgnoreRules
from mooring.sdk.types import JSON

LOCAL = "localDirectory"


def with_context(client: Client, environment: JSON) -> JSON:
    """The environment with the files of its build context, which are uploaded if they are in a folder here.

    Args:
        client: of the workspace.
        environment: Azure's environment JSON; one that was registered has the files already.

    Raises:
        UserErrorException: ``BuildContextNotSupported``, ``BuildContextNotFound``.
    """
    docker = environment.get("docker") or {}
    context = docker.get("buildContext")
    if not context or context.get("files"):
        return environment
    if context.get("locationType") != LOCAL:
        raise user_error(
            f"A build context of the type {context.get('locationType')!r} is not fetched.",
            code="BuildContextNotSupported",
            hint="Have the folder here: DockerBuildContext.from_local_directory(workspace, path).",
        )
    folder = Path(context["location"])
    if not folder.is_dir():
        raise user_error(
            f"The build context {folder} is no folder of this machine.",
            code="BuildContextNotFound",
            hint="It was described on another machine, or moved. Environment.register keeps its files at the server.",
        )
    files = upload(client, walk(folder, IgnoreRules.of_docker(folder)))
    return {**environment, "docker": {**docker, "buildContext": {**context, "files": files}}}
