"""The life of a service, with a target and a builder in memory and everything else real."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from mooring_server.controllers.garbage import Housekeeper
from mooring_server.domain.errors import Conflict, InvalidRequest, MooringError, PhaseFailed
from mooring_server.domain.init_timeout import INIT_SLACK_SECONDS, INIT_TIMEOUT_VARIABLE
from mooring_server.domain.lifecycle import PHASE_DEADLINES, WAITING_DEADLINE, OperationState
from mooring_server.services.models import Models
from mooring_server.services.paging import Paging
from mooring_server.services.phase_ages import PhaseAges
from mooring_server.store.tables import Image, Service
from mooring_server.testing import SCRIPT, Scenario


def test_from_request_to_healthy(scenario: Scenario) -> None:
    asked = scenario.deploy(authEnabled=True)
    assert asked["state"] == "Transitioning"
    assert scenario.operation(asked)["state"] == "NotStarted"
    scenario.build()
    scenario.look()
    assert [p["state"] for p in scenario.operation(asked)["phases"]] == [
        "Succeeded", "Succeeded", "Succeeded", "Succeeded", "Running"
    ]  # fmt: skip
    scenario.target.finish(scenario.uid())
    scenario.look()
    view = scenario.view()
    assert view["state"] == "Healthy"
    assert view["scoringUri"] == "http://127.0.0.1:9/score"
    assert view["error"] is None
    operation = scenario.operation(asked)
    assert operation["state"] == "Succeeded"
    assert "resolving nothing" in [line["message"] for line in operation["log"]]
    keys = scenario.services.keys(scenario.ref, "svc")
    assert set(scenario.target.specs[scenario.uid()].auth_keys) == set(keys.values())


def test_a_taken_name(scenario: Scenario) -> None:
    scenario.deploy()
    scenario.run()
    with pytest.raises(Conflict) as caught:
        scenario.deploy()
    assert caught.value.code == "ServiceExists"
    before = scenario.view()
    scenario.deploy(b"# new\n" + SCRIPT, overwrite=True)
    after = scenario.run()
    assert after["id"] == before["id"]
    assert after["revision"] == before["revision"] + 1
    assert after["imageId"] != before["imageId"]


def test_a_build_that_fails_ends_the_first_deployment(scenario: Scenario) -> None:
    def refuse(_request: object) -> None:
        raise PhaseFailed(
            "PackagesNotResolved", "no such package", phase="Resolve", evidence={"resolver": "..."}
        )

    scenario.builder.outcome = refuse
    asked = scenario.deploy()
    view = scenario.run()
    assert view["state"] == "Failed"
    assert view["error"]["code"] == "PackagesNotResolved"
    operation = scenario.operation(asked)
    assert operation["state"] == "Failed"
    assert operation["error"]["evidence"] == {"resolver": "..."}
    assert scenario.target.specs == {}


def test_a_builder_with_a_bug_ends_it_too(scenario: Scenario) -> None:
    def bug(_request: object) -> None:
        raise ZeroDivisionError("oops")

    scenario.builder.outcome = bug
    scenario.deploy()
    view = scenario.run()
    assert view["error"]["code"] == "InternalError"
    assert "oops" in view["error"]["evidence"]["traceback"]


def test_a_bad_update_never_replaces_what_works(scenario: Scenario) -> None:
    scenario.deploy()
    good = scenario.run()
    asked = scenario.services.update(
        scenario.ref, "svc", {"imageRequest": scenario.script(b"# bad\n" + SCRIPT)}
    )
    scenario.build()
    scenario.look()
    assert scenario.target.specs[scenario.uid()].revision == 2
    scenario.target.break_(scenario.uid())
    scenario.look()
    view = scenario.view()
    assert view["state"] == "Healthy"
    assert view["error"]["code"] == "InitRaised"
    assert view["imageId"] == good["imageId"]
    assert scenario.operation(asked)["state"] == "Failed"
    # The target was given the good revision again, and the next update gets a number of its own.
    assert scenario.target.specs[scenario.uid()].revision == 1
    scenario.services.update(scenario.ref, "svc", {"imageRequest": scenario.script(b"# good\n" + SCRIPT)})
    view = scenario.run()
    assert (view["state"], view["error"], view["revision"]) == ("Healthy", None, 3)


def test_a_failed_first_deployment_can_be_mended(scenario: Scenario) -> None:
    scenario.deploy()
    scenario.build()
    scenario.look()
    scenario.target.break_(scenario.uid())
    scenario.look()
    assert scenario.view()["state"] == "Failed"
    scenario.deploy(b"# mended\n" + SCRIPT, overwrite=True)
    assert scenario.run()["state"] == "Healthy"


def test_a_newer_request_cancels_the_older_operation(scenario: Scenario) -> None:
    first = scenario.deploy()
    scenario.build()
    scenario.look()
    second = scenario.services.update(scenario.ref, "svc", {"kvTags": {"a": "b"}})
    assert scenario.operation(first)["state"] == "Cancelled"
    assert scenario.operation(first)["error"]["code"] == "Superseded"
    assert scenario.run()["state"] == "Healthy"
    assert scenario.operation(second)["state"] == "Succeeded"


def during_build(scenario: Scenario, act: Callable[[], Any]) -> list[Any]:
    """Build, and ``act`` once while the first build resolves its packages; what it returned."""
    done: list[Any] = []

    def outcome(_request: object) -> None:
        if not done:
            done.append(act())

    scenario.builder.outcome = outcome
    scenario.build()
    return done


def test_a_build_that_nobody_waits_for_stops(scenario: Scenario) -> None:
    first = scenario.deploy()
    newer = b"# newer\n" + SCRIPT
    [second] = during_build(scenario, lambda: scenario.deploy(newer, overwrite=True))
    ended = scenario.operation(first)
    assert ended["state"] == "Cancelled"
    assert [p["state"] for p in ended["phases"]] == ["Skipped"] * 5, "and it stays as it ended"
    with scenario.context.db.read() as session:
        image = session.query(Image).order_by(Image.id).first()
        assert image is not None
        assert (image.state, image.error["code"] if image.error else None) == ("Failed", "Superseded")
    assert scenario.run()["imageId"] == second["imageId"]
    assert scenario.view()["state"] == "Healthy"


def test_a_build_goes_on_for_the_newer_request_that_wants_the_same_image(scenario: Scenario) -> None:
    first = scenario.deploy()
    [second] = during_build(
        scenario, lambda: scenario.services.update(scenario.ref, "svc", {"kvTags": {"a": "b"}})
    )
    assert scenario.operation(first)["state"] == "Cancelled"
    scenario.look()
    goes_on = scenario.operation(second)
    assert [p["state"] for p in goes_on["phases"]] == ["Succeeded"] * 4 + ["Running"]
    assert "resolving nothing" in [line["message"] for line in goes_on["log"]]
    assert scenario.run()["state"] == "Healthy"
    assert len(scenario.builder.built) == 1


def test_settings_change_without_new_workers(scenario: Scenario) -> None:
    scenario.deploy()
    before = scenario.run()
    scenario.services.update(scenario.ref, "svc", {"authEnabled": True, "kvTags": {"a": "b"}})
    after = scenario.run(finish=False)
    assert after["state"] == "Healthy"
    assert after["revision"] == before["revision"]
    assert after["kvTags"] == {"a": "b"}
    assert len(scenario.target.specs[scenario.uid()].auth_keys) == 2
    scenario.services.update(scenario.ref, "svc", {"containerResourceRequirements": {"cpu": 2}})
    assert scenario.run()["revision"] == before["revision"] + 1


def test_keys_survive_deletion(scenario: Scenario) -> None:
    scenario.deploy(authEnabled=True)
    scenario.run()
    keys = scenario.services.keys(scenario.ref, "svc")
    asked = scenario.services.delete(scenario.ref, "svc")
    assert asked["state"] == "Deleting"
    with pytest.raises(Conflict, match="being deleted"):
        scenario.deploy(overwrite=True)
    scenario.look()
    assert scenario.operation(asked)["state"] == "Succeeded"
    with pytest.raises(MooringError, match="no service"):
        scenario.view()
    assert scenario.images.list(scenario.ref, {}, Paging("/"))["value"] == []
    with scenario.context.db.read() as session:
        assert session.query(Image).count() == session.query(Service).count() == 0
    scenario.deploy(authEnabled=True)
    scenario.run()
    assert scenario.services.keys(scenario.ref, "svc") == keys
    scenario.services.regenerate_key(scenario.ref, "svc", "Primary", None)
    scenario.run(finish=False)
    new = scenario.services.keys(scenario.ref, "svc")
    assert new["primaryKey"] != keys["primaryKey"]
    assert new["secondaryKey"] == keys["secondaryKey"]
    assert new["primaryKey"] in scenario.target.specs[scenario.uid()].auth_keys


def test_what_is_lost_comes_back(scenario: Scenario) -> None:
    scenario.deploy()
    scenario.run()
    scenario.target.lose(scenario.uid())
    scenario.look()
    assert scenario.view()["state"] == "Unhealthy"
    scenario.target.finish(scenario.uid())
    scenario.look()
    assert scenario.view()["state"] == "Healthy"


def test_a_phase_that_never_ends(scenario: Scenario) -> None:
    steady = [0.0]
    scenario.context.ages = PhaseAges(lambda: steady[0])
    keeper = Housekeeper(scenario.context, scenario.operations, scenario.target)
    asked = scenario.deploy()
    scenario.build()
    scenario.look()
    keeper.expire()
    steady[0] += PHASE_DEADLINES["Init"] + INIT_SLACK_SECONDS - 1
    keeper.expire()
    operation = scenario.operation(asked)
    assert operation["state"] == OperationState.RUNNING.value
    assert operation["phases"][-1]["elapsedSeconds"] == steady[0]
    assert operation["phases"][-1]["deadlineSeconds"] == steady[0] + 1
    steady[0] += 2
    keeper.expire()
    assert scenario.operation(asked)["state"] == OperationState.TIMED_OUT.value
    scenario.look()
    view = scenario.view()
    assert view["state"] == "Failed"
    assert view["error"]["code"] == "PhaseTimeout"
    assert view["error"]["phase"] == "Init"


@pytest.mark.parametrize("hours", [-48, 48])
def test_a_clock_that_jumps_neither_ends_nor_prolongs(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    steady = [0.0]
    scenario.context.ages = PhaseAges(lambda: steady[0])
    keeper = Housekeeper(scenario.context, scenario.operations, scenario.target)
    asked = scenario.deploy()
    scenario.build()
    scenario.look()
    keeper.expire()
    jumped = time.time() + hours * 3600
    monkeypatch.setattr(time, "time", lambda: jumped)
    keeper.expire()
    scenario.look()
    assert scenario.operation(asked)["state"] == OperationState.RUNNING.value
    steady[0] += 3600
    keeper.expire()
    ended = scenario.operation(asked)
    assert ended["state"] == OperationState.TIMED_OUT.value
    assert all(p["elapsedSeconds"] is None or p["elapsedSeconds"] >= 0 for p in ended["phases"])


def test_a_build_that_never_ends_fails_its_image(scenario: Scenario) -> None:
    steady = [0.0]
    scenario.context.ages = PhaseAges(lambda: steady[0])
    keeper = Housekeeper(scenario.context, scenario.operations, scenario.target)
    asked = scenario.images.create(scenario.ref, "img", scenario.script())
    scenario.operations.advance(asked["operationId"], lambda p: p.enter("Resolve", 1))
    keeper.expire()
    steady[0] += PHASE_DEADLINES["Resolve"]
    keeper.expire()
    image = scenario.images.get(scenario.ref, "img:1")
    assert image["creationState"] == "Failed"
    assert image["error"] is not None
    assert image["error"]["code"] == "PhaseTimeout"
    scenario.build()  # what was built after all comes too late
    assert scenario.images.get(scenario.ref, "img:1")["creationState"] == "Failed"


def test_a_build_that_never_begins_fails_its_image(scenario: Scenario) -> None:
    steady = [0.0]
    scenario.context.ages = PhaseAges(lambda: steady[0])
    keeper = Housekeeper(scenario.context, scenario.operations, scenario.target)
    asked = scenario.images.create(scenario.ref, "img", scenario.script())
    keeper.expire()
    steady[0] += WAITING_DEADLINE
    keeper.expire()
    assert scenario.operations.get(scenario.ref, asked["operationId"])["state"] == "TimedOut"
    assert scenario.images.get(scenario.ref, "img:1")["creationState"] == "Failed"


def test_init_may_take_what_the_environment_says(scenario: Scenario) -> None:
    image = scenario.script()
    image["environment"] = {"environmentVariables": {INIT_TIMEOUT_VARIABLE: "7.5"}}
    asked = scenario.services.create(
        scenario.ref, {"name": "svc", "computeType": "ACI", "imageRequest": image}
    )
    scenario.build()
    scenario.look()
    assert scenario.target.specs[scenario.uid()].init_seconds == 7.5
    assert scenario.operation(asked)["phases"][-1]["deadlineSeconds"] == 7.5 + INIT_SLACK_SECONDS


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf", "1e9", ""])
def test_a_timeout_that_is_none(scenario: Scenario, text: str) -> None:
    image = scenario.script()
    image["environment"] = {"environmentVariables": {INIT_TIMEOUT_VARIABLE: text}}
    with pytest.raises(InvalidRequest) as caught:
        scenario.services.create(scenario.ref, {"name": "svc", "computeType": "ACI", "imageRequest": image})
    assert caught.value.code == "InvalidInitTimeout"


@pytest.mark.parametrize("interrupt", range(8))
def test_it_goes_on_after_a_crash_at_any_step(
    scenario: Scenario, interrupt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies at the n-th call of anything that has an effect; a new one starts over."""
    calls = 0

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == interrupt + 1:
                raise SystemExit
            return real(*args, **kwargs)

        return call

    scenario.deploy()
    with monkeypatch.context() as patch:
        for holder, name in (
            (scenario.builder, "build"),
            (scenario.target, "prepare"),
            (scenario.target, "apply"),
            (scenario.operations, "advance"),
        ):
            patch.setattr(holder, name, dying(getattr(holder, name)))
        with contextlib.suppress(SystemExit):
            scenario.run()
    view = scenario.run()
    assert view["state"] == "Healthy"
    assert scenario.operation(view)["state"] == "Succeeded"
    assert view["revision"] == 1


