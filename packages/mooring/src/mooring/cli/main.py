"""Assembles the command. `run` is the entry point `mooring`.

Without postponed annotations: on Python 3.9 typer does not see the option inside of a postponed `Annotated`.
"""

from typing import Annotated

import typer

import mooring
from mooring.cli import (
    acr,
    az_setup,
    backup,
    base,
    environment,
    functionapp,
    image,
    model,
    registry,
    resources,
    serve,
    server,
    service,
    servicebus,
    storage,
    token,
    workspace,
)
from mooring.cli.session import Group

HELP = """Deploy trained models with the Azure ML v1 workflow, on your own hardware.

\b
The way of a model:
  mooring model register -n mymodel -p model.pkl
  mooring model deploy -n myservice -m mymodel:1 --ic inferenceconfig.json --dc deploymentconfig.json
  mooring service run -n myservice -d '{"data": [[1, 2, 3]]}'

The per-user server is started when a command first needs it. `mooring doctor` tells what this machine can do.
"""

app = typer.Typer(
    name="mooring",
    cls=Group,
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(mooring.__version__)  # noqa: T201
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Holds the options of `mooring` itself; its help is HELP."""


server.add(app)
serve.add(app)
backup.add(app)
app.add_typer(workspace.app, name="workspace")
app.add_typer(model.app, name="model")
app.add_typer(service.app, name="service")
app.add_typer(environment.app, name="environment")
app.add_typer(image.app, name="image")
app.add_typer(servicebus.app, name="servicebus")
base.add(app)
app.add_typer(registry.app, name="registry")
app.add_typer(storage.app, name="storage")
app.add_typer(functionapp.app, name="functionapp")
app.add_typer(acr.app, name="acr")
resources.add(app)
token.add(app)
az_setup.add(app)


def run() -> None:
    """The entry point of the installed command."""
    app(prog_name="mooring")
