"""The files of a model: from a path to the server, and back."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from mooring.sdk.client import Client
from mooring.sdk.errors import invalid, user_error
from mooring.sdk.exceptions import ModelPathNotFoundException
from mooring.sdk.files import LocalFile, tree_text, upload, walk
from mooring.sdk.types import JSON


def collect(model_path: str, child_paths: Iterable[str] | None) -> list[LocalFile]:
    """The files of a model.

    Returns:
        One file under its base name, or a folder's files below the folder's name.

    Raises:
        ModelPathNotFoundException: there is nothing; the evidence shows what lies beside it.
        WebserviceException: ModelEmpty: a folder without files.
    """
    path = Path(model_path).expanduser()
    _exists(path, model_path)
    if path.is_file():
        if child_paths:
            raise invalid(
                f"child_paths was given, but {model_path} is a file.",
                code="InvalidChildPaths",
                hint="Leave child_paths out, or give the folder as model_path.",
            )
        return [LocalFile(path.name, path)]
    top = path.resolve().name or "model"
    if child_paths is None:
        found = [LocalFile(f"{top}/{file.path}", file.source) for file in walk_all(path)]
    else:
        found = [file for child in child_paths for file in _child(path, top, child)]
    if not found:
        raise invalid(
            f"The folder {model_path} holds no files.",
            code="ModelEmpty",
            hint="Register a file, or a folder with at least one.",
        )
    return found


def walk_all(path: Path) -> list[LocalFile]:
    """All files; a model's folder is never filtered, since every file of it may matter to the model."""
    return list(walk(path, None))


def send(client: Client, files: list[LocalFile]) -> list[JSON]:
    """Upload; returns ``[{path, digest, size}]``."""
    return [{key: item[key] for key in ("path", "digest", "size")} for item in upload(client, files)]


def fetch(client: Client, model_id: str, files: list[JSON], target: Path, overwrite: bool) -> str:
    """Download all files below ``target``.

    Returns:
        The path of the single top entry.

    Raises:
        UserErrorException: PathExists.
    """
    tops = sorted({file["path"].split("/", 1)[0] for file in files})
    for top in tops:
        place = target / top
        if place.exists():
            if not overwrite:
                raise user_error(
                    f"{place} exists already.", code="PathExists", hint="Use exist_ok=True to replace it."
                )
            shutil.rmtree(place) if place.is_dir() else place.unlink()
    for file in files:
        place = target / file["path"]
        if ".." in Path(file["path"]).parts or place.is_absolute() != target.is_absolute():
            raise user_error(f"The server named a file {file['path']!r}.", code="InvalidPath")
        place.parent.mkdir(parents=True, exist_ok=True)
        client.download(model_id, file["path"], place)
    return str(target / tops[0]) if len(tops) == 1 else str(target)


def present(files: list[JSON], target: Path) -> str | None:
    """The path that `fetch` would return if all files are there in their sizes already, else None."""
    for file in files:
        place = target / file["path"]
        if not place.is_file() or place.stat().st_size != file["size"]:
            return None
    tops = sorted({file["path"].split("/", 1)[0] for file in files})
    return str(target / tops[0]) if len(tops) == 1 else str(target)


def _child(path: Path, top: str, child: str) -> list[LocalFile]:
    place = path / child
    inner = place.resolve()
    if not inner.is_relative_to(path.resolve()):
        exc = invalid(
            f"The child path {child!r} lies outside of {path}.",
            code="InvalidChildPaths",
            hint="Name files and folders below the model's folder, relative to it.",
        )
        exc.evidence = {"tree": tree_text(path)}
        raise exc
    _exists(place, child)
    relative = inner.relative_to(path.resolve()).as_posix()
    if place.is_file():
        return [LocalFile(f"{top}/{relative}", place)]
    return [LocalFile(f"{top}/{relative}/{file.path}", file.source) for file in walk_all(place)]


def _exists(path: Path, shown: str) -> None:
    if path.exists():
        return
    parent = path.absolute().parent
    while not parent.is_dir():
        parent = parent.parent
    exc = ModelPathNotFoundException(
        f"The model path {shown!r} does not exist (current directory: {Path.cwd()})."
    )
    raise exc.explain(
        "ModelPathNotFound",
        "Upload",
        "Give the path of the trained model's file or folder.",
        {"tree": tree_text(parent)},
    )
