"""The entry script: Azure's server, Mooring and granian run it as it is, the others call its functions."""

import json
import os

import joblib
import numpy as np


def init():
    """Load the model."""
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.joblib"))


def predict(rows):
    """Rows of numbers to a list of numbers."""
    return model.predict(np.asarray(rows, dtype=np.float64)).tolist()


def run(body):
    """A JSON text to a list of numbers."""
    return predict(json.loads(body)["data"])
