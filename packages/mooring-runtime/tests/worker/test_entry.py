from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mooring_runtime.worker import entry

ALIVE = SimpleNamespace(requested=False)


def settings(root: Path, script: str = "my_score.py", source: str | None = None) -> dict[str, str | None]:
    return {"app_root": str(root), "entry_script": script, "source_directory": source}


@pytest.fixture(autouse=True)
def _restore(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    for name in ("my_score", "_mooring_entry_json"):
        monkeypatch.setitem(sys.modules, name, sys)
        monkeypatch.delitem(sys.modules, name)


def test_search_path(tmp_path: Path) -> None:
    (tmp_path / "src" / "deep").mkdir(parents=True)
    entry.set_search_path(settings(tmp_path, "deep/my_score.py", "src"), "/shim", "/fallback")
    assert sys.path[:4] == [str(tmp_path / "src/deep"), str(tmp_path / "src"), str(tmp_path), "/shim"]


def test_search_path_without_repetitions(tmp_path: Path) -> None:
    entry.set_search_path(settings(tmp_path), "/shim", "/fallback")
    assert sys.path[:2] == [str(tmp_path), "/shim"]


def test_load_and_initialise(tmp_path: Path) -> None:
    (tmp_path / "my_score.py").write_text("state = []\ndef init(): state.append(1)\ndef run(data): pass")
    module = entry.load(settings(tmp_path), ALIVE)
    entry.initialise(module, ALIVE)
    assert module.state == [1]
    assert sys.modules["my_score"] is module


def test_a_name_that_is_taken_stays_with_its_module(tmp_path: Path) -> None:
    import json

    (tmp_path / "json.py").write_text("def init(): pass\ndef run(data): pass")
    module = entry.load(settings(tmp_path, "json.py"), ALIVE)
    assert module.__name__ == "_mooring_entry_json"
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("source", "message", "facts"),
    [
        ("import nope_module", "No module named 'nope_module'", {"missing_module": "nope_module"}),
        ("def init(: pass", "SyntaxError", {"type": "SyntaxError"}),
        ("def run(data): pass", "function init()", {}),
        ("def init(): pass\nrun = 3", "function run()", {}),
        ("open('absent')", "FileNotFoundError", {"missing_file": "absent"}),
    ],
)
def test_scripts_that_cannot_be_loaded(
    tmp_path: Path, source: str, message: str, facts: dict[str, str]
) -> None:
    (tmp_path / "my_score.py").write_text(source)
    with pytest.raises(entry.EntryError) as caught:
        entry.load(settings(tmp_path), ALIVE)
    said = caught.value.facts
    assert message in said["message"]
    assert said["step"] == "import"
    assert {key: said[key] for key in facts} == facts


def test_no_script(tmp_path: Path) -> None:
    with pytest.raises(entry.EntryError, match=r"my_score.py does not exist"):
        entry.load(settings(tmp_path), ALIVE)


def test_init_raises(tmp_path: Path) -> None:
    (tmp_path / "my_score.py").write_text("def init():\n    1 / 0\ndef run(data): pass")
    module = entry.load(settings(tmp_path), ALIVE)
    with pytest.raises(entry.EntryError) as caught:
        entry.initialise(module, ALIVE)
    facts = caught.value.facts
    assert facts["step"] == "init"
    assert facts["traceback"].splitlines()[1].endswith('my_score.py", line 2, in init')


@pytest.mark.parametrize("step", ["import", "init"])
def test_sys_exit_is_told_with_its_place(tmp_path: Path, step: str) -> None:
    body = "    sys.exit('no licence')\n"
    script = "import sys\ndef init():\n" + (body if step == "init" else "    pass\n")
    (tmp_path / "my_score.py").write_text(
        script + "def run(data): pass\n" + (body.strip() if step == "import" else "")
    )
    with pytest.raises(entry.EntryError) as caught:
        entry.initialise(entry.load(settings(tmp_path), ALIVE), ALIVE)
    assert caught.value.facts["step"] == step
    assert caught.value.facts["type"] == "SystemExit"
    assert "sys.exit('no licence')" in caught.value.facts["message"]
    assert "my_score.py" in caught.value.facts["traceback"]


def test_the_exit_of_sigterm_stays_one(tmp_path: Path) -> None:
    (tmp_path / "my_score.py").write_text("def init(): raise SystemExit(0)\ndef run(data): pass")
    ending = SimpleNamespace(requested=True)
    with pytest.raises(SystemExit):
        entry.initialise(entry.load(settings(tmp_path), ending), ending)
