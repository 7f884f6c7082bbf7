"""Service Bus over the ARM edge, by requests as `az` sends them and by `az` itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from az_support import az_shell
from bus_support import BusServer, bus_server, receive_all, send, sockets_left_by_the_sdk
from test_arm import GROUP, SUB, Az, new_token, sign_in

# The first test of a machine compiles Proton.
pytestmark = [pytest.mark.full, pytest.mark.timeout(1800), sockets_left_by_the_sdk]


@pytest.fixture
def az(tmp_path: Path) -> Iterator[Az]:
    with (
        bus_server(tmp_path / "home") as running,
        httpx.Client(base_url=running.url, timeout=60) as http,
    ):
        secret = new_token(http, {"Authorization": f"Bearer {running.token}"}, "az")
        made = Az(http, sign_in(http, "az", secret))
        made("PUT", GROUP, {"location": "West Europe"}, status=201)
        yield made


def test_by_requests_as_az_sends_them(az: Az) -> None:
    bus = GROUP + "/providers/Microsoft.ServiceBus/namespaces/mynamespace"
    made = az("PUT", bus, {"location": "westeurope", "sku": {"name": "Standard"}, "tags": {}}, status=201)
    assert made["properties"]["status"] == "Active"
    check = SUB + "/providers/Microsoft.ServiceBus/CheckNameAvailability"
    assert not az("POST", check, {"name": "MyNamespace"})["nameAvailable"]
    queue = bus + "/queues/in"
    body = {"properties": {"lockDuration": "PT30S", "maxDeliveryCount": 3}}
    assert az("PUT", queue, body)["properties"]["lockDuration"] == "PT30S"
    assert az("GET", queue)["properties"]["maxDeliveryCount"] == 3
    sessions = {"properties": {"requiresSession": True}}
    assert az.refused("PUT", bus + "/queues/other", sessions)[1] == "QueueFeatureNotSupported"
    rule = bus + "/AuthorizationRules/RootManageSharedAccessKey"
    keys = az("POST", rule + "/listKeys")
    assert keys["primaryKey"] in keys["primaryConnectionString"]
    assert az("POST", rule + "/regenerateKeys", {"keyType": "PrimaryKey"})["primaryKey"] != keys["primaryKey"]
    az("PUT", queue + "/authorizationRules/send", {"properties": {"rights": ["Send"]}})
    assert [one["name"] for one in az("GET", queue + "/authorizationRules")["value"]] == ["send"]
    az("DELETE", queue + "/authorizationRules/send")
    assert (
        az.refused("PUT", bus.replace("mynamespace", "short"), {"location": "l"})[1] == "InvalidResourceName"
    )
    az("DELETE", queue)
    assert az.refused("GET", queue)[:2] == (404, "ResourceNotFound")
    az("DELETE", bus)
    assert az("GET", GROUP + "/providers/Microsoft.ServiceBus/namespaces")["value"] == []


def test_by_az_itself(tmp_path: Path) -> None:
    with az_shell(tmp_path, BusServer(tmp_path / "home")) as shell:
        shell.az("group create --name myrg --location westeurope")
        made = shell.az("servicebus namespace create -g myrg --name azbusone --sku Standard")
        assert (made["name"], made["status"], made["sku"]["name"]) == ("azbusone", "Active", "Standard")
        assert [one["name"] for one in shell.az("servicebus namespace list -g myrg")] == ["azbusone"]
        place = "-g myrg --namespace-name azbusone"
        queue = shell.az(
            f"servicebus queue create {place} --name in --max-delivery-count 3 --lock-duration PT30S"
        )
        assert (queue["maxDeliveryCount"], queue["lockDuration"]) == (3, "PT30S")
        changed = shell.az(f"servicebus queue update {place} --name in --max-delivery-count 5")
        assert (changed["maxDeliveryCount"], changed["lockDuration"]) == (5, "PT30S")
        assert [one["name"] for one in shell.az(f"servicebus queue list {place}")] == ["in"]

        keys = f"servicebus namespace authorization-rule keys list {place}"
        root = shell.az(f"{keys} --name RootManageSharedAccessKey")
        assert root["keyName"] == "RootManageSharedAccessKey"
        send(root["primaryConnectionString"], "in", "by az")
        counted = shell.az(f"servicebus queue show {place} --name in")
        assert counted["countDetails"]["activeMessageCount"] == 1
        assert receive_all(root["primaryConnectionString"], "in") == ["by az"]

        rule = shell.az(
            f"servicebus queue authorization-rule create {place} --queue-name in --name sender --rights Send"
        )
        assert rule["rights"] == ["Send"]
        narrow = f"{place} --queue-name in --name sender"
        first = shell.az(f"servicebus queue authorization-rule keys list {narrow}")
        again = shell.az(f"servicebus queue authorization-rule keys renew {narrow} --key PrimaryKey")
        assert again["primaryKey"] != first["primaryKey"]
        assert again["secondaryKey"] == first["secondaryKey"]
        shell.az(f"servicebus queue authorization-rule delete {narrow}")
        assert shell.az(f"servicebus queue authorization-rule list {place} --queue-name in") == []

        assert "ResourceNotFound" in shell.refused(f"servicebus queue show {place} --name absent")
        said = shell.refused(f"servicebus queue create {place} --name other --enable-session true")
        assert "QueueFeatureNotSupported" in said
        shell.az(f"servicebus queue delete {place} --name in")
        shell.az("servicebus namespace delete -g myrg --name azbusone")
        assert shell.az("servicebus namespace list -g myrg") == []
