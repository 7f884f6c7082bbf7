"""What a worker tells the supervisor: JSON lines on an inherited file descriptor."""

import json
import os
import sys
from contextlib import suppress


class Report:
    """The supervisor's end of the pipe.

    Args:
        fd: the inherited descriptor; processes started by user code do not get it.
    """

    def __init__(self, fd):
        self._fd = fd
        os.set_inheritable(fd, False)

    def send(self, event):
        """Writes one event."""
        data = json.dumps(event).encode("utf-8") + b"\n"
        while data:
            data = data[os.write(self._fd, data) :]

    def fail(self, error):
        """Reports an `entry.EntryError` and ends the process.

        Threads that user code started would keep the process alive, so it leaves without waiting for
        them. The exit status is 3, as in Azure's server.
        """
        self.send(dict(error.facts, event="failed"))
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # user code may have put anything in their place
                stream.flush()
        os._exit(3)
