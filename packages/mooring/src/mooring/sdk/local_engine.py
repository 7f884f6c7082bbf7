"""Docker or Podman on the machine of whoever calls, by their own clients."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress

from mooring.sdk.errors import user_error

CLIENTS = ("docker", "podman")


def load(archive: Iterable[bytes]) -> str:
    """Load an image; its name.

    Args:
        archive: as ``docker save`` writes it.

    Raises:
        UserErrorException: ``EngineNotFound``, ``EngineRefused``.
    """
    program = _client()
    with tempfile.TemporaryFile() as said:
        command = [program, "load"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT)
        # One that ends early says why.
        with process, suppress(BrokenPipeError):
            _send(process, archive)
        said.seek(0)
        text = said.read().decode("utf-8", "replace").strip()
    if process.returncode != 0:
        last = text.splitlines()[-1] if text else f"exit status {process.returncode}"
        raise user_error(
            f"{program} load failed: {last}",
            code="EngineRefused",
            hint=f"Look whether `{program} info` answers.",
            evidence={"output": text},
        )
    # Both print "Loaded image: NAME" or "Loaded image(s): NAME".
    return text.splitlines()[-1].partition(": ")[2]


def _send(process: subprocess.Popen[bytes], archive: Iterable[bytes]) -> None:
    if process.stdin is None:
        raise ValueError("the process has no pipe")
    try:
        for piece in archive:
            process.stdin.write(piece)
        process.stdin.close()
    except BaseException:
        process.kill()  # half an image is none
        raise


def _client() -> str:
    """The one that answers: a client without its daemon is common."""
    for name in CLIENTS:
        if (
            shutil.which(name)
            and subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0
        ):
            return name
    raise user_error(
        "Neither Docker nor Podman answers on this machine.",
        code="EngineNotFound",
        hint="Install Podman, which works without root, or start Docker; package.save(folder) writes a build context"
        " for another machine.",
    )
