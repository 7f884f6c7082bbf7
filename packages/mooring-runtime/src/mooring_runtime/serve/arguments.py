"""The command line: the flags of ``azmlinfsrv``, and those for debugging."""

from __future__ import annotations

import argparse
from pathlib import Path

MAX_PORT = 65535


def port(text: str) -> int:
    """A port; 0 is any free one.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not text.isdigit() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"expected a port between 0 and {MAX_PORT}, got {text!r}")
    return int(text)


def count(text: str) -> int:
    """A number of processes.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The parser."""
    made = argparse.ArgumentParser(
        prog="mooring-serve",
        description="Serves an entry script from its folder, as a deployed service would. Ctrl-C stops it.",
    )
    add = made.add_argument
    add("script", nargs="?", help="the entry script; same as --entry_script")
    add("--entry_script", help="the entry script")
    add("--model_dir", help="what AZUREML_MODEL_DIR shall be")
    add("--port", type=port, default=5001, help="port to listen on [default: 5001]; 0 for any free one")
    add("--host", default="127.0.0.1", help="address to listen on [default: 127.0.0.1]")
    add("--health_port", type=port, default=5000, help="port of GET / with SEPERATE_HEALTH_ENDPOINT=true")
    add("--worker_count", type=count, help="worker processes [default: WORKER_COUNT, else 1]")
    add("--appinsights_instrumentation_key", help="accepted; nothing is sent to Application Insights")
    add("--access_control_allow_origins", help="origins for CORS, separated by commas")
    add("--ssl_cert_pem_file", type=Path, help="serve https with this certificate chain (PEM)")
    add("--ssl_key_pem_file", type=Path, help="the certificate's key (PEM)")
    add("--config_file", help="a JSON file with settings named like the environment variables")
    add("--python", type=Path, help="interpreter for the script [default: the active environment's]")
    add("--log_format", choices=("text", "json"), help="[default: MOORING_LOG_FORMAT, else text]")
    add("--reload", action="store_true", help="start again when a source file or a model changes")
    add(
        "--debug_port",
        type=port,
        help="let a debugger attach to the worker at this port, 0 for any free one (needs debugpy)",
    )
    add("--debug_wait", action="store_true", help="load the script only when a debugger is attached")
    return made
