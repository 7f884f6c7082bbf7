"""Request bodies of Service Bus. Field names are Azure's JSON names."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mooring_server.edges.native.schemas import Body, Name, Tags

# ruff: noqa: N815


class NamespaceSettings(Body):
    """A new Service Bus namespace, or changes to one."""

    location: Name | None = None
    tags: Tags | None = None
    sku: Literal["Basic", "Standard", "Premium"] | None = None


class QueueSettings(Body):
    """A new Service Bus queue, or changes to one. Durations are ISO 8601."""

    lockDuration: Name | None = None
    maxDeliveryCount: int | None = None
    defaultMessageTimeToLive: Name | None = None
    deadLetteringOnMessageExpiration: bool | None = None
    maxSizeInMegabytes: int | None = None
    requiresSession: bool | None = None
    requiresDuplicateDetection: bool | None = None
    enablePartitioning: bool | None = None


class RuleSettings(Body):
    """The rights of an authorization rule."""

    rights: list[Name] = Field(max_length=10)


class KeyType(Body):
    """Which key: ``PrimaryKey`` or ``SecondaryKey``."""

    keyType: Name
