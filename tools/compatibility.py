"""Writes docs/compatibility.md: which names of Azure's API work, and the tests that show it.

A test says what it covers with `@pytest.mark.azureml("Workspace.from_config", "Model.register")`. This tool
collects the tests and joins them with tools/in_scope.json. Tests that are skipped or expected to fail show
nothing. The table is true because the tests it names pass in `make test`; `--run` runs just these first.

    python tools/compatibility.py            write the page
    python tools/compatibility.py --check    exit 1 when the page is not what would be written
    python tools/compatibility.py --run      run the marked tests, and write only when they pass
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "compatibility.md"
SCOPE = ROOT / "tools" / "in_scope.json"
HEAD = """# Compatibility

Which names of the Azure Machine Learning v1 SDK (azureml-core 1.61, and the 2018 names that went before)
work with Mooring, and the tests that show it. Mooring is compatible with that SDK's deployment part; it is
not made by, and not affiliated with, Microsoft.

This page is written by `make compatibility` from the tests' `azureml` marks; do not edit it.

- **works**: the tests named pass in `make test`.
- **not covered**: in scope, and no test shows it yet.
- **not in this version**: planned for later, or answered with an error that says what to use instead.
"""
Covered = Mapping[str, Sequence[str]]


class Recorder:
    """A pytest plugin: notes which tests cover which names."""

    def __init__(self) -> None:
        self.covered: dict[str, list[str]] = defaultdict(list)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Called once pytest has found all tests."""
        for item in items:
            if item.get_closest_marker("skip") or item.get_closest_marker("xfail"):
                continue
            test = item.nodeid.split("[")[0]
            for mark in item.iter_markers("azureml"):
                for name in mark.args:
                    if test not in self.covered[name]:
                        self.covered[name].append(test)


def collect(paths: Sequence[str] = ()) -> Covered:
    """What the tests cover. In a process of its own: conftest files and random order stay out of this one."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "covered.json"
        command = [sys.executable, __file__, "--collect-into", str(answer), *paths]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"collecting the tests failed:\n{done.stdout}{done.stderr}")
        covered: Covered = json.loads(answer.read_text(encoding="utf-8"))
        return covered


def collect_into(answer: Path, paths: Sequence[str]) -> int:
    """The child process of `collect`."""
    import pytest

    recorder = Recorder()
    options = ["--collect-only", "-q", "-p", "no:randomly", "-m", "azureml", "--no-header"]
    status = pytest.main([*options, *paths], plugins=[recorder])
    answer.write_text(json.dumps(recorder.covered), encoding="utf-8")
    return 0 if status in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED} else 1


def render(scope: Sequence[Mapping[str, Any]], covered: Covered) -> str:
    """The page."""
    known = {full(group, name) for group in scope for name in [*group["names"], *group["later"]]}
    unknown = sorted(set(covered) - known)
    if unknown:
        raise SystemExit(f"tests name what tools/in_scope.json does not have: {', '.join(unknown)}")
    works = sum(bool(covered.get(full(group, name))) for group in scope for name in group["names"])
    total = sum(len(group["names"]) for group in scope)
    parts = [HEAD, f"{works} of {total} names in scope work.\n"]
    for group in scope:
        title = f"{group['import']}.{group['class']}".rstrip(".")
        parts.append(
            f"## {title}\n\n| name | status | shown by |\n|---|---|---|\n" + "".join(rows(group, covered))
        )
    return "\n".join(parts)


def rows(group: Mapping[str, Any], covered: Covered) -> list[str]:
    """One class's lines."""
    lines = []
    for name in sorted([*group["names"], *group["later"]], key=str.lower):
        tests = sorted(covered.get(full(group, name), []))
        status = "works" if tests else "not in this version" if name in group["later"] else "not covered"
        lines.append(f"| `{name}` | {status} | {shown(tests)} |\n")
    return lines


def full(group: Mapping[str, Any], name: str) -> str:
    """`Workspace.get`; `Workspace` for the constructor; `WebserviceException` for a plain name."""
    if not group["class"]:
        return name
    return str(group["class"]) if name == "(constructor)" else f"{group['class']}.{name}"


def shown(tests: Sequence[str]) -> str:
    """At most three tests as links; the rest as a number."""
    links = [f"[{test.rsplit('::', 1)[-1]}](../{test.split('::')[0]})" for test in tests[:3]]
    more = f" and {len(tests) - 3} more" if len(tests) > 3 else ""
    return ", ".join(links) + more


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--collect-into", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("paths", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.collect_into:
        return collect_into(arguments.collect_into, arguments.paths)
    if arguments.run:
        subprocess.run([sys.executable, "-m", "pytest", "-q", "-m", "azureml"], cwd=ROOT, check=True)
    page = render(json.loads(SCOPE.read_text(encoding="utf-8")), collect())
    if arguments.check:
        if page != (PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""):
            print("docs/compatibility.md is stale: run `make compatibility`", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
