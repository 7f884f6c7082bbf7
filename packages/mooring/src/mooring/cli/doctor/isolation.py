"""What the process target can hold a service's workers to on this kernel."""

from __future__ import annotations

from collections.abc import Iterator

from mooring.cli.doctor.check import LIMITED, OK, Check
from mooring.cli.doctor.machine import Machine

CGROUP = "/sys/fs/cgroup"
# What each version of Landlock has added.
LANDLOCK_SINCE = {2: "renaming between folders", 3: "truncation of files", 4: "TCP ports", 6: "signals"}


def checks(machine: Machine) -> Iterator[Check]:
    """Everything about isolation; only Linux has any of it."""
    if machine.system() != "Linux":
        yield Check(
            "Isolation",
            LIMITED,
            f"{machine.system()}: memory is watched, nothing else is limited",
            "Run the server on Linux and point MOORING_ENDPOINT at it.",
        )
        return
    yield cgroup(machine)
    yield bubblewrap(machine)
    yield landlock(machine)
    yield sandbox(machine)


def cgroup(machine: Machine) -> Check:
    """Hard memory limits need a cgroup that this user may make groups in."""
    name = "Memory limits"
    own = _own_groups(machine.read("/proc/self/cgroup") or "")
    controllers = machine.read(f"{CGROUP}/cgroup.controllers")
    if controllers is not None:
        path = f"{CGROUP}{own.get('', '/')}".rstrip("/")
        usable = (machine.read(f"{path}/cgroup.controllers") or "").split()
        if machine.writable(f"{path}/cgroup.procs") and machine.writable(path):
            if "memory" in usable:
                return Check(name, OK, "by the kernel (cgroup v2)")
            return Check(
                name, LIMITED, "cgroup v2 without the memory controller: memory is watched instead", _DELEGATE
            )
        return Check(
            name, LIMITED, "cgroup v2 is not writable: memory is watched and the service restarted", _DELEGATE
        )
    path = f"{CGROUP}/memory{own.get('memory', '/')}".rstrip("/")
    if machine.read(f"{path}/memory.limit_in_bytes") is None:
        return Check(name, LIMITED, "no cgroups: memory is watched and the service restarted", _DELEGATE)
    if machine.writable(path):
        return Check(name, OK, "by the kernel (cgroup v1)")
    return Check(
        name, LIMITED, "cgroup v1 is not writable: memory is watched and the service restarted", _DELEGATE
    )


_DELEGATE = (
    "Hard limits: run the server as a systemd user service with Delegate=yes "
    "(systemd-run --user --scope -p Delegate=yes mooring up --foreground), or as root."
)


def bubblewrap(machine: Machine) -> Check:
    """A file system of its own for each service."""
    path = machine.which("bwrap")
    if path is None:
        return Check("Sandbox: bubblewrap", LIMITED, "not installed", "Install the package bubblewrap.")
    # What the supervisor asks for; root needs no user name space.
    spaces = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL", "--ro-bind", "/", "/"]
    mounts = ["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev", "--", "/usr/bin/env", "true"]
    status, text = machine.run([path, *spaces, *mounts])
    if status != 0:
        status, text = machine.run([path, "--unshare-user", *spaces, *mounts])
    if status != 0:
        return Check(
            "Sandbox: bubblewrap",
            LIMITED,
            f"installed, but it may not make a name space: {text.splitlines()[0] if text else status}",
            "Allow user name spaces: sysctl kernel.unprivileged_userns_clone=1 "
            "(Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0).",
        )
    return Check("Sandbox: bubblewrap", OK, path)


def landlock(machine: Machine) -> Check:
    """File access rules without name spaces."""
    abi = machine.landlock_abi()
    if abi > 0:
        missing = [what for since, what in LANDLOCK_SINCE.items() if abi < since]
        if not missing:
            return Check("Sandbox: Landlock", OK, f"version {abi}")
        return Check(
            "Sandbox: Landlock",
            LIMITED,
            f"version {abi}, which does not hold {', '.join(missing)}",
            "A newer kernel, or bubblewrap.",
        )
    return Check(
        "Sandbox: Landlock",
        LIMITED,
        "the kernel has none, or it is switched off",
        "Linux 5.13 or newer with landlock in the kernel's lsm= list.",
    )


def sandbox(machine: Machine) -> Check:
    """Which of them services get: the same order of preference as the supervisor's."""
    name = "Sandbox of services"
    through_bubblewrap = bubblewrap(machine)
    if through_bubblewrap.status == OK:
        return Check(name, OK, "bwrap: files, processes and ports of others are out of reach")
    if machine.landlock_abi() > 0:
        return Check(
            name,
            LIMITED,
            f"landlock: files are out of reach, other processes can be seen (bubblewrap: {through_bubblewrap.detail})",
            through_bubblewrap.fix,
        )
    return Check(
        name,
        LIMITED,
        f"none: scripts may do what this user may (bubblewrap: {through_bubblewrap.detail}; no Landlock)",
        through_bubblewrap.fix,
    )


def _own_groups(text: str) -> dict[str, str]:
    """Controller -> path of this process; v2's controller is the empty name."""
    groups: dict[str, str] = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            for controller in parts[1].split(","):
                groups[controller] = parts[2]
    return groups
