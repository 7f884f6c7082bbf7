"""Azure's scoring contract, request by request.

What Azure's own server answered is kept in ``golden.json`` (``python tools/record_conformance.py``), so that every
run compares; the full run asks that server again.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance_cases import WORLDS, World
from conformance_differences import DIFFERENCES, as_meant, explained
from conformance_facts import Facts, differences, observe
from conformance_servers import ours, reference, reference_python

from mooring_runtime.supervisor import bubblewrap, landlock
from mooring_runtime.testing import Service, running

GOLDEN: dict[str, dict[str, Facts]] = json.loads(
    Path(__file__).with_name("golden.json").read_text(encoding="utf-8")
)
each_world = pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One supervisor and front for all worlds: each is a revision."""
    with running(tmp_path_factory.mktemp("conformance")) as started:
        yield started


def compare(world: World, expected: dict[str, Facts], actual: dict[str, Facts]) -> None:
    """Fails with all differences that the table does not explain, and all entries that explain nothing."""
    wrong = []
    needless = {(name, aspect) for name in expected for d in DIFFERENCES for aspect in d.ours
                if explained(f"{world.name}/{name}", aspect) is d}  # fmt: skip
    for name, facts in expected.items():
        for aspect, (theirs, mine) in differences(facts, actual[name]).items():
            difference = explained(f"{world.name}/{name}", aspect)
            needless.discard((name, aspect))
            if difference is None or not as_meant(difference, aspect, theirs, mine):
                wrong.append(f"{name}, {aspect}:\n  reference {theirs!r}\n  ours      {mine!r}")
    wrong += [
        f"{name}, {aspect}: listed as a difference, but there is none" for name, aspect in sorted(needless)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_golden_file_has_every_request() -> None:
    assert sum(len(world.cases) for world in WORLDS) >= 500
    assert {w.name: sorted(c.name for c in w.cases) for w in WORLDS} == {
        name: sorted(cases) for name, cases in GOLDEN.items()
    }


@each_world
def test_answers_as_azure_does(world: World, service: Service, tmp_path: Path) -> None:
    if world.needs and importlib.util.find_spec(world.needs) is None:
        pytest.skip(f"{world.needs} is not installed here; the full run has it in the reference environment")
    host, port = ours(service, world, tmp_path / "app", Path(sys.executable))
    compare(world, GOLDEN[world.name], observe(host, port, world))


@pytest.mark.full
@pytest.mark.parametrize("mode", ["bwrap", "landlock", "none"])
@each_world
def test_answers_in_a_sandbox(world: World, mode: str, service: Service, tmp_path: Path) -> None:
    if world.needs and importlib.util.find_spec(world.needs) is None:
        pytest.skip(f"{world.needs} is not installed here")
    if mode == "bwrap" and (why := bubblewrap.find(network=True)[1]):
        pytest.skip(why)
    if mode == "landlock" and not landlock.version():
        pytest.skip("this kernel has no Landlock")
    host, port = ours(service, world, tmp_path / "app", Path(sys.executable), sandbox={"mode": mode})
    assert service.ready()["isolation"] == mode
    compare(world, GOLDEN[world.name], observe(host, port, world))


@pytest.mark.full
@each_world
def test_answers_as_the_reference_beside_it(world: World, service: Service, tmp_path: Path) -> None:
    python = reference_python()
    with reference(world, tmp_path / "reference", python) as (host, port):
        live = observe(host, port, world)
    stale = [name for name, facts in live.items() if differences(GOLDEN[world.name][name], facts)]
    assert not stale, f"golden.json is not what the reference says: {stale}"
    host, port = ours(service, world, tmp_path / "app", python)
    compare(world, live, observe(host, port, world))
