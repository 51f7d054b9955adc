"""The consumer killed at critical moments or reset; a recreated topic: nothing is lost, nothing duplicated."""

from __future__ import annotations

import signal

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db
from tests.waiting import until
from tests.workers.conftest import StartConsumer
from tests.workers.topic import Topic, value
from tests.workers.topic_counts import payments, records, topic_counts

READY_SECONDS = 20
BACK_SECONDS = 15  # from a restart until messages are consumed again


@pytest.mark.parametrize("moment", ["messages-committed=kill", "messages-submitted=kill"])
def test_killed_between_postgresql_and_kafka_nothing_is_counted_twice(
    start_consumer: StartConsumer, topic: Topic, engine: Engine, moment: str
) -> None:
    killed = start_consumer(FCGRAPH_FAILPOINT=moment)
    killed.wait_for("partitions_assigned", READY_SECONDS)
    topic.send([*(value(n) for n in range(1, 101)), b"poison"])
    assert killed.end() == -signal.SIGKILL
    assert not any(topic.committed().values()), "offsets were committed before the kill"
    start_consumer()
    until(topic.is_read, BACK_SECONDS)
    found = topic_counts(engine, topic.name)
    assert (found.read, found.inserted, found.rejected) == (101, 100, 1)
    assert (payments(engine), len(records(engine))) == (100, 1)


def test_offsets_set_back_change_nothing(start_consumer: StartConsumer, topic: Topic, engine: Engine) -> None:
    first = start_consumer()
    first.wait_for("partitions_assigned", READY_SECONDS)
    topic.send([*(value(n) for n in range(1, 101)), b"poison", value(1, amount="1.00")])
    until(lambda: topic_counts(engine, topic.name).read == 102, READY_SECONDS)
    until(topic.is_read, READY_SECONDS)
    before = (topic_counts(engine, topic.name), payments(engine), records(engine))
    assert first.terminate() == 0
    topic.set_back()
    assert topic.lag().total == 102
    start_consumer()
    until(topic.is_read, READY_SECONDS)
    assert (topic_counts(engine, topic.name), payments(engine), records(engine)) == before


def test_an_offset_without_a_position_in_postgresql_skips_nothing(
    start_consumer: StartConsumer, topic: Topic, engine: Engine
) -> None:
    first = start_consumer()
    first.wait_for("partitions_assigned", READY_SECONDS)
    assert first.terminate() == 0
    topic.send(value(n) for n in range(1, 41))
    topic.set_back(10)  # as left by a consumer of another database
    start_consumer()
    until(lambda: payments(engine) == 40, READY_SECONDS)


@pytest.mark.parametrize("check_seconds", ["0.001", "2"])  # detected with the next messages, or while idle
def test_a_recreated_topic_is_another_topic_and_is_read_from_its_beginning(
    start_consumer: StartConsumer, topic: Topic, engine: Engine, apache_kafka: object, check_seconds: str
) -> None:
    consumer = start_consumer(KAFKA_TOPIC_CHECK_SECONDS=check_seconds)
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    topic.send(value(n) for n in range(1, 101))
    until(topic.is_read, READY_SECONDS)
    topic.delete()
    topic.make()
    topic.send(value(n) for n in range(101, 401))  # more than before: the old offsets are valid in the new topic
    until(lambda: payments(engine) == 400, 2 * READY_SECONDS)
    with db.read(engine) as connection:
        topics = connection.scalar(sa.text("SELECT count(DISTINCT topic_id) FROM kafka_topics"))
    assert topics == 2
    assert consumer.is_running
