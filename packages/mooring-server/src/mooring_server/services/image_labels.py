"""Labels of images: tags that the registry shows beside their versions."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from sqlalchemy import select
from sqlalchemy.orm import Session

from mooring_server.domain.errors import InvalidRequest
from mooring_server.store.tables import Image, Workspace

# The repository of packages, and the form of the tags that they get there, as in Azure.
PACKAGE = "package"
_TIMESTAMP = "%Y%m%d%H%M%S"
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# So few digits are a version.
_VERSION_DIGITS = 9


def new_label(session: Session, workspace: Workspace, name: str, asked: str | None) -> str | None:
    """The image's further tag: the one asked for, or for packages the second of its making, or the next free one.

    Raises:
        InvalidRequest: ``ImageLabelInvalid``.
    """
    taken = set(
        session.scalars(select(Image.label).where(Image.workspace_id == workspace.id, Image.name == name))
    )
    if asked is not None:
        version = asked.isdigit() and len(asked) <= _VERSION_DIGITS
        if not _LABEL.fullmatch(asked) or version or asked in taken:
            raise InvalidRequest(
                "ImageLabelInvalid",
                f"{asked[:200]!r} cannot be the label of an image named {name!r}.",
                hint="A label is a tag that no other image of this name has: letters, digits, '_', '.' and '-', "
                "and not a version.",
                target=asked[:200],
            )
        return asked
    if name != PACKAGE:
        return None
    moment = datetime.now(timezone.utc)
    while moment.strftime(_TIMESTAMP) in taken:
        moment += timedelta(seconds=1)
    return moment.strftime(_TIMESTAMP)
