"""Service Bus: namespaces, queues, authorization rules."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "bus_namespaces",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("subscription", sa.String(), nullable=False),
        sa.Column("resource_group", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("sku", sa.String(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("modified", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bus_namespaces")),
        sa.UniqueConstraint("key", name=op.f("uq_bus_namespaces_key")),
    )
    op.create_table(
        "bus_queues",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("namespace_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("modified", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["namespace_id"],
            ["bus_namespaces.id"],
            name=op.f("fk_bus_queues_namespace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bus_queues")),
        sa.UniqueConstraint("uid", name=op.f("uq_bus_queues_uid")),
        sa.UniqueConstraint("namespace_id", "key", name=op.f("uq_bus_queues_namespace_id_key")),
    )
    op.create_table(
        "bus_rules",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("namespace_id", sa.Integer(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("rights", sa.JSON(), nullable=False),
        sa.Column("primary", sa.String(), nullable=False),
        sa.Column("secondary", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["namespace_id"],
            ["bus_namespaces.id"],
            name=op.f("fk_bus_rules_namespace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bus_rules")),
        sa.UniqueConstraint("namespace_id", "queue", "key", name=op.f("uq_bus_rules_namespace_id_queue_key")),
    )
