from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import azureml
import azureml.core
import mooring
from azureml.core import _guard
from azureml.core.authentication import (
    ArmTokenAuthentication,
    AzureCliAuthentication,
    AzureMLTokenAuthentication,
    InteractiveLoginAuthentication,
    MsiAuthentication,
    ServicePrincipalAuthentication,
    TokenAuthentication,
)


def modules() -> list[str]:
    return [
        found.name
        for package in ("azureml.core", "azureml.exceptions")
        for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + ".")
    ]


@pytest.mark.parametrize("name", modules())
def test_every_name_that_is_promised_exists(name: str) -> None:
    module = importlib.import_module(name)
    promised = getattr(module, "__all__", [])
    for exported in promised:
        assert getattr(module, exported) is not None or exported == "PYTHON_DEFAULT_VERSION"


def test_importing_is_quick_and_leaves_heavy_packages_alone() -> None:
    code = (
        "import sys, azureml.core\nfrom azureml.core import Workspace, Model, Environment\n"
        "print(sorted({'httpx', 'yaml', 'rich', 'typer', 'asyncio', 'ssl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version_names_both() -> None:
    assert f"1.61.0+mooring{mooring.__version__}" == azureml.core.VERSION


def test_microsofts_package_beside_ours_is_refused() -> None:
    _guard.check("no-such-distribution")
    with pytest.raises(ImportError, match="pip uninstall") as caught:
        _guard.check("httpx")
    assert "azureml.core" in str(caught.value)


def test_the_namespace_is_shared() -> None:
    assert len(list(azureml.__path__)) >= 1


def test_authentication_classes_need_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORING_TOKEN", "t")
    plain = [
        InteractiveLoginAuthentication(force=True, tenant_id="x"),
        AzureCliAuthentication(),
        MsiAuthentication(identity_config={"client_id": "c"}),
        ServicePrincipalAuthentication("t", "id", "pw"),
        ServicePrincipalAuthentication(tenant_id="t", username="id", password="pw"),
    ]
    for auth in plain:
        assert auth.get_authentication_header() == {"Authorization": "Bearer t"}
        assert auth.get_token("scope").token == "t"
        assert auth.bearer() == ""
    session = AzureCliAuthentication().signed_session()
    assert session.headers["Authorization"] == "Bearer t"
    session.close()


def test_authentication_classes_that_carry_a_token() -> None:
    arm = ArmTokenAuthentication("a")
    arm.update_arm_access_token("b")
    assert arm.bearer() == "b"
    asked = TokenAuthentication(lambda audience: f"for {audience.value}")
    assert asked.get_token() == "for ARM"
    assert asked.get_authentication_header() == {"Authorization": "Bearer for ARM"}
    run = AzureMLTokenAuthentication.create("a", 1, "h", "s", "g", "w", "e", "r")
    run.set_token("c", 2)
    assert (run.token, run.expiry_time, run.bearer()) == ("c", 2, "c")
    assert run.get_authentication_header() == {"Authorization": "Bearer c"}
