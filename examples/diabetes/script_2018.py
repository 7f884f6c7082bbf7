"""Register, build an image, deploy it to ACI: the workflow of December 2018."""
import json

from azureml.core import Workspace
from azureml.core.image import ContainerImage
from azureml.core.model import Model
from azureml.core.webservice import AciWebservice, Webservice

ws = Workspace.from_config()

model = Model.register(model_path = "model.pkl",
                       model_name = "Mymodel",
                       tags = {"key": "0.1"},
                       description = "test",
                       workspace = ws)

# Image configuration
image_config = ContainerImage.image_configuration(execution_script = "score.py",
                                                 runtime = "python",
                                                 conda_file = "myenv.yml",
                                                 description = "Image with ridge regression model",
                                                 tags = {"data": "diabetes", "type": "regression"}
                                                 )

# Create the image from the image configuration
image = ContainerImage.create(name = "myimage",
                              models = [model], #this is the model object
                              image_config = image_config,
                              workspace = ws
                              )
image.wait_for_creation(show_output = True)

aciconfig = AciWebservice.deploy_configuration(cpu_cores = 1,
                                               memory_gb = 1,
                                               tags = {"data": "diabetes", "type": "regression"},
                                               description = "Predict diabetes progression")

service = Webservice.deploy_from_image(deployment_config = aciconfig,
                                       image = image,
                                       name = "aci-diabetes-2018",
                                       workspace = ws)
service.wait_for_deployment(show_output = True)
print(service.state)

test_sample = json.dumps({'data': [
    [1,2,3,4,5,6,7,8,9,10],
    [10,9,8,7,6,5,4,3,2,1]
]})
test_sample = bytes(test_sample, encoding = 'utf8')

prediction = service.run(input_data = test_sample)
print(prediction)

service.delete()
image.delete()
model.delete()
