"""The description of the service at ``/swagger.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OPENAPI = {"3": "3.0.3", "3.1": "3.1.0"}
VERSIONS = ("2", *OPENAPI)
# A file of this name in the app root is what the user wants to be shown.
FILES = {"2": ("swagger2.json", "swagger.json"), "3": ("swagger3.json",), "3.1": ()}
ERROR = {
    "type": "object",
    "properties": {"message": {"type": "string"}},
}


def document(service: str, version: str, schema: dict[str, Any] | None, app_root: str | None) -> bytes | None:
    """The description as JSON, or None if there is no such version.

    Args:
        service: the service's name.
        version: ``2``, ``3`` or ``3.1``.
        schema: ``input`` and ``output`` as the worker reports them for a decorated ``run``; None otherwise.
        app_root: where the user's own files may be.
    """
    if version not in VERSIONS:
        return None
    for name in FILES[version]:
        if app_root is not None and (Path(app_root) / name).is_file():
            return (Path(app_root) / name).read_bytes()
    taken = (schema or {}).get("input") or {"type": "object", "example": {"data": []}}
    given = (schema or {}).get("output") or {"type": "object"}
    make = _swagger_2 if version == "2" else _openapi_3
    return json.dumps(make(service, version, taken, given)).encode()


def _info(service: str) -> dict[str, str]:
    return {
        "title": service,
        "description": f"API of the web service {service}",
        "version": "1.0",
    }


def _swagger_2(service: str, version: str, taken: Any, given: Any) -> dict[str, Any]:  # noqa: ARG001
    key = {"Bearer": {"type": "apiKey", "name": "Authorization", "in": "header"}}
    score = {
        "operationId": "RunMLService",
        "description": "Runs the model on the input given.",
        "security": [{"Bearer": []}],
        "parameters": [
            {
                "name": "serviceInputPayload",
                "in": "body",
                "description": "The input.",
                "schema": {"$ref": "#/definitions/ServiceInput"},
            }
        ],
        "responses": {
            "200": {
                "description": "The result.",
                "schema": {"$ref": "#/definitions/ServiceOutput"},
            },
            "default": {
                "description": "An error.",
                "schema": {"$ref": "#/definitions/ErrorResponse"},
            },
        },
    }
    return {
        "swagger": "2.0",
        "info": _info(service),
        "schemes": ["http", "https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": key,
        "paths": {"/": {"get": _health("2")}, "/score": {"post": score}},
        "definitions": {
            "ServiceInput": taken,
            "ServiceOutput": given,
            "ErrorResponse": ERROR,
        },
    }


def _openapi_3(service: str, version: str, taken: Any, given: Any) -> dict[str, Any]:
    def content(name: str) -> dict[str, Any]:
        return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}

    score = {
        "operationId": "RunMLService",
        "description": "Runs the model on the input given.",
        "security": [{"Bearer": []}],
        "requestBody": {"description": "The input.", "content": content("ServiceInput")},
        "responses": {
            "200": {"description": "The result.", "content": content("ServiceOutput")},
            "default": {"description": "An error.", "content": content("ErrorResponse")},
        },
    }
    return {
        "openapi": OPENAPI[version],
        "info": _info(service),
        "paths": {"/": {"get": _health(version)}, "/score": {"post": score}},
        "components": {
            "securitySchemes": {"Bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "ServiceInput": taken,
                "ServiceOutput": given,
                "ErrorResponse": ERROR,
            },
        },
    }


def _health(version: str) -> dict[str, Any]:
    text = {"type": "string", "example": "Healthy"}
    healthy: dict[str, Any] = {"description": "The service answers."}
    healthy |= {"schema": text} if version == "2" else {"content": {"text/html": {"schema": text}}}
    return {"operationId": "ServiceHealthCheck", "responses": {"200": healthy}}
