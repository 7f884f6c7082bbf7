"""What an Azure environment says beside its Python packages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mooring_server.domain.errors import InvalidRequest

# Images Azure fills in itself: nothing the user asked for, and nothing Mooring's runtime does not bring.
_AZURES_OWN_BASE = re.compile(r"mcr\.microsoft\.com/azureml/(openmpi|intelmpi|base)[^/]*")


def section(environment: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """One member of the environment that has to be a JSON object; empty when absent.

    Raises:
        InvalidRequest: code ``EnvironmentInvalid``.
    """
    value = environment.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise invalid(f"`{name}` must be a JSON object, but it is {kind(value)}.", name)
    return value


def invalid(message: str, target: str) -> InvalidRequest:
    """The error for an environment that does not have the expected form."""
    return InvalidRequest(
        "EnvironmentInvalid", f"The environment cannot be read: {message}", phase="Resolve", target=target
    )


def kind(value: object) -> str:
    """A user's word for the JSON type of a value."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def user_managed(environment: Mapping[str, Any]) -> bool:
    """Whether the packages are those of the base image (``python.userManagedDependencies``)."""
    return bool(section(environment, "python").get("userManagedDependencies"))


def variables(environment: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables of the image, as the user wrote them.

    Raises:
        InvalidRequest: a name no process can have.
    """
    result = {}
    for name, value in section(environment, "environmentVariables").items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name or "\0" in str(value):
            raise invalid(f"{name!r} cannot be an environment variable.", "environmentVariables")
        result[name] = "" if value is None else str(value)
    return result


def base_reference(environment: Mapping[str, Any]) -> str | None:
    """The base image the user named; None for Azure's own, which any other stands in for.

    Raises:
        InvalidRequest: code ``EnvironmentInvalid``.
    """
    base = section(environment, "docker").get("baseImage")
    if not base:
        return None
    if not isinstance(base, str):
        raise invalid(f"`docker.baseImage` must be a string, but it is {kind(base)}.", "docker.baseImage")
    return None if _AZURES_OWN_BASE.fullmatch(base.partition("@")[0].partition(":")[0]) else base.strip()


def left_out(environment: Mapping[str, Any]) -> list[str]:
    """One sentence for each thing the user set that this image does not have.

    Raises:
        InvalidRequest: code ``EnvironmentInvalid``.
    """
    docker = section(environment, "docker")
    # What was decided when the environment was made, for a model without code.
    made = environment.get("changes")
    changes = [str(change) for change in made] if isinstance(made, list) else []
    if docker.get("baseDockerfile") or docker.get("buildContext"):
        changes.append(
            "What the Dockerfile makes is there in containers; a process service runs with this machine's libraries."
        )
        if docker.get("baseImage") and docker.get("baseDockerfile"):
            changes.append("docker.baseImage is not used: the Dockerfile names its own in FROM.")
    if section(environment, "python").get("baseCondaEnvironment"):
        changes.append(
            "python.baseCondaEnvironment is not used: packages are installed beside what the base image has."
        )
    if environment.get("r"):
        changes.append("The R section is not used: only Python packages are installed.")
    return changes
