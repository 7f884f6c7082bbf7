from __future__ import annotations

from typing import Any

import pytest

from mooring_runtime.supervisor.diagnose import Death, OutOfMemory, diagnose, hint_for, summary
from mooring_runtime.supervisor.spec import RevisionSpec

REVISION = RevisionSpec("7", "/bin/python", "/w", "/app", "score.py", env={"AZUREML_MODEL_DIR": "/m"})


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (None, "not started"),
        (0, "exit status 0"),
        (3, "exit status 3"),
        (-11, "signal 11 (SIGSEGV)"),
        (-99, "signal 99"),
    ],
)
def test_summary(code: int | None, text: str) -> None:
    assert summary(code) == text


@pytest.mark.parametrize(
    ("facts", "code", "phase", "text"),
    [
        ({"returncode": 3}, "InitExited", "Init", "exit status 3"),
        ({"returncode": -11}, "InitExited", "Init", "SIGSEGV"),
        ({"returncode": -11, "ready": True}, "WorkerCrashLoop", "Run", "SIGSEGV"),
        ({"returncode": -6, "ready": True, "stuck": True}, "WorkerCrashLoop", "Run", "scoring timeout"),
        ({"returncode": -9, "ready": True, "lost": True}, "WorkerCrashLoop", "Run", "lost its connection"),
        ({"spawn_error": "no such file"}, "PythonNotStarted", "Start", "no such file"),
        ({"returncode": 127, "started": False}, "PythonNotStarted", "Start", "exit status 127"),
        ({"returncode": -6, "timed_out": True}, "InitTimeout", "Init", "300 seconds"),
        (
            {"returncode": -9, "memory": OutOfMemory(1 << 20, 1 << 21)},
            "OutOfMemory",
            "Init",
            "1 MiB and used 2 MiB",
        ),
        (
            {"returncode": 3, "report": {"step": "init", "message": "init() raised X"}},
            "InitRaised",
            "Init",
            "raised X",
        ),
        (
            {"returncode": 3, "report": {"step": "import", "message": "m"}},
            "EntryScriptImportFailed",
            "Init",
            "m",
        ),
    ],
)
def test_codes(facts: dict[str, Any], code: str, phase: str, text: str) -> None:
    failure = diagnose(Death(REVISION, **facts)).failure
    assert (failure.code, failure.phase, failure.revision) == (code, phase, "7")
    assert text in failure.message
    assert failure.hint


def test_the_stack_of_a_timeout_is_taken_from_the_log() -> None:
    log = "before\nFatal Python error: Aborted\n\nThread 0x1:\n  File score.py\n"
    failure = diagnose(Death(REVISION, returncode=-6, timed_out=True, log=log)).failure
    assert failure.evidence["stack"].startswith("Fatal Python error: Aborted")
    assert "stack" not in diagnose(Death(REVISION, returncode=-9, timed_out=True)).failure.evidence


@pytest.mark.parametrize(
    ("report", "hint"),
    [
        (
            {"type": "ModuleNotFoundError", "missing_module": "sklearn.svm", "traceback": "t"},
            "Add `scikit-learn`",
        ),
        ({"type": "ModuleNotFoundError", "missing_module": "own", "traceback": "t"}, "`own.py`"),
        ({"type": "ImportError", "missing_module": "numpy", "traceback": "t"}, "`numpy` does not fit"),
        ({"type": "FileNotFoundError", "missing_file": "m.pkl", "traceback": "t"}, "AZUREML_MODEL_DIR is /m"),
        ({"type": "UnpicklingError", "traceback": "t"}, "versions it was trained with"),
        ({"type": "ImportError", "missing_module": "azureml.core", "traceback": "t"}, "Remove the import"),
        ({"type": "ValueError", "traceback": "t"}, "Correct score.py"),
        ({}, "run(data)"),
    ],
)
def test_hints(report: dict[str, str], hint: str) -> None:
    assert hint in hint_for(report, REVISION)
