from __future__ import annotations

from pathlib import Path

from mooring_runtime.testing import Service, until

GOOD = "def init(): pass\ndef run(data): return 'good'"
RUN = "\ndef run(data): return data"


def test_a_bad_revision_never_takes_over(service: Service) -> None:
    service.apply(GOOD)
    service.ready()
    service.apply("def init():\n    raise ValueError('broken model')" + RUN)
    failure = service.failed()
    assert failure["code"] == "InitRaised"
    assert failure["phase"] == "Init"
    assert failure["revision"] == "r2"
    assert "ValueError: broken model" in failure["message"]
    traceback = failure["evidence"]["traceback"]
    assert 'score.py", line 2, in init' in traceback
    assert "mooring_runtime" not in traceback
    state = service.client.status()
    assert (state["active_revision"], state["target_revision"]) == ("r1", "r2")
    assert service.post(b"1").json() == "good"
    assert service.get("/readyz").status == 200


def test_a_failed_first_revision_is_reported_and_stopped(service: Service) -> None:
    service.apply("def init(): raise RuntimeError('no')" + RUN)
    failure = service.failed()
    assert failure["code"] == "InitRaised"
    state = service.client.wait(lambda seen: not seen["workers"], 120)
    assert state["phase"] == "Failed"
    assert state["active_revision"] is None
    service.client.wait(lambda seen: seen["front"]["state"] == "Ready", 120)
    assert service.get("/").status == 200
    assert service.get("/readyz").status == 503
    answer = service.post(b"1")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert "no revision" in answer.json()["message"]
    service.apply(GOOD)
    service.ready()
    assert service.post(b"1").json() == "good"


def test_the_same_failed_spec_with_a_new_generation_tries_again(service: Service, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    service.apply(f"def init(): open({str(flag)!r}).close()" + RUN)
    failure = service.failed()
    assert str(flag) in failure["hint"]
    flag.touch()
    service.apply_spec({})
    service.ready()


def test_missing_module(service: Service) -> None:
    service.apply("import sklearn_nope.linear\ndef init(): pass" + RUN)
    failure = service.failed()
    assert failure["code"] == "EntryScriptImportFailed"
    assert "Add `sklearn_nope`" in failure["hint"]
    assert "line 1" in failure["evidence"]["traceback"]


def test_missing_function(service: Service) -> None:
    service.apply("def init(): pass")
    assert "run()" in service.failed()["message"]


def test_missing_model_file_shows_the_tree(service: Service, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "other.pkl").write_bytes(b"12345")
    score = """
import os
def init(): open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "m.pkl"))
"""
    service.apply(score + RUN, env={"AZUREML_MODEL_DIR": str(models)})
    failure = service.failed()
    assert "m.pkl does not exist" in failure["hint"]
    assert "other.pkl  5 bytes" in failure["evidence"]["tree"]


def test_init_exits(service: Service) -> None:
    score = "import os, sys\ndef init():\n    print('last words')\n    sys.stdout.flush()\n    os._exit(7)"
    service.apply(score + RUN)
    failure = service.failed()
    assert failure["code"] == "InitExited"
    assert "exit status 7" in failure["message"]
    assert "last words" in failure["evidence"]["log"]


def test_init_crashes_in_native_code(service: Service) -> None:
    service.apply("import ctypes\ndef init(): ctypes.string_at(0)" + RUN)
    failure = service.failed()
    assert failure["code"] == "InitExited"
    assert "SIGSEGV" in failure["message"]
    assert "Segmentation fault" in failure["evidence"]["log"]


def test_init_hangs(service: Service) -> None:
    score = "import time\ndef init():\n    wait_for_ever()\ndef wait_for_ever():\n    time.sleep(600)"
    service.apply(score + RUN, init_deadline_seconds=1)
    failure = service.failed()
    assert failure["code"] == "InitTimeout"
    assert "1 seconds" in failure["message"]
    assert "wait_for_ever" in failure["evidence"]["stack"]


def test_no_interpreter(service: Service) -> None:
    service.apply(GOOD, python="/nonexistent/python")
    failure = service.failed()
    assert failure["code"] == "PythonNotStarted"
    assert failure["phase"] == "Start"
    assert "/nonexistent/python" in failure["message"]


def test_broken_interpreter(service: Service, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho broken library >&2\nexit 127\n")
    python.chmod(0o755)
    service.apply(GOOD, python=str(python))
    failure = service.failed()
    assert failure["code"] == "PythonNotStarted"
    assert "broken library" in failure["evidence"]["log"]


def test_crash_loop(service: Service, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    score = f"""
import os, threading
def init():
    if os.path.exists({str(flag)!r}):
        print("going down")
        os._exit(9)
def run(data):
    os._exit(9)
"""
    service.apply(score)
    service.ready()
    flag.touch()
    assert service.post(b"1").status == 502
    failure = service.failed()
    assert failure["code"] == "WorkerCrashLoop"
    assert "exit status 9" in failure["message"]
    assert "going down" in failure["evidence"]["log"]
    flag.unlink()
    until(
        lambda: service.client.status()["workers"][0]["state"] == "Ready",
        "it recovers by itself",
    )
