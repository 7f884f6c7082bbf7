"""Where a model's files lie on disk: the rules of `Model.get_model_path` without a workspace."""

from __future__ import annotations

from pathlib import Path

from mooring.sdk.errors import invalid
from mooring.sdk.exceptions import ModelNotFoundException
from mooring.sdk.files import tree_text

ROOT = "azureml-models"


def check_version(version: object) -> None:
    """A whole number or None."""
    if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
        raise invalid(f"The version {version!r} is no whole number.", code="InvalidVersion")


def local_path(model_name: str, version: int | None, base: Path | None = None) -> str:
    """The path of a model below a directory (default: the current one).

    ``azureml-models/<name>/<version or the highest>/`` has to hold exactly one entry, which is the answer;
    else
    ``./<name>`` if it exists.

    Raises:
        ModelNotFoundException: with what is there.
    """
    check_version(version)
    start = base or Path()
    folder = start / ROOT / model_name
    chosen = folder / str(version) if version is not None else _highest(folder)
    if chosen is not None and chosen.is_dir():
        entries = sorted(chosen.iterdir())
        if len(entries) == 1:
            return str(entries[0])
    plain = start / model_name
    if plain.exists():
        return str(plain)
    shown = (
        chosen if chosen is not None and chosen.is_dir() else folder if folder.is_dir() else start.absolute()
    )
    exc = ModelNotFoundException(
        f"ModelNotFound: the model {model_name!r}"
        + (f", version {version}," if version is not None else "")
        + f" is neither in {folder} (one file or folder a version) nor is there a {plain}."
    )
    raise exc.explain(
        "ModelNotFound",
        "Validate",
        "Register the model and deploy with it, or put its file beside the script.",
        {"tree": tree_text(shown)},
    )


def _highest(folder: Path) -> Path | None:
    versions = [entry for entry in folder.iterdir() if entry.name.isdigit()] if folder.is_dir() else []
    return max(versions, key=lambda entry: int(entry.name), default=None)
