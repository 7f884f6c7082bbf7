"""The entry script for requests that are scored together."""

import json
import os

import joblib
import numpy as np
from mooring.scoring import batched


def init():
    """Load the model."""
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.joblib"))


@batched(max_size=32)
def run(bodies):
    """A list of JSON texts to a list of lists of numbers."""
    parts = [json.loads(body)["data"] for body in bodies]
    values = model.predict(np.asarray([row for part in parts for row in part], dtype=np.float64)).tolist()
    results = []
    for part in parts:
        results.append(values[: len(part)])
        del values[: len(part)]
    return results
