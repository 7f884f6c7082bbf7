"""One mistake, made through SDK, command line and REST; and what it must have left: nothing."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support import RunningServer, eventually, processes_below
from typer.testing import CliRunner, Result

from azureml.core import Workspace
from azureml.exceptions import AzureMLException
from mooring.cli.main import app

# Older releases mix the two streams unless told not to; newer ones cannot be told.
SEPARATE = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
NAME = "badinput"
BASE = f"/mooring/v1/subscriptions/sub/resourceGroups/rg/workspaces/{NAME}"
WHERE = ["-w", NAME, "-g", "rg", "--subscription-id", "sub"]


@dataclass(frozen=True)
class Problem:
    """What is shown of an error everywhere."""

    code: str
    phase: str
    message: str
    hint: str
    evidence: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: Mapping[str, Any]) -> Problem:
        return cls(
            error["code"],
            error.get("phase", ""),
            error["message"],
            error.get("hint") or "",
            error.get("evidence") or {},
        )

    def same_as(self, other: Problem) -> None:
        assert (self.code, self.phase, self.hint) == (other.code, other.phase, other.hint)
        assert sorted(self.evidence) == sorted(other.evidence)


@dataclass(frozen=True)
class Expected:
    """What an error must say.

    Attributes:
        code: its cause code.
        phase: of the operation.
        kind: the exception class of Azure's SDK, exactly.
        message: a pattern.
        hint: a pattern.
        evidence: names, and a pattern each.
    """

    code: str
    phase: str
    kind: type[AzureMLException]
    message: str
    hint: str = "."
    evidence: Mapping[str, str] = field(default_factory=dict)

    def check(self, problem: Problem) -> None:
        assert (problem.code, problem.phase) == (self.code, self.phase), problem
        assert re.search(self.message, problem.message), problem.message
        assert re.search(self.hint, problem.hint), problem.hint
        for name, pattern in self.evidence.items():
            assert re.search(pattern, problem.evidence[name]), problem.evidence


class Desk:
    """A workspace that a mistake is made in."""

    def __init__(self, server: RunningServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        # For an `init()` that waits: a file its sandbox shows it.
        self.gate = server.home.parent / "gates" / folder.name
        server.client.put(BASE, json={"existOk": True}).raise_for_status()
        self.ws = Workspace("sub", "rg", NAME)

    def raises(self, call: Callable[[], Any], expected: Expected) -> Problem:
        """The SDK raises what is expected."""
        with pytest.raises(AzureMLException) as caught:
            call()
        error = caught.value
        assert type(error) is expected.kind, repr(error)
        assert error.code in str(error)
        assert error.hint in str(error)
        problem = Problem(error.code, error.phase, error.message, error.hint, error.evidence)
        expected.check(problem)
        return problem

    def command(self, *arguments: str) -> Result:
        """The command line, in this process."""
        return CliRunner(**SEPARATE).invoke(app, [*arguments, *WHERE])

    def refuses(self, arguments: list[str], expected: Expected) -> Problem:
        """The command says what is expected: as JSON, and as a block for people with the same parts."""
        problem = self.refuses_json(arguments, expected)
        shown = self.command(*arguments, "--output", "table")
        self.is_block(shown, problem)
        return problem

    def refuses_json(self, arguments: list[str], expected: Expected) -> Problem:
        done = self.command(*arguments, "--output", "json")
        assert done.exit_code == 1, done.stderr
        assert not done.stdout
        problem = Problem.of(json.loads(done.stderr[done.stderr.index("{") :])["error"])
        expected.check(problem)
        return problem

    @staticmethod
    def is_block(shown: Result, problem: Problem) -> None:
        assert shown.exit_code == 1
        assert "Error: " in shown.stderr
        assert f"  {problem.code} in {problem.phase}" in shown.stderr
        assert f"What to do: {problem.hint}" in shown.stderr
        for name in problem.evidence:
            assert f"  {name}:" in shown.stderr

    def denies(self, method: str, path: str, expected: Expected, body: Any = None) -> Problem:
        """The native API answers what is expected."""
        answer = self.server.client.request(method, BASE + path, json=body)
        assert answer.status_code >= 400, answer.text
        problem = Problem.of(answer.json()["error"])
        expected.check(problem)
        return problem

    def error_of(self, service: str) -> Problem:
        """Why a service failed, as REST tells it: in the service and in its operation alike."""
        view = self.server.client.get(f"{BASE}/services/{service}").json()
        operation = self.server.client.get(f"{BASE}/operations/{view['operationId']}").json()
        assert (view["state"], operation["state"]) == ("Failed", "Failed")
        assert view["error"] == operation["error"]
        assert [p["name"] for p in operation["phases"] if p["state"] == "Failed"] == [
            operation["error"]["phase"]
        ]
        return Problem.of(view["error"])

    def drop(self, service: str) -> None:
        """Delete a service and wait until it is gone."""
        answer = self.server.client.delete(f"{BASE}/services/{service}")
        assert answer.status_code == 202, answer.text
        assert self.server.wait(answer.json(), BASE)["state"] == "Succeeded"

    def state(self) -> dict[str, Any]:
        """All that exists: in the workspace, and in the data directory where nothing shall be half-made."""

        def names(collection: str) -> list[str]:
            rows = self.server.client.get(f"{BASE}/{collection}").json()["value"]
            return sorted(row.get("id") or row["name"] for row in rows)

        home = self.server.home
        return {
            "models": names("models"),
            "images": names("images"),
            "services": names("services"),
            "localServices": names("localServices"),
            "uploads": sorted(p.name for p in (home / "content/uploads").iterdir()),
            "directories": sorted(p.name for p in (home / "services").iterdir()),
            "scratch": sorted(str(p) for p in (home / "cache").glob("**/tmp/*-*") if "uv/" not in str(p)),
        }

    def unchanged(self, before: Mapping[str, Any]) -> None:
        """Nothing was left, and nothing runs that did not run before."""
        # Work in progress, such as the housekeeper's, may have been seen before: none of it may stay.
        wanted = {**before, "uploads": [], "scratch": []}
        eventually(lambda: self.state() == wanted, f"{self.state()} becomes {wanted}")
        services = set(before["directories"])
        for command in processes_below(self.server.home / "services").values():
            assert any(uid in command for uid in services), command
