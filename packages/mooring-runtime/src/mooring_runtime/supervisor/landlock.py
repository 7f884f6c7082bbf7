"""Landlock by its system calls: what a process may touch, given up for good by itself and all it starts.

A ruleset is made in the supervisor, where there is time, and entered between fork and exec by one call.
Versions (ABI) 1 to 7 of the kernel's interface are known; newer kernels are used as version 7.

| version | adds |
|---|---|
| 1 | files: read, write, make, remove; no ``rename`` between folders |
| 2 | ``rename`` and ``link`` between folders |
| 3 | ``truncate``: before, any file the user owns can be emptied |
| 4 | TCP: which ports may be bound and connected to |
| 5 | ``ioctl`` of devices |
| 6 | signals and abstract Unix sockets stay inside |
| 7 | logging, which is not used here |
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

NEWEST = 7
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on all processors
_VERSION_FLAG = 1
_RULE_PATH, _RULE_PORT = 1, 2
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16, 6: 16, 7: 16}
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPES = 1 | 2  # abstract Unix sockets, signals

NETWORK_SINCE = 4
SCOPES_SINCE = 6

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def _call(number: int, *arguments: int | bytes | None) -> int:
    """A system call.

    Raises:
        OSError: it failed.
    """
    converted = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    answer = int(_syscall(ctypes.c_long(number), *converted))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer


def version() -> int:
    """The kernel's Landlock version, at most the newest known here; 0 without Landlock."""
    try:
        return min(_call(_CREATE, None, 0, _VERSION_FLAG), NEWEST)
    except OSError:
        return 0


class Ruleset:
    """What a process may do once it has entered.

    Args:
        abi: the version to use, at most the kernel's.
        files: whether files are ruled. Without, mounting stays possible, which bubblewrap needs. One ruleset
            for all: one without files beside it forbids renaming between folders.
        network: whether TCP is ruled; needs version 4.

    Raises:
        OSError: the kernel refuses.
    """

    def __init__(self, abi: int, *, files: bool, network: bool) -> None:
        self._all = (1 << _BITS[abi]) - 1
        ruled_files = self._all if files else 0
        ruled_ports = _BIND_TCP | _CONNECT_TCP if network and abi >= NETWORK_SINCE else 0
        scopes = _SCOPES if abi >= SCOPES_SINCE else 0
        size = 8 if abi < NETWORK_SINCE else 16 if abi < SCOPES_SINCE else 24
        attributes = struct.pack("=QQQ", ruled_files, ruled_ports, scopes)[:size]
        self.descriptor = _call(_CREATE, attributes, size, 0)

    def read(self, path: Path) -> None:
        """Allows to read and execute ``path`` and what is below it; what is not there is no matter."""
        self._path(path, _EXECUTE | _READ_FILE | _READ_DIR)

    def write(self, path: Path) -> None:
        """Allows everything below ``path``."""
        self._path(path, self._all)

    def device(self, path: Path) -> None:
        """Allows to read and write a device, or the devices in a folder."""
        self._path(path, _READ_FILE | _WRITE_FILE | _READ_DIR | _TRUNCATE | _IOCTL_DEV)

    def _path(self, path: Path, access: int) -> None:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return  # not on this machine, or not for this user anyway
        try:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                access &= _OF_FILES
            rule = struct.pack("=Qi", access & self._all, descriptor)
            _call(_ADD, self.descriptor, _RULE_PATH, rule, 0)
        finally:
            os.close(descriptor)

    def connect(self, ports: Iterable[int]) -> None:
        """Allows TCP connections to these ports of any host."""
        pack = struct.Struct("=QQ").pack
        for port in ports:
            _call(_ADD, self.descriptor, _RULE_PORT, pack(_CONNECT_TCP, port), 0)

    def enter(self) -> None:
        """Restricts the calling process for good; runs between fork and exec.

        Raises:
            OSError: the kernel refuses.
        """
        if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no_new_privs")
        _call(_RESTRICT, self.descriptor, 0)

    def close(self) -> None:
        """Gives the descriptor back; processes that have entered stay restricted."""
        os.close(self.descriptor)
