"""Unpacks images for the process target, sharing what images have in common.

    <root>/envs/<key>/          /opt/mooring of all images with the same runtime and wheels:
        env/                    a virtual environment of a Python of this host
        runtime/worker/
    <root>/models/<diff id>/    one model's files
    <root>/images/<hex>/        var/azureml-app with the app's files and links to the models
    <root>/tmp/                 what is being unpacked

Each of these directories appears by one rename when it is complete, and does not change afterwards.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images import functions, oci
from mooring_server.images.documents import load_manifest
from mooring_server.images.extract import Extractor
from mooring_server.images.locks import key_of
from mooring_server.images.pythons import Python, Pythons
from mooring_server.images.scratch import KeyedLocks, Scratch
from mooring_server.images.wheels import make_environment
from mooring_server.store.content import ContentStore, disk_full, parse_digest

_FORMAT = "env-1"
_MOORING = "opt/mooring"
_OWN_KINDS = {"app", "functions"}
_ENVIRONMENT_KINDS = {"runtime", "wheel", "wheels"}


@dataclass(frozen=True)
class UnpackedImage:
    """An image on this host, ready to be started (docs/protocols.md, section 5, ``revision``).

    Attributes:
        root: what `/` is for the app; has ``var/azureml-app``.
        python: the interpreter of the image's virtual environment.
        worker_dir: the worker's files.
        app_root: ``AML_APP_ROOT``.
        env: the image's variables with this host's paths.
        entry_script: relative to the source directory if there is one, else to the app root.
        source_directory: its base name, or None.
        workers: ``WORKER_COUNT`` of the image's variables, else 1.
        python_version: ``X.Y``.
        folders: all that the image consists of.
    """

    root: Path
    python: Path
    worker_dir: Path
    app_root: Path
    env: dict[str, str]
    entry_script: str
    source_directory: str | None
    workers: int
    python_version: str
    folders: tuple[Path, ...]


class Unpacker:
    """Unpacks images of a content store below ``root_dir``; safe for several threads, safe to kill.

    Args:
        store: has the layers.
        root_dir: its own.
        pythons: where the builder keeps interpreters from conda channels.
    """

    def __init__(self, store: ContentStore, root_dir: Path, pythons: Path | None = None) -> None:
        self._store = store
        self._root = root_dir.absolute()
        self._scratch = Scratch(self._root / "tmp")
        self._pythons = Pythons(pythons)
        self._busy = KeyedLocks()
        self._pruning = threading.Lock()

    def clean_stale(self) -> int:
        """Remove what killed processes have left; to be called when the server starts."""
        return self._scratch.clean_stale()

    def materialise(self, manifest_digest: str) -> UnpackedImage:
        """Unpack what is not unpacked yet.

        Raises:
            NotFound: code ``BlobNotFound``.
            PhaseFailed: codes ``PythonNotAvailable``, ``LayerUnsafe``, ``LayerTooLarge``, ``LayerDamaged``.
            MooringError: codes ``DiskFull``, ``ImageInvalid``.
        """
        with self._pruning:  # see `prune`
            manifest = load_manifest(self._store, manifest_digest)
        config = json.loads(self._store.read(manifest["config"]["digest"]))
        layers = list(zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True))
        version = str(config["config"]["Labels"][oci.LABEL_PYTHON])
        python = self._python(version)
        environment = self._environment(layers, python)
        models = {
            layer["annotations"][oci.NAME]: self._model(layer, diff_id)
            for layer, diff_id in layers
            if _kind(layer) == "model"
        }
        own = [layer for layer, _ in layers if _kind(layer) in _OWN_KINDS]
        root = self._image(manifest_digest, own, models)
        app_root = root / oci.APP_ROOT.lstrip("/")
        below = config["config"]["Labels"].get(oci.LABEL_BELOW, "").split()
        pairs = (item.split("=", 1) for item in config["config"].get("Env", []))
        variables = {name: value for name, value in pairs if name not in below}
        places = {
            oci.APP_ROOT: str(app_root),
            f"/{_MOORING}": str(environment),
            functions.ROOT: f"{root}{functions.ROOT}",
        }
        env = {name: _map_paths(value, places) for name, value in variables.items()}
        workers = variables.get("WORKER_COUNT", "")
        return UnpackedImage(
            root=root,
            python=environment / "env/bin/python",
            worker_dir=environment / "runtime/worker",
            app_root=app_root,
            env=env,
            entry_script=variables["AZUREML_ENTRY_SCRIPT"],
            source_directory=variables.get("AZUREML_SOURCE_DIRECTORY"),
            workers=int(workers) if workers.isdecimal() and int(workers) > 0 else 1,
            python_version=version,
            folders=(root, environment, *models.values()),
        )

    def site(self, manifest_digest: str) -> Path:
        """The function app of an image, for the host beside its containers; nothing else of it is unpacked.

        Raises:
            NotFound: code ``BlobNotFound``.
            PhaseFailed: codes ``LayerUnsafe``, ``LayerTooLarge``, ``LayerDamaged``.
            MooringError: code ``DiskFull``.
        """
        with self._pruning:
            manifest = load_manifest(self._store, manifest_digest)

        def fill(folder: Path) -> None:
            extractor = Extractor(folder)
            for layer in manifest["layers"]:
                if _kind(layer) == "functions":
                    extractor.extract(self._store.path(layer["digest"]))

        return self._once("sites", parse_digest(manifest_digest), fill) / functions.ROOT.lstrip("/")

    def prune(self, keep: Callable[[], Collection[str]]) -> int:
        """Remove what none of these images uses; how many directories went.

        An image is named by ``keep`` before anybody calls `materialise` for it. As neither runs while the other
        begins, a directory that is taken for unused here is either made again there, or was kept.

        Args:
            keep: gives the digests of manifests that are in the store.
        """
        removed = 0
        # The scratch directory is emptied after the lock is given back: only renames hold it.
        with self._scratch.directory() as folder, self._pruning:
            kept = self._kept(keep())
            # Links before what they point to, and a rename first: nobody sees half a directory.
            for group in ("images", "sites", "models", "envs"):
                for path in sorted((self._root / group).glob("*")):
                    if f"{group}/{path.name.partition('-')[0]}" not in kept:
                        path.rename(folder / f"{group}-{path.name}")
                        removed += 1
        return removed

    def _kept(self, digests: Collection[str]) -> set[str]:
        kept: set[str] = set()
        for digest in digests:
            manifest = load_manifest(self._store, digest)
            config = json.loads(self._store.read(manifest["config"]["digest"]))
            pairs = list(zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True))
            kept |= {f"{group}/{parse_digest(digest)}" for group in ("images", "sites")}
            kept.add(f"envs/{_environment_key(pairs)}")
            kept |= {f"models/{parse_digest(diff)}" for layer, diff in pairs if _kind(layer) == "model"}
        return kept

    def _python(self, version: str) -> Python:
        major, minor = version.split(".")
        return self._pythons.require((int(major), int(minor)))

    def _environment(self, layers: list[tuple[dict[str, Any], str]], python: Python) -> Path:
        # Another interpreter (after an update of the host) makes another environment beside the old one,
        # which running services may still use.
        name = f"{_environment_key(layers)}-{key_of(str(python.path), python.version)[:8]}"

        def fill(folder: Path) -> None:
            make_environment(folder / "env", python)
            extractor = Extractor(folder, _MOORING)
            for layer, _ in layers:
                if _kind(layer) in _ENVIRONMENT_KINDS:
                    extractor.extract(self._store.path(layer["digest"]))

        return self._once("envs", name, fill)

    def _model(self, layer: Mapping[str, Any], diff_id: str) -> Path:
        prefix = f"{oci.APP_ROOT}/{oci.MODELS}/{layer['annotations'][oci.NAME]}"

        def fill(folder: Path) -> None:
            Extractor(folder, prefix).extract(self._store.path(layer["digest"]))

        return self._once("models", parse_digest(diff_id), fill)

    def _image(self, digest: str, app_layers: list[dict[str, Any]], models: Mapping[str, Path]) -> Path:
        def fill(folder: Path) -> None:
            app = folder / oci.APP_ROOT.lstrip("/")
            app.mkdir(parents=True)
            extractor = Extractor(folder)
            for layer in app_layers:
                extractor.extract(self._store.path(layer["digest"]))
            for name, target in models.items():
                link = app / oci.MODELS / name
                _check_model_link(app, link)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(target)

        return self._once("images", parse_digest(digest), fill)

    def _once(self, group: str, name: str, fill: Callable[[Path], None]) -> Path:
        """The directory, made by ``fill`` if it is not there."""
        target = self._root / group / name
        with self._busy.hold(f"{group}/{name}"):
            if target.is_dir():
                return target
            try:
                with self._scratch.directory() as folder:
                    made = folder / "made"
                    made.mkdir()
                    fill(made)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    made.rename(target)
            except OSError as error:
                if error.errno in {errno.EEXIST, errno.ENOTEMPTY} and target.is_dir():
                    return target  # another process was faster
                raise disk_full(error, self._root, 1, phase="Unpack") or error from error
        return target


def _kind(layer: Mapping[str, Any]) -> str:
    return str(layer.get("annotations", {}).get(oci.KIND, ""))


def _environment_key(layers: list[tuple[dict[str, Any], str]]) -> str:
    return key_of(_FORMAT, [diff_id for layer, diff_id in layers if _kind(layer) in _ENVIRONMENT_KINDS])


def _map_paths(value: str, places: Mapping[str, str]) -> str:
    """Replace whole paths of the image in a variable, which may be a list like PATH."""
    parts = value.split(os.pathsep)
    for place, real in places.items():
        parts = [
            real + part[len(place) :] if part == place or part.startswith(f"{place}/") else part
            for part in parts
        ]
    return os.pathsep.join(parts)


def _check_model_link(app: Path, link: Path) -> None:
    """A model's name comes from the manifest, and the app may contain links: stay inside."""
    below = link.relative_to(app)
    if ".." in below.parts or link.parent.resolve() != app.resolve() / below.parent:
        raise PhaseFailed(
            "LayerUnsafe", f"The model {link.name} would be placed outside of the image.", phase="Unpack"
        )
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
