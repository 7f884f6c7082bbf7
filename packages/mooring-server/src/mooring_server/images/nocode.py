"""Deployment without code: environment and entry script for models of known frameworks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from packaging.version import InvalidVersion, Version

from mooring_server.domain.errors import InvalidRequest
from mooring_server.images.types import TreeFile
from mooring_server.store.content import ContentStore

ENTRY_SCRIPT = "score.py"


@dataclass(frozen=True)
class _Framework:
    """What a framework's models need.

    Attributes:
        package: the distribution ``framework_version`` is the version of.
        others: further requirements.
        suffixes: file names of models.
        script: the packaged entry script.
    """

    package: str
    others: tuple[str, ...]
    suffixes: tuple[str, ...]
    script: str


_FRAMEWORKS = {
    "ScikitLearn": _Framework(
        "scikit-learn",
        ("numpy", "scipy", "joblib", "pandas"),
        (".pkl", ".pickle", ".joblib", ".sav"),
        "score_scikit_learn.py.txt",
    ),
    "Onnx": _Framework("onnxruntime", ("numpy",), (".onnx",), "score_onnx.py.txt"),
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

    The service takes ``{"data": [[...]], "method": "predict"}``. The model's file is found here, by its name
    alone, and never opened; the script is told by a variable.

    Returns:
        The environment, the app's files (stored) and the entry script.

    Raises:
        InvalidRequest: codes ``FrameworkNotSupported``, ``FrameworkVersionInvalid``, ``ModelFileUnclear``.
    """
    known = _FRAMEWORKS.get(framework or "")
    if known is None:
        raise InvalidRequest(
            "FrameworkNotSupported",
            f"Model {model_name}:{version} has the framework {framework or 'none'}; without an entry script "
            f"only models of {', '.join(sorted(_FRAMEWORKS))} can be deployed.",
            hint="Register the model with one of these as model_framework, or give an inference_config.",
            target=f"{model_name}:{version}",
        )
    pin = f"{known.package}=={_version(framework_version)}" if framework_version else known.package
    environment = {
        "name": f"Mooring-{framework}",
        "python": {"condaDependencies": {"dependencies": [{"pip": [pin, *known.others]}]}},
        "environmentVariables": {"MOORING_MODEL_FILE": _model_file(model_name, version, known, files)},
    }
    script = resources.files(__package__).joinpath(known.script).read_bytes()
    return environment, (TreeFile(ENTRY_SCRIPT, store.put_bytes(script), len(script)),), ENTRY_SCRIPT


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
