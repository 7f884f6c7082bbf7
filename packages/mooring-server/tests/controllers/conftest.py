import pytest

from mooring_server.services.context import Context, WorkspaceRef
from mooring_server.testing import Scenario


@pytest.fixture
def scenario(context: Context, ref: WorkspaceRef) -> Scenario:
    return Scenario(context, ref)
