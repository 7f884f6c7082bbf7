from uuid import UUID, uuid4

import pytest

from mooring_server.domain.servicebus import QueueSettings
from mooring_server.servicebus.queue import DEFERRED, READY, LockLost, Message, Queue, Updated


def pair(**settings: float) -> tuple[Queue, Queue]:
    chosen = QueueSettings(**settings)  # type: ignore[arg-type]
    dead = Queue(chosen)
    return Queue(chosen, dead), dead


def lock(queue: Queue, now: float) -> UUID:
    token = uuid4()
    assert queue.lock(token, now)
    return token


def test_a_message_that_is_given_back_is_first_again() -> None:
    queue, _ = pair()
    for seq in (1, 2, 3):
        queue.add(Message(seq, 1, 0.0))
    token = lock(queue, 1)
    queue.abandon(token, 2)
    again = queue.lock(uuid4(), 3)
    assert again
    assert (again.seq, again.deliveries) == (1, 1)


def test_the_last_delivery_that_fails_leads_to_the_dead_letter_queue_with_azures_words() -> None:
    queue, dead = pair(max_delivery_count=3)
    queue.add(Message(1, 1, 0.0))
    for _ in range(3):
        queue.abandon(lock(queue, 1), 1)
    (message,) = dead.peek(0, 1)
    assert message.reason == "MaxDeliveryCountExceeded"
    assert message.description == "Message could not be consumed after 3 delivery attempts."
    for _ in range(20):  # there it stays, however often it is given back
        dead.abandon(lock(dead, 1), 1)
    token = lock(dead, 1)
    dead.dead_letter(token, 1, "again", "")
    assert [m.reason for m in dead.peek(0, 1)] == ["MaxDeliveryCountExceeded"]


def test_an_expired_lock_is_a_failed_delivery_and_settling_is_too_late() -> None:
    queue, _ = pair(lock_seconds=10)
    queue.add(Message(1, 1, 0.0))
    token = lock(queue, 0)
    with pytest.raises(LockLost):
        queue.complete(token, 10)
    queue.tick(10)
    again = queue.lock(uuid4(), 10)
    assert again
    assert again.deliveries == 1


def test_a_renewed_lock_goes_on() -> None:
    queue, _ = pair(lock_seconds=10)
    queue.add(Message(1, 1, 0.0))
    token = lock(queue, 0)
    assert queue.renew(token, 8) == 18
    queue.tick(17.9)
    queue.complete(token, 17.9)
    assert len(queue) == 0


def test_what_is_locked_does_not_expire_before_it_comes_back() -> None:
    queue, dead = pair(lock_seconds=10, ttl_seconds=5, dead_letter_expired=True)
    queue.add(Message(1, 1, 0.0))
    token = lock(queue, 4)
    queue.tick(8)
    assert len(dead) == 0
    queue.release(token, 8)
    (message,) = dead.peek(0, 8)
    assert (message.reason, message.place) == ("TTLExpiredException", READY)


def test_the_shorter_of_both_times_to_live_counts_from_enqueueing() -> None:
    queue, _ = pair(ttl_seconds=50)
    queue.add(Message(1, 1, 0.0, ttl=5))
    queue.add(Message(2, 1, 0.0, ttl=500))
    queue.add(Message(3, 1, 30.0, place="scheduled"))
    queue.tick(6)
    assert [m.seq for m in queue.peek(0, 6)] == [2, 3]
    queue.tick(51)
    assert [m.seq for m in queue.peek(0, 51)] == [3]


def test_a_deferred_message_is_got_by_its_number_only_and_stays_deferred() -> None:
    queue, _ = pair(lock_seconds=10)
    queue.add(Message(7, 1, 0.0))
    queue.defer(lock(queue, 0), 0)
    assert queue.lock(uuid4(), 0) is None
    message = queue.find(7, DEFERRED, 0)
    assert message
    token = uuid4()
    queue.lock_deferred(message, token, 0)
    queue.abandon(token, 1)
    assert queue.find(7, DEFERRED, 1)
    assert queue.changes[-1] == Updated(message)


def test_a_queue_is_full_with_its_dead_letter_queue() -> None:
    queue, dead = pair(max_megabytes=1)
    queue.add(Message(1, 600 << 10, 0.0))
    assert not queue.full
    queue.dead_letter(lock(queue, 0), 0, None, None)
    assert dead.size == 600 << 10
    queue.add(Message(2, 600 << 10, 0.0))
    assert queue.full
