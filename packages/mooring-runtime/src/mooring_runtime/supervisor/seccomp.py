"""No network sockets, by a filter of system calls; for where Landlock alone cannot do it (UDP, old kernels)."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _EQUALS, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_IO_URING_SETUP = 425  # could make sockets without the filter's knowledge
_AT_LEAST = 0x35
_X32 = 0x40000000
# Audit's name of the processor, the number of socket().
_PROCESSORS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def available() -> bool:
    """Whether the filter is written for this processor, and the kernel takes filters."""
    return platform.machine() in _PROCESSORS and os.path.exists("/proc/sys/kernel/seccomp")  # noqa: PTH110


class UnixSocketsOnly:
    """Lets ``socket()`` make nothing but Unix sockets; everything else fails with EACCES."""

    def __init__(self) -> None:
        arch, number = _PROCESSORS[platform.machine()]
        steps = [
            (_LOAD, 0, 0, _ARCH_AT),
            (_EQUALS, 1, 0, arch),
            (_RETURN, 0, 0, _KILL),  # 32-bit programs have other numbers
            (_LOAD, 0, 0, _NUMBER_AT),
            (_AT_LEAST, 5, 0, _X32 if arch == _PROCESSORS["x86_64"][0] else 0xFFFFFFFF),
            (_EQUALS, 4, 0, _IO_URING_SETUP),
            (_EQUALS, 0, 2, number),
            (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
            (_EQUALS, 0, 1, 1),  # AF_UNIX
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _ERRNO | errno.EACCES),
        ]
        self._code = b"".join(struct.pack("=HBBI", *step) for step in steps)
        self._program = _Program(len(steps), self._code)

    def enter(self) -> None:
        """Restricts the calling process for good; it has given up new privileges before.

        Raises:
            OSError: the kernel refuses.
        """
        if _libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(self._program), 0, 0):
            raise OSError(ctypes.get_errno(), "seccomp")
