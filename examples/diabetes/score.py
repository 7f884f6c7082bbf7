import json

import joblib
import numpy as np
from azureml.core.model import Model


def init():
    global model
    # note: here "Mymodel" is the name of the model registered under the workspace
    model_path = Model.get_model_path("Mymodel")
    model = joblib.load(model_path)


def run(raw_data):
    try:
        data = json.loads(raw_data)["data"]
        result = model.predict(np.array(data))
        return json.dumps({"result": result.tolist()})
    except Exception as e:
        return json.dumps({"error": str(e)})
