"""What nothing refers to is freed; what something refers to never is."""

import json
import os
import time
from pathlib import Path

import pytest

from mooring_server.controllers.garbage import Housekeeper
from mooring_server.services.context import Context, WorkspaceRef
from mooring_server.services.models import Models
from mooring_server.services.operations import Operations, start_operation
from mooring_server.store.tables import Image, LogLine, Operation, Workspace
from mooring_server.testing import FakeTarget


def age(context: Context, digest: str, seconds: float = 7200) -> None:
    path: Path = context.store.path(digest)
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def keeper(context: Context) -> Housekeeper:
    return Housekeeper(context, Operations(context), FakeTarget())


def add_image(context: Context, state: str, digest: str | None = None, **more: object) -> None:
    with context.db.write() as session:
        workspace = session.query(Workspace).one()
        fields = {
            "name": "img", "version": 1, "implicit": False, "flavor": "", "description": None, "tags": {},
            "properties": {}, "request": {"files": []}, "model_ids": [], "error": None, "built": None,
            "operation_id": "", "created": "", "modified": "",
        }  # fmt: skip
        session.add(Image(workspace_id=workspace.id, state=state, digest=digest, **{**fields, **more}))


def test_only_what_is_old_and_unreferenced_goes(
    context: Context, ref: WorkspaceRef, keeper: Housekeeper
) -> None:
    put = context.store.put_bytes
    model, orphan, young = put(b"model"), put(b"orphan"), put(b"young")
    script, layer, config, lock, sbom = (put(x) for x in (b"script", b"layer", b"config", b"lock", b"sbom"))
    manifest = put(json.dumps({"config": {"digest": config}, "layers": [{"digest": layer}]}).encode())
    Models(context).register(ref, {"name": "m", "files": [{"path": "m", "digest": model}]})
    add_image(
        context,
        "Succeeded",
        manifest,
        request={"files": [{"path": "s", "digest": script}]},
        built={"lock_digest": lock, "sbom_digest": sbom},
    )
    for digest in (model, orphan, script, layer, config, lock, sbom, manifest):
        age(context, digest)
    keeper.collect()
    assert set(context.store.digests()) == {model, young, script, layer, config, lock, sbom, manifest}
    Models(context).delete(ref, "m:1")
    keeper.collect()
    assert not context.store.has(model)


def test_a_clock_set_forward_makes_nothing_old(
    context: Context, ref: WorkspaceRef, keeper: Housekeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    young, old = context.store.put_bytes(b"young"), context.store.put_bytes(b"old")
    age(context, old)
    jumped = time.time() + 24 * 3600
    monkeypatch.setattr(time, "time", lambda: jumped)
    keeper.collect()
    assert set(context.store.digests()) == {young}


def test_nothing_goes_while_an_image_is_built(
    context: Context, ref: WorkspaceRef, keeper: Housekeeper
) -> None:
    orphan = context.store.put_bytes(b"a layer of the build")
    age(context, orphan)
    add_image(context, "Running")
    keeper.collect()
    assert context.store.has(orphan)


def test_superseded_images_of_services_go_and_the_newest_stay(
    context: Context, ref: WorkspaceRef, keeper: Housekeeper
) -> None:
    for version in range(1, 7):
        add_image(context, "Failed", name="svc", version=version, implicit=True)
    add_image(context, "Failed", name="svc", version=7, implicit=False)
    keeper.collect()
    with context.db.read() as session:
        assert sorted(i.version for i in session.query(Image)) == [4, 5, 6, 7]


def test_old_operations_go_with_their_logs(
    context: Context, ref: WorkspaceRef, keeper: Housekeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring_server.controllers.garbage._OPERATIONS_KEPT", 3)
    operations = Operations(context)
    ids = []
    for _ in range(6):
        with context.db.write() as session:
            workspace = session.query(Workspace).one()
            made = start_operation(session, workspace, "x", "Delete", resource="services", resource_id="x")
            ids.append(made.id)
        operations.log(made.id, "Delete", "one", "two")
        operations.advance(made.id, lambda p: p.succeed(1))
    with context.db.write() as session:
        unfinished = start_operation(
            session, session.query(Workspace).one(), "x", "Delete", resource="s", resource_id="x"
        ).id
    keeper.collect()
    with context.db.read() as session:
        assert {o.id for o in session.query(Operation)} == {*ids[-3:], unfinished}
        assert session.query(LogLine).count() == 6
