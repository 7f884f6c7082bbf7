"""What 10,000 models, 1,000 images and 200 services cost, and whether it grows: `make bench-scale`.

    python benchmarks/scale.py [--models 10000] [--images 1000] [--services 200]

Use cases and controllers are the server's own, with a real database and content store in a temporary directory;
only the builder and the target are the fakes of `mooring_server.testing`: nothing is built, and nothing runs. Each
row is measured while there are few (the first tenth) and when all are there; the ratio says how the cost of one grew.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mooring_server.controllers.garbage import Housekeeper
from mooring_server.services.context import WorkspaceRef
from mooring_server.services.models import Models
from mooring_server.services.paging import Paging
from mooring_server.services.workspaces import Workspaces
from mooring_server.store.tables import Service
from mooring_server.testing import Scenario, make_context

REF = WorkspaceRef("sub", "rg", "ws")
ROUNDS = 15
Call = Callable[[], Any]


@dataclass
class Row:
    """One measured call: seconds and peak memory, when there were few and when all were there."""

    name: str
    items: tuple[int, int] = (1, 1)
    seconds: list[float] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)

    def line(self) -> str:
        """As the table shows it, per item where a call handles many."""
        few, many = (1000 * s / n for s, n in zip(self.seconds, self.items, strict=True))
        memory = "  ".join(f"{b / 1024:8,.0f}" for b in self.bytes)
        return f"{self.name:44}{few:10.3f}{many:10.3f}{many / few:8.2f}   {memory}"


class Bench:
    """One server's worth of stores and controllers."""

    def __init__(self, directory: Path) -> None:
        self.context = make_context(directory)
        Workspaces(self.context).create(REF, {}, exist_ok=False)
        self.scenario = Scenario(self.context, REF)
        self.models = Models(self.context)
        self.keeper = Housekeeper(self.context, self.scenario.operations, self.scenario.target)
        self.rows: dict[str, Row] = {}
        self.registered: list[float] = []
        self.counts = [0, 0, 0]

    def fill(self, models: int, images: int, services: int) -> None:
        """Up to so many of each."""
        context, scenario = self.context, self.scenario
        for n in range(self.counts[0], models):
            digest = context.store.put_bytes(b"model %d" % n)
            request = {"name": f"model-{n % 500}", "files": [{"path": "m.pkl", "digest": digest}]}
            begin = time.perf_counter()
            self.models.register(REF, {**request, "kvTags": {"n": str(n % 100)}})
            self.registered.append(time.perf_counter() - begin)
        for n in range(self.counts[1], images):
            request = {**scenario.script(), "modelIds": [f"model-{n % 100}:1", f"model-{(n + 1) % 100}:1"]}
            scenario.images.create(REF, f"image-{n % 50}", {**request, "kvTags": {"n": str(n % 100)}})
        scenario.build()
        for n in range(self.counts[2], services):
            image = f"image-{n % 50}:{1 + n // 50 % max(images // 50, 1)}"
            request = {"name": f"svc-{n}", "computeType": "ACI", "imageId": image, "authEnabled": True}
            scenario.services.create(REF, request)
        self.settle()
        self.keeper.reconcile(2)  # collect, so that there is a last time
        self.counts = [models, images, services]

    def settle(self) -> None:
        """Bring every service up, as far as the fake target goes."""
        for key in list(self.scenario.controller.known()):
            self.scenario.controller.reconcile(key)
        for uid in list(self.scenario.target.specs):
            self.scenario.target.finish(uid)
        for key in list(self.scenario.controller.known()):
            self.scenario.controller.reconcile(key)

    def measure(self) -> None:
        """Every call, with what is there now."""
        for name, items, call in self.calls():
            row = self.rows.setdefault(name, Row(name))
            row.items = (items, items) if not row.seconds else (row.items[0], items)
            row.seconds.append(statistics.median(_timed(call) for _ in range(ROUNDS)))
            tracemalloc.start()
            call()
            row.bytes.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        name = "register a model"
        recent = self.registered[-len(self.registered) // 10 :]
        row = self.rows.setdefault(name, Row(name))
        row.seconds.append(statistics.median(recent))
        row.bytes.append(0)

    def calls(self) -> Iterator[tuple[str, int, Call]]:
        """Name, items that one call handles, call."""
        models, images, services = self.models, self.scenario.images, self.scenario.services
        last = self.counts[0] - 1
        newest = f"model-{last % 500}:{last // 500 + 1}"
        image = f"image-{(self.counts[1] - 1) % 50}:{(self.counts[1] - 1) // 50 + 1}"
        page = Paging("/")
        some = Paging("/", count=20)
        yield "get a model", 1, lambda: models.get(REF, newest)
        yield "get a model's latest version", 1, lambda: models.get(REF, "model-7")
        yield "list models, a page of 255", 255, lambda: _shown(models.list(REF, {}, page))
        yield (
            "list models, the last page",
            20,
            lambda: _shown(models.list(REF, {}, Paging("/", count=20, skip_token="21"))),
        )
        yield (
            "list models by name, 2 versions or more",
            20,
            lambda: models.list(REF, {"name": "model-7"}, some),
        )
        yield "list models by tag, 5", 5, lambda: models.list(REF, {"tags": "n=7"}, Paging("/", count=5))
        yield (
            "list models by a tag nobody has (a scan)",
            self.counts[0],
            lambda: models.list(REF, {"tags": "none=1"}, some),
        )
        yield "refuse to delete a model in use", 1, lambda: _refused(lambda: models.delete(REF, "model-3:1"))
        yield "get an image", 1, lambda: images.get(REF, image)
        yield "list images, a page of 100", 100, lambda: _shown(images.list(REF, {}, Paging("/", count=100)))
        yield (
            "list images of a model",
            2,
            lambda: images.list(REF, {"modelId": "model-3:1"}, Paging("/", count=2)),
        )
        yield "get a service", 1, lambda: services.get(REF, "svc-1")
        yield "list services, a page", 20, lambda: _shown(services.list(REF, {}, some))
        yield "look at a service that is as it should be", self.counts[2], self._look
        yield "housekeeping: is there anything to do", 1, self.keeper.due
        yield "housekeeping: deadlines", 1, self.keeper.expire
        yield "housekeeping: collect, a blob", len(list(self.context.store.digests())), self.keeper.collect

    def _look(self) -> None:
        for key in self.scenario.controller.known():
            self.scenario.controller.reconcile(key)


def _timed(call: Call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _shown(page: Any) -> str:
    """What an edge adds: the page as JSON."""
    assert page["value"]
    return json.dumps(page)


def _refused(call: Call) -> None:
    from mooring_server.domain.errors import Conflict

    try:
        call()
    except Conflict:
        return
    raise AssertionError("it was not refused")


def main() -> None:
    """Fill a tenth, measure, fill the rest, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("models", 10_000), ("images", 1_000), ("services", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    wanted = (options.models, options.images, options.services)
    with tempfile.TemporaryDirectory(prefix="mooring-scale-") as directory:
        bench = Bench(Path(directory))
        bench.fill(*(n // 10 for n in wanted))
        bench.measure()
        begin = time.perf_counter()
        bench.fill(*wanted)
        filling = time.perf_counter() - begin
        bench.measure()
        with bench.context.db.read() as session:
            assert session.query(Service).count() == options.services
        bench.context.db.close()
    print(f"{wanted[0]:,} models, {wanted[1]:,} images, {wanted[2]:,} services; filled in {filling:.0f} s\n")
    print(f"{'':44}{'ms an item, with':>20}{'':11}{'peak KiB of a call':>18}")
    print(f"{'':44}{'a tenth':>10}{'all':>10}{'ratio':>8}   {'a tenth':>8}  {'all':>8}")
    for row in bench.rows.values():
        print(row.line())


if __name__ == "__main__":
    main()
