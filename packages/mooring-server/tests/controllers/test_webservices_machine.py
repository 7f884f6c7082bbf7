"""Services, driven at random through everything that can happen to them, against a small reference.

The fakes of `mooring_server.testing` stand for the builder and the target; database, use cases and controllers are
real. A crash of the server is new controllers over what the database has.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mooring_server.controllers.images import ImageController
from mooring_server.controllers.webservices import ServiceController
from mooring_server.domain.errors import Conflict, NotFound, PhaseFailed
from mooring_server.images.types import BuildRequest
from mooring_server.services.context import Context, WorkspaceRef
from mooring_server.services.operations import Operations
from mooring_server.services.webservices import Webservices
from mooring_server.services.workspaces import Workspaces
from mooring_server.testing import FakeBuilder, FakeTarget, make_context

NAMES = st.sampled_from(["svc-a", "svc-b"])
numbers = itertools.count()
ENDED = {"Succeeded", "Failed", "TimedOut", "Cancelled"}


@dataclass
class Expected:
    """A service as it should be.

    Attributes:
        asked: the image asked for.
        good: the image that answers, if one does.
        stage: ``Building``, ``Starting``, ``Settled`` or ``Failed``.
    """

    uid: str
    asked: str
    good: "str | None" = None
    stage: str = "Building"
    failed_before: bool = False


class Services(RuleBasedStateMachine):
    context: Context

    @initialize()
    def begin(self) -> None:
        self.ref = WorkspaceRef("sub", "rg", f"ws{next(numbers)}")
        Workspaces(self.context).create(self.ref, {}, exist_ok=False)
        self.services = Webservices(self.context, "services")
        self.target = FakeTarget()
        self.expected: dict[str, Expected] = {}
        self.ended: dict[str, Any] = {}
        self.begun: list[str] = []
        self.crash()

    @rule()
    def crash(self) -> None:
        """The server dies and starts again; what runs, runs on."""
        self.operations = Operations(self.context)
        self.builder = FakeBuilder(self.context.store)
        self.images = ImageController(self.context, self.operations, self.builder)
        self.controller = ServiceController(self.context, self.operations, self.target)

    def request(self) -> dict[str, Any]:
        digest = self.context.store.put_bytes(
            f"def init(): pass\ndef run(x): return {next(numbers)}".encode()
        )
        files = [{"path": "score.py", "digest": digest}]
        return {"entryScript": "score.py", "files": files, "modelIds": [], "environment": {}}

    @rule(name=NAMES, overwrite=st.booleans())
    def deploy(self, name: str, overwrite: bool) -> None:
        body = {"name": name, "computeType": "ACI", "imageRequest": self.request(), "overwrite": overwrite}
        known = self.expected.get(name)
        if known is not None and not overwrite:
            with pytest.raises(Conflict) as caught:
                self.services.create(self.ref, body)
            assert caught.value.code == "ServiceExists"
            return
        view = self.services.create(self.ref, body)
        self.asked(name, view)

    @rule(name=NAMES)
    def update(self, name: str) -> None:
        if name not in self.expected:
            with pytest.raises(NotFound):
                self.services.update(self.ref, name, {"imageRequest": self.request()})
            return
        self.asked(name, self.services.update(self.ref, name, {"imageRequest": self.request()}))

    def asked(self, name: str, view: dict[str, Any]) -> None:
        assert view["state"] == "Transitioning"
        known = self.expected.get(name)
        uid = self.services.uid(self.ref, name)
        self.expected[name] = Expected(uid, view["imageId"], known.good if known else None)
        self.begun.append(view["operationId"])

    @rule(good=st.booleans())
    def build(self, good: bool) -> None:
        def fail(_request: BuildRequest) -> None:
            raise PhaseFailed("PackagesUnsatisfiable", "no", phase="Resolve")

        self.builder.outcome = (lambda _request: None) if good else fail
        for key in self.images.known():
            self.images.reconcile(key)
        for one in self.expected.values():
            if one.stage == "Building":
                one.stage = "Starting" if good else "Breaking"
        self.look()

    @rule(name=NAMES, good=st.booleans())
    def start(self, name: str, good: bool) -> None:
        """The revision that is starting becomes ready, or fails."""
        one = self.expected.get(name)
        if one is None or one.stage != "Starting":
            return
        if good:
            self.target.finish(one.uid)
            one.stage, one.good, one.failed_before = "Settled", one.asked, False
        else:
            self.target.break_(one.uid)
            one.stage = "Breaking"
        self.look()

    @rule(name=NAMES)
    def reboot(self, name: str) -> None:
        """All its processes are gone."""
        one = self.expected.get(name)
        if one is not None and one.uid in self.target.seen:
            self.target.lose(one.uid)
            self.look()

    @rule(name=NAMES, at_once=st.booleans())
    def delete(self, name: str, at_once: bool) -> None:
        one = self.expected.get(name)
        if one is None:
            with pytest.raises(NotFound):
                self.services.delete(self.ref, name)
            return
        view = self.services.delete(self.ref, name)
        self.begun.append(view["operationId"])
        with pytest.raises(Conflict) as caught:
            self.services.update(self.ref, name, {"imageRequest": self.request()})
        assert caught.value.code == "ServiceDeleting"
        if not at_once:
            self.crash()
        del self.expected[name]
        self.look()
        assert one.uid not in self.target.specs
        assert one.uid not in self.target.seen

    def look(self) -> None:
        """What the runner would do, and what the reference says comes of it."""
        for one in self.expected.values():
            if one.stage == "Breaking":
                one.stage = "Settled" if one.good else "Failed"
                one.asked = one.good or one.asked
                one.failed_before = True
        for _ in range(3):
            for key in list(self.controller.known()):
                for _ in range(10):
                    if self.controller.reconcile(key) != 0.0:
                        break
            for one in self.expected.values():
                # The supervisor brings back by itself what has been good before.
                seen = self.target.seen.get(one.uid)
                if one.stage == "Settled" and seen and seen.phase != "Ready" and seen.failure is None:
                    self.target.finish(one.uid)

    @precondition(lambda self: bool(getattr(self, "expected", None)))
    @invariant()
    def services_are_as_expected(self) -> None:
        for name, one in self.expected.items():
            view = self.services.get(self.ref, name)
            states = {
                "Building": "Transitioning",
                "Starting": "Transitioning",
                "Settled": "Healthy",
                "Failed": "Failed",
            }
            assert view["state"] == states[one.stage], (name, one, view)
            assert view["imageId"] == one.asked
            assert (view["error"] is not None) == (
                one.failed_before and one.stage in {"Settled", "Failed"}
            ) or (states[one.stage] == "Transitioning")
            seen = self.target.seen.get(one.uid)
            if one.good and one.stage in {"Building", "Settled"}:
                assert seen is not None
                assert seen.active_revision == view["activeRevision"]

    @invariant()
    def ended_operations_never_change(self) -> None:
        for identity in getattr(self, "begun", []):
            now: dict[str, Any] = {**self.operations.get(self.ref, identity)}
            del now["log"]  # an image whose deployment was superseded is still built, and logs there
            if identity in self.ended:
                assert now == self.ended[identity]
            elif now["state"] in ENDED:
                self.ended[identity] = now

    def teardown(self) -> None:
        """Nothing is stuck: from wherever it is, a service comes to its end, and no operation is left open."""
        if not hasattr(self, "expected"):
            return
        self.build(good=True)
        for name in list(self.expected):
            self.start(name, good=True)
        self.services_are_as_expected()
        assert {one.stage for one in self.expected.values()} <= {"Settled", "Failed"}
        for name in list(self.expected):
            self.delete(name, at_once=False)
        assert {self.operations.get(self.ref, i)["state"] for i in self.begun} <= ENDED
        Workspaces(self.context).delete(self.ref)  # refused if anything were left


@pytest.mark.parametrize("examples", [6, pytest.param(150, marks=pytest.mark.full)])
def test_services_do_what_is_expected(examples: int, tmp_path: Any) -> None:
    context = make_context(tmp_path)
    machine = type("Machine", (Services,), {"context": context})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=20,
                deadline=None,
                database=None,
                phases=[Phase.generate],
            ),
        )
    finally:
        context.db.close()
