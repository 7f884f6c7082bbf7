"""Process 1 of a container: starts workers for the supervisor outside of it.

``<python> <worker_dir>/launcher.py <socket>``. It connects to the supervisor (a Unix socket of packets, mounted into
the container) and does what comes: JSON objects, one a packet, with descriptors beside them.

    {"op": "start", "id", "argv", "env", "cwd", "settings", "fds": [names]}   settings become MOORING_WORKER, with the
        descriptors that came under their names; "stdout" and "stderr" are the worker's own
    {"op": "signal", "id", "number"}
    {"op": "kill", "id"}                     SIGKILL to the worker and all it has started

It says

    {"event": "up"}
    {"event": "launched", "id", "pid"}
    {"event": "exit", "id", "code", "oom", "used"}   code as `subprocess` has it; oom: killed for memory; used: bytes

and ends, with all workers, when the supervisor goes away. Standard library only, CPython 3.6 and newer.
"""

import array
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress

PACKET = 1 << 18
MOST_FDS = 16
MARK = "MOORING_CHILD"
OURS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
# Version 2 and 1 of control groups, as seen from inside the container.
COUNTERS = (
    ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory.peak"),
    ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes"),
)


class Launcher:
    """The workers of this container.

    Args:
        connection: to the supervisor.
    """

    def __init__(self, connection):
        self._connection = connection
        self._pids = {}
        self._names = {}
        self._kills = oom_kills()
        self.stopping = False

    def run(self, woken):
        """Until the supervisor goes away; ``woken`` is readable after a signal."""
        self._say({"event": "up"})
        while not self.stopping:
            ready, _, _ = select.select([self._connection, woken], [], [])
            if woken in ready:
                woken.recv(4096)
                self._reap()
            if self._connection in ready:
                self._receive()

    def _receive(self):
        size = array.array("i").itemsize
        data, ancillary, _flags, _ = self._connection.recvmsg(
            PACKET, socket.CMSG_SPACE(MOST_FDS * size), socket.MSG_CMSG_CLOEXEC
        )
        if not data:
            self.stopping = True
            return
        fds = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(content[: len(content) - len(content) % size])
        message = json.loads(data.decode("utf-8"))
        if message["op"] == "start":
            self._start(message, dict(zip(message["fds"], fds)))  # noqa: B905 - CPython 3.6
        elif message["op"] == "signal":
            if message["id"] in self._names:
                os.kill(self._names[message["id"]], message["number"])
        elif message["op"] == "kill" and message["id"] in self._names:
            kill_marked(message["id"])
            os.kill(self._names[message["id"]], signal.SIGKILL)
        for fd in fds:
            os.close(fd)

    def _start(self, message, fds):
        settings = dict(message["settings"])
        settings.update({name: fd for name, fd in fds.items() if name not in ("stdout", "stderr")})
        environment = dict(os.environ)
        environment.update(message["env"])
        environment[MARK] = message["id"]
        environment["MOORING_WORKER"] = json.dumps(settings)
        # A signal that comes before the worker is one waits until our handlers, which would swallow it, are off.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
        pid = os.fork()
        if pid == 0:
            become(message["argv"], environment, message["cwd"], fds, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._pids[pid] = message["id"]
        self._names[message["id"]] = pid
        self._say({"event": "launched", "id": message["id"], "pid": pid})

    def _reap(self):
        """Takes the exit status of all that has ended, orphans among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self._pids.pop(pid, None)
            if name is None:
                continue
            del self._names[name]
            kill_marked(name)
            code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            kills, before = oom_kills(), self._kills
            killed = code == -signal.SIGKILL and kills > before
            if killed:
                self._kills = before + 1  # each worker that was killed finds its own
            self._say({"event": "exit", "id": name, "code": code, "oom": killed, "used": peak()})

    def _say(self, event):
        try:
            self._connection.send(json.dumps(event).encode("utf-8"))
        except OSError:
            self.stopping = True


def become(argv, environment, cwd, fds, mask):
    """Turns the process, just forked with our signals blocked, into a worker with the signal mask."""
    try:
        signal.set_wakeup_fd(-1)
        for number in OURS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (fds["stdout"], 1), (fds["stderr"], 2)):
            os.dup2(source, target)
        for name, fd in fds.items():
            os.set_inheritable(fd, name not in ("stdout", "stderr"))
        os.chdir(cwd)
        os.execve(argv[0], argv, environment)  # noqa: S606 - the worker
    except BaseException as exc:  # noqa: BLE001 - nothing of the launcher may go on in this process
        os.write(2, "mooring: {} cannot be started: {}\n".format(argv[0], exc).encode("utf-8", "replace"))
    finally:
        os._exit(127)


def kill_marked(name):
    """Sends SIGKILL to all that a worker has started and that has not changed its environment."""
    mark = "{}={}".format(MARK, name).encode()
    for folder in os.listdir("/proc"):
        if not folder.isdigit() or int(folder) == os.getpid():
            continue
        with suppress(OSError):  # another user's, or ended meanwhile
            with open("/proc/{}/environ".format(folder), "rb") as file:
                marked = mark in file.read().split(b"\0")
            if marked:
                os.kill(int(folder), signal.SIGKILL)


def oom_kills():
    """How many processes of the container the kernel has killed for its memory limit; 0 where that is not told."""
    for events, _ in COUNTERS:
        with suppress(OSError), open(events) as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def peak():
    """The most memory the container has used, in bytes; 0 where that is not told."""
    for _, most in COUNTERS:
        with suppress(OSError), open(most) as file:
            return int(file.read())
    return 0


def main():
    """Connects, and serves until the supervisor goes away."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(sys.argv[1])
    woken, wakes = socket.socketpair()
    for end in (woken, wakes):
        end.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    launcher = Launcher(connection)

    def stop(*_):
        launcher.stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    launcher.run(woken)
    # Process 1 takes all others of the container along.
    os._exit(0)


if __name__ == "__main__":
    main()
