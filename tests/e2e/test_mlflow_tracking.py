"""The embedded tracking server: behind the server's tokens and roles, a store for each workspace, and hard to hurt."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mlflow_support import API, FILES, OTHER, MlflowClient, begin, get
from support import WS, RunningServer, eventually, kill_all, processes_below

from mooring.sdk.exceptions import AzureMLException
from mooring.sdk.workspace import Workspace

TRACKS = """
import mlflow, os, pathlib
from azureml.core import Workspace

ws = Workspace("sub", "rg", "ws")
mlflow.set_tracking_uri(ws.get_mlflow_tracking_uri())
with mlflow.start_run() as unnamed:
    pass
assert mlflow.get_experiment(unnamed.info.experiment_id).name == "Default"
mlflow.set_experiment("by-mlflow")
folder = pathlib.Path("files/sub")
folder.mkdir(parents=True, exist_ok=True)
(folder / "b c.txt").write_text("below")
pathlib.Path("files/a.bin").write_bytes(os.urandom(4_000_000))
with mlflow.start_run() as run:
    mlflow.log_metric("mse", 1.5)
    mlflow.log_param("alpha", "0.3")
    mlflow.log_artifacts("files", "all")
client = mlflow.MlflowClient()
again = client.get_run(run.info.run_id)
assert again.data.metrics == {"mse": 1.5} and again.data.params == {"alpha": "0.3"}
assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["all"]
assert [f.path for f in client.list_artifacts(run.info.run_id, "all")] == ["all/a.bin", "all/sub"]
assert client.list_artifacts(run.info.run_id, "all/a.bin") == []
fetched = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="all"))
assert (fetched / "a.bin").read_bytes() == pathlib.Path("files/a.bin").read_bytes()
assert (fetched / "sub" / "b c.txt").read_text() == "below"
# Existing scripts name Azure's host; the configuration says who answers for it.
mlflow.set_tracking_uri(
    "azureml://eastus.api.azureml.ms/mlflow/v1.0/subscriptions/sub/resourceGroups/rg"
    "/providers/Microsoft.MachineLearningServices/workspaces/ws?"
)
assert mlflow.get_run(run.info.run_id).info.run_id == run.info.run_id
print(run.info.run_id)
"""


RUNS = """
import io, os, pathlib
import mlflow
from azureml.core import Experiment, Model, Run, Workspace
from azureml.exceptions import UserErrorException, WebserviceException

ws = Workspace("sub", "rg", "ws")
before = mlflow.get_tracking_uri()
experiment = Experiment(ws, "by-azure")
run = experiment.start_logging(display_name="first")
run.log("alpha", 0.03)
run.log("mse", 2)
run.log("mse", 1)
run.log_list("losses", [3, 2.5, 1])
run.log_row("point", x=1, y=2)
run.tag("quality", "good")
assert run.get_metrics() == {
    "alpha": 0.03, "mse": [2, 1], "losses": [3, 2.5, 1], "point.x": 1, "point.y": 2
}, run.get_metrics()
assert run.get_metrics("alpha") == {"alpha": 0.03}
assert run.get_tags() == {"quality": "good"} and run.status == "Running"
pathlib.Path("local.bin").write_bytes(b"weights")
pathlib.Path("parts").mkdir()
pathlib.Path("parts/p.txt").write_text("p")
run.upload_file("outputs/model.pkl", "local.bin")
run.upload_file(name="outputs/s.txt", path_or_stream=io.BytesIO(b"streamed"))
run.upload_folder("more", "parts")
assert run.get_file_names() == ["more/p.txt", "outputs/model.pkl", "outputs/s.txt"], run.get_file_names()
run.download_file("outputs/s.txt", "fetched.txt")
assert pathlib.Path("fetched.txt").read_bytes() == b"streamed"
one = run.register_model("from-run", "outputs/model.pkl", tags={"a": "b"})
assert (one.run_id, one.experiment_name, one.tags) == (run.id, "by-azure", {"a": "b"})
assert [f["path"] for f in one.files] == ["model.pkl"]
both = run.register_model(model_name="outputs")
assert sorted(f["path"] for f in both.files) == ["outputs/model.pkl", "outputs/s.txt"]
assert [m.id for m in Model.list(ws, run_id=run.id)] == ["outputs:1", "from-run:1"]
for call, code in (
    (lambda: run.register_model("x", "outputs/modle.pkl"), "ArtifactNotFound"),
    (lambda: run.upload_file("a", "absent"), "ArtifactPathNotFound"),
    (lambda: run.upload_file("../../a", "local.bin"), "InvalidPath"),
    (lambda: run.log("name", "a text"), "MetricNotNumber"),
    (lambda: Experiment(ws, "no good"), "InvalidName"),
    (lambda: Run.get(ws, "0123456789abcdef0123456789abcdef"), "RunNotFound"),
):
    try:
        call()
    except (UserErrorException, WebserviceException) as error:
        assert error.code == code, (code, str(error))
    else:
        raise AssertionError(code)
