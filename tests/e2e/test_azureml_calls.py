"""Azure's API call by call, imported as users import it, against a real server.

The `azureml` marks are what docs/compatibility.md is made of.
"""

from __future__ import annotations

import gc
import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import RunningServer

from azureml.core import Environment, Image, Model, Webservice, Workspace
from azureml.core.authentication import (
    AzureCliAuthentication,
    InteractiveLoginAuthentication,
    MsiAuthentication,
    ServicePrincipalAuthentication,
    TokenAuthentication,
)
from azureml.core.compute import ComputeTarget
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.container_registry import ContainerRegistry
from azureml.core.environment import DockerSection, PythonSection
from azureml.core.image import ContainerImage
from azureml.core.model import InferenceConfig
from azureml.core.resource_configuration import ResourceConfiguration
from azureml.core.webservice import AciWebservice, LocalWebservice
from azureml.exceptions import (
    ActivityFailedException,
    AuthenticationException,
    ComputeTargetException,
    DiscoveryUrlNotFoundException,
    ModelNotFoundException,
    ModelPathNotFoundException,
    ProjectSystemException,
    RunEnvironmentException,
    UserErrorException,
    WebserviceException,
    WorkspaceException,
)

SCORE = """
import json, os
from azureml.core.model import Model
def init():
    global factor
    with open(Model.get_model_path("factor")) as file:
        factor = float(file.read())
    print("factor", factor, flush=True)
def run(body):
    return [factor * number for number in json.loads(body)["data"]]
"""
DATA = json.dumps({"data": [1, 2]})
PYTHON = "{}.{}".format(*sys.version_info[:2])
# Scripts leave it to the end of the process to close their connections.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def ws(
    server: RunningServer, sdk_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    base = "/mooring/v1/subscriptions/sub/resourceGroups/rg/workspaces/calls"
    assert server.client.put(base, json={"existOk": True}).status_code in {200, 201}
    monkeypatch.chdir(tmp_path)
    Path("config.json").write_text(
        json.dumps({"subscription_id": "sub", "resource_group": "rg", "workspace_name": "calls"})
    )
    Path("score.py").write_text(SCORE)
    Path("factor.txt").write_text("2")
    Path("myenv.yml").write_text(f"dependencies:\n- python={PYTHON}\n")
    yield Workspace.from_config()
    gc.collect()


@pytest.fixture
def model(ws: Workspace) -> Model:
    return Model.register(ws, "factor.txt", "factor")


@pytest.fixture
def inference_config(ws: Workspace) -> InferenceConfig:
    return InferenceConfig("score.py", environment=Environment.from_conda_specification("bare", "myenv.yml"))


@pytest.mark.azureml(
    "Workspace", "Workspace.from_config", "Workspace.get", "Workspace.create", "Workspace.list",
    "Workspace.write_config", "Workspace.get_details", "Workspace.name", "Workspace.subscription_id",
    "Workspace.resource_group", "Workspace.location", "Workspace.sku", "Workspace.tags", "Workspace.update",
    "Workspace.list_keys", "Workspace.delete", "Workspace.compute_targets", "WorkspaceException",
)  # fmt: skip
def test_workspace(ws: Workspace) -> None:
    assert (ws.name, ws.subscription_id, ws.resource_group) == ("calls", "sub", "rg")
    assert Workspace("sub", "rg", "calls").name == "calls"
    assert Workspace.get("calls", subscription_id="sub", resource_group="rg").name == "calls"
    details = ws.get_details()
    assert details["containerRegistry"].rsplit("/", 1)[-1]
    assert isinstance(ws.location, str)
    assert isinstance(ws.sku, str)
    keys = ws.list_keys()["containerRegistryCredentials"]
    assert keys["username"] == details["containerRegistry"].rsplit("/", 1)[-1]
    assert ws.compute_targets == {}
    made = Workspace.create(
        "made", subscription_id="sub", resource_group="rg", tags={"a": "b"}, exist_ok=True
    )
    assert made.tags == {"a": "b"}
    with pytest.raises(WorkspaceException, match="exists"):
        Workspace.create("made", subscription_id="sub", resource_group="rg")
    made.update(friendly_name="Made", tags={"a": "c"})
    assert Workspace.get("made", subscription_id="sub", resource_group="rg").tags == {"a": "c"}
    made.write_config(path="elsewhere")
    assert Workspace.from_config(path="elsewhere").name == "made"
    assert {"calls", "made"} <= set(Workspace.list("sub"))
    made.delete()
    assert "made" not in Workspace.list("sub")


