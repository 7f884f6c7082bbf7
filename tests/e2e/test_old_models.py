"""Models that old versions of scikit-learn have pickled run as they are: pickled and served by the real old wheels."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from uv import find_uv_bin

from azureml.core import Environment, Workspace
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.model import InferenceConfig, Model
from azureml.core.webservice import AciWebservice
from azureml.exceptions import WebserviceException
from mooring_server.images.pythons import Python, Pythons

TRAIN = """
import pickle
import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
try:
    import joblib
except ImportError:
    from sklearn.externals import joblib

x = np.arange(40.0).reshape(20, 2)
ridge = make_pipeline(StandardScaler(), Ridge(alpha=1e-9)).fit(x, x[:, 0])
forest = RandomForestRegressor(n_estimators=5, random_state=0).fit(x, x[:, 0])
with open("ridge.pkl", "wb") as file:
    pickle.dump(ridge, file)
joblib.dump(forest, "forest.joblib")
"""

SCORE = """
import json
import os
import pickle
import sys

import numpy as np
import sklearn
from azureml.core.model import Model


def init():
    global models
    try:
        import joblib
    except ImportError:
        from sklearn.externals import joblib
    with open(Model.get_model_path("ridge"), "rb") as file:
        models = [pickle.load(file), joblib.load(Model.get_model_path("forest"))]


def run(raw_data):
    data = np.array(json.loads(raw_data)["data"])
    found = [float(model.predict(data)[0]) for model in models]
    return {"found": found, "sklearn": sklearn.__version__, "python": list(sys.version_info[:2])}
"""


def interpreter(minor: tuple[int, int]) -> Python:
    python = Pythons().find(minor)
    if python is None:
        pytest.skip(f"this machine has no Python {minor[0]}.{minor[1]}")
    return python


def trained(folder: Path, python: Python, version: str) -> None:
    """``ridge.pkl`` and ``forest.joblib`` of that version, made by an interpreter of that time."""
    uv, there = find_uv_bin(), str(folder / "venv/bin/python")
    packages = [f"scikit-learn=={version}", "numpy<1.20", "scipy<1.6"]
    for command in (
        [uv, "venv", "--quiet", "--python", str(python.path), str(folder / "venv")],
        [uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", there, *packages],
        [there, "-c", TRAIN],
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.full
@pytest.mark.parametrize(
    ("version", "minor"),
    [
        ("0.19.2", (3, 6)),
        ("0.20.3", (3, 7)),
        ("0.21.3", (3, 7)),
        ("0.22.2.post1", (3, 8)),
        ("0.23.2", (3, 8)),
        ("0.24.2", (3, 6)),
        ("0.24.2", (3, 9)),
    ],
)
def test_an_old_model_runs(
    sdk_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, minor: tuple[int, int]
) -> None:
    """A script of that time, without a pin and without a Python: both come from the pickle."""
    trained(tmp_path, interpreter(minor), version)
    monkeypatch.chdir(tmp_path)
    ws = Workspace("sub", "rg", "old")
    models = [Model.register(ws, path, path.split(".")[0]) for path in ("ridge.pkl", "forest.joblib")]
    for model in models:
        assert model.pickles[0]["versions"] == {"scikit-learn": [version]}
        assert model.pickles[0]["incomplete"] is None
        assert model.pickles[0]["dangerousImports"] == []
    (tmp_path / "score.py").write_text(SCORE)
    environment = Environment("old")
    environment.python.conda_dependencies = CondaDependencies.create(
        conda_packages=["scikit-learn"], pip_packages=["azureml-defaults"]
    )
    name = f"old-{version.replace('.', '-')}-{minor[1]}"
    service = Model.deploy(
        ws,
        name,
        models,
        InferenceConfig("score.py", environment=environment),
        AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=1),
    )
    try:
        service.wait_for_deployment()
        answer = service.run(json.dumps({"data": [[10.0, 11.0]]}))
        assert answer["sklearn"] == version
        assert answer["found"] == pytest.approx([10.0, 10.0], abs=2)
    finally:
        service.delete()


@pytest.mark.full
def test_a_pin_that_does_not_fit_the_pickle_is_an_error_with_the_right_one(
    sdk_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path, interpreter((3, 7)), "0.20.3")
    monkeypatch.chdir(tmp_path)
    ws = Workspace("sub", "rg", "old")
    model = Model.register(ws, "ridge.pkl", "mismatch")
    (tmp_path / "score.py").write_text(SCORE)
    environment = Environment("new")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["scikit-learn==0.24.2"])
    config = InferenceConfig("score.py", environment=environment)
    service = Model.deploy(ws, "mismatch", [model], config, AciWebservice.deploy_configuration())
    try:
        with pytest.raises(WebserviceException) as caught:
            service.wait_for_deployment()
        assert caught.value.code == "PickleVersionMismatch"
        assert "ridge.pkl of model mismatch:1 was written with scikit-learn 0.20.3" in str(caught.value)
        assert "scikit-learn==0.20.3" in caught.value.hint
    finally:
        service.delete()
