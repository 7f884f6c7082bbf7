from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring_runtime.testing import Service, running


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A supervisor without a spec; everything it started has ended afterwards."""
    with running(tmp_path) as started:
        yield started
