"""Which images a Dockerfile begins with, and its text with other names for them.

Format: https://docs.docker.com/reference/dockerfile/. Its steps are the builder's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mooring_server.domain.errors import InvalidRequest

SCRATCH = "scratch"
_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S+)\s*")
_FROM = re.compile(r"(?P<flags>(?:--\S+\s+)*)(?P<image>\S+)(?:\s+as\s+(?P<stage>\S+))?\s*", re.IGNORECASE)
_HEREDOC = re.compile(r"<<-?\s*([\"']?)([A-Za-z_]\w*)\1")
# COPY --from=NAME, RUN --mount=type=bind,from=NAME,...
_OTHER = re.compile(r"(?P<before>--from=|--mount=(?:\S*,)?from=)(?P<image>[^\s,]+)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})")


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: in capitals.
        rest: its arguments in one line.
        lines: which lines of the text it has, from 0, the end excluded.
    """

    name: str
    rest: str
    lines: tuple[int, int]


class Dockerfile:
    """A Dockerfile's text, read.

    Raises:
        InvalidRequest: code ``DockerfileInvalid``.
    """

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self.instructions = list(_instructions(self._lines))
        self._arguments: dict[str, str] = {}
        self._stages: set[str] = set()
        self._begun = False
        # Places of names: (line, as it is written there, which image it is).
        self._named: list[tuple[Instruction, str, str]] = []
        for instruction in self.instructions:
            self._read(instruction)
        if not self._begun:
            raise _invalid("it has no FROM", 0)

    @property
    def images(self) -> tuple[str, ...]:
        """The images it names, in their order, each once."""
        return tuple(dict.fromkeys(image for _, _, image in self._named))

    def renamed(self, names: Mapping[str, str]) -> str:
        """The text with other names for images; all lines stay where they are.

        Args:
            names: of the images; those without another name keep theirs.
        """
        lines = list(self._lines)
        for instruction, written, image in self._named:
            new = names.get(image, image)
            start, end = instruction.lines
            if instruction.name == "FROM":
                match = _FROM.fullmatch(instruction.rest)
                stage = f" AS {match['stage']}" if match and match["stage"] else ""
                flags = match["flags"] if match else ""
                lines[start:end] = [f"FROM {flags}{new}{stage}", *[""] * (end - start - 1)]
            else:
                pattern = re.compile(rf"(--from=|--mount=(?:\S*,)?from=){re.escape(written)}(?=[\s,]|$)")
                for number in range(start, end):
                    lines[number] = pattern.sub(rf"\g<1>{new}", lines[number])
        return "".join(f"{line}\n" for line in lines)

    def _read(self, instruction: Instruction) -> None:
        if instruction.name == "FROM":
            self._begun = True
            match = _FROM.fullmatch(instruction.rest)
            if match is None:
                raise _invalid(f"FROM {instruction.rest!r} names no image", instruction.lines[0])
            image = self._substituted(match["image"], instruction)
            if image != SCRATCH and image.lower() not in self._stages:
                self._named.append((instruction, match["image"], image))
            if match["stage"]:
                self._stages.add(match["stage"].lower())
        elif instruction.name == "ARG" and not self._begun:
            for word in instruction.rest.split():
                name, _, default = word.partition("=")
                self._arguments[name] = self._expanded(default.strip("\"'"))
        elif instruction.name in {"COPY", "RUN"}:
            for match in _OTHER.finditer(instruction.rest):
                image = match["image"]
                if not image.isdigit() and image.lower() not in self._stages:
                    self._named.append((instruction, image, image))

    def _substituted(self, image: str, instruction: Instruction) -> str:
        value = self._expanded(image)
        if not value or "$" in value:
            raise _invalid(
                f"FROM {image} has a variable without a value; give it one: ARG NAME=value before FROM",
                instruction.lines[0],
            )
        return value

    def _expanded(self, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            known = self._arguments.get(match[1] or match[2], "")
            if match[3] == "-":
                return known or str(match[4])
            return (str(match[4]) if known else "") if match[3] == "+" else known

        return _VARIABLE.sub(value, text)


def _instructions(lines: list[str]) -> list[Instruction]:
    escape = "\\"
    found: list[Instruction] = []
    number = 0
    while number < len(lines) and (directive := _DIRECTIVE.fullmatch(lines[number])):
        if directive[1].lower() == "escape":
            escape = directive[2]
        number += 1
    while number < len(lines):
        start = number
        parts: list[str] = []
        more = True
        while more and number < len(lines):
            line = lines[number].strip()
            number += 1
            if line.startswith("#") or (parts and not line):
                continue  # comments and empty lines do not end what goes on
            more = line.endswith(escape)
            parts.append(line[: -len(escape)].rstrip() if more else line)
        text = " ".join(part for part in parts if part)
        if not text:
            continue
        name, _, rest = text.partition(" ")
        name = name.upper()
        if name in {"RUN", "COPY", "ADD"}:
            for mark in _HEREDOC.finditer(rest):
                while number < len(lines) and lines[number].strip() != mark[2]:
                    number += 1
                number += 1
        found.append(Instruction(name, rest.strip(), (start, min(number, len(lines)))))
    return found


def _invalid(why: str, line: int) -> InvalidRequest:
    return InvalidRequest(
        "DockerfileInvalid",
        f"The Dockerfile cannot be used, line {line + 1}: {why}.",
        hint="It begins with FROM and the name of an image: one of `mooring base list`, or of a registry.",
        phase="Resolve",
        target="docker.baseDockerfile",
    )
