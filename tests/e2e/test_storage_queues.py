"""The official SDK for queues, unmodified, against an account of ours; in the full tier against Azurite as well."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from azure.storage.queue import QueueClient, QueueMessage
from storage_support import Account, code_of, make_account
from support import eventually

PEERS = ["ours", pytest.param("azurite", marks=pytest.mark.full)]


@pytest.fixture(scope="module", params=PEERS)
def account(request: pytest.FixtureRequest) -> Account:
    if request.param == "azurite":
        reference: Account = request.getfixturevalue("azurite")
        return reference
    return make_account(request.getfixturevalue("server"), "queuetests")


@pytest.fixture
def queue(account: Account, request: pytest.FixtureRequest) -> Iterator[QueueClient]:
    name = "q" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    with account.queues() as service:
        made = service.create_queue(name)
        yield made
        made.delete_queue()


def received(queue: QueueClient, seconds: int = 3600) -> QueueMessage:
    message = queue.receive_message(visibility_timeout=seconds)
    assert message is not None
    return message


def test_a_message_is_seen_once_until_its_time_is_over(queue: QueueClient) -> None:
    sent = queue.send_message("häl <lo> & \n x")
    peeked = queue.peek_messages()[0]
    assert (peeked.id, peeked.content, peeked.dequeue_count) == (sent.id, "häl <lo> & \n x", 0)
    first = received(queue)
    assert (first.content, first.dequeue_count) == ("häl <lo> & \n x", 1)
    assert queue.receive_message() is None
    assert queue.peek_messages() == []
    queue.update_message(first, visibility_timeout=1)
    second = eventually(lambda: queue.receive_message(visibility_timeout=3600), "it is visible again")
    assert (second.id, second.dequeue_count) == (first.id, 2)
    assert code_of(lambda: queue.delete_message(first))[1] in {"PopReceiptMismatch", "MessageNotFound"}
    queue.delete_message(second)
    assert code_of(lambda: queue.delete_message(second)) == (404, "MessageNotFound")


def test_messages_come_in_the_order_sent_and_several_at_once(queue: QueueClient) -> None:
    for number in range(5):
        queue.send_message(str(number))
    assert queue.get_queue_properties().approximate_message_count == 5
    assert [m.content for m in queue.peek_messages(3)] == ["0", "1", "2"]
    taken = list(queue.receive_messages(messages_per_page=3, max_messages=3))
    assert [m.content for m in taken] == ["0", "1", "2"]
    queue.clear_messages()
    assert queue.get_queue_properties().approximate_message_count == 0


def test_a_message_changes_and_waits_longer(queue: QueueClient) -> None:
    queue.send_message("old")
    taken = received(queue)
    changed = queue.update_message(taken, content="new", visibility_timeout=0)
    assert changed.pop_receipt != taken.pop_receipt
    again = received(queue)
    assert (again.content, again.dequeue_count) == ("new", 2)
    kept = queue.update_message(again, visibility_timeout=60)
    assert queue.receive_message() is None
    assert code_of(lambda: queue.update_message(again, visibility_timeout=0))[1] in {
        "PopReceiptMismatch",
        "MessageNotFound",
    }
    queue.delete_message(kept)


def test_a_message_waits_and_ends(queue: QueueClient) -> None:
    queue.send_message("later", visibility_timeout=3600)
    assert queue.receive_message() is None
    queue.send_message("gone", time_to_live=1)
    eventually(lambda: not queue.peek_messages(), "its time is over")
    assert received_or_none(queue) is None
    queue.send_message("ever", time_to_live=-1)
    assert received(queue).content == "ever"


def received_or_none(queue: QueueClient) -> QueueMessage | None:
    return queue.receive_message()


def test_queues_have_metadata_and_are_listed(account: Account, queue: QueueClient) -> None:
    queue.set_queue_metadata({"owner": "ada"})
    assert queue.get_queue_properties().metadata == {"owner": "ada"}
    with account.queues() as service:
        found = list(service.list_queues(name_starts_with=queue.queue_name, include_metadata=True))
        assert [(q.name, q.metadata) for q in found] == [(queue.queue_name, {"owner": "ada"})]
        assert code_of(lambda: service.create_queue(queue.queue_name)) == (409, "QueueAlreadyExists")
        same = code_of(lambda: service.create_queue(queue.queue_name, metadata={"owner": "ada"}))
        assert same[0] == 204  # which the SDK calls an error
        names = {f"page{n}" for n in range(5)}
        for name in names:
            service.create_queue(name)
        pages = list(service.list_queues(name_starts_with="page", results_per_page=2).by_page())
        sizes = [len(list(page)) for page in pages]
        # Azurite forgets one, or has one twice.
        assert sizes[:2] == [2, 2]
        assert sizes == [2, 2, 1] or not account.ours
        for name in names:
            service.delete_queue(name)


def test_what_is_wrong_is_named(account: Account) -> None:
    with account.queues() as service:
        missing = service.get_queue_client("nobody")
        assert code_of(lambda: missing.send_message("x")) == (404, "QueueNotFound")
        assert code_of(missing.receive_message) == (404, "QueueNotFound")
        assert code_of(missing.delete_queue) == (404, "QueueNotFound")
        assert code_of(lambda: service.create_queue("a--b"))[0] == 400
        queue = service.create_queue("limits")
        too_large = code_of(lambda: queue.send_message("x" * 65_537))
        assert too_large[0] in {400, 413}
        assert code_of(lambda: list(queue.receive_messages(messages_per_page=33)))[0] == 400
        queue.send_message("x" * 65_536)
        service.delete_queue("limits")
    wrong = Account(account.connection_string.replace(account.key, "AAAA" + account.key[4:]))
    with wrong.queues() as service:
        assert code_of(lambda: list(service.list_queues()))[0] == 403
