"""Revisions to return to, models of images as rows, and the indexes that keep lists flat."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_INDEXES = (
    ("ix_images_workspace_id_implicit_id", "images", ["workspace_id", "implicit", "id"]),
    ("ix_models_workspace_id_id", "models", ["workspace_id", "id"]),
    ("ix_operations_ended_created", "operations", ["ended", "created"]),
    ("ix_services_active_image_id", "services", ["active_image_id"]),
    ("ix_services_image_id", "services", ["image_id"]),
    ("ix_services_workspace_id_scope_id", "services", ["workspace_id", "scope", "id"]),
)


def upgrade() -> None:
    op.create_table(
        "image_models",
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_image_models_image_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("image_id", "name", "version", name=op.f("pk_image_models")),
    )
    op.create_index(op.f("ix_image_models_name_version"), "image_models", ["name", "version"])
    op.create_table(
        "service_revisions",
        sa.Column("service_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_service_revisions_image_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["service_id"], ["services.id"], name=op.f("fk_service_revisions_service_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("service_id", "number", name=op.f("pk_service_revisions")),
    )
    op.create_index(op.f("ix_service_revisions_image_id"), "service_revisions", ["image_id"])
    for name, table, columns in _INDEXES:
        op.create_index(op.f(name), table, columns)
    _fill()


def _fill() -> None:
    """What earlier schemas know of the new tables: the models of each image, and the revision that answers."""
    connection = op.get_bind()
    tables = sa.MetaData()
    for name in ("images", "image_models", "services", "service_revisions"):
        sa.Table(name, tables, autoload_with=connection)
    images, services = tables.tables["images"], tables.tables["services"]
    for image_id, model_ids in connection.execute(sa.select(images.c.id, images.c.model_ids)).all():
        pairs = {identity.rpartition(":")[::2] for identity in model_ids}
        rows = [{"image_id": image_id, "name": name, "version": int(version)} for name, version in pairs]
        if rows:
            connection.execute(tables.tables["image_models"].insert(), rows)
    for service in connection.execute(
        sa.select(services).where(
            services.c.active_revision.is_not(None), services.c.active_image_id.is_not(None)
        )
    ).all():
        connection.execute(
            tables.tables["service_revisions"].insert(),
            {
                "service_id": service.id,
                "number": service.active_revision,
                "image_id": service.active_image_id,
                "config": service.active_config or service.config,
                "withdrawn": False,
                "created": service.modified,
            },
        )
