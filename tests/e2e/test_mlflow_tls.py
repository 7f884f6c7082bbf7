"""MLflow's client and a server with TLS, whose certificate a CA of its own has signed."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from mlflow_support import MlflowClient
from sklearn.linear_model import Ridge
from support import WS, RunningServer, kill_all
from test_mlflow_model import X, save

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

# The model's folder is in the working directory; what is logged first are its files.
WORKS = """
import os, pathlib, sys
import mlflow
from mlflow.deployments import get_deploy_client
from azureml.core import Experiment, Workspace

ws = Workspace("sub", "rg", "ws")
uri = ws.get_mlflow_tracking_uri()
assert uri.startswith("mooring+https://"), uri
mlflow.set_tracking_uri(uri)
mlflow.set_experiment("tls")
with mlflow.start_run() as run:
    mlflow.log_metric("mse", 1.5)
    mlflow.log_artifacts("ridge", "model")
client = mlflow.MlflowClient()
assert client.get_run(run.info.run_id).data.metrics == {"mse": 1.5}
fetched = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="model"))
assert (fetched / "model.pkl").read_bytes() == pathlib.Path("ridge/model.pkl").read_bytes()
name = sys.argv[1]
client.create_registered_model(name)
client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
client.set_registered_model_alias(name, "champion", "1")
azures = Experiment(ws, "tls").start_logging()
azures.log("mse", 2)
azures.complete()
assert mlflow.get_run(azures.id).data.metrics == {"mse": 2}
if len(sys.argv) > 2:
    target = get_deploy_client(uri)
    made = target.create_deployment(name, f"models:/{name}@champion")
    assert made["state"] == "Healthy" and [m["id"] for m in made["models"]] == [f"{name}:1"]
    answer = target.predict(name, {"inputs": [[1.0, 2.0], [3.0, 5.0]]})
    assert len(answer.get_predictions()) == 2
    assert name in [d["name"] for d in target.list_deployments()]
    target.delete_deployment(name)
print("done")
"""


def serve(folder: Path, authority: trustme.CA, *names: str) -> RunningServer:
    """A server whose certificate is for ``names``."""
    issued = authority.issue_cert(*names)
    (folder / "server.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (folder / "server.key").write_bytes(issued.private_key_pem.bytes())
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    trust.check_hostname = "127.0.0.1" in names
    arguments = ("--tls-cert", str(folder / "server.pem"), "--tls-key", str(folder / "server.key"))
    return RunningServer(folder / "home", *arguments, verify=trust).start()


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(made.cert_pem.bytes())
    return made


@pytest.fixture
def client(tmp_path: Path, authority: trustme.CA) -> Iterator[MlflowClient]:
    """The client of a server that has a workspace."""
    server = serve(tmp_path, authority, "127.0.0.1")
    save(tmp_path / "ridge", Ridge().fit(X, X[:, 0]))
    try:
        assert server.client.put(WS, json={}).status_code == 201
        yield MlflowClient(Path(sys.executable), server, tmp_path)
        server.close()
    finally:
        kill_all(server.home)


def test_all_of_it_by_tls(client: MlflowClient, tmp_path: Path) -> None:
    bundle = str(tmp_path / "ca.pem")
    # From another machine: the server is named, and its CA.
    named = {
        "MOORING_ENDPOINT": client.server.url,
        "MOORING_TOKEN": client.server.token,
        "MOORING_HOME": str(tmp_path / "nothing"),
    }
    assert client.run(WORKS, "by-bundle", "deploy", MOORING_CA_BUNDLE=bundle, **named).endswith("done\n")
    assert client.run(WORKS, "by-openssl", SSL_CERT_FILE=bundle, **named).endswith("done\n")
    # On the server's machine only the CA has to be named.
    assert client.run(WORKS, "by-home", MOORING_CA_BUNDLE=bundle).endswith("done\n")
    assert client.run(WORKS, "by-home-openssl", SSL_CERT_FILE=bundle).endswith("done\n")

    def refused(**variables: str) -> str:
        done = client.start(str(tmp_path / "script.py"), "refused", **variables)
        assert done.returncode == 1, done.stdout
        assert "CertificateNotTrusted" in done.stderr, done.stderr
        return done.stderr

    assert "MOORING_CA_BUNDLE" in refused(**named)
    (tmp_path / "other.pem").write_bytes(trustme.CA().cert_pem.bytes())
    assert "MOORING_CA_BUNDLE" in refused(MOORING_CA_BUNDLE=str(tmp_path / "other.pem"), **named)


def test_a_certificate_that_is_signed_by_itself(tmp_path: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=here"]
    files = ["-keyout", str(tmp_path / "server.key"), "-out", str(tmp_path / "server.pem")]
    subprocess.run(
        [*command, *files, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True
    )
    trust = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
    arguments = ("--tls-cert", str(tmp_path / "server.pem"), "--tls-key", str(tmp_path / "server.key"))
    server = RunningServer(tmp_path / "home", *arguments, verify=trust).start()
    save(tmp_path / "ridge", Ridge().fit(X, X[:, 0]))
    try:
        assert server.client.put(WS, json={}).status_code == 201
        client = MlflowClient(Path(sys.executable), server, tmp_path)
        assert client.run(WORKS, "by-itself").endswith("done\n")
        server.close()
    finally:
        kill_all(server.home)


def test_a_certificate_for_another_name_is_explained(tmp_path: Path, authority: trustme.CA) -> None:
    server = serve(tmp_path, authority, "models.example")
    try:
        assert server.client.put(WS, json={}).status_code == 201
        client = MlflowClient(Path(sys.executable), server, tmp_path)
        (tmp_path / "script.py").write_text(WORKS)
        done = client.start(str(tmp_path / "script.py"), "elsewhere")
        assert done.returncode == 1, done.stdout
        assert "MlflowException" in done.stderr
        assert "MLflow's client cannot check the certificate" in done.stderr
        assert "MOORING_ENDPOINT" in done.stderr
        server.close()
    finally:
        kill_all(server.home)