def test_models_and_images_in_use_cannot_be_deleted(scenario: Scenario) -> None:
    models = Models(scenario.context)
    digest = scenario.context.store.put_bytes(b"model")
    models.register(scenario.ref, {"name": "m", "files": [{"path": "m.pkl", "digest": digest}]})
    request = {**scenario.script(), "modelIds": ["m"]}
    image = scenario.images.create(scenario.ref, "img", request)
    assert image["id"] == "img:1"
    assert image["creationState"] == "Running"
    scenario.build()
    assert scenario.images.get(scenario.ref, "img")["creationState"] == "Succeeded"
    assert [m.name for m in scenario.builder.built[0].models] == ["m"]
    scenario.services.create(scenario.ref, {"name": "svc", "computeType": "ACI", "imageId": "img:1"})
    scenario.run()
    with pytest.raises(Conflict) as caught:
        models.delete(scenario.ref, "m:1")
    assert caught.value.code == "ModelInUse"
    assert "img:1" in caught.value.message
    with pytest.raises(Conflict) as caught:
        scenario.images.delete(scenario.ref, "img:1")
    assert caught.value.code == "ImageInUse"
    assert "svc" in caught.value.message
    scenario.services.delete(scenario.ref, "svc")
    scenario.look()
    scenario.images.delete(scenario.ref, "img:1")
    models.delete(scenario.ref, "m:1")
