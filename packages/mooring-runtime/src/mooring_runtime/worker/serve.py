"""The worker's loop: one connection at a time, one request at a time.

User code is single-threaded and some of it (signal handlers, event loops, plotting) insists on the main
thread, so the loop blocks. When the front dies the connection ends and the next front's is accepted.
"""

import os
import select
import socket
import sys

from . import frames
from .entry import user_traceback

# Small enough for the allocator's arenas: above 128 KB each call would map and unmap memory.
RECEIVE = 1 << 16
# A process forked by user code carries our sockets along; it must not answer in our place.
_PID = os.getpid()


def serve(listen_fd, scorer, termination):
    """Accepts fronts for ever; ends by `SystemExit` (SIGTERM)."""
    listener = socket.socket(fileno=listen_fd)
    listener.setblocking(True)
    os.set_inheritable(listen_fd, False)
    while True:
        connection, _ = listener.accept()
        with connection:
            converse(connection, scorer, termination)


def converse(connection, scorer, termination):
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
            if kind == frames.CANCEL:
                continue  # it crossed the end of the stream it is about
            if kind == frames.BATCH:
                answer = together(scorer, body)
            else:
                answer = frames.encode(frame_id, *scorer.answer(kind, head, body))
            if os.getpid() != _PID:
                os._exit(0)
            try:
                connection.sendall(answer)
                if scorer.stream is not None:
                    stream(connection, decoder, frame_id, scorer, termination)
            except OSError as exc:
                sys.stderr.write("mooring: an answer found no front: {}\n".format(exc))
                return


def together(scorer, body):
    """The answers to the requests of a BATCH."""
    requests = frames.Decoder().feed(body)
    answers = scorer.answers([request[1:] for request in requests])
    return b"".join(frames.encode(request[0], *answer) for request, answer in zip(requests, answers))


def stream(connection, decoder, frame_id, scorer, termination):
    """Sends the rest of a body as the user's generator yields it, until it ends or nobody listens any more.

    Raises:
        OSError: the front went away.
    """
    parts, scorer.stream = scorer.stream, None
    failure = b""
    try:
        while not cancelled(connection, decoder):
            try:
                part = next(parts, None)
            except Exception as exc:  # noqa: BLE001 - user code
                sys.stderr.write(
                    "mooring: a streamed body broke off\n{}\n".format(user_traceback(exc).rstrip())
                )
                failure = b"failed"
                break
            if part is None:
                break
            connection.sendall(frames.encode(frame_id, frames.CHUNK, b"", part))
    except SystemExit:
        if termination.requested:
            raise
        failure = b"failed"
    finally:
        parts.close()
    connection.sendall(frames.encode(frame_id, frames.END, failure, b""))


def cancelled(connection, decoder):
    """Whether the front has said that nobody listens; it says nothing else meanwhile."""
    readable, _, _ = select.select([connection], [], [], 0)
    if not readable:
        return False
    data = connection.recv(RECEIVE)
    if not data:
        raise ConnectionResetError("the front closed the connection")
    return any(kind == frames.CANCEL for _, kind, _, _ in decoder.feed(data))
