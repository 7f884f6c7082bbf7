"""Starts a worker: ``<python> <worker_dir>/main.py`` with its settings in ``MOORING_WORKER`` (JSON).

Settings: ``report_fd`` (JSON lines to the supervisor), ``listen_fd`` (a listening Unix socket; the front
connects to it), ``app_root``, ``source_directory`` (or null), ``entry_script``.

The user's modules must never meet ours: this folder leaves ``sys.path`` before anything else is imported,
and our modules live under a private package name.
"""

import os
import sys

# Python puts this script's folder first, where `entry.py` and `main.py` would shadow the user's.
_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [path for path in sys.path if os.path.abspath(path) != _HERE]

import faulthandler  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import signal  # noqa: E402
import types  # noqa: E402

PACKAGE = "_mooring_worker"


class Termination:
    """SIGTERM ends the process by `SystemExit`, so that `atexit` handlers of user code run.

    Attributes:
        requested: whether the signal has come; tells this exit from a ``sys.exit()`` in user code.
    """

    def __init__(self):
        self.requested = False

    def __call__(self, *_):
        """The signal handler."""
        self.requested = True
        raise SystemExit(0)


def line_buffered(stream):
    """``stream`` so that each line is written at once, whatever the encoding of the terminal was."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(line_buffering=True, encoding="utf-8", errors="backslashreplace")
        return stream
    return io.TextIOWrapper(
        stream.detach(), encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=True
    )


def private_package():
    """Makes the files of this folder importable as ``_mooring_worker.*``."""
    package = types.ModuleType(PACKAGE)
    package.__path__ = [_HERE]
    sys.modules[PACKAGE] = package


def main():
    """Loads the entry script, calls ``init()``, reports, and serves until told to stop."""
    sys.stdout = line_buffered(sys.stdout)
    sys.stderr = line_buffered(sys.stderr)
    faulthandler.enable()
    termination = Termination()
    signal.signal(signal.SIGTERM, termination)
    settings = json.loads(os.environ.pop("MOORING_WORKER"))
    private_package()
    from _mooring_worker import contract, debugger, entry, report, scoring, serve

    supervisor = report.Report(settings["report_fd"])
    supervisor.send({"event": "started", "python": sys.version.split()[0]})
    entry.set_search_path(settings, os.path.join(_HERE, "shim"), os.path.join(_HERE, "fallback"))
    try:
        contract.configure_logging(settings)
        debugger.start(os.environ)
        module = entry.load(settings, termination)
        scorer = scoring.Scorer(entry.run_function(module), termination)
        entry.initialise(module, termination)
        described = contract.of(scorer, settings, module)
    except entry.EntryError as exc:
        # Also where users look first: the log outlives the process.
        sys.stderr.write("mooring: {}\n{}".format(exc, exc.facts.get("traceback", "")))
        supervisor.fail(exc)
    supervisor.send({"event": "ready", "mode": scorer.mode, "schema": described})
    serve.serve(settings["listen_fd"], scorer, termination)


if __name__ == "__main__":
    main()
