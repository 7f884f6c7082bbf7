"""Runs a function for a trigger: a request of its own to a worker."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from mooring_runtime.front.dispatch import Dispatcher
from mooring_runtime.front.reply import Reply, ScoringFailed
from mooring_runtime.front.stream import StreamBroken
from mooring_runtime.functions.trigger import Event, Outcome
from mooring_runtime.worker import frames

# While no worker is there, or too many requests wait, the next look is after the first of these, then the next ...
_PAUSES = (0.05, 0.1, 0.25, 0.5, 1.0)
_BAD = 400


class Invoker:
    """An `Invoke`.

    Args:
        dispatcher: the way to the workers.
        function: its name.
    """

    def __init__(self, dispatcher: Dispatcher, function: str) -> None:
        self._dispatcher = dispatcher
        self._function = function

    async def __call__(self, event: Event) -> Outcome:
        """See `Invoke.__call__`."""
        misses = 0
        while True:
            ticket = Invocation(event, self._function)
            try:
                self._dispatcher.submit(ticket)
                reply = await ticket.reply
            except ScoringFailed as reason:
                if reason.failed:
                    return Outcome(b"", "text/plain", str(reason))
                await asyncio.sleep(_PAUSES[min(misses, len(_PAUSES) - 1)])
                misses += 1
                continue
            except asyncio.CancelledError:
                ticket.done = True
                raise
            return await _outcome(reply)


class Invocation:
    """A `Ticket` whose caller is a trigger.

    Attributes:
        reply: the worker's, or `ScoringFailed`.
    """

    def __init__(self, event: Event, function: str) -> None:
        self._event = event
        self._function = function
        self.request_id = event.invocation_id
        self.done = False
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    @property
    def size(self) -> int:
        """Of the body, in bytes."""
        return len(self._event.body)

    def frame(self, mode: str) -> tuple[int, bytes, bytes]:
        """Kind, head and body of the frame: what a POST of the body to the function's route would be."""
        event = self._event
        if mode == "text":
            return frames.TEXT, self.request_id.encode(), event.body
        headers = [["content-length", str(len(event.body))]]
        if event.content_type is not None:
            headers.append(["content-type", event.content_type])
        headers += [[name, value] for name, value in event.headers]
        head: dict[str, Any] = {
            "id": self.request_id,
            "method": "POST",
            "path": f"/api/{self._function}",
            "query": "",
            "headers": headers,
            "host": "localhost",
            "scheme": "http",
            "client": "",
        }
        return frames.FULL, json.dumps(head).encode(), event.body

    def answered(self, reply: Reply) -> None:
        """A worker has answered."""
        self.done = True
        if not self.reply.done():
            self.reply.set_result(reply)
        elif reply.stream is not None:
            reply.stream.drop()

    def failed(self, reason: ScoringFailed) -> None:
        """No worker will answer."""
        self.done = True
        if not self.reply.done():
            self.reply.set_exception(reason)


async def _outcome(reply: Reply) -> Outcome:
    body, failure = reply.body, None
    if reply.stream is not None:
        parts = []
        try:
            while (part := await reply.stream.next()) is not None:
                parts.append(part)
        except StreamBroken as broken:
            failure = str(broken)
        finally:
            reply.stream.drop()
        body = b"".join(parts)
    if failure is None and (reply.failed or reply.status >= _BAD):
        failure = f"run() answered with status {reply.status}: {body[:500].decode('utf-8', 'replace')}"
    kind = next(
        (value for name, value in reply.headers if name == "content-type"), "application/octet-stream"
    )
    return Outcome(body, kind, failure)
