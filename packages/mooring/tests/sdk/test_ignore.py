from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.sdk.files import walk
from mooring.sdk.ignore import IgnoreRules


@pytest.mark.parametrize(
    ("lines", "path", "ignored"),
    [
        (["*.csv"], "a.csv", True),
        (["*.csv"], "deep/er/a.csv", True),
        (["*.csv", "!keep.csv"], "keep.csv", False),
        (["/a.csv"], "deep/a.csv", False),
        (["/a.csv"], "a.csv", True),
        (["data/*.csv"], "data/x.csv", True),
        (["data/*.csv"], "other/data/x.csv", False),
        (["data/*.csv"], "data/deep/x.csv", False),
        (["data/**"], "data/deep/x.csv", True),
        (["**/x.csv"], "x.csv", True),
        (["a?c"], "abc", True),
        (["a?c"], "a/c", False),
        (["[ab].txt"], "b.txt", True),
        (["[!ab].txt"], "b.txt", False),
        (["[ab"], "[ab", True),
        (["# x", "", "   "], "x", False),
        (["!"], "x", False),
        ([], ".git", True),
        ([], "a/__pycache__", True),
        ([], "a/b.pyc", True),
        ([], "score.py", False),
    ],
)
def test_rules(lines: list[str], path: str, ignored: bool) -> None:
    assert IgnoreRules(lines).ignores(path) is ignored


def test_directories_only() -> None:
    rules = IgnoreRules(["build/"])
    assert rules.ignores("build", is_dir=True)
    assert not rules.ignores("build")


@given(st.lists(st.text(max_size=12), max_size=4), st.text(min_size=1, max_size=12))
def test_any_text_is_a_pattern(lines: list[str], path: str) -> None:
    IgnoreRules(lines).ignores(path)


def test_amlignore_counts_before_gitignore(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "score.py", ".venv/x", ".ipynb_checkpoints/y", "sub/__pycache__/z.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".gitignore").write_text("a.txt\n")
    assert [f.path for f in walk(tmp_path, IgnoreRules.of(tmp_path))] == [".gitignore", "b.txt", "score.py"]
    (tmp_path / ".amlignore").write_text("b.txt\n.*ignore\n")
    assert [f.path for f in walk(tmp_path, IgnoreRules.of(tmp_path))] == ["a.txt", "score.py"]


def test_dockerignore_begins_at_the_top(tmp_path: Path) -> None:
    lines = ["# comment", "notes.md", "./data/", "**/*.tmp", "!deep/keep.tmp", ""]
    (tmp_path / ".dockerignore").write_text("\n".join(lines))
    for name in (
        "notes.md",
        "deep/notes.md",
        "data/x",
        "deep/data/x",
        "a.tmp",
        "deep/b.tmp",
        "deep/keep.tmp",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    sent = {file.path for file in walk(tmp_path, IgnoreRules.of_docker(tmp_path))}
    assert sent == {".dockerignore", "deep/notes.md", "deep/data/x", "deep/keep.tmp"}
    (tmp_path / ".dockerignore").unlink()
    assert len(list(walk(tmp_path, IgnoreRules.of_docker(tmp_path)))) == 7
