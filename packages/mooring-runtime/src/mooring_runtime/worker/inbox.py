"""What a front says to the worker."""

import array
import os
import select
import socket
from collections import deque

from . import frames

# Small enough for the allocator's arenas: above 128 KB each call would map and unmap memory.
RECEIVE = 1 << 16
_ONE_DESCRIPTOR = array.array("i", [0])


class Inbox:
    """The frames of one connection, in their order.

    Args:
        connection: blocking.
    """

    def __init__(self, connection):
        self._connection = connection
        self._decoder = frames.Decoder()
        self._frames = deque()
        self._tokens = None
        self._greeted = False

    def next(self):
        """The next frame, or None when the front has gone.

        Raises:
            OSError: the connection broke.
            FrameError: what came is no frame.
        """
        while not self._frames:
            data = self._connection.recv(RECEIVE) if self._greeted else self._greeting()
            if not data:
                return None
            self._frames.extend(self._decoder.feed(data))
        return self._frames.popleft()

    def mine(self):
        """Whether the frame is still ours to begin; see `frames`."""
        if self._tokens is None:
            return True
        try:
            return bool(os.read(self._tokens, 1))
        except BlockingIOError:
            return False

    def cancelled(self):
        """Whether the front has said, since we stream, that nobody listens.

        Raises:
            OSError: the front has gone.
            FrameError: what came is no frame.
        """
        readable, _, _ = select.select([self._connection], [], [], 0)
        if readable:
            data = self._connection.recv(RECEIVE)
            if not data:
                raise ConnectionResetError("the front closed the connection")
            self._frames.extend(self._decoder.feed(data))
        return any(frame[1] == frames.CANCEL for frame in self._frames)

    def close(self):
        """Lets go of the pipe."""
        if self._tokens is not None:
            os.close(self._tokens)
            self._tokens = None

    def _greeting(self):
        """The first that the front says, which a pipe may come with."""
        data, ancillary, _, _ = self._connection.recvmsg(
            RECEIVE, socket.CMSG_SPACE(_ONE_DESCRIPTOR.itemsize), socket.MSG_CMSG_CLOEXEC
        )
        self._greeted = True
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors = array.array("i")
                descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
                for descriptor in descriptors:
                    self.close()
                    self._tokens = descriptor
        return data
