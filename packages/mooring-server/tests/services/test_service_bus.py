"""Service Bus namespaces, queues and rules: what is asked for. A broker in memory; the real one has tests/e2e."""

import base64
from typing import Any

import pytest

from mooring_server.domain.errors import MooringError
from mooring_server.servicebus.counts import QueueCounts
from mooring_server.servicebus.entities import Entities
from mooring_server.services.bus_entities import NamespaceRef, entities
from mooring_server.services.bus_namespaces import BusNamespaces
from mooring_server.services.bus_queues import BusQueues
from mooring_server.services.bus_rules import BusRules, Scope
from mooring_server.services.context import Context
from mooring_server.testing import FakeBroker

REF = NamespaceRef("sub", "rg", "mybus-1")
ROOT = "RootManageSharedAccessKey"


class Bus:
    def __init__(self, context: Context) -> None:
        self.context, self.broker = context, FakeBroker()
        self.namespaces = BusNamespaces(context, self.broker)
        self.queues = BusQueues(context, self.broker)
        self.rules = BusRules(context, self.broker)

    def entities(self) -> Entities:
        return entities(self.context.db)


@pytest.fixture
def bus(context: Context) -> Bus:
    made = Bus(context)
    made.namespaces.create(REF, {})
    return made


def code(function: Any, *arguments: Any) -> str:
    with pytest.raises(MooringError) as caught:
        function(*arguments)
    return caught.value.code


def test_a_namespace_has_azures_fields_and_its_root_rule(bus: Bus) -> None:
    view = bus.namespaces.get(REF)
    assert view["id"].endswith("/resourceGroups/rg/providers/Microsoft.ServiceBus/namespaces/mybus-1")
    assert (view["status"], view["provisioningState"]) == ("Active", "Succeeded")
    assert view["sku"] == {"name": "Standard", "tier": "Standard"}
    assert bus.rules.get(Scope(REF), ROOT)["rights"] == ["Listen", "Manage", "Send"]
    again, created = bus.namespaces.create(REF, {"tags": {"a": "b"}, "sku": "Premium"})
    assert not created
    assert (again["tags"], again["sku"]["name"]) == ({"a": "b"}, "Premium")


def test_a_namespaces_name_is_the_only_one(bus: Bus) -> None:
    assert bus.namespaces.get(NamespaceRef("SUB", "RG", "MyBus-1"))["name"] == "mybus-1"
    elsewhere = NamespaceRef("sub", "other", "mybus-1")
    assert code(bus.namespaces.create, elsewhere, {}) == "NamespaceNameTaken"
    assert code(bus.namespaces.get, elsewhere) == "NamespaceNotFound"
    assert [n["name"] for n in bus.namespaces.list("sub", None)] == ["mybus-1"]
    assert bus.namespaces.list("sub", "other") == []


def test_a_queue_is_made_changed_and_deleted(bus: Bus) -> None:
    view, created = bus.queues.create(REF, "Input", {"lockDuration": "PT5S", "maxDeliveryCount": 3})
    assert created
    assert (view["lockDuration"], view["maxDeliveryCount"], view["messageCount"]) == ("PT5S", 3, 0)
    view, created = bus.queues.create(REF, "input", {"maxDeliveryCount": 4})
    assert not created
    assert (view["name"], view["lockDuration"], view["maxDeliveryCount"]) == ("Input", "PT5S", 4)
    uid = bus.entities().namespaces[0].queues[0].uid
    bus.broker.known[uid] = QueueCounts(active=2, dead_letter=1, scheduled=4, size=70)
    view = bus.queues.get(REF, "INPUT")
    assert (view["messageCount"], view["sizeInBytes"]) == (7, 70)
    assert view["countDetails"]["deadLetterMessageCount"] == 1
    bus.queues.delete(REF, "Input")
    assert bus.queues.list(REF) == []
    assert code(bus.queues.get, REF, "Input") == "QueueNotFound"


