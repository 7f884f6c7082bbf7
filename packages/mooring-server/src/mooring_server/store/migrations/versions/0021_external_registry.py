"""Registries elsewhere that workspaces push their images to."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("workspaces", sa.Column("external_registry", sa.JSON(), nullable=True))
