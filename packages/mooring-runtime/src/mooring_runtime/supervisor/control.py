"""The control socket: one JSON object a line, one answer a line."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from mooring_runtime.supervisor import files
from mooring_runtime.supervisor.failure import Failure, SupervisorError

LINE_LIMIT = 16 << 20

Operation = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class ControlServer:
    """Answers on ``control.sock``.

    Args:
        operations: by the name in ``op``; each takes the request and returns the state.
    """

    def __init__(self, operations: dict[str, Operation]) -> None:
        self._operations = operations
        self._answering: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def start(self, directory: Path) -> None:
        """Listens."""
        self._path = directory / files.CONTROL
        self._key = files.make_control_key(directory)
        listener = files.listen(directory, files.CONTROL)
        self._server = await asyncio.start_unix_server(self._converse, sock=listener, limit=LINE_LIMIT)

    async def close(self, grace: float) -> None:
        """Stops listening and removes the socket; answers under way get ``grace`` seconds."""
        self._server.close()
        self._path.unlink(missing_ok=True)
        if self._answering:
            await asyncio.wait(self._answering, timeout=grace)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.wait_for(self._quiet.wait(), grace)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._quiet.clear()
        try:
            while line := await reader.readline():
                task = asyncio.create_task(self._reply(line, writer))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
                await task
        except (ConnectionError, ValueError):
            return  # the caller went away, or sent a line without end
        finally:
            writer.close()
            self._writers.discard(writer)
            if not self._writers:
                self._quiet.set()

    async def _reply(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        answer = await self._answer(line)
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, **await self._operation(line)}
        except SupervisorError as exc:
            return {"ok": False, "error": exc.failure.to_json()}

    async def _operation(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except ValueError as exc:
            raise refused(f"A request is one JSON object a line: {exc}") from exc
        key = request.pop("key", None) if isinstance(request, dict) else None
        if not hmac.compare_digest(str(key).encode(), self._key.encode()):
            raise refused(f"A request has the key that is in {files.CONTROL_KEY} of the service's folder.")
        name = request.get("op")
        operation = self._operations.get(str(name))
        if operation is None:
            raise refused(f"There is no operation {name!r}. Operations: {', '.join(self._operations)}.")
        return await operation(request)


def refused(message: str) -> SupervisorError:
    """The error for a request that is none."""
    return SupervisorError(
        Failure("RequestInvalid", "Validate", message, "See docs/protocols.md, section 5.")
    )
