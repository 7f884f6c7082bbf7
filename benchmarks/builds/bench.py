"""A server of the benchmark's own, and what is built by it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.builds.table import silently, timed

SCORE = """
import json, os
import joblib

def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.pkl"))

def run(body):
    return [{revision}] + model.predict(json.loads(body)["data"]).tolist()
"""


@contextlib.contextmanager
def server(home: Path, registry: str | None = None) -> Iterator[Any]:
    """A server of its own with a workspace; gone afterwards, with its services.

    Args:
        home: its `MOORING_HOME`.
        registry: the address of a registry elsewhere that images are pushed to.
    """
    from mooring.cli import processes
    from mooring.sdk import local_server
    from mooring.sdk.workspace import Workspace

    os.environ["MOORING_HOME"] = str(home)
    try:
        yield silently(
            lambda: Workspace.create(
                "bench",
                subscription_id="bench",
                resource_group="bench",
                container_registry=registry,
                exist_ok=True,
            )
        )
    finally:
        running = processes.services(home)
        local_server.stop()
        for service in running:
            processes.stop(service)


class Bench:
    """The measurements that share a workspace.

    Attributes:
        changes: the number in the script and the model; answers of the service begin with that of the script.
        script: the number in score.py.
    """

    def __init__(self, workspace: Any, folder: Path) -> None:
        self.workspace = workspace
        self.folder = folder
        self.changes = 0
        self.script = 0

    def change_script(self) -> None:
        """Write score.py anew."""
        self.changes += 1
        self.script = self.changes
        (self.folder / "score.py").write_text(SCORE.replace("{revision}", str(self.changes)))

    def change_model(self) -> Any:
        """Train with another alpha and register the result."""
        import joblib
        from sklearn.datasets import load_diabetes
        from sklearn.linear_model import Ridge

        from mooring.sdk.model import Model

        self.changes += 1
        joblib.dump(Ridge(alpha=self.changes).fit(*load_diabetes(return_X_y=True)), self.folder / "model.pkl")
        return silently(lambda: Model.register(self.workspace, str(self.folder / "model.pkl"), "bench"))

    def image(self, model: Any) -> float:
        """Build an image; seconds."""
        from mooring.sdk.image import ContainerImage, Image

        config = ContainerImage.image_configuration("score.py", "python", conda_file="env.yml")

        def build() -> None:
            image = Image.create(self.workspace, "bench", [model], config)
            image.wait_for_creation()

        return timed(lambda: silently(build))

    def inference_config(self) -> Any:
        """score.py and its environment."""
        from mooring.sdk.environment import Environment
        from mooring.sdk.model import InferenceConfig

        return InferenceConfig(
            "score.py", environment=Environment.from_conda_specification("bench", "env.yml")
        )

    def deploy(self, name: str, model: Any) -> Any:
        """A new service that is ready."""
        from mooring.sdk.aci import AciWebservice
        from mooring.sdk.model import Model

        config = AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=1)
        service = Model.deploy(self.workspace, name, [model], self.inference_config(), config, overwrite=True)
        service.wait_for_deployment()
        return service


def pins() -> list[str]:
    """The packages that the pickle needs, as this environment has them."""
    import joblib
    import numpy as np
    import sklearn

    return [
        f"scikit-learn=={sklearn.__version__}",
        f"numpy=={np.__version__}",
        f"joblib=={joblib.__version__}",
    ]


def write_environment(folder: Path) -> None:
    """`env.yml` with the pins."""
    version = "{}.{}".format(*sys.version_info[:2])
    lines = "".join(f"    - {pin}\n" for pin in pins())
    (folder / "env.yml").write_text(f"name: bench\ndependencies:\n- python={version}\n- pip\n- pip:\n{lines}")
