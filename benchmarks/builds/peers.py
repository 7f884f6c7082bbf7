"""Build and push beside an equivalent Dockerfile, with the same base, the same pins and the same registry.

*Cold*: nothing is cached, packages are downloaded and packed. *Wheels*: packages are downloaded. *Layers*: the
environment's layer is cached, and the script or the model changes. The base is there in each case.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from benchmarks.builds.bench import Bench, pins, server
from benchmarks.builds.engines import Builder, Registry, docker, podman, wait
from benchmarks.builds.table import Table, silently, timed

# What this machine trusts is what the build must trust.
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
DOCKERFILE = """
FROM {base}
COPY ca.crt /app/
COPY requirements.txt server.py /app/
RUN python3 -m pip install --break-system-packages --cert /app/ca.crt {options} -r /app/requirements.txt
COPY model.pkl /app/
COPY score.py /app/
USER 10001
WORKDIR /app
ENV AZUREML_MODEL_DIR=/app
CMD ["python3", "server.py"]
"""
SERVER = """
import os

import score
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

score.init()

async def call(request):
    return JSONResponse(score.run(await request.body()))

uvicorn.run(Starlette(routes=[Route("/score", call, methods=["POST"])]), host="127.0.0.1", port=int(os.environ["PORT"]))
"""
QUESTION = {"data": [[0.0] * 10]}


class Context:
    """A Dockerfile and what it copies."""

    def __init__(self, folder: Path, source: Path, base: str, builder: Builder) -> None:
        self.folder = folder
        self.source = source
        self.builder = builder
        folder.mkdir()
        shutil.copy(AUTHORITIES, folder / "ca.crt")
        servers = [f"{name}=={version(name)}" for name in ("starlette", "uvicorn")]
        (folder / "requirements.txt").write_text("\n".join([*pins(), *servers]))
        (folder / "server.py").write_text(SERVER)
        options = "" if builder.cache else "--no-cache-dir"
        (folder / "Dockerfile").write_text(DOCKERFILE.format(base=base, options=options))

    def image(self, tag: str, *options: str) -> float:
        """Build and push what the script and the model are now; seconds."""
        for name in ("score.py", "model.pkl"):
            shutil.copy(self.source / name, self.folder / name)

        def build() -> None:
            self.builder.build(self.folder, tag, *(self.builder.cache or []), *options)
            self.builder.push(tag)

        return timed(build)

    def scored(self, tag: str, revision: int) -> float:
        """From the changed script to its first right answer; seconds. Nothing is pushed."""

        def change() -> None:
            shutil.copy(self.source / "score.py", self.folder / "score.py")
            self.builder.build(self.folder, tag, *(self.builder.cache or []))
            with self.builder.running(tag) as address:
                answered(f"{address}/score", revision)

        return timed(change)


def answered(uri: str, revision: int) -> None:
    """Until the script of this number answers."""

    def answers() -> bool:
        try:
            answer = httpx.post(uri, json=QUESTION, trust_env=False, timeout=10)
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.json()[0] == revision

    wait(answers)


def mooring(*arguments: str) -> None:
    """The command, with the home that is in the environment."""
    program = Path(sys.executable).with_name("mooring")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mooring {' '.join(arguments)}\n{done.stderr}")


def first_builds(table: Table, folder: Path, base: Path, registry: str, contexts: list[Context]) -> Path:
    """Cold, and with downloaded packages. Returns a home that has all layers."""
    first, second = folder / "peers-first", folder / "peers-home"
    own = {}
    for case, home in (("cold", first), ("wheels", second)):
        if case == "wheels":
            (second / "cache").mkdir(mode=0o700, parents=True)
            second.chmod(0o700)
            shutil.move(first / "cache" / "uv", second / "cache" / "uv")
            shutil.rmtree(first)
        with server(home, f"{registry}/{case}") as workspace:
            mooring("base", "import", str(base), "--name", "bench")
            mooring("base", "default", "bench")
            bench = Bench(workspace, folder)
            bench.change_script()
            own[case] = [bench.image(bench.change_model())]
            table.seconds(f"{case}: Mooring, build and push", own[case])
        for context in contexts:
            if case == "wheels" and context.builder.cache is None:
                continue
            values = [context.image(f"{case}/theirs:1", "--no-cache")]
            table.seconds(f"{case}: {context.builder.name}, build and push", values)
            table.ratio(context.builder.name, values, own[case], 1.3)
    return second


def rebuilds(table: Table, bench: Bench, contexts: list[Context], count: int) -> None:
    """The environment's layer is there, one thing changes; in turns."""
    bench.change_script()
    model = bench.change_model()
    bench.image(model)
    for context in contexts:
        context.image("theirs/bench:0")
    for thing in ("model", "script"):
        own, theirs = [], {context.builder.name: list[float]() for context in contexts}
        for number in range(count):
            if thing == "model":
                model = bench.change_model()
            else:
                bench.change_script()
            own.append(bench.image(model))
            for context in contexts:
                theirs[context.builder.name].append(context.image(f"theirs/bench:{thing}{number}"))
        table.seconds(f"layers, {thing} changed: Mooring, build and push", own)
        for name, values in theirs.items():
            table.seconds(f"layers, {thing} changed: {name}, build and push", values)
            table.ratio(name, values, own, 4)


