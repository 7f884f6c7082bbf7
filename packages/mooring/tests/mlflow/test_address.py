from __future__ import annotations

import json
from pathlib import Path

import pytest

from mooring.mlflow import address
from mooring.sdk.connection import Connection
from mooring.sdk.exceptions import UserErrorException

WHERE = "/subscriptions/sub/resourceGroups/r%20g/workspaces/ws"
AZURE = "/providers/Microsoft.MachineLearningServices/workspaces/ws"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server, no configuration, nothing known from other tests."""
    for name in ("MOORING_ENDPOINT", "MOORING_TOKEN", "MOORING_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MOORING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(address, "_known", {})


@pytest.mark.parametrize(
    ("uri", "endpoint"),
    [
        (f"mooring+http://127.0.0.1:8777/mooring/v1{WHERE}/mlflow", "http://127.0.0.1:8777"),
        (f"mooring+https://m.example{WHERE}", "https://m.example"),
        (f"mooring://localhost:1{WHERE}", "http://localhost:1"),
        (f"mooring://m.example{WHERE}", "https://m.example"),
        (f"azureml://eastus.api.azureml.ms/mlflow/v1.0{WHERE}?", None),
        (
            f"azureml://eastus.api.azureml.ms/mlflow/v2.0/subscriptions/sub/resourcegroups/r%20g{AZURE}",
            None,
        ),
    ],
)
def test_uris_name_server_and_workspace(uri: str, endpoint: str | None) -> None:
    assert address.parse(uri) == address.Place("sub", "r g", "ws", endpoint)
    assert address.is_ours(uri)


@pytest.mark.parametrize("uri", ["mooring", "mooring://", "mooring:/", "azureml"])
def test_bare_names_mean_config_json(uri: str) -> None:
    assert address.parse(uri) is None
    assert address.is_ours(uri)


@pytest.mark.parametrize("uri", ["mooring://m.example/", "mooring+http://h/subscriptions/s", "azureml://x/y"])
def test_uris_without_a_workspace_are_refused(uri: str) -> None:
    with pytest.raises(UserErrorException) as caught:
        address.parse(uri)
    assert caught.value.code == "TrackingUriInvalid"
    assert "get_mlflow_tracking_uri" in caught.value.hint


@pytest.mark.parametrize("uri", [None, "", "file:///x", "https://m.example", "sqlite:///x", "databricks"])
def test_other_uris_are_left_alone(uri: str | None) -> None:
    assert not address.is_ours(uri)


def test_a_token_goes_to_its_own_server_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert address.connection_of("https://m.example") == Connection("https://m.example")
    monkeypatch.setenv("MOORING_TOKEN", "secret")
    assert address.connection_of("https://m.example").token == "secret"

    monkeypatch.setenv("MOORING_ENDPOINT", "https://m.example/")
    assert address.connection_of("https://m.example").token == "secret"
    assert address.connection_of("https://other.example").token == ""

    monkeypatch.delenv("MOORING_ENDPOINT")
    monkeypatch.delenv("MOORING_TOKEN")
    settings = {
        "subscription_id": "s",
        "resource_group": "g",
        "workspace_name": "w",
        "endpoint": "https://m.example",
        "token": "kept",
    }
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert address.connection_of("https://m.example").token == "kept"
    assert address.connection_of("https://other.example").token == ""
    (tmp_path / "config.json").write_text('{"of": "something else"}')
    assert address.connection_of("https://m.example").token == ""
