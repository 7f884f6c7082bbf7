"""The diabetes examples run as they are: only azureml imports, nothing about Mooring in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "diabetes"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("examples") / "diabetes"
    shutil.copytree(EXAMPLES, place)
    subprocess.run([sys.executable, "train.py"], cwd=place, check=True)
    return place


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("script_2018.py", ["Image creation operation finished", "Healthy", '{"result": [']),
        ("script_2019.py", ["ACI service update operation finished", "{'stage': 'test'}"]),
        ("local_webservice.py", ["Local webservice is running at http://"]),
        ("nocode.py", ["ACI service creation operation finished"]),
    ],
)
def test_example(trained: Path, sdk_home: Path, script: str, expected: list[str]) -> None:
    assert "mooring" not in (EXAMPLES / script).read_text()
    done = subprocess.run(
        [sys.executable, script],
        cwd=trained,
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for text in expected:
        assert text in done.stdout
