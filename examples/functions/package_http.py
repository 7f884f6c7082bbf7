"""The same model behind POST /api/score, with a key."""
from azureml.contrib.functions import package_http
from azureml.core import Workspace
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.environment import Environment
from azureml.core.model import InferenceConfig, Model

ws = Workspace.from_config()
model = Model.register(ws, model_path="model.pkl", model_name="diabetes")

myenv = Environment(name="myenv")
myenv.python.conda_dependencies = CondaDependencies.create(conda_packages=["scikit-learn"],
                                                           pip_packages=["azureml-defaults"])
inference_config = InferenceConfig(entry_script="score.py", environment=myenv)

http = package_http(ws, [model], inference_config, auth_level="function")
http.wait_for_creation(show_output=True)
print(http.location)
