"""Receipts: which version of which blob a function has done, and where to go on after a restart.

Their place and name are those of the WebJobs SDK: in the container ``azure-webjobs-hosts`` of the account in
``AzureWebJobsStorage``, ``blobreceipts/<host id>/Host.Functions.<function>/<etag>/<container>/<blob>``. A receipt has
``completed`` in its metadata, and while tries fail, how many did.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from mooring_runtime.storage.blobs import BlobItem, Blobs

CONTAINER = "azure-webjobs-hosts"
_COMPLETED, _TRIES = "completed", "tries"


@dataclass(frozen=True, slots=True)
class Place:
    """How far the feed of changes has been done: all up to ``after`` of this ``generation``."""

    generation: str
    after: int


class Receipts:
    """The receipts of one function. All calls raise `StorageError` and `Unreachable`.

    Args:
        blobs: of the host's account.
        host_id: of the app.
        function: its id, ``Host.Functions.<name>``.
        container: whose blobs it takes.
    """

    def __init__(self, blobs: Blobs, host_id: str, function: str, container: str) -> None:
        self._blobs = blobs
        self._folder = f"blobreceipts/{host_id}/{function}"
        self._place = f"mooring/{host_id}/{function}/{container}"
        self._container = container

    async def tries(self, blob: BlobItem) -> int | None:
        """How many tries have failed; None if the blob is done."""
        found = await self._blobs.metadata(CONTAINER, self._name(blob))
        if found is None:
            return 0
        if found.get(_COMPLETED, "").lower() == "true":
            return None
        count = found.get(_TRIES, "0")
        return int(count) if count.isdecimal() else 0

    async def done(self, blob: BlobItem) -> None:
        """The blob needs nothing more."""
        await self._blobs.put(CONTAINER, self._name(blob), b"", metadata={_COMPLETED: "true"})

    async def tried(self, blob: BlobItem, count: int) -> None:
        """So many tries have failed."""
        metadata = {_COMPLETED: "false", _TRIES: str(count)}
        await self._blobs.put(CONTAINER, self._name(blob), b"", metadata=metadata)

    async def place(self) -> Place:
        """Where the feed goes on."""
        kept = await self._blobs.get(CONTAINER, self._place)
        if kept is None:
            return Place("", 0)
        said = json.loads(kept.body)
        return Place(str(said["generation"]), int(said["after"]))

    async def keep(self, place: Place) -> None:
        """Remember where the feed goes on."""
        body = json.dumps({"generation": place.generation, "after": place.after}).encode()
        await self._blobs.put(CONTAINER, self._place, body, "application/json")

    def _name(self, blob: BlobItem) -> str:
        return f"{self._folder}/{blob.etag}/{self._container}/{blob.name}"
