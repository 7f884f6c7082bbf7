"""Alembic's environment: runs on the connection that `store.database` gives."""

from alembic import context

import mooring_server.store.arm_tables  # noqa: F401 - its tables belong to the metadata
import mooring_server.store.bus_tables  # noqa: F401 - its tables belong to the metadata
import mooring_server.store.function_tables
from mooring_server.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