@pytest.mark.azureml(
    "Model", "Model.register", "Model.list", "Model.download", "Model.delete", "Model.update", "Model.add_tags",
    "Model.remove_tags", "Model.add_properties", "Model.update_tags_properties", "Model.serialize",
    "Model.deserialize", "Model.id", "Model.version", "Model.tags", "Model.properties", "Model.Framework",
    "Workspace.models", "ResourceConfiguration", "ModelNotFoundException", "ModelPathNotFoundException",
)  # fmt: skip
def test_models(ws: Workspace) -> None:
    first = Model.register(
        workspace=ws, model_path="factor.txt", model_name="Mymodel", tags={"key": "0.1"}, description="test",
        properties={"origin": "here"}, model_framework=Model.Framework.CUSTOM,
        resource_configuration=ResourceConfiguration(cpu=1, memory_in_gb=0.5),
    )  # fmt: skip
    Path("folder").mkdir()
    Path("folder/a.txt").write_text("a")
    second = Model.register(ws, "folder", "Mymodel")
    assert second.version == first.version + 1
    assert first.id == f"Mymodel:{first.version}"
    assert (first.tags, first.properties) == ({"key": "0.1"}, {"origin": "here"})
    assert Model(ws, "Mymodel").version == second.version
    assert Model(ws, id=first.id).description == "test"
    assert Model(ws, "Mymodel", version=first.version).id == first.id
    assert Model(ws, "Mymodel", tags=[["key", "0.1"]]).id == first.id
    assert ws.models["Mymodel"].id == second.id
    first.add_tags({"stage": "test"})
    first.remove_tags(["key"])
    first.add_properties({"more": "yes"})
    first.update_tags_properties(add_tags={"x": "y"})
    first.update(description="other")
    again = Model(ws, id=first.id)
    assert again.tags == {"stage": "test", "x": "y"}
    assert again.properties == {"origin": "here", "more": "yes"}
    assert again.description == "other"
    assert Model.deserialize(ws, {**again.serialize()}).id == first.id
    assert [m.id for m in Model.list(ws, name="Mymodel", latest=True)] == [second.id]
    assert [m.id for m in Model.list(ws, tags=["stage"])] == [first.id]
    assert Path(first.download("got")).read_text() == "2"
    assert (Path(second.download("got")) / "a.txt").read_text() == "a"
    with pytest.raises(ModelNotFoundException, match="ModelNotFound"):
        Model(ws, "Unknown")
    with pytest.raises(ModelPathNotFoundException):
        Model.register(ws, "missing.pkl", "Mymodel")
    second.delete()
    first.delete()
    assert "Mymodel" not in Workspace.from_config().models


@pytest.mark.azureml(
    "Environment", "Environment.register", "Environment.get", "Environment.list", "Environment.clone",
    "Environment.from_conda_specification", "Environment.from_pip_requirements", "Environment.from_docker_image",
    "Environment.save_to_directory", "Environment.load_from_directory", "Environment.environment_variables",
    "Environment.python", "Environment.docker", "Environment.version", "Workspace.environments",
    "DockerSection", "DockerSection.base_image", "DockerSection.enabled", "PythonSection", "ContainerRegistry",
    "UserErrorException",
)  # fmt: skip
def test_environments(ws: Workspace) -> None:
    env = Environment("calls-env")
    env.python.conda_dependencies = CondaDependencies.create(pip_packages=["azureml-defaults"])
    env.environment_variables = {"A": "b"}
    env.docker.enabled = True
    env.docker.base_image = "ubuntu:22.04"
    assert isinstance(env.docker, DockerSection)
    assert isinstance(env.python, PythonSection)
    registered = env.register(ws)
    assert env.register(ws).version == registered.version
    found = Environment.get(ws, "calls-env", version=registered.version)
    assert found.environment_variables == {"A": "b"}
    assert "calls-env" in Environment.list(ws)
    assert "calls-env" in ws.environments
    copy = found.clone("calls-copy")
    copy.save_to_directory("saved")
    assert Environment.load_from_directory("saved").name == "calls-copy"
    Path("requirements.txt").write_text("numpy\n")
    from_pip = Environment.from_pip_requirements("p", "requirements.txt")
    assert "numpy" in list(from_pip.python.conda_dependencies.pip_packages)
    assert Environment.from_conda_specification("c", "myenv.yml").python.conda_dependencies
    registry = ContainerRegistry()
    registry.address = "registry.example.org"
    from_image = Environment.from_docker_image("d", "image:1", container_registry=registry)
    assert from_image.docker.base_image == "image:1"
    with pytest.raises(UserErrorException):
        Environment.get(ws, "never-registered")


