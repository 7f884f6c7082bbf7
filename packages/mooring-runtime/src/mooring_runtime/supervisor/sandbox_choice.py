"""Which sandbox this machine and user have."""

from __future__ import annotations

from dataclasses import dataclass

from mooring_runtime.supervisor import bubblewrap, landlock, seccomp
from mooring_runtime.supervisor.failure import Failure, SupervisorError
from mooring_runtime.supervisor.spec import SandboxSpec


@dataclass(frozen=True, slots=True)
class Choice:
    """What this machine and user can do about a `SandboxSpec`.

    Attributes:
        mode: ``bwrap``, ``landlock`` or ``none``.
        network: ``none``, ``outbound`` or ``all``: what is in force.
        landlock: the version in use; 0 for none.
        bwrap: the program, in that mode.
        why: why it is not a better mode; empty if it is the best.
    """

    mode: str
    network: str
    landlock: int = 0
    bwrap: bubblewrap.Bubblewrap | None = None
    why: str = ""


def choose(wanted: SandboxSpec) -> Choice:
    """The best mode that is allowed and possible.

    Raises:
        SupervisorError: ``SandboxUnavailable``: the mode or the network that was named is not possible.
    """
    if wanted.mode == "none":
        return Choice("none", "all", why="switched off by the setting")
    abi = landlock.version()
    reasons = []
    if wanted.mode in {"auto", "bwrap"}:
        found, why = bubblewrap.find(network=wanted.network != "none")
        if found is not None:
            usable = 0 if found.setuid else abi
            return Choice("bwrap", _network(wanted, usable, own=True), usable, found)
        reasons.append(why)
    if wanted.mode in {"auto", "landlock"}:
        if abi > 0:
            return Choice("landlock", _network(wanted, abi, own=False), abi, why="; ".join(reasons))
        reasons.append("the kernel has no Landlock (5.13 or newer, with landlock in its lsm= list)")
    if wanted.mode != "auto" or wanted.network not in {"auto", "all"}:
        raise _unavailable(wanted.mode, "; ".join(reasons))
    return Choice("none", "all", why="; ".join(reasons))


def _network(wanted: SandboxSpec, abi: int, *, own: bool) -> str:
    """The network in force; ``own``: whether a network of its own can be had."""
    if wanted.network == "all":
        return "all"
    if wanted.network == "none":
        if own or seccomp.available():
            return "none"
        raise _unavailable("network none", "neither bubblewrap nor a seccomp filter for this processor")
    if abi >= landlock.NETWORK_SINCE:
        return "outbound"
    if wanted.network == "outbound":
        raise _unavailable("network outbound", f"it needs Landlock version 4 (Linux 6.7), here it is {abi}")
    return "all"


def _unavailable(asked: str, why: str) -> SupervisorError:
    return SupervisorError(
        Failure(
            "SandboxUnavailable",
            "Start",
            f"The sandbox that was asked for ({asked}) is not possible here: {why}.",
            "Install bubblewrap (apt-get install bubblewrap) and allow user name spaces, or set"
            " MOORING_SANDBOX=auto; `mooring doctor` tells what this machine can do.",
        )
    )
