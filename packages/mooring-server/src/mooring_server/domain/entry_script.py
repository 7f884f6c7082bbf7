"""Entry scripts are read, never run: what can be said about one without executing it."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Iterator
from pathlib import PurePosixPath

from mooring_server.domain.errors import InvalidRequest


def check_entry_script(name: str, source: bytes) -> None:
    """Check that an entry script can be imported by name and offers ``init()`` and ``run(data)``.

    Args:
        name: its path, for messages and for the rule that its stem is an identifier.
        source: its content.

    Raises:
        InvalidRequest: ``EntryScriptNotImportable``, ``EntryScriptSyntax`` (with line and caret),
            ``EntryScriptIncomplete``.
    """
    path = PurePosixPath(name)
    if path.suffix != ".py" or not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        raise InvalidRequest(
            "EntryScriptNotImportable",
            f"The entry script {name!r} cannot be imported by its name.",
            hint="Name it like a Python module: letters, digits and '_', not beginning with a digit, ending in .py.",
            target=name,
        )
    defined = set(_defined_names(_parse(name, source)))
    missing = [f for f in ("init", "run") if f not in defined]
    if missing:
        wanted = {"init": "init() (loads the model, called once)", "run": "run(data) (answers one request)"}
        raise InvalidRequest(
            "EntryScriptIncomplete",
            f"The entry script {name!r} does not define {' and '.join(f + '()' for f in missing)}.",
            hint="An entry script defines " + " and ".join(wanted.values()) + " at its top level.",
            target=name,
            evidence={"defined": ", ".join(sorted(defined)) or "(nothing)"},
        )


def _parse(name: str, source: bytes) -> ast.Module:
    try:
        return ast.parse(source, filename=name)
    except SyntaxError as error:
        line = (error.text or "").rstrip("\n")
        caret = " " * max((error.offset or 1) - 1, 0) + "^"
        raise InvalidRequest(
            "EntryScriptSyntax",
            f"{name}, line {error.lineno}: {error.msg}",
            hint="Fix the line and deploy again.",
            target=name,
            evidence={"source": f"{line}\n{caret}"} if line else {},
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:  # NUL bytes, absurd nesting
        raise InvalidRequest(
            "EntryScriptSyntax", f"{name} cannot be parsed as Python: {error}", target=name
        ) from None


def _defined_names(module: ast.Module) -> Iterator[str]:
    """Names bound at the top level, also inside ``if``, ``try`` and ``with``; ``*`` imports may bring any."""
    pending: list[ast.AST] = list(module.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
            continue  # what is defined inside is not at the top level
        if isinstance(node, ast.alias):
            yield from ("init", "run") if node.name == "*" else (node.asname or node.name.split(".")[0],)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif not isinstance(node, ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))
