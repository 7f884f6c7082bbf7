"""Deploy a scikit-learn model without an entry script."""
import json

import sklearn
from azureml.core import Workspace
from azureml.core.model import Model
from azureml.core.resource_configuration import ResourceConfiguration

ws = Workspace.from_config()

model = Model.register(workspace=ws,
                       model_name="diabetes-nocode",
                       model_path="model.pkl",
                       model_framework=Model.Framework.SCIKITLEARN,
                       model_framework_version=sklearn.__version__,
                       resource_configuration=ResourceConfiguration(cpu=1, memory_in_gb=1),
                       description="Ridge regression model to predict diabetes progression.",
                       tags={"area": "diabetes", "type": "regression"})

service = Model.deploy(ws, "diabetes-nocode", [model])
service.wait_for_deployment(show_output=True)

print(service.run(json.dumps({"data": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]], "method": "predict"})))

service.delete()
