"""README and guide: their code blocks are run, in order, a folder a page, against a real server.

Python blocks of a page share their names; `bash` blocks run with the installed `mooring`. A comment in the line
before a block changes that: `<!-- skip -->`, `<!-- file: NAME -->` for one that is the content of a file, or
`<!-- az -->` for one that needs Azure's command line and is run by test_az.py.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import RunningServer, kill_all

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<kind>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
SHOWN = {"text", "json"}


@dataclass(frozen=True)
class Block:
    kind: str
    code: str
    note: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        yield Block(match["kind"], match["code"], match["note"] or "", line)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user of the guide has: a model, an entry script and an environment."""
    import joblib
    import numpy as np
    import sklearn
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge

    folder = tmp_path_factory.mktemp("docs")
    joblib.dump(Ridge().fit(*load_diabetes(return_X_y=True)), folder / "model.pkl")
    script = next(b for b in blocks(ROOT / "docs/guide/deploy.md") if b.note == "file: score.py")
    (folder / "score.py").write_text(script.code)
    pins = [
        f"scikit-learn=={sklearn.__version__}",
        f"numpy=={np.__version__}",
        f"joblib=={joblib.__version__}",
    ]
    (folder / "requirements.txt").write_text("\n".join(pins))
    python = "python={}.{}".format(*sys.version_info[:2])
    listed = "".join(f"  - {pin}\n" for pin in pins)
    (folder / "myenv.yml").write_text(f"dependencies:\n- {python}\n- pip\n- pip:\n{listed}")
    return folder


# Its environment alone takes longer than most other pages together.
LONG = {"mlflow"}


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.full) if page.stem in LONG else page for page in PAGES],
    ids=[page.stem for page in PAGES],
)
@pytest.mark.usefixtures("sdk_home")
# Scripts leave it to the end of the process to close their connections.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_code_blocks_run(
    page: Path, server: RunningServer, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if page.stem == "install":
        # This page starts and stops a server, which must not be the one that all tests share.
        monkeypatch.setenv("MOORING_HOME", str(tmp_path / "home"))
    names = {"subscription_id": "sub", "resource_group": "rg", "workspace_name": f"docs-{page.stem.lower()}"}
    base = f"/mooring/v1/subscriptions/sub/resourceGroups/rg/workspaces/{names['workspace_name']}"
    assert server.client.put(base, json={"existOk": True}).status_code in {200, 201}
    (folder / "config.json").write_text(json.dumps(names))
    namespace: dict[str, object] = {"__name__": "page"}
    try:
        for block in blocks(page):
            run(block, page, folder, namespace)
    finally:
        namespace.clear()
        gc.collect()  # here, where its warnings are expected, not in the middle of another test
        kill_all(tmp_path)


def run(block: Block, page: Path, folder: Path, namespace: dict[str, object]) -> None:
    if block.note in {"skip", "az"}:
        return
    if block.note.startswith("file: "):
        (folder / block.note.removeprefix("file: ")).write_text(block.code)
        return
    assert not block.note, f"{page.name}, line {block.line}: unknown comment {block.note!r}"
    if block.kind == "python":
        # The page's own lines in a traceback.
        code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
        exec(code, namespace)
    elif block.kind == "bash":
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.code],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, f"{page.name}, line {block.line}:\n{done.stdout}\n{done.stderr}"
    else:
        assert block.kind in SHOWN, f"{page.name}, line {block.line}: {block.kind} blocks are not run"


@pytest.mark.full
def test_the_quickstart_runs_again_and_again(server: RunningServer, sdk_home: Path) -> None:
    script = [sys.executable, str(ROOT / "examples" / "quickstart.py")]
    mooring = str(Path(sys.executable).with_name("mooring"))
    try:
        for _ in range(2):
            done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=240)
            assert done.returncode == 0, done.stdout + done.stderr
            assert re.search(r"^ +\d+\.\d +\d+$", done.stdout, re.MULTILINE), done.stdout
        curl = re.search(r"curl (\S+) \\\n +-H '(.*?)' -H '(.*?)' \\\n +-d '(.*)'", done.stdout)
        assert curl is not None
        url, *headers, body = curl.groups()
        pairs = dict(header.split(": ") for header in headers)
        with urllib.request.urlopen(urllib.request.Request(url, body.encode(), pairs)) as answer:
            assert json.load(answer)["predictions"]
    finally:
        delete = [mooring, "service", "delete", "-n", "diabetes", "--yes"]
        assert subprocess.run(delete, check=False, cwd=ROOT).returncode == 0


def test_the_quickstart_says_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORING_ENDPOINT", "http://127.0.0.1:9")
    script = [sys.executable, str(ROOT / "examples" / "quickstart.py")]
    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 1
    assert "ServerUnreachable" in done.stderr
    assert "mooring doctor" in done.stderr
    assert "Traceback" not in done.stderr
