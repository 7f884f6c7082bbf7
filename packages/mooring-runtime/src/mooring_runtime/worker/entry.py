"""Loads the entry script and calls its ``init()``."""

import importlib.util
import os
import sys
import traceback
import types

# Frames of these files are ours and would only distract in a user's traceback.
_OWN = (os.path.dirname(os.path.abspath(__file__)) + os.sep, "<frozen importlib")


class EntryError(Exception):
    """The entry script cannot serve.

    Attributes:
        facts: ``step`` (``import`` or ``init``), ``message``, ``type`` (the exception's class),
            ``traceback``, and ``missing_module`` or ``missing_file`` where Python names one.
    """

    def __init__(self, step, message, exc=None):
        super().__init__(message)
        self.facts = {"step": step, "message": message}
        if exc is None:
            return
        self.facts["type"] = type(exc).__name__
        self.facts["traceback"] = user_traceback(exc)
        if isinstance(exc, ImportError) and exc.name:
            self.facts["missing_module"] = exc.name
        if isinstance(exc, FileNotFoundError) and exc.filename is not None:
            self.facts["missing_file"] = os.fsdecode(exc.filename)


def user_traceback(exc):
    """The traceback of ``exc`` as Python prints it, from the first frame that is not ours."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OWN):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(exc), exc, trace))


def describe(exc):
    """``ValueError: text``, the last line of a traceback."""
    return "".join(traceback.format_exception_only(type(exc), exc)).strip()


def exit_text(exc):
    """``sys.exit('no model')``."""
    return "sys.exit({})".format("" if exc.code is None else repr(exc.code))


def script_path(settings):
    """Where the entry script lies: below the source directory if there is one, else the app root."""
    parts = [settings["app_root"], settings.get("source_directory") or "", settings["entry_script"]]
    return os.path.normpath(os.path.join(*parts))


def set_search_path(settings, shim, fallback):
    """Puts the user's folders first, then the private ``azureml`` names; and changes to the app root.

    ``fallback`` comes last: what is there gives way to a package of the same name in the user's environment.
    """
    root = settings["app_root"]
    source = os.path.normpath(os.path.join(root, settings.get("source_directory") or ""))
    wanted = [os.path.dirname(script_path(settings)), source, os.path.normpath(root)]
    first = [path for number, path in enumerate(wanted) if path not in wanted[:number]]
    sys.path[:0] = [*first, shim]
    sys.path.append(fallback)
    os.chdir(root)


def load(settings, exits):
    """The entry script as a module.

    It is imported under its own name and kept in `sys.modules`, so that pickles of its classes load.

    Args:
        settings: the worker's.
        exits: tells the `SystemExit` of SIGTERM from one that user code raised.

    Raises:
        EntryError: it does not exist, raises, or has no ``init`` or ``run``.
    """
    path = script_path(settings)
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules:
        name = "_mooring_entry_" + name
    if not os.path.isfile(path):
        raise EntryError("import", "The entry script {} does not exist.".format(settings["entry_script"]))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SystemExit as exc:
        if exits.requested:
            raise
        raise EntryError(
            "import", "{} ended the process while it was imported: {}".format(name, exit_text(exc)), exc
        ) from exc
    except Exception as exc:
        raise EntryError(
            "import", "{} cannot be imported: {}".format(settings["entry_script"], describe(exc)), exc
        ) from exc
    for function in ("init", "run"):
        if not callable(getattr(module, function, None)):
            raise EntryError(
                "import", "{} does not define a function {}().".format(settings["entry_script"], function)
            )
    return module


def run_function(module):
    """``run`` of the script; of the script behind it, if this is one of the drivers that Azure generates.

    A driver's own ``run`` does not know the parameters of a decorated one.
    """
    behind = getattr(module, "driver_module", None)
    if isinstance(behind, types.ModuleType) and callable(getattr(behind, "run", None)):
        return behind.run
    return module.run


def initialise(module, exits):
    """Calls ``init()``.

    Args:
        module: the entry script.
        exits: as for `load`.

    Raises:
        EntryError: it raised, or called `sys.exit`.
    """
    try:
        module.init()
    except SystemExit as exc:
        if exits.requested:
            raise
        raise EntryError("init", "init() ended the process: {}".format(exit_text(exc)), exc) from exc
    except Exception as exc:
        raise EntryError("init", "init() raised {}".format(describe(exc)), exc) from exc