run.complete()
assert run.get_status() == "Completed"
assert Run.get(ws, run.id).experiment.name == "by-azure"
try:
    with experiment.start_logging() as failing:
        raise KeyError("gone wrong")
except KeyError:
    assert failing.status == "Failed" and "gone wrong" in failing.get_tags()["error"]
assert [r.id for r in experiment.get_runs()] == [failing.id, run.id]
assert [r.id for r in experiment.get_runs(tags={"quality": "good"})] == [run.id]
# It is a run of MLflow's, and what the script does with MLflow is left as it is.
assert mlflow.get_tracking_uri() == before
mlflow.set_tracking_uri(ws.get_mlflow_tracking_uri())
assert mlflow.get_run(run.id).data.params == {} and mlflow.get_run(run.id).info.run_name == "first"
with mlflow.start_run(run_id=failing.id):
    mlflow.log_metric("later", 1)
assert failing.get_metrics() == {"later": 1}
"""


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose tracking server is up, with the workspaces ws and other."""
    server = RunningServer(tmp_path_factory.mktemp("tracked") / "home").start()
    try:
        for workspace in (WS, OTHER):
            assert server.client.put(workspace, json={}).status_code == 201
        yield server
        server.close()
    finally:
        kill_all(server.home)


def process_of(server: RunningServer) -> int:
    """The tracking server's process."""
    (found,) = processes_below(server.home / "mlflow")
    return found


def test_mlflow_tracks_and_its_files_go_through(tracked: RunningServer, tmp_path: Path) -> None:
    client = MlflowClient(Path(sys.executable), tracked, tmp_path)
    run_id = client.run(TRACKS).split()[-1]
    run = get(tracked, {"run_id": run_id}).json()["run"]
    assert run["info"]["status"] == "FINISHED"
    lies = [path.name for path in (tracked.home / "mlflow" / "artifacts").rglob("*") if path.is_file()]
    assert "a.bin" in lies


@pytest.mark.azureml(
    "Experiment",
    "Experiment.start_logging",
    "Experiment.get_runs",
    "Experiment.name",
    "Experiment.workspace",
    "Run",
    "Run.complete",
    "Run.download_file",
    "Run.experiment",
    "Run.fail",
    "Run.get",
    "Run.get_file_names",
    "Run.get_metrics",
    "Run.get_status",
    "Run.get_tags",
    "Run.id",
    "Run.log",
    "Run.log_list",
    "Run.log_row",
    "Run.register_model",
    "Run.status",
    "Run.tag",
    "Run.tags",
    "Run.upload_file",
    "Run.upload_folder",
    "Workspace.get_mlflow_tracking_uri",
)
def test_azures_runs_are_runs_of_mlflows(tracked: RunningServer, tmp_path: Path) -> None:
    MlflowClient(Path(sys.executable), tracked, tmp_path).run(RUNS)


