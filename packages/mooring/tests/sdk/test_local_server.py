from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_web import Answer, serve

import mooring
from azureml.exceptions import UserErrorException
from mooring.sdk import local_server
from mooring.sdk.connection import Connection


def announce(url: str, pid: int) -> None:
    home = local_server.home()
    home.mkdir(parents=True, exist_ok=True)
    (home / "server.json").write_text(json.dumps({"url": url, "token": "t", "pid": pid, "version": "0"}))


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOORING_HOME", str(tmp_path))
    assert local_server.home() == tmp_path
    monkeypatch.delenv("MOORING_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    assert local_server.home() == tmp_path / "d" / "mooring"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert local_server.home() == Path.home() / ".local" / "share" / "mooring"


def test_a_living_server_is_found() -> None:
    version = json.dumps({"status": "ok", "version": mooring.__version__}).encode()
    with serve(lambda _: Answer(body=version)) as (url, seen):
        announce(url, os.getpid())
        assert local_server.running() == Connection(url, "t", local=True, version=mooring.__version__)
        assert local_server.ensure_server().token == "t"
        status = local_server.status()
    assert seen[0].path == "/livez"
    assert (status["running"], status["url"], status["pid"]) == (True, url, os.getpid())
    assert "t" not in status.values()


def test_another_version_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(lambda _: Answer(body=b'{"version": "99.0.0"}')) as (url, _seen):
        announce(url, os.getpid())
        local_server.running()
        local_server.running()
    assert capsys.readouterr().err.count("99.0.0") == 1


def test_stale_announcements_are_ignored() -> None:
    assert local_server.running() is None
    announce("http://127.0.0.1:1", ended_process())
    assert local_server.running() is None
    announce("http://127.0.0.1:1", os.getpid())
    assert local_server.running() is None
    (local_server.home() / "server.json").write_text("{")
    assert local_server.running() is None
    assert local_server.stop() is False
    assert local_server.status()["running"] is False


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "mooring_server" else find(n))
    with pytest.raises(UserErrorException) as caught:
        local_server.ensure_server()
    assert caught.value.code == "ServerNotInstalled"
    assert "mooring[server]" in caught.value.hint
    assert "MOORING_ENDPOINT" in caught.value.hint


def test_a_server_that_ends_shows_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    logs = local_server.home() / "logs"
    logs.mkdir(parents=True)
    (logs / "server.log").write_text("words of last week\n")
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho 'disk is full' >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: True)  # also where no server is installed
    with pytest.raises(UserErrorException, match="status 3") as caught:
        local_server.start()
    assert caught.value.evidence["log"] == "disk is full"


def test_a_configured_server_is_never_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORING_ENDPOINT", "http://127.0.0.1:1")
    assert local_server.ensure_server() == Connection("http://127.0.0.1:1")
    assert local_server.status()["configured"] is True
    assert not local_server.home().exists()
