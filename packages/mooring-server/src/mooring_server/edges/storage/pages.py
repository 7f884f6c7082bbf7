"""Pages of lists: which part a caller asks for, and where the next one begins."""

from __future__ import annotations

import base64
import binascii

from mooring_server.domain.storage.errors import StorageError
from mooring_server.edges.storage.call import Call

MAX_PAGE = 5000


def asked(call: Call) -> tuple[str, str, int]:
    """Prefix, where to begin, and how many at most.

    Raises:
        StorageError: ``InvalidQueryParameterValue``, ``OutOfRangeQueryParameterValue``.
    """
    # Azure gives 5,000 to those who ask for more.
    count = min(call.request.number("maxresults", MAX_PAGE, 1, 2**31), MAX_PAGE)
    return _text(call, "prefix"), _unmark(call.request.arg("marker") or ""), count


def _text(call: Call, name: str) -> str:
    return (call.request.arg(name) or "").encode("utf-8", "replace").decode("utf-8")


def mark(name: str) -> str:
    """A marker for the entry with which the next page begins."""
    return base64.urlsafe_b64encode(name.encode()).decode()


def _unmark(marker: str) -> str:
    try:
        return base64.b64decode(marker.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise StorageError("InvalidQueryParameterValue", QueryParameterName="marker") from None


def endpoint(call: Call) -> str:
    """The service's own address, as the caller wrote it."""
    first = call.request.raw_path[1:].partition("/")[0]
    return f"{call.request.scheme}://{call.request.header('host') or ''}/{first}"
