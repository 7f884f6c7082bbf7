"""Service Bus entities: what may be asked of a namespace's queues and authorization rules.

Names, defaults and limits are Azure's (learn.microsoft.com, "Service Bus quotas" and the ARM reference of
``Microsoft.ServiceBus``), as far as this broker has the feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mooring_server.domain.durations import format_duration, parse_duration
from mooring_server.domain.errors import InvalidRequest

ROOT_RULE = "RootManageSharedAccessKey"
LISTEN, MANAGE, SEND = "Listen", "Manage", "Send"
RIGHTS = (LISTEN, MANAGE, SEND)
# Kilobytes of a message's body; what surrounds the body may take 64 more, as in Azure.
MAX_MESSAGE_KILOBYTES = 1024
_FOREVER = float("inf")


@dataclass(frozen=True)
class QueueSettings:
    """How a queue behaves.

    Attributes:
        lock_seconds: how long a receiver has a message for itself.
        max_delivery_count: deliveries after which a message goes to the dead-letter queue.
        ttl_seconds: how long a message lives; infinite by default.
        dead_letter_expired: whether a message goes to the dead-letter queue when its time is over.
        max_megabytes: what the queue may hold before senders are refused.
    """

    lock_seconds: float = 60.0
    max_delivery_count: int = 10
    ttl_seconds: float = _FOREVER
    dead_letter_expired: bool = False
    max_megabytes: int = 1024

    def changed(self, fields: Mapping[str, Any]) -> QueueSettings:
        """The settings with some of Azure's JSON fields set; what is absent or null stays.

        Raises:
            InvalidRequest: ``QueueSettingInvalid``, ``QueueFeatureNotSupported``, ``DurationInvalid``.
        """
        given = {name: value for name, value in fields.items() if value is not None}
        for name, supported in _FIXED.items():
            if name in given and given.pop(name) != supported:
                raise InvalidRequest(
                    "QueueFeatureNotSupported",
                    f"This broker has no queues with {name}={fields[name]!r}.",
                    hint=f"Leave {name} out; docs/guide/service-bus.md lists what queues can do.",
                    target=name,
                )
        values = asdict(self)
        for name, value in given.items():
            attribute, least, most = _FIELDS[name]
            number = parse_duration(name, value) if name in _DURATIONS else value
            if not least <= number <= most:
                low, high = (_text(name, limit) for limit in (least, most))
                raise InvalidRequest(
                    "QueueSettingInvalid",
                    f"{name} has to be {low} to {high}; it is {value!r}.",
                    target=name,
                )
            values[attribute] = number
        return QueueSettings(**values)

    def to_json(self) -> dict[str, Any]:
        """Azure's fields, also those that are always the same here."""
        named = {name: getattr(self, attribute) for name, (attribute, _, _) in _FIELDS.items()}
        return {
            **{name: _text(name, value) if name in _DURATIONS else value for name, value in named.items()},
            **_FIXED,
        }


_FIELDS: dict[str, tuple[str, float, float]] = {
    "lockDuration": ("lock_seconds", 1, 300),
    "maxDeliveryCount": ("max_delivery_count", 1, 2000),
    "defaultMessageTimeToLive": ("ttl_seconds", 1, _FOREVER),
    "deadLetteringOnMessageExpiration": ("dead_letter_expired", 0, 1),
    "maxSizeInMegabytes": ("max_megabytes", 1, 81920),
}
_DURATIONS = frozenset({"lockDuration", "defaultMessageTimeToLive"})
# Fields of Azure's with the one value that they have here.
_FIXED: dict[str, Any] = {
    "requiresSession": False,
    "requiresDuplicateDetection": False,
    "enablePartitioning": False,
    "enableExpress": False,
    "enableBatchedOperations": True,
    "maxMessageSizeInKilobytes": MAX_MESSAGE_KILOBYTES,
    "status": "Active",
}


def check_rights(rights: Sequence[str]) -> list[str]:
    """Rights in Azure's order; one who may manage may send and listen.

    Raises:
        InvalidRequest: ``RightsInvalid``.
    """
    unknown = sorted(set(rights) - set(RIGHTS))
    if unknown or not rights or (MANAGE in rights and len(set(rights)) < len(RIGHTS)):
        what = (
            f"no {unknown[0]!r}" if unknown else "Manage only together with the others" if rights else "some"
        )
        raise InvalidRequest(
            "RightsInvalid",
            f"An authorization rule has some of the rights {', '.join(RIGHTS)}: {what}.",
            hint="For example: --rights Listen Send",
            target="rights",
        )
    return [right for right in RIGHTS if right in rights]


def _text(name: str, value: float) -> str:
    return format_duration(value) if name in _DURATIONS else str(value)
