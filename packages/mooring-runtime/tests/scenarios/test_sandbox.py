"""What scripts in the sandbox can and cannot do, in every mode, as root and as somebody without rights."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from confined import DENIED, NOBODY, READ_ONLY, SECRET, Confined, confined, why_not

from mooring_runtime.supervisor import landlock, proctable
from mooring_runtime.supervisor.child import MARK
from mooring_runtime.supervisor.ports import OUTBOUND
from mooring_runtime.testing import until

USERS = sorted({os.geteuid(), NOBODY})
CGROUP_FILES = sorted(str(path) for path in Path("/sys/fs/cgroup").glob("*/cgroup.procs"))
PLACES = [(mode, user) for mode in ("bwrap", "landlock") for user in USERS]
needs_ports = pytest.mark.skipif(
    landlock.version() < landlock.NETWORK_SINCE, reason="Landlock before version 4 knows no ports"
)


@pytest.fixture(scope="module", params=PLACES, ids=lambda place: f"{place[0]}-{place[1]}")
def supervised(request: pytest.FixtureRequest) -> Iterator[Confined]:
    """A supervisor; one for all tests of a mode and user."""
    mode, user = request.param
    if why := why_not(mode, user):
        pytest.skip(why)
    with confined(mode, user) as started:
        yield started


@pytest.fixture
def place(supervised: Confined) -> Confined:
    """The service with the script that does what it is told, whatever the test before has deployed."""
    if not supervised.standard:
        supervised.apply()
    assert supervised.service.ready()["isolation"] == supervised.mode
    return supervised


def test_secrets_cannot_be_read(place: Confined) -> None:
    place.service.ready()
    own = place.service.directory
    secrets = [
        path for path in place.home.rglob("*") if path.is_file() and path.read_bytes() == SECRET.encode()
    ]
    assert len(secrets) == 7
    for path in (*secrets, own / "spec.json", own / "state.json", own / "control.key", Path("/etc/shadow")):
        assert place.run(f"answer = open({str(path)!r}).read()")["raised"] in DENIED, path
    for folder in (place.home, place.data / "services" / "other", place.data / "content"):
        listed = place.run(f"import os\nanswer = os.listdir({str(folder)!r})")
        assert listed.get("raised") in DENIED or not {"id_rsa", "spec.json", "blob"} & set(listed["answer"])


def test_nothing_is_written_but_to_the_scratch_folder(place: Confined) -> None:
    original = Path(place.service.spec["revision"]["app_root"])
    for folder in (place.home, place.data, original, place.service.directory, Path("/usr"), Path("/etc")):
        tried = place.run(f"open({str(folder / 'made-by-the-test')!r}, 'w')")
        # Tests live in /tmp, of which bubblewrap makes one of the worker's own.
        assert tried.get("raised") in READ_ONLY or place.mode == "bwrap", folder
        assert not (folder / "made-by-the-test").exists()
    tried = place.run(f"open({str(original / 'score.py')!r}, 'a')")
    assert tried["raised"] in READ_ONLY
    tried = place.run(f"import os\nos.truncate({str(place.data / 'mooring.db')!r}, 0)")
    assert tried["raised"] in READ_ONLY
    assert (place.data / "mooring.db").read_text() == SECRET
    # User 0 owns these, with or without capabilities.
    for file in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", *CGROUP_FILES):
        assert place.run(f"open({file!r}, 'a')")["raised"] in READ_ONLY, file
    place.run("open('/tmp/made-by-the-test', 'w')")  # bubblewrap has a /tmp of its own
    assert not Path("/tmp/made-by-the-test").exists()


def test_what_scripts_do_works(place: Confined) -> None:
    write = "open({0}, 'w').write('x')\nanswer = open({0}).read()"
    assert place.answer(write.format("'beside-me.txt'")) == "x"
    assert place.answer("import os\n" + write.format("os.path.join(os.environ['HOME'], 'cache')")) == "x"
    assert place.answer("import os\n" + write.format("os.path.join(os.environ['AML_APP_ROOT'], 'y')")) == "x"
    assert place.answer("import os\n" + write.format("os.path.expanduser('~/z')")) == "x"
    assert (
        place.answer("import tempfile\nwith tempfile.NamedTemporaryFile() as f: answer = f.write(b'xx')") == 2
    )
    assert place.answer("import os\nos.mkdir('d')\nos.rename('beside-me.txt', 'd/moved')\nanswer = 1") == 1
    assert (
        place.answer("import subprocess\nanswer = subprocess.check_output(['echo', 'x']).decode()") == "x\n"
    )
    assert place.answer("import multiprocessing as m\nwith m.Pool(2) as p: answer = p.map(abs, [-1])") == [1]
    assert place.answer("import ssl\nanswer = ssl.create_default_context() is not None") is True
    assert place.answer("import ctypes.util, decimal, sqlite3, lzma\nanswer = 1") == 1
    assert place.answer("import socket\nanswer = socket.gethostbyname('localhost')") == "127.0.0.1"
    assert place.answer("import pwd, os\nanswer = pwd.getpwuid(os.getuid()).pw_uid") == place.user
    assert place.answer("import os\nanswer = len(os.urandom(3)) + os.cpu_count() * 0") == 3
    assert place.answer("import os\nos.write(os.open('/dev/null', os.O_WRONLY), b'1')\nanswer = 1") == 1


@needs_ports
def test_ports_of_others(place: Confined) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connect = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 5)"
        assert place.run(connect)["raised"] == "PermissionError"
    bind = "import socket\nsocket.socket().bind(('127.0.0.1', {}))"
    for port in (0, 8080):
        assert place.run(bind.format(port))["raised"] == "PermissionError"
    with listener_of(OUTBOUND) as server:
        port = server.getsockname()[1]
        code = f"import socket\nanswer = socket.create_connection(('127.0.0.1', {port}), 5).getpeername()[1]"
        assert place.answer(code) == port
    assert place.service.ready()["sandbox"]["network"] == "outbound"


def listener_of(ports: Iterable[int]) -> socket.socket:
    """A listening socket on some free port that scripts may call."""
    for port in sorted(ports, reverse=True):
        listener = socket.socket()
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            listener.close()
            continue
        listener.listen()
        return listener
    raise AssertionError("no port is free")


def test_other_processes(place: Confined) -> None:
    pid = place.service.process.pid
    place.service.ready()
    if place.mode == "bwrap" or landlock.version() >= landlock.SCOPES_SINCE:
        killed = place.run(f"import os\nos.kill({pid}, 0)")
        assert killed["raised"] in DENIED
    for file in ("environ", "mem", "maps"):
        assert place.run(f"answer = open('/proc/{pid}/{file}', 'rb').read(1)")["raised"] in DENIED
    attach = f"import ctypes\nanswer = ctypes.CDLL(None).ptrace(16, {pid}, 0, 0)"
    assert place.answer(attach) == -1
    assert place.answer(f"import os\nanswer = os.path.exists('/proc/{pid}')") is (place.mode == "landlock")


def test_the_control_socket_takes_no_orders_from_a_script(place: Confined) -> None:
    path = place.service.directory / "control.sock"
    code = f"""
