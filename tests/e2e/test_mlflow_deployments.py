"""MLflow's deployments client, of the releases and Pythons that people have, each in an environment of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from mlflow_support import QUIET, MlflowClient, make_environment
from support import WS, RunningServer, eventually, kill_all

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

# The model's own packages are pinned so that the service's layers are built once for all environments.
LOGS = """
import json, pathlib, sys, time, warnings
warnings.simplefilter("ignore")
import mlflow
import pandas as pd
from mlflow.deployments import get_deploy_client
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.linear_model import Ridge

from azureml.core import Workspace

ws = Workspace("sub", "rg", "ws")
mlflow.set_tracking_uri(ws.get_mlflow_tracking_uri())
mlflow.set_experiment("deployments")
rows = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1.0, 0.0, 1.0]})
model = Ridge().fit(rows, rows.a * 2)
new = mlflow.__version__.startswith("3")
pathlib.Path("note.txt").write_text("no model")
with mlflow.start_run() as run:
    mlflow.log_artifact("note.txt")
    mlflow.sklearn.log_model(
        model,
        signature=infer_signature(rows, rows.a),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn==1.6.1", "numpy==2.2.6", "pandas==2.2.3", "cloudpickle"],
        **({"name": "model"} if new else {"artifact_path": "model"}),
    )
uri = f"runs:/{run.info.run_id}/model"
wanted = model.predict(rows)
name = sys.argv[1]
client = get_deploy_client(mlflow.get_tracking_uri())
"""

DEPLOYS = (
    LOGS
    + """
def close(answer):
    got = answer.get_predictions().values.ravel()
    assert abs(got - wanted).max() < 1e-9, (got, wanted)


def refused(code, *words, **call):
    (method, arguments), = call.items()
    try:
        getattr(client, method)(**arguments)
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, str(error))
        for word in words:
            assert word in str(error), (word, str(error))
    else:
        raise AssertionError(f"{method} {arguments} was not refused")


def written(**content):
    path = pathlib.Path("config.json")
    path.write_text(json.dumps(content))
    return {"deploy-config-file": str(path)}


config = written(
    computeType="aci", containerResourceRequirements={"cpu": 1, "memoryInGB": 1}, location="eastus2", tags={"a": "b"}
)
made = client.create_deployment(name, uri, config=config)
assert (made["name"], made["state"], made["flavor"], made["tags"]) == (name, "Healthy", "python_function", {"a": "b"})
assert [m["name"] for m in made["models"]] == [f"{name}-model"]
close(client.predict(name, rows))
close(client.predict(name, rows.values))
close(client.predict(name, {"a": rows.a.values, "b": rows.b.values}))
close(client.predict(name, {"dataframe_records": rows.to_dict("records")}))
close(client.predict(deployment_name=name, df=rows))

# What is wrong, in MLflow's terms
nothing = "runs:/0123456789abcdef0123456789abcdef/model"
refused("RESOURCE_ALREADY_EXISTS", "ServiceExists", create_deployment={"name": name, "model_uri": uri})
refused("RESOURCE_DOES_NOT_EXIST", "RunNotFound", create_deployment={"name": "other", "model_uri": nothing})
refused(
    "RESOURCE_DOES_NOT_EXIST", "ArtifactNotFound", "note.txt", "model",
    create_deployment={"name": "other", "model_uri": f"runs:/{run.info.run_id}/modle"},
)
refused(
    "INVALID_PARAMETER_VALUE", "ModelFolderInvalid", "MLmodel",
    create_deployment={"name": "other", "model_uri": f"runs:/{run.info.run_id}/note.txt"},
)
refused(
    "RESOURCE_DOES_NOT_EXIST", "ModelVersionNotFound",
    create_deployment={"name": "other", "model_uri": "models:/absent/1"},
)
refused(
    "INVALID_PARAMETER_VALUE", "ConfigUnknownKey", "'containerResourceRequirements'",
    create_deployment={
        "name": "other", "model_uri": uri, "config": written(computeType="aci", containerResourceRequirement={})
    },
)
refused(
    "INVALID_PARAMETER_VALUE", "'deploy-config-file'",
    create_deployment={"name": "other", "model_uri": uri, "config": {"deploy_config_file": "x"}},
)
refused(
    "RESOURCE_DOES_NOT_EXIST", "ComputeTargetNotFound", "aks-mlflow",
    create_deployment={
        "name": "other", "model_uri": uri, "config": written(computeType="aks", computeTargetName="aks-mlflow")
    },
)
refused("INVALID_PARAMETER_VALUE", "Bad_Name", create_deployment={"name": "Bad_Name", "model_uri": uri})
refused("INVALID_PARAMETER_VALUE", "flavor", create_deployment={"name": "other", "model_uri": uri, "flavor": "x"})
refused("INVALID_PARAMETER_VALUE", "EndpointsNotSupported",
        create_deployment={"name": "other", "model_uri": uri, "endpoint": "e"})
