"""Base images, and what is pushed to the registry."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "base_images",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_base_images")),
    )
    op.create_table(
        "pushed_manifests",
        *_repository("pushed_manifests", "digest"),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("refers_to", sa.JSON(), nullable=False),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("artifact_type", sa.String(), nullable=True),
        sa.Column("annotations", sa.JSON(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
    )
    op.create_index(op.f("ix_pushed_manifests_subject"), "pushed_manifests", ["subject"])
    op.create_table(
        "pushed_tags", *_repository("pushed_tags", "tag"), sa.Column("digest", sa.String(), nullable=False)
    )
    op.create_table(
        "pushed_blobs",
        *_repository("pushed_blobs", "digest"),
        sa.Column("created", sa.String(), nullable=False),
    )


def _repository(table: str, identity: str) -> tuple[sa.schema.SchemaItem, ...]:
    return (
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column(identity, sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f(f"fk_{table}_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "repository", identity, name=op.f(f"pk_{table}")),
    )
