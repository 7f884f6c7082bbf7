from __future__ import annotations

import json
from typing import Any

import pytest

from mooring.cli import output, progress


def test_a_table_in_a_pipe_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"name": "a", "tags": {"k": "v"}}, {"name": "b" * 200, "tags": None}]
    output.print_table(
        rows, [("NAME", "name"), ("TAGS", "tags"), ("UP", lambda row: row["tags"] is None)], empty="none"
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "TAGS", "UP"]
    assert lines[1].split() == ["a", "k=v", "no"]
    assert lines[2].split() == ["b" * 200, "yes"]


def test_nothing_found_is_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table([], [("NAME", "name")], empty="No models.")
    assert capsys.readouterr() == ("", "No models.\n")


def test_a_record_leaves_out_what_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_record(
        {"name": "s", "error": None, "log": "a\nb"}, [("Name", "name"), ("Error", "error"), ("Log", "log")]
    )
    assert capsys.readouterr().out == "Name  s\nLog   a\n      b\n"


def test_json_keeps_letters_and_prints_what_is_not_json_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"name": "Größe", "when": {1}})
    assert json.loads(capsys.readouterr().out) == {"name": "Größe", "when": "{1}"}


def test_sizes() -> None:
    assert [output.bytes_text(n) for n in (0, 1023, 1536, 2 * 1024**3)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "2.0 GiB",
    ]


def phase(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, **more}


def test_phases_are_shown_once_when_they_have_ended(capsys: pytest.CaptureFixture[str]) -> None:
    times = {"startedTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T00:00:01.500000Z"}
    with progress.Phases("Deploying s", quiet=False) as view:
        view.show({"phases": [phase("Build", "Running"), phase("Start", "Pending")]})
        view.show(
            {"phases": [phase("Build", "Succeeded", **times, detail="2 layers"), phase("Start", "Running")]}
        )
        view.show(
            {
                "phases": [
                    phase("Build", "Succeeded", **times, detail="2 layers"),
                    phase("Start", "Failed", **times),
                ]
            }
        )
    assert capsys.readouterr().err.splitlines() == [
        "Deploying s",
        "  Build        1.5 s  2 layers",
        "  Start        1.5 s  failed",
    ]


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Phases("Deploying s", quiet=True) as view:
        view.show({"phases": [phase("Build", "Failed")]})
    assert capsys.readouterr() == ("", "")
