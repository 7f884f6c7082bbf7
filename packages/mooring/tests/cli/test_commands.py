from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import mooring
from mooring.cli import workspaces
from mooring.cli.failures import CliError
from mooring.cli.main import app

# Older releases mix the two streams unless told not to; newer ones cannot be told.
SEPARATE = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
runner = CliRunner(**SEPARATE)


def commands(command: Any, name: str = "mooring") -> list[tuple[str, Any]]:
    found = []
    for child_name, child in command.commands.items():
        full = f"{name} {child_name}"
        found += commands(child, full) if getattr(child, "commands", None) else [(full, child)]
    return found


ALL = commands(typer.main.get_command(app))


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_names: Any) -> None:
        raise CliError(
            "ServerUnreachable", "nothing answers", hint="mooring up", phase="Run", evidence={"log": "a\nb"}
        )

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workspaces, "resolve", refuse)


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _ in ALL])
def test_every_command_has_help_with_an_example_of_itself(name: str, command: Any) -> None:
    result = runner.invoke(app, [*name.split()[1:], "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"\n    {name}" in result.output
    assert command.help.splitlines()[0].endswith((".", ":")) or "." in command.help
    for option in command.params:
        assert getattr(option, "help", None), f"{name} {option.name} has no help"


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _ in ALL])
def test_every_command_knows_the_output_option(name: str, command: Any) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--output", "-o"} <= options
    if name.split()[1] in {"workspace", "model", "service", "environment", "image"}:
        assert {"-w", "-g", "--subscription-id"} <= options


def test_dangerous_commands_can_be_tried_and_confirmed() -> None:
    for name, command in ALL:
        options = {option for parameter in command.params for option in parameter.opts}
        if name.endswith((" delete", " down")):
            assert {"--yes", "-y", "--dry-run"} <= options, name


def test_version() -> None:
    result = runner.invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.strip() == mooring.__version__


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["model", "regster"], "register"),
        (["model", "register", "-n", "m"], "--model-path"),
        (["model", "list", "--output", "xml"], "expected json or table, got 'xml'"),
        (["model", "register", "-n", "m", "-p", "x", "--tag", "novalue"], "KEY=VALUE"),
        (["model", "show"], "--model-id"),
        (["model", "show", "-i", "m:1", "-n", "m"], "name one model"),
        (["image", "show"], "--image-id"),
        (["service", "run", "-n", "s"], "--input-data"),
        (["service", "get-logs", "-n", "s", "--lines", "0"], "--lines"),
        (["service", "regen-key", "-n", "s", "-k", "third"], "Primary or Secondary"),
        (["workspace", "delete", "--yes"], "-w"),
        (["environment", "register"], "exactly one"),
        (["environment", "register", "-r", "requirements.txt"], "--name"),
        (["up", "--port", "99999999"], "--port"),
    ],
)
@pytest.mark.usefixtures("unreachable")
def test_usage_errors_exit_with_2_and_change_nothing(arguments: list[str], says: str) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert not result.stdout


@pytest.mark.usefixtures("unreachable")
def test_errors_are_blocks_on_stderr_and_exit_with_1() -> None:
    result = runner.invoke(app, ["model", "list", "-o", "table"])
    assert result.exit_code == 1
    assert not result.stdout
    assert result.stderr.startswith("Error: nothing answers\n  ServerUnreachable in Run\n")
    assert "What to do: mooring up" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("unreachable")
def test_errors_are_json_for_programs() -> None:
    result = runner.invoke(app, ["model", "list", "--output", "json"])
    assert result.exit_code == 1
    error = json.loads(result.stderr)["error"]
    assert error["code"] == "ServerUnreachable"
    assert error["evidence"] == {"log": "a\nb"}


@pytest.mark.usefixtures("unreachable")
def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" in runner.invoke(app, ["model", "list", "--debug"]).stderr
    monkeypatch.setenv("MOORING_DEBUG", "1")
    assert "Traceback" in runner.invoke(app, ["model", "list"]).stderr


@pytest.mark.usefixtures("unreachable")
def test_the_output_format_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORING_OUTPUT", "table")
    assert runner.invoke(app, ["model", "list"]).stderr.startswith("Error:")


def test_input_from_a_missing_file_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, ["service", "run", "-n", "s", "-d", "@nothing.json", "-o", "json"])
    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"]["code"] == "InputNotFound"


def test_without_a_terminal_deleting_needs_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Held:
        name = "risk"
        webservices = images = models = {"one": None}  # noqa: RUF012

        def delete(self) -> None:
            pytest.fail("deleted without --yes")

    monkeypatch.setattr(workspaces, "resolve", lambda *_: Held())
    dry = runner.invoke(app, ["workspace", "delete", "-w", "risk", "--dry-run", "-o", "table"])
    assert dry.exit_code == 0
    left = "Would delete workspace risk and MLflow's runs in it, with services one; images one; models one"
    assert left in dry.stderr
    result = runner.invoke(app, ["workspace", "delete", "-w", "risk", "-o", "json"])
    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"]["code"] == "ConfirmationNeeded"


def test_help_and_completion_import_nothing_heavy() -> None:
    script = """
import sys
from mooring.cli.main import app
try:
    app(["model", "--help"], prog_name="mooring")
except SystemExit:
    pass
heavy = {"httpx", "yaml", "rich.table", "rich.progress", "mooring.sdk.client"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_completion_is_silent_without_a_server(tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "MOORING_HOME": str(tmp_path),
        "_MOORING_COMPLETE": "complete_bash",
        "COMP_WORDS": "mooring service show -n ",
        "COMP_CWORD": "4",
        "_TYPER_COMPLETE_ARGS": "mooring service show -n ",
    }
    environ.pop("MOORING_ENDPOINT", None)
    code = "from mooring.cli.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environ, cwd=tmp_path
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")
    assert not list(tmp_path.iterdir())
