"""The benchmark itself, on Mooring alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.scoring.load import MISSING, wrk

ROOT = Path(__file__).parents[2]


@pytest.mark.full
@pytest.mark.skipif(wrk() is None, reason="wrk is not installed")
def test_mooring_is_measured() -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.scoring",
        "--rounds",
        "1",
        "--seconds",
        "1",
        "--model",
        "cheap",
    ]
    done = subprocess.run(
        [*command, "--only", "Mooring"], cwd=ROOT, check=False, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if re.match(r"Mooring +\d", line))
    figures = [float(cell.replace(",", "")) for cell in line.split()[1:]]
    assert len(figures) == 11
    assert min(figures) > 0


def test_without_wrk_it_says_where_wrk_comes_from() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scoring"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/nonexistent"},
    )
    assert done.returncode == 1
    assert done.stderr == f"{MISSING}\n"
