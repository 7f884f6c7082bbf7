"""Who may begin a request that a worker has been sent."""

from __future__ import annotations

import os


class Tokens:
    """A pipe with one byte for each frame that a worker has been sent and has not begun.

    The worker takes one before it begins a frame; the front takes one to have the last of them back. Each byte
    has one reader, which the kernel guarantees, so a request is begun once or not at all, whatever dies when.

    Attributes:
        shared: the end that the worker gets a copy of.
    """

    def __init__(self) -> None:
        self.shared, self._giving = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._open = True

    def give(self) -> None:
        """Lets the worker begin one more frame; before the frame is sent."""
        os.write(self._giving, b"1")

    def take(self) -> bool:
        """Takes the right to begin the last frame that was sent from the worker; whether it could be had."""
        if not self._open:
            return False
        try:
            return bool(os.read(self.shared, 1))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Closes the front's ends; the worker may begin what there are bytes for."""
        if self._open:
            self._open = False
            os.close(self.shared)
            os.close(self._giving)
