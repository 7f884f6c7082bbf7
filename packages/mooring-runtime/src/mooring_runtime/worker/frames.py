"""Frames between the front and a worker.

A frame is a fixed header of 16 bytes, a head and a body::

    offset  size  field
    0       1     magic, 0x4D
    1       1     kind
    2       2     zero
    4       4     id: chosen by the front, repeated in the answer
    8       4     length of the head
    12      4     length of the body

Numbers are unsigned and little-endian. Kinds:

========  ====  ============================  ==========================================================
kind      from  head                          body
========  ====  ============================  ==========================================================
TEXT      1     front: the request id, UTF-8  a POST body for a plain ``run(data)``
FULL      2     front: JSON (see below)       the request's body
RESULT    3     worker: milliseconds, ASCII   what ``run`` returned, as JSON; status 200
REPLY     4     worker: JSON (see below)      the answer's body, or with ``stream`` its first part
CHUNK     5     worker: empty                 a further part of a streamed body
END       6     worker: empty, or ``failed``  empty; the streamed body has ended, or broke off
CANCEL    7     front: empty                  empty; nobody listens to the streamed body any more
BATCH     8     front: empty                  TEXT and FULL frames that share one call of ``run``
TOKENS    9     front: empty                  empty; a pipe comes with it (see below)
SKIPPED   10    worker: empty                 empty; the request was taken back before it was begun
========  ====  ============================  ==========================================================

FULL's head: ``{"id", "method", "path", "query", "headers": [[name, value], ...], "host", "scheme",
"client"}``. REPLY's head: ``{"status", "headers": [[name, value], ...], "ms": "12.345" or null, "failed": bool,
"stream": true if CHUNK and END follow}``.

The requests of a BATCH have ids of their own and are answered each by itself, in their order and without streaming.

A worker answers frames in the order they come, and may be sent further ones meanwhile. It ignores a CANCEL that comes
too late.

A front may say TOKENS first, and send a pipe along (SCM_RIGHTS). Then the worker takes a byte from it before it begins
a frame of kind TEXT, FULL or BATCH, and answers SKIPPED if there is none: the front has taken it, and with it the
request.

This file runs on CPython 3.6 and is used by both sides.
"""

import io
import struct

MAGIC = 0x4D
TEXT = 1
FULL = 2
RESULT = 3
REPLY = 4
CHUNK = 5
END = 6
CANCEL = 7
BATCH = 8
TOKENS = 9
SKIPPED = 10
KINDS = frozenset(range(TEXT, SKIPPED + 1))

HEADER = struct.Struct("<BBHIII")
HEADER_SIZE = HEADER.size
MAX_HEAD = 1 << 20
MAX_BODY = (1 << 32) - 1
# Of a worker's answer that is not streamed: the front keeps it in its memory, which is not the user's.
MAX_ANSWER = 1 << 30
# Of one part of a streamed answer; what the user's generator yields is cut.
MAX_PART = 1 << 20
# Longer bodies are collected by themselves, so that they need not be cut out of what came, which copies them.
LONG = 1 << 16


class FrameError(Exception):
    """The other side does not speak this protocol; the connection is of no further use."""


def encode(frame_id: int, kind: int, head: bytes, body: bytes) -> bytes:
    """One frame as bytes.

    Raises:
        FrameError: head or body are too long to be said.
    """
    return beginning(frame_id, kind, head, len(body)) + body


def beginning(frame_id: int, kind: int, head: bytes, size: int) -> bytes:
    """A frame without its body of ``size`` bytes, which must follow.

    Raises:
        FrameError: head or body are too long to be said.
    """
    if len(head) > MAX_HEAD or size > MAX_BODY:
        raise FrameError("a frame's head may have %d bytes and its body %d" % (MAX_HEAD, MAX_BODY))
    return HEADER.pack(MAGIC, kind, 0, frame_id, len(head), size) + head


class Decoder:
    """Cuts a byte stream into frames.

    Args:
        max_body: longest body accepted; a longer one raises `FrameError` as soon as its header is seen.
    """

    def __init__(self, max_body: int = MAX_BODY) -> None:
        self._max_body = max_body
        self._parts = []
        self._have = 0
        self._need = HEADER_SIZE
        self._long = None
        self._beginning = ()
        self._missing = 0

    def feed(self, data: bytes) -> list:
        """The frames completed by ``data``, as ``(id, kind, head, body)``.

        Raises:
            FrameError: what came is not a frame.
        """
        if self._long is not None:
            return self._collect(data)
        if self._parts:
            # Collected in a list and joined once, so that nothing is copied for each packet.
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(self._parts)
        frames = []
        offset = 0
        size = len(data)
        while size - offset >= HEADER_SIZE:
            magic, kind, zero, frame_id, head_size, body_size = HEADER.unpack_from(data, offset)
            if (
                magic != MAGIC
                or zero
                or kind not in KINDS
                or head_size > MAX_HEAD
                or body_size > self._max_body
            ):
                raise FrameError("not a frame: %r" % (data[offset : offset + HEADER_SIZE],))
            start = offset + HEADER_SIZE
            middle = start + head_size
            end = middle + body_size
            if end > size:
                if body_size <= LONG or middle > size:
                    self._need = (end if body_size <= LONG else middle) - offset
                    break
                # Grows in place and gives its bytes away without a copy.
                self._long = io.BytesIO()
                self._long.write(memoryview(data)[middle:])
                self._beginning = (frame_id, kind, data[start:middle])
                self._missing = end - size
                self._parts = []
                self._have = 0
                self._need = HEADER_SIZE
                return frames
            frames.append((frame_id, kind, data[start:middle], data[middle:end]))
            offset = end
        else:
            self._need = HEADER_SIZE
        rest = data[offset:] if offset else data
        self._parts = [rest] if rest else []
        self._have = len(rest)
        return frames

    def _collect(self, data: bytes) -> list:
        """Takes a part of a long body."""
        part = memoryview(data)[: self._missing]
        self._long.write(part)
        self._missing -= len(part)
        if self._missing:
            return []
        body, self._long = self._long.getvalue(), None
        return [(*self._beginning, body), *self.feed(data[len(part) :])]

    @property
    def pending(self) -> int:
        """How many bytes of an incomplete frame have come, without those of a long body."""
        return self._have
