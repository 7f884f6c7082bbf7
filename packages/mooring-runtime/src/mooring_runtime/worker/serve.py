"""The worker's loop: one connection at a time, one request at a time.

User code is single-threaded and some of it (signal handlers, event loops, plotting) insists on the main
thread, so the loop blocks. When the front dies the connection ends and the next front's is accepted.
"""

import os
import socket

from . import frames, log
from .entry import user_traceback
from .inbox import Inbox

# A CANCEL that comes here has crossed the end of the stream it is about.
NO_REQUESTS = (frames.CANCEL, frames.TOKENS)
# A process forked by user code carries our sockets along; it must not answer in our place.
_getpid = os.getpid
_PID = _getpid()


def serve(listen_fd, scorer, termination):
    """Accepts fronts for ever; ends by `SystemExit` (SIGTERM)."""
    listener = socket.socket(fileno=listen_fd)
    listener.setblocking(True)
    os.set_inheritable(listen_fd, False)
    while True:
        connection, _ = listener.accept()
        connection.setblocking(True)  # whatever socket.setdefaulttimeout() user code has called
        with connection:
            try:
                converse(connection, scorer, termination)
            except frames.FrameError as exc:
                log.write("mooring: the front said something that is no request: {}\n".format(exc))


def converse(connection, scorer, termination):
    """Answers one front until it goes away.

    Raises:
        FrameError: what it says is no request.
    """
    inbox = Inbox(connection)
    try:
        while True:
            try:
                frame = inbox.next()
            except OSError as exc:
                log.write("mooring: the front went away: {}\n".format(exc))
                return
            if frame is None:
                return
            frame_id, kind, head, body = frame
            if kind in NO_REQUESTS:
                continue
            if not inbox.mine():
                answer = frames.encode(frame_id, frames.SKIPPED, b"", b"")
            elif kind == frames.BATCH:
                answer = together(scorer, body)
            else:
                answer = frames.encode(frame_id, *scorer.answer(kind, head, body))
            leave_if_forked()
            try:
                connection.sendall(answer)
                if scorer.stream is not None:
                    stream(connection, inbox, frame_id, scorer, termination)
            except OSError as exc:
                log.write("mooring: an answer found no front: {}\n".format(exc))
                return
    finally:
        inbox.close()


def leave_if_forked():
    """Ends a process that user code has forked and that has come back from it."""
    if _getpid() != _PID:
        os._exit(0)


def together(scorer, body):
    """The answers to the requests of a BATCH.

    Raises:
        FrameError: it holds no requests, or ``run`` is not batched.
    """
    requests = frames.Decoder().feed(body)
    if scorer.batch is None:
        raise frames.FrameError("run() takes no batches")
    answers = scorer.answers([request[1:] for request in requests])
    pairs = zip(requests, answers)  # noqa: B905 - CPython 3.6
    return b"".join(frames.encode(request[0], *answer) for request, answer in pairs)


def stream(connection, inbox, frame_id, scorer, termination):
    """Sends the rest of a body as the user's generator yields it, until it ends or nobody listens any more.

    Raises:
        OSError: the front went away.
    """
    parts, scorer.stream = scorer.stream, None
    failure = b""
    try:
        while not inbox.cancelled():
            try:
                part = next(parts, None)
            except Exception as exc:  # noqa: BLE001 - user code
                log.write("mooring: a streamed body broke off\n{}\n".format(user_traceback(exc).rstrip()))
                failure = b"failed"
                break
            leave_if_forked()
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
