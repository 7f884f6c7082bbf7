"""Blob paths with placeholders, as bindings have them: ``input/{blobname}.json``.

The rules are those of the WebJobs SDK: a placeholder stands for any text, slashes included, and takes as much as it
can; a doubled brace stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mooring_runtime.functions.problem import FunctionInvalid

_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*|\$root")
_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}|[{}]|[^{}]+")
MAX_NAME = 1024


class BlobPattern:
    """A path of a container and a blob's name with placeholders.

    Args:
        text: ``container`` or ``container/name``; ``%NAME%`` has been resolved.

    Attributes:
        container: the container.
        names: of the placeholders, in their order.
        prefix: what all names that match begin with.

    Raises:
        FunctionInvalid: ``BindingPathInvalid``.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.container, _, name = text.partition("/")
        if not _CONTAINER.fullmatch(self.container):
            raise invalid_path(
                text,
                f"{self.container!r} is no name of a container: 3 to 63 lower-case letters, digits or "
                "single '-', beginning and ending with a letter or digit",
            )
        self._parts: list[tuple[str, bool]] = []
        for match in _TOKEN.finditer(name):
            token = match[0]
            if match[1]:
                self._parts.append((match[1], True))
            elif token in {"{", "}"}:
                raise invalid_path(text, "a brace has no partner")
            else:
                self._parts.append((token[0] if token in {"{{", "}}"} else token, False))
        self.names = tuple(part for part, named in self._parts if named)
        if len(set(self.names)) < len(self.names):
            raise invalid_path(text, "a placeholder occurs twice")
        literal = 0
        while literal < len(self._parts) and not self._parts[literal][1]:
            literal += 1
        self.prefix = "".join(part for part, _ in self._parts[:literal])
        pieces = [f"(?P<{part}>.*)" if named else re.escape(part) for part, named in self._parts]
        self._regex = re.compile("".join(pieces), re.DOTALL) if pieces else re.compile(".*", re.DOTALL)

    def match(self, name: str) -> dict[str, str] | None:
        """The values of the placeholders in a blob's name; None if it does not match."""
        found = self._regex.fullmatch(name)
        return found.groupdict() if found else None

    def fill(self, values: Mapping[str, str]) -> str:
        """The blob's name with these values.

        Raises:
            FunctionInvalid: ``BindingPathInvalid`` when nothing, or more than Azure allows, is left of the name.
        """
        name = "".join(values[part] if named else part for part, named in self._parts)
        if not name or len(name) > MAX_NAME:
            raise invalid_path(
                self.text, f"it gives a name of {len(name)} characters; 1 to {MAX_NAME} are needed"
            )
        return name


def check_paths(source: str, target: str) -> tuple[BlobPattern, BlobPattern]:
    """The patterns of a blob trigger and of its output.

    Raises:
        FunctionInvalid: ``BindingPathInvalid``: one of them cannot be right, or the output would set off the trigger.
    """
    read, written = BlobPattern(source), BlobPattern(target)
    unknown = [name for name in written.names if name not in read.names]
    if unknown:
        raise invalid_path(target, f"the input path {source!r} has no placeholder {{{unknown[0]}}}")
    if not written.text.partition("/")[2]:
        raise invalid_path(target, "an output path needs a name after the container")
    sample = written.fill(dict.fromkeys(written.names, "x"))
    if read.container == written.container and read.match(sample) is not None:
        raise invalid_path(target, f"the output would be an input again: {source!r} matches it")
    return read, written


def invalid_path(text: str, why: str) -> FunctionInvalid:
    """The error for a path that cannot be right."""
    return FunctionInvalid(
        "BindingPathInvalid",
        f"The path {text!r} cannot be right: {why}.",
        "Give a path such as input/{blobname}.json, and for the output output/{blobname}_out.json.",
    )
