"""The ``config`` of MLflow's deployment calls: ``deploy-config-file`` and ``async``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mooring.cli import deployment_file
from mooring.cli.failures import CliError
from mooring.cli.fields import unknown_key

_KEYS = {"deploy-config-file", "async"}
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True)
class DeploymentConfig:
    """What a deployment's ``config`` asks for.

    Attributes:
        kind: name of the `Webservice` class; ACI unless a file says otherwise.
        arguments: of its ``deploy_configuration``.
        wait: whether the call returns when the service answers, not before.
    """

    kind: str = "AciWebservice"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    wait: bool = True

    def build(self) -> Any:
        """The SDK's deployment configuration."""
        from mooring.cli.configs import service_class

        return service_class(self.kind).deploy_configuration(**self.arguments)


def parse(config: Mapping[str, Any] | None) -> DeploymentConfig:
    """Read it, and the file it names (JSON or YAML; `mooring.cli.deployment_file` has its keys).

    Raises:
        CliError: ``ConfigUnknownKey`` with the nearest known key, ``ConfigWrongType``, ``ConfigFileNotFound``,
            ``ConfigFileSyntax``, ``ComputeTypeUnknown``, ``EndpointsNotSupported``.
    """
    given = dict(config or {})
    if "endpoint-config-file" in given:
        raise endpoints_missing("endpoint-config-file")
    for key in given:
        if key not in _KEYS:
            raise unknown_key(str(key), _KEYS, "config", str(key))
    wait = not _flag(given.get("async", False))
    path = given.get("deploy-config-file")
    if path is None:
        return DeploymentConfig(wait=wait)
    kind, arguments = deployment_file.parse_file(Path(str(path)).expanduser())
    return DeploymentConfig(kind, arguments, wait)


def endpoints_missing(what: str) -> CliError:
    """Azure's endpoints of 2022 and later are not what these deployments are."""
    return CliError(
        "EndpointsNotSupported",
        f"{what}: this target has deployments and no endpoints.",
        hint="Leave the endpoint out: each deployment has an address of its own, "
        "get_deployment(name)['scoringUri'].",
        target=what,
    )


def _flag(value: Any) -> bool:
    # The command line gives texts.
    flag = _WORDS.get(str(value).lower())
    if flag is None:
        raise CliError(
            "ConfigWrongType", f"config: async: expected true or false, got {value!r}", target="async"
        )
    return flag
