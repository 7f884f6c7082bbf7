"""`mooring acr`, by the verbs of `az acr`: the registries of the workspaces, their credentials and tags."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mooring.cli import workspaces as places
from mooring.cli.calls import call, server
from mooring.cli.options import Text
from mooring.cli.output import Columns, print_json, write
from mooring.cli.session import Session, command, group

CREDENTIALS: Columns = (
    ("User name", "username"),
    ("Passwords", lambda row: [password["value"] for password in row["passwords"]]),
)

app = group("Registries, one a workspace, as `az acr` has them.")
credentials = group("User and passwords of a registry.")
repositories = group("Repositories of a registry.")
app.add_typer(credentials, name="credential")
app.add_typer(repositories, name="repository")

RegistryName = Annotated[
    str,
    typer.Option(
        "--name", "-n", help="Name of the registry: what stands before the repository in a location."
    ),
]
Subscription = Annotated[Text, typer.Option("--subscription", help="The workspace's subscription.")]


@command(credentials, "show", workspace=False)
def show_credentials(session: Session, name: RegistryName, subscription: Subscription = None) -> None:
    """Show user and passwords of a registry; the user is the registry's name.

    Example:
      mooring acr credential show --name mlw0a1b2c3d
    """
    found = _credentials(name, subscription)
    shown = {"passwords": found["passwords"], "username": found["username"]}
    session.show(shown, CREDENTIALS)


@command(repositories, "show-tags", workspace=False)
def show_tags(
    session: Session,
    name: RegistryName,
    repository: Annotated[str, typer.Option("--repository", help="Name of the repository.")] = "package",
    subscription: Subscription = None,
) -> None:
    """List the tags of a repository, in their order: of tags that are times, the last is the newest.

    Example:
      mooring acr repository show-tags --name mlw0a1b2c3d --repository package
    """
    tags = _tags(_credentials(name, subscription), repository)
    if session.json:
        print_json(tags)
    else:
        write("".join(f"{tag}\n" for tag in tags))


def _credentials(name: str, subscription: str | None) -> dict[str, Any]:
    """User and passwords of the registry called ``name``."""
    from mooring.sdk.client import part
    from mooring.sdk.errors import user_error

    meant, _, _ = places.scope(None, None, subscription)
    # Those of locations end in the repository; Azure's are host names.
    wanted = name.lower().partition(".")[0]
    for workspace in call("GET", f"/subscriptions/{part(meant)}/workspaces")["value"]:
        if str(workspace["containerRegistry"]).rpartition("/")[2].lower() == wanted:
            path = f"resourceGroups/{part(workspace['resourceGroup'])}/workspaces/{part(workspace['name'])}"
            keys: dict[str, Any] = call("POST", f"/subscriptions/{part(meant)}/{path}/listKeys")
            return dict(keys["containerRegistryCredentials"])
    raise user_error(
        f"There is no registry {name!r} in the subscription {meant}.",
        code="RegistryNotFound",
        hint="Registries come with workspaces: `mooring workspace show` has the name, and so has package.location, "
        "before /package.",
    )


def _tags(registry: dict[str, Any], repository: str) -> list[str]:
    from mooring.sdk.client import part
    from mooring.sdk.errors import user_error
    from mooring.sdk.http import http_client

    http = server()
    endpoint = http.connection.endpoint
    user = registry["username"]
    path = f"{endpoint}/v2/{part(user)}/{part(repository)}/tags/list"
    try:
        with http_client(endpoint, http.connection) as client:
            answer = client.get(path, auth=(user, registry["passwords"][0]["value"]))
    finally:
        http.close()
    if answer.status_code != 200:
        raise user_error(
            f"The registry {user} has no repository {repository!r}.",
            code="RepositoryNotFound",
            hint="Packages are in the repository `package`, unless they were given a name.",
        )
    return [str(tag) for tag in answer.json()["tags"]]
