from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mooring_runtime.worker import log


@pytest.fixture
def logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """What the worker has logged."""
    with (tmp_path / "log").open("w+b") as file:
        monkeypatch.setattr(log, "_FD", file.fileno())
        yield (tmp_path / "log").read_text
