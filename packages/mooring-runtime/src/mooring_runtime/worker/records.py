"""Tells the supervisor which request a line of output belongs to; only with ``MOORING_LOG_FORMAT=json``.

Lines come through pipes, whoever writes them: ``print``, ``logging``, a C library. The worker says what it is working
on in two ways:

* a page of memory that it shares with the supervisor holds the id of the request under way (`PAGE`);
* if at the end of a request something of its output has not been read, a *mark* follows it in the pipe: whatever
  comes before the mark is of that request, even if the supervisor reads it later.

Both cost about a microsecond a request, and no message. A mark is a line that begins with `SIGN` and goes on with a
JSON object; with ``message`` it is a record of its own, of more than one line (a traceback, a logging record).
"""

import fcntl
import json
import logging
import mmap
import os
import struct
import sys
import termios
import traceback

SIGN = "\x1e"
# Number of the change, length and text of the id, number again: who reads while it is written sees two numbers.
HEAD = struct.Struct("<IH")
TAIL = struct.Struct("<I")
PAGE = 4096
LIMIT = 1024
_STREAMS = (1, 2)


class Records:
    """What the worker says of its output.

    Args:
        fd: of the shared page.
    """

    def __init__(self, fd):
        os.set_inheritable(fd, False)
        self._page = mmap.mmap(fd, PAGE)
        self._number = 0
        self._id = ""
        self._pid = os.getpid()
        self._files = (sys.stdout, sys.stderr)

    def begin(self, request_id):
        """A request is under way."""
        self._id = request_id
        self._publish(request_id.encode("utf-8", "replace")[:LIMIT])

    def end(self):
        """It is not any more; what it has printed is marked as its own."""
        if os.getpid() != self._pid:
            return  # forked by user code
        for file, fd in zip(self._files, _STREAMS):  # noqa: B905 - CPython 3.6
            if not file.closed:
                file.flush()
            if unread(fd):
                self._send(fd, {"id": self._id})
        self._id = ""
        self._publish(b"")

    def write(self, message, **facts):
        """A record of its own; ``facts`` are more members."""
        for file in self._files:
            if not file.closed:
                file.flush()
        self._send(2, dict(facts, id=self._id, message=message))

    def _send(self, fd, content):
        data = (SIGN + json.dumps(content, default=str) + "\n").encode("ascii")
        while data:
            data = data[os.write(fd, data) :]

    def _publish(self, name):
        self._number = (self._number + 1) & 0xFFFFFFFF
        record = HEAD.pack(self._number, len(name)) + name + TAIL.pack(self._number)
        self._page[: len(record)] = record


def unread(fd):
    """Whether a pipe holds something that has not been read."""
    try:
        return fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0") != b"\0\0\0\0"
    except OSError:
        return False  # user code has put something else there


def record_logging(records):
    """Makes what `logging` writes to our streams records, with their level and logger, in one piece."""
    ours = (sys.stdout, sys.stderr)
    plain = logging.StreamHandler.emit

    def emit(handler, record):
        if getattr(handler, "stream", None) not in ours:
            plain(handler, record)
            return
        try:
            message = record.getMessage()
            if record.exc_info and record.exc_info[0] is not None:
                message += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
            records.write(message, level=record.levelname, logger=record.name)
        except Exception:  # noqa: BLE001 - logging's rule: a record that cannot be written fails nobody
            handler.handleError(record)

    logging.StreamHandler.emit = emit
