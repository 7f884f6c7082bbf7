"""The schema of errors in the served OpenAPI."""

from __future__ import annotations

from typing import Any

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
