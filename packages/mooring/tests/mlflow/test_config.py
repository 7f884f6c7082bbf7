from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mooring.cli.failures import CliError
from mooring.mlflow.config import parse
from mooring.sdk.aci import AciServiceDeploymentConfiguration


def written(folder: Path, content: Any) -> dict[str, str]:
    path = folder / "deploy.json"
    path.write_text(json.dumps(content))
    return {"deploy-config-file": str(path)}


@pytest.mark.parametrize("config", [None, {}, {"async": False}])
def test_without_a_file_it_is_aci(config: dict[str, Any] | None) -> None:
    asked = parse(config)
    assert (asked.kind, asked.wait) == ("AciWebservice", True)
    assert isinstance(asked.build(), AciServiceDeploymentConfiguration)


def test_the_articles_file(tmp_path: Path) -> None:
    content = {
        "computeType": "aci",
        "containerResourceRequirements": {"cpu": 1, "memoryInGB": 1},
        "location": "eastus2",
    }
    built = parse(written(tmp_path, content)).build()
    assert (built.cpu_cores, built.memory_gb, built.location) == (1, 1, "eastus2")
    aks = parse(written(tmp_path, {"computeType": "aks", "computeTargetName": "aks-mlflow"})).build()
    assert aks.compute_target_name == "aks-mlflow"


@pytest.mark.parametrize(("text", "wait"), [("true", False), ("True", False), (True, False), ("false", True)])
def test_the_command_line_gives_texts(text: Any, wait: bool) -> None:
    assert parse({"async": text}).wait is wait


@pytest.mark.parametrize(
    ("config", "code", "word"),
    [
        ({"deploy_config_file": "x"}, "ConfigUnknownKey", "'deploy-config-file'"),
        ({"asynch": True}, "ConfigUnknownKey", "'async'"),
        ({"async": "perhaps"}, "ConfigWrongType", "perhaps"),
        ({"endpoint-config-file": "x"}, "EndpointsNotSupported", "no endpoints"),
        ({"deploy-config-file": "absent.json"}, "ConfigFileNotFound", "absent.json"),
        ({"computeType": "acu"}, "ComputeTypeUnknown", "acu"),
        ({"location": "eastus2"}, "ComputeTypeUnknown", "missing"),
        ({"computeType": "aci", "containerResourceRequirement": {}}, "ConfigUnknownKey", "Requirements"),
        ({"computeType": "aci", "containerResourceRequirements": {"cpus": 1}}, "ConfigUnknownKey", "'cpu'"),
        (
            {"computeType": "aci", "containerResourceRequirements": {"cpu": "1"}},
            "ConfigWrongType",
            "a number",
        ),
        ({"computeType": "aci", "computeTargetName": "x"}, "ConfigUnknownKey", "computeTargetName"),
    ],
)
def test_mistakes_are_named_where_they_stand(
    tmp_path: Path, config: dict[str, Any], code: str, word: str
) -> None:
    options = any(key in config for key in ("deploy_config_file", "asynch", "async", "endpoint-config-file"))
    given = config if options or "deploy-config-file" in config else written(tmp_path, config)
    with pytest.raises(CliError) as caught:
        parse(given)
    assert caught.value.code == code
    assert word in f"{caught.value.message} {caught.value.hint}"
