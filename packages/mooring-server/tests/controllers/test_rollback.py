"""Returning to an earlier revision, with a target and a builder in memory and everything else real."""

from typing import Any

import pytest
from sqlalchemy import select

from mooring_server.controllers.garbage import Housekeeper
from mooring_server.domain.errors import Conflict, MooringError, NotFound
from mooring_server.services.models import Models
from mooring_server.services.revisions import KEPT
from mooring_server.store.tables import Image
from mooring_server.testing import Scenario


def update(scenario: Scenario, number: int, **more: Any) -> None:
    request = scenario.script(b"def init(): pass\ndef run(data): return %d\n" % number)
    scenario.services.update(scenario.ref, "svc", {"imageRequest": request, **more})
    scenario.run()


def three(scenario: Scenario) -> None:
    """Revisions 1 to 3, all of which came up."""
    scenario.deploy()
    scenario.run()
    update(scenario, 2)
    update(scenario, 3)
    assert scenario.view()["activeRevision"] == 3


def rollback(scenario: Scenario, number: int | None = None) -> Any:
    asked = scenario.services.rollback(scenario.ref, "svc", number)
    scenario.run()
    assert scenario.operation(asked)["state"] == "Succeeded"
    view = scenario.view()
    assert view["state"] == "Healthy"
    assert view["error"] is None
    return view


def listed(scenario: Scenario) -> dict[int, str]:
    return {r["revision"]: r["state"] for r in scenario.view()["revisions"]}


def test_rolling_back_twice_goes_back_twice(scenario: Scenario) -> None:
    scenario.deploy()
    first = scenario.run()
    update(scenario, 2)
    second = scenario.view()
    update(scenario, 3)
    view = rollback(scenario)
    assert (view["activeRevision"], view["imageDigest"]) == (2, second["imageDigest"])
    assert listed(scenario) == {3: "Withdrawn", 2: "Active", 1: "Good"}
    view = rollback(scenario)
    assert (view["activeRevision"], view["imageDigest"]) == (1, first["imageDigest"])
    with pytest.raises(Conflict) as caught:
        scenario.services.rollback(scenario.ref, "svc", None)
    assert caught.value.code == "NoPreviousRevision"
    assert scenario.view()["state"] == "Healthy"


def test_after_a_rollback_an_update_returns_to_what_was_good(scenario: Scenario) -> None:
    three(scenario)
    rollback(scenario)
    update(scenario, 4)
    assert listed(scenario) == {4: "Active", 3: "Withdrawn", 2: "Good", 1: "Good"}
    assert rollback(scenario)["activeRevision"] == 2


def test_any_kept_revision_by_number(scenario: Scenario) -> None:
    three(scenario)
    assert rollback(scenario, 1)["activeRevision"] == 1
    assert listed(scenario) == {3: "Withdrawn", 2: "Withdrawn", 1: "Active"}
    assert rollback(scenario, 3)["activeRevision"] == 3
    assert listed(scenario) == {3: "Active", 2: "Withdrawn", 1: "Good"}
    with pytest.raises(NotFound) as caught:
        scenario.services.rollback(scenario.ref, "svc", 9)
    assert caught.value.code == "RevisionNotFound"
    assert "3, 2, 1" in caught.value.hint


def test_to_what_answers_needs_no_new_workers(scenario: Scenario) -> None:
    three(scenario)
    asked = scenario.services.rollback(scenario.ref, "svc", 3)
    scenario.look()
    assert scenario.target.seen[scenario.uid()].phase == "Ready"
    assert scenario.target.specs[scenario.uid()].revision == 3
    assert scenario.operation(asked)["state"] == "Succeeded"


def test_resources_go_back_and_access_stays(scenario: Scenario) -> None:
    scenario.deploy(authEnabled=False)
    scenario.run()
    resources = {"cpu": 2.0, "memoryInGB": 3.0}
    update(scenario, 2, containerResourceRequirements=resources, authEnabled=True, kvTags={"a": "b"})
    keys = scenario.services.keys(scenario.ref, "svc")
    view = rollback(scenario)
    assert view["containerResourceRequirements"] == {"cpu": 0.1, "memoryInGB": 0.5}
    assert view["authEnabled"]
    assert view["kvTags"] == {"a": "b"}
    assert set(scenario.target.specs[scenario.uid()].auth_keys) == set(keys.values())


