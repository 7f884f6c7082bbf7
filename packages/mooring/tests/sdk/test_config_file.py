from __future__ import annotations

import json
from pathlib import Path

import pytest

from azureml.core import Workspace
from azureml.exceptions import UserErrorException
from mooring.sdk import config_file
from mooring.sdk.connection import configured

NAMES = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}


@pytest.mark.parametrize("place", [".azureml/config.json", "aml_config/config.json", "config.json"])
def test_places_from_below(here: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (here / place).parent.mkdir(exist_ok=True)
    (here / place).write_text(json.dumps(NAMES))
    (here / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(here / "a" / "b")
    assert config_file.find() == here / place
    assert config_file.find(str(here)) == here / place
    assert config_file.find(str(here / place)) == here / place


def test_nearer_and_hidden_first(here: Path) -> None:
    (here / ".azureml").mkdir()
    for place in (here / ".azureml" / "config.json", here / "config.json", here.parent / "config.json"):
        place.write_text("{}")
    assert config_file.find() == here / ".azureml" / "config.json"
    (here / "my.json").write_text("{}")
    assert config_file.find(None, "my.json") == here / "my.json"


@pytest.mark.parametrize(
    "data",
    [
        NAMES,
        {
            "Scope": "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
        },
        {"Id": "/subscriptions/s/resourcegroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"},
        {"Id": "//subscriptions/s/resourceGroups/g/workspaces/w/"},
    ],
)
def test_both_forms(here: Path, data: dict[str, str]) -> None:
    (here / "config.json").write_text("\ufeff" + json.dumps(data), encoding="utf-8")
    found = config_file.read(here / "config.json")
    assert (found.subscription_id, found.resource_group, found.workspace_name) == ("s", "g", "w")


@pytest.mark.parametrize(
    ("text", "word"),
    [("{", "JSON"), ("[]", "object"), ('{"subscription_id": "s"}', "workspace_name"), ('{"Id": "/x"}', "id")],
)
def test_wrong_files_say_what_is_wrong(here: Path, text: str, word: str) -> None:
    (here / "config.json").write_text(text)
    with pytest.raises(UserErrorException, match=word) as caught:
        Workspace.from_config()
    assert caught.value.code == "ConfigInvalid"


def test_none_says_where_it_looked(here: Path) -> None:
    with pytest.raises(UserErrorException) as caught:
        Workspace.from_config()
    assert caught.value.code == "ConfigNotFound"
    assert str(here / ".azureml" / "config.json") in str(caught.value)
    assert "write_config" in caught.value.hint


def test_writing(here: Path) -> None:
    assert config_file.write(None, None, {"a": 1}) == here / ".azureml" / "config.json"
    assert config_file.write(str(here / "x"), "c.json", {"a": 1}) == here / "x" / ".azureml" / "c.json"
    assert config_file.write(str(here / ".azureml"), None, {"a": 2}) == here / ".azureml" / "config.json"


def test_which_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured() is None
    file = {"endpoint": "http://h:1/", "token": "f"}
    connection = configured(file)
    assert connection is not None
    assert (connection.endpoint, connection.token, connection.local) == ("http://h:1", "f", False)
    assert configured({"endpoint": "http://h:1"}, "auth").token == "auth"  # type: ignore[union-attr]
    monkeypatch.setenv("MOORING_ENDPOINT", "http://env:2")
    monkeypatch.setenv("MOORING_TOKEN", "e")
    connection = configured(file)
    assert connection is not None
    assert (connection.endpoint, connection.token) == ("http://env:2", "e")
