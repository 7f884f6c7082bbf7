"""The model registry, driven at random, against a dictionary."""

import itertools
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mooring_server.domain.errors import NotFound
from mooring_server.services.context import Context, WorkspaceRef
from mooring_server.services.models import Models
from mooring_server.services.paging import Paging
from mooring_server.services.workspaces import Workspaces
from mooring_server.testing import make_context

NAMES = st.sampled_from(["a", "b", "A", "a.b"])
TAGS = st.dictionaries(
    st.sampled_from(["k", "K", "k k", "ä$.'["]), st.sampled_from(["", "v", "V", "1", "ü=x"]), max_size=3
)
VERSIONS = st.integers(0, 6)
numbers = itertools.count()


class Registry(RuleBasedStateMachine):
    """``kept`` maps (name, version) to tags, in the order of registration; ``last`` is never counted back."""

    context: Context

    @initialize()
    def begin(self) -> None:
        self.ref = WorkspaceRef("sub", "rg", f"ws{next(numbers)}")
        Workspaces(self.context).create(self.ref, {}, exist_ok=False)
        self.models = Models(self.context)
        self.kept: dict[tuple[str, int], dict[str, str]] = {}
        self.last: dict[str, int] = {}

    @rule(name=NAMES, tags=TAGS)
    def register(self, name: str, tags: dict[str, str]) -> None:
        digest = self.context.store.put_bytes(name.encode())
        files = [{"path": "m", "digest": digest}]
        view = self.models.register(self.ref, {"name": name, "files": files, "kvTags": tags})
        self.last[name] = self.last.get(name, 0) + 1
        assert view["id"] == f"{name}:{self.last[name]}"
        self.kept[name, self.last[name]] = tags

    @rule(name=NAMES, version=VERSIONS, tags=TAGS)
    def update(self, name: str, version: int, tags: dict[str, str]) -> None:
        if (name, version) not in self.kept:
            with pytest.raises(NotFound):
                self.models.update(self.ref, f"{name}:{version}", {"kvTags": tags})
            return
        assert self.models.update(self.ref, f"{name}:{version}", {"kvTags": tags})["kvTags"] == tags
        self.kept[name, version] = tags

    @rule(name=NAMES, version=VERSIONS)
    def delete(self, name: str, version: int) -> None:
        if self.kept.pop((name, version), None) is None:
            with pytest.raises(NotFound):
                self.models.delete(self.ref, f"{name}:{version}")
        else:
            self.models.delete(self.ref, f"{name}:{version}")

    @rule(name=NAMES)
    def latest(self, name: str) -> None:
        versions = [v for n, v in self.kept if n == name]
        if versions:
            assert self.models.get(self.ref, name)["version"] == max(versions)
        else:
            with pytest.raises(NotFound):
                self.models.get(self.ref, name)

    @rule(
        name=st.none() | NAMES,
        tags=TAGS,
        keys=st.sets(st.sampled_from(["k", "K", "k k"]), max_size=1),
        only_latest=st.booleans(),
        count=st.integers(1, 4),
    )
    def search(
        self, name: "str | None", tags: dict[str, str], keys: set[str], only_latest: bool, count: int
    ) -> None:
        latest = {n: max(v for m, v in self.kept if m == n) for n, _ in self.kept}
        expected = [
            f"{n}:{v}"
            for (n, v), has in reversed(self.kept.items())
            if name in {None, n}
            and all(has.get(k) == value for k, value in tags.items())
            and keys <= set(has)
            and (not only_latest or latest[n] == v)
        ]
        filters = {
            "name": name,
            "tags": ",".join([*(f"{k}={v}" for k, v in tags.items()), *keys]) or None,
            "latestVersionOnly": "true" if only_latest else None,
        }
        assert self.all_pages(filters, count) == expected

    def all_pages(self, filters: "dict[str, str | None]", count: int) -> list[str]:
        found: list[str] = []
        token: str | None = None
        while True:
            page = self.models.list(self.ref, filters, Paging("/", (), count, token))
            assert len(page["value"]) <= count
            found += [model["id"] for model in page["value"]]
            link = page["nextLink"]
            if link is None:
                return found
            assert len(page["value"]) == count
            token = link.rpartition("=")[2]

    @invariant()
    def everything_is_kept(self) -> None:
        if hasattr(self, "kept"):
            listed: list[Any] = self.models.list(self.ref, {}, Paging("/"))["value"]
            assert {(m["name"], m["version"]): m["kvTags"] for m in listed} == self.kept


@pytest.mark.parametrize("examples", [8, pytest.param(150, marks=pytest.mark.full)])
def test_the_registry_is_a_dictionary(examples: int, tmp_path: Any) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    context = make_context(tmp_path)
    machine = type("Machine", (Registry,), {"context": context})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(max_examples=examples, stateful_step_count=25, deadline=None, database=None),
        )
    finally:
        context.db.close()
