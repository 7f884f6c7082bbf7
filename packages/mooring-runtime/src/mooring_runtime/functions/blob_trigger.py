"""The blob trigger: the function is run for each new or changed blob, and its answer becomes a blob.

A version of a blob is done when its output and then its receipt have been written; what was begun and not done when
the process ends is begun again. A try that fails is repeated, with a pause, beside all others; after so many tries
as ``maxDequeueCount`` says (host.json, ``extensions.blobs``; 5) a message with Azure's content goes to the queue
``webjobs-blobtrigger-poison`` of the trigger's account, and the blob is done with.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mooring_runtime.front.identity import new_id
from mooring_runtime.functions.blob_progress import Progress
from mooring_runtime.functions.blob_source import Feed, Found, Listing
from mooring_runtime.functions.pattern import check_paths
from mooring_runtime.functions.problem import FunctionInvalid
from mooring_runtime.functions.receipts import Receipts
from mooring_runtime.functions.storage_problem import Trouble, account_of, explain, missing_container
from mooring_runtime.functions.trigger import Event, Setup, TriggerState
from mooring_runtime.storage.blobs import BlobItem, Blobs
from mooring_runtime.storage.client import StorageError
from mooring_runtime.storage.http import Unreachable
from mooring_runtime.storage.queues import Queues

POISON = "webjobs-blobtrigger-poison"
MAX_BYTES = 100 << 20
# While storage does not answer or refuses; the last one again and again.
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)
# After a try that failed; Azure's host begins the next at once, too.
_RETRY = (0.0, 0.2, 1.0, 3.0)
_KEEP_SECONDS = 2.0

T = TypeVar("T")


class Abandoned(Exception):
    """A blob is left for later: the trigger is to end."""


class BlobTrigger:
    """A `Trigger`.

    Raises:
        FunctionInvalid: ``ConnectionStringInvalid``, ``SettingMissing``, ``BindingPathInvalid``,
            ``BindingNotSupported``, ``HostFileInvalid``.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        function, settings = setup.function, setup.settings
        output = function.output("blob")
        if output is None:
            raise FunctionInvalid(
                "BindingNotSupported",
                f"Function {function.name} has no output binding of the type blob.",
                "Package the model again.",
            )
        self._pattern, self._target = check_paths(
            settings.resolve(str(function.trigger.get("path", ""))),
            settings.resolve(str(output.get("path", ""))),
        )
        name = str(function.trigger.get("connection") or "Storage")
        account = account_of(settings, name)
        self._source = Blobs(account)
        self._output = Blobs(account_of(settings, str(output.get("connection") or "Storage")))
        self._queues = Queues(account)
        self._host = Blobs(account_of(settings, "Storage"))
        self._id = f"Host.Functions.{function.name}"
        self._receipts = Receipts(self._host, setup.host_id, self._id, self._pattern.container)
        self._most_tries = setup.host.number("blobs", "maxDequeueCount", 5)
        self._most_at_once = setup.host.number("blobs", "maxDegreeOfParallelism", 64)
        self._feed: Feed | Listing | None = None
        self._progress: Progress | None = None
        self._busy: dict[BlobItem, asyncio.Task[None]] = {}
        self._running = 0
        self._freed = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._draining = False

    def start(self) -> None:
        """See `Trigger.start`."""
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def drain(self) -> None:
        """See `Trigger.drain`."""
        self._draining = True
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        if self._busy:
            await asyncio.wait(set(self._busy.values()))
        await self._keep()

    async def stop(self) -> None:
        """See `Trigger.stop`."""
        self._draining = True
        tasks = {*self._busy.values(), *([self._listening] if self._listening is not None else [])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for client in (self._source, self._output, self._queues, self._host):
            client.close()

    async def _listen(self) -> None:
        """Follow the container for ever, whatever storage does meanwhile."""
        misses = 0
        while True:
            problem = await self._follow()
            self._report(problem, "following the container")
            await asyncio.sleep(_PAUSES[min(misses, len(_PAUSES) - 1)])
            misses += 1

    async def _follow(self) -> Trouble:
        """Begin with each blob as it comes; returns what stopped it."""
        container = self._pattern.container
        kept = asyncio.get_running_loop().time()
        try:
            if not await self._source.has_container(container):
                return missing_container(container)
            if self._feed is None:
                self._feed = await self._choose()
            async for page in self._feed.pages():
                self._setup.report(TriggerState("Running"))
                await self._begin([f for f in page if self._pattern.match(f.blob.name) is not None])
                now = asyncio.get_running_loop().time()
                if now - kept > _KEEP_SECONDS:
                    kept = now
                    await self._keep()
                if (
                    not page
                    and self._progress is not None
                    and not await self._source.has_container(container)
                ):
                    break
        except (StorageError, Unreachable, ValueError) as error:
            return error
        return missing_container(container)

    async def _choose(self) -> Feed | Listing:
        """The feed where there is one; else lists. The same over interruptions: it knows what it has told."""
        place = await self._receipts.place()
        pattern = self._pattern
        if await self._source.changes(place.after, pattern.container, pattern.prefix, 0, 1) is None:
            return Listing(self._source, pattern)
        feed = Feed(self._source, pattern, place)
        self._progress = Progress(feed)
        return feed

    async def _begin(self, page: list[Found]) -> None:
        """Begin with blobs, each as soon as there is room."""
        if self._progress is not None:
            # All of them before the first: what is cut off in the middle of the page must come again.
            for found in page:
                self._progress.begun(found.seq)
        for found in page:
            if found.blob in self._busy:
                continue
            await self._acquire()
            task = asyncio.get_running_loop().create_task(self._process(found))
            self._busy[found.blob] = task
            task.add_done_callback(lambda _, blob=found.blob: self._busy.pop(blob, None))  # type: ignore[misc]

    async def _acquire(self) -> None:
        while self._running >= min(self._most_at_once, self._setup.concurrency()):
            self._freed.clear()
            await self._freed.wait()
        self._running += 1

    def _release(self) -> None:
        self._running -= 1
        self._freed.set()

    async def _process(self, found: Found) -> None:
        """Bring one blob to its end; a place among those that run is held already."""
        blob = found.blob
        held = True
        try:
            tries = 0 if found.fresh else await self._insist(lambda: self._receipts.tries(blob))
            while tries is not None:
                failure = await self._run(blob)
                if failure is None:
                    await self._insist(lambda: self._receipts.done(blob))
                    break
                tries = await self._failed(blob, tries + 1, failure)
                if tries is not None:
                    self._release()
                    held = False
                    await self._pause(_RETRY[min(tries, len(_RETRY)) - 1])
                    await self._acquire()
                    held = True
        except Abandoned:
            return  # it comes again
        finally:
            if held:
                self._release()
        if self._progress is not None:
            self._progress.done(found.seq)

    async def _run(self, blob: BlobItem) -> str | None:
        """Run the function and write what it says; None, or why the try failed."""
        if blob.size > MAX_BYTES:
            return f"it has {blob.size} bytes; {MAX_BYTES} are accepted"
        content = await self._insist(lambda: self._source.get(self._pattern.container, blob.name, blob.etag))
        values = self._pattern.match(blob.name)
        if content is None or values is None:
            return None  # it is gone, or there is a newer version, of which we hear as well
        try:
            name = self._target.fill(values)
        except FunctionInvalid as problem:
            return problem.message
        origin = f"{self._pattern.container}/{blob.name}"
        outcome = await self._setup.invoke(Event(new_id(), content.body, content.content_type, origin))
        if outcome.failure is None:
            await self._insist(
                lambda: self._output.put(self._target.container, name, outcome.body, outcome.content_type)
            )
        return outcome.failure

    async def _failed(self, blob: BlobItem, tries: int, failure: str) -> int | None:
        """Record a failed try; None if it was the last."""
        place = f"{self._pattern.container}/{blob.name}"
        self._setup.log(f"{self._id}: {place}: try {tries} of {self._most_tries} failed: {failure}")
        if tries < self._most_tries:
            await self._insist(lambda: self._receipts.tried(blob, tries))
            return tries
        await self._insist(lambda: self._queues.put(POISON, self._message(blob)))
        await self._insist(lambda: self._receipts.done(blob))
        self._setup.log(f"{self._id}: {place}: given up, see the queue {POISON}")
        return None

    def _message(self, blob: BlobItem) -> str:
        """What the WebJobs SDK writes."""
        return json.dumps(
            {
                "Type": "BlobTrigger",
                "FunctionId": self._id,
                "BlobType": "BlockBlob",
                "ContainerName": self._pattern.container,
                "BlobName": blob.name,
                "ETag": blob.etag,
            }
        )

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """What storage says, once it does: its trouble is not the blob's.

        Raises:
            Abandoned: it does not, and the trigger is to end.
        """
        misses = 0
        while True:
            try:
                result = await call()
            except (StorageError, Unreachable, ValueError) as error:  # noqa: PERF203 - storage may need several calls
                self._report(error, "reading or writing")
                await self._pause(_PAUSES[min(misses, len(_PAUSES) - 1)])
                misses += 1
            else:
                if misses:
                    self._setup.report(TriggerState("Running"))
                return result

    async def _pause(self, seconds: float) -> None:
        """Wait before another try.

        Raises:
            Abandoned: the trigger is to end.
        """
        if not self._draining:
            await asyncio.sleep(seconds)
        if self._draining:
            raise Abandoned

    async def _keep(self) -> None:
        """Remember how far the feed has been done; that it cannot be written costs a restart some time."""
        place = self._progress.place() if self._progress is not None else None
        if place is None or self._progress is None:
            return
        try:
            await self._receipts.keep(place)
        except (StorageError, Unreachable) as error:
            self._setup.log(f"{self._id}: the place in the feed was not kept: {error}")
        else:
            self._progress.kept = place

    def _report(self, trouble: Trouble, doing: str) -> None:
        problem = explain(trouble, self._pattern.container)
        message = f"{self._id}, {doing}: {problem.message}"
        self._setup.report(TriggerState("Waiting", problem.code, message, problem.hint))
