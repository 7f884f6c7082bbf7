"""Reading the JSON and YAML files that describe a deployment, with every mistake named where it stands.

A file's shape is a `Shape`: the dotted path of each field, the argument it becomes, and what it must be.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mooring.cli.failures import CliError


@dataclass(frozen=True)
class Kind:
    """What a value must be: its name in an error message, and the test."""

    name: str
    accepts: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_strings(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(v, (str, int, float, bool)) for v in value.values())


TEXT = Kind("text", lambda value: isinstance(value, str))
NUMBER = Kind("a number", _is_number)
INTEGER = Kind("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))
BOOLEAN = Kind("true or false", lambda value: isinstance(value, bool))
STRINGS = Kind("an object of texts", _is_strings)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
TEXT_OR_OBJECT = Kind("text or an object", lambda value: isinstance(value, (str, dict)))
TEXT_OR_LIST = Kind("text or a list of lines", lambda value: isinstance(value, (str, list)))

Shape = Mapping[str, "tuple[str, Kind]"]


def load(path: Path, what: str) -> dict[str, Any]:
    """The object in a JSON or YAML file."""
    try:
        source = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CliError(
            "ConfigFileNotFound",
            f"there is no {what} file {path}",
            target=str(path),
            hint="Check the path; it is relative to the current directory.",
        ) from None
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise CliError("ConfigFileSyntax", f"{path} is not a text file: {error}", target=str(path)) from None
    data = _parse_json(source, path) if path.suffix.lower() == ".json" else _parse_yaml(source, path)
    if not isinstance(data, dict):
        raise CliError(
            "ConfigFileSyntax", f"{path}: expected an object, got {describe(data)}", target=str(path)
        )
    return data


def read(data: Mapping[str, Any], shape: Shape, where: str) -> dict[str, Any]:
    """The arguments that `data` stands for. Null means "not given".

    Raises:
        CliError: `ConfigUnknownKey` naming the nearest known key, `ConfigWrongType`.
    """
    arguments: dict[str, Any] = {}
    _read(data, shape, where, "", arguments)
    return arguments


def _read(data: Mapping[str, Any], shape: Shape, where: str, prefix: str, into: dict[str, Any]) -> None:
    known = {path[len(prefix) :].split(".")[0] for path in shape if path.startswith(prefix)}
    for key, value in data.items():
        path = f"{prefix}{key}"
        if key not in known:
            raise unknown_key(str(key), known, where, path)
        if value is None:
            continue
        if path in shape:
            argument, kind = shape[path]
            if not kind.accepts(value):
                raise wrong_type(where, path, kind.name, value)
            into[argument] = value
        elif isinstance(value, dict):
            _read(value, shape, where, f"{path}.", into)
        else:
            raise wrong_type(where, path, "an object", value)


def unknown_key(key: str, known: set[str], where: str, path: str) -> CliError:
    """`containerResourceRequirement` -> did you mean `containerResourceRequirements`?"""
    folded = {name.lower().replace("_", ""): name for name in known}
    near = difflib.get_close_matches(key.lower().replace("_", ""), list(folded), n=1, cutoff=0.5)
    hint = f"Did you mean {folded[near[0]]!r}? " if near else ""
    return CliError(
        "ConfigUnknownKey",
        f"{where}: unknown key {path!r}",
        hint=f"{hint}Known keys here: {', '.join(sorted(known))}.",
        target=path,
    )


def wrong_type(where: str, path: str, expected: str, value: Any) -> CliError:
    """A value of the wrong kind, with what was expected and what came."""
    return CliError(
        "ConfigWrongType",
        f"{where}: {path}: expected {expected}, got {describe(value)}",
        target=path,
        hint="Correct the value and run the command again.",
    )


def describe(value: Any) -> str:
    """A value as an error message shows it."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    shown = json.dumps(value, default=str)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _parse_json(source: str, path: Path) -> Any:
    try:
        return json.loads(source)
    except json.JSONDecodeError as error:
        raise _syntax(path, source, error.lineno, error.colno, error.msg) from None


def _parse_yaml(source: str, path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _syntax(path, source, line, column, error.problem or "not valid YAML") from None
    except yaml.YAMLError as error:
        raise CliError("ConfigFileSyntax", f"{path}: {error}", target=str(path)) from None


def _syntax(path: Path, source: str, line: int, column: int, problem: str) -> CliError:
    lines = source.splitlines()
    shown = lines[line - 1] if 0 < line <= len(lines) else ""
    return CliError(
        "ConfigFileSyntax",
        f"{path}, line {line}, column {column}: {problem}",
        target=str(path),
        evidence={"source": f"{shown}\n{' ' * (column - 1)}^"},
        hint="Correct the line and run the command again.",
    )
