"""Which workspace a command is about."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mooring.sdk.config_file import WorkspaceConfig
    from mooring.sdk.workspace import Workspace

# What a machine's own workspace is called when neither an option nor a config.json names one.
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
RESOURCE_GROUP = "default"
NAME = "default"


def resolve(name: str | None, resource_group: str | None, subscription_id: str | None) -> Workspace:
    """Options first, then the nearest config.json, then the default workspace, which is made when needed."""
    from mooring.sdk.workspace import Workspace

    given = any((name, resource_group, subscription_id))
    config = nearest_config()
    if config is not None and not given:
        return Workspace.from_config(str(config.path))
    subscription, group, chosen = scope(name, resource_group, subscription_id)
    if not given:
        return Workspace.create(
            chosen, subscription_id=subscription, resource_group=group, exist_ok=True, show_output=False
        )
    return Workspace.get(chosen, subscription_id=subscription, resource_group=group)


def scope(name: str | None, resource_group: str | None, subscription_id: str | None) -> tuple[str, str, str]:
    """Subscription, resource group and name, without asking a server."""
    config = nearest_config()
    return (
        subscription_id or (config.subscription_id if config else SUBSCRIPTION),
        resource_group or (config.resource_group if config else RESOURCE_GROUP),
        name or (config.workspace_name if config else NAME),
    )


def nearest_config() -> WorkspaceConfig | None:
    """The config.json of the current directory or of its nearest parent that has one."""
    from mooring.sdk import config_file
    from mooring.sdk.exceptions import UserErrorException

    try:
        path = config_file.find()
    except UserErrorException as error:
        if error.code == "ConfigNotFound":
            return None
        raise
    return config_file.read(path)


def server_is_there() -> bool:
    """Whether asking would not have to start a server."""
    from mooring.sdk import local_server

    if os.environ.get("MOORING_ENDPOINT"):
        return True
    config = nearest_config()
    if config is not None and config.settings.get("endpoint"):
        return True
    return local_server.running() is not None