def test_during_an_update_it_returns_to_what_answers(scenario: Scenario) -> None:
    scenario.deploy()
    scenario.run()
    asked = scenario.services.update(
        scenario.ref, "svc", {"imageRequest": scenario.script(b"def init(): pass\ndef run(d): return 2\n")}
    )
    scenario.build()
    scenario.look()
    view = rollback(scenario)
    assert view["activeRevision"] == 1
    assert scenario.operation(asked)["state"] == "Cancelled"
    assert listed(scenario) == {1: "Active"}


def test_one_that_does_not_come_up_any_more_changes_nothing(scenario: Scenario) -> None:
    three(scenario)
    asked = scenario.services.rollback(scenario.ref, "svc", None)
    scenario.look()
    scenario.target.break_(scenario.uid())
    scenario.look()
    view = scenario.view()
    assert scenario.operation(asked)["state"] == "Failed"
    assert view["error"]
    assert view["error"]["code"] == "InitRaised"
    assert (view["state"], view["activeRevision"]) == ("Healthy", 3)
    assert listed(scenario) == {3: "Active", 2: "Good", 1: "Good"}


def test_a_failed_update_is_no_revision(scenario: Scenario) -> None:
    three(scenario)
    scenario.services.update(
        scenario.ref, "svc", {"imageRequest": scenario.script(b"def init(): pass\ndef run(d): 1\n")}
    )
    scenario.run(finish=False)
    scenario.target.break_(scenario.uid())
    scenario.look()
    assert listed(scenario) == {3: "Active", 2: "Good", 1: "Good"}
    assert rollback(scenario)["activeRevision"] == 2


def test_images_to_return_to_are_kept_and_others_are_not(scenario: Scenario) -> None:
    scenario.deploy()
    scenario.run()
    last = KEPT + 4
    for number in range(2, last + 1):
        update(scenario, number)
    keeper = Housekeeper(scenario.context, scenario.operations, scenario.target)
    keeper.collect()
    kept = list(range(last, last - KEPT, -1))
    assert list(listed(scenario)) == kept
    with scenario.context.db.read() as session:
        assert sorted(session.scalars(select(Image.version)), reverse=True) == kept
    # Those withdrawn are forgotten first: the way back is worth more.
    rollback(scenario, kept[-2])
    update(scenario, 99)
    assert listed(scenario) == {
        last + 1: "Active", last: "Withdrawn", last - 1: "Withdrawn", kept[-2]: "Good", kept[-1]: "Good"
    }  # fmt: skip
    keeper.collect()
    assert rollback(scenario)["activeRevision"] == kept[-2]


def test_an_image_deleted_by_its_user_is_no_revision_any_more(scenario: Scenario) -> None:
    three(scenario)
    image = scenario.view()["revisions"][1]["imageId"]
    with pytest.raises(MooringError):
        scenario.images.delete(scenario.ref, scenario.view()["imageId"])
    scenario.images.delete(scenario.ref, image)
    assert list(listed(scenario)) == [3, 1]
    assert rollback(scenario)["activeRevision"] == 1


def test_models_of_kept_images_are_in_use(scenario: Scenario) -> None:
    models = Models(scenario.context)
    digest = scenario.context.store.put_bytes(b"model")
    models.register(scenario.ref, {"name": "m", "files": [{"path": "m", "digest": digest}]})
    request = {**scenario.script(), "modelIds": ["m:1"]}
    scenario.services.create(scenario.ref, {"name": "svc", "computeType": "ACI", "imageRequest": request})
    scenario.run()
    update(scenario, 2)
    with pytest.raises(Conflict) as caught:
        models.delete(scenario.ref, "m:1")
    assert "svc:1" in caught.value.message
    assert [m["id"] for m in rollback(scenario)["models"]] == ["m:1"]


def test_with_the_service_its_revisions_go(scenario: Scenario) -> None:
    three(scenario)
    scenario.services.delete(scenario.ref, "svc")
    scenario.look()
    scenario.deploy()
    assert scenario.run()["revisions"][0]["revision"] == 1
    assert list(listed(scenario)) == [1]
