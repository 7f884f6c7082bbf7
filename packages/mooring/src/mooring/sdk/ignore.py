"""Which files of a source directory stay behind: ``.amlignore``, else ``.gitignore``.

The subset of git's rules that is supported, tested in tests/sdk/test_ignore.py:

* empty lines and lines that begin with ``#`` do nothing; ``!`` brings back what an earlier line left out;
* ``*``, ``?`` and ``[...]`` do not match ``/``; ``**`` matches across directories;
* a pattern without ``/`` (but at its end) matches at any depth, one with ``/`` from the top;
* ``/`` at the end matches directories only; what lies in an ignored directory cannot be brought back.

Only the file at the top of the source directory is read. `ALWAYS` is left out whatever it says.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ALWAYS = (".git", "__pycache__", "*.pyc", ".ipynb_checkpoints", ".venv", ".DS_Store")
FILES = (".amlignore", ".gitignore")


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    directories_only: bool
    brings_back: bool


class IgnoreRules:
    """The rules of one source directory.

    Args:
        lines: as in ``.amlignore``.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._rules = [rule for line in lines if (rule := _parse(line))]

    @classmethod
    def of(cls, directory: Path) -> IgnoreRules:
        """Read ``.amlignore`` of a directory, or ``.gitignore`` if there is none."""
        for name in FILES:
            path = directory / name
            if path.is_file():
                return cls(path.read_text(encoding="utf-8", errors="replace").splitlines())
        return cls(())

    @classmethod
    def of_docker(cls, directory: Path) -> IgnoreRules:
        """Read ``.dockerignore`` of a build context; its patterns all begin at the top."""
        path = directory / ".dockerignore"
        if not path.is_file():
            return cls(())
        rules = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            text = line.strip()
            if text and not text.startswith("#"):
                back = "!" if text.startswith("!") else ""
                rules.append(f"{back}/{text.removeprefix('!').strip().removeprefix('./').strip('/')}")
        return cls(rules)

    def ignores(self, path: str, *, is_dir: bool = False) -> bool:
        """Whether a path relative to the source directory (``/``-separated) stays behind."""
        name = path.rsplit("/", 1)[-1]
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in ALWAYS):
            return True
        ignored = False
        for rule in self._rules:
            if (is_dir or not rule.directories_only) and rule.pattern.fullmatch(path):
                ignored = not rule.brings_back
        return ignored


def _parse(line: str) -> _Rule | None:
    text = line.rstrip()
    if not text or text.startswith("#"):
        return None
    brings_back = text.startswith("!")
    text = text[1:] if brings_back else text
    directories_only = text.endswith("/")
    text = text.rstrip("/")
    if not text:
        return None
    anchored = "/" in text
    body = _regex(text.lstrip("/"))
    return _Rule(re.compile(body if anchored else f"(?:.*/)?{body}"), directories_only, brings_back)


def _regex(pattern: str) -> str:
    parts: list[str] = []
    index = 0
    while index < len(pattern):
        rest = pattern[index:]
        if rest.startswith("**/"):
            parts.append("(?:.*/)?")
            index += 3
        elif rest.startswith("**"):
            parts.append(".*")
            index += 2
        elif rest[0] == "*":
            parts.append("[^/]*")
            index += 1
        elif rest[0] == "?":
            parts.append("[^/]")
            index += 1
        elif rest[0] == "[" and (end := rest.find("]", 2)) > 0:
            inner = rest[1:end].replace("\\", "\\\\")
            parts.append("[" + ("^" + inner[1:] if inner[0] == "!" else inner) + "]")
            index += end + 1
        else:
            parts.append(re.escape(rest[0]))
            index += 1
    return "".join(parts)