def sizes(table: Table, registry: Registry, contexts: list[Context], ours: str) -> None:
    """What is pulled: bytes, and seconds into an engine that has nothing of it but, perhaps, the base."""
    own = registry.size(ours) / 1e6
    table.text("image, packed: Mooring", f"{own:.1f} MB")
    for context in contexts:
        theirs = registry.size("theirs/bench:0") / 1e6
        table.text(f"image, packed: {context.builder.name}", f"{theirs:.1f} MB")
        table.ratio(context.builder.name, [theirs], [own], 1)


def pulls(table: Table, address: str, folder: Path, ours: str) -> None:
    """Into empty storage, by skopeo: the engines would differ in what they have already."""
    if shutil.which("skopeo") is None:
        table.text("pull: not measured, skopeo is not installed", "")
        return
    values: dict[str, list[float]] = {}
    for name, reference in (("Mooring", ours), ("Dockerfile", "theirs/bench:0")):
        target = folder / f"pulled-{name}"
        command = ["skopeo", "copy", "--quiet", "--src-tls-verify=false"]
        whole = [*command, f"docker://{address}/{reference}", f"oci:{target}:1"]
        values[name] = [timed(lambda whole=whole: subprocess.run(whole, check=True))]  # type: ignore[misc]
        shutil.rmtree(target)
        table.seconds(f"pull by skopeo: {name}", values[name])
    table.ratio("Dockerfile", values["Dockerfile"], values["Mooring"], None)


def changes(table: Table, folder: Path, home: Path, contexts: list[Context], count: int) -> None:
    """From a changed script to a container that answers with it, on the same engine."""
    for context in contexts:
        name = context.builder.name
        os.environ["DOCKER_HOST"] = f"unix://{context.builder.socket}"
        os.environ["MOORING_HOME"] = str(home)
        mooring("up", "--target", "container")
        with server(home) as workspace:
            own, theirs = changed(Bench(workspace, folder), context, count)
        table.seconds(f"changed script to first score: Mooring, in {name}", own)
        table.seconds(f"changed script to first score: {name} build and run", theirs)
        table.ratio(name, theirs, own, 1)


def changed(bench: Bench, context: Context, count: int) -> tuple[list[float], list[float]]:
    """Seconds of Mooring's update and of the peer's build and start, in turns."""
    bench.change_script()
    model = bench.change_model()
    service = silently(lambda: bench.deploy("bench", model))
    own, theirs = [], []
    for _ in range(count):
        bench.change_script()
        own.append(timed(lambda: silently(lambda: update(service, bench, model))))
        theirs.append(context.scored("change/bench:1", bench.script))
    silently(service.delete)
    return own, theirs


def update(service: Any, bench: Bench, model: Any) -> None:
    """A new revision, until it answers."""
    service.update(models=[model], inference_config=bench.inference_config())
    service.wait_for_deployment()
    answered(service.scoring_uri, bench.script)


def run(table: Table, folder: Path, base: Path, count: int) -> None:
    """All rows.

    Args:
        table: prints.
        folder: for everything.
        base: a root directory as an archive, with Python and pip.
        count: rounds.
    """
    missing = [name for name in ("docker-registry", "podman") if shutil.which(name) is None]
    if missing:
        table.text(f"beside Dockerfiles: not measured, {' and '.join(missing)} not installed", "")
        return
    registry = Registry(folder / "registry")
    try:
        with podman(folder / "podman", registry.address) as one:
            other = docker(registry.address)
            if other is None:
                table.text("Docker: not measured, no Docker Engine answers", "")
            measure(table, folder, base, registry, [one, other] if other else [one], count)
    finally:
        registry.close()


def measure(
    table: Table,
    folder: Path,
    base: Path,
    registry: Registry,
    builders: list[Builder],
    count: int,
) -> None:
    """All rows beside these builders."""
    address = registry.address
    contexts = []
    for builder in builders:
        builder.call("import", str(base), "mooring-bench-base:1")
        place = folder / f"context-{builder.name}"
        contexts.append(Context(place, folder, "mooring-bench-base:1", builder))
    home = first_builds(table, folder, base, address, contexts)
    with server(home, f"{address}/layers") as workspace:
        bench = Bench(workspace, folder)
        rebuilds(table, bench, contexts, count)
        names = registry.tags("layers/bench")
        ours = f"layers/bench:{max(filter(str.isdigit, names), key=int)}"
    changes(table, folder, home, contexts, count)
    sizes(table, registry, contexts, ours)
    pulls(table, address, folder, ours)
