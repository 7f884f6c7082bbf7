"""Which handler answers which call of the Queue service, and what it needs. What is not here is not implemented."""

from __future__ import annotations

from mooring_server.domain.storage.access import Need
from mooring_server.domain.storage.errors import StorageError
from mooring_server.domain.storage.names import check_queue_name
from mooring_server.edges.queue import messages, queues
from mooring_server.edges.storage.answer import Answer
from mooring_server.edges.storage.call import Call, Routes

# The third part of a key: ``comp``, and ``messages`` or ``messages/id`` for what is below a queue.
ROUTES: Routes = {
    ("s", "GET", "list"): (Need("s", "l", ""), queues.list_queues),
    ("s", "GET", "properties"): (Need("s", "r", ""), queues.properties),
    ("c", "PUT", ""): (Need("c", "cw", ""), queues.create),
    ("c", "DELETE", ""): (Need("c", "d", ""), queues.delete),
    ("c", "GET", "metadata"): (Need("c", "r"), queues.show),
    ("c", "HEAD", "metadata"): (Need("c", "r"), queues.show),
    ("c", "PUT", "metadata"): (Need("c", "w", ""), queues.set_metadata),
    ("c", "GET", "acl"): (Need("c", "r", ""), queues.show_access),
    ("messages", "POST", ""): (Need("o", "a"), messages.put),
    ("messages", "GET", ""): (Need("o", "p"), messages.take),
    ("messages", "DELETE", ""): (Need("o", "d", "p"), messages.clear),
    ("message", "PUT", ""): (Need("o", "u"), messages.update),
    ("message", "DELETE", ""): (Need("o", "dp", "p"), messages.delete),
}
_PEEK = Need("o", "rp", "r")


async def queue_service(call: Call) -> Answer:
    """Answer a call.

    Raises:
        StorageError: all that can be wrong; ``NotImplemented`` for what this service does not have.
    """
    request = call.request
    comp = (request.arg("comp") or "").lower()
    route = ROUTES.get((_level(call), request.method, comp))
    if route is None:
        raise StorageError("NotImplemented")
    need, handler = route
    if handler is messages.take and (request.arg("peekonly") or "").lower() == "true":
        need, handler = _PEEK, messages.peek
    call.access.check(need, call.container, "")
    if call.container:
        check_queue_name(call.container)
    return await handler(call)


def _level(call: Call) -> str:
    """How deep the path goes.

    Raises:
        StorageError: ``InvalidUri``.
    """
    if call.request.resource.startswith("/"):
        raise StorageError("InvalidUri")
    if not call.container:
        return "s"
    if not call.blob:
        return "c"
    what, _, identity = call.blob.partition("/")
    if what != "messages" or "/" in identity:
        raise StorageError("InvalidUri")
    return "message" if identity else "messages"
