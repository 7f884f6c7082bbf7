"""Cuts what a client sends into AMQP frames (amqp-core-transport-v1.0, section 2.3), before Proton reads them.

Proton drops the message format of a transfer, which is what tells a batch from a message; here it is read.
"""

from __future__ import annotations

from collections.abc import Iterator

from mooring_server.servicebus.codec import Malformed, decode, skip

# Azure's too.
MAX_FRAME = 65536
_HEADER = 8
_TRANSFERS = (b"\x00\x53\x14", b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x14")


class Frames:
    """Collects bytes until they are a frame."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, int]]:
        """Each frame (or protocol header) that is complete, with its message format: 0 but for a batch's transfer.

        Raises:
            Malformed: a frame is shorter than its own head, or longer than was agreed.
        """
        self._data += data
        while len(self._data) >= _HEADER:
            size = int.from_bytes(self._data[:4], "big")
            if self._data[:4] == b"AMQP":
                size = _HEADER
            elif not _HEADER <= size <= MAX_FRAME:
                raise Malformed(f"a frame has {size} bytes; {_HEADER} to {MAX_FRAME} are allowed")
            if len(self._data) < size:
                return
            frame = bytes(self._data[:size])
            del self._data[:size]
            yield frame, _message_format(frame)


def _message_format(frame: bytes) -> int:
    at = frame[4] * 4
    if frame[:4] == b"AMQP" or frame[5] != 0 or not frame.startswith(_TRANSFERS, at):
        return 0
    try:
        at = skip(frame, at + 1)  # the descriptor
        at += {0xC0: 3, 0xD0: 9}[frame[at]]
        for _ in range(3):  # handle, delivery-id, delivery-tag
            at = skip(frame, at)
        value, _ = decode(frame, at)
    except (Malformed, IndexError, KeyError):
        return 0  # Proton says what is wrong with it
    return value if isinstance(value, int) else 0
