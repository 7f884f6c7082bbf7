"""The parts of the sandbox, each with the real kernel."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mooring_runtime.supervisor import bubblewrap, landlock, sandbox_paths, seccomp
from mooring_runtime.supervisor.failure import SupervisorError
from mooring_runtime.supervisor.sandbox import Sandbox, Sandboxes
from mooring_runtime.supervisor.sandbox_choice import choose
from mooring_runtime.supervisor.scratch import COPIED_BYTES, Scratch, remove
from mooring_runtime.supervisor.spec import RevisionSpec, SandboxSpec, parse_revision

needs_landlock = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")


def python(code: str, enter: Callable[[], None]) -> str:
    """What Python prints last after ``enter`` was called between fork and exec."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=enter,
        timeout=60,
        # Coverage would write its data where the rules allow nothing to be written.
        env={k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")},
    )
    return (done.stdout + done.stderr).strip().splitlines()[-1]


@needs_landlock
@pytest.mark.parametrize("abi", range(1, landlock.version() + 1))
def test_every_version_of_landlock(abi: int, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (tmp_path / "ours").mkdir()
    rules = landlock.Ruleset(abi, files=True, network=True)
    for path in (*sandbox_paths.SYSTEM, *sandbox_paths.interpreter(Path(sys.executable), []), Path("/proc")):
        rules.read(path)
    rules.write(tmp_path / "ours")
    rules.device(Path("/dev/null"))
    if abi >= landlock.NETWORK_SINCE:
        rules.connect([1])
    try:
        assert "PermissionError" in python(f"open({str(tmp_path / 'secret')!r})", rules.enter)
        assert python(f"print(open({str(tmp_path / 'ours' / 'f')!r}, 'w').write('1'))", rules.enter) == "1"
        bind = "import socket; print(socket.socket().bind(('127.0.0.1', 0)))"
        assert ("PermissionError" in python(bind, rules.enter)) is (abi >= landlock.NETWORK_SINCE)
        kill = f"import os; print(os.kill({os.getpid()}, 0))"
        assert ("PermissionError" in python(kill, rules.enter)) is (abi >= landlock.SCOPES_SINCE)
        empty = f"import os; os.truncate({str(tmp_path / 'secret')!r}, 0)\nprint('done')"
        assert ("PermissionError" in python(empty, rules.enter)) is (abi >= 3)
    finally:
        rules.close()


@pytest.mark.skipif(not seccomp.available(), reason="no filter for this processor or kernel")
def test_no_sockets_but_unix_ones() -> None:
    def enter() -> None:
        filtered.enter()

    filtered = seccomp.UnixSocketsOnly()
    if os.geteuid() != 0:
        pytest.skip("a filter alone needs root; in a sandbox no_new_privs was set before")
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_PACKET):
        code = f"import socket; socket.socket({int(family)}, socket.SOCK_DGRAM)"
        assert "PermissionError" in python(code, enter)
    assert python("import socket; print(socket.socketpair() and socket.socket(1) and 1)", enter) == "1"


