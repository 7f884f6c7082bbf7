"""`mooring up --at-boot`: what the unit says, and that systemd agrees."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mooring.cli import boot

MOORING = str(Path(sys.executable).with_name("mooring"))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MOORING_")}
    places = {"MOORING_HOME": str(tmp_path / "my home"), "MOORING_UNIT_DIRECTORY": str(tmp_path / "units")}
    return {**kept, **places}


def run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [MOORING, *arguments], env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done


def test_written_once_and_removed(environ: dict[str, str], tmp_path: Path) -> None:
    first = json.loads(run(environ, "up", "--at-boot", "--port", "18777", "-o", "json").stdout)
    unit = Path(first["unit"])
    assert first["changed"]
    [link] = unit.parent.glob("*.wants/*.service")
    assert link.resolve() == unit
    text = unit.read_text()
    home = tmp_path / "my home"
    assert f'ExecStart={sys.executable} -m mooring_server --home "{home}" --port 18777\n' in text
    assert f'Environment="MOORING_HOME={home}"\n' in text
    for line in ("KillMode=process", "Restart=on-failure", "OOMPolicy=continue", "Delegate=yes"):
        assert f"\n{line}\n" in text
    again = json.loads(run(environ, "up", "--at-boot", "--port", "18777", "-o", "json").stdout)
    assert not again["changed"]
    assert unit.read_text() == text
    assert "Would remove" in run(environ, "down", "--at-boot", "--dry-run").stderr
    assert unit.exists()
    assert str(unit) in run(environ, "down", "--at-boot").stderr
    assert not list(unit.parent.rglob("*.service"))
    assert "There was no unit" in run(environ, "down", "--at-boot").stderr
    assert not home.exists()  # nothing was started


@pytest.mark.parametrize("system", [True, False])
def test_systemd_accepts_it(system: bool, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "mooring.service"
    unit.write_text(boot.content(tmp_path / "a 50% $home's", ["--host", "::1"], system=system))
    verify = ["systemd-analyze", "verify", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_other_homes_have_units_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MOORING_UNIT_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    usual = boot.unit_for(tmp_path / "usual", tmp_path / "usual")
    other = boot.unit_for(tmp_path / "other", tmp_path / "usual")
    assert usual.name == "mooring.service"
    assert other.name != usual.name
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert boot.unit_for(tmp_path, tmp_path).path == tmp_path / "systemd" / "user" / "mooring.service"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert boot.unit_for(tmp_path, tmp_path).path == Path("/etc/systemd/system/mooring.service")


def test_words_are_read_back_as_they_were() -> None:
    assert boot.quoted("/usr/bin/python", command=True) == "/usr/bin/python"
    assert boot.quoted("a b") == '"a b"'
    assert boot.quoted('100% "$x" \\', command=True) == '"100%% \\"$$x\\" \\\\"'
