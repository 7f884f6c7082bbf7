"""The collector is killed before each thing it does; nothing that is referred to is ever lost."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mooring_server.controllers.garbage import Housekeeper
from mooring_server.images.unpack import Unpacker
from mooring_server.services.checks.checker import check
from mooring_server.services.context import Context, WorkspaceRef
from mooring_server.services.models import Models
from mooring_server.services.operations import Operations
from mooring_server.services.references import referenced
from mooring_server.services.workspaces import Workspaces
from mooring_server.settings import Collection, Home
from mooring_server.store.content import ContentStore
from mooring_server.store.database import Database
from mooring_server.store.tables import BaseImage, PushedBlob, PushedManifest, now
from mooring_server.targets.process import ProcessTarget

# Each child is killed (SIGKILL to itself) before its n-th event of these; the parent has one thread.
COLLECT = """
import os, shutil, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_garbage_killed import keeper, damage
EVENTS = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "shutil.rmtree", "tempfile.mkdtemp"}
origin, steps = Path(sys.argv[1]), 0
home = origin.with_name("copy")

def collect(last):
    seen = 0
    def audit(event, arguments):
        nonlocal seen
        if event in EVENTS or event == "commit":
            seen += 1
            if seen > last:
                os.kill(os.getpid(), signal.SIGKILL)
    made = keeper(home)
    from sqlalchemy import event
    event.listen(made._context.db.engine, "commit", lambda connection: sys.audit("commit"))
    sys.addaudithook(audit)
    made.collect()

while True:
    shutil.copytree(origin, home)
    pid = os.fork()
    if not pid:
        try:
            collect(steps)
        except BaseException:
            import traceback; traceback.print_exc(); os._exit(2)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert damage(home) == [], (steps, damage(home))
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
    shutil.rmtree(home)
    steps += 1
print(steps)
"""


def keeper(home: Path) -> Housekeeper:
    """A collector as the server has it, with no grace."""
    context = Context(Database.open(home / "mooring.db"), ContentStore(home / "content"))
    target = ProcessTarget(home / "services", Unpacker(context.store, home / "cache" / "unpacked"))
    return Housekeeper(context, Operations(context), target, Collection(grace_seconds=0))


def damage(home: Path) -> list[str]:
    """What the check finds, temporary files aside: the next start of the server removes them."""
    database = Database(f"sqlite:///{home / 'mooring.db'}")
    found = check(Home(home), database, deep=True).findings
    database.close()
    return [f"{f.code} {f.subject} {f.message}" for f in found if f.code != "TemporaryLeft"]


def size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Kept: a model, images, a base, what was pushed. Garbage: blobs, a deleted model, superseded images, unpacked
    directories, a blob whose manifest never came.
    """
    home = tmp_path / "home"
    home.mkdir()
    made = keeper(home)
    context, ref = made._context, WorkspaceRef("sub", "rg", "ws")
    Workspaces(context).create(ref, {}, exist_ok=False)
    put = context.store.put_bytes
    models = Models(context)
    for number in range(4):
        digest = put(b"model %d" % number * 50_000)
        models.register(ref, {"name": "m", "files": [{"path": "m.pkl", "digest": digest}]})
    for number in range(7):
        add_image(context, home, number)
    for version in (1, 2):
        models.delete(ref, f"m:{version}")
    put(b"abandoned" * 10_000)
    add_base_and_pushed(context)
    (context.store.uploads / "left").write_bytes(b"x")
    context.db.close()
    return home


def add_image(context: Context, home: Path, number: int) -> None:
    put = context.store.put_bytes
    layer = put(b"layer %d" % number * 10_000)
    config = put(json.dumps({"number": number, "rootfs": {"diff_ids": [layer]}}).encode())
    parts = {
        "config": {"digest": config, "size": context.store.size(config)},
        "layers": [{"digest": layer, "size": context.store.size(layer), "annotations": {}}],
    }
    manifest = put(json.dumps(parts).encode())
    unpacked = home / "cache" / "unpacked" / "images" / manifest.partition(":")[2]
    (unpacked / "var").mkdir(parents=True)
    (unpacked / "var" / "file").write_bytes(b"u" * 10_000)
    with context.db.write() as session:
        from mooring_server.store.tables import Image

        session.add(
            Image(
                workspace_id=1, name="svc", version=number + 1, implicit=True, flavor="", tags={}, properties={},
                request={"files": []}, model_ids=[], state="Succeeded", built={}, digest=manifest,
                operation_id="", created="", modified="",
            )
        )  # fmt: skip
        session.flush()
        from mooring_server.store.tables import Counter

        session.merge(Counter(workspace_id=1, kind="image", name="svc", last=number + 1))


def add_base_and_pushed(context: Context) -> None:
    put = context.store.put_bytes
    base, layer, pushed, late = (put(name * 10_000) for name in (b"base", b"layer", b"pushed", b"late"))
    config = put(json.dumps({"rootfs": {"diff_ids": [base]}}).encode())
    parts = {"config": {"digest": config, "size": context.store.size(config)}}
    described = {"digest": base, "size": context.store.size(base)}
    manifest = put(json.dumps({**parts, "layers": [described]}).encode())
    place = {"workspace_id": 1, "repository": "mine"}
    with context.db.write() as session:
        session.add(
            BaseImage(name="b", digest=manifest, content={}, origin="", is_default=True, created=now())
        )
        session.add(
            PushedManifest(
                **place,
                digest=pushed,
                media_type="",
                size=1,
                refers_to=[layer],
                annotations={},
                created=now(),
            )
        )
        session.add_all(PushedBlob(**place, digest=digest, created="2020-01-01") for digest in (layer, late))


def test_killed_before_each_step(home: Path) -> None:
    before = size(home / "content") + size(home / "cache")
    assert damage(home) == []
    command = [sys.executable, "-c", COLLECT, str(home), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 20
    assert damage(home) == []
    made = keeper(home)
    made.collect()
    kept = set(made._context.store.digests())
    with made._context.db.read() as session:
        assert kept == referenced(session, made._context.store)
    assert len(list((home / "cache" / "unpacked" / "images").iterdir())) == 3
    made._context.db.close()
    with sqlite3.connect(home / "mooring.db") as connection:
        assert connection.execute("SELECT count(*) FROM pushed_blobs").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM models").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM images").fetchone() == (3,)
    connection.close()
    assert size(home / "content") + size(home / "cache") < before * 0.6


def test_what_is_touched_stays_for_its_grace(context: Context, ref: WorkspaceRef) -> None:
    made = Housekeeper(
        context,
        Operations(context),
        ProcessTarget(
            context.store.root.parent / "s", Unpacker(context.store, context.store.root.parent / "u")
        ),
        Collection(grace_seconds=100),
    )
    old = time.time() - 1000
    reused, unused = context.store.put_bytes(b"reused"), context.store.put_bytes(b"unused")
    for digest in (reused, unused):
        os.utime(context.store.path(digest), (old, old))
    assert context.store.touch(reused)
    assert not context.store.touch("sha256:" + "0" * 64)
    made.collect()
    assert context.store.has(reused)
    assert not context.store.has(unused)
