"""Tracking URIs: which server and workspace they mean, and how to reach them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from mooring.sdk import config_file, local_server
from mooring.sdk.connection import Connection, configured
from mooring.sdk.errors import user_error
from mooring.sdk.exceptions import UserErrorException
from mooring.sdk.http import LOOPBACK, Http
from mooring.sdk.types import JSON

if TYPE_CHECKING:
    from mooring.sdk.workspace import Workspace

# `mooring` alone means http on this machine and https elsewhere.
SCHEMES = ("mooring", "mooring+http", "mooring+https")
AZURE = "azureml"
# Connections by endpoint: what `Workspace.get_mlflow_tracking_uri` knows and a URI must not tell.
_known: dict[str, Connection] = {}
_workspaces: dict[str, Workspace] = {}
_external: dict[str, str | None] = {}


@dataclass(frozen=True)
class Place:
    """What a tracking URI names."""

    subscription_id: str
    resource_group: str
    workspace_name: str
    endpoint: str | None


def tracking_uri(workspace: Workspace) -> str:
    """The URI of a workspace; the token is not in it, and is found again in this process."""
    connection = workspace.mooring.http.connection
    _known[connection.endpoint] = connection
    return f"mooring+{connection.endpoint}{workspace.mooring.base}/mlflow"


def is_ours(uri: str | None) -> bool:
    """Whether a URI (or the bare name of a target) is for this plugin."""
    scheme = str(uri).partition(":")[0]
    return scheme in SCHEMES or scheme == AZURE


def parse(uri: str) -> Place | None:
    """What ``uri`` names; None for a bare ``mooring``, ``mooring://`` or ``azureml``: the workspace of config.json.

    Raises:
        UserErrorException: TrackingUriInvalid.
    """
    split = urlsplit(uri)
    if not split.scheme or not (split.netloc or split.path.strip("/")):
        return None
    found = config_file.SCOPE.search(split.path)
    if found is None:
        raise user_error(
            f"The tracking URI {uri!r} names no workspace.",
            code="TrackingUriInvalid",
            hint="ws.get_mlflow_tracking_uri() gives the right one; it ends in "
            "/subscriptions/<id>/resourceGroups/<group>/workspaces/<name>/mlflow. "
            'Plain "mooring" means the workspace of config.json.',
        )
    endpoint = None if split.scheme == AZURE else _endpoint(split)
    subscription, group, name = (unquote(text) for text in found.groups())
    return Place(subscription, group, name, endpoint)


def _endpoint(split: SplitResult) -> str:
    scheme = split.scheme.partition("+")[2] or ("http" if split.hostname in LOOPBACK else "https")
    return f"{scheme}://{split.netloc}"


def workspace(uri: str) -> Workspace:
    """The workspace that a tracking URI names, connected.

    Raises:
        AzureMLException: as `Workspace` does.
    """
    if uri not in _workspaces:
        _workspaces[uri] = _connect(uri)
    return _workspaces[uri]


def _connect(uri: str) -> Workspace:
    from mooring.sdk.workspace import Workspace

    place = parse(uri)
    if place is None:
        return Workspace.from_config()
    names = (place.subscription_id, place.resource_group, place.workspace_name)
    if place.endpoint is None:
        return Workspace(*names)
    return Workspace(*names, _http=Http(connection_of(place.endpoint)))


def connection_of(endpoint: str) -> Connection:
    """How to prove to ``endpoint`` who asks. A token is shown to no server but the one it is meant for."""
    if endpoint in _known:
        return _known[endpoint]
    named = configured(_settings())
    if named is not None:
        return named if named.endpoint == endpoint else Connection(endpoint)
    own = local_server.running()
    if own is not None and own.endpoint == endpoint:
        return own
    return configured({"endpoint": endpoint}) or Connection(endpoint)


def _settings() -> JSON:
    """Those of a config.json, if there is one of ours."""
    try:
        return config_file.read(config_file.find()).settings
    except UserErrorException:
        return {}


def external(uri: str) -> str | None:
    """Address of the tracking server that Mooring's names instead of its own, or None. Asked once for each URI.

    Raises:
        AzureMLException: the server has none, or does not answer.
    """
    if uri not in _external:
        _external[uri] = workspace(uri).mooring.call("GET", "/mlflow")["trackingUri"]
    return _external[uri]
