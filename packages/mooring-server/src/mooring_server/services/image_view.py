"""Images as callers see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from mooring_server.domain.credentials import without_credentials
from mooring_server.services.context import Context
from mooring_server.services.models import model_view
from mooring_server.services.operations import workspace_path
from mooring_server.services.views import ImageView
from mooring_server.store.tables import Image, ImageModel, Model

# Databases limit the number of values in one query.
_QUERY_IDS = 500


def image_location(context: Context, image: Image) -> str:
    """``host:port/<registry>/<name>:<version>``, or where it was pushed to."""
    pushed: str | None = (image.built or {}).get("pushed")
    return pushed or f"{context.address}/{image.workspace.registry_name}/{image.name}:{image.version}"


def model_conditions(
    image_id: InstrumentedAttribute[int], filters: dict[str, str | None]
) -> Iterator[ColumnElement[bool]]:
    """Conditions for the filters ``modelName`` and ``modelId`` (``name:version``): images with that model."""
    name = filters.get("modelName")
    if name:
        yield image_id.in_(select(ImageModel.image_id).where(ImageModel.name == name))
    identity = filters.get("modelId")
    if identity:
        name, _, version = identity.rpartition(":")
        number = int(version) if version.isascii() and version.isdigit() and len(version) < 19 else -1
        yield image_id.in_(
            select(ImageModel.image_id).where(ImageModel.name == name, ImageModel.version == number)
        )


def models_of_images(session: Session, images: Sequence[Image]) -> dict[int, list[Model]]:
    """Image id -> the models in it, in the user's order. The same few queries however many images."""
    workspaces = {image.workspace_id for image in images}
    wanted = sorted({image.id for image in images if image.model_ids})
    found: dict[tuple[int, str], Model] = {}
    for start in range(0, len(wanted), _QUERY_IDS):
        some = wanted[start : start + _QUERY_IDS]
        # By pairs, as a name may have thousands of versions; in this form SQLite finds the right index by itself.
        held = select(ImageModel.name, ImageModel.version).where(ImageModel.image_id.in_(some))
        query = select(Model).where(
            Model.workspace_id.in_(workspaces), tuple_(Model.name, Model.version).in_(held)
        )
        for model in session.scalars(query):
            found[model.workspace_id, f"{model.name}:{model.version}"] = model
    return {
        image.id: [
            found[image.workspace_id, identity]
            for identity in image.model_ids
            if (image.workspace_id, identity) in found
        ]
        for image in images
    }


def image_view(context: Context, session: Session, image: Image) -> ImageView:
    """An image as callers see it."""
    return image_views(context, session, [image])[0]


def image_views(context: Context, session: Session, images: Sequence[Image]) -> list[ImageView]:
    """Several images with as many queries as for one."""
    models = models_of_images(session, images)
    return [_view(context, image, models[image.id]) for image in images]


def _view(context: Context, image: Image, models: list[Model]) -> ImageView:
    built = image.built or {}
    identity = f"{image.name}:{image.version}"
    log_path = f"{workspace_path(image.workspace)}/images/{identity}/log"
    return {
        "id": identity,
        "name": image.name,
        "version": image.version,
        "createdTime": image.created,
        "modifiedTime": image.modified,
        "creationState": image.state,
        "description": image.description,
        "kvTags": image.tags,
        "properties": image.properties,
        "imageLocation": image_location(context, image),
        "imageLabel": image.label,
        "imageDigest": image.digest,
        "imageType": "Docker",
        "imageFlavor": image.flavor,
        "sizeInBytes": built.get("size"),
        "pythonVersion": built.get("python_version"),
        "modelIds": image.model_ids,
        "modelDetails": [model_view(m) for m in models],
        "imageBuildLogUri": f"{context.scheme}://{context.address}{log_path}?sig={context.sign(log_path)}",
        "deployedApiOptions": image.request.get("deployedApiOptions"),
        "driverProgram": image.request.get("entryScript"),
        "environment": without_credentials(image.request.get("environment")),
        "changes": list(built.get("changes") or []),
        "error": image.error,
        "operationId": image.operation_id,
    }
