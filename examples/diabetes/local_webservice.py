"""Try a model and its entry script on this machine."""
import json

from azureml.core import Environment, Workspace
from azureml.core.model import InferenceConfig, Model
from azureml.core.webservice import LocalWebservice

ws = Workspace.from_config()

model = Model.register(ws, model_path="model.pkl", model_name="diabetes")

env = Environment.from_conda_specification("diabetes-local-env", "myenv.yml")
inference_config = InferenceConfig(entry_script="score.py", source_directory="source", environment=env)

service = Model.deploy(ws, "diabetes-local", [model], inference_config,
                       LocalWebservice.deploy_configuration())
service.wait_for_deployment(show_output=True)

sample = json.dumps({"data": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]})
print(service.run(input_data=sample))

# After a change of source/score.py:
service.reload()
service.wait_for_deployment()
print(service.run(input_data=sample))

service.delete()
