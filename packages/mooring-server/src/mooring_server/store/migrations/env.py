"""Alembic's environment: runs on the connection that `store.database` gives."""

from alembic import context

from mooring_server.store import arm_tables, bus_tables, function_tables, profile_tables  # noqa: F401 - they belong to the metadata
from mooring_server.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
