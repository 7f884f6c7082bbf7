"""A server whose Service Bus broker works: Proton is compiled once and kept, beside this environment's packages."""

from __future__ import annotations

import fcntl
import gc
import hashlib
import os
import shutil
import site
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceivedMessage
from support import RunningServer, eventually, kill_all, processes_below

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "servicebus.txt"
GROUP = "/mooring/v1/subscriptions/sub/resourceGroups/rg"
NAMESPACE = f"{GROUP}/serviceBusNamespaces/mybus-1"
RULE = "authorizationRules/RootManageSharedAccessKey"
# When a connection breaks, the SDK forgets its socket without closing it.
sockets_left_by_the_sdk = pytest.mark.filterwarnings("ignore::ResourceWarning")


def bus_python() -> Path:
    """The interpreter of an environment with Proton that sees this one's packages as well: this one, if it has it."""
    if find_spec("proton") is not None:
        return Path(sys.executable)
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.executable.encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mooring-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"servicebus-{key}"
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _build(folder)
    return folder / "bin" / "python"


def _build(folder: Path) -> None:
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("Qpid Proton is compiled when it is installed, and there is no C compiler here")
    shutil.rmtree(folder, ignore_errors=True)
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    install = [uv, "pip", "install", "--quiet", "--require-hashes", "-r", str(REQUIREMENTS)]
    done = subprocess.run(
        [*install, "--python", str(folder / "bin" / "python")], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"Qpid Proton can be neither found nor compiled here: {done.stderr.strip()[-500:]}")
    (packages,) = (folder / "lib").glob("python*/site-packages")
    here = next(path for path in site.getsitepackages() if path.endswith("site-packages"))
    (packages / "beside.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    (folder / "complete").touch()


class BusServer(RunningServer):
    """A server beside which the extra is installed."""

    def command(self) -> list[str]:
        return [str(bus_python()), *self.program, "--home", str(self.home), *self.arguments]

    def namespace(self, name: str = "mybus-1") -> str:
        """Make a namespace; its connection string."""
        path = f"{GROUP}/serviceBusNamespaces/{name}"
        made = self.client.put(path, json={})
        assert made.status_code in {200, 201}, made.text
        keys = self.client.post(f"{path}/{RULE}/listKeys")
        assert keys.status_code == 200, keys.text
        text: str = keys.json()["primaryConnectionString"]
        return text

    def queue(self, name: str, **settings: Any) -> str:
        made = self.client.put(f"{NAMESPACE}/queues/{name}", json=settings)
        assert made.status_code in {200, 201}, made.text
        return name

    def counts(self, name: str) -> dict[str, int]:
        answer = self.client.get(f"{NAMESPACE}/queues/{name}")
        assert answer.status_code == 200, answer.text
        counts: dict[str, int] = answer.json()["countDetails"]
        return counts

    def broker(self) -> int:
        """The process id of the broker."""

        def found() -> list[int]:
            below = processes_below(self.home)
            return [pid for pid, command in below.items() if "mooring_server.servicebus" in command]

        return int(eventually(found, "the broker runs")[0])


@contextmanager
def bus_server(home: Path, *arguments: str, **more: Any) -> Iterator[BusServer]:
    """One that is there for a while."""
    running = BusServer(home, *arguments, **more).start()
    try:
        yield running
        running.close()
    finally:
        kill_all(home)
        gc.collect()  # what the SDK left goes here, where it is known, and not in another test


def client(connection: str, **more: Any) -> ServiceBusClient:
    """The official SDK, as it comes."""
    return ServiceBusClient.from_connection_string(connection, **more)


def send(connection: str, queue: str, *bodies: str | bytes, **properties: Any) -> None:
    """One message after the other."""
    with client(connection) as bus, bus.get_queue_sender(queue) as sender:
        for body in bodies:
            sender.send_messages(ServiceBusMessage(body, **properties))


def body_of(message: ServiceBusReceivedMessage) -> str:
    return b"".join(message.body).decode()


def receive_all(connection: str, queue: str, **more: Any) -> list[str]:
    """Complete all that is there, and give it."""
    found = []
    with client(connection) as bus, bus.get_queue_receiver(queue, max_wait_time=3, **more) as receiver:
        while messages := receiver.receive_messages(100):
            for message in messages:
                found.append(body_of(message))
                receiver.complete_message(message)
    return found
