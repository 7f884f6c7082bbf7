"""Runs and artifacts of MLflow's tracking server in a backup, taken while it works.

    mlflow/mlflow.db        its database, as it is at one instant
    mlflow/files/<n>        an artifact
    mlflow/paths.jsonl      the artifacts' paths below the folder `ARTIFACTS`; line n, from 0, is that of file n

Artifacts are numbered because the names in an archive are short ASCII and theirs may be anything.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mooring_server.settings import Home
from mooring_server.store import archive
from mooring_server.store.database import snapshot

FOLDER, DATABASE, ARTIFACTS = "mlflow", "mlflow.db", "artifacts"
_PATHS = "paths.jsonl"
# MLflow writes an artifact under such a name, and gives it its own when it is complete.
_UNFINISHED = ".artifact.uploading."
# Nothing that a file system takes is as long, in JSON.
_LINE = 1 << 16


class TrackingData:
    """What the folder of the tracking server holds at the moment of the call. `close` it.

    Artifacts are kept by hard links, so that deleting or replacing one meanwhile changes nothing here: MLflow
    replaces them as a whole.

    Attributes:
        artifacts: how many files.
        entries: for the archive.
    """

    def __init__(self, home: Home) -> None:
        self.artifacts = 0
        self.entries: list[archive.Entry] = []
        folder = home.path / FOLDER
        self._copy: Path | None = None
        if not (folder / DATABASE).exists():
            return
        scratch = home.cache / "tmp"  # what is left there by a process that was killed goes at the next start
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._copy = Path(tempfile.mkdtemp(prefix="backup-", dir=scratch))
        try:
            self._take(folder, self._copy)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go; harmless when done before."""
        if self._copy is not None:
            shutil.rmtree(self._copy)
            self._copy = None

    def _take(self, folder: Path, copy: Path) -> None:
        # First: what it names is on disk then.
        snapshot(folder / DATABASE, copy / DATABASE)
        paths: list[str] = []
        for path in _files(folder / ARTIFACTS):
            link = copy / str(len(paths))
            try:
                os.link(folder / ARTIFACTS / path, link)
            except FileNotFoundError:  # deleted since it was listed
                continue
            paths.append(path)
            self.entries.append(_file(archive.artifact_name(len(paths) - 1), link))
        self.artifacts = len(paths)
        index = "".join(json.dumps(path) + "\n" for path in paths).encode()
        self.entries += [
            _file(f"{FOLDER}/{DATABASE}", copy / DATABASE),
            archive.Entry(f"{FOLDER}/{_PATHS}", len(index), lambda: io.BytesIO(index)),
        ]


def place(folder: Path) -> None:
    """Give the artifacts in a folder that was unpacked from a backup their paths.

    Raises:
        InvalidRequest: ``BackupDamaged``: paths and files do not fit, or a path leads out of the folder.
    """
    index, files, artifacts = folder / _PATHS, folder / "files", folder / ARTIFACTS
    if not index.exists():
        if folder.exists():
            raise archive.damaged(f"it has no {FOLDER}/{_PATHS}")
        return
    count = 0
    with index.open("rb") as lines:
        while line := lines.readline(_LINE):
            target = artifacts / _checked(line)
            try:
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                if os.path.lexists(target):
                    raise archive.damaged(f"two artifacts have the path {target.relative_to(artifacts)}")
                (files / str(count)).rename(target)
            except (OSError, ValueError) as error:
                raise archive.damaged(f"an artifact has no place ({error})", f"{FOLDER}/{_PATHS}") from error
            count += 1
    left = sorted(path.name for path in files.iterdir()) if files.exists() else []
    if left:
        raise archive.damaged(f"artifact {left[0]} has no path", f"{FOLDER}/{_PATHS}")
    index.unlink()
    shutil.rmtree(files, ignore_errors=True)


def _files(root: Path) -> Iterator[str]:
    for directory, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(directory, name)
            if not name.startswith(_UNFINISHED) and not path.is_symlink():
                yield str(path.relative_to(root))


def _checked(line: bytes) -> str:
    try:
        path = json.loads(line)
    except ValueError as error:
        raise archive.damaged(f"the path of an artifact cannot be read ({error})") from error
    if not isinstance(path, str) or str(PurePosixPath(path)) != path or path.startswith("/"):
        raise archive.damaged(f"{path!r} is no path of an artifact")
    if {".", ".."} & set(path.split("/")):
        raise archive.damaged(f"the path of an artifact leads out of its folder: {path!r}")
    return path


def _file(name: str, path: Path) -> archive.Entry:
    def opened() -> BinaryIO:
        return path.open("rb")

    return archive.Entry(name, path.stat().st_size, opened)
