"""Compiles the bytecode that goes into layers."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.layers import EPOCH
from mooring_server.images.pythons import Python

FORMAT = "pyc-1"
WORKERS = min(4, os.cpu_count() or 1)
_CHUNK_BYTES = 1_000_000
_CHUNK_FILES = 300

# Runs in the image's Python, which may be 3.6. Modules are compiled, never executed. From 3.7 on the bytecode
# names no time (PEP 552, unchecked hash); 3.6 compares the source's time, which is the same in every layer.
_SCRIPT = """
import json, py_compile, struct, sys
root, prefix, epoch, files = json.load(sys.stdin)
modern = sys.version_info >= (3, 7)
options = {"invalidation_mode": py_compile.PycInvalidationMode.UNCHECKED_HASH} if modern else {}
for name in files:
    try:
        target = py_compile.compile(root + "/" + name, dfile=prefix + "/" + name, doraise=True, **options)
    except (py_compile.PyCompileError, UnicodeDecodeError, RecursionError, ValueError):
        continue
    if not modern:
        with open(target, "r+b") as file:
            file.seek(4)
            file.write(struct.pack("<I", epoch))
"""


@dataclass(frozen=True)
class Sources:
    """Python files below a directory, by their relative paths."""

    root: Path
    files: tuple[str, ...]


def compile_all(python: Python, packages: Iterable[Sources], prefix: str) -> None:
    """Write ``__pycache__`` files beside the given sources.

    The work is cut into pieces that depend on each package's files alone, and each piece has a process of its
    own: what was compiled before in a process shows in the bytecode (which strings are shared), and it has to
    be the same every time. Files that are no valid Python (templates, tests of syntax errors) are left out.

    Args:
        python: whose bytecode.
        packages: what belongs together.
        prefix: where the roots will be in the image; tracebacks name it.

    Raises:
        PhaseFailed: code ``BytecodeNotCompiled``: the interpreter crashed.
    """
    pieces = [(sources.root, piece) for sources in packages for piece in _pieces(sources)]
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda piece: _compile(python, piece[0], piece[1], prefix), pieces))


def cache_name(python: Python, source: str) -> str:
    """The path of the bytecode of a source file."""
    folder, _, name = source.rpartition("/")
    tag = f"cpython-{python.minor[0]}{python.minor[1]}"
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc".lstrip("/")


def _pieces(sources: Sources) -> Iterator[list[str]]:
    piece: list[str] = []
    size = 0
    for name in sorted(sources.files):
        piece.append(name)
        size += (sources.root / name).stat().st_size
        if size >= _CHUNK_BYTES or len(piece) >= _CHUNK_FILES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _compile(python: Python, root: Path, files: list[str], prefix: str) -> None:
    run = subprocess.run(
        # Not -I: it would ignore PYTHONHASHSEED, and with it the order of constants would be random.
        [str(python.path), "-s", "-S", "-W", "ignore", "-c", _SCRIPT],
        input=json.dumps([str(root), prefix, EPOCH, files]).encode(),
        capture_output=True,
        env={"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},
        cwd=root,
        check=False,
    )
    if run.returncode and b"No space left on device" in run.stderr:
        raise OSError(errno.ENOSPC, "No space left on device")
    if run.returncode:
        raise PhaseFailed(
            "BytecodeNotCompiled",
            f"Python {python.name} stopped with status {run.returncode} while compiling {files[0]} and more.",
            phase="Build",
            evidence={"log": run.stderr.decode(errors="replace")[-4000:]},
        )
