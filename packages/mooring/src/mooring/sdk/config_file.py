"""Azure's ``config.json``: where it is looked for, and the two forms it has.

``{"subscription_id", "resource_group", "workspace_name"}`` or ``{"Id" | "Scope": "/subscriptions/..."}``;
Mooring adds the optional keys ``endpoint``, ``token`` and ``ca_bundle``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from mooring.sdk.errors import user_error
from mooring.sdk.types import JSON

PLACES = (".azureml/{0}", "aml_config/{0}", "{0}")
DEFAULT_NAME = "config.json"
SCOPE = re.compile(
    r"/+subscriptions/([^/]+)/resourcegroups/([^/]+)(?:/providers/[^/]+)?/workspaces/([^/]+)/?", re.IGNORECASE
)


@dataclass(frozen=True)
class WorkspaceConfig:
    """What a config.json says.

    Attributes:
        settings: the whole object, for ``endpoint``, ``token`` and ``ca_bundle``.
    """

    subscription_id: str
    resource_group: str
    workspace_name: str
    path: Path
    settings: JSON


def find(path: str | None = None, file_name: str | None = None) -> Path:
    """The file that Azure would take.

    Args:
        path: a file, or a directory in which (and in whose parents) to look; None is the current directory.
        file_name: instead of ``config.json``.

    Raises:
        UserErrorException: ConfigNotFound, with the places looked at.
    """
    name = file_name or DEFAULT_NAME
    begin = Path(path).expanduser().absolute() if path else Path.cwd()
    if begin.is_file():
        return begin
    looked: list[str] = []
    for directory in (begin, *begin.parents):
        for place in PLACES:
            candidate = directory / place.format(name)
            if candidate.is_file():
                return candidate
            looked.append(str(candidate))
    raise user_error(
        f"No workspace configuration ({name}) was found in {begin} or its parents.",
        code="ConfigNotFound",
        hint="Write one with ws.write_config(), save the JSON of the documentation as .azureml/config.json, "
        "or name the workspace: Workspace(subscription_id, resource_group, workspace_name).",
        evidence={"looked at": "\n".join(looked[:9])},
    )


def read(path: Path) -> WorkspaceConfig:
    """Read either form.

    Raises:
        UserErrorException: ConfigInvalid, saying which key is missing.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise user_error(f"{path} is not valid JSON: {error}", code="ConfigInvalid") from error
    if not isinstance(data, dict):
        raise user_error(f"{path} holds no JSON object.", code="ConfigInvalid")
    scope = data.get("Scope") or data.get("Id") or data.get("scope") or data.get("id")
    if scope:
        match = SCOPE.fullmatch(str(scope))
        if not match:
            raise user_error(
                f"{path}: {scope!r} is not the id of a workspace.",
                code="ConfigInvalid",
                hint="Expected: /subscriptions/<id>/resourceGroups/<group>/providers/"
                "Microsoft.MachineLearningServices/workspaces/<name>",
            )
        return WorkspaceConfig(match[1], match[2], match[3], path, data)
    keys = ("subscription_id", "resource_group", "workspace_name")
    missing = [key for key in keys if not data.get(key)]
    if missing:
        raise user_error(f"{path} lacks {', '.join(missing)}.", code="ConfigInvalid")
    subscription, group, name = (str(data[key]) for key in keys)
    return WorkspaceConfig(subscription, group, name, path, data)


def write(path: str | None, file_name: str | None, values: JSON) -> Path:
    """Write ``.azureml/<file_name>`` below a directory (default: the current one).

    Returns:
        Where it is now.
    """
    base = Path(path).expanduser() if path else Path.cwd()
    folder = base if base.name in {".azureml", "aml_config"} else base / ".azureml"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (file_name or DEFAULT_NAME)
    target.write_text(json.dumps(values, indent=4) + "\n", encoding="utf-8")
    return target
