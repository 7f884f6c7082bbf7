"""How far the feed of changes has been done, when blobs are done in another order than they came."""

from __future__ import annotations

from mooring_runtime.functions.blob_source import Feed
from mooring_runtime.functions.receipts import Place


class Progress:
    """Counts what of a feed is done.

    Args:
        feed: which.

    Attributes:
        kept: the place that was written last.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._open: set[int] = set()
        self.kept: Place | None = None

    def begun(self, seq: int) -> None:
        """A blob is on its way."""
        self._open.add(seq)

    def done(self, seq: int) -> None:
        """It needs nothing more."""
        self._open.discard(seq)

    def place(self) -> Place | None:
        """Up to where everything is done; None if that is kept already."""
        after = min(self._open) - 1 if self._open else self._feed.after
        place = Place(self._feed.generation, after)
        return None if place == self.kept else place
