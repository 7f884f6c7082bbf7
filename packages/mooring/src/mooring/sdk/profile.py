"""ModelProfile: how fast a model answers under limits, what it uses, and what to ask for."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from mooring.sdk.client import part
from mooring.sdk.console import out
from mooring.sdk.deploying_models import model_ids_of
from mooring.sdk.errors import invalid
from mooring.sdk.operations import failure, follow
from mooring.sdk.types import JSON, Strings

# Azure's bounds.
CPU = (0.1, 3.5)
MEMORY_GB = (0.1, 15.0)


class ModelProfile:
    """A profile by name.

    Args:
        workspace: where it is.
        name: as given to `Model.profile`.

    Attributes:
        state: ``Running``, ``Succeeded`` or ``Failed``.
        error: Azure's error object of one that failed, else None.

    Raises:
        WebserviceException: its text begins with ``ProfileNotFound``.
    """

    def __init__(self, workspace: Any, name: str) -> None:
        self.workspace = workspace
        self.name = name
        self._fill(workspace.mooring.call("GET", f"/profiles/{part(name)}"))

    @classmethod
    def create(
        cls,
        workspace: Any,
        name: str,
        models: Any,
        inference_config: Any,
        input_dataset: Any,
        cpu: float | None,
        memory_in_gb: float | None,
        description: str | None,
    ) -> ModelProfile:
        """See `Model.profile`."""
        _check("cpu", cpu, CPU)
        _check("memory_in_gb", memory_in_gb, MEMORY_GB)
        texts = requests_of(input_dataset)
        ids = model_ids_of(workspace, models)
        body = {
            "name": name,
            "description": description,
            "inputs": _send(workspace, texts),
            "imageRequest": inference_config.build_create_payload(workspace, name, ids),
            "containerResourceRequirements": {"cpu": cpu, "memoryInGB": memory_in_gb},
        }
        workspace.mooring.start("POST", "/profiles", body)
        return cls(workspace, name)

    def wait_for_completion(self, show_output: bool = False) -> None:
        """Wait until it has been measured.

        Args:
            show_output: print the phases, and what was measured.

        Raises:
            WebserviceException: with phase, reason, log and hint.
        """
        operation = follow(self.workspace.mooring, self._operation_id, show_output=show_output)
        self._fill(self.workspace.mooring.call("GET", f"/profiles/{part(self.name)}"))
        if operation["state"] != "Succeeded":
            raise failure(operation, f"Profile {self.name}", "profiles")
        if show_output:
            out(self._text())

    def get_details(self) -> JSON:
        """Azure's dictionary: what was asked for, measured and is recommended.

        Latencies are in milliseconds, as callers on the server's machine see them; ``successRate`` is in percent.
        ``recommendedCpu`` and ``recommendedMemoryInGB`` are what was used and a fifth more.
        """
        self._fill(self.workspace.mooring.call("GET", f"/profiles/{part(self.name)}"))
        data = self._data
        return {
            "name": self.name,
            "createdTime": data["createdTime"],
            "state": self.state,
            "description": data.get("description"),
            "requestedCpu": data["requestedCpu"],
            "requestedMemoryInGB": data["requestedMemoryInGB"],
            **data["result"],
            **({"error": self.error} if self.error else {}),
        }

    def serialize(self) -> JSON:
        """The details, with the workspace's name."""
        return {"workspaceName": self.workspace.name, **self.get_details()}

    def _fill(self, data: JSON) -> None:
        self._data = data
        self._operation_id = str(data["operationId"])
        self.state = str(data["state"])
        self.error: JSON | None = data.get("error")

    def _text(self) -> str:
        found = self._data["result"]
        return (
            f"{found['totalQueries']:.0f} requests, {found['successRate']:g} % succeeded, "
            f"{found['measuredQueriesPerSecond']:g} a second one after the other\n"
            f"latency in ms: average {found['averageLatencyInMs']:g}, 50 % {found['latencyPercentile50InMs']:g}, "
            f"90 % {found['latencyPercentile90InMs']:g}, 99 % {found['latencyPercentile99InMs']:g}\n"
            f"used at most: {found['maxUtilizedCpu']:g} of {self._data['requestedCpu']:g} cores, "
            f"{found['maxUtilizedMemoryInGB']:g} of {self._data['requestedMemoryInGB']:g} GB\n"
            f"recommended: cpu_cores={found['recommendedCpu']:g}, memory_gb={found['recommendedMemoryInGB']:g}"
        )

    def __repr__(self) -> str:
        return f"ModelProfile(workspace={self.workspace!r}, name={self.name}, state={self.state})"


def requests_of(input_dataset: Any) -> Strings:
    """The requests in what was given.

    Args:
        input_dataset: a text, a list of texts, or a table with one column of them: a pandas ``DataFrame``, or
            anything with ``to_pandas_dataframe()``, as Azure's ``TabularDataset`` has it.

    Raises:
        WebserviceException: ``InvalidInput``.
    """
    found = input_dataset
    if isinstance(found, str):
        found = [found]
    if hasattr(found, "to_pandas_dataframe"):
        found = found.to_pandas_dataframe()
    if hasattr(found, "columns"):
        if len(found.columns) != 1:
            raise _no_requests(f"it has {len(found.columns)} columns, not one")
        found = found.iloc[:, 0].tolist()
    if not isinstance(found, (list, tuple)):
        raise _no_requests(f"it is {type(input_dataset).__name__}")
    if not found:
        raise _no_requests("it is empty")
    for number, text in enumerate(found):
        if not isinstance(text, str):
            raise _no_requests(f"row {number} is {type(text).__name__}, no text")
    return list(found)


def _no_requests(why: str) -> Exception:
    return invalid(
        f"input_dataset has no requests to send: {why}.",
        code="InvalidInput",
        hint='Give the bodies of requests as texts: [json.dumps({"data": [[1, 2]]})], or a table with one such column.',
    )


def _check(name: str, value: float | None, bounds: tuple[float, float]) -> None:
    if value is not None and not bounds[0] <= value <= bounds[1]:
        raise invalid(
            f"{name} is {value:g}; it must be between {bounds[0]:g} and {bounds[1]:g}.", code="InvalidProfile"
        )


def _send(workspace: Any, texts: Strings) -> str:
    """Upload the requests; the digest."""
    data = json.dumps(texts).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if workspace.mooring.missing([digest]):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "requests"
            path.write_bytes(data)
            workspace.mooring.upload(digest, path, len(data))
    return digest
