"""A real server process for everything below this folder, in a data directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from storage_support import Account, install_azurite, running_azurite
from support import WS, RunningServer, kill_all


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home") / "mooring"


@pytest.fixture(scope="session")
def server(shared_home: Path) -> Iterator[RunningServer]:
    """The server most tests share, with workspace sub/rg/ws."""
    gates = (
        shared_home.parent / "gates"
    )  # what scripts that wait for a test look at: their sandbox hides the rest
    gates.mkdir()
    running = RunningServer(shared_home, variables={"MOORING_SANDBOX_READ": str(gates)}).start()
    try:
        assert running.client.put(WS, json={}).status_code == 201
        yield running
        running.close()
    finally:
        kill_all(shared_home)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder with a short name: Podman takes no place of more than 50 characters for what runs."""
    with TemporaryDirectory(prefix="mooring-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that a test may kill, with workspace sub/rg/ws."""
    running = RunningServer(tmp_path / "home").start()
    try:
        assert running.client.put(WS, json={}).status_code == 201
        yield running
        running.close()
    finally:
        kill_all(running.home)


@pytest.fixture
def sdk_home(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The SDK and the command line find the shared server."""
    monkeypatch.setenv("MOORING_HOME", str(server.home))
    monkeypatch.delenv("MOORING_ENDPOINT", raising=False)
    monkeypatch.delenv("MOORING_TOKEN", raising=False)
    return server.home


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The reference for storage accounts."""
    program = install_azurite(tmp_path_factory.mktemp("azurite"))
    with running_azurite(program, tmp_path_factory.mktemp("azurite-data")) as account:
        yield account
