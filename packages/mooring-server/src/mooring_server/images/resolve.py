"""Finds the wheels that fulfil an environment's requirements, by uv."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mooring_server.images.conda import Requirements
from mooring_server.images.explain import Explainer, check_reachable, wanted_wheels
from mooring_server.images.indexes import IndexSettings, index_settings
from mooring_server.images.known import unwritten_limits, unwritten_needs
from mooring_server.images.locks import Lock, LockCache, Pin, key_of, parse_pins
from mooring_server.images.pythons import Python, Pythons
from mooring_server.images.scratch import Scratch
from mooring_server.images.uv import Log, Uv
from mooring_server.store.content import full_disk

_FORMAT = "lock-2"


@dataclass(frozen=True)
class Attempt:
    """One run of the resolver: the pins, or uv's words if there are none."""

    python: Python
    pins: tuple[Pin, ...] | None
    errors: str


@dataclass(frozen=True)
class Question:
    """What is asked of uv beside the interpreter."""

    lines: tuple[str, ...]
    settings: IndexSettings
    exclude_newer: str | None = None
    from_source: frozenset[str] = frozenset()
    constraints: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


class Resolver:
    """Locks requirements for the best interpreter of this host."""

    def __init__(self, uv: Uv, pythons: Pythons, cache: LockCache, scratch: Scratch) -> None:
        self._uv = uv
        self._pythons = pythons
        self._cache = cache
        self._scratch = scratch

    def lock(self, requirements: Requirements, log: Log) -> Lock:
        """Resolve, or remember the resolution.

        Raises:
            PhaseFailed: codes ``PackagesNotResolved``, ``CondaPackageUnknown``, ``IndexUnreachable``,
                ``IndexDenied``, ``PythonNotAvailable``.
        """
        first = self._pythons.first(requirements.python)
        settings = index_settings(requirements.options)
        key = key_of(
            _FORMAT,
            requirements.packages,
            str(requirements.python),
            first.name,
            first.platform,
            requirements.exclude_newer,
            settings.fingerprint,
        )
        lock = self._cache.get(key)
        if lock is not None and self._is_there(lock.python):
            log(f"The packages are known from an earlier build: {len(lock.pins)} for Python {lock.python}.")
            return lock
        lock = self._resolve(requirements, settings, log)
        self._cache.put(key, lock)
        return lock

    def _is_there(self, python: str) -> bool:
        major, minor = python.split(".")
        return self._pythons.find((int(major), int(minor))) is not None

    def _resolve(self, requirements: Requirements, settings: IndexSettings, log: Log) -> Lock:
        candidates, substitution = self._pythons.candidates(requirements.python)
        if not requirements.packages:
            told = (f"{substitution}; Python {candidates[0].name} is used.",) if substitution else ()
            return Lock(candidates[0].name, (), told)
        question = Question(requirements.packages, settings, requirements.exclude_newer)
        attempts: list[Attempt] = []
        while True:
            attempts = self._try_all(candidates, question, log)
            if attempts[-1].pins is not None:
                break
            # What lacks wheels for every interpreter has none at all for this platform: build just that.
            source = frozenset.intersection(*(wanted_wheels(attempt.errors) for attempt in attempts))
            explainer = Explainer(self.ask, self._pythons)
            source -= explainer.compiled(question, source, candidates[0])
            if not source - question.from_source:
                raise explainer.failure(requirements, question, attempts, substitution)
            log(f"No wheels for {', '.join(sorted(source))}: trying the source distribution.")
            question = replace(question, from_source=question.from_source | source)
        used, question, added = self._with_needs(attempts[-1], question, log)
        pins, changes = self._respect_limits(used, question, log)
        changes += added
        built = sorted(question.from_source & {pin.name for pin in pins})
        if built:
            changes.insert(0, f"Built from source, since there is no wheel of it: {', '.join(built)}.")
        if substitution:
            changes.insert(0, f"{substitution}; Python {used.python.name} is used.")
        elif used.python != candidates[0]:
            wheels = ", ".join(sorted(wanted_wheels(attempts[0].errors))) or "the requirements"
            changes.insert(
                0,
                f"Python {used.python.name} is used, the newest on this machine that has wheels for "
                f"{wheels}; there are none for Python {candidates[0].name}.",
            )
        return Lock(used.python.name, pins, tuple(changes))

    def _try_all(self, candidates: Sequence[Python], question: Question, log: Log) -> list[Attempt]:
        """Try one interpreter after the other until one succeeds; the last attempt tells."""
        attempts: list[Attempt] = []
        for python in candidates:
            attempts.append(self.ask(python, question, _quiet if attempts else _shortened(log)))
            if attempts[-1].pins is not None:
                log(f"Resolved for Python {python.name}.")
                return attempts
            check_reachable(attempts[-1].errors)
            log(f"The requirements cannot be fulfilled with Python {python.name}.")
        return attempts

    def _with_needs(self, used: Attempt, question: Question, log: Log) -> tuple[Attempt, Question, list[str]]:
        needs = unwritten_needs(used.pins or ())
        if not needs:
            return used, question, []
        for name, because in needs.items():
            log(f"{because} needs {name}, which its metadata does not say: resolving again.")
        more = replace(question, lines=(*question.lines, *needs))
        again = self.ask(used.python, more, log)
        if again.pins is None:  # it may do without, and the user's requirements go first
            return used, question, []
        return (
            again,
            more,
            [f"{name} was added, since {because} needs it." for name, because in needs.items()],
        )

    def _respect_limits(
        self, used: Attempt, question: Question, log: Log
    ) -> tuple[tuple[Pin, ...], list[str]]:
        pins = used.pins or ()
        limits = unwritten_limits(pins)
        if not limits:
            return pins, []
        for limit, because in limits.items():
            log(f"{because} needs {limit}, which its metadata does not say: resolving again.")
        again = self.ask(used.python, replace(question, constraints=tuple(limits)), log)
        if again.pins is None:  # the user's own requirements exclude it, and they go first
            return pins, []
        return again.pins, [
            f"{limit} was added, since {because} does not work with later versions."
            for limit, because in limits.items()
        ]

    def ask(self, python: Python, question: Question, log: Log) -> Attempt:
        """Run ``uv pip compile`` once."""
        with self._scratch.directory() as folder:
            _write_lines(folder / "requirements.in", question.lines)
            arguments = [
                *("pip", "compile", "requirements.in"),
                *("--python", str(python.path), "--generate-hashes", "--no-header", "--no-annotate"),
                *("--no-emit-index-url", "--only-binary", ":all:"),
                *question.settings.arguments,
                *question.arguments,
            ]
            if question.constraints:
                _write_lines(folder / "constraints.txt", question.constraints)
                arguments += ["--constraints", "constraints.txt"]
            for name in sorted(question.from_source):
                arguments += ["--no-binary", name]
            if question.exclude_newer:
                arguments += ["--exclude-newer", question.exclude_newer]
            result = self._uv.run(
                arguments, cwd=folder, settings=question.settings.variables, log=log, phase="Resolve"
            )
        # uv breaks its sentences to fit the terminal, which is no help to those who read or search them.
        errors = re.sub(r"\n {3,}(?=\S)", " ", result.errors.replace(str(folder), ""))
        if result.status:
            if "No space left on device" in result.errors:
                raise full_disk(self._scratch.root, 1, phase="Resolve", evidence={"resolver": errors})
            return Attempt(python, None, errors)
        pins = parse_pins(result.output, question.from_source)
        return Attempt(python, pins, errors)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _shortened(log: Log, limit: int = 8) -> Log:
    """The first lines only: uv explains a conflict in up to hundreds of them, which go into the evidence."""
    seen = 0

    def shortened(message: str) -> None:
        nonlocal seen
        seen += 1
        if seen <= limit:
            log(message)
        elif seen == limit + 1:
            log("uv: ...")

    return shortened


def _quiet(message: str) -> None:
    """Swallow uv's words about interpreters that are only tried."""
