"""How long a caller is waited for."""

from __future__ import annotations

# From the first byte of a request's head to its end; for a body that does not come; between two requests.
HEAD_SECONDS = 30.0
BODY_SECONDS = 60.0
IDLE_SECONDS = 300.0
# A caller that sends a body more slowly is as good as gone.
BYTES_PER_SECOND = 16 << 10


class Patience:
    """When the next thing must have come from one caller; all times are those of the event loop's clock, in seconds.

    Args:
        now: the caller has just come.

    Attributes:
        until: when it is too late.
    """

    __slots__ = ("until",)

    def __init__(self, now: float) -> None:
        self.until = now + IDLE_SECONDS

    def idle(self, now: float) -> None:
        """A request may come."""
        self.until = now + IDLE_SECONDS

    def head(self, now: float) -> None:
        """The first byte of a head has come; the others get no further time."""
        self.until = now + HEAD_SECONDS

    def body(self, now: float) -> None:
        """A body may come."""
        self.until = now + BODY_SECONDS

    def received(self, now: float, size: int) -> None:
        """``size`` bytes of a body have come: time for as much, but never more than at the beginning."""
        self.until = min(now + BODY_SECONDS, self.until + size / BYTES_PER_SECOND)
