"""Imports that no trained model needs and that do harm while a pickle is loaded.

A pickle names functions that are called when it is loaded. The list has those with which other people's pickles have
attacked, and their siblings: what runs programs or text as code, touches files or the network, or leads to all of that.
It cannot be complete (any library may have a function that does harm); it is a look at what somebody gave you, and the
sandbox of the worker is the fence.
"""

from __future__ import annotations

import re

_PROGRAMS = "starts programs"
_FILES = "reads, writes or removes files"
_NETWORK = "opens network connections"
_CODE = "runs text or bytes as code"
_REACH = "reaches any function of any object"
_HIDDEN = "loads another pickle, which nobody has looked at"
_PROCESS = "changes or ends the process"
COMPUTED = "<computed>"
_COMPUTED = "the name is put together while the pickle is loaded, which no pickle of an honest writer does"

# A name stands for itself and for everything below it.
_NAMES = {
    _PROGRAMS: (
        "os posix nt subprocess _posixsubprocess pty commands popen2 multiprocessing webbrowser antigravity "
        "distutils setuptools pip ensurepip venv platform.popen numpy.distutils numpy.f2py torch.utils.collect_env"
    ),
    _FILES: (
        "shutil tarfile zipfile fileinput sqlite3 dbm builtins.open builtins.file io.open _io.open io.FileIO "
        "_io.FileIO codecs.open gzip.open bz2.open lzma.open pathlib.Path.write_text pathlib.Path.unlink "
        "numpy.savetxt numpy.core.records.fromfile numpy.fromfile"
    ),
    _NETWORK: (
        "socket _socket ssl http urllib ftplib smtplib poplib imaplib telnetlib nntplib xmlrpc socketserver asyncio "
        "requests aiohttp httpx httplib2 urllib3 paramiko torch.hub"
    ),
    _CODE: (
        "builtins.eval builtins.exec builtins.execfile builtins.compile builtins.__import__ builtins.input "
        "builtins.breakpoint builtins.help importlib runpy pkgutil imp zipimport code codeop timeit trace profile "
        "cProfile pdb bdb doctest types.CodeType types.FunctionType types.LambdaType ctypes _ctypes cffi IPython "
        "logging.config numpy.testing pandas.eval pandas.core.computation.eval torch.utils.bottleneck "
        "torch.jit.unsupported_tensor_ops"
    ),
    _REACH: (
        "builtins.getattr builtins.setattr builtins.delattr builtins.globals builtins.locals builtins.vars "
        "builtins.apply operator.attrgetter operator.methodcaller _operator.attrgetter _operator.methodcaller gc "
        "inspect"
    ),
    _HIDDEN: (
        "pickle.load pickle.loads pickle._load pickle._loads pickle.Unpickler pickle._Unpickler _pickle cPickle "
        "marshal shelve dill.load dill.loads dill._dill.load dill._dill.loads cloudpickle.load cloudpickle.loads "
        "cloudpickle.cloudpickle.load cloudpickle.cloudpickle.loads joblib.load joblib.numpy_pickle.load "
        "sklearn.externals.joblib.load sklearn.externals.joblib.numpy_pickle.load numpy.load "
        "numpy.lib.npyio.load numpy.lib._npyio_impl.load pandas.read_pickle pandas.io.pickle.read_pickle "
        "torch.load torch.serialization.load"
    ),
    _PROCESS: "sys signal _signal _thread atexit faulthandler resource builtins.exit builtins.quit",
}
_REASONS = {name: reason for reason, names in _NAMES.items() for name in names.split()}
# Below the names above, and without harm.
_HARMLESS = re.compile(r"(urllib\.parse|http\.cookies|sqlite3\.dbapi2\.Binary|os\.PathLike)\b.*")
# Modules that other modules import: `some.library` and `os.system` are what is imported as `some.library os.system`.
_MODULES = {
    "os",
    "posix",
    "nt",
    "sys",
    "subprocess",
    "shutil",
    "importlib",
    "builtins",
    "socket",
    "ctypes",
    "pickle",
}
_PLAIN = {"__newobj__", "__newobj_ex__"}
# From functions, generators and tracebacks to all that their module has; and what programs and code are run by.
_AWAY = {
    *("gi_frame", "gi_code", "cr_frame", "cr_code", "ag_frame", "ag_code", "tb_frame", "tb_next", "f_back"),
    *(
        "f_builtins",
        "f_code",
        "f_globals",
        "f_locals",
        "func_globals",
        "func_code",
        "system",
        "popen",
        "Popen",
    ),
    *("spawn", "fork", "eval", "exec", "execfile", "compile", "import_module", "run_module", "run_path"),
    *("check_call", "check_output", "getoutput", "getstatusoutput"),
}


def danger(module: str, name: str) -> str | None:
    """Why an import is dangerous, or None.

    Args:
        module: as the pickle names it, in Python 3's words.
        name: may have dots, as protocol 4 allows.
    """
    path = f"{module}.{name}"
    if COMPUTED in {module, name}:
        return _COMPUTED
    if _HARMLESS.fullmatch(path):
        return None
    parts = path.split(".")
    for length in range(1, len(parts) + 1):
        if reason := _REASONS.get(".".join(parts[:length])):
            return reason
    inner = name.split(".")
    return _REACH if any(_leads_to_others(part) for part in inner) else None


def leads_away(attribute: str) -> bool:
    """Whether an attribute of some object leads to functions that have nothing to do with it."""
    return any(_leads_to_others(part) or part in _AWAY for part in attribute.split("."))


def _leads_to_others(part: str) -> bool:
    # Modules import others also as `_os`.
    return part.strip("_") in _MODULES or bool(re.fullmatch(r"__\w+__", part) and part not in _PLAIN)
