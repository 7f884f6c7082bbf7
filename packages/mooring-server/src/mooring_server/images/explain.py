"""From uv's words to a sentence about the requirement that cannot be fulfilled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.conda import Requirements
from mooring_server.images.pythons import OLDEST, Python, Pythons
from mooring_server.images.uv import Log

if TYPE_CHECKING:
    from mooring_server.images.resolve import Attempt, Question

    Ask = Callable[[Python, Question, Log], Attempt]

_UNREACHABLE = re.compile(
    r"client error \(|dns error|error sending request|tcp connect|timed out|network was disabled|"
    r"Failed to fetch|Connection (refused|reset)",
    re.IGNORECASE,
)
_DENIED = re.compile(r"HTTP status[^\n]*\b(401|403)\b|\b(401 Unauthorized|403 Forbidden)\b")
_NOT_FOUND = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*) was not found in (?:the|a) (?:package registry|provided)"
)
_ABSENT_VERSION = re.compile(r"there (?:is no version|are no versions) of ([A-Za-z0-9][A-Za-z0-9._-]*)")
_WHEELS_HINT = re.compile(r"Wheels are required for `([^`]+)`")
_BUILD_FAILED = re.compile(r"Failed to (?:build|download and build)|build backend|CalledProcessError")

# The words of distutils, setuptools, meson and CMake for a compiler that is not there.
_COMPILER = r"'([^'\s]*(?:cc|\+\+|clang|fortran)[^'\s]*)'"
_NO_COMPILER = re.compile(
    rf"unable to execute {_COMPILER}|command {_COMPILER} failed: No such file|"
    rf"No such file or directory: {_COMPILER}|"
    r"Unknown compiler\(s\): \[\['([^']+)|No (CMAKE_C\w*_COMPILER) could"
)


def missing_compiler(errors: str) -> str | None:
    """The compiler that a build looked for and did not find."""
    found = _NO_COMPILER.search(errors)
    if found is None:
        return None
    name = next(text for text in found.groups() if text)
    return {"CMAKE_C_COMPILER": "cc", "CMAKE_CXX_COMPILER": "c++"}.get(name, name)


def building_hint(errors: str) -> str:
    """What to do when building from source failed."""
    compiler = missing_compiler(errors)
    first = (
        f"Its source has to be compiled, and there is no compiler here ({compiler}): install one (Debian, Ubuntu: "
        "build-essential)."
        if compiler
        else "It may need a compiler or libraries this machine does not have; see the evidence."
    )
    return (
        f"{first} Or build a wheel elsewhere and name its directory with --find-links, or choose a version "
        "that has wheels."
    )


def wanted_wheels(errors: str) -> frozenset[str]:
    """The packages uv could only take as source distributions."""
    return frozenset(str(canonicalize_name(name)) for name in _WHEELS_HINT.findall(errors))


def check_reachable(errors: str) -> None:
    """Stop when the index did not answer: another interpreter would not help.

    Raises:
        PhaseFailed: codes ``IndexUnreachable``, ``IndexDenied``.
    """
    evidence = {"resolver": errors}
    address = re.search(r"https?://[^\s`)]+", errors)
    where = f" at {address[0]}" if address else ""
    if _DENIED.search(errors):
        raise PhaseFailed(
            "IndexDenied",
            f"The package index{where} refused access.",
            hint="Set credentials for it in uv's or pip's settings of the user the server runs as.",
            phase="Resolve",
            evidence=evidence,
        )
    if _UNREACHABLE.search(errors):
        raise PhaseFailed(
            "IndexUnreachable",
            f"The package index{where} could not be reached: no network, or a wrong address.",
            hint="Check the network and the index settings (uv.toml, UV_DEFAULT_INDEX, pip.conf), then try "
            "again. Environments that were built before need no network.",
            phase="Resolve",
            evidence=evidence,
            status_code=503,
        )


class Explainer:
    """Looks for the words that help: which requirement, which versions exist, which Python would do."""

    def __init__(self, ask: Ask, pythons: Pythons) -> None:
        self._ask = ask
        self._pythons = pythons

    def failure(
        self,
        requirements: Requirements,
        question: Question,
        attempts: Sequence[Attempt],
        substitution: str,
    ) -> PhaseFailed:
        """The error for a resolution that failed with every interpreter tried."""
        attempt = attempts[0]
        errors = attempt.errors
        evidence = {"resolver": errors}
        unknown = [*_names(_NOT_FOUND, errors), *self._without_any_version(attempt, question)]
        conda_only = sorted({requirements.conda[name] for name in unknown if name in requirements.conda})
        if conda_only:
            return PhaseFailed(
                "CondaPackageUnknown",
                f"PyPI has no packages for the conda dependencies {', '.join(conda_only)}.",
                hint="Remove what the entry script does not import, or name its PyPI package below `pip`. The channels "
                "that the environment names are asked if py-rattler is installed; the log says what they answered.",
                phase="Resolve",
                target=conda_only[0],
                evidence={**evidence, "packages": " ".join(conda_only)},
            )
        line = self._culprit(question.lines, errors)
        reason = self._reason(line, attempt, question)
        tried = f" (tried: Python {', '.join(a.python.name for a in attempts)})" if len(attempts) > 1 else ""
        instead = f" {substitution}; that may be why." if substitution else ""
        return PhaseFailed(
            "PackagesNotResolved",
            f"{reason}{tried}.{instead}",
            hint=self._hint(question, attempts, errors),
            phase="Resolve",
            target=line or None,
            evidence=evidence,
        )

    def compiled(self, question: Question, names: Iterable[str], python: Python) -> frozenset[str]:
        """Those of the names whose pinned version has wheels, only for other Pythons.

        Such a package is compiled, its wheels are made for the Pythons it was written for, and a build for
        another one fails after minutes. Versions that have no wheel anywhere are old and mostly pure.
        """
        found = []
        for line in question.lines:
            if _name(line) not in names or "==" not in line:
                continue
            for minor in range(python.minor[1] + 3, OLDEST[1] - 1, -1):
                arguments = ("--no-deps", "--python-version", f"3.{minor}")
                alone = replace(question, lines=(line,), from_source=frozenset(), arguments=arguments)
                if self._ask(python, alone, _ignore).pins is not None:
                    found.append(_name(line))
                    break
        return frozenset(found)

    def _without_any_version(self, attempt: Attempt, question: Question) -> list[str]:
        """Names of which an index knows, but has nothing: some indexes answer so for what they never had."""
        bare = {name: replace(question, lines=(name,)) for name in _names(_ABSENT_VERSION, attempt.errors)}
        found = {name: self._ask(attempt.python, alone, _ignore) for name, alone in bare.items()}
        return [name for name, answer in found.items() if name in _names(_ABSENT_VERSION, answer.errors)]

    def _reason(self, line: str, attempt: Attempt, question: Question) -> str:
        errors, python = attempt.errors, attempt.python.name
        name = _name(line) if line else ""
        if question.from_source and _BUILD_FAILED.search(errors):
            names = ", ".join(sorted(question.from_source))
            return f"There are no wheels of {names} for Python {python}, and building from source failed"
        if name in {canonicalize_name(found) for found in _NOT_FOUND.findall(errors)}:
            return f"{line}: the package index has no {name}"
        if line and name in {canonicalize_name(found) for found in _ABSENT_VERSION.findall(errors)}:
            return f"{line}: there is no such version{self._nearest(line, attempt, question)}"
        if name in wanted_wheels(errors):
            return f"{line} has no wheels for Python {python}{self._nearest(line, attempt, question)}"
        because = re.search(r"Because (.{10,300}?)(?:, we can conclude|\n|$)", errors)
        detail = f": {because[1]}" if because else ""
        subject = f"{line} cannot be installed" if line else "The requirements cannot be fulfilled"
        return f"{subject} with Python {python}{detail}"

    @staticmethod
    def _culprit(lines: Sequence[str], errors: str) -> str:
        """The user's line that uv talks about: the one missing altogether, else a pinned one, else any."""
        missing = {canonicalize_name(name) for name in _NOT_FOUND.findall(errors)}
        named = [
            line for line in lines if re.search(rf"(?<![\w.-]){re.escape(_name(line))}(?![\w-])", errors)
        ]
        first = [line for line in named if _name(line) in missing]
        wheels = [line for line in named if _name(line) in wanted_wheels(errors)]
        pinned = [line for line in named if "==" in line]
        return next(iter([*first, *wheels, *pinned, *named]), "")

    def _nearest(self, line: str, attempt: Attempt, question: Question) -> str:
        """``; the nearest versions that have are ...``, found by asking uv for the neighbours of a pin."""
        pin = re.search(r"==\s*([0-9][^*,;\s]*?)(\.\*)?\s*($|[,;])", line)
        if pin is None:
            return ""
        found = []
        for relation, order in (("<", "highest"), (">", "lowest-direct")):
            neighbour = replace(
                question,
                lines=(f"{_name(line)}{relation}{pin[1]}",),
                constraints=(),
                from_source=frozenset(),
                arguments=("--no-deps", "--resolution", order),
            )
            pins = self._ask(attempt.python, neighbour, _ignore).pins
            found += [pin.version for pin in pins or ()]
        if not found:
            return "; no other version has any either"
        return f"; the nearest with wheels {'is' if len(found) == 1 else 'are'} {' and '.join(found)}"

    def _hint(self, question: Question, attempts: Sequence[Attempt], errors: str) -> str:
        if question.from_source and _BUILD_FAILED.search(errors):
            return building_hint(errors)
        if _NOT_FOUND.search(errors):
            return "Check the spelling; a package of a private index needs --index-url or --extra-index-url."
        tried = {attempt.python.minor for attempt in attempts}
        for python in self._pythons.all():
            if python.minor not in tried and self._ask(python, question, _ignore).pins is not None:
                return (
                    f"Python {python.name}, which this machine has, would do: ask for python={python.name}."
                )
        return "Change the versions so that they fit together; the resolver's own words are in `resolver`."


def _names(pattern: re.Pattern[str], errors: str) -> list[str]:
    return [str(canonicalize_name(name)) for name in pattern.findall(errors)]


def _name(line: str) -> str:
    return str(canonicalize_name(Requirement(line).name))


def _ignore(message: str) -> None:
    """Nobody reads what uv says about questions of our own."""