refused("RESOURCE_DOES_NOT_EXIST", "WebserviceNotFound", get_deployment={"name": "other"})
refused("RESOURCE_DOES_NOT_EXIST", "WebserviceNotFound", predict={"deployment_name": "other", "inputs": rows})
refused("RESOURCE_DOES_NOT_EXIST", "WebserviceNotFound", update_deployment={"name": "other", "model_uri": uri})
refused("INVALID_PARAMETER_VALUE", "b", predict={"deployment_name": name, "inputs": rows[["a"]]})
refused(
    "INVALID_PARAMETER_VALUE", "NotUpdatable",
    update_deployment={
        "name": name, "config": written(computeType="aci", containerResourceRequirements={"cpu": 2, "memoryInGB": 1})
    },
)
for call in ("create_endpoint", "get_endpoint", "update_endpoint", "delete_endpoint"):
    refused("INVALID_PARAMETER_VALUE", "EndpointsNotSupported", **{call: {
        "name" if call == "create_endpoint" else "endpoint": "e"
    }})
refused("INVALID_PARAMETER_VALUE", "EndpointsNotSupported", list_endpoints={})
assert not [m for m in ws.models if m == "other-model"]

# The registry, and an update
version = mlflow.register_model(uri, f"{name}-registered")
mlflow.MlflowClient().set_registered_model_alias(version.name, "champion", version.version)
changed = client.update_deployment(
    name, model_uri=f"models:/{version.name}@champion", config=written(computeType="aci", tags={"c": "d"})
)
assert [m["id"] for m in changed["models"]] == [f"{version.name}:1"] and changed["tags"] == {"c": "d"}
# The same version again is the same registered model.
client.update_deployment(name, model_uri=f"models:/{version.name}@champion")
assert client.get_deployment(name)["models"][0]["id"] == f"{version.name}:1"
close(client.predict(name, rows))
assert name in [d["name"] for d in client.list_deployments()]
client.delete_deployment(name)
client.delete_deployment(name)
assert name not in [d["name"] for d in client.list_deployments()]
print("done", mlflow.__version__, sys.version.split()[0])
"""
)

ENVIRONMENTS = {
    "mlflow 3 full": ("3.11", ["mlflow==3.*", "scikit-learn==1.6.1", "numpy==2.2.6", "pandas==2.2.3"]),
    "mlflow 2.22 full": ("3.10", ["mlflow==2.22.*", "scikit-learn==1.6.1", "numpy==2.2.6", "pandas==2.2.3"]),
    "mlflow 3 skinny": (
        "3.13",
        ["mlflow-skinny==3.*", "scikit-learn==1.6.1", "numpy==2.2.6", "pandas==2.2.3"],
    ),
    "mlflow 2.22 skinny": (
        "3.12",
        ["mlflow-skinny==2.22.*", "scikit-learn==1.6.1", "numpy==2.2.6", "pandas==2.2.3"],
    ),
}


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where environments with MLflow are made, once for all tests."""
    return tmp_path_factory.mktemp("mlflow-environments")


@pytest.mark.parametrize("which", ENVIRONMENTS)
def test_deployments_from_creation_to_deletion(
    server: RunningServer, environments: Path, tmp_path: Path, which: str
) -> None:
    python, packages = ENVIRONMENTS[which]
    client = MlflowClient(make_environment(environments, python, *packages), server, tmp_path)
    said = client.run(DEPLOYS, "by-mlflow-" + which.replace(" ", "").replace(".", "")[6:])
    assert said.strip().splitlines()[-1].startswith(f"done {packages[0].partition('==')[2].rstrip('.*')}")


