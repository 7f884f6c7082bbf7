"""A bounded listing of a directory, for people who look for a missing file."""

from __future__ import annotations

import os
from pathlib import Path

from mooring_runtime.supervisor.spec import RevisionSpec

MAX_LINES = 200


def listing(root: Path, limit: int = MAX_LINES) -> str:
    """Files below ``root`` with their sizes, one a line, folders first named; at most ``limit`` lines."""
    if not root.is_dir():
        return f"{root}: there is no such directory\n"
    lines = [f"{root}/"]
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            path = Path(folder) / name
            size = path.lstat().st_size
            lines.append(f"  {path.relative_to(root)}  {size} bytes")
            if len(lines) >= limit:
                return "\n".join([*lines, "  ..."]) + "\n"
    if len(lines) == 1:
        lines.append("  (empty)")
    return "\n".join(lines) + "\n"


def of_models(revision: RevisionSpec) -> str:
    """The listing of what a revision's entry script finds its models in."""
    return listing(Path(revision.env.get("AZUREML_MODEL_DIR") or revision.app_root))
