"""The broker when things go wrong: killed, flooded, stalled, lied to."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from azure.servicebus import ServiceBusMessage
from bus_support import BusServer, body_of, bus_server, client, receive_all, send, sockets_left_by_the_sdk
from support import eventually
from typing_extensions import Self

# The first test of a machine compiles Proton.
pytestmark = [pytest.mark.full, pytest.mark.timeout(1800), sockets_left_by_the_sdk]


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    with bus_server(tmp_path_factory.mktemp("bus") / "home") as running:
        running.namespace()
        yield running


def address(connection: str) -> tuple[str, int]:
    parts = urlsplit(connection.partition("Endpoint=")[2].partition(";")[0])
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) << 10


class Load:
    """Two senders and a receiver that go on whatever the broker does.

    Attributes:
        acknowledged: the texts whose sending was confirmed.
        tried: those whose completion was asked for; it may be done although the answer did not arrive.
        settled: those whose completion was confirmed.
    """

    def __init__(self, connection: str, queue: str) -> None:
        self.acknowledged: list[str] = []
        self.tried: list[str] = []
        self.settled: list[str] = []
        self._connection, self._queue = connection, queue
        self._stop = threading.Event()
        works = [lambda: self._produce("a"), lambda: self._produce("b"), self._consume]
        self._threads = [threading.Thread(target=self._go_on, args=(work,)) for work in works]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                work()
            except Exception:  # noqa: BLE001 - whatever the SDK makes of a broker that dies
                self._stop.wait(0.1)

    def _produce(self, name: str) -> None:
        with (
            client(self._connection, retry_total=0) as sdk,
            sdk.get_queue_sender(self._queue) as sender,
        ):
            while not self._stop.is_set():
                text = f"{name}-{uuid.uuid4()}"
                sender.send_messages(ServiceBusMessage(text))
                self.acknowledged.append(text)

    def _consume(self) -> None:
        with (
            client(self._connection, retry_total=0) as sdk,
            sdk.get_queue_receiver(self._queue) as receiver,
        ):
            while not self._stop.is_set():
                for message in receiver.receive_messages(10, max_wait_time=1):
                    self.tried.append(body_of(message))
                    receiver.complete_message(message)
                    self.settled.append(body_of(message))


def test_killed_under_load_it_loses_nothing_that_it_acknowledged(bus: BusServer) -> None:
    connection, queue = bus.namespace(), bus.queue("killed")
    with Load(connection, queue) as load:
        for _ in range(3):
            sent, seen = len(load.acknowledged), len(load.settled)
            eventually(lambda n=sent: len(load.acknowledged) > n + 50, "messages are sent", 120)
            eventually(lambda n=seen: len(load.settled) > n + 10, "messages are received", 120)
            os.kill(bus.broker(), signal.SIGKILL)
    left = receive_all(connection, queue)
    count = Counter([*load.settled, *left])
    lost = set(load.acknowledged) - {*load.tried, *left}
    twice = sum(n - 1 for n in count.values())
    print(f"acknowledged {len(load.acknowledged)}, lost {len(lost)}, completed twice {twice}")  # noqa: T201
    assert not lost
    assert twice == 0, "a completion that was confirmed is on disk"


def test_an_open_client_goes_on_after_a_restart(bus: BusServer) -> None:
    connection, queue = bus.namespace(), bus.queue("reconnect")
    with (
        client(connection) as sdk,
        sdk.get_queue_sender(queue) as sender,
        sdk.get_queue_receiver(queue, max_wait_time=60) as receiver,
    ):
        sender.send_messages(ServiceBusMessage("one"))
        receiver.complete_message(receiver.receive_messages()[0])
        os.kill(bus.broker(), signal.SIGKILL)
        sender.send_messages(ServiceBusMessage("two"))
        (message,) = receiver.receive_messages()
        assert body_of(message) == "two"
        receiver.complete_message(message)


def test_ten_competing_consumers_share_the_messages(bus: BusServer) -> None:
    connection, queue = bus.namespace(), bus.queue("competing", lockDuration="PT5M")
    total = 1000
    with client(connection) as sdk, sdk.get_queue_sender(queue) as sender:
        sender.send_messages([ServiceBusMessage(str(n)) for n in range(total)])
    got: list[list[str]] = [[] for _ in range(10)]

    def work(mine: list[str]) -> None:
        with client(connection) as sdk, sdk.get_queue_receiver(queue, max_wait_time=5) as receiver:
            while messages := receiver.receive_messages(5):
                for message in messages:
                    receiver.complete_message(message)
                    mine.append(body_of(message))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(text) for mine in got for text in mine) == list(range(total))
    assert sum(bool(mine) for mine in got) > 1


def test_a_hundred_thousand_messages(bus: BusServer) -> None:
    connection, queue = bus.namespace(), bus.queue("many", lockDuration="PT5M")
    total, size = 100_000, 1000
    with client(connection) as sdk, sdk.get_queue_sender(queue) as sender:
        for start in range(0, total, size):
            batch = [ServiceBusMessage(f"{n:06d}".ljust(100, ".")) for n in range(start, start + size)]
            sender.send_messages(batch)
    assert bus.counts(queue)["activeMessageCount"] == total
    assert resident(bus.broker()) < 250 << 20
    os.kill(bus.broker(), signal.SIGKILL)
    with client(connection) as sdk, sdk.get_queue_receiver(queue, max_wait_time=60) as receiver:
        messages = receiver.peek_messages(5)
        assert [body_of(m)[:6] for m in messages] == [f"{n:06d}" for n in range(5)]
    removed = []
    # The SDK's thread that keeps a connection alive takes frames, too, after 30 s: messages change places then.
    with (
        client(connection) as sdk,
        sdk.get_queue_receiver(
            queue, receive_mode="receiveanddelete", prefetch_count=1000, max_wait_time=60, keep_alive=0
        ) as receiver,
    ):
        while len(removed) < total and (found := receiver.receive_messages(1000)):
            removed += [int(body_of(m)[:6]) for m in found]
    assert removed == list(range(total))


def test_clients_that_stop_reading_hold_nobody_and_no_memory(bus: BusServer) -> None:
    connection, queue = bus.namespace(), bus.queue("stalled", lockDuration="PT20S", maxDeliveryCount=2000)
    host, port = address(connection)
    stalled = []
    try:
        with client(connection) as sdk, sdk.get_queue_sender(queue) as sender:
            for number in range(100):
                sender.send_messages(ServiceBusMessage(f"{number:03d}" + "x" * 500_000))
        before = resident(bus.broker())
        with Relay(host, port) as relay:
            for _ in range(5):
                slow = client(connection.replace(f":{port}/", f":{relay.port}/"), retry_total=0)
                stalled.append(slow)
                receiver = slow.get_queue_receiver(queue, prefetch_count=2000)
                receiver.__enter__()
                stalled.append(receiver)
                receiver.receive_messages(1, max_wait_time=30)
            relay.stop_reading()
            assert resident(bus.broker()) - before < 150 << 20
            found = set()
            deadline = time.monotonic() + 240
            with client(connection) as sdk, sdk.get_queue_receiver(queue, max_wait_time=60) as other:
                while len(found) < 100 and time.monotonic() < deadline:
                    for message in other.receive_messages(2):
                        found.add(body_of(message)[:3])
                        other.complete_message(message)
            assert len(found) == 100
            assert resident(bus.broker()) - before < 150 << 20
    finally:
        for end in reversed(stalled):
            end.close()


class Relay:
    """Passes bytes between clients and the broker, until it reads no more of what the broker says."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._stalled = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for end in self._sockets:
            end.close()

    def stop_reading(self) -> None:
        self._stalled.set()

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._listener.accept()
            except OSError:
                return
            outer = socket.create_connection(self._target)
            self._sockets += [inner, outer]
            for source, target, back in ((inner, outer, False), (outer, inner, True)):
                threading.Thread(target=self._pass, args=(source, target, back), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, back: bool) -> None:
        try:
            while not (back and self._stalled.is_set()) and (data := source.recv(65536)):
                target.sendall(data)
        except OSError:
            return


