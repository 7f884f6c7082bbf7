"""What an engine's error means, in words for whoever deployed the service."""

from __future__ import annotations

from mooring_runtime.engine.client import EngineError, EngineRefused, EngineUnavailable
from mooring_runtime.engine.find import EngineNotFound
from mooring_runtime.supervisor.failure import Failure

# What engines say, in one form or another.
_FULL = "no space left on device"
_OTHER_MACHINE = ("exec format error", "does not match the specified platform")
_NO_IMAGE = ("no such image", "image not known")


def failure_of(error: EngineError, image: str) -> Failure:
    """The failure with code, message, hint and what the engine said.

    Args:
        error: the engine's.
        image: what it was about.
    """
    said = str(error)
    evidence = {"engine": said}
    if isinstance(error, EngineNotFound):
        tried = {"tried": "\n".join(error.tried)} if error.tried else {}
        return Failure(
            "EngineNotFound",
            "Start",
            said,
            "Start Docker, or Podman's socket (`systemctl --user start podman.socket`, or `podman system service"
            " --time=0 &`), or name its address in DOCKER_HOST and start the server again; without an engine:"
            " `mooring up --target process`.",
            tried,
        )
    if isinstance(error, EngineUnavailable):
        return Failure(
            "EngineUnavailable",
            "Start",
            f"The container engine at {error.socket} does not answer: {said.rpartition(': ')[2]}.",
            "Start it (`systemctl start docker`, `systemctl --user start podman.socket`); services come back by"
            " themselves then.",
            evidence,
        )
    lower = said.lower()
    if isinstance(error, EngineRefused) and any(text in lower for text in _NO_IMAGE):
        return Failure(
            "ImageNotInEngine",
            "Start",
            f"The engine does not have the image {image} any more: {said}.",
            "It was removed by the engine's own commands; the server hands it over again.",
            evidence,
        )
    if _FULL in lower:
        return Failure(
            "EngineDiskFull",
            "Start",
            f"The container engine has no space left: {said}.",
            "Free some where it keeps its data: `docker system df`, `podman system df`.",
            evidence,
        )
    if any(text in lower for text in _OTHER_MACHINE):
        return Failure(
            "ArchitectureMismatch",
            "Start",
            f"The image {image} was made for another processor than this machine's: {said}.",
            "Choose a base for this machine's architecture and build the image again.",
            evidence,
        )
    return Failure(
        "ContainerNotStarted",
        "Start",
        f"The container engine did not do what it was asked: {said}.",
        "The evidence `engine` is what it said; `mooring doctor` tells which engines there are.",
        evidence,
    )
