"""Storage accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "storage_accounts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("subscription", sa.String(), nullable=False),
        sa.Column("resource_group", sa.String(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sku", sa.String(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("key1", sa.String(), nullable=False),
        sa.Column("key2", sa.String(), nullable=False),
        sa.Column("key1_created", sa.String(), nullable=False),
        sa.Column("key2_created", sa.String(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storage_accounts")),
        sa.UniqueConstraint("name", name=op.f("uq_storage_accounts_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_storage_accounts_uid")),
    )
