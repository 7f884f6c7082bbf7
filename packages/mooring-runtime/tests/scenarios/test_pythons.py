"""Workers under other Pythons than the supervisor's."""

from __future__ import annotations

import json
import sys

import pytest

from mooring_runtime.supervisor import landlock
from mooring_runtime.supervisor.sandbox_choice import choose
from mooring_runtime.supervisor.spec import SandboxSpec
from mooring_runtime.testing import Service, interpreter

SCORE = """
import sys
from azureml.contrib.services.aml_request import rawhttp
from azureml.contrib.services.aml_response import AMLResponse
from azureml.core.model import Model

def init():
    print("caf\\u00e9 in the log")

@rawhttp
def run(request):
    if request.method == "GET":
        raise ValueError("asked for it")
    answer = {"version": list(sys.version_info[:2]), "echo": request.get_json()}
    return AMLResponse(answer, 200, json_str=True)
"""
TEXT = """
import sys
def init(): pass
def run(data):
    print("printed", data)
    return [data, list(sys.version_info[:2])]
"""


NEAREST = (6, 8)
MINORS = [
    pytest.param(minor, marks=[] if minor in NEAREST else [pytest.mark.full])
    for minor in range(6, 15)
    if minor != sys.version_info.minor
]


@pytest.mark.parametrize("minor", MINORS)
def test_worker_under(minor: int, service: Service) -> None:
    python = interpreter(minor)
    if python is None:
        pytest.skip(f"no Python 3.{minor} on this machine")
    service.apply(SCORE, python=python, workers=2, env={"LC_ALL": "C"})
    service.ready()
    answer = service.post(b'{"a": [1]}', content_type="application/json")
    assert answer.json() == {"version": [3, minor], "echo": {"a": [1]}}
    assert service.get("/score").status == 500
    assert "café in the log" in service.logged("ValueError: asked for it")
    service.apply(TEXT, python=python, sandbox={}, env={"MOORING_LOG_FORMAT": "json"})
    assert service.ready()["isolation"] == choose(SandboxSpec()).mode
    assert service.post(b"sandboxed").json() == ["sandboxed", [3, minor]]
    log = service.logged("printed sandboxed")
    assert json.loads(log.splitlines()[-1])["request_id"] is not None
    service.apply(TEXT, python=python, sandbox={"mode": "landlock" if landlock.version() else "none"})
    service.ready()
    assert service.post("žluť".encode()).json() == ["žluť", [3, minor]]
    service.apply("def init():\n    raise KeyError('k')\ndef run(data): pass", python=python)
    failure = service.failed()
    assert failure["code"] == "InitRaised"
    assert "KeyError" in failure["evidence"]["traceback"]
