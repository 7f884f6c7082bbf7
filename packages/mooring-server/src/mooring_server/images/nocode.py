"""Deployment without code: environment and entry script for models of known frameworks."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

import mooring_runtime
from mooring_server.domain.errors import InvalidRequest
from mooring_server.images.mlmodel import MlModel, described
from mooring_server.images.types import TreeFile
from mooring_server.store.content import ContentStore

ENTRY_SCRIPT = "score.py"
PACKAGE = "mooring_nocode"
_SCRIPT = f'''"""Entry script of a model that is deployed without code."""

from {PACKAGE}.service import MAX_BATCH, Service
from mooring.scoring import batched

service = Service("{{framework}}")
mooring_contract = {{{{}}}}


def init():
    mooring_contract.update(service.load())


@batched(max_size=MAX_BATCH)
def run(bodies):
    return service.run(bodies)
'''


@dataclass(frozen=True)
class _Framework:
    """What a framework's models need.

    Attributes:
        package: the distribution ``framework_version`` is the version of.
        others: further requirements.
        suffixes: file names of models.
    """

    package: str
    others: tuple[str, ...]
    suffixes: tuple[str, ...]


_FRAMEWORKS = {
    "ScikitLearn": _Framework(
        "scikit-learn",
        ("numpy", "scipy", "joblib", "pandas"),
        (".pkl", ".pickle", ".joblib", ".sav", ".skops"),
    ),
    "Onnx": _Framework("onnxruntime", ("numpy",), (".onnx",)),
}


def nocode_request(
    model_name: str,
    version: int,
    framework: str | None,
    framework_version: str | None,
    files: Sequence[TreeFile],
    store: ContentStore,
) -> tuple[dict[str, Any], tuple[TreeFile, ...], str]:
    """The parts of a `BuildRequest` for a model that is deployed without code.

    The model's file is found by its name alone and never opened; of an MLflow model the description is read.

    Returns:
        The environment, the app's files (stored) and the entry script.

    Raises:
        InvalidRequest: codes ``FrameworkNotSupported``, ``FrameworkVersionInvalid``, ``ModelFileUnclear``,
            ``MLmodelInvalid``.
    """
    known = _FRAMEWORKS.get(framework or "")
    if known is None and described(files) is not None:
        return _mlflow_request(MlModel(files, store, f"{model_name}:{version}"), store)
    if known is None:
        raise InvalidRequest(
            "FrameworkNotSupported",
            f"Model {model_name}:{version} has the framework {framework or 'none'}; without an entry script "
            f"only models of {', '.join(sorted(_FRAMEWORKS))} and folders with MLflow's file MLmodel "
            "can be deployed.",
            hint="Register the model with one of these as model_framework, or give an inference_config.",
            target=f"{model_name}:{version}",
        )
    pin = f"{known.package}=={_version(framework_version)}" if framework_version else known.package
    file = _model_file(model_name, version, known, files)
    others = [*known.others, *(["skops"] if file.lower().endswith(".skops") else [])]
    conda = {"dependencies": [{"pip": [pin, *others]}]}
    return _environment(str(framework), conda, file), _app(str(framework), store), ENTRY_SCRIPT


def _mlflow_request(model: MlModel, store: ContentStore) -> tuple[dict[str, Any], tuple[TreeFile, ...], str]:
    plan = model.plan()
    conda, changes = model.environment(plan)
    environment = _environment("MLflow", conda, model.folder) | {"changes": changes}
    content = json.dumps(plan, sort_keys=True).encode()
    files = (*_app("MLflow", store), TreeFile("mlmodel.json", store.put_bytes(content), len(content)))
    return environment, files, ENTRY_SCRIPT


def _environment(framework: str, conda: dict[str, Any], file: str) -> dict[str, Any]:
    return {
        "name": f"Mooring-{framework}",
        "python": {"condaDependencies": conda},
        "environmentVariables": {"MOORING_MODEL_FILE": file},
    }


def _app(framework: str, store: ContentStore) -> tuple[TreeFile, ...]:
    """The entry script, and the package that it uses."""
    folder = Path(str(mooring_runtime.__file__)).parent / "nocode"
    contents = {f"{PACKAGE}/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.py"))}
    contents[ENTRY_SCRIPT] = _SCRIPT.format(framework=framework).encode()
    return tuple(TreeFile(path, store.put_bytes(data), len(data)) for path, data in contents.items())


def _version(text: str) -> str:
    try:
        return str(Version(text.strip()))
    except InvalidVersion:
        raise InvalidRequest(
            "FrameworkVersionInvalid",
            f"{text!r} is no version of a framework.",
            hint="Register the model with a version like 1.4.2 as model_framework_version.",
            target="frameworkVersion",
        ) from None


def _model_file(model_name: str, version: int, framework: _Framework, files: Sequence[TreeFile]) -> str:
    """The one file that can be the model, relative to the model's directory."""
    paths = sorted(file.path for file in files)
    if len(paths) == 1:
        return paths[0]
    fitting = [path for path in paths if path.lower().endswith(framework.suffixes)]
    if len(fitting) > 1:
        fitting = [path for path in fitting if re.search(r"(^|/)model\.[a-z]+\Z", path)] or fitting
    if len(fitting) != 1:
        raise InvalidRequest(
            "ModelFileUnclear",
            f"Model {model_name}:{version} has {len(fitting)} files that may be the model; "
            f"exactly one with {', '.join(framework.suffixes)} is expected.",
            hint="Register the model's file alone, name it model.*, or give an inference_config.",
            target=f"{model_name}:{version}",
            evidence={"tree": "\n".join(paths[:200])},
        )
    return fitting[0]
