"""Names for the shell to complete: asked of a server that is already running, never by starting one.

Whatever goes wrong means "no suggestions": a shell in the middle of a line is no place for an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mooring.sdk.workspace import Workspace


def service_names(incomplete: str) -> list[str]:
    """Web services, local ones too."""
    return _names(incomplete, lambda workspace: list(workspace.webservices))


def model_names(incomplete: str) -> list[str]:
    """Models."""
    return _names(incomplete, lambda workspace: list(workspace.models))


def model_ids(incomplete: str) -> list[str]:
    """`name:version` of the latest version of each model, or of all versions once a name is typed."""

    def ids(workspace: Workspace) -> list[str]:
        from mooring.sdk.model import Model

        name, colon, _ = incomplete.partition(":")
        return [model.id for model in Model.list(workspace, name=name if colon else None, latest=not colon)]

    return _names(incomplete, ids)


def environment_names(incomplete: str) -> list[str]:
    """Registered environments."""
    return _names(incomplete, lambda workspace: list(workspace.environments))


def image_ids(incomplete: str) -> list[str]:
    """`name:version` of images."""
    return _names(incomplete, lambda workspace: [image.id for image in workspace.images.values()])


def workspace_names(incomplete: str) -> list[str]:
    """Workspaces of the default subscription."""

    def names(workspace: Workspace) -> list[str]:
        from mooring.sdk.workspace import Workspace

        return list(Workspace.list(workspace.subscription_id))

    return _names(incomplete, names)


def _names(incomplete: str, ask: Callable[[Workspace], list[str]]) -> list[str]:
    from mooring.cli import workspaces

    try:
        if not workspaces.server_is_there():
            return []
        found = ask(workspaces.resolve(None, None, None))
    except Exception:  # noqa: BLE001 - see the module's text
        return []
    return sorted(name for name in found if name.startswith(incomplete))
