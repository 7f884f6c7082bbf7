"""The Service Bus broker under the official SDK: `make bench-servicebus`.

    python -m benchmarks.servicebus [--messages 2000] [--queued 100000]

Messages a second, and the time from sending a message to having its answer, with 1 and 8 clients, each a process of its
own; the broker's share of a core meanwhile; its memory with a full queue. The broker is a server's, as users have it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))
if TYPE_CHECKING:
    from bus_support import BusServer

BATCH = 100
BODY = "x" * 1000


def cpu_seconds(pid: int) -> float:
    """What a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Megabytes."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


def work(what: str, connection: str, queue: str, count: int) -> None:
    """One client: prints its seconds, or those of each message, as JSON when it is done; begins at a line of input."""
    from azure.servicebus import ServiceBusClient, ServiceBusMessage

    taken: list[float] = []
    with ServiceBusClient.from_connection_string(connection) as bus:
        if what in {"send", "batch"}:
            with bus.get_queue_sender(queue) as sender:
                sender.create_message_batch()  # connects
                _begin()
                for _ in range(count // (BATCH if what == "batch" else 1)):
                    each = [ServiceBusMessage(BODY) for _ in range(BATCH if what == "batch" else 1)]
                    began = time.perf_counter()
                    sender.send_messages(each if what == "batch" else each[0])
                    taken.append(time.perf_counter() - began)
        elif what == "receive":
            with bus.get_queue_receiver(queue, prefetch_count=BATCH, max_wait_time=30) as receiver:
                _begin()
                done = 0
                while done < count:
                    for message in receiver.receive_messages(min(BATCH, count - done)):
                        receiver.complete_message(message)
                        done += 1
        elif what == "echo":
            with (
                bus.get_queue_receiver(queue, max_wait_time=60) as receiver,
                bus.get_queue_sender(f"{queue}-answers") as sender,
            ):
                _begin()
                for _ in range(count):
                    (message,) = receiver.receive_messages(1)
                    sender.send_messages(ServiceBusMessage("answer"))
                    receiver.complete_message(message)
        else:
            with (
                bus.get_queue_sender(queue) as sender,
                bus.get_queue_receiver(f"{queue}-answers", max_wait_time=60) as receiver,
            ):
                sender.create_message_batch()
                _begin()
                for _ in range(count):
                    began = time.perf_counter()
                    sender.send_messages(ServiceBusMessage("question"))
                    (message,) = receiver.receive_messages(1)
                    taken.append(time.perf_counter() - began)
                    receiver.complete_message(message)
    print(json.dumps(taken), flush=True)


def _begin() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def run(
    server: BusServer, name: str, connection: str, jobs: list[tuple[str, str, int]], total: int
) -> list[float]:
    """Begin all clients at once, print the row; the seconds of single messages."""
    command = [sys.executable, "-m", "benchmarks.servicebus", "--work"]
    clients = [
        subprocess.Popen(
            [*command, what, connection, queue, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for what, queue, count in jobs
    ]
    for one in clients:
        assert one.stdout
        one.stdout.readline()
    broker = server.broker()
    used, began = cpu_seconds(broker), time.perf_counter()
    for one in clients:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.flush()
    taken: list[float] = []
    for one in clients:
        assert one.stdout
        taken += json.loads(one.stdout.readline())
    seconds = time.perf_counter() - began
    share = 100 * (cpu_seconds(broker) - used) / seconds
    for one in clients:
        one.communicate()
    line = f"{name:44}{total / seconds:10,.0f}{share:9.1f}%"
    if taken and jobs[0][0] != "batch":
        cuts = statistics.quantiles(taken, n=100)
        line += f"{1000 * cuts[49]:10.1f}{1000 * cuts[98]:10.1f}"
    print(line, flush=True)
    return taken


def main() -> None:
    """Print the table."""
    from bus_support import bus_server, client

    options = _options()
    with tempfile.TemporaryDirectory() as folder, bus_server(Path(folder) / "home") as server:
        connection = server.namespace()
        count = options.messages
        print(f"{'':44}{'messages/s':>10}{'broker':>10}{'p50 ms':>10}{'p99 ms':>10}")
        for clients in (1, 8):
            each = count // clients
            word = f"{clients} client{'s' if clients > 1 else ''}"
            queue = server.queue(f"one-{clients}", lockDuration="PT5M")
            run(
                server,
                f"send, one after the other, {word}",
                connection,
                [("send", queue, each)] * clients,
                count,
            )
            run(
                server,
                f"receive and complete, {word}",
                connection,
                [("receive", queue, each)] * clients,
                count,
            )
            queue = server.queue(f"many-{clients}")
            jobs = [("batch", queue, count * 5 // clients // BATCH * BATCH)] * clients
            run(server, f"send in batches of {BATCH}, {word}", connection, jobs, sum(job[2] for job in jobs))
            jobs = []
            for number in range(clients):
                queue = server.queue(f"ask-{clients}-{number}")
                server.queue(f"{queue}-answers")
                jobs += [("ask", queue, each // 4), ("echo", queue, each // 4)]
            run(server, f"question and answer, {word}", connection, jobs, each // 4 * clients)
        empty, queue = memory(server.broker()), server.queue("stock")
        from azure.servicebus import ServiceBusMessage

        with client(connection) as sdk, sdk.get_queue_sender(queue) as sender:
            for _ in range(options.queued // 500):
                sender.send_messages([ServiceBusMessage(BODY) for _ in range(500)])
        full = memory(server.broker())
        print(
            f"memory: {empty:.0f} MB before, {full:.0f} MB with {options.queued:,} messages of 1 KB more queued"
        )


def _options() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--queued", type=int, default=100_000)
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
    else:
        main()
