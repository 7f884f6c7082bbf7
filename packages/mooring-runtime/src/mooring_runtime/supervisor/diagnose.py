"""Why a worker ended, said so that its author can act on it."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring_runtime.supervisor.failure import Failure
from mooring_runtime.supervisor.model import Exit
from mooring_runtime.supervisor.spec import RevisionSpec

STACK_MARK = "Fatal Python error: Aborted"
MEBI = 1 << 20
NATIVE = {signal.SIGSEGV, signal.SIGILL, signal.SIGBUS, signal.SIGFPE}
_UNPICKLING = "A model that does not load usually needs the package versions it was trained with."
# What to do about exceptions that say enough by their class.
HINTS = {
    "UnpicklingError": _UNPICKLING,
    "AttributeError": _UNPICKLING,
    "SystemExit": "Raise an exception instead of ending the process; the evidence `traceback` shows where it did.",
}
# What the name in an import statement is called where packages come from.
DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "bs4": "beautifulsoup4",
    "skimage": "scikit-image",
    "dateutil": "python-dateutil",
    "Crypto": "pycryptodome",
}


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """A worker was killed for its memory.

    Attributes:
        limit: bytes allowed to all workers of the revision.
        used: the most bytes seen.
    """

    limit: int
    used: int


@dataclass(frozen=True, slots=True)
class Death:
    """What is known of a worker's end.

    Attributes:
        revision: of the worker.
        returncode: as `subprocess` gives it (below 0: a signal); None if it never started.
        spawn_error: why it could not be started.
        started: its interpreter came up and ran ours.
        ready: ``init()`` had returned.
        report: the worker's own report of a failed import or ``init()``.
        timed_out: it was aborted for its init deadline.
        stuck: it was aborted for the scoring timeout.
        lost: it was killed, since its connection to the front had ended.
        memory: it was killed for its memory.
        log: its last output.
        tree: a listing of the model directory.
    """

    revision: RevisionSpec
    returncode: int | None = None
    spawn_error: str | None = None
    started: bool = True
    ready: bool = False
    report: Mapping[str, Any] | None = None
    timed_out: bool = False
    stuck: bool = False
    lost: bool = False
    memory: OutOfMemory | None = None
    log: str = ""
    tree: str = field(default="")


def summary(returncode: int | None) -> str:
    """``exit status 3``, or ``signal 11 (SIGSEGV)``."""
    if returncode is None:
        return "not started"
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"signal {-returncode} ({signal.Signals(-returncode).name})"
    except ValueError:
        return f"signal {-returncode}"


def diagnose(death: Death) -> Exit:
    """The exit, with a failure for whoever needs one."""
    how = summary(death.returncode)
    if death.memory is not None:
        how += f", out of memory (limit {death.memory.limit // MEBI} MiB)"
    elif death.timed_out:
        how += ", init deadline exceeded"
    elif death.stuck:
        how += ", scoring timeout exceeded"
    elif death.lost:
        how += ", connection to the front lost"
    return Exit(how, _failure(death))


def _failure(death: Death) -> Failure:
    if death.memory is not None:
        return _out_of_memory(death, death.memory)
    if death.spawn_error is not None or not death.started:
        return _not_started(death)
    if death.timed_out:
        return _timeout(death)
    if death.report is not None:
        return _reported(death, death.report)
    how = summary(death.returncode)
    if death.ready:
        return _run_failure(death)
    return Failure(
        "InitExited",
        "Init",
        f"The worker's process ended with {how} before init() had returned.",
        _crash_hint(death.returncode),
        {"log": death.log},
        death.revision.id,
    )


def _run_failure(death: Death) -> Failure:
    what, hint = f"died with {summary(death.returncode)}", _crash_hint(death.returncode)
    if death.stuck:
        what, hint = "exceeded the scoring timeout and was stopped", "The log shows where run() was."
    elif death.lost:
        what = "lost its connection to the front and was stopped"
        hint = "The entry script, or something it calls, closes or writes to file descriptors that are not its own."
    return Failure("WorkerCrashLoop", "Run", f"A worker {what}.", hint, {"log": death.log}, death.revision.id)


def _out_of_memory(death: Death, memory: OutOfMemory) -> Failure:
    allowed, used = memory.limit / MEBI, memory.used / MEBI
    when = "while it answered requests" if death.ready else "before init() had returned"
    return Failure(
        "OutOfMemory",
        "Run" if death.ready else "Init",
        f"A worker was killed {when}: the revision may use {allowed:.0f} MiB and used {used:.0f} MiB.",
        f"Give the service more memory than {allowed / 1024:.2f} GB (memory_gb), or load less.",
        {"log": death.log, "memory": f"limit_bytes={memory.limit}\nused_bytes={memory.used}\n"},
        death.revision.id,
    )


def _not_started(death: Death) -> Failure:
    why = death.spawn_error or f"it ended with {summary(death.returncode)} before it ran anything"
    return Failure(
        "PythonNotStarted",
        "Start",
        f"The interpreter {death.revision.python} did not start: {why}.",
        "Build the image again; its environment is incomplete or was made for another machine.",
        {"log": death.log},
        death.revision.id,
    )


def _timeout(death: Death) -> Failure:
    stack = death.log[death.log.rfind(STACK_MARK) :] if STACK_MARK in death.log else ""
    evidence = {"stack": stack, "log": death.log} if stack else {"log": death.log}
    return Failure(
        "InitTimeout",
        "Init",
        f"init() had not returned after {death.revision.init_deadline_seconds:g} seconds.",
        "The evidence `stack` shows where it was (most recent call first). A download or a connection that"
        " hangs is the usual cause; if init() needs the time, allow it more: set"
        " MOORING_INIT_TIMEOUT_SECONDS in the environment's environment_variables.",
        evidence,
        death.revision.id,
    )


def _reported(death: Death, report: Mapping[str, Any]) -> Failure:
    init = report.get("step") == "init"
    evidence = {"log": death.log} if death.log else {}
    if report.get("traceback"):
        evidence = {"traceback": str(report["traceback"]), **evidence}
    if "missing_file" in report and death.tree:
        evidence["tree"] = death.tree
    exited = report.get("type") == "SystemExit"
    return Failure(
        "InitExited" if exited else "InitRaised" if init else "EntryScriptImportFailed",
        "Init",
        str(report.get("message", "")),
        hint_for(report, death.revision),
        evidence,
        death.revision.id,
    )


def hint_for(report: Mapping[str, Any], revision: RevisionSpec) -> str:
    """What to do about an exception in the entry script."""
    kind = report.get("type")
    if kind in {"ImportError", "ModuleNotFoundError"} and report.get("missing_module"):
        return _import_hint(str(kind), str(report["missing_module"]).split(".")[0])
    if "missing_file" in report:
        directory = revision.env.get("AZUREML_MODEL_DIR")
        where = f"AZUREML_MODEL_DIR is {directory}" if directory else "this service has no model"
        return f"{report['missing_file']} does not exist; {where}. The evidence `tree` lists what is there."
    if "traceback" not in report:
        return "An entry script defines init() without parameters and run(data)."
    if kind == "PermissionError" and revision.sandbox is not None:
        return (
            "The sandbox lets a script write below its own folder, HOME and the folder of `tempfile`, read its"
            " image, and call the usual TCP ports. docs/guide/isolation.md tells what can be changed."
        )
    if kind in HINTS:
        return HINTS[kind]
    return f"Correct {revision.entry_script} and deploy again; the evidence `traceback` shows the line."


def _import_hint(kind: str, top: str) -> str:
    """What to do about an import of the package ``top`` that failed."""
    if top == "azureml":
        return (
            "Where a model runs, of `azureml` there are Model.get_model_path, AMLRequest, AMLResponse and"
            " rawhttp. Remove the import from the entry script, or do that work before deployment."
        )
    if kind == "ModuleNotFoundError":
        package = DISTRIBUTIONS.get(top, top)
        return f"Add `{package}` to your environment's packages, or `{top}.py` to the source directory."
    return f"The installed version of `{top}` does not fit the script; pin another."


def _crash_hint(returncode: int | None) -> str:
    if returncode is not None and -returncode in NATIVE:
        return (
            "Native code crashed; the log shows the Python stack. Packages that were built for another"
            " processor, or do not fit together, are the usual cause."
        )
    if returncode == -signal.SIGKILL:
        return "Something outside the service killed it; the system's log may say that memory ran out."
    if returncode is not None and returncode >= 0:
        return "The entry script, or something it calls, ended the process (sys.exit, os._exit)."
    return "The log shows its last output."
