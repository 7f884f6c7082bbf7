"""`mooring environment`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mooring.cli import completion
from mooring.cli.failures import CliError
from mooring.cli.options import File, Text
from mooring.cli.session import Session, command, group

app = group("Environments: registered packages and variables that services run with.")

FIELDS = (
    ("Name", "name"),
    ("Version", "version"),
    ("Packages", lambda row: "\n".join(packages(row))),
    ("Base image", lambda row: (row.get("docker") or {}).get("baseImage")),
    ("Variables", "environmentVariables"),
)
EnvironmentName = Annotated[
    str,
    typer.Option(
        "--name", "-n", help="Name of the environment.", autocompletion=completion.environment_names
    ),
]
Version = Annotated[Text, typer.Option("--version", "-v", help="Version; the latest if left out.")]


@command(app, "register")
def register(
    session: Session,
    directory: Annotated[
        File, typer.Option("--directory", "-d", help="Folder that `environment download` wrote.")
    ] = None,
    name: Annotated[
        Text, typer.Option("--name", "-n", help="Name; needed with the two options below.")
    ] = None,
    conda_file: Annotated[
        File, typer.Option("--conda-file", "--cf", help="A conda environment file.")
    ] = None,
    requirements: Annotated[
        File, typer.Option("--pip-requirements", "-r", help="A pip requirements file.")
    ] = None,
) -> None:
    """Register an environment; the same definition keeps its version.

    Examples:
      mooring environment register -n myenv --conda-file myenv.yml
      mooring environment register -n myenv -r requirements.txt
      mooring environment register -d myenv/
    """
    from mooring.sdk.environment import Environment

    given = [option for option in (directory, conda_file, requirements) if option is not None]
    if len(given) != 1:
        raise typer.BadParameter(
            "give exactly one", param_hint="--directory, --conda-file or --pip-requirements"
        )
    if directory is not None:
        environment = Environment.load_from_directory(str(directory))
    elif name is None:
        raise typer.BadParameter("the environment needs a name", param_hint="--name")
    elif conda_file is not None:
        _check(conda_file)
        environment = Environment.from_conda_specification(name, str(conda_file))
    else:
        environment = Environment.from_pip_requirements(name, str(requirements))
    session.show(environment.register(session.workspace()).to_json(), FIELDS)


@command(app, "list")
def list_environments(session: Session) -> None:
    """List the latest version of each environment.

    Example:
      mooring environment list
    """
    found = session.workspace().environments.values()
    session.show_all(
        [environment.to_json() for environment in found],
        [("NAME", "name"), ("VERSION", "version"), ("PACKAGES", packages)],
        empty="No environments.",
    )


@command(app, "show")
def show(session: Session, name: EnvironmentName, version: Version = None) -> None:
    """Show one environment.

    Example:
      mooring environment show -n myenv -v 1
    """
    from mooring.sdk.environment import Environment

    session.show(Environment.get(session.workspace(), name, version=version).to_json(), FIELDS)


@command(app, "download")
def download(
    session: Session,
    name: EnvironmentName,
    directory: Annotated[Path, typer.Option("--directory", "-d", help="Folder to write.")],
    version: Version = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write into a folder that exists.")] = False,
) -> None:
    """Write an environment's definition to a folder, to be changed and registered again.

    Example:
      mooring environment download -n myenv -d myenv/
    """
    from mooring.sdk.environment import Environment

    environment = Environment.get(session.workspace(), name, version=version)
    environment.save_to_directory(str(directory), overwrite=overwrite)
    session.show(
        {"name": environment.name, "version": environment.version, "path": str(directory)},
        [("Name", "name"), ("Version", "version"), ("Path", "path")],
    )


def packages(row: Mapping[str, Any]) -> list[str]:
    """Conda's and pip's packages of an environment object, in one list."""
    python = row.get("python")
    dependencies = python.get("condaDependencies") if isinstance(python, dict) else None
    listed = (dependencies or {}).get("dependencies") or []
    return [
        str(name) for item in listed for name in (item.get("pip", []) if isinstance(item, dict) else [item])
    ]


def _check(path: Path) -> None:
    if not path.is_file():
        raise CliError(
            "CondaFileNotFound",
            f"there is no conda file {path}",
            hint="Check the path; it is relative to the current directory.",
            target=str(path),
        )
