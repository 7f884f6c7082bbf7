"""A systemd unit that starts the server with the machine (root) or with the user's session manager.

Enabling a unit is a link in the directory of what wants it; both are made here, so that it also works where
systemd does not run at the moment (a container image, a chroot).
"""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TEMPLATE = """\
# Written by `mooring up --at-boot`; `mooring down --at-boot` removes it.
[Unit]
Description=Mooring server ({home})
{order}

[Service]
ExecStart={command}
Environment={home_variable}
# Package index settings, proxies and the like, one NAME=value a line; a service manager has none of your shell's.
EnvironmentFile=-{variables}
Restart=on-failure
RestartSec=1
TimeoutStopSec=30
# Only the server is stopped. Deployed services are processes of their own in the same control group; they go on
# while the server is restarted or upgraded.
KillMode=process
# A service that exceeds its memory is that service's business.
OOMPolicy=continue
# Services get control groups of their own.
Delegate=yes

[Install]
WantedBy={wanted_by}
"""


@dataclass(frozen=True)
class Unit:
    """The unit for one data directory.

    Attributes:
        system: for the machine instead of for a user.
        folder: where units of that kind lie.
        name: ``mooring.service``, with a suffix when the data directory is not the usual one.
    """

    system: bool
    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """The unit's file."""
        return self.folder / self.name

    @property
    def target(self) -> str:
        """What starts it."""
        return "multi-user.target" if self.system else "default.target"

    @property
    def link(self) -> Path:
        """What makes it enabled."""
        return self.folder / f"{self.target}.wants" / self.name

    @property
    def systemctl(self) -> str:
        """How to speak of it."""
        return "systemctl" if self.system else "systemctl --user"

    def write(self, home: Path, arguments: Sequence[str]) -> bool:
        """Write and enable it; False if that changed nothing."""
        text = content(home, arguments, system=self.system)
        same = self.path.exists() and self.path.read_text(encoding="utf-8") == text and self.link.is_symlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.path)
        self.link.parent.mkdir(exist_ok=True)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(self.path)
        return not same

    def remove(self) -> bool:
        """Disable and remove it; False if there was none."""
        there = self.path.exists() or self.link.is_symlink()
        self.link.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        return there


def unit_for(home: Path, usual: Path) -> Unit:
    """The unit for the data directory ``home``; ``usual`` is the one without MOORING_HOME."""
    system = os.geteuid() == 0
    if system:
        folder = Path("/etc/systemd/system")
    else:
        config = os.environ.get("XDG_CONFIG_HOME")
        folder = (Path(config) if config else Path.home() / ".config") / "systemd" / "user"
    if override := os.environ.get("MOORING_UNIT_DIRECTORY"):
        folder = Path(override)
    suffix = "" if home == usual else "-" + hashlib.sha256(os.fsencode(home)).hexdigest()[:8]
    return Unit(system, folder, f"mooring{suffix}.service")


def content(home: Path, arguments: Sequence[str], *, system: bool) -> str:
    """The unit's text; ``arguments`` go to the server."""
    command = [sys.executable, "-m", "mooring_server", "--home", str(home), *arguments]
    return TEMPLATE.format(
        home=str(home).replace("%", "%%"),
        home_variable=quoted(f"MOORING_HOME={home}"),
        variables=str(home / "server.env").replace("%", "%%"),
        command=" ".join(quoted(word, command=True) for word in command),
        order="Wants=network-online.target\nAfter=network-online.target" if system else "After=basic.target",
        wanted_by="multi-user.target" if system else "default.target",
    )


def quoted(word: str, *, command: bool = False) -> str:
    """A word as systemd reads it: ``%`` is for specifiers everywhere, ``$`` for variables in commands."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if command:
        text = text.replace("$", "$$")
    return f'"{text}"' if text != word or any(c.isspace() or c in "'\"\\;" for c in word) else text


def systemd_runs() -> bool:
    """Whether systemd is this machine's process 1, by its own convention (sd_booted)."""
    return Path("/run/systemd/system").is_dir()


def next_steps(unit: Unit) -> list[str]:
    """What people do now."""
    steps = []
    if systemd_runs():
        steps.append(
            f"To hand the server over to systemd now: mooring down; {unit.systemctl} daemon-reload; "
            f"{unit.systemctl} start {shlex.quote(unit.name)}"
        )
    else:
        steps.append(
            "systemd does not run here. Where it does, the server starts with the next boot; "
            "here `mooring up` starts it."
        )
    if not unit.system:
        steps.append(
            "User units start when you log in and end with your last session; to start with the machine "
            "and stay: loginctl enable-linger"
        )
    return steps
