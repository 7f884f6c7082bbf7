"""The front's process and the socket to it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mooring_runtime.supervisor import files
from mooring_runtime.supervisor.child import Child
from mooring_runtime.supervisor.logs import Output
from mooring_runtime.supervisor.spec import TlsSpec


class FrontProcess:
    """The front; `mooring_runtime.front.service` describes the messages.

    Args:
        loop: the event loop.
        listener: bound to the reserved port.
        tls: its certificate; None for none.
        directory: the service's.
        output: takes what it prints.
        said: called with each event it reports.

    Attributes:
        last_sync: the last ``sync`` it was sent.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: socket.socket,
        *,
        tls: TlsSpec | None,
        directory: Path,
        output: Output,
        said: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._loop = loop
        self._said = said
        self._partial = b""
        self._unsent = b""
        self.last_sync: Mapping[str, Any] | None = None
        self._socket, theirs = socket.socketpair()
        settings = {
            "listen_fd": listener.fileno(),
            "tls": None if tls is None else [tls.certificate, tls.key],
            "control_fd": theirs.fileno(),
            "run_dir": str(directory / files.RUN),
        }
        self._socket.setblocking(False)
        try:
            self.child = Child(
                loop,
                [sys.executable, "-m", "mooring_runtime.front"],
                env={**os.environ, "MOORING_FRONT": json.dumps(settings)},
                cwd=None,
                directory=directory,
                pass_fds=(theirs.fileno(), listener.fileno()),
                outputs=[output],
                last=output.tail,
            )
        except OSError:
            self._socket.close()
            raise
        finally:
            theirs.close()
        loop.add_reader(self._socket, self._read)

    def send(self, message: Mapping[str, Any]) -> None:
        """Sends a message; it is buffered as long as the front does not read."""
        self._unsent += json.dumps(message).encode() + b"\n"
        self._write()

    def sync(self, message: Mapping[str, Any]) -> None:
        """Sends a ``sync`` if it differs from the last."""
        if message != self.last_sync:
            self.last_sync = message
            self.send(message)

    def _write(self) -> None:
        try:
            while self._unsent:
                sent = self._socket.send(self._unsent)
                self._unsent = self._unsent[sent:]
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._write)
            return
        except OSError:
            self._unsent = b""  # it has ended; its exit is noticed elsewhere
        self._loop.remove_writer(self._socket)

    def _read(self) -> bool:
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._socket)
            return False
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._said(json.loads(line))
        return True

    def poll(self) -> int | None:
        """How it ended, or None; see `Child.poll`."""
        code = self.child.poll()
        if code is None:
            return None
        while self._read():
            continue
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        return code