def test_the_command_line_and_run_local(server: RunningServer, environments: Path, tmp_path: Path) -> None:
    python, packages = ENVIRONMENTS["mlflow 3 full"]
    client = MlflowClient(make_environment(environments, python, *packages), server, tmp_path)
    client.run(LOGS + "print(uri)", "unused")
    uri = client.run(LOGS + "print(uri)", "unused").split()[-1]
    config = {"subscription_id": "sub", "resource_group": "rg", "workspace_name": "ws"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "rows.json").write_text(json.dumps([{"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 0.0}]))

    def mlflow(*arguments: str) -> str:
        done = client.start("-m", "mlflow", "deployments", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    target = ["-t", "mooring", "--name", "by-command"]
    assert "deploy-config-file" in mlflow("help", "-t", "mooring")
    assert "by-command is created" in mlflow("create", *target, "-m", uri)
    assert "Healthy" in mlflow("get", *target)
    answer = json.loads(mlflow("predict", *target, "-I", "rows.json").strip().splitlines()[-1])
    assert len(answer["predictions"]) == 2
    assert "by-command" in mlflow("list", "-t", "mooring")
    mlflow("delete", *target)
    assert "by-command" not in mlflow("list", "-t", "mooring")
    said = mlflow("run-local", "-t", "mooring", "--name", "by-local", "-m", uri)
    assert "by-local answers at http://127.0.0.1:" in said
    bare = client.start(
        "-m", "mlflow", "deployments", "create", *target, "-m", uri, "-C", "deploy-config-fle=x"
    )
    assert bare.returncode != 0
    assert "deploy-config-file" in bare.stderr


ELSEWHERE = (
    LOGS
    + """
assert ws.get_mlflow_tracking_uri().startswith("mooring+http://")
version = mlflow.register_model(uri, f"{name}-registered")
mlflow.MlflowClient().set_registered_model_alias(version.name, "champion", version.version)
for source in (uri, f"models:/{version.name}@champion"):
    client.create_deployment(name, source)
    got = client.predict(name, rows).get_predictions().values.ravel()
    assert abs(got - wanted).max() < 1e-9, (got, wanted)
    client.delete_deployment(name)
print(run.info.run_id)
"""
)


def _occupied(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def mlflow_server(python: Path, folder: Path) -> Iterator[str]:
    """MLflow's own server, as its users start it; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir()
    command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", str(folder / "files")]
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("MOORING_", "MLFLOW_", "COV"))}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *places],
            cwd=folder,
            env={**variables, **QUIET, "PATH": f"{python.parent}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"

    def healthy() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            return httpx.get(f"{address}/health", timeout=30).status_code == 200
        except httpx.TransportError:
            return False

    try:
        eventually(healthy, "MLflow's server answers", 180)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        eventually(lambda: not _occupied(port), "its workers end")


def test_another_mlflow_server_tracks_and_mooring_deploys(environments: Path, tmp_path: Path) -> None:
    version, packages = ENVIRONMENTS["mlflow 3 full"]
    python = make_environment(environments, version, *packages)
    with mlflow_server(python, tmp_path / "elsewhere") as address:
        server = RunningServer(tmp_path / "home", variables={"MOORING_MLFLOW_TRACKING_URI": address}).start()
        try:
            assert server.client.put(WS, json={}).status_code == 201
            client = MlflowClient(python, server, tmp_path)
            run_id = client.run(ELSEWHERE, "elsewhere").split()[-1]
            assert not (server.home / "mlflow").exists()
            server.close()
        finally:
            kill_all(server.home)
    with closing(sqlite3.connect(tmp_path / "elsewhere" / "mlflow.db")) as database:
        found = database.execute("SELECT status FROM runs WHERE run_uuid = ?", (run_id,)).fetchall()
        assert found == [("FINISHED",)]
        assert database.execute("SELECT name, version FROM model_versions").fetchall() == [
            ("elsewhere-registered", 1)
        ]
    assert list((tmp_path / "elsewhere" / "files").rglob("MLmodel"))
