"""One worker's output as JSON lines; the counterpart of `mooring_runtime.worker.records`, which says how.

A line of the log::

    {"time", "stream": "stdout" or "stderr", "worker", "revision", "request_id": or null, "message",
     "level", "logger"}     the last two only for records of `logging`, and of our own
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mooring_runtime.supervisor.logs import MAX_LINE, TAIL_BYTES, timestamp
from mooring_runtime.worker.records import HEAD, PAGE, SIGN, TAIL

_SIGN = SIGN.encode()
_KEPT = ("level", "logger")
# How often it is looked whether a request that has printed half a line is over.
_LOOK_SECONDS = 0.1


class CurrentRequest:
    """The page on which a worker says what it works on.

    Attributes:
        fd: for the worker to inherit.
    """

    def __init__(self) -> None:
        self.fd = os.memfd_create("mooring-request", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, PAGE)
        self._page = mmap.mmap(self.fd, PAGE)

    def read(self) -> tuple[int, str] | None:
        """The number of the change and the request's id (empty: none); None while it is being changed."""
        number, length = HEAD.unpack_from(self._page)
        if length > PAGE - HEAD.size - TAIL.size:
            return None
        name = self._page[HEAD.size : HEAD.size + length]
        after = TAIL.unpack_from(self._page, HEAD.size + length)[0]
        return (number, name.decode("utf-8", "replace")) if number == after else None

    def close(self) -> None:
        """Gives it back."""
        self._page.close()
        os.close(self.fd)


class Records:
    """The output of one worker.

    Args:
        write: takes JSON lines.
        worker: its id.
        revision: its revision's id.
    """

    def __init__(self, write: Callable[[list[bytes]], None], worker: str, revision: str) -> None:
        self._write = write
        self._facts = {"worker": worker, "revision": revision}
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self.current = CurrentRequest()
        self.streams = (Stream(self, "stdout"), Stream(self, "stderr"))

    def put(self, stream: str, request: str | None, messages: list[str], **more: Any) -> None:
        """Writes a record for each message."""
        same = {"time": timestamp(), "stream": stream, **self._facts, "request_id": request or None, **more}
        # A script that prints without end pays for the message only.
        before = json.dumps(same)[:-1].encode() + b', "message": '
        self._write([before + json.dumps(message).encode() + b"}" for message in messages])
        self._tail.extend(messages)
        self._tail_size += sum(len(message) + 1 for message in messages)
        while self._tail_size > TAIL_BYTES and len(self._tail) > 1:
            self._tail_size -= len(self._tail.popleft()) + 1

    def tail(self) -> str:
        """The last lines."""
        return "".join(f"{line}\n" for line in self._tail)


class Stream:
    """One of its pipes; feeds what `mooring_runtime.supervisor.logs.Output` feeds for plain logs."""

    def __init__(self, records: Records, name: str) -> None:
        self._records = records
        self._name = name
        self._partial = b""
        self._waiting: list[bytes] = []
        self._before: tuple[int, str] | None = None
        self._half: tuple[str | None, int | None] = (None, None)
        self._look: asyncio.TimerHandle | None = None

    def about_to_read(self) -> None:
        """The pipe will be read now."""
        self._before = self._records.current.read()

    def feed(self, data: bytes, *, drained: bool) -> None:
        """Takes what was read.

        Args:
            data: some bytes.
            drained: whether nothing was left in the pipe. What is not marked then is of the request under way, if
                there was only one while the pipe was read; else it may be of either, and none is named.
        """
        *lines, self._partial = (self._partial + data).split(b"\n")
        while len(self._partial) > MAX_LINE:
            lines.append(self._partial[:MAX_LINE])
            self._partial = self._partial[MAX_LINE:]
        for line in lines:
            self._take(line)
        if drained:
            now = self._records.current.read()
            request = _only(self._before, now)
            self._pass(request)
            if self._partial:
                self._half = (request, now[0] if now is not None and now[1] else None)
                self._look_later(over=False)

    def _look_later(self, *, over: bool) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._end_half, over)

    def _end_half(self, over: bool) -> None:
        """Ends a line that was read too early to be marked, when its request is over: nothing else would."""
        self._look = None
        if not self._partial:
            return
        request, number = self._half
        now = self._records.current.read()
        if now is not None and number is not None and now[0] == number:
            self._look_later(over=False)
        elif not over:
            # What the request has printed before its end is in the pipe now, and read before the next look.
            self._look_later(over=True)
        else:
            line, self._partial = self._partial, b""
            self._take(line)
            self._pass(request)

    def finish(self) -> None:
        """The process has ended, with the request it had."""
        if self._look is not None:
            self._look.cancel()
        if self._partial:
            self._take(self._partial)
            self._partial = b""
        last = self._records.current.read()
        self._pass(last[1] if last is not None else None)

    def _take(self, line: bytes) -> None:
        text, sign, mark = line.partition(_SIGN)
        content = _parsed(mark) if sign else None
        if content is None:
            self._waiting.append(line)
            return
        if text:
            self._waiting.append(text)
        self._pass(content["id"])
        if "message" in content:
            more = {name: content[name] for name in _KEPT if name in content}
            self._records.put(self._name, content["id"], [str(content["message"])], **more)

    def _pass(self, request: str | None) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._records.put(self._name, request, [line.decode("utf-8", "replace") for line in waiting])


def _only(before: tuple[int, str] | None, after: tuple[int, str] | None) -> str | None:
    """The only request between two looks at the page; it changes when one begins and when it ends."""
    if before is None or after is None or (after[0] - before[0]) & 0xFFFFFFFF > 1:
        return None
    return before[1] or after[1]


def _parsed(mark: bytes) -> dict[str, Any] | None:
    """The mark; None if it is none of ours but a character that user code prints."""
    with suppress(ValueError):
        content = json.loads(mark)
        if isinstance(content, dict) and isinstance(content.get("id"), str):
            return content
    return None
