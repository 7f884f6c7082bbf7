"""The served OpenAPI description."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

ERROR_SCHEMA: dict[str, Any] = {
    "title": "Error",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "phase", "statusCode", "message", "hint", "evidence"],
            "properties": {
                "code": {"type": "string"},
                "phase": {"type": "string"},
                "statusCode": {"type": "integer"},
                "message": {"type": "string"},
                "hint": {"type": "string"},
                "target": {"type": ["string", "null"]},
                "evidence": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        }
    },
}


def install_openapi(app: FastAPI) -> None:
    """Describe the routes, the errors and the token; made when somebody first asks."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schema["components"]["schemas"]["Error"] = ERROR_SCHEMA
            schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            schema["security"] = [{"token": []}]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
