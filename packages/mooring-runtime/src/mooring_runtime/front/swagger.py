"""The description of the service at ``/swagger.json``.

Structure and names are those of Azure's server, since clients are generated from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

OPENAPI = {"3": "3.0.3", "3.1": "3.1.0"}
ALIASES = {"2": "2.0", "3": "3.0", "3.1": "3.1"}
SCHEMAS = {"2": "#/definitions/", "3": "#/components/schemas/", "3.1": "#/components/schemas/"}
ERROR = {"type": "object", "properties": {"message": {"type": "string"}}}
UNDECORATED: dict[str, Any] = {"type": "object", "example": {}}
BEARER = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "description": "'Bearer ' and one of the service's keys.",
}


class NoSuchVersion(Exception):
    """There is no description in the version asked for."""


class Swagger:
    """The descriptions of one revision.

    Args:
        service: the service's name.
        reported: what the worker reports: see `mooring_runtime.worker.contract`.
    """

    def __init__(self, service: str, reported: Mapping[str, Any]) -> None:
        self._service = service
        self._reported = reported
        self._made: dict[str, bytes] = {}
        said = reported.get("versions", list(ALIASES.values()))
        files = reported.get("files", {})
        self.supported = [name for name in ALIASES if name in files or {name, ALIASES[name]} & set(said)]

    def document(self, version: str) -> bytes:
        """The description as JSON.

        Raises:
            NoSuchVersion: the version is unknown, or the script's types cannot be said in it.
        """
        name = next((key for key, alias in ALIASES.items() if version in {key, alias}), None)
        listed = ", ".join(self.supported)
        if name is None:
            raise NoSuchVersion(
                f"Swagger version [{version[:20]}] is not valid. Supported versions: [{listed}]."
            )
        if name not in self.supported:
            raise NoSuchVersion(
                f"Swagger version [{version}] is not supported for the scoring script. "
                f"Supported swagger versions: [{listed}]."
            )
        if name not in self._made:
            own = self._reported.get("files", {}).get(name)
            self._made[name] = json.dumps(own if own is not None else self._make(name)).encode()
        return self._made[name]

    def _make(self, version: str) -> dict[str, Any]:
        settings = self._reported.get("settings", {})
        name = settings.get("SERVICE_NAME", self._service)
        prefix = settings.get("SERVICE_PATH_PREFIX", "").strip("/")
        prefix = f"/{prefix}" if prefix else ""
        schemas = {
            "ServiceInput": self._reported.get("input", UNDECORATED),
            "ServiceOutput": self._reported.get("output", UNDECORATED),
            "ErrorResponse": ERROR,
        }
        document: dict[str, Any] = {
            "info": {
                "title": name,
                "description": f"API of the web service {name}",
                "version": settings.get("SERVICE_VERSION", "1.0"),
            },
            "paths": {
                f"{prefix}/": {"get": _health(version)},
                f"{prefix}/score": {"post": _score(version)},
                f"{prefix}/swagger.json": {"get": _swagger(version)},
            },
        }
        for route in self._reported.get("routes", ()):
            operation = _score(version) | {"operationId": f"RunMLService{route.strip('/').title()}"}
            document["paths"][f"{prefix}{route}"] = {"post": operation}
        if version == "2":
            return document | {
                "swagger": "2.0",
                "schemes": ["http", "https"],
                "consumes": ["application/json"],
                "produces": ["application/json"],
                "securityDefinitions": {"Bearer": BEARER},
                "definitions": schemas,
            }
        return document | {
            "openapi": OPENAPI[version],
            "security": [{"Bearer": []}],
            "components": {"schemas": schemas, "securitySchemes": {"Bearer": BEARER}},
        }


def _answer(version: str, description: str, schema: dict[str, Any], kind: str) -> dict[str, Any]:
    if version == "2":
        return {"description": description, "schema": schema}
    return {"description": description, "content": {kind: {"schema": schema}}}


def _reference(version: str, name: str) -> dict[str, Any]:
    return {"$ref": SCHEMAS[version] + name}


def _failure(version: str) -> dict[str, Any]:
    return _answer(version, "What went wrong.", _reference(version, "ErrorResponse"), "application/json")


def _health(version: str) -> dict[str, Any]:
    schema = {"type": "string"} if version == "2" else {"type": "string", "example": "Healthy"}
    healthy = _answer(version, "The service answers 'Healthy'.", schema, "text/plain")
    if version == "2":
        healthy["examples"] = {"application/json": "Healthy"}
    return {
        "operationId": "ServiceHealthCheck",
        "description": "Tells whether the service is up.",
        "responses": {"200": healthy, "default": _failure(version)},
    }


def _score(version: str) -> dict[str, Any]:
    taken = _reference(version, "ServiceInput")
    given = _answer(version, "The result.", _reference(version, "ServiceOutput"), "application/json")
    operation = {
        "operationId": "RunMLService",
        "description": "Runs the model on the input.",
        "security": [{"Bearer": []}],
        "responses": {"200": given, "default": _failure(version)},
    }
    if version == "2":
        payload = {
            "name": "serviceInputPayload",
            "in": "body",
            "description": "The input.",
            "schema": taken,
        }
        return operation | {"parameters": [payload]}
    content = {"application/json": {"schema": taken}}
    return operation | {"requestBody": {"description": "The input.", "content": content}}


def _swagger(version: str) -> dict[str, Any]:
    kind: dict[str, Any] = {"type": "integer", "enum": [2, 3]}
    asked = {"name": "version", "in": "query", "required": False}
    asked |= kind if version == "2" else {"schema": kind}
    return {
        "operationId": "GetSwaggerSpec",
        "description": "This description.",
        "parameters": [asked],
        "responses": {
            "200": _answer(version, "The description.", {"type": "string"}, "text/plain"),
            "default": _failure(version),
        },
    }
