"""What scripts give as ``models``, and the ids the server wants."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mooring.sdk.errors import invalid
from mooring.sdk.model import Model
from mooring.sdk.types import Strings

MOST = 1000


def model_ids_of(workspace: Any, models: Any) -> Strings:
    """``name:version`` of every model, in the order given.

    Args:
        workspace: where.
        models: `Model` objects, ids, names (the latest version is taken) or paths of files and folders, which
            are registered under their base name.

    Raises:
        WebserviceException: of another type, or more than 1000.
        ModelNotFoundException: a name that is neither registered nor a path.
    """
    if isinstance(models, (str, Model)) or not hasattr(models, "__iter__"):
        raise invalid(f"models is {models!r}; a list of models was expected.", code="InvalidType")
    ids = [_id_of(workspace, model) for model in models]
    if len(ids) > MOST:
        raise invalid(f"{len(ids)} models are too many: at most {MOST}.", code="TooManyModels")
    return ids


def _id_of(workspace: Any, model: Any) -> str:
    if isinstance(model, Model):
        return model.id
    if not isinstance(model, (str, Path)):
        raise invalid(f"{model!r} is neither a Model nor the id of one.", code="InvalidType")
    text = str(model)
    if re.fullmatch(r"[^/\\:]+:\d+", text):
        return text
    if Path(text).exists():
        name = re.sub(r"[^a-zA-Z0-9\-._]", "-", Path(text).resolve().name).lstrip("-._") or "model"
        return Model.register(workspace, text, name).id
    return Model(workspace, name=text).id
