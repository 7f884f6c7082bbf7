"""Where a blob trigger hears of blobs: from the feed of our own storage, or by asking again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from mooring_runtime.functions.pattern import BlobPattern
from mooring_runtime.functions.receipts import Place
from mooring_runtime.storage.blobs import BlobItem, Blobs

FEED_WAIT = 25
PAGE = 500
# Between two listings, at least; long listings are spread so that they take a tenth of the time.
POLL_SECONDS = 1.0
_SHARE = 10.0


@dataclass(frozen=True, slots=True)
class Found:
    """A new or changed blob.

    Attributes:
        seq: its number in the feed; 0 where there is none.
        fresh: it has come since the source began, and so was not done before.
    """

    blob: BlobItem
    seq: int
    fresh: bool


class Source(Protocol):
    """Tells of blobs. What it raises is what storage raises; it can go on afterwards."""

    def pages(self) -> AsyncIterator[list[Found]]:
        """Pages of new and changed blobs, for ever."""
        ...


class Feed:
    """The feed of changes (docs/protocols.md, section 6).

    Args:
        blobs: of the trigger's account.
        pattern: which container, and which prefix.
        place: where to begin.

    Attributes:
        generation: of the feed.
        after: everything up to here has been told.
    """

    def __init__(self, blobs: Blobs, pattern: BlobPattern, place: Place) -> None:
        self._blobs = blobs
        self._pattern = pattern
        self.generation = place.generation
        self.after = place.after
        self._caught_up = False

    async def pages(self) -> AsyncIterator[list[Found]]:
        """See `Source.pages`."""
        while True:
            wait = FEED_WAIT if self._caught_up else 0
            said = await self._blobs.changes(
                self.after, self._pattern.container, self._pattern.prefix, wait, PAGE
            )
            if said is None:
                raise ValueError("the feed of changes is there no more")
            generation, after, changes = said
            if generation != self.generation:
                again = self.generation != "" or self.after != 0
                self.generation = generation
                if again:
                    self.after, self._caught_up = 0, False
                    continue
            self.after = after
            yield [Found(change.blob, change.seq, self._caught_up) for change in changes]
            if not changes:
                self._caught_up = True


class Listing:
    """Asks for the whole list again and again, and remembers the versions it has told.

    Args:
        blobs: of the trigger's account.
        pattern: which container, and which prefix.
    """

    def __init__(self, blobs: Blobs, pattern: BlobPattern) -> None:
        self._blobs = blobs
        self._pattern = pattern
        self._told: dict[str, str] = {}
        self._caught_up = False

    async def pages(self) -> AsyncIterator[list[Found]]:
        """See `Source.pages`."""
        loop = asyncio.get_running_loop()
        while True:
            spent, marker, present = 0.0, "", set[str]()
            while True:
                begun = loop.time()
                items, marker = await self._blobs.list(self._pattern.container, self._pattern.prefix, marker)
                spent += loop.time() - begun
                present.update(item.name for item in items)
                page = [
                    Found(item, 0, self._caught_up)
                    for item in items
                    if self._told.get(item.name) != item.etag
                ]
                yield page
                self._told.update((found.blob.name, found.blob.etag) for found in page)
                if not marker:
                    break
            self._told = {name: etag for name, etag in self._told.items() if name in present}
            self._caught_up = True
            await asyncio.sleep(max(POLL_SECONDS, _SHARE * spent))
