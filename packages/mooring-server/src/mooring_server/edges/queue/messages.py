"""Calls for messages."""

from __future__ import annotations

import time

from mooring_server.domain.storage.errors import StorageError
from mooring_server.edges.storage.answer import Answer, clean, http_date, xml
from mooring_server.edges.storage.call import Call
from mooring_server.edges.storage.document import parse_document
from mooring_server.store.storage import queues
from mooring_server.store.storage.queues import Message

_WEEK = 7 * 24 * 3600
MAX_MESSAGE = 64 * 1024
# A message of 64 KiB of characters that XML escapes, and what is around it.
_MAX_BODY = 8 * MAX_MESSAGE


async def put(call: Call) -> Answer:
    """Put Message."""
    request, queue = call.request, call.container
    ttl = request.number("messagettl", _WEEK, -1, 2**31 - 1)
    if ttl == 0:
        raise StorageError("OutOfRangeQueryParameterValue", QueryParameterName="messagettl")
    delay = request.number("visibilitytimeout", 0, 0, _WEEK)
    if 0 <= ttl <= delay:
        raise StorageError("InvalidQueryParameterValue", QueryParameterName="visibilitytimeout")
    body = await _text(call)
    made = await call.account.write(lambda tx: queues.put(tx, queue, body, delay=delay, ttl=ttl))
    return _messages([made], _RECEIPT, 201)


async def take(call: Call) -> Answer:
    """Get Messages."""
    request, queue = call.request, call.container
    count = request.number("numofmessages", 1, 1, 32)
    timeout = request.number("visibilitytimeout", 30, 1, _WEEK)
    found = await call.account.write(lambda tx: queues.take(tx, queue, count, timeout))
    return _messages(found, {*_RECEIPT, *_CONTENT})


async def peek(call: Call) -> Answer:
    """Peek Messages."""
    queue, count = call.container, call.request.number("numofmessages", 1, 1, 32)
    found = await call.account.read(lambda sql: queues.peek(sql, queue, count, time.time()))
    return _messages(found, _CONTENT)


async def clear(call: Call) -> Answer:
    """Clear Messages."""
    queue = call.container
    await call.account.write(lambda tx: queues.clear(tx, queue))
    return Answer(204)


async def update(call: Call) -> Answer:
    """Update Message."""
    queue, identity = call.container, _identity(call)
    if call.request.arg("visibilitytimeout") is None:
        raise StorageError("MissingRequiredQueryParameter", QueryParameterName="visibilitytimeout")
    timeout = call.request.number("visibilitytimeout", 0, 0, _WEEK)
    receipt = _receipt(call)
    given = (call.request.header("content-length") or "0") != "0"
    body = await _text(call) if given else None
    changed = await call.account.write(
        lambda tx: queues.update(tx, queue, identity, receipt, timeout=timeout, body=body)
    )
    return Answer(
        204,
        [("x-ms-popreceipt", changed.receipt), ("x-ms-time-next-visible", http_date(changed.visible))],
    )


async def delete(call: Call) -> Answer:
    """Delete Message."""
    queue, identity, receipt = call.container, _identity(call), _receipt(call)
    await call.account.write(lambda tx: queues.remove(tx, queue, identity, receipt))
    return Answer(204)


def _identity(call: Call) -> str:
    return call.blob.partition("/")[2]


def _receipt(call: Call) -> str:
    receipt = call.request.arg("popreceipt")
    if not receipt:
        raise StorageError("MissingRequiredQueryParameter", QueryParameterName="popreceipt")
    return receipt


async def _text(call: Call) -> str:
    """The text of a message.

    Raises:
        StorageError: ``InvalidXmlDocument``, ``MessageTooLarge``, ``RequestBodyTooLarge``.
    """
    document = parse_document(await call.text(_MAX_BODY), "QueueMessage")
    text = document.findtext("MessageText")
    if text is None:
        raise StorageError("InvalidXmlDocument")
    if len(text.encode()) > MAX_MESSAGE:
        raise StorageError("MessageTooLarge", MaxLimit=str(MAX_MESSAGE))
    return text


_RECEIPT = {"PopReceipt", "TimeNextVisible"}
_CONTENT = {"DequeueCount", "MessageText"}


def _messages(found: list[Message], also: set[str], status: int = 200) -> Answer:
    entries = []
    for message in found:
        fields = {
            "MessageId": message.id,
            "InsertionTime": http_date(message.inserted),
            "ExpirationTime": http_date(message.expires),
            "PopReceipt": message.receipt,
            "TimeNextVisible": http_date(message.visible),
            "DequeueCount": str(message.dequeues),
            "MessageText": clean(message.body),
        }
        shown = "".join(
            f"<{name}>{value}</{name}>"
            for name, value in fields.items()
            if name in also or name not in _RECEIPT | _CONTENT
        )
        entries.append(f"<QueueMessage>{shown}</QueueMessage>")
    return xml(f"<QueueMessagesList>{''.join(entries)}</QueueMessagesList>", status)
