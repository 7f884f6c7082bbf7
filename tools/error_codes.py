"""Finds the error codes in the sources, for the test that docs/errors.md has each of them and no other.

A code is a text such as `EntryScriptSyntax` that is given as `code=`, under the key "code", as the first
argument of an error class, or to a function whose name says that it makes an error.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "errors.md"
# Two capitals at least; the codes of one word are named.
CODE = re.compile(r"[A-Z][a-z0-9]+(?:[A-Z][A-Za-z0-9]*)+|Unauthorized|Forbidden|Superseded")
# Ends of the names of classes and functions that take a code first.
MAKERS = re.compile(
    r"(error|exception|explain|invalid|failure|failed|fail|problem|refuse|refused|reject|answer|response)$"
    r"|^(notfound|conflict|invalidrequest|denied|forbidden|phasefailed|_not_found|_syntax|invalidname)$",
    re.IGNORECASE,
)
DOCUMENTED = re.compile(r"^\| `([A-Za-z0-9]+)` \|", re.MULTILINE)


def in_sources() -> dict[str, str]:
    """Code -> one place where it is raised."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "packages").glob("*/src/**/*.py")):
        if path.name == "testing.py":  # fakes break in ways of their own
            continue
        for code, line in in_source(path.read_text(encoding="utf-8")):
            found.setdefault(code, f"{path.relative_to(ROOT)}:{line}")
    return found


def in_source(source: str) -> Iterator[tuple[str, int]]:
    """The codes in one file."""
    for node in ast.walk(ast.parse(source)):
        for candidate in _candidates(node):
            for text in _alternatives(candidate):
                if (
                    isinstance(text, ast.Constant)
                    and isinstance(text.value, str)
                    and CODE.fullmatch(text.value)
                ):
                    yield text.value, text.lineno


def _alternatives(value: ast.expr) -> Iterator[ast.expr]:
    if isinstance(value, ast.IfExp):
        yield from _alternatives(value.body)
        yield from _alternatives(value.orelse)
    else:
        yield value


def _candidates(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call):
        yield from (keyword.value for keyword in node.keywords if keyword.arg == "code")
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if MAKERS.search(name):
            yield from node.args[:2]
    elif isinstance(node, ast.Compare):
        if isinstance(node.left, ast.Attribute) and node.left.attr == "code":
            yield from node.comparators
    elif isinstance(node, ast.Return):
        if node.value is not None:
            yield from _returned(node.value)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "code":
                yield value


def _returned(value: ast.expr) -> Iterator[ast.expr]:
    """`return "FileNotFound"` and the like: those that look like a code of an operating system's error."""
    if isinstance(value, ast.Constant) and str(value.value).startswith(("FileNot", "Internal")):
        yield value


def in_page() -> set[str]:
    """The documented codes."""
    return set(DOCUMENTED.findall(PAGE.read_text(encoding="utf-8")))


def main() -> int:
    """Print what is missing on either side."""
    sources, page = in_sources(), in_page() if PAGE.exists() else set()
    for code in sorted(set(sources) - page):
        print(f"not documented: {code} ({sources[code]})")
    for code in sorted(page - set(sources)):
        print(f"not in the sources: {code}")
    return int(set(sources) != page)


if __name__ == "__main__":
    sys.exit(main())
