"""`mooring serve`: an entry script straight from its folder."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Annotated

import typer

from mooring.cli.failures import CliError
from mooring.cli.options import Number, Text
from mooring.cli.session import Session, command

MODULE = "mooring_runtime.serve"


def add(app: typer.Typer) -> None:
    """Put the command on the root."""
    command(app, "serve", workspace=False, people=True)(serve)


def serve(
    _session: Session,
    script: Annotated[Text, typer.Argument(help="The entry script.")] = None,
    entry_script: Annotated[Text, typer.Option("--entry_script", help="The entry script.")] = None,
    model_dir: Annotated[
        Text, typer.Option("--model_dir", help="What AZUREML_MODEL_DIR shall be.", metavar="FOLDER")
    ] = None,
    port: Annotated[Number, typer.Option("--port", help="Port to listen on [default: 5001]; 0: any.")] = None,
    host: Annotated[Text, typer.Option("--host", help="Address to listen on [default: 127.0.0.1]")] = None,
    health_port: Annotated[
        Number, typer.Option("--health_port", help="Port of GET / with SEPERATE_HEALTH_ENDPOINT=true.")
    ] = None,
    worker_count: Annotated[Number, typer.Option("--worker_count", help="Worker processes.", min=1)] = None,
    access_control_allow_origins: Annotated[
        Text, typer.Option("--access_control_allow_origins", help="Origins for CORS, separated by commas.")
    ] = None,
    appinsights_instrumentation_key: Annotated[
        Text, typer.Option("--appinsights_instrumentation_key", help="Accepted; nothing is sent there.")
    ] = None,
    config_file: Annotated[
        Text, typer.Option("--config_file", help="JSON with settings named like the variables.")
    ] = None,
    python: Annotated[
        Text, typer.Option("--python", help="Interpreter for the script [default: the active environment's].")
    ] = None,
    ssl_cert_pem_file: Annotated[
        Text, typer.Option("--ssl_cert_pem_file", help="Serve https with this certificate chain (PEM).")
    ] = None,
    ssl_key_pem_file: Annotated[
        Text, typer.Option("--ssl_key_pem_file", help="The certificate's key (PEM).")
    ] = None,
    log_format: Annotated[
        Text, typer.Option("--log_format", help="text or json [default: MOORING_LOG_FORMAT, else text].")
    ] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Start again when a source file changes.")] = False,
    debug_port: Annotated[
        Number, typer.Option("--debug_port", help="Let a debugger attach at this port (needs debugpy).")
    ] = None,
    debug_wait: Annotated[
        bool, typer.Option("--debug_wait", help="Load the script only when a debugger is attached.")
    ] = False,
) -> None:
    """Serve an entry script from its folder, as a deployed service would, without an image. Ctrl+C stops it.

    Examples:
      mooring serve score.py --model_dir .
      mooring serve score.py --model_dir . --reload --debug_port 5678
    """
    if importlib.util.find_spec("mooring_runtime") is None:
        raise CliError(
            "RuntimeNotInstalled",
            "mooring serve needs mooring-runtime, which is not installed beside the command",
            hint="Install it: pip install 'mooring[server]'",
            phase="Start",
        )
    valued = {
        "--entry_script": entry_script,
        "--model_dir": model_dir,
        "--port": port,
        "--host": host,
        "--health_port": health_port,
        "--worker_count": worker_count,
        "--access_control_allow_origins": access_control_allow_origins,
        "--appinsights_instrumentation_key": appinsights_instrumentation_key,
        "--config_file": config_file,
        "--python": python,
        "--ssl_cert_pem_file": ssl_cert_pem_file,
        "--ssl_key_pem_file": ssl_key_pem_file,
        "--log_format": log_format,
        "--debug_port": debug_port,
    }
    flags = [part for name, value in valued.items() if value is not None for part in (name, str(value))]
    flags += [name for name, given in (("--reload", reload), ("--debug_wait", debug_wait)) if given]
    words = [sys.executable, "-m", MODULE, *flags, *([script] if script is not None else [])]
    sys.stdout.flush()
    # The same process from here on: signals and the exit status are its own.
    os.execv(words[0], words)  # noqa: S606 - no shell on purpose
