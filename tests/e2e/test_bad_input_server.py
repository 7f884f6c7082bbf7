"""Servers that do not run, are of another version, want another token, or belong to somebody else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_input import Desk, Expected
from support import WS, RunningServer, kill_all

from azureml.core import Workspace
from azureml.exceptions import AuthenticationException, UserErrorException
from mooring.sdk import local_server

MOORING = str(Path(sys.executable).with_name("mooring"))
LIST = ["model", "list"]
# A real server of the next API: everything is as it is, but for the number it tells.
NEWER = (
    "import sys; from mooring_server.edges.native import common; common.API = '2'; "
    "import mooring_server; mooring_server.__version__ = '9.0.0'; "
    "from mooring_server.__main__ import main; sys.exit(main())"
)


@pytest.fixture
def desk(server: RunningServer, sdk_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(server, tmp_path)


@pytest.fixture
def newer(tmp_path: Path) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path / "newer")
    running.program = ["-c", NEWER]
    running.start()
    try:
        assert running.client.put(WS, json={}).status_code == 201
        yield running
        running.close()
    finally:
        kill_all(running.home)


def test_nothing_listens(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORING_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("MOORING_TOKEN", "x")
    expected = Expected(
        "ServerUnreachable", "Validate", UserErrorException, "http://127.0.0.1:1", hint="MOORING_ENDPOINT"
    )
    raised = desk.raises(lambda: Workspace("sub", "rg", "ws"), expected)
    desk.refuses(LIST, expected).same_as(raised)


def test_something_else_listens(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the registry's side of the server, which knows nothing of workspaces."""
    monkeypatch.setenv("MOORING_ENDPOINT", f"{desk.server.url}/v2")
    expected = Expected("ServerVersion", "Validate", UserErrorException, "does not know", hint="address")
    raised = desk.raises(lambda: Workspace("sub", "rg", "ws"), expected)
    desk.refuses(LIST, expected).same_as(raised)


def test_the_wrong_token(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = desk.state()
    monkeypatch.setenv("MOORING_ENDPOINT", desk.server.url)
    for token in ("wrong", ""):
        monkeypatch.setenv("MOORING_TOKEN", token)
        expected = Expected(
            "Unauthorized", "Validate", AuthenticationException, "token", hint="MOORING_TOKEN"
        )
        raised = desk.raises(lambda: Workspace("sub", "rg", "ws"), expected)
        desk.refuses(LIST, expected).same_as(raised)
    desk.unchanged(before)


def test_another_version(desk: Desk, newer: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Expected(
        "ServerVersion",
        "Validate",
        UserErrorException,
        r"9\.0\.0 \(API 2\)",
        hint="mooring down && mooring up",
    )
    monkeypatch.setenv("MOORING_HOME", str(newer.home))
    raised = desk.raises(lambda: Workspace("sub", "rg", "ws"), expected)
    desk.refuses(LIST, expected).same_as(raised)
    shown = local_server.status()  # what the hint asks for works with it
    assert (shown["running"], shown["version"]) == (True, "9.0.0")

    monkeypatch.setenv("MOORING_ENDPOINT", newer.url)
    monkeypatch.setenv("MOORING_TOKEN", newer.token)
    expected = Expected(
        "ServerVersion", "Validate", UserErrorException, r"9\.0\.0 \(API 2\)", hint=r"mooring==9\.0\.0"
    )
    raised = desk.raises(lambda: Workspace("sub", "rg", "ws"), expected)
    desk.refuses(LIST, expected).same_as(raised)


def test_a_server_that_was_upgraded_under_a_script(
    own_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOORING_ENDPOINT", own_server.url)
    monkeypatch.setenv("MOORING_TOKEN", own_server.token)
    ws = Workspace("sub", "rg", "ws")
    assert ws.models == {}
    own_server.stop()
    own_server.program = ["-c", NEWER]
    own_server.start()
    with pytest.raises(UserErrorException) as caught:
        _ = ws.models
    assert caught.value.code == "ServerVersion"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
class TestSomebodyElse:
    def test_root_does_not_use_a_users_directory(
        self, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs = tmp_path / "theirs"
        theirs.mkdir(mode=0o700)
        os.chown(theirs, 65534, 65534)
        monkeypatch.setenv("MOORING_HOME", str(theirs))
        expected = Expected(
            "HomeNotOwned", "Start", UserErrorException, "belongs to user 65534", hint="MOORING_HOME"
        )
        raised = desk.raises(lambda: Workspace("sub", "rg", "ws"), expected)
        desk.refuses(LIST, expected).same_as(raised)
        assert not list(theirs.iterdir())
        done = subprocess.run(
            [sys.executable, "-m", "mooring_server", "--home", str(theirs)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert "HomeNotOwned" in done.stderr
        assert not list(theirs.iterdir())

    def test_a_user_does_not_use_roots(self, server: RunningServer, tmp_path: Path) -> None:
        """The directory can be entered here, as with a careless umask; its token still is nobody else's."""
        if not _may_run_as_nobody():
            pytest.skip("user 65534 cannot run this Python: its directory is closed to others")
        for name in (tmp_path, *tmp_path.parents):
            if name.stat().st_uid == 0 and name not in {Path("/"), Path("/tmp")}:
                name.chmod(name.stat().st_mode | 0o011)
        home = tmp_path / "home"
        home.mkdir(mode=0o755)
        shutil.copy(server.home / "server.json", home / "server.json")
        (home / "server.json").chmod(0o644)
        done = subprocess.run(
            [MOORING, *LIST, "--output", "json"],
            env={"PATH": os.environ["PATH"], "MOORING_HOME": str(home), "HOME": str(home)},
            cwd="/",
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        error = json.loads(done.stderr[done.stderr.index("{") :])["error"]
        assert error["code"] == "HomeNotOwned"
        assert server.token not in done.stderr + done.stdout


def _may_run_as_nobody() -> bool:
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import mooring.cli.main"], user=65534, group=65534, cwd="/", check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0
