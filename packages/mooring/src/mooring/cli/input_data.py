"""What `mooring service run` sends."""

from __future__ import annotations

import sys
from pathlib import Path

from mooring.cli.failures import CliError


def read(text: str) -> bytes:
    """The bytes to send.

    Raises:
        CliError: `InputNotFound` when the file named with @ is not there.
    """
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return text.encode()
    path = Path(text[1:])
    if not path.is_file():
        raise CliError(
            "InputNotFound",
            f"there is no file {path} to send",
            hint="Check the path; to send a text that begins with @, use -d - and standard input.",
            target=str(path),
        )
    return path.read_bytes()
