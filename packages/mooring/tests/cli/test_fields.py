from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.cli import deployment_file, fields, inference_file
from mooring.cli.failures import CliError


def test_aci_becomes_the_arguments_of_deploy_configuration() -> None:
    name, arguments = deployment_file.parse(
        {
            "computeType": "ACI",
            "containerResourceRequirements": {"cpu": 0.5, "memoryInGB": 1.0},
            "authEnabled": True,
            "sslEnabled": None,
            "tags": {"team": "risk"},
            "keys": {"primaryKey": "abc"},
            "dnsNameLabel": "risk",
        },
        "dc.json",
    )
    assert name == "AciWebservice"
    assert arguments == {
        "cpu_cores": 0.5,
        "memory_gb": 1.0,
        "auth_enabled": True,
        "tags": {"team": "risk"},
        "primary_key": "abc",
        "dns_name_label": "risk",
    }


def test_aks_and_local() -> None:
    name, arguments = deployment_file.parse(
        {
            "computeType": "aks",
            "computeTargetName": "cluster",
            "autoScaler": {
                "autoscaleEnabled": True,
                "minReplicas": 1,
                "maxReplicas": 3,
                "targetUtilization": 70,
            },
            "livenessProbeRequirements": {"initialDelaySeconds": 310},
            "containerResourceRequirements": {"cpu": 1, "cpuLimit": 2},
        },
        "dc.json",
    )
    assert name == "AksWebservice"
    assert arguments["autoscale_target_utilization"] == 70
    assert arguments["initial_delay_seconds"] == 310
    assert arguments["cpu_cores_limit"] == 2
    assert deployment_file.parse({"computeType": "local", "port": 32267}, "x") == (
        "LocalWebservice",
        {"port": 32267},
    )


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (
            {"computeType": "aci", "containerResourceRequirement": {}},
            "ConfigUnknownKey",
            "containerResourceRequirements",
        ),
        (
            {"computeType": "aci", "containerResourceRequirements": {"memoryInGb": 1}},
            "ConfigUnknownKey",
            "memoryInGB",
        ),
        ({"computeType": "aci", "auth_enabled": True}, "ConfigUnknownKey", "authEnabled"),
        ({"computeType": "aci", "authEnabled": "yes"}, "ConfigWrongType", 'true or false, got "yes"'),
        ({"computeType": "aci", "containerResourceRequirements": 2}, "ConfigWrongType", "an object, got 2"),
        ({"computeType": "aks", "numReplicas": 1.5}, "ConfigWrongType", "a whole number"),
        ({"computeType": "aks", "numReplicas": True}, "ConfigWrongType", "a whole number"),
        ({"computeType": "functions"}, "ComputeTypeUnknown", "'functions' is not known"),
        ({"port": 1}, "ComputeTypeUnknown", "missing"),
        ({"ComputeType": "aci"}, "ConfigUnknownKey", "computeType"),
        ({"computeType": "local", "authEnabled": True}, "ConfigUnknownKey", "port"),
    ],
)
def test_mistakes_in_a_deployment_configuration(data: dict[str, Any], code: str, says: str) -> None:
    with pytest.raises(CliError) as caught:
        deployment_file.parse(data, "dc.json")
    assert caught.value.code == code
    assert says in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.message.startswith("dc.json")


def test_inference_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "score.py").touch()
    (tmp_path / "env.yml").touch()
    arguments = inference_file.parse(
        {"entryScript": "score.py", "runtime": "python", "condaFile": "env.yml", "enableGpu": False},
        "ic.json",
        folder,
    )
    assert arguments == {
        "entry_script": str(folder / "score.py"),
        "runtime": "python",
        "conda_file": "env.yml",
        "enable_gpu": False,
    }
    arguments = inference_file.parse(
        {
            "entryScript": "score.py",
            "sourceDirectory": "config",
            "environment": {"name": "e", "version": "2"},
        },
        "ic.json",
        tmp_path,
    )
    assert arguments["source_directory"] == "config"
    assert arguments["entry_script"] == "score.py"
    assert arguments["environment"] == {"name": "e", "version": "2"}


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        ({}, "EntryScriptMissing", "entryScript"),
        ({"entryscript": "score.py"}, "ConfigUnknownKey", "entryScript"),
        ({"entryScript": 3}, "ConfigWrongType", "text, got 3"),
        ({"entryScript": "s.py", "environment": {}, "runtime": "python"}, "EnvironmentAmbiguous", "runtime"),
        ({"entryScript": "s.py", "runtime": "ruby"}, "RuntimeUnknown", "python"),
        ({"entryScript": "s.py", "baseImageRegistry": {"adress": "x"}}, "ConfigUnknownKey", "address"),
    ],
)
def test_mistakes_in_an_inference_configuration(
    data: dict[str, Any], code: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(CliError) as caught:
        inference_file.parse(data, "ic.json", tmp_path)
    assert caught.value.code == code
    assert says in f"{caught.value.message} {caught.value.hint}"


def test_json_and_yaml_are_read_and_syntax_errors_point_at_the_place(tmp_path: Path) -> None:
    good = tmp_path / "dc.yml"
    good.write_text("computeType: aci\ncontainerResourceRequirements:\n  cpu: 1\n")
    assert deployment_file.parse_file(good) == ("AciWebservice", {"cpu_cores": 1})
    for name, text, line in [
        ("a.json", '{\n "a": 1,\n "b" 2\n}', 3),
        ("a.yml", "a: 1\nb: [1\nc: 2\n", 3),
    ]:
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(CliError) as caught:
            fields.load(path, "deployment configuration")
        assert caught.value.code == "ConfigFileSyntax"
        assert f"line {line}" in caught.value.message
        assert "^" in caught.value.evidence["source"]
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(CliError, match="expected an object, got a list"):
        fields.load(tmp_path / "list.json", "x")
    with pytest.raises(CliError) as caught:
        fields.load(tmp_path / "none.json", "inference configuration")
    assert caught.value.code == "ConfigFileNotFound"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
keys = (
    st.sampled_from([*deployment_file.AKS, "computeType", "containerResourceRequirements", "autoScaler"])
    | st.text()
)


@given(st.dictionaries(keys, json_values), st.sampled_from(["aci", "aks", "local"]))
def test_any_object_is_understood_or_refused_with_a_place(data: dict[str, Any], compute: str) -> None:
    data["computeType"] = compute
    try:
        _, arguments = deployment_file.parse(json.loads(json.dumps(data)), "dc.json")
    except CliError as error:
        refused = error
    else:
        assert all(value is not None for value in arguments.values())
        return
    assert refused.message.startswith("dc.json")
    assert refused.hint
