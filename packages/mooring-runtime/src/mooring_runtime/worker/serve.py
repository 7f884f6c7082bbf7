"""The worker's loop: one connection at a time, one request at a time.

User code is single-threaded and some of it (signal handlers, event loops, plotting) insists on the main
thread, so the loop blocks. When the front dies the connection ends and the next front's is accepted.
"""

import os
import socket
import sys

from . import frames

RECEIVE = 1 << 18
# A process forked by user code carries our sockets along; it must not answer in our place.
_PID = os.getpid()


def serve(listen_fd, scorer):
    """Accepts fronts for ever; ends by `SystemExit` (SIGTERM)."""
    listener = socket.socket(fileno=listen_fd)
    listener.setblocking(True)
    os.set_inheritable(listen_fd, False)
    while True:
        connection, _ = listener.accept()
        with connection:
            converse(connection, scorer)


def converse(connection, scorer):
    """Answers one front until it goes away."""
    decoder = frames.Decoder()
    while True:
        try:
            data = connection.recv(RECEIVE)
        except OSError as exc:
            sys.stderr.write("mooring: the front went away: {}\n".format(exc))
            return
        if not data:
            return
        for frame_id, kind, head, body in decoder.feed(data):
            answer = scorer.answer(kind, head, body)
            if os.getpid() != _PID:
                os._exit(0)
            try:
                connection.sendall(frames.encode(frame_id, *answer))
            except OSError as exc:
                sys.stderr.write("mooring: an answer found no front: {}\n".format(exc))
                return
