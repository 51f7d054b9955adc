"""The consumer end to end: messages become outcomes, bad ones are stored, offsets follow PostgreSQL."""

from __future__ import annotations

import json

from sqlalchemy import Engine

from tests.waiting import until
from tests.workers.conftest import StartConsumer
from tests.workers.topic import Topic, payment, value
from tests.workers.topic_counts import StoredRecord, payments, positions, records, topic_counts

READY_SECONDS = 20

BAD: list[tuple[str, bytes | None, tuple[str, ...]]] = [
    ("null", None, ("INVALID_JSON",)),
    ("nothing", b"", ("INVALID_JSON",)),
    ("broken JSON", b'{"transaction_id": ', ("INVALID_JSON",)),
    ("no object", b"[1, 2]", ("INVALID_JSON",)),
    ("not UTF-8", b'{"status": "\xff\xfe"}', ("INVALID_ENCODING",)),
    ("NUL", value(901).replace(b"USD", b"U\0D"), ("INVALID_ENCODING",)),
    ("wrong type", value(902, status=7), ("INVALID_STATUS",)),
    ("NaN", value(903, amount="NaN"), ("INVALID_AMOUNT",)),
    ("missing key", json.dumps({k: v for k, v in payment(904).items() if k != "amount"}).encode(), ("MISSING_VALUE",)),
    ("unknown user", value(905, sender_id="00000000-0000-0000-0000-00000000dead"), ("UNKNOWN_SENDER",)),
    (
        "several problems",
        value(906, amount="-5.00", timestamp="invalid-timestamp", status="oops"),
        ("NEGATIVE_AMOUNT", "INVALID_TIMESTAMP", "INVALID_STATUS"),
    ),
]


def as_stored(partition: int, offset: int, bad: tuple[str, bytes | None, tuple[str, ...]]) -> StoredRecord:
    return StoredRecord(partition, offset, bad[1] or b"", bad[2])


def test_messages_become_payments_and_offsets_follow(
    start_consumer: StartConsumer, topic: Topic, engine: Engine
) -> None:
    consumer = start_consumer()
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    pending, completed = value(2, amount=15000, status="pending"), value(2, amount="15000.00")
    topic.send([value(1), pending, completed, value(1), value(2)], partition=2)
    until(lambda: topic_counts(engine, topic.name).read == 5, READY_SECONDS)
    until(topic.is_read, READY_SECONDS)
    found = topic_counts(engine, topic.name)
    assert (found.inserted, found.updated, found.duplicate, found.conflict) == (2, 1, 1, 1)
    assert found.suspicious == 1
    assert positions(engine) == {partition: n for partition, n in topic.committed().items() if n}
    assert consumer.terminate(5) == 0
    assert consumer.events("stopped")


def test_every_kind_of_bad_message_is_stored_and_stops_nothing(
    start_consumer: StartConsumer, topic: Topic, engine: Engine
) -> None:
    consumer = start_consumer()
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    topic.send([found[1] for found in BAD], partition=1)
    topic.send([value(1)], partition=1)
    until(lambda: payments(engine) == 1, READY_SECONDS)
    assert records(engine) == [as_stored(1, offset, bad) for offset, bad in enumerate(BAD)]
    until(topic.is_read, READY_SECONDS)
    assert sum(line["count"] for line in consumer.events("poison_kept")) == len(BAD)
    assert not any(bad[1].decode("latin-1") in consumer.text() for bad in BAD if bad[1]), "a raw row in the log"
    assert consumer.is_running


def test_poison_may_be_the_first_the_last_or_the_only_message_of_a_partition(
    start_consumer: StartConsumer, topic: Topic, engine: Engine
) -> None:
    start_consumer().wait_for("partitions_assigned", READY_SECONDS)
    topic.send([b"{", value(1), value(2)], partition=0)
    topic.send([value(3), value(4), b"}"], partition=1)
    topic.send([b"null"], partition=2)
    until(lambda: topic_counts(engine, topic.name).read == 7, READY_SECONDS)
    until(topic.is_read, READY_SECONDS)
    assert payments(engine) == 4
    codes = ("INVALID_JSON",)
    assert records(engine) == [
        StoredRecord(0, 0, b"{", codes),
        StoredRecord(1, 2, b"}", codes),
        StoredRecord(2, 0, b"null", codes),
    ]


def test_a_backlog_larger_than_a_slice_is_read_from_the_beginning(
    start_consumer: StartConsumer, topic: Topic, engine: Engine
) -> None:
    topic.send(value(n) for n in range(1, 2501))
    start_consumer(KAFKA_SLICE_MAX="200", KAFKA_COMMIT_EVERY="1000")
    until(lambda: payments(engine) == 2500, READY_SECONDS)
    until(topic.is_read, READY_SECONDS)
    found = topic_counts(engine, topic.name)
    assert (found.read, found.inserted) == (2500, 2500)