@pytest.mark.azureml(
    "CondaDependencies", "CondaDependencies.create", "CondaDependencies.add_channel",
    "CondaDependencies.add_conda_package", "CondaDependencies.add_pip_package",
    "CondaDependencies.remove_conda_package", "CondaDependencies.remove_pip_package",
    "CondaDependencies.remove_channel", "CondaDependencies.conda_packages", "CondaDependencies.pip_packages",
    "CondaDependencies.conda_channels", "CondaDependencies.set_python_version",
    "CondaDependencies.get_python_version", "CondaDependencies.serialize_to_string", "CondaDependencies.as_dict",
    "CondaDependencies.save", "CondaDependencies.save_to_file",
)  # fmt: skip
def test_conda_dependencies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    conda = CondaDependencies.create(conda_packages=["scikit-learn"], pip_packages=["joblib"])
    conda.add_conda_package("pandas")
    conda.add_pip_package("requests")
    conda.add_channel("conda-forge")
    conda.set_python_version("3.8")
    assert {"scikit-learn", "pandas"} <= set(conda.conda_packages)
    assert {"joblib", "requests"} <= set(conda.pip_packages)
    assert "conda-forge" in list(conda.conda_channels)
    assert str(conda.get_python_version()) == "3.8"
    conda.remove_conda_package("pandas")
    conda.remove_pip_package("requests")
    conda.remove_channel("conda-forge")
    assert "pandas" not in list(conda.conda_packages)
    assert "requests" not in list(conda.pip_packages)
    assert "conda-forge" not in list(conda.conda_channels)
    conda.save("saved.yml")
    conda.save_to_file(".", "other.yml")
    assert CondaDependencies("saved.yml").as_dict() == CondaDependencies("other.yml").as_dict()
    assert "scikit-learn" in conda.serialize_to_string()


@pytest.mark.azureml(
    "ContainerImage.image_configuration", "ContainerImage.serialize", "Image", "Image.create", "Image.list",
    "Image.wait_for_creation", "Image.update_creation_state", "Image.add_tags", "Image.remove_tags",
    "Image.update", "Image.add_properties", "Image.serialize", "Image.delete", "Image.id", "Image.version",
    "Image.image_location", "Image.image_build_log_uri", "Image.creation_state", "Workspace.images",
    "Webservice.deploy_from_image", "Webservice.deploy_from_model", "Webservice.deploy", "Webservice.image",
)  # fmt: skip
def test_images_of_2018(ws: Workspace, model: Model) -> None:
    config = ContainerImage.image_configuration(
        execution_script="score.py",
        runtime="python",
        conda_file="myenv.yml",
        description="d",
        tags={"t": "1"},
    )
    image = ContainerImage.create(name="calls-image", models=[model], image_config=config, workspace=ws)
    image.wait_for_creation(show_output=True)
    second = Image.create(ws, "calls-image", [model], config)
    second.wait_for_creation()
    assert (image.id, second.id) == ("calls-image:1", "calls-image:2")
    image.update_creation_state()
    assert image.creation_state == "Succeeded"
    assert image.image_location.endswith("/calls-image:1")
    assert image.image_build_log_uri
    assert Image(ws, "calls-image").version == 2
    assert ws.images["calls-image"].id == second.id
    image.add_tags({"more": "yes"})
    image.remove_tags(["t"])
    image.add_properties({"p": "q"})
    assert Image(ws, id=image.id).tags == {"more": "yes"}
    image.update(tags={"only": "this"})
    assert Image(ws, id=image.id).serialize()["tags"] == {"only": "this"}
    assert {i.id for i in Image.list(ws, image_name="calls-image")} == {image.id, second.id}

    service = Webservice.deploy_from_image(
        deployment_config=AciWebservice.deploy_configuration(), image=image, name="calls-2018", workspace=ws
    )
    service.wait_for_deployment(show_output=True)
    assert service.run(input_data=DATA.encode()) == [2, 4]
    assert service.image.id == image.id
    service.update(image=second)
    service.wait_for_deployment()
    assert service.image.id == second.id
    service.delete()
    from_model = Webservice.deploy_from_model(ws, "calls-model", [model], config)
    from_model.wait_for_deployment()
    assert from_model.run(DATA) == [2, 4]
    from_model.delete()
    Path("factor").write_text("3")
    from_path = Webservice.deploy(ws, "calls-path", ["factor"], config)
    from_path.wait_for_deployment()
    assert from_path.run(DATA) == [3, 6]
    from_path.delete()
    second.delete()
    image.delete()


