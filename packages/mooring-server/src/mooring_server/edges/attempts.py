"""Counts failed proofs of identity per address, in a table of bounded size."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

WINDOW_SECONDS = 60.0
LIMIT = 10
# Programs of one machine share its loopback address: one with an old token must not shut out the others' errors.
LOOPBACK_LIMIT = 100
TABLE_SIZE = 4096


class Attempts:
    """Failures per address and minute. When the table is full, the address that failed first is forgotten.

    Good credentials are accepted from an address however often it failed: several people may share one
    address, and secrets of 192 bits and more cannot be guessed anyway. What the limit bounds is
    how much log, and how much work beyond one look-up, failures can cause.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, size: int = TABLE_SIZE) -> None:
        self._clock = clock
        self._size = size
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def failed(self, address: str) -> tuple[int, bool]:
        """Count one failure.

        Returns:
            Seconds until the next failure is answered in full (0: this one is), and whether this is the
            first one above the limit.
        """
        now, key = self._clock(), _key(address)
        limit = LOOPBACK_LIMIT if key == "loopback" else LIMIT
        with self._lock:
            began, count = self._failures.get(key, (now, 0))
            if now - began >= WINDOW_SECONDS:
                del self._failures[key]
                began, count = now, 0
            self._failures[key] = (began, min(count + 1, limit + 2))
            if len(self._failures) > self._size:
                self._failures.popitem(last=False)
        if count < limit:
            return 0, False
        return max(1, int(began + WINDOW_SECONDS - now + 0.999)), count == limit

    def __len__(self) -> int:
        return len(self._failures)


def _key(address: str) -> str:
    """One key for loopback, and one for a /64 of IPv6: that much belongs to a single customer."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback:
        return "loopback"
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)