def test_whatever_is_sent_the_broker_goes_on(bus: BusServer) -> None:
    connection, queue = bus.namespace(), bus.queue("fuzzed")
    host, port = address(connection)
    chance = random.Random(7)
    recorded = _conversation(connection, queue, host, port)
    assert len(recorded) > 500
    broker = bus.broker()
    for number in range(300):
        data = bytearray(recorded)
        kind = number % 4
        if kind == 0:
            data = bytearray(chance.randbytes(chance.randrange(1, 3000)))
        elif kind == 1:
            del data[chance.randrange(len(data)) :]
        else:
            for _ in range(chance.randrange(1, 12)):
                data[chance.randrange(8 * (kind == 2), len(data))] = chance.randrange(256)
        with socket.create_connection((host, port), timeout=30) as raw:
            try:
                raw.sendall(data)
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(65536):
                    continue
            except ConnectionError:
                continue  # it was closed on us: right so
    assert bus.broker() == broker, "it did not die"
    log = (bus.home / "logs" / "servicebus.log").read_text()
    assert "Traceback" not in log, log[-3000:]
    send(connection, queue, "after all that")
    assert "after all that" in receive_all(connection, queue)


def _conversation(connection: str, queue: str, host: str, port: int) -> bytes:
    """What a client says that sends, and one that receives."""
    said = bytearray()
    listener = socket.create_server(("127.0.0.1", 0))
    own = int(listener.getsockname()[1])

    def serve() -> None:
        inner, _ = listener.accept()
        outer = socket.create_connection((host, port))

        def back() -> None:
            try:
                while data := outer.recv(65536):
                    inner.sendall(data)
            except OSError:
                return

        threading.Thread(target=back, daemon=True).start()
        with inner, outer:
            try:
                while data := inner.recv(65536):
                    said.extend(data)
                    outer.sendall(data)
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    send(connection.replace(f":{port}/", f":{own}/"), queue, "recorded", application_properties={"k": 1})
    thread.join()
    listener.close()
    return bytes(said)


def test_clients_without_a_token_are_let_go(bus: BusServer) -> None:
    host, port = address(bus.namespace())
    with socket.create_connection((host, port), timeout=120) as raw:
        raw.sendall(b"AMQP\x03\x01\x00\x00")
        assert raw.recv(8) == b"AMQP\x03\x01\x00\x00"
        while raw.recv(65536):
            continue


def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    chain, key, root = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(root))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 5671))
        except OSError:
            pytest.skip("Azure's SDKs speak TLS to port 5671 only, and something listens there")
    import ssl

    arguments = ("--tls-cert", str(chain), "--tls-key", str(key))
    with bus_server(
        tmp_path / "home", *arguments, verify=ssl.create_default_context(cafile=str(root))
    ) as running:
        connection = running.namespace()
        assert "UseDevelopmentEmulator" not in connection
        queue = running.queue("secret")
        with (
            client(connection, connection_verify=str(root)) as sdk,
            sdk.get_queue_sender(queue) as sender,
        ):
            sender.send_messages(ServiceBusMessage("over TLS"))
        assert running.counts(queue)["activeMessageCount"] == 1
