"""`mooring image`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli import completion
from mooring.cli.options import DryRun, Number, PropertyFilter, TagFilter, Text, Yes, filters
from mooring.cli.session import Session, command, group

if TYPE_CHECKING:
    from mooring.sdk.image import Image

app = group("Images: what services run, built from models, code and an environment.")

FIELDS = (
    ("Id", "id"),
    ("State", "creationState"),
    ("Location", "imageLocation"),
    ("Digest", "imageDigest"),
    ("Models", "modelIds"),
    ("Description", "description"),
    ("Tags", lambda row: row.get("kvTags") or row.get("tags")),
    ("Properties", "properties"),
    ("Created", "createdTime"),
    ("Log", "imageBuildLogUri"),
)
COLUMNS = (
    ("ID", "id"),
    ("STATE", "creationState"),
    ("MODELS", "modelIds"),
    ("CREATED", "createdTime"),
    ("LOCATION", "imageLocation"),
)
ImageId = Annotated[
    Text,
    typer.Option(
        "--image-id", "-i", help="Id of the image, NAME:VERSION.", autocompletion=completion.image_ids
    ),
]
ImageName = Annotated[Text, typer.Option("--image-name", "-n", help="Name of the image.")]
Version = Annotated[Number, typer.Option("--version", "-v", help="Version; the latest if left out.")]


@command(app, "list")
def list_images(
    session: Session,
    image_name: ImageName = None,
    model_name: Annotated[Text, typer.Option("--model-name", help="Only those with this model.")] = None,
    model_id: Annotated[
        Text, typer.Option("--model-id", help="Only those with this version of a model.")
    ] = None,
    tag: TagFilter = None,
    properties: PropertyFilter = None,
) -> None:
    """List images.

    Example:
      mooring image list --model-name mymodel
    """
    from mooring.sdk.image import Image

    found = Image.list(
        session.workspace(),
        image_name=image_name,
        model_name=model_name,
        model_id=model_id,
        tags=filters(tag) or None,
        properties=filters(properties) or None,
    )
    session.show_all([image.serialize() for image in found], COLUMNS, empty="No images.")


@command(app, "show")
def show(
    session: Session, image_id: ImageId = None, image_name: ImageName = None, version: Version = None
) -> None:
    """Show one image.

    Example:
      mooring image show -i myimage:1
    """
    session.show(_find(session, image_id, image_name, version).serialize(), FIELDS)


@command(app, "log")
def log(
    session: Session, image_id: ImageId = None, image_name: ImageName = None, version: Version = None
) -> None:
    """Print the log of an image's build: what was resolved, what was changed in the environment, what failed.

    Example:
      mooring image log -i myimage:1
    """
    from mooring.cli import output

    output.write(_find(session, image_id, image_name, version).get_build_log())


@command(app, "delete")
def delete(session: Session, image_id: ImageId = None, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Delete an image. One that a service uses is kept.

    Example:
      mooring image delete -i myimage:1 --yes
    """
    from mooring.cli.confirm import confirm

    image = _find(session, image_id, None, None)
    if dry_run:
        session.say(f"Would delete image {image.id}.")
        return
    confirm(f"delete image {image.id}", yes=yes)
    image.delete()
    session.say(f"Deleted image {image.id}.")


def _find(session: Session, image_id: str | None, name: str | None, version: int | None) -> Image:
    from mooring.sdk.image import Image

    if (image_id is None) == (name is None):
        raise typer.BadParameter("name one image", param_hint="--image-id or --image-name")
    workspace = session.workspace()
    if image_id is not None and ":" in image_id:
        return Image(workspace, id=image_id)
    return Image(workspace, name=image_id or name, version=version)
