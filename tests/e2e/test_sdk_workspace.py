"""Workspaces, models and environments through the SDK, call by call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sdk_support import bare_environment, register, write_app
from support import RunningServer

from azureml.core import Environment, Model, Workspace
from azureml.core.authentication import ServicePrincipalAuthentication
from azureml.core.compute import AksCompute, ComputeTarget
from azureml.core.resource_configuration import ResourceConfiguration
from azureml.exceptions import (
    AuthenticationException,
    ComputeTargetException,
    ModelNotFoundException,
    UserErrorException,
    WebserviceException,
    WorkspaceException,
)


@pytest.fixture
def ws(sdk_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    return Workspace("sub", "rg", "models")


class TestWorkspace:
    @pytest.mark.usefixtures("sdk_home")
    def test_a_configured_workspace_is_made_on_first_use(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        names = {"subscription_id": "s1", "resource_group": "g1", "workspace_name": "first"}
        (tmp_path / "config.json").write_text(json.dumps(names))
        (tmp_path / "below").mkdir()
        monkeypatch.chdir(tmp_path / "below")
        ws = Workspace.from_config(auth=ServicePrincipalAuthentication("t", "i", "p"))
        assert "Made the workspace first" in capsys.readouterr().err
        assert (ws.name, ws.resource_group, ws.subscription_id) == ("first", "g1", "s1")
        Workspace.from_config()
        assert "Made" not in capsys.readouterr().err
        ws.write_config()
        assert "Wrote the config file config.json to" in capsys.readouterr().out
        assert json.loads((tmp_path / "below" / ".azureml" / "config.json").read_text()) == names

    @pytest.mark.usefixtures("sdk_home")
    def test_create_get_list_update_delete(self) -> None:
        made = Workspace.create(
            "second", subscription_id="s2", resource_group="g2", location="here", tags={"a": "b"}
        )
        assert (made.location, made.tags, made.sku.lower()) == ("here", {"a": "b"}, "basic")
        with pytest.raises(WorkspaceException):
            Workspace.create("second", subscription_id="s2", resource_group="g2")
        Workspace.create("second", subscription_id="s2", resource_group="g2", exist_ok=True)
        assert Workspace.get("second", subscription_id="s2").resource_group == "g2"
        assert [w.name for w in Workspace.list("s2")["second"]] == ["second"]
        made.update(friendly_name="nice", tags={"c": "d"})
        details = made.get_details()
        assert (details["friendlyName"], details["tags"]) == ("nice", {"c": "d"})
        registry = details["containerRegistry"].split("/")[-1]
        assert made.list_keys()["containerRegistryCredentials"]["username"] == registry
        made.delete()
        assert "second" not in Workspace.list("s2")
        with pytest.raises(WorkspaceException, match="WorkspaceNotFound"):
            Workspace.get("second", subscription_id="s2")

    def test_a_server_elsewhere_makes_nothing_by_itself(
        self, server: RunningServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MOORING_ENDPOINT", server.url)
        monkeypatch.setenv("MOORING_TOKEN", server.token)
        with pytest.raises(WorkspaceException) as caught:
            Workspace("s", "g", "nobody-made-this")
        assert "Workspace.create" in caught.value.hint
        monkeypatch.setenv("MOORING_TOKEN", "wrong")
        with pytest.raises(AuthenticationException) as denied:
            Workspace("sub", "rg", "ws")
        assert "MOORING_TOKEN" in denied.value.hint

    def test_an_endpoint_in_the_file(
        self, server: RunningServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("MOORING_HOME", str(tmp_path / "none"))
        file = {"subscription_id": "sub", "resource_group": "rg", "workspace_name": "ws"}
        file.update({"endpoint": server.url, "token": server.token})
        (tmp_path / "c.json").write_text(json.dumps(file))
        ws = Workspace.from_config(str(tmp_path / "c.json"))
        ws.write_config(str(tmp_path))
        written = json.loads((tmp_path / ".azureml" / "config.json").read_text())
        assert written["endpoint"] == server.url
        assert "token" not in written


class TestModels:
    def test_versions_and_lookups(self, ws: Workspace, tmp_path: Path) -> None:
        write_app(tmp_path)
        first = Model.register(
            ws,
            str(tmp_path / "model.txt"),
            "lookups",
            tags={"area": "a", "x": "1"},
            properties={"p": "q"},
            description="d",
            model_framework=Model.Framework.SCIKITLEARN,
            model_framework_version="1.0",
            resource_configuration=ResourceConfiguration(1, 0.5),
        )
        second = register(ws, tmp_path, "lookups")
        assert (first.id, second.id, second.version) == ("lookups:1", "lookups:2", 2)
        assert Model(ws, "lookups").version == 2
        assert Model(ws, name="lookups", version=1).description == "d"
        assert Model(ws, id="lookups:1").properties == {"p": "q"}
        assert Model(ws, "lookups", tags=[["area", "a"]]).version == 1
        assert Model(ws, "lookups", model_framework="ScikitLearn").version == 1
        assert [m.version for m in Model.list(ws, "lookups", tags=["area", ["x", "1"]])] == [1]
        assert [m.version for m in Model.list(ws, "lookups", latest=True)] == [2]
        assert ws.models["lookups"].version == 2
        resources = Model(ws, id="lookups:1").resource_configuration
        assert resources is not None
        assert resources.memory_in_gb == 0.5
        again = Model.deserialize(ws, first._data)
        assert again.serialize() == first.serialize()

    def test_missing_models(self, ws: Workspace) -> None:
        for arguments in ({"name": "none"}, {"id": "none:3"}, {"name": "none", "tags": ["a"]}):
            with pytest.raises(ModelNotFoundException, match=r"^ModelNotFound"):
                Model(ws, **arguments)

    def test_tags_and_descriptions(self, ws: Workspace, tmp_path: Path) -> None:
        write_app(tmp_path)
        model = register(ws, tmp_path, "tagged")
        model.add_tags({"a": "1", "b": "2"})
        model.remove_tags("a")
        assert Model(ws, "tagged").tags == {"b": "2"}
        model.update(tags={"c": "3"}, description="new")
        model.add_properties({"p": "q"})
        model.update_tags_properties(add_tags={"d": "4"}, remove_tags=["c"], add_properties={"r": "s"})
        fresh = Model(ws, "tagged")
        assert (fresh.tags, fresh.description) == ({"d": "4"}, "new")
        assert fresh.properties == {"p": "q", "r": "s"}
        model.delete()
        with pytest.raises(ModelNotFoundException):
            Model(ws, "tagged")

    def test_files_and_folders_come_back(self, ws: Workspace, tmp_path: Path) -> None:
        (tmp_path / "net" / "sub").mkdir(parents=True)
        (tmp_path / "net" / "w.bin").write_bytes(b"\0\1")
        (tmp_path / "net" / "sub" / "\u00fc v.txt").write_text("v")
        folder = Model.register(ws, str(tmp_path / "net"), "net")
        path = Path(folder.download(str(tmp_path / "out")))
        assert path == tmp_path / "out" / "net"
        assert (path / "w.bin").read_bytes() == b"\0\1"
        assert (path / "sub" / "\u00fc v.txt").read_text() == "v"
        with pytest.raises(UserErrorException, match="exists"):
            folder.download(str(tmp_path / "out"))
        folder.download(str(tmp_path / "out"), exist_ok=True)
        assert Model.get_model_path("net", _workspace=ws) == "azureml-models/net/1/net"
        assert Model.get_model_path("net") == "azureml-models/net/1/net"
        only = Model.register(ws, str(tmp_path / "net"), "part", child_paths=["w.bin"])
        assert [f["path"] for f in only.files] == ["net/w.bin"]


class TestEnvironments:
    def test_register_get_list(self, ws: Workspace) -> None:
        environment = bare_environment("env-a")
        environment.environment_variables = {"A": "1"}
        registered = environment.register(ws)
        assert registered.version == "1"
        assert environment.register(ws).version == "1"
        environment.environment_variables["A"] = "2"
        assert environment.register(ws).version == "2"
        assert Environment.get(ws, "env-a").environment_variables == {"A": "2"}
        assert Environment.get(ws, "env-a", version=1).environment_variables == {"A": "1"}
        assert Environment.list(ws)["env-a"].version == "2"
        assert ws.environments["env-a"].version == "2"
        with pytest.raises(UserErrorException, match="EnvironmentNotFound"):
            Environment.get(ws, "none")


def test_clusters_reach_the_servers_answer(ws: Workspace) -> None:
    assert ws.compute_targets == {}
    with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
        ComputeTarget(ws, "aks")
    with pytest.raises(ComputeTargetException) as caught:
        ComputeTarget.create(ws, "aks", AksCompute.provisioning_configuration())
    assert caught.value.message
    with pytest.raises(ComputeTargetException):
        ComputeTarget.attach(ws, "aks", AksCompute.attach_configuration("rg", "cluster"))


def test_names_are_checked_before_anything_is_sent(ws: Workspace, tmp_path: Path) -> None:
    write_app(tmp_path)
    with pytest.raises(WebserviceException, match="model name"):
        Model.register(ws, str(tmp_path / "model.txt"), "not a name")
