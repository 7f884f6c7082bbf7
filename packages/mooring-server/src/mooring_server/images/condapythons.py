"""Interpreters from conda channels, for Pythons that this host does not have."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from mooring_server.images.conda import Requirements
from mooring_server.images.locks import key_of
from mooring_server.images.pythons import Minor, Pythons, show
from mooring_server.images.scratch import KeyedLocks, Scratch
from mooring_server.images.uv import Log, redact

if TYPE_CHECKING:
    from rattler import RepoDataRecord

_DEADLINE_S = 300
# Its terms are not those of the other channels: who wants it names its address.
_NOT_READ = {"defaults"}


class CondaPythons:
    """Installs Python, and nothing else, from the channels of an environment; needs ``py-rattler``.

    Each lies in a directory of its own that appears by one rename; `Pythons` finds it there. No script of a package is
    run.
    """

    def __init__(self, folder: Path, pythons: Pythons, scratch: Scratch) -> None:
        self._folder = folder
        self._pythons = pythons
        self._scratch = scratch
        self._busy = KeyedLocks()

    def provide(self, requirements: Requirements, log: Log) -> None:
        """Install the Python asked for, if the host does not have it and a channel does.

        A channel that does not help is no error: the log says why, and another Python may do.
        """
        minor = requirements.python.minor if requirements.python else None
        channels = channels_of(requirements)
        if minor is None or not channels or self._pythons.find(minor) is not None:
            return
        wanted, shown = f"Python {show(minor)}", redact(", ".join(channels))
        if importlib.util.find_spec("rattler") is None:
            log(
                f"This machine has no {wanted}; with py-rattler it would be taken from {shown}: "
                'pip install "mooring-server[conda]".'
            )
            return
        with self._busy.hold(show(minor)):
            log(f"This machine has no {wanted}: looking into the conda channels {shown}.")
            try:
                prefix = asyncio.run(asyncio.wait_for(self._install(minor, channels), _DEADLINE_S))
            except asyncio.TimeoutError:
                log(f"The channels did not answer within {_DEADLINE_S} s.")
            except failures() as error:
                log(f"The channels did not help: {redact(str(error))}")
            else:
                log(f"{wanted} was installed from a conda channel to {prefix}.")

    async def _install(self, minor: Minor, channels: list[str]) -> Path:
        import rattler

        records = await rattler.solve(
            channels, [f"python {show(minor)}.*"], virtual_packages=rattler.VirtualPackage.detect()
        )
        prefix = self._folder / f"{show(minor)}-{_identity(records)}"
        if prefix.is_dir():
            return prefix
        with self._scratch.directory() as folder:
            await rattler.install(
                records,
                folder / "prefix",
                cache_dir=folder / "packages",
                execute_link_scripts=False,
                show_progress=False,
                alternative_target_prefix=prefix,
            )
            self._folder.mkdir(parents=True, exist_ok=True)
            (folder / "prefix").rename(prefix)
        return prefix


def channels_of(requirements: Requirements) -> list[str]:
    """Those of an environment's channels that are asked."""
    return [channel for channel in requirements.channels if channel not in _NOT_READ]


def _identity(records: list[RepoDataRecord]) -> str:
    return key_of(sorted((str(record.file_name), (record.sha256 or b"").hex()) for record in records))[:12]


def failures() -> tuple[type[Exception], ...]:
    """What py-rattler raises when a channel, a package or the combination asked for is not to be had."""
    from rattler import exceptions

    return (
        exceptions.ExtractError,
        exceptions.FetchRepoDataError,
        exceptions.GatewayError,
        exceptions.InstallerError,
        exceptions.InvalidChannelError,
        exceptions.IoError,
        exceptions.LinkError,
        exceptions.SolverError,
    )
