"""What can be known of an entry script without running it."""

from __future__ import annotations

import ast
import keyword
from pathlib import Path

from mooring.sdk.errors import invalid, user_error
from mooring.sdk.exceptions import WebserviceException
from mooring.sdk.files import tree_text


def check(path: Path, shown: str) -> None:
    """The script exists, has a name that can be imported, and parses.

    Args:
        path: where it lies.
        shown: as the user wrote it.

    Raises:
        WebserviceException: EntryScriptNotFound (with the directory), EntryScriptNotImportable or
            EntryScriptSyntax (with the line).
    """
    if not path.is_file():
        exc = WebserviceException(
            f"The entry script {shown!r} does not exist (looked for {path.absolute()})."
        )
        near = path.absolute().parent
        raise exc.explain(
            "EntryScriptNotFound",
            "Validate",
            "Give its path, relative to source_directory if there is one.",
            {"tree": tree_text(near if near.is_dir() else Path.cwd())},
        )
    if path.suffix != ".py" or not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        raise invalid(
            f"The entry script {shown!r} cannot be imported by its name.",
            code="EntryScriptNotImportable",
            hint="Name it like a Python module: letters, digits and '_', not beginning with a digit, ending in .py.",
        )
    source = path.read_bytes()
    try:
        # The client's Python may be newer or older than the image's: what only this parser rejects is the
        # server's to judge, so the newest grammar decides here.
        ast.parse(source, filename=path.name)
    except SyntaxError as error:
        exc = WebserviceException(f"{path.name}, line {error.lineno}: {error.msg}")
        line = (error.text or "").rstrip("\n")
        mark = " " * max((error.offset or 1) - 1, 0) + "^"
        raise exc.explain(
            "EntryScriptSyntax",
            "Validate",
            "Fix the line and deploy again.",
            {"source": f"{line}\n{mark}"},
        ) from error
    except ValueError as error:
        raise invalid(
            f"{path.name} cannot be read as Python: {error}",
            code="EntryScriptSyntax",
            hint="Save it as a Python source file in UTF-8.",
        ) from error


def check_conda_file(path: Path) -> None:
    """The conda file exists.

    Raises:
        UserErrorException: CondaFileNotFound.
    """
    if not path.is_file():
        raise user_error(
            f"The conda file {path} does not exist.",
            code="CondaFileNotFound",
            hint="Correct the path; it is relative to the current directory.",
            evidence={"tree": tree_text(path.absolute().parent)} if path.absolute().parent.is_dir() else None,
        )