def test_carving_leaves_out_what_is_protected(tmp_path: Path) -> None:
    for name in ("a/x", "a/secret/y", "b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "to-secret").symlink_to("a/secret")
    assert sandbox_paths.carve(tmp_path / "b", [tmp_path / "a"]) == [tmp_path / "b"]
    assert sandbox_paths.carve(tmp_path, [tmp_path / "a" / "secret"]) == [
        tmp_path / "a" / "x",
        tmp_path / "b",
    ]
    assert sandbox_paths.carve(tmp_path, [tmp_path]) == []


def test_an_interpreter_in_the_home_folder_does_not_open_it(tmp_path: Path) -> None:
    version = "{}.{}".format(*sys.version_info)
    (tmp_path / f"lib/python{version}").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").touch()
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/python").symlink_to(tmp_path / "bin/python3")
    (tmp_path / "venv/pyvenv.cfg").write_text(f"home = {tmp_path}/bin\n")
    found = sandbox_paths.interpreter(tmp_path / "venv/bin/python", [tmp_path])
    assert {tmp_path / "venv", tmp_path / "bin/python3"} <= set(found)
    assert tmp_path not in found
    assert tmp_path / f"lib/python{version}" in found
    assert sandbox_paths.interpreter(tmp_path / "bin/python3", []) == [tmp_path]


def test_scratch_reads_like_the_image_and_can_be_changed(tmp_path: Path) -> None:
    image, models, outside = tmp_path / "image", tmp_path / "models", tmp_path / "outside"
    for folder in (image / "azureml-models" / "m", models, outside):
        folder.mkdir(parents=True)
    (outside / "key").write_text("secret")
    (image / "score.py").write_text("1")
    (image / "score.py").chmod(0o444)
    (image / "key").symlink_to(outside / "key")
    (image / "dangling").symlink_to("nowhere")
    (image / "again").symlink_to(image)
    (models / "big.bin").write_bytes(b"x" * (COPIED_BYTES + 1))
    (image / "azureml-models" / "m" / "1").symlink_to(models)
    scratch = Scratch(tmp_path / "scratch" / "r", image, [models])
    assert (scratch.app / "score.py").read_text() == "1"
    (scratch.app / "score.py").write_text("2")
    assert (image / "score.py").read_text() == "1"
    assert (scratch.app / "key").is_symlink()
    assert (scratch.app / "key").readlink() == outside / "key"
    assert (scratch.app / "dangling").is_symlink()
    assert (scratch.app / "again").resolve() == image
    model = scratch.app / "azureml-models" / "m" / "1"
    assert (model / "big.bin").stat().st_size == COPIED_BYTES + 1
    (model / "unpacked").write_text("beside the model")
    assert not (models / "unpacked").exists()
    (scratch.home / "deep").mkdir()
    (scratch.home / "deep" / "file").touch()
    (scratch.home / "deep").chmod(0)
    assert Scratch(tmp_path / "scratch" / "r", image).app == scratch.app
    remove(scratch.path)
    assert not scratch.path.exists()
    assert (models / "big.bin").exists()


def test_what_is_not_possible_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SupervisorError, match="bubblewrap is not installed") as caught:
        choose(SandboxSpec(mode="bwrap"))
    assert caught.value.failure.code == "SandboxUnavailable"
    assert "apt-get install bubblewrap" in caught.value.failure.hint
    automatic = choose(SandboxSpec())
    assert automatic.mode == ("landlock" if landlock.version() else "none")
    assert "not installed" in automatic.why
    assert choose(SandboxSpec(mode="none")).mode == "none"
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert "bwrap: No permissions" in bubblewrap.find(network=True)[1]


def test_exits_through_bubblewrap() -> None:
    assert [bubblewrap.exit_code(code) for code in (0, 3, 134, 137, 255)] == [0, 3, -6, -9, 255]


def revision(tmp_path: Path, mode: str) -> RevisionSpec:
    (tmp_path / "app").mkdir(exist_ok=True)
    env = {
        "AML_APP_ROOT": str(tmp_path / "app"),
        "PYTHONPATH": f"{tmp_path}/app/lib:/x",
        "OTHER": f"{tmp_path}/apple",
    }
    return RevisionSpec(
        "1",
        sys.executable,
        str(tmp_path),
        str(tmp_path / "app"),
        "score.py",
        env=env,
        sandbox=SandboxSpec(mode),
    )


@needs_landlock
def test_paths_lead_into_the_scratch_folder(tmp_path: Path) -> None:
    spec = revision(tmp_path, "landlock")
    sandbox = Sandbox(spec, tmp_path / "service", choose(SandboxSpec("landlock")))
    app = sandbox.revision.app_root
    assert app.startswith(str(tmp_path / "service" / "scratch"))
    assert sandbox.revision.env["AML_APP_ROOT"] == app
    assert sandbox.revision.env["PYTHONPATH"] == f"{app}/lib:/x"
    assert sandbox.revision.env["OTHER"] == f"{tmp_path}/apple"
    temporary = Path(sandbox.revision.env["TMPDIR"])
    assert len(str(temporary)) < 60
    assert temporary.stat().st_mode & 0o777 == 0o700
    sandbox.close()
    assert not temporary.exists()


def test_without_a_sandbox_nothing_changes(tmp_path: Path) -> None:
    sandboxes = Sandboxes(tmp_path)
    plain = RevisionSpec("1", sys.executable, "/w", "/app", "score.py")
    assert sandboxes.of(plain) is None
    switched_off = sandboxes.of(revision(tmp_path, "none"))
    assert switched_off is not None
    assert switched_off.revision == switched_off.original
    assert sandboxes.state(plain)["mode"] == "none"
    sandboxes.keep([])


@pytest.mark.parametrize(
    ("sandbox", "says"),
    [
        ({"mode": "strong"}, "one of auto, bwrap, landlock, none"),
        ({"network": "some"}, "one of auto, none, outbound, all"),
        ({"readable": [1]}, "a list of str"),
        ({"closed_ports": ["80"]}, "a list of int"),
        ({"colour": 1}, "Unknown field revision.sandbox.colour"),
    ],
)
def test_a_sandbox_that_makes_no_sense(sandbox: dict[str, object], says: str) -> None:
    fields = {"id": "1", "python": "/p", "worker_dir": "/w", "app_root": "/a", "entry_script": "s.py"}
    with pytest.raises(SupervisorError, match=says):
        parse_revision({**fields, "sandbox": sandbox})
