"""What the SDK's end-to-end tests share: a workspace, an app that needs no packages, and quick images of it."""

from __future__ import annotations

from pathlib import Path

from azureml.core import Environment, Workspace
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.model import InferenceConfig, Model

SCORE = """
import json
import os

from helper import FACTOR


def init():
    global weight
    path = os.environ["AZUREML_MODEL_DIR"]
    name = os.listdir(path)[0]
    weight = float(open(os.path.join(path, name)).read())
    print("loaded weight", weight)


def run(data):
    numbers = json.loads(data)["data"]
    return [FACTOR * weight * n for n in numbers]
"""


def write_app(directory: Path, weight: float = 2, factor: float = 1, score: str = SCORE) -> None:
    """``model.txt`` and ``app/{score,helper}.py`` below a directory."""
    (directory / "app").mkdir(exist_ok=True)
    (directory / "app" / "score.py").write_text(score)
    (directory / "app" / "helper.py").write_text(f"FACTOR = {factor}\n")
    (directory / "model.txt").write_text(str(weight))


def bare_environment(name: str = "bare") -> Environment:
    """An environment without packages: its image is built in a moment."""
    environment = Environment(name)
    environment.python.conda_dependencies = CondaDependencies(_underlying_structure={"dependencies": []})
    return environment


def inference_config(directory: Path) -> InferenceConfig:
    """The app's."""
    return InferenceConfig(
        "score.py", source_directory=str(directory / "app"), environment=bare_environment()
    )


def register(workspace: Workspace, directory: Path, name: str = "weights") -> Model:
    """The model's next version."""
    return Model.register(workspace, str(directory / "model.txt"), name)
