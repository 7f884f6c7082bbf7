"""The HTTPS port for `az`, and `mooring az-setup` where there is no `az`."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import RunningServer

MOORING = str(Path(sys.executable).with_name("mooring"))
DISCOVERY = "/metadata/endpoints?api-version=2022-09-01"


def found(endpoint: dict[str, Any]) -> dict[str, Any]:
    """What a client hears that trusts the CA and nobody else."""
    trust = ssl.create_default_context(cadata=endpoint["certificateAuthority"])
    with httpx.Client(verify=trust, timeout=60) as client:
        answer: dict[str, Any] = client.get(endpoint["endpoint"] + DISCOVERY).json()
    return answer


def test_the_port_opens_on_request_and_stays(own_server: RunningServer) -> None:
    opened = own_server.client.put("/mooring/v1/az").json()
    assert opened["endpoint"].startswith("https://localhost:")
    assert found(opened)["resourceManager"] == opened["endpoint"]
    assert own_server.client.put("/mooring/v1/az").json() == opened
    for name in ("ca.key", "server.key"):
        assert (own_server.home / "az" / name).stat().st_mode & 0o777 == 0o600
    assert own_server.stop() == 0
    own_server.start()
    # Nobody asked: the registration names the port, so that it is there with the server.
    assert found(opened)["resourceManager"] == opened["endpoint"]
    assert own_server.client.put("/mooring/v1/az").json() == opened
    assert own_server.client.delete("/mooring/v1/az").status_code == 204
    with pytest.raises(httpx.TransportError):
        found(opened)
    # The CA is the same when it is opened again: those who trust it need not be told anew.
    again = own_server.client.put("/mooring/v1/az").json()
    assert again["certificateAuthority"] == opened["certificateAuthority"]
    assert found(again)["resourceManager"] == again["endpoint"]


def test_setup_without_az(server: RunningServer, tmp_path: Path) -> None:
    variables = {**os.environ, "MOORING_HOME": str(server.home), "PATH": str(tmp_path)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [MOORING, "az-setup", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=240
        )

    refused = run()
    assert refused.returncode == 1
    assert "AzNotInstalled" in refused.stderr
    shown = run("--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "az cloud register --name mooring" in shown.stderr
    assert "--password TOKEN" in shown.stderr
    assert run("--remove", "--dry-run").returncode == 0
    assert server.client.get("/mooring/v1/tokens").json()["value"] == [
        token
        for token in server.client.get("/mooring/v1/tokens").json()["value"]
        if not token["name"].startswith("az-")
    ]
