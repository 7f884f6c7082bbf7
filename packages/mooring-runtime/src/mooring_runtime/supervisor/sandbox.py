"""Confines the workers of a revision, and says how."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from mooring_runtime.supervisor import (
    bubblewrap,
    landlock,
    ports,
    privileges,
    proctable,
    sandbox_paths,
    seccomp,
)
from mooring_runtime.supervisor.limits import PROCESSES
from mooring_runtime.supervisor.sandbox_choice import Choice, choose
from mooring_runtime.supervisor.scratch import Scratch, remove, short_folder
from mooring_runtime.supervisor.spec import RevisionSpec, SandboxSpec

SCRATCH = "scratch"
OPEN_FILES = 65536

note = logging.getLogger("mooring.supervisor").info


class Sandbox:
    """The confinement of one revision's workers.

    Args:
        revision: whose.
        directory: the service's.
        choice: how.

    Attributes:
        revision: as the workers see it: in a sandbox its app root is a private copy.

    Raises:
        OSError: the scratch folder cannot be made.
    """

    def __init__(self, revision: RevisionSpec, directory: Path, choice: Choice) -> None:
        self.choice = choice
        self.original = revision
        self.revision = revision
        self.scratch: Scratch | None = None
        self._directory = directory
        self._wanted = revision.sandbox or SandboxSpec()
        self._landlock: landlock.Ruleset | None = None
        if choice.mode == "none" or revision.sandbox is None:
            return
        self.scratch = Scratch(
            directory / SCRATCH / _key(revision),
            Path(revision.app_root),
            [Path(path) for path in self._wanted.readable],
        )
        # bubblewrap shows the scratch folder's as /tmp.
        private = short_folder(self.scratch.path) if choice.mode == "landlock" else Path("/tmp")  # noqa: S108
        self.revision = replace(
            revision,
            app_root=str(self.scratch.app),
            env={
                **self.scratch.environment(private),
                **{name: self._moved(value) for name, value in revision.env.items()},
            },
        )
        self._system, self._granted = self._readable()
        self._landlock = self._rules(self.scratch, private)

    def _moved(self, value: str) -> str:
        """A variable's value that leads into the image's app root leads into ours; it may be a list."""
        root, ours = self.original.app_root, str(self.scratch.app) if self.scratch is not None else ""
        parts = value.split(os.pathsep)
        inside = [part == root or part.startswith(root + os.sep) for part in parts]
        return os.pathsep.join(
            ours + part[len(root) :] if moved else part for part, moved in zip(parts, inside, strict=True)
        )

    def _readable(self) -> tuple[list[Path], list[Path]]:
        """What of the system, and what of Mooring's, may be read."""
        revision = self.original
        protected = [path.resolve() for path in (*map(Path, self._wanted.protected), self._directory)]
        private = [*protected, Path(os.environ.get("HOME") or "/nonexistent").resolve()]
        system = [part for path in sandbox_paths.SYSTEM for part in sandbox_paths.carve(path, protected)]
        granted = sandbox_paths.interpreter(Path(revision.python), private)
        granted += [Path(revision.worker_dir), Path(revision.app_root), *map(Path, self._wanted.readable)]
        ours = os.environ
        granted += [Path(ours[name]) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if ours.get(name)]
        return system, [path for path in sandbox_paths.outermost(granted) if path.exists()]

    def _rules(self, scratch: Scratch, temporary: Path) -> landlock.Ruleset | None:
        """What is ruled by Landlock: all, or what bubblewrap leaves open, or nothing."""
        choice = self.choice
        files, network = choice.mode == "landlock", choice.network == "outbound"
        if not files and not network and choice.landlock < landlock.SCOPES_SINCE:
            return None
        rules = landlock.Ruleset(choice.landlock, files=files, network=network)
        if network:
            wanted = self._wanted
            rules.connect(sorted(ports.OUTBOUND.union(wanted.open_ports).difference(wanted.closed_ports)))
        if files:
            for path in (*self._system, *self._granted, Path("/proc")):
                rules.read(path)
            for path in (*sandbox_paths.DEVICES, *sandbox_paths.accelerators()):
                rules.device(path)
            for path in (scratch.path, temporary, Path("/dev/shm")):  # noqa: S108 - semaphores are made nowhere else
                rules.write(path)
        return rules

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command that starts a worker."""
        if self.choice.bwrap is None or self.scratch is None:
            return list(argv)
        return self.choice.bwrap.command(
            argv,
            system=self._system,
            granted=self._granted,
            scratch=self.scratch.path,
            temporary=self.scratch.tmp,
            directory=self.scratch.app,
            network=self.choice.network != "none",
        )

    def confine(self, *, count_processes: bool) -> Callable[[], None]:
        """What a worker's process does before it becomes another program.

        Args:
            count_processes: whether the user's number of processes is limited, since no control group does.
        """
        processes = proctable.threads_of(os.geteuid()) + PROCESSES if count_processes else None
        choice, rules = self.choice, self._landlock
        filters = []
        last = None
        if choice.mode == "landlock":
            last = privileges.last_capability()
            filters = [seccomp.UnixSocketsOnly()] if choice.network == "none" else []

        def enter() -> None:
            _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
            if processes is not None:
                _limit(resource.RLIMIT_NPROC, processes)
            if rules is not None:
                rules.enter()
            if last is not None:
                privileges.drop(last)
            for one in filters:
                one.enter()

        return enter

    def exit_code(self, code: int) -> int:
        """How the worker ended, from how the process ended that was started."""
        return bubblewrap.exit_code(code) if self.choice.bwrap is not None else code

    def worker_pid(self, started: int) -> int | None:
        """The worker's pid, from that of the process that was started; None if it is not there yet."""
        return bubblewrap.worker_pid(started) if self.choice.bwrap is not None else started

    def close(self) -> None:
        """Removes the scratch folder; the workers have ended."""
        if self._landlock is not None:
            self._landlock.close()
            self._landlock = None
        if self.scratch is not None:
            _removed(self.scratch.path)


