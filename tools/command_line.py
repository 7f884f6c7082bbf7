"""Writes the reference part of docs/guide/command-line.md from the commands themselves.

python tools/command_line.py            write it
python tools/command_line.py --check    exit 1 when the page is stale
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "guide" / "command-line.md"
BEGIN = "<!-- written by tools/command_line.py: do not edit below this line -->\n"
SHARED = ("--workspace-name", "--resource-group", "--subscription-id", "--output", "--debug", "--help")


def commands() -> Iterator[tuple[str, Any]]:
    """All commands with their full names, in the order in which help lists them."""
    import typer

    from mooring.cli.main import app

    yield from _walk("mooring", typer.main.get_command(app))


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    for child_name, child in getattr(command, "commands", {}).items():
        if getattr(child, "commands", None):
            yield from _walk(f"{name} {child_name}", child)
        else:
            yield f"{name} {child_name}", child


def reference() -> str:
    """The generated part."""
    return "\n".join([BEGIN, "## Reference\n", *(section(name, command) for name, command in commands())])


def section(name: str, command: Any) -> str:
    """One command: its text, its examples as code, its own options."""
    text, _, examples = cleandoc(command.help or "").partition("\b\n")
    parts = [f"### {name}\n", text.strip() + "\n"]
    if examples:
        code = cleandoc("\n".join(examples.splitlines()[1:]))
        parts.append(f"```text\n{code}\n```\n")
    options = [row for row in map(option, command.params) if row]
    if options:
        parts.append("| option | meaning |\n|---|---|\n" + "".join(options))
    return "\n".join(parts)


def option(parameter: Any) -> str:
    """A line of the table; nothing for the options that every command has."""
    names = [*parameter.opts, *parameter.secondary_opts]
    if any(name in SHARED for name in names) or getattr(parameter, "hidden", False):
        return ""
    required = " (required)" if parameter.required else ""
    shown = ", ".join(f"`{name}`" for name in names)
    meaning = (getattr(parameter, "help", None) or "").replace("|", "\\|")
    return f"| {shown}{required} | {meaning} |\n"


def page(current: str) -> str:
    """The page with its generated part renewed."""
    own, _, _ = current.partition(BEGIN)
    return own.rstrip("\n") + "\n\n" + reference()


def main() -> int:
    """See the module's text."""
    current = PAGE.read_text(encoding="utf-8")
    wanted = page(current)
    if "--check" in sys.argv[1:]:
        if current != wanted:
            print("docs/guide/command-line.md is stale: run `python tools/command_line.py`", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(wanted, encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
