"""What answers are made of."""

import json
import sys
from time import perf_counter

from . import frames, log
from .response import encoded

dumps = json.JSONEncoder().encode


class Body:
    """The parts of a streamed body as bytes; empty ones are left out, and long ones cut."""

    def __init__(self, response):
        self._response = response
        own = getattr(response, "iter_encoded", None)
        self._parts = pieces(own() if own is not None else encoded(response.response))

    def __iter__(self):
        return self

    def __next__(self):
        part = next(self._parts, None)
        if part is None:
            self.close()
            raise StopIteration
        return part

    def close(self):
        """Closes the response, and with it the user's generator."""
        self._response.close()


def pieces(parts):
    """The parts, cut so that the front need not keep long ones."""
    for part in parts:
        for start in range(0, len(part), frames.MAX_PART):
            yield part[start : start + frames.MAX_PART]


def milliseconds(begin):
    """The time since ``begin`` as the answer's head says it."""
    return "%.3f" % ((perf_counter() - begin) * 1000.0)


def reply(status, message, failed=False):
    """A REPLY frame with a JSON body."""
    head = {"status": status, "headers": [["content-type", "application/json"]], "ms": None, "failed": failed}
    return frames.REPLY, dumps(head).encode("ascii"), dumps(message).encode("utf-8")


def unserialisable_hint(result, exc):
    """What to do about a result that cannot be written as JSON."""
    hint = "the value returned by run() (a {}) cannot be written as JSON: {}".format(
        type(result).__name__, exc
    )
    if "numpy" in sys.modules and "ndarray" in str(exc):
        return hint + ". Return array.tolist() instead of the array"
    if "numpy" in sys.modules:
        return hint + ". NumPy values need .tolist() or .item()"
    return hint


def block(request_id, what, trace):
    """One block in the log, with the id that the caller got."""
    log.write("mooring: request {}: {}\n{}\n".format(request_id, what, trace.rstrip()))