import json, os, socket
folder = os.open({str(path.parent)!r}, os.O_PATH)
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect("/proc/self/fd/%d/control.sock" % folder)
    connection.sendall(b'{{"op": "stop", "key": ""}}\\n')
    answer = json.loads(connection.makefile().readline())
"""
    result = place.run(code)
    if place.mode == "bwrap":
        assert result["raised"] in DENIED
    else:
        assert result["answer"]["error"]["code"] == "RequestInvalid"
    place.service.ready()


def test_no_privileges(place: Confined) -> None:
    status = place.answer("answer = open('/proc/self/status').read()")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert int(fields["CapEff"], 16) == 0
    assert int(fields["CapPrm"], 16) == 0
    assert fields["NoNewPrivs"].strip() == "1"
    limits = "import resource as r\nanswer = [r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_NOFILE)[1] <= 65536]"
    assert place.answer(limits) == [[0, 0], True]


def test_ends_are_seen_as_they_are(place: Confined) -> None:
    for code, seen in (("os._exit(4)", "exit status 4"), ("os.abort()", "signal 6 (SIGABRT)")):
        before = place.service.ready()["workers"][0]
        assert place.service.post(f'{{"code": "import os; {code}"}}'.encode()).status == 502
        state = place.service.client.wait(
            lambda now, before=before: (
                now["phase"] == "Ready" and now["workers"][0]["restarts"] == before["restarts"] + 1
            ),
            30,
        )
        assert state["workers"][0]["last_exit"] == seen
    pid = place.service.ready()["workers"][0]["pid"]
    assert "main.py" in Path(f"/proc/{pid}/cmdline").read_text()
    os.kill(pid, signal.SIGKILL)
    state = place.service.client.wait(
        lambda now: now["phase"] == "Ready" and now["workers"][0]["pid"] != pid, 120
    )
    assert state["workers"][0]["last_exit"] == "signal 9 (SIGKILL)"
    assert place.service.client.status()["workers"][0]["rss_bytes"] > 1 << 20


def test_a_script_that_hangs_is_shown(place: Confined) -> None:
    place.apply(
        "import time\ndef init():\n    hang = time.sleep\n    hang(600)\ndef run(data): pass",
        init_deadline_seconds=2,
    )
    failure = place.service.failed()
    assert failure["code"] == "InitTimeout"
    assert "in init" in failure["evidence"]["stack"]
    place.apply()
    place.service.ready()


def test_memory(place: Confined) -> None:
    greedy = (
        "def init():\n    kept = []\n    while True: kept.append(bytearray(1 << 20))\ndef run(data): pass"
    )
    place.apply(greedy, memory_bytes=96 << 20)
    failure = place.service.failed()
    assert failure["code"] == "OutOfMemory", failure
    place.apply()
    place.service.ready()


def test_cpu(place: Confined) -> None:
    place.apply(cpu_cores=0.2)
    if place.service.ready()["limits"]["cpu"] != "cgroup":
        pytest.skip("no control groups to write to as this user")
    busy = """
