"""Databases as released versions of Mooring left them: one for each schema, with rows in every table.

A schema is made by running the migrations up to it. The rows are written for the newest schema; a table or column
that a schema does not have yet is left out, and one that is not named here gets a value by its type.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, Column, Integer, MetaData, String, Table

import mooring_server.store.database as module
from mooring_server.store.content import ContentStore
from mooring_server.store.database import Database

FOLDER = Path(module.__file__).parent / "migrations"
AT = "2026-01-02T03:04:05.000006+00:00"
RESOURCES = {"cpu": 0.5, "memoryInGB": 1.0}
CONFIG = {"location": "local", "authEnabled": True, "containerResourceRequirements": RESOURCES}
UID = "0123456789abcdef0123456789abcdef"
OPERATION = "11111111-2222-3333-4444-555555555555"
PHASES = [
    {"name": n, "state": "Succeeded", "started": 1.0, "ended": 2.0, "deadline_seconds": 60, "detail": ""}
    for n in ("Unpack", "Start", "Init")
]


def revisions() -> list[str]:
    """All schemas there ever were, oldest first."""
    script = ScriptDirectory(str(FOLDER))
    return [r.revision for r in reversed(list(script.walk_revisions()))]


def make(directory: Path, revision: str) -> Path:
    """A data directory's database and content, as a server with this schema left them."""
    store = ContentStore(directory / "content")
    model, layer, config = (store.put_bytes(x) for x in (b"a model", b"a layer", b"{}"))
    manifest = store.put_bytes(
        json.dumps({"config": {"digest": config}, "layers": [{"digest": layer}]}).encode()
    )
    path = directory / "mooring.db"
    database = Database(f"sqlite:///{path}")
    config_ = Config()
    config_.set_main_option("script_location", str(FOLDER))
    with database.engine.begin() as connection:
        config_.attributes["connection"] = connection
        command.upgrade(config_, revision)
    with database.engine.begin() as connection:
        schema = MetaData()
        schema.reflect(connection)
        known = _rows(model, manifest)
        for table in schema.sorted_tables:
            if table.name == "alembic_version":
                continue
            for row in known.get(table.name, [{}]):
                connection.execute(table.insert(), _complete(table, row))
    database.close()
    return path


def _complete(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    return {c.name: row[c.name] if c.name in row else _value(c) for c in table.columns}


def _value(column: Column[Any]) -> Any:
    if column.foreign_keys:
        return 1 if isinstance(column.type, Integer) else OPERATION
    if column.nullable:
        return None
    for kind, value in ((JSON, {}), (Boolean, False), (Integer, 1), (String, f"a {column.name}")):
        if isinstance(column.type, kind):
            return value
    raise AssertionError(f"{column} wants a value here")


def _rows(model: str, manifest: str) -> dict[str, list[dict[str, Any]]]:
    file = {"path": "m.bin", "digest": model, "size": 7, "executable": False}
    image = {
        "id": 1, "workspace_id": 1, "name": "svc", "version": 1, "implicit": True, "flavor": "WebApiContainer",
        "tags": {"t": "1"}, "properties": {}, "state": "Succeeded", "digest": manifest, "model_ids": ["m:1"],
        "request": {"entryScript": "score.py", "sourceDirectory": None, "files": [], "environment": {}},
        "built": {"size": 7, "python_version": "3.11", "changes": []}, "operation_id": OPERATION,
        "created": AT, "modified": AT,
    }  # fmt: skip
    service = {
        "id": 1, "uid": UID, "workspace_id": 1, "scope": "cloud", "name": "svc", "compute_type": "ACI",
        "tags": {"stage": "live"}, "properties": {"p": "q"}, "config": CONFIG, "image_id": 1, "revision": 2,
        "revisions": 2, "generation": 3, "settled": 3, "active_image_id": 1, "active_revision": 2,
        "active_config": CONFIG, "state": "Healthy", "observed": {"phase": "Ready", "url": "http://127.0.0.1:9"},
        "deleting": False, "operation_id": OPERATION, "created_by": "ada", "created": AT, "modified": AT,
    }  # fmt: skip
    return {
        "workspaces": [
            {
                "id": 1, "key": "sub/rg/ws", "subscription": "sub", "resource_group": "rg", "name": "ws",
                "tags": {"w": "x"}, "registry_name": "ws1", "created": AT,
            }
        ],
        "counters": [
            {"workspace_id": 1, "kind": "model", "name": "m", "last": 4},
            {"workspace_id": 1, "kind": "image", "name": "svc", "last": 1},
        ],
        "models": [
            {
                "id": 1, "workspace_id": 1, "name": "m", "version": 1, "tags": {"a": "b"}, "properties": {},
                "framework": "Custom", "extra": {"runId": "r"}, "files": [file], "created": AT, "modified": AT,
            }
        ],
        "environments": [{"id": 1, "workspace_id": 1, "name": "env", "version": 1, "definition": {"x": [1]}}],
        "images": [image],
        "image_models": [{"image_id": 1, "name": "m", "version": 1}],
        "services": [service],
        "service_revisions": [{"service_id": 1, "number": 2, "image_id": 1, "config": CONFIG, "created": AT}],
        "service_keys": [
            {"workspace_id": 1, "scope": "cloud", "name": "svc", "primary": "first", "secondary": "second"}
        ],
        "operations": [
            {
                "id": OPERATION, "workspace_id": 1, "kind": "CreateService", "resource": "services",
                "resource_id": "svc", "state": "Succeeded", "phases": PHASES, "created": AT, "ended": AT,
            }
        ],
        "tokens": [{"id": "token-1", "name": "ci", "role": "reader", "everywhere": False, "created": AT}],
        "token_workspaces": [{"token_id": "token-1", "workspace_id": 1}],
        "base_images": [{"name": "base", "digest": manifest, "is_default": False, "created": AT}],
        "pushed_manifests": [
            {"workspace_id": 1, "repository": "mine", "digest": manifest, "refers_to": [model], "created": AT}
        ],
        "pushed_tags": [{"workspace_id": 1, "repository": "mine", "tag": "latest", "digest": manifest}],
        "pushed_blobs": [{"workspace_id": 1, "repository": "mine", "digest": model, "created": AT}],
        "profiles": [
            {
                "id": 1, "uid": "profile-1", "workspace_id": 1, "name": "measured", "request": {"inputs": model},
                "image_id": 1, "operation_id": OPERATION, "state": "Succeeded", "result": {"cpu": 0.1}, "created": AT,
            }
        ],
        "operation_log": [{"operation_id": OPERATION, "seq": 1, "message": "a line"}],
    }  # fmt: skip
