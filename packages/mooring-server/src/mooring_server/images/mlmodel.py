"""What an MLflow model's description says: the file ``MLmodel``, read as YAML and never run.

Source: MLflow's documentation of the model format, and folders written by MLflow 2.22 and 3.17.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mooring_server.domain.errors import InvalidRequest
from mooring_server.images.types import TreeFile
from mooring_server.store.content import ContentStore

FILE = "MLmodel"
# Larger ones are no descriptions.
_LARGEST = 4 * 1024 * 1024
# Types of columns whose values have one JSON form, so that a request needs no pandas.
_SIMPLE = frozenset(("boolean", "integer", "long", "float", "double", "string"))
_NATIVE_FORMATS = frozenset(("pickle", "cloudpickle", "skops"))
_PREDICT = frozenset(("predict", "predict_proba", "predict_log_proba"))


class MlModel:
    """One model folder.

    Args:
        files: the registered model's files.
        store: where their content is.
        target: the model's id, for messages.

    Attributes:
        folder: where the file ``MLmodel`` is, relative to the model's directory; empty if it is there.

    Raises:
        InvalidRequest: code ``MLmodelInvalid``.
    """

    def __init__(self, files: Sequence[TreeFile], store: ContentStore, target: str) -> None:
        self._target = target
        self._store = store
        description = described(files)
        if description is None:
            raise self._invalid("there is no file MLmodel")
        folder = PurePosixPath(description.path).parent.as_posix()
        self.folder = "" if folder == "." else folder
        prefix = f"{self.folder}/" if self.folder else ""
        self._files = {f.path[len(prefix) :]: f for f in files if f.path.startswith(prefix)}
        self._content = self._yaml(FILE)
        flavors = self._content.get("flavors")
        if not isinstance(flavors, Mapping) or not isinstance(flavors.get("python_function"), Mapping):
            raise self._invalid("it has no flavor python_function, by which models are served")
        self._flavors: Mapping[str, Any] = flavors
        self._pyfunc: Mapping[str, Any] = flavors["python_function"]

    def plan(self) -> dict[str, Any]:
        """What the worker must know: ``mlmodel.json`` beside the entry script.

        ``flavor`` is ``sklearn`` or ``pyfunc``; ``data``, ``format``, ``trusted`` and ``predict_fn`` are for the
        former; ``code`` is a folder for ``sys.path``; ``inputs``, ``outputs`` and ``params`` are the signature's.

        Raises:
            InvalidRequest: code ``MLmodelInvalid``.
        """
        plan = {
            "flavor": "pyfunc",
            "data": None,
            "format": None,
            "trusted": [],
            "code": self._code(),
            "predict_fn": self._pyfunc.get("predict_fn") or "predict",
            **self._signature(),
        }
        sklearn = self._flavors.get("sklearn")
        if isinstance(sklearn, Mapping) and self._pyfunc.get("loader_module") == "mlflow.sklearn":
            plan |= self._sklearn(sklearn)
        return plan if self._serves_natively(plan) else plan | {"flavor": "pyfunc"}

    def _sklearn(self, sklearn: Mapping[str, Any]) -> dict[str, Any]:
        data = sklearn.get("pickled_model") or self._pyfunc.get("model_path")
        trusted = sklearn.get("skops_trusted_types") or []
        if not isinstance(data, str) or data not in self._files:
            raise self._invalid(f"its model's file {data!r} is not in the folder")
        if not isinstance(trusted, list) or not all(isinstance(name, str) for name in trusted):
            raise self._invalid("skops_trusted_types is not a list of names")
        kind = sklearn.get("serialization_format") or "pickle"
        return {"flavor": "sklearn", "data": data, "format": kind, "trusted": trusted}

    @staticmethod
    def _serves_natively(plan: Mapping[str, Any]) -> bool:
        if plan["flavor"] != "sklearn" or plan["format"] not in _NATIVE_FORMATS or plan["params"]:
            return False
        inputs = plan["inputs"]
        if plan["predict_fn"] not in _PREDICT or (plan["code"] and not inputs):
            return False
        if not inputs:
            return True
        if len(inputs) == 1 and inputs[0]["type"] == "tensor":
            return not inputs[0].get("name")
        return all(
            item["type"] in _SIMPLE and item.get("name") and item.get("required", True) for item in inputs
        )

    def environment(self, plan: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The conda dependencies for Azure's environment JSON, and sentences about what is left out.

        Raises:
            InvalidRequest: code ``MLmodelInvalid``.
        """
        pip, conda = self._requirements()
        mlflow, others = None, []
        for line in pip:
            requirement = _parsed(line)
            if requirement is not None and canonicalize_name(requirement.name) in {"mlflow", "mlflow-skinny"}:
                mlflow = requirement
            else:
                others.append(line)
        names = {canonicalize_name(r.name) for r in map(_parsed, others) if r is not None}
        changes: list[str] = []
        if plan["flavor"] == "pyfunc":
            others.insert(0, self._mlflow(mlflow, changes))
            wanted = {"numpy", "pandas"}
        else:
            if mlflow is not None:
                changes.append(f"{mlflow} is not installed: this model is served by scikit-learn alone.")
            wanted = {"joblib", "numpy"}
            wanted |= {plan["format"]} - {"pickle"}
            # A tensor's rows are never made a table; what has no signature may select columns by name.
            if not plan["inputs"] or plan["inputs"][0]["type"] != "tensor":
                wanted.add("pandas")
        others += sorted(wanted - names - {canonicalize_name(str(item)) for item in conda})
        python = self._pyfunc.get("python_version")
        if isinstance(python, str) and not any(str(item).startswith("python=") for item in conda):
            conda = [f"python={'.'.join(python.split('.')[:2])}", *conda]
        return {"dependencies": [*conda, {"pip": others}]}, changes

    def _mlflow(self, written: Requirement | None, changes: list[str]) -> str:
        """The requirement for MLflow: without its server and its user interface."""
        if written is None:
            version = self._content.get("mlflow_version")
            return f"mlflow-skinny=={version}" if isinstance(version, str) else "mlflow-skinny"
        if written.extras or canonicalize_name(written.name) == "mlflow-skinny":
            return str(written)
        changes.append(
            f"{written} is installed as mlflow-skinny{written.specifier}: the rest of MLflow is its server."
        )
        return f"mlflow-skinny{written.specifier}"

    def _requirements(self) -> tuple[list[str], list[Any]]:
        """The pip requirements and the conda packages that the model was saved with."""
        if "requirements.txt" in self._files:
            lines = (line.partition(" #")[0].strip() for line in self._text("requirements.txt").splitlines())
            return [line for line in lines if line and not line.startswith("#")], []
        if "conda.yaml" in self._files:
            pip: list[str] = []
            conda: list[Any] = []
            for item in self._yaml("conda.yaml").get("dependencies") or []:
                if isinstance(item, Mapping) and isinstance(item.get("pip"), list):
                    pip += [str(line) for line in item["pip"]]
                else:
                    conda.append(item)
            return pip, conda
        raise self._invalid("there is neither a requirements.txt nor a conda.yaml beside it")

    def _code(self) -> str | None:
        code = self._pyfunc.get("code")
        if code is None:
            return None
        if not isinstance(code, str) or not any(path.startswith(f"{code}/") for path in self._files):
            raise self._invalid(f"its code folder {code!r} is not in the folder")
        return code

    def _signature(self) -> dict[str, list[dict[str, Any]] | None]:
        written = self._content.get("signature") or {}
        if not isinstance(written, Mapping):
            raise self._invalid("its signature is no mapping")
        read: dict[str, list[dict[str, Any]] | None] = {}
        for part in ("inputs", "outputs", "params"):
            text = written.get(part)
            try:
                value = json.loads(text) if isinstance(text, str) else text
            except ValueError as error:
                raise self._invalid(f"the {part} of its signature are not JSON: {error}") from error
            entries = [value] if isinstance(value, dict) else value
            if entries is not None and not (
                isinstance(entries, list)
                and all(isinstance(e, dict) and isinstance(e.get("type"), str) for e in entries)
            ):
                raise self._invalid(f"the {part} of its signature are no list of types")
            read[part] = entries
        return read

    def _text(self, name: str) -> str:
        file = self._files[name]
        if file.size > _LARGEST:
            raise self._invalid(f"{name} has {file.size:,} bytes")
        try:
            return self._store.path(file.digest).read_bytes().decode()
        except UnicodeDecodeError as error:
            raise self._invalid(f"{name} is no text: {error}") from error

    def _yaml(self, name: str) -> Mapping[str, Any]:
        try:
            content = yaml.safe_load(self._text(name))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise self._invalid(f"{name} is not YAML: {error}") from error
        if not isinstance(content, Mapping):
            raise self._invalid(f"{name} holds no mapping")
        return content

    def _invalid(self, what: str) -> InvalidRequest:
        return InvalidRequest(
            "MLmodelInvalid",
            f"Model {self._target} cannot be served from its description MLmodel: {what}.",
            hint="Register the whole folder that mlflow.<flavor>.save_model or log_model has written.",
            target=self._target,
        )


def described(files: Sequence[TreeFile]) -> TreeFile | None:
    """The file ``MLmodel`` of a registered model: the one nearest to its top; None without one."""
    found = [file for file in files if PurePosixPath(file.path).name == FILE]
    return min(found, key=lambda file: (file.path.count("/"), file.path), default=None)


def _parsed(line: str) -> Requirement | None:
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None  # an option, or a mistake: who installs it says so
