"""The public API as users write it: checked by mypy in `make lint`, never run.

`assert_type` pins what an editor shows for the names people touch most.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

from azureml.core import Environment, Model, Webservice, Workspace
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.image import ContainerImage, Image
from azureml.core.model import InferenceConfig
from azureml.core.webservice import AciWebservice, LocalWebservice
from azureml.exceptions import WebserviceException


def script_of_2019() -> None:
    ws = Workspace.from_config()
    assert_type(ws, Workspace)
    assert_type(ws.models, dict[str, Model])
    assert_type(ws.webservices, dict[str, Webservice])
    model = Model.register(
        ws, "model.pkl", "mymodel", tags={"a": "b"}, model_framework=Model.Framework.SCIKITLEARN
    )
    assert_type(model, Model)
    assert_type(model.version, int)
    env = Environment("myenv")
    env.python.conda_dependencies = CondaDependencies.create(conda_packages=["scikit-learn"])
    config = InferenceConfig(entry_script="score.py", source_directory="src", environment=env)
    service = Model.deploy(ws, "svc", [model], config, AciWebservice.deploy_configuration(cpu_cores=1))
    assert_type(service, Webservice)
    try:
        service.wait_for_deployment(show_output=True)
    except WebserviceException as error:
        assert_type(error.evidence, dict[str, str])
    answer: Any = service.run(b"{}")
    print(answer, service.get_logs(), service.scoring_uri)  # noqa: T201 - as users write it


def script_of_2018(ws: Workspace, model: Model) -> None:
    config = ContainerImage.image_configuration("score.py", "python", conda_file="myenv.yml")
    image = ContainerImage.create(name="myimage", models=[model], image_config=config, workspace=ws)
    assert_type(image, Image)
    image.wait_for_creation(show_output=True)
    service = Webservice.deploy_from_image(ws, "svc", image)
    service.update(image=image)
    service.delete()


def local(ws: Workspace, name: str) -> None:
    service = LocalWebservice(ws, name)
    assert_type(service.port, "int | None")
    service.reload(wait=True)
