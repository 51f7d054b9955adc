"""Records that are never delivered (transaction markers, aborted messages) count as read; waiting ones are held.

These run on Apache Kafka, since the in-process broker has no transactions.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer

from fcgraph.api.http import readiness
from fcgraph.settings import Settings
from tests.api.client import serving
from tests.kafka.test_lag import commit
from tests.waiting import until
from tests.workers.topic import TIMEOUT_SECONDS, Topic

READY_SECONDS_MAX = 0.5  # a read that runs into its deadline takes 2 s
pytestmark = pytest.mark.usefixtures("apache_kafka")


@pytest.fixture
def topic(settings: Settings) -> Topic:
    made = Topic(settings)
    made.make(3)
    return made


class Transactions:
    """A producer whose messages are in transactions."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self.producer = Producer(
            {"bootstrap.servers": topic.broker, "transactional.id": f"t-{uuid.uuid4().hex}", "log_level": 0}
        )
        self.producer.init_transactions(TIMEOUT_SECONDS)

    def begin(self, values: Sequence[bytes], partition: int) -> None:
        self.producer.begin_transaction()
        for value in values:
            self.producer.produce(self._topic.name, value, partition=partition)
        assert self.producer.flush(TIMEOUT_SECONDS) == 0

    def commit(self, values: Sequence[bytes], partition: int = 0) -> None:
        self.begin(values, partition)
        self.producer.commit_transaction(TIMEOUT_SECONDS)

    def abort(self, values: Sequence[bytes], partition: int = 0) -> None:
        self.begin(values, partition)
        self.producer.abort_transaction(TIMEOUT_SECONDS)


def committed_then_aborted(t: Transactions) -> dict[int, int]:
    t.commit([b"a"] * 5)
    t.abort([b"b"] * 3)
    return {0: 5}


def one_committed(t: Transactions) -> dict[int, int]:
    t.commit([b"a"])
    return {0: 1}


def aborted_alone(t: Transactions) -> dict[int, int]:
    t.abort([b"a"] * 3)
    return {}


def aborted_after_a_commit_of_offset_0(t: Transactions) -> dict[int, int]:
    t.abort([b"a"] * 3)
    return {0: 0}


def several_partitions(t: Transactions) -> dict[int, int]:
    t.commit([b"a"] * 2, 0)
    t.abort([b"a"] * 2, 1)
    t.commit([b"a"] * 3, 2)
    t.abort([b"a"] * 4, 2)
    t.abort([b"a"] * 4, 0)
    return {0: 2, 2: 3}


def empty_transactions(t: Transactions) -> dict[int, int]:
    t.commit([b"a"])
    for _ in range(3):
        t.commit([])
        t.abort([])
    return {0: 1}


def many_aborted(t: Transactions) -> dict[int, int]:
    t.commit([b"a"])
    for _ in range(20):
        t.abort([b"x" * 1000] * 200)
    return {0: 1}


TAILS = (
    committed_then_aborted,
    one_committed,
    aborted_alone,
    aborted_after_a_commit_of_offset_0,
    several_partitions,
    empty_transactions,
    many_aborted,
)


@pytest.mark.parametrize("write", TAILS, ids=lambda tail: tail.__name__)
def test_a_tail_that_nobody_is_delivered_is_no_lag(
    settings: Settings, topic: Topic, write: Callable[[Transactions], dict[int, int]]
) -> None:
    offsets = write(Transactions(topic))
    if offsets:
        commit(topic, offsets)
    lag = topic.lag()
    assert [p.unread for p in lag.partitions] == [0, 0, 0]
    assert (lag.total, lag.oldest_unread_at, lag.held_by_transaction) == (0, None, 0)
    with readiness_in(settings) as ask:
        assert (ask()["total"], ask()["oldest_unread_age_seconds"]) == (0, None)


@pytest.fixture(autouse=True)
def _nothing_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "CACHED_SECONDS", 0)


@contextmanager
def readiness_in(settings: Settings) -> Iterator[Callable[[], dict[str, object]]]:
    """Call /health/ready; after the first call, which connects, each response must be fast."""
    with serving(settings) as api:
        until(lambda: api.client.get("/health/ready").json()["consumer_lag"] is not None, TIMEOUT_SECONDS)

        def ask() -> dict[str, object]:
            started_at = time.monotonic()
            response = api.client.get("/health/ready")
            seconds = time.monotonic() - started_at
            logging.getLogger(__name__).warning("/health/ready took %.3f s", seconds)
            assert seconds < READY_SECONDS_MAX
            assert response.status_code == 200
            lag: dict[str, object] = response.json()["consumer_lag"]
            return lag

        yield ask


def test_unread_messages_before_such_a_tail_are_unread_and_have_an_age(topic: Topic) -> None:
    transactions = Transactions(topic)
    transactions.abort([b"a"] * 3)  # offsets 0-2 and the marker 3
    transactions.commit([b"b"] * 2)  # offsets 4, 5 and the marker 6
    (first, *_) = topic.lag().partitions
    assert (first.next_offset, first.end_offset, first.unread) == (None, 7, 3)
    assert first.oldest_unread_at is not None


def test_messages_behind_an_open_transaction_are_held(settings: Settings, topic: Topic) -> None:
    topic.send([b"a"], partition=1)
    transactions = Transactions(topic)
    transactions.begin([b"b"] * 2, 1)
    topic.send([b"c"] * 3, partition=1)
    commit(topic, {1: 1})

    def held() -> list[tuple[int, int]]:
        return [(p.unread, p.held_by_transaction) for p in topic.lag().partitions]

    assert held() == [(0, 0), (0, 5), (0, 0)]
    with readiness_in(settings) as ask:
        assert ask()["held_by_transaction"] == {"0": 0, "1": 5, "2": 0}
    transactions.producer.commit_transaction(TIMEOUT_SECONDS)
    until(lambda: held() == [(0, 0), (6, 0), (0, 0)], TIMEOUT_SECONDS)  # five messages and the marker
