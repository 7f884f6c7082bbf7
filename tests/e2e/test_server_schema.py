"""schemathesis makes requests from the served OpenAPI description, and holds the answers against it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from support import RunningServer, kill_all

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis needs Python 3.11")

from schemathesis.checks import load_all_checks, not_a_server_error  # noqa: E402 - there is nothing to import on 3.10
from schemathesis.core.failures import FailureGroup  # noqa: E402
from schemathesis.generation import GenerationMode  # noqa: E402
from schemathesis.specs.openapi import checks  # noqa: E402

load_all_checks()
# A description cannot say that a digest was uploaded or an id exists, so that a request may fit it and be refused.
# Wrong tokens are refused by 429 after a while, which `ignored_auth` does not expect; test_server_tokens proves it
# for every route.
EXCLUDED = [checks.positive_data_acceptance, checks.ignored_auth]
# 501, where the description has it: what is not installed beside the server.
NOT_INSTALLED = [*EXCLUDED, not_a_server_error]
NAMES = {"subscription": "sub", "resource_group": "rg", "workspace": "ws"}
# What a server does not do at random: these are driven on purpose in the other tests.
WAITS = re.compile(r"/logs$")
# These fetch packages and images from elsewhere.
LEFT_OUT = {"POST /mooring/v1/bases", "POST /mooring/v1/bases/pull"}


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of its own: what is registered here at random would confuse the other tests."""
    server = RunningServer(tmp_path_factory.mktemp("fuzzed") / "home").start()
    try:
        assert server.client.put("/mooring/v1/subscriptions/sub/resourceGroups/rg/workspaces/ws", json={})
        yield server
        server.close()
    finally:
        kill_all(server.home)


def check_all(server: RunningServer, examples: int) -> None:
    """Run every operation with so many generated requests; report all that fails, not the first."""
    description = server.client.get("/mooring/v1/openapi.json").json()
    # Every request has the token; what happens without one is test_server_tokens' matter.
    del description["security"], description["components"]["securitySchemes"]
    schema = schemathesis.openapi.from_dict(description)
    headers = {"Authorization": f"Bearer {server.token}"}
    problems: dict[str, str] = {}
    statuses: Counter[int] = Counter()
    count = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.label in LEFT_OUT:
            continue

        def attempt(case: Any) -> None:
            nonlocal count
            count += 1
            # Half of all requests know where they are; else nothing but 404 would be seen.
            if count % 2:
                case.path_parameters.update({k: v for k, v in NAMES.items() if k in case.path_parameters})
            if WAITS.search(case.operation.path):
                case.query = {k: v for k, v in (case.query or {}).items() if k != "follow"}
            response = case.call(base_url=server.url, headers=headers, timeout=60)
            statuses[response.status_code] += 1
            excluded = NOT_INSTALLED if response.status_code == 501 else EXCLUDED
            try:
                case.validate_response(response, headers=headers, excluded_checks=excluded)
            except FailureGroup as error:
                problems.setdefault(case.operation.label, str(error))

        both = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]
        run = given(st.one_of(both))(attempt)
        run = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(run)
        seed(20261121)(run)()
    assert {200, 400, 404} <= set(statuses), statuses
    assert not problems, "\n\n".join(f"=== {name}\n{text}" for name, text in problems.items())


def test_answers_are_as_described(fuzzed: RunningServer) -> None:
    check_all(fuzzed, 6)


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_answers_are_as_described_at_length(fuzzed: RunningServer) -> None:
    check_all(fuzzed, 100)


def test_nothing_unexpected_was_logged(fuzzed: RunningServer) -> None:
    log = Path(fuzzed.home / "output.log").read_text()
    assert "Traceback" not in log, log[-5000:]
