"""A folder with a Dockerfile, made from an image: what `ModelPackage.save` writes."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mooring.sdk.errors import user_error

APP = "azureml-app"
APP_ROOT = f"var/{APP}"
LAYERS = "layers"
# What Mooring's builder writes into an image's history for the layers with the user's own files.
_OWN = ("mooring app ", "mooring model ")
_HEAD = """# Written by Mooring. Build it where you like:
#     docker build -t {name} .
#     docker run --read-only --tmpfs /tmp --cap-drop ALL -p {port}:{port} {name}
# {app} has the entry script and the models; the layers below it have the system, Python and the packages.
FROM scratch
"""


def empty_folder(directory: str) -> Path:
    """The folder, made if it is not there.

    Raises:
        UserErrorException: ``DirectoryNotEmpty``.
    """
    path = Path(directory).expanduser().absolute()
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise user_error(
            f"{path} is not empty.",
            code="DirectoryNotEmpty",
            hint="Name a folder that does not exist yet.",
        )
    return path


def write_context(archive: Iterable[bytes], target: Path) -> None:
    """Write the folder.

    Args:
        archive: the image as ``docker save`` writes it.
        target: an empty folder.
    """
    with tempfile.TemporaryDirectory(dir=target, prefix=".image-") as folder:
        stage = Path(folder)
        with (stage / "archive.tar").open("wb") as file:
            for piece in archive:
                file.write(piece)
        with tarfile.open(stage / "archive.tar", "r:") as tar:
            _write(tar, target)


def _write(tar: tarfile.TarFile, target: Path) -> None:
    listing = json.loads(_content(tar, "manifest.json"))[0]
    config = json.loads(_content(tar, listing["Config"]))
    history = [entry for entry in config.get("history", []) if not entry.get("empty_layer")]
    made_by = [str(entry.get("created_by", "")) for entry in history]
    made_by = [""] * (len(listing["Layers"]) - len(made_by)) + made_by
    (target / LAYERS).mkdir()
    (target / APP).mkdir()
    added = []
    for number, (layer, how) in enumerate(zip(listing["Layers"], made_by)):  # noqa: B905 - Python 3.9
        source = tar.extractfile(layer)
        if source is None:
            raise tarfile.ReadError(f"{layer} is no file")
        if how.startswith(_OWN):
            with tarfile.open(fileobj=source, mode="r:*") as files:
                _unpack(files, target / APP)
            continue
        name = f"{LAYERS}/{number:03}.tar"
        with (target / name).open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        added.append(name)
    text = "".join(_lines(config["config"], added, str(listing["RepoTags"][0]).rpartition("/")[2]))
    (target / "Dockerfile").write_text(text, encoding="utf-8")


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    if file is None:
        raise tarfile.ReadError(f"{name} is no file")
    return file.read()


def _unpack(files: tarfile.TarFile, folder: Path) -> None:
    """The files below the app root; the builder writes nothing but regular files there."""
    for member in files:
        path = Path(member.name)
        if not member.isreg() or not member.name.startswith(f"{APP_ROOT}/") or ".." in path.parts:
            continue
        place = folder / path.relative_to(APP_ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        source = files.extractfile(member)
        if source is not None:
            with place.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
            place.chmod(0o755 if member.mode & 0o100 else 0o644)


def _lines(settings: dict[str, Any], added: list[str], name: str) -> Iterator[str]:
    ports = [port.partition("/")[0] for port in settings.get("ExposedPorts") or {}]
    yield _HEAD.format(name=name, port=ports[0] if ports else 5001, app=APP)
    for layer in added:
        yield f"ADD {layer} /\n"
    for item in settings.get("Env") or []:
        key, _, value = item.partition("=")
        yield f"ENV {key}={json.dumps(value).replace('$', chr(92) + '$')}\n"
    for key, value in sorted((settings.get("Labels") or {}).items()):
        yield f"LABEL {json.dumps(key)}={json.dumps(value).replace('$', chr(92) + '$')}\n"
    yield f"COPY {APP} /{APP_ROOT}\n"
    yield f"WORKDIR {settings['WorkingDir']}\n"
    for port in ports:
        yield f"EXPOSE {port}\n"
    if settings.get("User"):
        yield f"USER {settings['User']}\n"
    for instruction, key in (("ENTRYPOINT", "Entrypoint"), ("CMD", "Cmd")):
        if settings.get(key):
            yield f"{instruction} {json.dumps(settings[key])}\n"