def test_a_workspace_sees_nothing_of_another(tracked: RunningServer) -> None:
    mine, theirs = begin(tracked), begin(tracked, OTHER)
    path = mine["artifact_uri"].partition(":/")[2] + "/secret.txt"
    assert tracked.client.put(f"{WS}{FILES}/{path}", content=b"mine").status_code == 200
    assert tracked.client.get(f"{WS}{FILES}/{path}").content == b"mine"

    assert get(tracked, theirs, OTHER).status_code == 200
    assert get(tracked, mine, OTHER).json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    answer = tracked.client.get(f"{OTHER}{FILES}/{path}")
    assert answer.status_code in {400, 404}
    assert answer.json()["error_code"] in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
    # Whatever a client says about itself, its workspace is the one its path names.
    named = {"X-MLFLOW-WORKSPACE": tracked.client.get(WS).json()["workspaceid"]}
    asked = {"run_id": mine["run_id"]}
    spoofed = tracked.client.get(f"{OTHER}{API}/runs/get", params=asked, headers=named)
    assert spoofed.status_code == 404


def test_a_deleted_workspace_takes_its_runs_along(tracked: RunningServer) -> None:
    gone = OTHER + "-gone"
    tracked.client.put(gone, json={})
    run = begin(tracked, gone)
    path = run["artifact_uri"].partition(":/")[2] + "/a"
    assert tracked.client.put(f"{gone}{FILES}/{path}", content=b"a").status_code == 200
    uid = tracked.client.get(gone).json()["workspaceid"]
    folder = tracked.home / "mlflow" / "artifacts" / "workspaces" / uid
    assert folder.exists()
    assert tracked.client.delete(gone).status_code == 204
    assert not folder.exists()
    assert not list((tracked.home / "mlflow" / "forgotten").iterdir())
    tracked.client.put(gone, json={})
    assert get(tracked, run, gone).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["%2e%2e/%2e%2e/mlflow.db", "a/%2e%2e/%2e%2e/mlflow.db", "%2Fetc/passwd", "/etc/passwd", "a/%2e/b"],
)
def test_artifacts_lie_below_their_root(tracked: RunningServer, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        url = httpx.URL(f"{tracked.url}{WS}{FILES}/x").copy_with(raw_path=f"{WS}{FILES}/{path}".encode())
        answer = tracked.client.request(method, url)
        assert answer.status_code in {400, 404}, (method, answer.text)
        assert answer.json()["error"]["code"] in {"InvalidName", "TrackingRouteClosed"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/mlflow/api/3.0/mlflow/workspaces"),
        ("DELETE", "/mlflow/api/3.0/mlflow/workspaces/x"),
        ("POST", "/mlflow/api/3.0/mlflow/gateway/secrets/create"),
        ("POST", "/mlflow/api/2.0/mlflow/webhooks"),
        ("GET", "/mlflow/api/2.0/mlflow/artifacts/list"),
        ("GET", "/mlflow/get-artifact"),
        ("POST", "/mlflow/graphql"),
        ("POST", "/mlflow/api/2.0/mlflow-artifacts/mpu/create/x"),
        ("POST", "/mlflow/ajax-api/2.0/mlflow/runs/create"),
    ],
)
def test_other_routes_of_mlflow_are_closed(tracked: RunningServer, method: str, path: str) -> None:
    answer = tracked.client.request(method, WS + path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "TrackingRouteClosed"
    assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_tokens_and_roles_hold(tracked: RunningServer) -> None:
    run = begin(tracked)
    body = {
        "name": "reader",
        "role": "reader",
        "workspaces": [{"subscription": "sub", "resourceGroup": "rg", "name": "ws"}],
    }
    token = tracked.client.post("/mooring/v1/tokens", json=body).json()["token"]
    with httpx.Client(base_url=tracked.url, headers={"Authorization": f"Bearer {token}"}) as reader:
        asked = {"run_id": run["run_id"]}
        assert reader.get(f"{WS}{API}/runs/get", params=asked).status_code == 200
        assert reader.post(f"{WS}{API}/runs/search", json={"experiment_ids": ["0"]}).status_code == 200
        for method, path in (
            ("POST", f"{WS}{API}/runs/create"),
            ("POST", f"{WS}{API}/runs/log-metric"),
            ("PUT", f"{WS}{FILES}/x/y"),
            ("DELETE", f"{WS}{API}/registered-models/delete"),
            ("GET", f"{OTHER}{API}/runs/get"),
        ):
            refused = reader.request(method, path, json={})
            assert refused.status_code == 403, (method, path)
            assert refused.json()["error_code"] == "PERMISSION_DENIED"
            assert "contributor" in refused.json()["message"] or OTHER in path
    with httpx.Client(base_url=tracked.url) as nobody:
        refused = nobody.get(f"{WS}{API}/runs/get", params=asked)
        assert (refused.status_code, refused.json()["error_code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.full
def test_another_tracking_server_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = {"MOORING_MLFLOW_TRACKING_URI": "https://mlflow.example/root/"}
    server = RunningServer(tmp_path / "home", variables=elsewhere).start()
    try:
        server.client.put(WS, json={})
        assert server.client.get(f"{WS}/mlflow").json() == {"trackingUri": "https://mlflow.example/root"}
        assert server.client.get(f"{WS}{API}/runs/get").status_code == 404
        monkeypatch.setenv("MOORING_HOME", str(server.home))
        assert Workspace("sub", "rg", "ws").get_mlflow_tracking_uri().startswith("mooring+http://")
        assert not (server.home / "mlflow").exists()
        server.close()
    finally:
        kill_all(server.home)


@pytest.mark.full
def test_a_server_without_mlflow_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    # As if it were not installed: nothing of the name can be found.
    (bare / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'mlflow' else find(name, *rest)\n"
    )
    server = RunningServer(tmp_path / "home", variables={"PYTHONPATH": str(bare)}).start()
    try:
        server.client.put(WS, json={})
        monkeypatch.setenv("MOORING_HOME", str(server.home))
        with pytest.raises(AzureMLException) as caught:
            Workspace("sub", "rg", "ws").get_mlflow_tracking_uri()
        assert caught.value.code == "TrackingServerNotInstalled"
        assert "mooring-server[mlflow]" in caught.value.hint
        answer = server.client.get(f"{WS}{API}/runs/get")
        assert (answer.status_code, answer.json()["error_code"]) == (501, "FEATURE_DISABLED")
        server.close()
    finally:
        kill_all(server.home)


@pytest.mark.full
def test_a_killed_tracking_server_loses_nothing_it_acknowledged(tracked: RunningServer) -> None:
    run = begin(tracked)
    path = run["artifact_uri"].partition(":/")[2] + "/kept.bin"
    content = os.urandom(3_000_000)
    for step in range(20):
        body = {"run_id": run["run_id"], "key": "loss", "value": step, "timestamp": 1, "step": step}
        assert tracked.client.post(f"{WS}{API}/runs/log-metric", json=body).status_code == 200
    assert tracked.client.put(f"{WS}{FILES}/{path}", content=content).status_code == 200
    before = process_of(tracked)
    os.kill(before, signal.SIGKILL)

    def history() -> httpx.Response:
        asked = {"run_id": run["run_id"], "metric_key": "loss"}
        return tracked.client.get(f"{WS}{API}/metrics/get-history", params=asked)

    # A request that meets the dying process is told to come again, as MLflow's client does by itself.
    answer = eventually(lambda: found if (found := history()).status_code == 200 else None, "it is back", 60)
    assert [metric["step"] for metric in answer.json()["metrics"]] == list(range(20))
    assert tracked.client.get(f"{WS}{FILES}/{path}").content == content
    assert process_of(tracked) != before


@pytest.mark.full
def test_a_killed_server_takes_the_tracking_server_with_it(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "home").start()
    try:
        server.client.put(WS, json={})
        run = begin(server)
        assert process_of(server)
        server.kill()
        eventually(lambda: not processes_below(server.home / "mlflow"), "the tracking server ends")
        server.start()
        assert get(server, run).json()["run"]["info"]["run_id"] == run["run_id"]
        server.client.close()
        assert server.stop() == 0
        assert not processes_below(server.home / "mlflow")
    finally:
        kill_all(server.home)
