"""Attaches a debugger to the worker: debugpy of the user's environment."""

import os
import sys
import threading
import time

from .entry import EntryError

LISTEN = "MOORING_DEBUG_PORT"
WAIT = "MOORING_DEBUG_WAIT"
CONNECT = "AZUREML_DEBUG_PORT"
RETRY_SECONDS = 0.5


def wanted(environ):
    """Whether a debugger is asked for."""
    return bool(environ.get(LISTEN) or environ.get(CONNECT))


def start(environ):
    """Listens on ``MOORING_DEBUG_PORT``, or connects to ``AZUREML_DEBUG_PORT`` and waits, as Azure's server does.

    Raises:
        EntryError: the environment has no debugpy, or the port is no number or cannot be used.
    """
    if not wanted(environ):
        return
    name = LISTEN if environ.get(LISTEN) else CONNECT
    if not environ[name].isdigit():
        raise EntryError("import", "{} must be a port, not {!r}.".format(name, environ[name]))
    port = int(environ[name])
    try:
        import debugpy  # noqa: T100 - that is what was asked for
    except ImportError as exc:
        raise EntryError(
            "import",
            "A debugger is asked for ({}={}), but debugpy is not installed in {}.".format(
                name, port, sys.executable
            ),
            exc,
        ) from exc
    if name == CONNECT:
        sys.stderr.write("mooring: connecting to the debugger at port {}\n".format(port))
        debugpy.connect(port)
        debugpy.wait_for_client()  # noqa: T100
        return
    listen(debugpy, port, wait=environ.get(WAIT) == "1")


def listen(debugpy, port, wait):
    """Listens; in the background when the worker of the revision before still has the port."""
    try:
        _, port = debugpy.listen(("127.0.0.1", port))
    except (RuntimeError, OSError) as exc:
        sys.stderr.write("mooring: debugger port {} is taken ({}); trying again\n".format(port, exc))
        threading.Thread(target=_until_free, args=(debugpy, port), daemon=True).start()
        return
    say(port)
    if wait:
        sys.stderr.write("mooring: waiting for a debugger before the script is loaded\n")
        debugpy.wait_for_client()


def _until_free(debugpy, port):
    while True:
        time.sleep(RETRY_SECONDS)
        try:
            debugpy.listen(("127.0.0.1", port))
        except (RuntimeError, OSError):
            continue
        say(port)
        return


def say(port):
    """Tells the user where to attach."""
    sys.stderr.write("mooring: attach a debugger to 127.0.0.1:{} (process {})\n".format(port, os.getpid()))
