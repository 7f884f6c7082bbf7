"""Files of runs and logged models, through the server: memory stays constant whatever their size."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from mooring.mlflow.address import workspace
from mooring.mlflow.problems import as_mlflow

_ROUTE = "/mlflow/api/2.0/mlflow-artifacts/artifacts"


class MooringArtifactRepository(ArtifactRepository):  # type: ignore[misc]  # MLflow has no types
    """What MLflow asks of a repository; its docstrings say what each method does.

    Args:
        artifact_uri: ``mlflow-artifacts:/<path>``.
        tracking_uri: names server and workspace.
    """

    def __init__(self, artifact_uri: str, tracking_uri: str) -> None:
        super().__init__(artifact_uri)
        with as_mlflow():
            self._mooring = workspace(tracking_uri).mooring
        self._root = urlsplit(artifact_uri).path.strip("/")

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Send a file."""
        source = Path(local_file)
        self._send(source, posixpath.join(artifact_path or "", source.name))

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Send all files below a directory."""
        base = Path(local_dir)
        for source in sorted(path for path in base.rglob("*") if path.is_file()):
            self._send(source, posixpath.join(artifact_path or "", source.relative_to(base).as_posix()))

    def list_artifacts(self, path: str | None = None) -> list[Any]:
        """What lies in a directory; nothing for a file."""
        asked = posixpath.join(self._root, path or "").rstrip("/")
        with as_mlflow():
            answer = self._mooring.call("GET", _ROUTE, params={"path": asked})
        found = [
            FileInfo(posixpath.join(path or "", file["path"]), file["is_dir"], file.get("file_size"))
            for file in answer.get("files", [])
        ]
        # Of a file, the server lists the file itself.
        if path and [file.path for file in found] == [posixpath.join(path, posixpath.basename(path))]:
            only = found[0]
            if not only.is_dir:
                return []
        return sorted(found, key=lambda file: str(file.path))

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Remove a file or directory."""
        with as_mlflow():
            self._mooring.call("DELETE", f"{_ROUTE}/{self._quoted(artifact_path or '')}")

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        url = f"{self._mooring.base}{_ROUTE}/{self._quoted(remote_file_path)}"
        with as_mlflow():
            self._mooring.http.download(url, Path(local_path), noun="artifacts")

    def _send(self, source: Path, path: str) -> None:
        url = f"{self._mooring.base}{_ROUTE}/{self._quoted(path)}"
        with as_mlflow():
            self._mooring.http.upload(url, source, source.stat().st_size)

    def _quoted(self, path: str) -> str:
        return quote(posixpath.join(self._root, path).rstrip("/"))
