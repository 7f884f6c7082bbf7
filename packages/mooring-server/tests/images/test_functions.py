"""Function apps in images: the options, and a site that the public azure-functions package can load."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mooring_runtime
from mooring_runtime.functions.definition import read_app
from mooring_server.domain.errors import InvalidRequest
from mooring_server.images import functions

SCORE = """
def init():
    global factor
    factor = 2


def run(data):
    return {"result": factor * int(data)}
"""
# Runs a function as Azure's Python worker does: by the decorators' types of the public package.
CALL = """
import importlib.util, json, sys
import azure.functions as func
from azure.functions import meta
import azure.functions.blob, azure.functions.http, azure.functions.servicebus

root, kind = sys.argv[1], sys.argv[2]
folder = root + "/home/site/wwwroot/score"
binding = json.load(open(folder + "/function.json"))["bindings"]
for entry in binding:
    assert meta.get_binding_registry().get(entry["type"]) is not None, entry
spec = importlib.util.spec_from_file_location("score_function", folder + "/__init__.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)


class Context:
    invocation_id = "1"


class Out(func.Out):
    def set(self, value):
        self.value = value

    def get(self):
        return self.value


if kind == "Http":
    answer = module.main(func.HttpRequest("POST", "/api/score", headers={}, body=b"21"), Context())
    print(answer.status_code, answer.get_body().decode())
else:
    given = meta.Datum(b"21", "bytes")
    converter = meta.get_binding_registry().get(binding[0]["type"])
    metadata = {
        "Uri": meta.Datum("u", "string"),
        "BlobTrigger": meta.Datum("b", "string"),
        "UserProperties": meta.Datum("{}", "json"),
    }
    output = Out()
    module.main(converter.decode(given, trigger_metadata=metadata), output, Context())
    print(output.value.decode())
"""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"trigger": "Http"}, {"trigger": "Http", "authLevel": "function"}),
        ({"trigger": "Http", "authLevel": "Anonymous"}, {"trigger": "Http", "authLevel": "anonymous"}),
        (
            {"trigger": "Blob", "inPath": None},
            {
                "trigger": "Blob",
                "inPath": "input/{blobname}.json",
                "outPath": "output/{blobname}_out.json",
            },
        ),
        (
            {"trigger": "ServiceBusQueue", "inQueueName": "a", "outQueueName": "b"},
            {"trigger": "ServiceBusQueue", "inQueueName": "a", "outQueueName": "b"},
        ),
    ],
)
def test_options_get_their_defaults(options: dict[str, Any], expected: dict[str, str]) -> None:
    flavor = {"flavor": "functionsApp"}
    assert functions.check_options({**flavor, **options}) == {**flavor, **expected}
    assert functions.check_options({}) is None
    assert functions.check_options({"flavor": None, "trigger": None}) is None


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"trigger": "Timer"}, "FunctionOptionInvalid"),
        ({"trigger": "Http", "inPath": "x"}, "FunctionOptionInvalid"),
        ({"trigger": "Http", "authLevel": "nobody"}, "FunctionOptionInvalid"),
        ({"trigger": "Blob", "outPath": "input/{blobname}.json"}, "BindingPathInvalid"),
    ],
)
def test_options_that_cannot_be_right_are_refused(options: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        functions.check_options({"flavor": "functionsApp", **options})
    assert caught.value.code == code


@pytest.mark.parametrize("trigger", ["Http", "Blob", "ServiceBusQueue"])
def test_the_site_is_what_azure_functions_loads(trigger: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("azure.functions") is None:
        pytest.skip("azure-functions is not installed (requirements/dev.txt has it)")
    options = functions.check_options({"flavor": "functionsApp", "trigger": trigger})
    assert options is not None
    site = tmp_path / functions.ROOT.lstrip("/")
    for name, content in functions.site_files(options).items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(content)
    app = tmp_path / "var/azureml-app"
    app.mkdir(parents=True)
    (app / "score.py").write_text(SCORE)
    shutil.copytree(
        Path(str(mooring_runtime.__file__)).parent / "worker", tmp_path / "opt/mooring/runtime/worker"
    )
    ran = subprocess.run(
        [sys.executable, "-c", CALL, str(tmp_path), trigger],
        env={"AZUREML_ENTRY_SCRIPT": "score.py"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.removeprefix("200 ")) == {"result": 42}
    # Mooring's own host reads the same files.
    _, (function,) = read_app(site)
    described = functions.functions_of(options)[0]
    assert function.name == described["name"]
    assert function.trigger == described["bindings"][0]
