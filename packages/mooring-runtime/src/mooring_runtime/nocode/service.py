"""The entry script of a model that is deployed without code is made of these."""

import json
import os

from . import batches

MAX_BATCH = 32


def model_path():
    """The model's file or folder."""
    return os.path.join(os.environ["AZUREML_MODEL_DIR"], os.environ["MOORING_MODEL_FILE"])


def plan():
    """What the server has read from the model's description, for an MLflow model."""
    with open(
        os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "mlmodel.json")
    ) as file:
        return json.load(file)


class Service:
    """A model and its framework.

    Args:
        framework: ``ScikitLearn``, ``Onnx`` or ``MLflow``.
    """

    def __init__(self, framework):
        self._framework = framework
        self._model = None

    def load(self):
        """Loads the model.

        Returns:
            What the front must know of it: see the worker's ``contract``.
        """
        if self._framework == "ScikitLearn":
            from . import scikit_learn

            self._model = scikit_learn.ScikitLearn(scikit_learn.load(model_path()))
        elif self._framework == "Onnx":
            from . import onnx_model

            self._model = onnx_model.Onnx(model_path())
        else:
            from . import mlflow_model

            self._model = mlflow_model.load(model_path(), plan())
        return self._model.contract()

    def run(self, bodies):
        """The answers to requests; exceptions for those that failed."""
        return batches.run(self._model.read, bodies)
