"""Messages of Service Bus as functions get them, and answers as messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mooring_runtime.functions.trigger import Event, Outcome

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage


def event_of(message: ServiceBusReceivedMessage, invocation_id: str, queue: str) -> Event:
    """What the function gets: the body as it is, and below ``@rawhttp`` the properties as headers.

    The headers are ``servicebus-`` and the name of the property in Azure's bindings, in lower case with dashes:
    ``servicebus-message-id``, ``servicebus-application-properties`` (JSON), ...
    """
    properties = {
        "message-id": message.message_id,
        "correlation-id": message.correlation_id,
        "subject": message.subject,
        "reply-to": message.reply_to,
        "to": message.to,
        "session-id": message.session_id,
        "sequence-number": message.sequence_number,
        # The SDK counts the deliveries before this one, Azure's binding this one, too.
        "delivery-count": (message.delivery_count or 0) + 1,
        "enqueued-time-utc": message.enqueued_time_utc and message.enqueued_time_utc.isoformat(),
        "application-properties": json.dumps(_plain(message.application_properties or {})),
    }
    return Event(
        invocation_id,
        body_of(message),
        message.content_type,
        f"{queue}/{message.sequence_number}",
        tuple(
            (f"servicebus-{name}", _ascii(value)) for name, value in properties.items() if value is not None
        ),
    )


def body_of(message: ServiceBusReceivedMessage) -> bytes:
    """The bytes of a body; a value that is no text and no bytes, and a sequence, as JSON."""
    body: Any = message.body
    kind = str(getattr(message.body_type, "value", message.body_type))
    if kind == "data":
        return b"".join(bytes(part) for part in body)
    if kind == "sequence":
        body = [item for part in body for item in part]
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(_plain(body))).encode()


def answer_to(message: ServiceBusReceivedMessage, outcome: Outcome) -> ServiceBusMessage:
    """The answer as a message that names the one it belongs to as its ``correlation_id``.

    An input without an id is named by its sequence number. The answer's own id follows from the input's: a queue
    of Azure's that detects duplicates drops the answer to a message that was delivered twice.
    """
    from azure.servicebus import ServiceBusMessage

    named = message.message_id or str(message.sequence_number)
    return ServiceBusMessage(
        outcome.body,
        content_type=outcome.content_type,
        correlation_id=named,
        message_id=f"{named}-answer"[-128:],
    )


def _plain(value: Any) -> Any:
    """JSON of what the SDK decodes: it leaves texts as bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _ascii(value: object) -> str:
    return str(value).encode("ascii", "backslashreplace").decode().replace("\r", " ").replace("\n", " ")
