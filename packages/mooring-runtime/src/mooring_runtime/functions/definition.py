"""Function apps on disk: ``host.json``, and a folder with ``function.json`` for each function.

The layout and the fields are those of Azure Functions, programming model v1
(https://learn.microsoft.com/azure/azure-functions/functions-reference).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mooring_runtime.functions.problem import FunctionInvalid

HTTP, BLOB, SERVICE_BUS = "httptrigger", "blobtrigger", "servicebustrigger"


@dataclass(frozen=True, slots=True)
class Function:
    """A function.

    Attributes:
        name: of its folder.
        trigger: the one binding that is a trigger, as ``function.json`` has it.
        outputs: the bindings of direction ``out``.
    """

    name: str
    trigger: Mapping[str, Any]
    outputs: tuple[Mapping[str, Any], ...]

    @property
    def kind(self) -> str:
        """The trigger's type in lower case; Azure compares without regard to case."""
        return str(self.trigger["type"]).lower()

    def output(self, kind: str) -> Mapping[str, Any] | None:
        """The output binding of this type, if it has one."""
        return next((b for b in self.outputs if str(b.get("type", "")).lower() == kind.lower()), None)


@dataclass(frozen=True, slots=True)
class HostFile:
    """``host.json``.

    Attributes:
        extensions: settings of the bindings, by name (``http``, ``blobs``, ``queues``, ``serviceBus``).
    """

    extensions: Mapping[str, Any]

    def number(self, extension: str, name: str, default: int, least: int = 1) -> int:
        """A whole number of an extension's settings; its default if it is absent.

        Raises:
            FunctionInvalid: ``HostFileInvalid``.
        """
        section = self.extensions.get(extension) or {}
        value = section.get(name, default) if isinstance(section, Mapping) else None
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise FunctionInvalid(
                "HostFileInvalid",
                f"host.json: extensions.{extension}.{name} must be a whole number of at least {least}, "
                f"not {value!r}.",
                "Package the model again.",
            )
        return value

    @property
    def route_prefix(self) -> str:
        """What routes begin with: ``/api`` unless ``extensions.http.routePrefix`` says otherwise."""
        section = self.extensions.get("http") or {}
        prefix = str(section.get("routePrefix", "api")).strip("/") if isinstance(section, Mapping) else "api"
        return f"/{prefix}" if prefix else ""


def read_app(root: Path) -> tuple[HostFile, tuple[Function, ...]]:
    """``host.json`` and the functions below ``root``, sorted by name; disabled ones are left out.

    Raises:
        FunctionInvalid: ``HostFileInvalid``, ``FunctionFileInvalid``, ``FunctionMissing``.
    """
    host = _read(root / "host.json", "HostFileInvalid")
    extensions = host.get("extensions", {})
    if host.get("version") != "2.0" or not isinstance(extensions, dict):
        raise FunctionInvalid(
            "HostFileInvalid",
            f"{root / 'host.json'} must be of version 2.0, not {host.get('version')!r}.",
            "Package the model again.",
        )
    found = [read_function(path) for path in sorted(root.glob("*/function.json"))]
    functions = tuple(function for function in found if function is not None)
    if not functions:
        raise FunctionInvalid(
            "FunctionMissing",
            f"There is no function below {root}.",
            "Package the model with functions_enabled=True and a trigger.",
        )
    return HostFile(extensions), functions


def read_function(path: Path) -> Function | None:
    """A ``function.json``; None if it is disabled.

    Raises:
        FunctionInvalid: ``FunctionFileInvalid``.
    """
    data = _read(path, "FunctionFileInvalid")
    bindings = data.get("bindings")
    if data.get("disabled") is True:
        return None
    whole = isinstance(bindings, list) and all(isinstance(b, dict) for b in bindings)
    triggers = (
        [b for b in bindings or () if str(b.get("type", "")).lower().endswith("trigger")] if whole else []
    )
    if len(triggers) != 1:
        raise FunctionInvalid(
            "FunctionFileInvalid",
            f"{path} must have bindings with exactly one trigger; it has {len(triggers)}.",
            "Package the model again.",
        )
    outputs = tuple(b for b in bindings or () if str(b.get("direction", "")).lower() == "out")
    return Function(path.parent.name, triggers[0], outputs)


def _read(path: Path, code: str) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FunctionInvalid(code, f"{path} cannot be read: {error}.", "Package the model again.") from error
    if not isinstance(data, dict):
        raise FunctionInvalid(code, f"{path} is no JSON object.", "Package the model again.")
    return data
