"""What a storage account acknowledged survives `kill -9` of the server, and what it did not leaves nothing behind."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.exceptions import AzureError
from azure.storage.blob import BlobBlock, ContainerClient
from storage_support import Account, make_account, signed
from support import RunningServer, eventually


def until_killed(server: RunningServer, acts: list[Callable[[int], Any]], least: int) -> list[list[int]]:
    """Run each of ``acts`` with 0, 1, 2, ... in a thread of its own; kill the server when there were enough.

    Returns the numbers that were acknowledged, for each.
    """
    done: list[list[int]] = [[] for _ in acts]

    def work(act: Callable[[int], Any], mine: list[int]) -> None:
        try:
            for number in range(1_000_000):
                act(number)
                mine.append(number)
        except AzureError:
            return  # the server is gone

    threads = [threading.Thread(target=work, args=pair) for pair in zip(acts, done, strict=True)]
    for thread in threads:
        thread.start()
    eventually(lambda: sum(map(len, done)) >= least, f"{least} were acknowledged", 120)
    server.kill()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return done


def bodies(home: Path) -> list[Path]:
    return [path for path in (home / "storage").glob("*/bodies/*/*") if path.is_file()]


def restarted(server: RunningServer, name: str) -> Account:
    server.start()
    return make_account(server, name)


def test_acknowledged_blobs_and_messages_survive(own_server: RunningServer) -> None:
    account = make_account(own_server, "killed")
    large = os.urandom(200_000)  # a file of its own
    with account.blobs() as blobs, account.queues() as queues:
        container, queue = blobs.create_container("kept"), queues.create_queue("kept")
        acked = until_killed(
            own_server,
            [
                lambda n: container.upload_blob(f"small{n:06d}", b"%d" % n),
                lambda n: container.upload_blob(f"large{n:06d}", large),
                lambda n: queue.send_message(str(n)),
            ],
            least=120,
        )
    account = restarted(own_server, "killed")
    with account.blobs() as blobs, account.queues() as queues:
        container, queue = blobs.get_container_client("kept"), queues.get_queue_client("kept")
        names = set(container.list_blob_names())
        lost = [n for n in acked[0] if f"small{n:06d}" not in names] + [
            n for n in acked[1] if f"large{n:06d}" not in names
        ]
        assert not lost, f"lost {len(lost)} of {sum(map(len, acked))}"
        assert container.download_blob(f"small{acked[0][-1]:06d}").readall() == b"%d" % acked[0][-1]
        assert container.download_blob(f"large{acked[1][-1]:06d}").readall() == large
        messages = {int(m.content) for m in queue.receive_messages(messages_per_page=32)}
        assert set(acked[2]) <= messages
        # What was on its way is no file that nobody knows.
        assert len(bodies(own_server.home)) == sum(name.startswith("large") for name in names)


def test_a_block_list_is_committed_or_not(own_server: RunningServer) -> None:
    account = make_account(own_server, "killed")
    block = os.urandom(150_000)

    def put(container: ContainerClient, number: int) -> None:
        blob = container.get_blob_client("same")
        for name in ("a", "b"):
            blob.stage_block(name, b"%08d" % number + block)
        blob.commit_block_list([BlobBlock("a"), BlobBlock("b")], metadata={"number": str(number)})

    with account.blobs() as blobs:
        container = blobs.create_container("kept")
        (acked,) = until_killed(own_server, [lambda n: put(container, n)], least=15)
    account = restarted(own_server, "killed")
    with account.blobs() as blobs:
        blob = blobs.get_blob_client("kept", "same")
        number = int(blob.get_blob_properties().metadata["number"])
        assert number in {acked[-1], acked[-1] + 1}
        assert blob.download_blob().readall() == (b"%08d" % number + block) * 2
        pending = blob.get_block_list("uncommitted")[1]
        assert len(bodies(own_server.home)) == 2 + len(pending)
    database = next((own_server.home / "storage").glob("killed-*/account.db"))
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_body_that_breaks_off_is_no_blob(own_server: RunningServer) -> None:
    account = make_account(own_server, "broken")
    with account.blobs() as blobs:
        blob = blobs.create_container("con").get_blob_client("b")
        blob.upload_blob(b"x" * 300_000)
        (whole,) = bodies(own_server.home)
        url, headers = signed(account, "PUT", "/con/b", length="3000000", x_ms_blob_type="BlockBlob")
        at = httpx.URL(url)
        headers |= {"host": at.netloc.decode(), "content-length": "3000000"}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with socket.create_connection((at.host, at.port), 30) as connection:
            connection.sendall(f"PUT {at.path} HTTP/1.1\r\n{head}\r\n".encode() + b"y" * 2_000_000)
            eventually(lambda: len(bodies(own_server.home)) == 2, "some of it is on disk")
        eventually(lambda: bodies(own_server.home) == [whole], "nothing is left of it")
        assert blob.download_blob().readall() == b"x" * 300_000


def test_a_deleted_account_leaves_nothing_and_comes_back_empty(own_server: RunningServer) -> None:
    account = make_account(own_server, "shortlived")
    with account.blobs() as blobs:
        blobs.create_container("con").upload_blob("b", b"x" * 300_000)
        path = "/mooring/v1/subscriptions/sub/resourceGroups/rg/storageAccounts/shortlived"
        assert own_server.client.delete(path).status_code == 204
        assert not list((own_server.home / "storage").iterdir())
        with pytest.raises(AzureError, match="ResourceNotFound"):
            list(blobs.list_containers())
    again = make_account(own_server, "shortlived")
    assert again.key != account.key
    with again.blobs() as blobs:
        assert list(blobs.list_containers()) == []
    with account.blobs() as blobs, pytest.raises(AzureError, match="AuthenticationFailed"):
        list(blobs.list_containers())
    # A directory that no account has, as of a deletion that was cut short.
    stray = own_server.home / "storage" / "gone-0123456789ab"
    stray.mkdir()
    own_server.kill()
    own_server.start()
    assert not stray.exists()
    assert list((own_server.home / "storage").glob("shortlived-*"))
