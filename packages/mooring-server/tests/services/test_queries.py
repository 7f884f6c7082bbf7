"""Calls take the same number of queries however much there is, and use indexes where there may be much."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from mooring_server.controllers.garbage import Housekeeper
from mooring_server.domain.errors import Conflict
from mooring_server.services.context import Context, WorkspaceRef
from mooring_server.services.models import Models
from mooring_server.services.paging import Paging
from mooring_server.testing import Scenario

PAGE = Paging("/", count=50)


@contextmanager
def statements(context: Context) -> Iterator[list[tuple[str, Any]]]:
    """What is sent to the database meanwhile."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    event.listen(context.db.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(context.db.engine, "before_cursor_execute", note)


class Things:
    """Models, images and services, as many as are asked for."""

    def __init__(self, context: Context, ref: WorkspaceRef) -> None:
        self.context, self.ref = context, ref
        self.scenario = Scenario(context, ref)
        self.models = Models(context)
        self.count = 0

    def grow(self, to: int) -> None:
        digest = self.context.store.put_bytes(b"model")
        for n in range(self.count, to):
            files = [{"path": "m", "digest": digest}]
            self.models.register(self.ref, {"name": f"m{n}", "files": files})
            request = {**self.scenario.script(), "modelIds": [f"m{n}:1", "m0:1"] if n else ["m0:1"]}
            self.scenario.images.create(self.ref, f"image{n}", request)
            self.scenario.build()
            service = {"name": f"svc{n}", "computeType": "ACI", "imageId": f"image{n}:1"}
            self.scenario.services.create(self.ref, service)
        self.scenario.look()
        for uid in list(self.scenario.target.specs):
            self.scenario.target.finish(uid)
        self.scenario.look()
        self.count = to

    def calls(self) -> dict[str, Callable[[], Any]]:
        s, ref = self.scenario, self.ref
        return {
            "models": lambda: self.models.list(ref, {}, PAGE),
            "images": lambda: s.images.list(ref, {}, PAGE),
            "images of a model": lambda: s.images.list(ref, {"modelId": "m0:1"}, PAGE),
            "services": lambda: s.services.list(ref, {}, PAGE),
            "services of a model": lambda: s.services.list(ref, {"modelName": "m0"}, PAGE),
            "a model": lambda: self.models.get(ref, "m0:1"),
            "an image": lambda: s.images.get(ref, "image0:1"),
            "a service": lambda: s.services.get(ref, "svc0"),
            "a model in use": lambda: self._refused("m0:1"),
            "one service to look at": lambda: s.controller.reconcile(1),
            "deadlines": lambda: Housekeeper(self.context, s.operations, s.target).expire(),
            "garbage": lambda: Housekeeper(self.context, s.operations, s.target).collect(),
        }

    def _refused(self, model: str) -> None:
        with pytest.raises(Conflict):
            self.models.delete(self.ref, model)

    def counted(self) -> dict[str, int]:
        counts = {}
        for name, call in self.calls().items():
            with statements(self.context) as sent:
                call()
            counts[name] = len(
                [s for s, _ in sent if s.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))]
            )
        return counts


@pytest.fixture
def things(context: Context, ref: WorkspaceRef) -> Things:
    return Things(context, ref)


def test_queries_do_not_grow_with_what_is_there(things: Things) -> None:
    things.grow(3)
    few = things.counted()
    things.grow(12)
    assert things.counted() == few
    assert max(few.values()) <= 16, few
    assert len(things.scenario.services.list(things.ref, {}, PAGE)["value"]) == 12


def test_lists_and_lookups_read_no_whole_table(things: Things) -> None:
    things.grow(3)
    connection = things.context.db.engine.raw_connection()
    try:
        for name, call in things.calls().items():
            if name == "garbage":
                continue  # it looks at everything, by its nature, and only when something may have become garbage
            with statements(things.context) as sent:
                call()
            for statement, parameters in sent:
                if statement.lstrip().startswith("SELECT"):
                    plan = connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                    scans = [row[3] for row in plan if str(row[3]).startswith("SCAN")]
                    assert not scans, (name, statement, scans)
    finally:
        connection.close()


def test_pages_of_models_are_read_in_order(things: Things) -> None:
    """A sort would read all models for each page."""
    things.grow(3)
    for name in ("models", "images", "services"):
        with statements(things.context) as sent:
            things.calls()[name]()
        connection = things.context.db.engine.raw_connection()
        try:
            for statement, parameters in sent:
                if "LIMIT" in statement and "DESC" in statement:
                    plan = connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                    assert not [r[3] for r in plan if "TEMP B-TREE" in str(r[3])], (name, statement)
        finally:
            connection.close()


def test_filters_come_before_pages(things: Things) -> None:
    things.grow(5)
    first = things.scenario.images.list(things.ref, {"modelId": "m1:1"}, Paging("/", count=1))
    assert [image["id"] for image in first["value"]] == ["image1:1"]
    assert first["nextLink"] is None
    services = things.scenario.services.list(things.ref, {"modelName": "m0"}, Paging("/", count=2))
    assert [service["name"] for service in services["value"]] == ["svc4", "svc3"]
    assert services["nextLink"]
    assert things.scenario.images.list(things.ref, {"modelId": "nonsense"}, PAGE)["value"] == []


def test_garbage_is_looked_for_when_there_may_be_some(things: Things) -> None:
    things.grow(1)
    keeper = Housekeeper(things.context, things.scenario.operations, things.scenario.target)
    collect = list(keeper.known())[1]
    assert keeper.due()
    keeper.reconcile(collect)
    assert not keeper.due()
    assert keeper.reconcile(collect)
    things.grow(2)
    assert keeper.due()
    keeper.reconcile(collect)
    things.scenario.services.delete(things.ref, "svc1")
    things.scenario.look()
    assert keeper.due()
    keeper.reconcile(collect)
    state, at = keeper._seen or ((), 0.0)
    keeper._seen = state, at - 4000
    assert keeper.due(), "uploads that nobody made use of are looked for once in a while"
    assert time.monotonic() > at
