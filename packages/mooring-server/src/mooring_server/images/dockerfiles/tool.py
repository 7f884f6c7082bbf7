"""What carries out a Dockerfile's steps: the seam to buildah, Podman and Docker."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mooring_server.domain.errors import MooringError, PhaseFailed
from mooring_server.images.dockerfiles.dockerfile import Dockerfile
from mooring_server.store.content import full_disk

Log = Callable[[str], None]
# Both families number their steps: "STEP 2/3: RUN x", "[1/2] STEP 2/3: RUN x", "Step 2/3 : RUN x".
_STEP = re.compile(r"(?:\[\d+/\d+\] )?STEP (\d+/\d+) ?: (.*)", re.IGNORECASE)
_STATUS = re.compile(r"exit status (\d+)|non-zero code: (\d+)")
_FULL = "no space left on device"
_SHOWN = 8000


@dataclass(frozen=True)
class Job:
    """One build.

    Attributes:
        dockerfile: its text, read.
        bases: for each image that it names, the digest of its manifest in the content store.
        context: folder with the files that it may copy.
        folder: for what the tool needs besides; on the same file system, thrown away afterwards.
        name: what the result is called.
    """

    dockerfile: Dockerfile
    bases: Mapping[str, str]
    context: Path
    folder: Path
    name: str


class Tool(Protocol):
    """A builder of this machine. What it makes is gone again when it ends, however it ends."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def build(self, job: Job, log: Log) -> Path:
        """Carry out the steps; the result as ``docker save`` writes it, in the job's folder.

        Raises:
            PhaseFailed: codes ``DockerfileFailed``, ``BuilderFailed``, ``BuildTimeout``, ``EngineUnavailable``.
            MooringError: code ``DiskFull``.
        """
        ...

    def clean_stale(self, folders: Path) -> None:
        """Remove what builds of killed servers have left, as far as removing their folders does not.

        Args:
            folders: where those of builds are.
        """
        ...


def failed(tool: str, job: Job, lines: Sequence[str], said: str) -> MooringError:
    """The error for a build that failed.

    Args:
        tool: which one built.
        job: what.
        lines: all that it said.
        said: its own words for what went wrong.
    """
    if any(_FULL in line.lower() for line in (*lines[-50:], said)):
        return full_disk(job.folder, 1, phase="Build")
    steps = [(number, match) for number, line in enumerate(lines) if (match := _STEP.match(line))]
    if not steps:
        return builder_failed(tool, said, lines)
    start, step = steps[-1]
    status = _STATUS.search(said)
    ended = f"status {status[1] or status[2]}" if status else said
    no_shell = "/bin/sh" in said and "no such file" in said.lower()
    return PhaseFailed(
        "DockerfileFailed",
        f"Step {step[1]} of the Dockerfile failed, {step[2]}: {ended}.",
        hint="The image that FROM names has no shell, so RUN cannot work: name one that has (`mooring base show NAME` "
        "tells), for example one of Debian or Ubuntu."
        if no_shell
        else "The evidence `output` is what the step said. Try it where Docker or Podman is: docker build .",
        phase="Build",
        target=step[2],
        evidence={"step": step[2], "output": "\n".join(lines[start:])[-_SHOWN:]},
    )


def builder_failed(tool: str, said: str, lines: Sequence[str]) -> PhaseFailed:
    """The error for a tool that did not get as far as the steps, or not to its end."""
    return PhaseFailed(
        "BuilderFailed",
        f"{tool} could not build the Dockerfile: {said}.",
        hint=f"The evidence `output` has its words. Try `{tool} info` as the server's user.",
        phase="Build",
        target=tool,
        evidence={"output": "\n".join(lines)[-_SHOWN:]},
    )