import time
end, before = time.monotonic() + 1, time.process_time()
while time.monotonic() < end: pass
answer = time.process_time() - before
"""
    assert place.answer(busy) < 0.4


def test_processes(place: Confined) -> None:
    limited = place.service.ready()["limits"]["processes"]
    assert limited == (
        "cgroup" if os.access("/sys/fs/cgroup/pids", os.W_OK) and place.user == 0 else "rlimit"
    )
    bomb = """
import os, time
answer = 0
try:
    while answer < 3000:
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
        answer += 1
except BlockingIOError:
    pass
"""
    count = place.answer(bomb)
    assert 500 < count < 1100
    pid = place.service.ready()["workers"][0]["pid"]
    os.kill(pid, signal.SIGKILL)
    place.service.client.wait(lambda now: now["phase"] == "Ready" and now["workers"][0]["pid"] != pid, 120)
    mark = f"{MARK}={place.service.directory}"
    until(lambda: len(proctable.marked(mark)) < 100, "the bomb's processes have ended")
    assert place.answer("answer = 1") == 1


@pytest.mark.parametrize("network", ["none", "all"])
def test_networks(place: Confined, network: str) -> None:
    place.apply(network=network)
    assert place.service.ready()["sandbox"]["network"] == network
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        call = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 5)\nanswer = 1"
        tcp = place.run(call)
        send = f"socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('198.51.100.1', {port}))"
        udp = place.run(f"import socket\n{send}\nanswer = 1")
    if network == "all":
        assert tcp["answer"] == 1
        bind = "import socket\nwith socket.socket() as s: s.bind(('127.0.0.1', 0))\nanswer = 1"
        assert place.answer(bind) == 1
    else:
        assert tcp["raised"] in {"PermissionError", "ConnectionRefusedError"}
        assert udp["raised"] in {"PermissionError", "OSError"}
    pool = "import multiprocessing as m\nwith m.Manager() as x: answer = list(x.list([1]))"
    assert place.answer(pool) == [1]


def test_scratch_goes_with_its_revision(place: Confined) -> None:
    place.apply()
    place.service.ready()
    root = place.service.directory / "scratch"
    place.answer("import os\nos.makedirs('locked/in')\nos.chmod('locked', 0)\nanswer = 1")
    before = set(root.iterdir())
    place.apply(SCORE_AGAIN)
    place.service.ready()
    until(lambda: len(list(root.iterdir())) == 1, "one scratch folder is left")
    assert not before & set(root.iterdir())


SCORE_AGAIN = "def init(): open('state', 'a').write('x')\ndef run(data): return open('state').read()"


def test_nothing_outlives_a_killed_supervisor(place: Confined) -> None:
    place.apply(SCORE_AGAIN + "  # again")
    place.service.ready()
    assert place.service.post(b"").json() == "x"
    place.service.kill()
    until(lambda: not proctable.marked(f"{MARK}={place.service.directory}"), "all has ended")
    place.service.restart()
    place.service.ready()
    assert place.service.post(b"").json() in {"x", "xx"}
