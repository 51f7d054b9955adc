"""The consumer's offsets: they move past transaction markers, and messages deleted unread are a gap."""

from __future__ import annotations

import os
import signal
import time
import uuid

import pytest
import sqlalchemy as sa
from confluent_kafka import Producer, TopicPartition
from sqlalchemy import Engine

from fcgraph import db
from fcgraph.cli import status_view
from fcgraph.settings import Settings
from tests.api.client import serving
from tests.waiting import until
from tests.workers.conftest import StartConsumer
from tests.workers.topic import TIMEOUT_SECONDS, Topic, value
from tests.workers.topic_counts import payments, positions, topic_counts

READY_SECONDS = 20
BACK_SECONDS = 30
ANSWERED_SECONDS = 1.5  # a broker without messages delays a fetch for half a second
pytestmark = pytest.mark.usefixtures("apache_kafka")


def delete_before(topic: Topic, partition: int, offset: int) -> None:
    for deleted in topic.admin.delete_records([TopicPartition(topic.name, partition, offset)]).values():
        deleted.result(TIMEOUT_SECONDS)


def gaps(engine: Engine) -> list[tuple[int, int, int]]:
    with db.read(engine) as connection:
        rows = connection.execute(
            sa.text("SELECT partition, first_offset, last_offset FROM kafka_gaps ORDER BY partition, first_offset")
        )
        return [tuple(row) for row in rows]


def transactions(topic: Topic) -> Producer:
    settings = {"bootstrap.servers": topic.broker, "transactional.id": f"t-{uuid.uuid4().hex}", "log_level": 0}
    producer = Producer(settings)
    producer.init_transactions(TIMEOUT_SECONDS)
    return producer


def send_in(producer: Producer, topic: Topic, numbers: range, partition: int, *, commit: bool) -> None:
    producer.begin_transaction()
    for n in numbers:
        producer.produce(topic.name, value(n), partition=partition)
    assert producer.flush(TIMEOUT_SECONDS) == 0
    producer.commit_transaction(TIMEOUT_SECONDS) if commit else producer.abort_transaction(TIMEOUT_SECONDS)


def test_offsets_follow_behind_markers_and_aborted_messages(
    start_consumer: StartConsumer, topic: Topic, engine: Engine
) -> None:
    consumer = start_consumer()
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    producer = transactions(topic)
    send_in(producer, topic, range(1, 6), 0, commit=True)  # 0-4 and the marker 5
    send_in(producer, topic, range(6, 9), 0, commit=False)  # 6-8 and the marker 9
    send_in(producer, topic, range(9, 12), 1, commit=False)
    ends = {0: 10, 1: 4}
    until(lambda: {p: n for p, n in topic.committed().items() if n} == ends, READY_SECONDS)
    assert positions(engine) == ends
    assert (payments(engine), topic_counts(engine, topic.name).read) == (5, 5)
    # It continues from there after a restart, also after a SIGKILL, and logs nothing unusual.
    consumer.kill()
    again = start_consumer()
    again.wait_for("partitions_assigned", BACK_SECONDS)
    send_in(producer, topic, range(12, 14), 0, commit=True)
    until(lambda: topic.committed().get(0) == 13, READY_SECONDS)
    assert payments(engine) == 7
    assert again.events("partitions_assigned")[0]["offsets"]["0"] == 10
    assert not again.events("kafka_offset_differs")
    assert not again.events("kafka_gap")
    assert gaps(engine) == []


def test_nothing_is_committed_behind_a_message_that_is_not_stored(
    start_consumer: StartConsumer, topic: Topic, engine: Engine
) -> None:
    killed = start_consumer(FCGRAPH_FAILPOINT="messages-submitted=kill")
    killed.wait_for("partitions_assigned", READY_SECONDS)
    producer = transactions(topic)
    send_in(producer, topic, range(1, 6), 0, commit=True)
    assert killed.end() == -signal.SIGKILL
    assert not topic.committed().get(0)
    start_consumer()
    until(lambda: topic.committed().get(0) == 6, BACK_SECONDS)
    assert (payments(engine), topic_counts(engine, topic.name).read) == (5, 5)


def test_an_open_transaction_holds_the_offsets_back(
    start_consumer: StartConsumer, topic: Topic, engine: Engine
) -> None:
    start_consumer().wait_for("partitions_assigned", READY_SECONDS)
    topic.send([value(1)], partition=2)
    until(lambda: topic.committed().get(2) == 1, READY_SECONDS)
    producer = transactions(topic)
    producer.begin_transaction()
    producer.produce(topic.name, value(2), partition=2)
    assert producer.flush(TIMEOUT_SECONDS) == 0
    topic.send([value(3)], partition=2)
    topic.send([value(4)], partition=3)
    until(lambda: topic.committed().get(3) == 1, READY_SECONDS)
    assert (topic.committed()[2], payments(engine)) == (1, 2)
    assert [p.held_by_transaction for p in topic.lag().partitions] == [0, 0, 2, 0]
    producer.commit_transaction(TIMEOUT_SECONDS)
    until(lambda: topic.committed().get(2) == 4, READY_SECONDS)
    assert payments(engine) == 4


