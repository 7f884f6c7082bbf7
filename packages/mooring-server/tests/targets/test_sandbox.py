from __future__ import annotations

from pathlib import Path

import pytest

from mooring_server.domain.errors import MooringError
from mooring_server.targets.sandbox import SandboxSettings


def test_defaults(tmp_path: Path) -> None:
    settings = SandboxSettings.load({}, tmp_path, 40123)
    assert settings.document((Path("/image"),)) == {
        "mode": "auto",
        "network": "auto",
        "readable": ["/image"],
        "protected": [str(tmp_path)],
        "open_ports": [],
        "closed_ports": [40123],
    }


def test_everything_set(tmp_path: Path) -> None:
    environ = {
        "MOORING_SANDBOX": "Landlock",
        "MOORING_SANDBOX_NETWORK": "none",
        "MOORING_SANDBOX_READ": "/data:/mnt/x",
        "MOORING_SANDBOX_PORTS": "8125, 20000-20002",
    }
    settings = SandboxSettings.load(environ, tmp_path, 1)
    assert (settings.mode, settings.network) == ("landlock", "none")
    assert settings.read == ("/data", "/mnt/x")
    assert settings.open_ports == (8125, 20000, 20001, 20002)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MOORING_SANDBOX", "strong", "one of auto, bwrap, landlock, none"),
        ("MOORING_SANDBOX_NETWORK", "yes", "one of auto, none, outbound, all"),
        ("MOORING_SANDBOX_READ", "relative", "absolute paths"),
        ("MOORING_SANDBOX_READ", "/", "do not contain the server's data directory"),
        ("MOORING_SANDBOX_PORTS", "http", "8125,20000-20010"),
        ("MOORING_SANDBOX_PORTS", "1-70000", "8125,20000-20010"),
    ],
)
def test_mistakes(tmp_path: Path, name: str, value: str, says: str) -> None:
    with pytest.raises(MooringError, match=says) as caught:
        SandboxSettings.load({name: value}, tmp_path, 1)
    assert caught.value.code == "SettingInvalid"
    assert name in caught.value.message
