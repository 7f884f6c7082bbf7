from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring_server.services.context import Context, WorkspaceRef
from mooring_server.services.workspaces import Workspaces
from mooring_server.testing import make_context


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    made = make_context(tmp_path)
    yield made
    made.db.close()


@pytest.fixture
def ref(context: Context) -> WorkspaceRef:
    """A workspace that exists."""
    made = WorkspaceRef("sub", "rg", "ws")
    Workspaces(context).create(made, {}, exist_ok=False)
    return made