@pytest.mark.azureml(
    "Model.deploy", "InferenceConfig", "Webservice", "Webservice.list", "Webservice.wait_for_deployment",
    "Webservice.update_deployment_state", "Webservice.run", "Webservice.get_logs", "Webservice.get_keys",
    "Webservice.regen_key", "Webservice.delete", "Webservice.serialize", "Webservice.state",
    "Webservice.scoring_uri", "Webservice.swagger_uri", "Webservice.models", "Webservice.error",
    "AciWebservice.deploy_configuration", "AciWebservice.update", "AciWebservice.run",
    "AciWebservice.add_tags", "AciWebservice.remove_tags", "AciWebservice.add_properties",
    "AciWebservice.serialize", "AciWebservice.wait_for_deployment", "AciWebservice.get_logs",
    "AciWebservice.get_keys", "AciWebservice.regen_key", "AciWebservice.delete", "Workspace.webservices",
    "WebserviceException",
)  # fmt: skip
def test_aci_service(ws: Workspace, model: Model, inference_config: InferenceConfig) -> None:
    config = AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=1, auth_enabled=True, tags={"a": "1"})
    service = Model.deploy(ws, "calls-aci", [model], inference_config, config)
    service.wait_for_deployment(show_output=True)
    assert isinstance(service, AciWebservice)
    assert (service.state, service.error) == ("Healthy", None)
    assert service.run(DATA) == [2, 4]
    assert [m.id for m in service.models] == [model.id]
    key = service.get_keys()[0]
    request = urllib.request.Request(service.swagger_uri, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["paths"]
    assert "factor 2.0" in service.get_logs(num_lines=100)
    primary, secondary = service.get_keys()
    service.regen_key("Primary")
    assert service.get_keys()[0] != primary
    assert service.get_keys()[1] == secondary
    assert service.run(DATA) == [2, 4]
    service.add_tags({"b": "2"})
    service.remove_tags(["a"])
    service.add_properties({"p": "q"})
    same = Webservice(ws, "calls-aci")
    assert (same.tags, same.properties["p"]) == ({"b": "2"}, "q")
    Path("factor.txt").write_text("5")
    newer = Model.register(ws, "factor.txt", "factor")
    same.update(models=[newer], inference_config=inference_config, description="five")
    same.wait_for_deployment()
    assert same.run(DATA) == [5, 10]
    same.update_deployment_state()
    assert same.serialize()["description"] == "five"
    assert "calls-aci" in [s.name for s in Webservice.list(ws, model_name="factor")]
    assert ws.webservices["calls-aci"].scoring_uri == service.scoring_uri
    with pytest.raises(WebserviceException, match="exists"):
        Model.deploy(ws, "calls-aci", [model], inference_config, config)
    replaced = Model.deploy(ws, "calls-aci", [model], inference_config, config, overwrite=True)
    replaced.wait_for_deployment()
    assert replaced.get_keys() == service.get_keys()
    replaced.delete()
    with pytest.raises(WebserviceException, match="WebserviceNotFound"):
        Webservice(ws, "calls-aci")


@pytest.mark.azureml(
    "LocalWebservice", "LocalWebservice.deploy_configuration", "LocalWebservice.port", "LocalWebservice.reload",
    "LocalWebservice.run", "LocalWebservice.update", "LocalWebservice.wait_for_deployment",
    "LocalWebservice.get_logs", "LocalWebservice.list", "LocalWebservice.delete", "LocalWebservice.scoring_uri",
    "LocalWebservice.swagger_uri", "LocalWebservice.update_deployment_state",
)  # fmt: skip
def test_local_service(ws: Workspace, model: Model, inference_config: InferenceConfig) -> None:
    service: Any = Model.deploy(
        ws, "calls-local", [model], inference_config, LocalWebservice.deploy_configuration()
    )
    service.wait_for_deployment(show_output=True)
    assert service.run(DATA) == [2, 4]
    assert f":{service.port}/" in service.scoring_uri
    assert service.swagger_uri.endswith("swagger.json")
    Path("score.py").write_text(SCORE.replace("factor * number", "factor + number"))
    service.reload(wait=True)
    assert service.run(DATA) == [3, 4]
    Path("score.py").write_text(SCORE)
    service.update(models=[model], inference_config=inference_config, wait=True)
    assert service.run(DATA) == [2, 4]
    assert "factor" in service.get_logs()
    service.update_deployment_state()
    assert LocalWebservice(ws, "calls-local").port == service.port
    assert "calls-local" in [s.name for s in LocalWebservice.list(ws)]
    service.delete()


@pytest.mark.azureml(
    "InteractiveLoginAuthentication", "ServicePrincipalAuthentication", "MsiAuthentication",
    "AzureCliAuthentication", "TokenAuthentication",
)  # fmt: skip
def test_authentication_objects_are_accepted(ws: Workspace) -> None:
    for auth in (
        InteractiveLoginAuthentication(tenant_id="t"),
        ServicePrincipalAuthentication("t", "id", "secret"),
        MsiAuthentication(),
        AzureCliAuthentication(),
        TokenAuthentication(lambda _audience: "token"),
    ):
        assert Workspace.from_config(auth=auth).name == "calls"


@pytest.mark.azureml(
    "Workspace.discovery_url", "Model.get_model_path", "Model.print_configuration",
    "InferenceConfig.validate_configuration", "Image.image_configuration", "ResourceConfiguration.serialize",
    "ResourceConfiguration.deserialize", "TokenAuthentication.get_token",
)  # fmt: skip
def test_what_needs_no_deployment(
    ws: Workspace, model: Model, inference_config: InferenceConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(ws.discovery_url, str)
    path = Model.get_model_path("factor", _workspace=ws)
    assert Path(path).read_text() == "2"
    assert f"azureml-models/factor/{model.version}" in path
    inference_config.validate_configuration()
    with pytest.raises(WebserviceException, match="nowhere"):
        InferenceConfig("nowhere.py").validate_configuration()
    Model.print_configuration([model], inference_config, AciWebservice.deploy_configuration(), None)
    shown = capsys.readouterr().out
    assert model.id in shown
    assert "score.py" in shown
    with pytest.raises(UserErrorException):
        Image.image_configuration()
    resources = ResourceConfiguration(cpu=1, memory_in_gb=2)
    again = ResourceConfiguration.deserialize(resources.serialize())
    assert again is not None
    assert (again.cpu, again.memory_in_gb, again.gpu) == (1, 2, None)
    assert TokenAuthentication(lambda audience: f"for {audience}").get_token("me") == "for me"


@pytest.mark.azureml(
    "Webservice.deploy_local_from_model", "Webservice.deserialize", "Webservice.deployment_status",
    "Webservice.update", "Image.deserialize", "LocalWebservice.serialize", "LocalWebservice.deserialize",
    "LocalWebservice.get_keys", "LocalWebservice.regen_key", "LocalWebservice.deploy_to_cloud",
)  # fmt: skip
def test_from_a_local_service_to_one_for_others(ws: Workspace, model: Model) -> None:
    config = ContainerImage.image_configuration("score.py", "python", conda_file="myenv.yml")
    local = Webservice.deploy_local_from_model(ws, "calls-grown", [model], config, wait=True)
    assert local.run(DATA) == [2, 4]
    for refused in (local.get_keys, lambda: local.regen_key("Primary")):
        with pytest.raises(UserErrorException):
            refused()
    data = local.serialize()
    assert (data["name"], data["computeType"]) == ("calls-grown", "LOCAL")
    payload = ws.mooring.call("GET", "/localServices/calls-grown")
    assert LocalWebservice.deserialize(ws, payload).port == local.port

    cloud = local.deploy_to_cloud()
    cloud.wait_for_deployment()
    assert cloud.run(DATA) == [2, 4]
    again = Webservice.deserialize(ws, ws.mooring.call("GET", "/services/calls-grown"))
    assert isinstance(again, AciWebservice)
    assert again.deployment_status["availableReplicas"] == 1
    assert Image.deserialize(ws, ws.mooring.call("GET", f"/images/{again.image_id}")).id == again.image_id
    Webservice(ws, "calls-grown").update(tags={"grown": "up"})
    again.update_deployment_state()
    assert again.tags == {"grown": "up"}
    local.delete()
    assert cloud.run(DATA) == [2, 4]
    cloud.delete()


@pytest.mark.azureml(
    "ActivityFailedException", "AuthenticationException", "ComputeTargetException",
    "DiscoveryUrlNotFoundException", "ProjectSystemException", "RunEnvironmentException",
)  # fmt: skip
def test_exceptions_that_scripts_catch(ws: Workspace) -> None:
    assert "why" in str(ActivityFailedException({"error": {"message": "why"}}))
    for kind in (AuthenticationException, ProjectSystemException):
        assert kind("text").message == "text"
    assert "api" in str(DiscoveryUrlNotFoundException("api"))
    assert str(RunEnvironmentException())
    with pytest.raises(ComputeTargetException) as caught:
        ComputeTarget(ws, "no-such-cluster")
    assert caught.value.code == "ComputeTargetNotFound"
    assert issubclass(AuthenticationException, UserErrorException)
