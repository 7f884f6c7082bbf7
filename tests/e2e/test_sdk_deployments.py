"""Deployments of both eras through the SDK, call by call, against a real server and real services."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sdk_support import SCORE, bare_environment, inference_config, register, write_app

from azureml.core import Image, Webservice, Workspace
from azureml.core.compute import AksCompute
from azureml.core.image import ContainerImage
from azureml.core.model import InferenceConfig, Model
from azureml.core.webservice import AciWebservice, AksWebservice, LocalWebservice
from azureml.exceptions import UserErrorException, WebserviceException

SAMPLE = json.dumps({"data": [1, 2]})


@pytest.fixture
def ws(sdk_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    write_app(tmp_path)
    return Workspace("sub", "rg", "deployments")


def test_2018_from_model_to_image_to_service(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "score.py").write_text(SCORE)
    (tmp_path / "helper.py").write_text("FACTOR = 1\n")
    (tmp_path / "myenv.yml").write_text("name: e\ndependencies: []\n")
    model = Model.register(model_path="model.txt", model_name="Mymodel", tags={"key": "0.1"}, workspace=ws)
    image_config = ContainerImage.image_configuration(
        execution_script="score.py",
        runtime="python",
        conda_file="myenv.yml",
        dependencies=["helper.py"],
        description="Image with weights",
        tags={"data": "numbers"},
    )
    image = ContainerImage.create(name="myimage", models=[model], image_config=image_config, workspace=ws)
    image.wait_for_creation(show_output=True)
    shown = capsys.readouterr().out
    assert "Build ..." in shown
    assert shown.endswith(
        'Succeeded\nImage creation operation finished for image myimage:1, operation "Succeeded"\n'
    )
    assert (image.creation_state, image.tags, image.model_ids) == (
        "Succeeded",
        {"data": "numbers"},
        [model.id],
    )
    assert image.image_location
    assert image.get_build_log()
    assert Image(ws, "myimage").id == "myimage:1"
    assert isinstance(Image(ws, id="myimage:1"), ContainerImage)
    assert [i.id for i in Image.list(ws, model_name="Mymodel")] == ["myimage:1"]
    assert ws.images["myimage"].version == 1
    image.add_tags({"b": "2"})
    image.remove_tags(["data"])
    image.add_properties({"p": "q"})
    image.update({"c": "3"})
    assert (Image(ws, "myimage").tags, image.properties) == ({"c": "3"}, {"p": "q"})

    config = AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=0.5, tags={"t": "u"}, description="d")
    service = Webservice.deploy_from_image(
        workspace=ws, name="svc-2018", image=image, deployment_config=config
    )
    service.wait_for_deployment(show_output=True)
    shown = capsys.readouterr().out
    assert "Init ..." in shown
    assert shown.endswith('Succeeded\nACI service creation operation finished, operation "Succeeded"\n')
    assert (service.state, service.compute_type, service.tags) == ("Healthy", "ACI", {"t": "u"})
    assert service.run(input_data=bytes(SAMPLE, encoding="utf8")) == [2.0, 4.0]
    assert service.image is not None
    assert (service.image.id, service.image_id) == ("myimage:1", "myimage:1")
    assert [m.id for m in service.models] == ["Mymodel:1"]
    assert service.container_resource_requirements.memory_in_gb == 0.5
    with pytest.raises(WebserviceException) as caught:
        image.delete()
    assert caught.value.code == "ImageInUse"

    write_app(tmp_path, weight=5)
    second = ContainerImage.create(ws, "myimage", [register(ws, tmp_path, "Mymodel")], image_config)
    service.update(image=second)  # still being built: it is waited for
    service.wait_for_deployment()
    assert service.run(SAMPLE) == [5.0, 10.0]
    assert service.image_id == "myimage:2"
    service.delete()
    with pytest.raises(WebserviceException, match=r"^WebserviceNotFound"):
        Webservice(ws, "svc-2018")
    image.delete()
    with pytest.raises(WebserviceException, match=r"^ImageNotFound"):
        Image(ws, id="myimage:1")


def test_2018_deploy_from_files_and_models(ws: Workspace, tmp_path: Path) -> None:
    helper = str(tmp_path / "app" / "helper.py")
    config = ContainerImage.image_configuration("app/score.py", "python", dependencies=[helper])
    service = Webservice.deploy(ws, "svc-paths", ["model.txt"], config)
    service.wait_for_deployment()
    assert service.run(SAMPLE) == [2.0, 4.0]
    assert [m.name for m in service.models] == ["model.txt"]
    with pytest.raises(WebserviceException) as caught:
        Webservice.deploy_from_model(ws, "svc-paths", service.models, config)
    assert caught.value.code == "ServiceExists"
    replaced = Webservice.deploy_from_model(ws, "svc-paths", service.models, config, overwrite=True)
    replaced.wait_for_deployment()
    assert replaced.run(SAMPLE) == [2.0, 4.0]
    local = Webservice.deploy_local_from_model(ws, "svc-paths", service.models, config, wait=True)
    assert isinstance(local, LocalWebservice)
    local.delete()
    replaced.delete()


def test_2019_keys_update_logs_and_lists(ws: Workspace, tmp_path: Path) -> None:
    model = register(ws, tmp_path)
    config = AciWebservice.deploy_configuration(auth_enabled=True, primary_key="first-key", tags={"a": "1"})
    service = Model.deploy(ws, "svc-2019", [model], inference_config(tmp_path), config)
    service.wait_for_deployment(show_output=True)
    assert service.run(SAMPLE) == [2.0, 4.0]
    primary, secondary = service.get_keys()
    assert primary == "first-key"
    service.regen_key("Primary")
    service.regen_key("secondary", set_key="chosen-key")
    assert service.get_keys()[0] not in {primary, secondary}
    assert service.get_keys()[1] == "chosen-key"
    assert service.run(SAMPLE) == [2.0, 4.0], "the old key is replaced without the user noticing"
    with pytest.raises(WebserviceException):
        service.regen_key("third")
    assert "loaded weight" in service.get_logs()

    same = Webservice(workspace=ws, name="svc-2019")
    assert type(same) is AciWebservice
    assert same.auth_enabled
    assert same.swagger_uri
    assert same.created_time is not None
    assert same.environment.name == "bare"
    assert same.serialize()["name"] == "svc-2019"
    assert type(AciWebservice(ws, "svc-2019")) is AciWebservice
    with pytest.raises(WebserviceException, match="AksWebservice"):
        AksWebservice(ws, "svc-2019")

    same.add_tags({"b": "2"})
    same.remove_tags(["a"])
    same.add_properties({"p": "q"})
    assert [s.name for s in Webservice.list(ws, compute_type="aci", tags=[["b", "2"]])] == ["svc-2019"]
    assert Webservice.list(ws, tags=["a"]) == []
    assert [s.name for s in Webservice.list(ws, model_id=model.id)] == ["svc-2019"]
    assert "svc-2019" in ws.webservices

    write_app(tmp_path, factor=10)
    same.update(inference_config=inference_config(tmp_path), auth_enabled=False, tags={"c": "3"})
    same.wait_for_deployment(show_output=True)
    assert same.run(SAMPLE) == [20.0, 40.0]
    assert (same.tags, same.auth_enabled) == ({"c": "3"}, False)
    with pytest.raises(WebserviceException) as caught:
        same.update()
    assert caught.value.code == "NothingToUpdate"
    with pytest.raises(WebserviceException) as in_use:
        model.delete()
    assert in_use.value.code == "ModelInUse"
    with pytest.raises(WebserviceException) as exists:
        Model.deploy(ws, "svc-2019", [model], inference_config(tmp_path))
    assert exists.value.code == "ServiceExists"
    with pytest.raises(WebserviceException) as bad:
        same.run("no json")
    assert bad.value.status_code == 500
    same.delete()
    Model.deploy(ws, "svc-2019", [model.id], inference_config(tmp_path)).wait_for_deployment()
    Webservice(ws, "svc-2019").delete()


def test_a_failing_init_tells_everything(ws: Workspace, tmp_path: Path) -> None:
    broken = SCORE.replace('print("loaded weight", weight)', "{}['missing_key']")
    write_app(tmp_path, score=broken)
    service = Model.deploy(ws, "svc-broken", [register(ws, tmp_path)], inference_config(tmp_path))
    with pytest.raises(WebserviceException) as caught:
        service.wait_for_deployment(show_output=True)
    assert (caught.value.code, caught.value.phase) == ("InitRaised", "Init")
    text = str(caught.value)
    assert "KeyError: 'missing_key'" in text
    assert "score.py" in text
    assert caught.value.hint
    assert service.state == "Failed"
    assert service.error is not None
    again = Webservice(ws, "svc-broken")
    with pytest.raises(WebserviceException, match="missing_key"):
        again.wait_for_deployment()
    write_app(tmp_path)
    again.update(inference_config=inference_config(tmp_path))
    again.wait_for_deployment()
    assert again.run(SAMPLE) == [2.0, 4.0]
    again.delete()


def test_what_is_wrong_before_anything_is_sent(ws: Workspace, tmp_path: Path) -> None:
    model = register(ws, tmp_path)
    config = inference_config(tmp_path)
    with pytest.raises(WebserviceException, match="service name"):
        Model.deploy(ws, "Not_A_Name", [model], config)
    with pytest.raises(WebserviceException, match="list of models"):
        Model.deploy(ws, "svc-x", model, config)
    with pytest.raises(WebserviceException, match="exactly one"):
        Model.deploy(ws, "svc-x", [])
    with pytest.raises(WebserviceException, match="framework"):
        Model.deploy(ws, "svc-x", [model])
    with pytest.raises(WebserviceException, match="AKS"):
        Model.deploy(ws, "svc-x", [model], config, AksWebservice.deploy_configuration())
    with pytest.raises(WebserviceException, match="deployment_config"):
        Model.deploy(ws, "svc-x", [model], config, {"cpu": 1})
    named = AksWebservice.deploy_configuration(compute_target_name="none")
    with pytest.raises((WebserviceException, UserErrorException)) as caught:
        Model.deploy(ws, "svc-x", [model], config, named).wait_for_deployment()
    assert caught.value.code
    assert AksCompute is not None
    Model.print_configuration([model], config, named, None)


def test_a_service_without_models(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text("def init():\n    pass\n\n\ndef run(data):\n    return data\n")
    config = InferenceConfig(entry_script="echo.py", environment=bare_environment())
    service = Model.deploy(ws, "svc-echo", [], config, show_output=True)
    assert service.run("h\u00e9") == "h\u00e9"
    service.delete()


class TestLocal:
    def test_reload_in_another_process_update_and_delete(self, ws: Workspace, tmp_path: Path) -> None:
        model = register(ws, tmp_path)
        config = LocalWebservice.deploy_configuration()
        service = Model.deploy(ws, "local-a", [model], inference_config(tmp_path), config)
        assert isinstance(service, LocalWebservice)
        service.wait_for_deployment(show_output=True)
        assert service.state == "running"
        assert service.run(SAMPLE) == [2.0, 4.0]
        port = service.port
        assert port
        assert str(port) in str(service.scoring_uri)

        write_app(tmp_path, factor=3)
        later = LocalWebservice(ws, "local-a")  # as another process would
        later.reload(wait=True)
        assert later.run(SAMPLE) == [6.0, 12.0]
        assert later.port == port

        write_app(tmp_path, weight=4, factor=3)
        later.update(models=[register(ws, tmp_path)], wait=True)
        assert later.run(SAMPLE) == [12.0, 24.0]
        later.reload(wait=True)
        assert later.run(SAMPLE) == [12.0, 24.0], "reload keeps the newest models"
        assert "local-a" in [s.name for s in LocalWebservice.list(ws)]
        assert "local-a" not in ws.webservices
        assert "loaded weight" in later.get_logs()
        assert isinstance(later.get_logs(raw=True), bytes)
        for call in (later.get_keys, lambda: later.regen_key("Primary"), later.get_token):
            with pytest.raises(UserErrorException):
                call()

        cloud = later.deploy_to_cloud("from-local")
        cloud.wait_for_deployment()
        assert cloud.run(SAMPLE) == [12.0, 24.0]
        cloud.delete()
        later.delete()
        service.update_deployment_state()
        assert service.state == "deleted"
        with pytest.raises(WebserviceException, match=r"^WebserviceNotFound"):
            LocalWebservice(ws, "local-a")
        assert LocalWebservice(ws, "local-a", must_exist=False).state == "unknown"

    def test_deploying_again_replaces(self, ws: Workspace, tmp_path: Path) -> None:
        model = register(ws, tmp_path)
        for factor in (1, 2):
            write_app(tmp_path, factor=factor)
            service = Model.deploy(
                ws, "local-b", [model], inference_config(tmp_path), LocalWebservice.deploy_configuration()
            )
            service.wait_for_deployment()
            assert service.run(SAMPLE) == [2.0 * factor, 4.0 * factor]
        (tmp_path / "app" / "score.py").unlink()
        with pytest.raises(WebserviceException) as caught:
            service.reload()
        assert caught.value.code == "EntryScriptNotFound"
        service.delete()