def test_a_queue_made_again_is_another_one(bus: Bus) -> None:
    def uid() -> str:
        bus.queues.create(REF, "input", {})
        return bus.entities().namespaces[0].queues[0].uid

    first = uid()
    bus.rules.create(Scope(REF, "input"), "reader", ["Listen"])
    bus.queues.delete(REF, "input")
    assert uid() != first
    assert bus.rules.list(Scope(REF, "input")) == [], "its rules went with it"


def test_keys_and_connection_strings(bus: Bus) -> None:
    bus.queues.create(REF, "Input", {})
    bus.rules.create(Scope(REF, "input"), "sender", ["Send"])
    keys = bus.rules.keys(Scope(REF), ROOT)
    assert len(base64.b64decode(keys["primaryKey"])) == 32
    assert keys["primaryKey"] != keys["secondaryKey"]
    assert keys["primaryConnectionString"] == (
        f"Endpoint=sb://127.0.0.1:5671/;SharedAccessKeyName={ROOT};SharedAccessKey={keys['primaryKey']}"
        ";UseDevelopmentEmulator=true"
    )
    assert bus.rules.keys(Scope(REF, "input"), "sender")["primaryConnectionString"].endswith(
        ";EntityPath=Input"
    )
    bus.broker.tls = True
    assert "UseDevelopmentEmulator" not in bus.rules.keys(Scope(REF), ROOT)["primaryConnectionString"]
    renewed = bus.rules.renew_key(Scope(REF), ROOT, "PrimaryKey")
    assert renewed["primaryKey"] != keys["primaryKey"]
    assert renewed["secondaryKey"] == keys["secondaryKey"]
    assert code(bus.rules.renew_key, Scope(REF), ROOT, "Other") == "KeyTypeInvalid"


def test_rules_are_those_of_their_scope(bus: Bus) -> None:
    bus.queues.create(REF, "input", {})
    bus.rules.create(Scope(REF, "input"), "both", ["Send", "Listen"])
    assert [r["name"] for r in bus.rules.list(Scope(REF))] == [ROOT]
    assert [r["rights"] for r in bus.rules.list(Scope(REF, "input"))] == [["Listen", "Send"]]
    bus.rules.create(Scope(REF, "input"), "both", ["Listen"])
    assert bus.rules.get(Scope(REF, "input"), "BOTH")["rights"] == ["Listen"]
    bus.rules.delete(Scope(REF, "input"), "both")
    assert code(bus.rules.get, Scope(REF, "input"), "both") == "RuleNotFound"
    assert code(bus.rules.delete, Scope(REF), ROOT) == "RuleNeeded"


def test_the_broker_hears_of_every_change_and_reads_what_was_written(bus: Bus) -> None:
    before = bus.broker.refreshed
    bus.queues.create(REF, "input", {"maxDeliveryCount": 2})
    assert bus.broker.refreshed == before + 1
    read = Entities.from_json(bus.entities().to_json())
    assert read == bus.entities()
    (namespace,) = read.namespaces
    assert namespace.queues[0].settings.max_delivery_count == 2
    assert namespace.rules[0].keys[0] == bus.rules.keys(Scope(REF), ROOT)["primaryKey"]
    bus.namespaces.delete(REF)
    assert bus.entities() == Entities()


def test_without_the_extra_nothing_is_made_and_all_can_be_read_and_deleted(bus: Bus) -> None:
    bus.queues.create(REF, "input", {})
    bus.broker.refuse = MooringError("ServiceBusNotInstalled", "not installed", status_code=501)
    assert code(bus.namespaces.create, NamespaceRef("sub", "rg", "other-1"), {}) == "ServiceBusNotInstalled"
    assert code(bus.queues.create, REF, "more", {}) == "ServiceBusNotInstalled"
    assert [q["name"] for q in bus.queues.list(REF)] == ["input"]
    bus.queues.delete(REF, "input")
    bus.namespaces.delete(REF)
    assert bus.namespaces.list("sub", None) == []
