"""Root's capabilities, given up before user code runs."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _AMBIENT_CLEAR = 24, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_libc = ctypes.CDLL(None, use_errno=True)


def last_capability() -> int:
    """The highest number of a capability that the kernel knows."""
    return int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))


def drop(last: int) -> None:
    """Gives up all capabilities for good, and with them those that programs run by root would get.

    Raises:
        OSError: the kernel refuses.
    """
    if os.geteuid() == 0:
        for number in range(last + 1):
            # Without CAP_SETPCAP (in some containers) the set stays; no_new_privs then keeps it from use.
            if _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0):
                break
    _libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR, 0, 0, 0)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    if _libc.capset(header, bytes(24)):
        raise OSError(ctypes.get_errno(), "capset")
