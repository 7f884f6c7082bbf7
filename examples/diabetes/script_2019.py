"""Register, describe an environment, deploy with Model.deploy: the workflow since 2019."""
import json

from azureml.core import Environment, Workspace
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.model import InferenceConfig, Model
from azureml.core.webservice import AciWebservice, Webservice

ws = Workspace.from_config()

model = Model.register(ws,
                       model_path="model.pkl",
                       model_name="diabetes",
                       model_framework=Model.Framework.SCIKITLEARN,
                       tags={"area": "diabetes"})

env = Environment("diabetes-env")
env.python.conda_dependencies = CondaDependencies.create(
    conda_packages=["scikit-learn", "joblib"],
    pip_packages=["azureml-defaults"])

inference_config = InferenceConfig(entry_script="score.py",
                                   source_directory="source",
                                   environment=env)

deployment_config = AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=1, auth_enabled=True)

service = Model.deploy(ws, "diabetes-2019", [model], inference_config, deployment_config, overwrite=True)
service.wait_for_deployment(show_output=True)
print(service.state, service.scoring_uri)

sample = json.dumps({"data": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]})
print(service.run(sample))

primary, secondary = service.get_keys()
service.regen_key("Primary")
assert service.get_keys()[0] != primary
print(service.run(sample))

service.update(tags={"stage": "test"}, models=[model], inference_config=inference_config)
service.wait_for_deployment(show_output=True)

same = Webservice(ws, "diabetes-2019")
print(same.compute_type, same.tags, [m.id for m in same.models])
print(same.get_logs(num_lines=20))

same.delete()
