"""Service Bus as callers see it: Azure's ARM fields, those below ``properties`` beside the others, as az shows them."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from mooring_server.domain.servicebus import MAX_MESSAGE_KILOBYTES, QueueSettings
from mooring_server.servicebus.counts import QueueCounts
from mooring_server.store.bus_tables import BusNamespace, BusQueue, BusRule


class NamespaceView(TypedDict):
    """A namespace; ``serviceBusEndpoint`` is null where no broker runs."""

    id: str
    name: str
    type: str
    location: str
    tags: dict[str, str]
    sku: dict[str, str]
    resourceGroup: str
    createdAt: str
    updatedAt: str
    provisioningState: str
    status: str
    serviceBusEndpoint: str | None
    metricId: str
    disableLocalAuth: bool
    zoneRedundant: bool


class CountDetails(TypedDict):
    """Messages of a queue; locked ones count as active."""

    activeMessageCount: int
    deadLetterMessageCount: int
    scheduledMessageCount: int
    transferDeadLetterMessageCount: int
    transferMessageCount: int


class QueueView(TypedDict):
    """A queue, how it behaves and what is in it. Durations are ISO 8601; ``messageCount`` is of all messages."""

    id: str
    name: str
    type: str
    resourceGroup: str
    createdAt: str
    updatedAt: str
    accessedAt: str
    lockDuration: str
    maxDeliveryCount: int
    defaultMessageTimeToLive: str
    deadLetteringOnMessageExpiration: bool
    maxSizeInMegabytes: int
    maxMessageSizeInKilobytes: int
    requiresSession: bool
    requiresDuplicateDetection: bool
    enablePartitioning: bool
    enableExpress: bool
    enableBatchedOperations: bool
    status: str
    sizeInBytes: int
    messageCount: int
    countDetails: CountDetails


class RuleView(TypedDict):
    """An authorization rule."""

    id: str
    name: str
    type: str
    resourceGroup: str
    rights: list[str]


class RuleKeysView(TypedDict):
    """The keys of an authorization rule, and the connection strings that hold them."""

    keyName: str
    primaryKey: str
    secondaryKey: str
    primaryConnectionString: str
    secondaryConnectionString: str


def namespace_id(namespace: BusNamespace) -> str:
    """The ARM id of a namespace."""
    return (
        f"/subscriptions/{namespace.subscription}/resourceGroups/{namespace.resource_group}"
        f"/providers/Microsoft.ServiceBus/namespaces/{namespace.name}"
    )


def namespace_view(namespace: BusNamespace, endpoint: str | None) -> NamespaceView:
    """A namespace; ``endpoint`` is where the broker listens."""
    return {
        "id": namespace_id(namespace),
        "name": namespace.name,
        "type": "Microsoft.ServiceBus/Namespaces",
        "location": namespace.location,
        "tags": namespace.tags,
        "sku": {"name": namespace.sku, "tier": namespace.sku},
        "resourceGroup": namespace.resource_group,
        "createdAt": namespace.created,
        "updatedAt": namespace.modified,
        "provisioningState": "Succeeded",
        "status": "Active",
        "serviceBusEndpoint": endpoint,
        "metricId": f"{namespace.subscription}:{namespace.key}",
        "disableLocalAuth": False,
        "zoneRedundant": False,
    }


def queue_view(queue: BusQueue, counts: QueueCounts) -> QueueView:
    """A queue with what is in it."""
    fields: dict[str, Any] = QueueSettings().changed(queue.settings).to_json()
    return {
        "id": f"{namespace_id(queue.namespace)}/queues/{queue.name}",
        "name": queue.name,
        "type": "Microsoft.ServiceBus/namespaces/queues",
        "resourceGroup": queue.namespace.resource_group,
        "createdAt": queue.created,
        "updatedAt": queue.modified,
        "accessedAt": counts.newest or queue.modified,
        "lockDuration": fields["lockDuration"],
        "maxDeliveryCount": fields["maxDeliveryCount"],
        "defaultMessageTimeToLive": fields["defaultMessageTimeToLive"],
        "deadLetteringOnMessageExpiration": fields["deadLetteringOnMessageExpiration"],
        "maxSizeInMegabytes": fields["maxSizeInMegabytes"],
        "maxMessageSizeInKilobytes": MAX_MESSAGE_KILOBYTES,
        "requiresSession": fields["requiresSession"],
        "requiresDuplicateDetection": fields["requiresDuplicateDetection"],
        "enablePartitioning": fields["enablePartitioning"],
        "enableExpress": fields["enableExpress"],
        "enableBatchedOperations": fields["enableBatchedOperations"],
        "status": fields["status"],
        "sizeInBytes": counts.size,
        "messageCount": counts.active + counts.dead_letter + counts.scheduled,
        "countDetails": {
            "activeMessageCount": counts.active,
            "deadLetterMessageCount": counts.dead_letter,
            "scheduledMessageCount": counts.scheduled,
            "transferDeadLetterMessageCount": 0,
            "transferMessageCount": 0,
        },
    }


def rule_view(namespace: BusNamespace, rule: BusRule, queue: BusQueue | None) -> RuleView:
    """An authorization rule of the namespace, or of one of its queues."""
    kind = "Namespaces" if queue is None else "namespaces/queues"
    scope = namespace_id(namespace) + ("" if queue is None else f"/queues/{queue.name}")
    return {
        "id": f"{scope}/authorizationRules/{rule.name}",
        "name": rule.name,
        "type": f"Microsoft.ServiceBus/{kind}/AuthorizationRules",
        "resourceGroup": namespace.resource_group,
        "rights": [str(right) for right in rule.rights],
    }


def keys_view(rule: BusRule, endpoint: str, queue: BusQueue | None, *, tls: bool) -> RuleKeysView:
    """The keys of a rule; its connection strings are what the official SDKs take.

    Without TLS they have ``UseDevelopmentEmulator=true``, which is how those SDKs are told to do without it.
    """
    entity = "" if queue is None else f";EntityPath={queue.name}"
    plain = "" if tls else ";UseDevelopmentEmulator=true"

    def connection_string(key: str) -> str:
        return f"Endpoint={endpoint};SharedAccessKeyName={rule.name};SharedAccessKey={key}{plain}{entity}"

    return {
        "keyName": rule.name,
        "primaryKey": rule.primary,
        "secondaryKey": rule.secondary,
        "primaryConnectionString": connection_string(rule.primary),
        "secondaryConnectionString": connection_string(rule.secondary),
    }
