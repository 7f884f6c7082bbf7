"""``mooring-serve``, also ``python -m mooring_runtime.serve``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mooring_runtime.serve.arguments import parser
from mooring_runtime.serve.session import Session
from mooring_runtime.serve.settings import SettingsError, settle
from mooring_runtime.supervisor.client import SupervisorUnavailable
from mooring_runtime.supervisor.failure import SupervisorError
from mooring_runtime.supervisor.logs import timestamp


def say(line: str) -> None:
    """Prints a line at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def say_json(line: str) -> None:
    """Prints a line among those of a log that is JSON; a record of the workers' as it is."""
    say(line if line.startswith("{") else json.dumps({"time": timestamp(), "message": line}))


def main(argv: Sequence[str] | None = None) -> int:
    """Serves; 0 when stopped, 1 on an error of the server, 2 on wrong settings, 3 if the script cannot serve."""
    given = parser().parse_args(argv)
    try:
        settings = settle(given, os.environ, Path.cwd())
    except SettingsError as exc:
        sys.stderr.write(f"mooring-serve: {exc}\n")
        return 2
    tell = say_json if settings.env.get("MOORING_LOG_FORMAT") == "json" else say
    tell(f"Entry script: {settings.entry_script}")
    tell(f"Python:       {settings.python}")
    tell(f"Model folder: {settings.env.get('AZUREML_MODEL_DIR', 'none (--model_dir)')}")
    for note in settings.notes:
        tell(note)
    try:
        return Session(settings, tell).run()
    except SupervisorError as exc:
        sys.stderr.write(f"mooring-serve: {exc.failure.code}: {exc.failure.message} {exc.failure.hint}\n")
    except (SupervisorUnavailable, OSError) as exc:
        sys.stderr.write(f"mooring-serve: {exc}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
