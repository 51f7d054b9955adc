"""Consumer lag as data: unread messages by partition, the age of the oldest, bounded time when Kafka is unavailable."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Consumer, TopicPartition

from fcgraph.errors import Unavailable
from fcgraph.kafka.lag import read_lag
from fcgraph.settings import Settings
from tests.workers.topic import Topic


def test_lag_of_a_topic_that_is_not_there(settings: Settings) -> None:
    lag = read_lag(settings.kafka_broker, settings.kafka_topic, "nobody", timeout_seconds=10)
    assert (lag.partitions, lag.total, lag.oldest_unread_at) == ((), 0, None)


def test_lag_before_and_after_a_commit(settings: Settings) -> None:
    topic = Topic(settings)
    before = datetime.now(UTC) - timedelta(seconds=1)
    topic.send([b"a", b"b", b"c", b"d", b"e"])  # partitions 0, 1, 2, 3, 0
    lag = topic.lag()
    assert [(p.partition, p.next_offset, p.end_offset, p.unread) for p in lag.partitions] == [
        (0, None, 2, 2),
        (1, None, 1, 1),
        (2, None, 1, 1),
        (3, None, 1, 1),
    ]
    assert lag.oldest_unread_at is not None
    assert before < lag.oldest_unread_at
    assert lag.oldest_unread_age_seconds(lag.oldest_unread_at + timedelta(seconds=3)) == 3

    commit(topic, {0: 1, 1: 1, 2: 1, 3: 1})
    lag = topic.lag()
    assert [p.unread for p in lag.partitions] == [1, 0, 0, 0]
    commit(topic, {0: 2})
    lag = topic.lag()
    assert (lag.total, lag.oldest_unread_at, lag.oldest_unread_age_seconds(datetime.now(UTC))) == (0, None, None)


def commit(topic: Topic, offsets: dict[int, int]) -> None:
    consumer = Consumer({"bootstrap.servers": topic.broker, "group.id": topic.group, "log_level": 0})
    try:
        wanted = [TopicPartition(topic.name, partition, offset) for partition, offset in offsets.items()]
        consumer.commit(offsets=wanted, asynchronous=False)
    finally:
        consumer.close()


def test_kafka_away_is_said_in_time() -> None:
    started_at = time.monotonic()
    with pytest.raises(Unavailable):
        read_lag("127.0.0.1:1", "transactions", "nobody", timeout_seconds=1)
    assert time.monotonic() - started_at < 5