def test_messages_deleted_unread_are_a_gap_that_is_recorded_once_and_shown(
    start_consumer: StartConsumer, topic: Topic, engine: Engine, settings: Settings
) -> None:
    first = start_consumer()
    first.wait_for("partitions_assigned", READY_SECONDS)
    topic.send((value(n) for n in range(1, 11)), partition=0)
    until(topic.is_read, READY_SECONDS)
    assert first.terminate() == 0
    topic.send((value(n) for n in range(11, 31)), partition=0)
    topic.send((value(n) for n in range(31, 36)), partition=1)
    delete_before(topic, 0, 20)  # half of the unread ones
    delete_before(topic, 1, 5)  # all of a partition that had no messages before
    second = start_consumer()
    second.wait_for("kafka_gap", READY_SECONDS, count=2)
    until(lambda: payments(engine) == 20, READY_SECONDS)
    until(topic.is_read, READY_SECONDS)
    assert gaps(engine) == [(0, 10, 19), (1, 0, 4)]
    lines = second.events("kafka_gap")
    assert {(line["level"], line["partition"], line["first_offset"], line["last_offset"]) for line in lines} == {
        ("warning", 0, 10, 19),
        ("warning", 1, 0, 4),
    }
    assert second.terminate() == 0
    third = start_consumer()
    third.wait_for("partitions_assigned", READY_SECONDS)
    assert not third.events("kafka_gap")
    assert len(gaps(engine)) == 2

    work = status_view.look(settings)
    with serving(settings) as api:
        found = api.client.get("/health/ready").json()["kafka_gaps"]
    for shown in (work.kafka_gaps, found):
        assert shown is not None
        assert shown["count"] == 2
        assert sorted((g["topic"], g["partition"], g["first_offset"], g["last_offset"]) for g in shown["latest"]) == [
            (topic.name, 0, 10, 19),
            (topic.name, 1, 0, 4),
        ]


def test_a_gap_that_arises_while_the_consumer_reads(
    start_consumer: StartConsumer, topic: Topic, engine: Engine
) -> None:
    consumer = start_consumer(WAITING_RETRY_SECONDS="0.2", KAFKA_SESSION_TIMEOUT_SECONDS="60")
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    topic.send([value(1)], partition=0)
    until(topic.is_read, READY_SECONDS)
    os.kill(consumer.pid, signal.SIGSTOP)  # as slow as possible
    stopped_at = time.monotonic()
    try:
        # The broker completes the fetch in progress, and gets no other until the messages are gone.
        until(lambda: time.monotonic() - stopped_at > ANSWERED_SECONDS, READY_SECONDS)
        topic.send((value(n) for n in range(2, 12)), partition=0)
        delete_before(topic, 0, 6)
    finally:
        os.kill(consumer.pid, signal.SIGCONT)
    consumer.wait_for("kafka_gap", BACK_SECONDS)
    until(topic.is_read, BACK_SECONDS)
    assert gaps(engine) == [(0, 1, 5)]
    assert topic_counts(engine, topic.name).read == 6
    assert consumer.is_running


def test_markers_are_no_gap(start_consumer: StartConsumer, topic: Topic, engine: Engine) -> None:
    topic.make()
    producer = transactions(topic)
    for n in range(1, 6):
        send_in(producer, topic, range(n, n + 1), 0, commit=True)
        send_in(producer, topic, range(100 + n, 101 + n), 0, commit=False)
    consumer = start_consumer()
    until(lambda: payments(engine) == 5, READY_SECONDS)
    until(lambda: topic.committed().get(0) == 20, READY_SECONDS)
    assert gaps(engine) == []
    assert not consumer.events("kafka_gap")


def test_a_new_group_on_a_topic_whose_messages_have_expired_has_no_gap(
    start_consumer: StartConsumer, topic: Topic, engine: Engine
) -> None:
    topic.make()
    topic.send((value(n) for n in range(1, 11)), partition=0)
    delete_before(topic, 0, 5)
    start_consumer().wait_for("partitions_assigned", READY_SECONDS)
    until(lambda: payments(engine) == 5, READY_SECONDS)
    assert gaps(engine) == []


@pytest.mark.parametrize(("offset", "word"), [(3, "behind"), (15, "ahead")])
def test_offsets_set_by_hand_are_said_and_skip_nothing(
    start_consumer: StartConsumer, topic: Topic, engine: Engine, offset: int, word: str
) -> None:
    first = start_consumer()
    first.wait_for("partitions_assigned", READY_SECONDS)
    for partition in range(4):
        topic.send((value(100 * partition + n) for n in range(1, 11)), partition=partition)
    until(topic.is_read, READY_SECONDS)
    assert first.terminate() == 0
    for partition in range(4):
        topic.send((value(100 * partition + n) for n in range(11, 21)), partition=partition)
    topic.set_back(offset)
    second = start_consumer()
    second.wait_for("kafka_offset_differs", READY_SECONDS, count=4)
    until(topic.is_read, READY_SECONDS)
    assert (payments(engine), topic_counts(engine, topic.name).read) == (80, 80)
    lines = second.events("kafka_offset_differs")
    assert {(line["committed"], line["stored"], line["reads_from"]) for line in lines} == {
        (offset, 10, min(offset, 10))
    }
    assert all(word in line["reason"] for line in lines)
    assert gaps(engine) == []