def _removed(path: Path) -> None:
    """Removes a scratch folder; one that stays is tried again with the next change, and goes with the service."""
    try:
        remove(path)
        short = short_folder(path)
        if short.parent != path:
            remove(short)
    except OSError as exc:
        note("%s cannot be removed: %s", path, exc)


def _limit(kind: int, most: int) -> None:
    """Lowers a limit; one that is lower stays."""
    soft, hard = resource.getrlimit(kind)
    hard = most if hard == resource.RLIM_INFINITY else min(hard, most)
    resource.setrlimit(kind, (hard if soft == resource.RLIM_INFINITY else min(soft, hard), hard))


def _key(revision: RevisionSpec) -> str:
    same = asdict(replace(revision, workers=1, init_deadline_seconds=1.0))
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]


class Sandboxes:
    """The sandboxes of a service's revisions.

    Args:
        directory: the service's.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made: list[Sandbox] = []

    def of(self, revision: RevisionSpec) -> Sandbox | None:
        """The sandbox of a revision, chosen at the first call; None for one that has none.

        Raises:
            SupervisorError: ``SandboxUnavailable``.
            OSError: the scratch folder cannot be made.
        """
        if revision.sandbox is None:
            return None
        found = self._find(revision)
        if found is None:
            choice = choose(revision.sandbox)
            found = Sandbox(revision, self._directory, choice)
            self._made.append(found)
            note(
                "revision %s: sandbox %s, network %s. %s",
                revision.id,
                choice.mode,
                choice.network,
                choice.why,
            )
        return found

    def _find(self, revision: RevisionSpec) -> Sandbox | None:
        return next((one for one in self._made if one.original.same_processes(revision)), None)

    def keep(self, revisions: Sequence[RevisionSpec]) -> None:
        """Removes what all other revisions have left, those of an earlier supervisor among them."""
        kept = [one for one in self._made if any(one.original.same_processes(r) for r in revisions)]
        for one in self._made:
            if one not in kept:
                one.close()
        self._made = kept
        names = {_key(revision) for revision in revisions}
        root = self._directory / SCRATCH
        for path in root.iterdir() if root.is_dir() else ():
            if path.name not in names:
                _removed(path)

    def state(self, revision: RevisionSpec | None) -> Mapping[str, object]:
        """The ``sandbox`` member of the state."""
        if revision is not None and revision.container is not None:
            network = "none" if revision.container.network == "none" else "all"
            return {"mode": "container", "network": network, "landlock": 0, "why": ""}
        found = self._find(revision) if revision is not None else None
        if found is None:
            return {"mode": "none", "network": "all", "landlock": 0, "why": ""}
        choice = found.choice
        return {
            "mode": choice.mode,
            "network": choice.network,
            "landlock": choice.landlock,
            "why": choice.why,
        }
