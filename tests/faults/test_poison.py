"""Bad messages of 25 kinds among good ones are stored as they arrived; good ones of different shapes are read."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from random import Random

import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db
from tests.faults.conftest import Note
from tests.faults.run import times
from tests.waiting import until
from tests.workers.conftest import StartConsumer
from tests.workers.topic import Topic, payment, value
from tests.workers.topic_counts import StoredRecord, payments, records, topic_counts

READY_SECONDS = 30
END_SECONDS = 120
MESSAGES, BAD_MESSAGES = 100_000, 1_000


def without(column: str) -> bytes:
    return json.dumps({key: v for key, v in payment(1).items() if key != column}).encode()


MORE_FIELDS = (("note", "x"), ("amount_usd", 1), ("nested", {"status": "failed"}))
STRANGER = "99999999-9999-4999-8999-999999999999"
KINDS: tuple[tuple[bytes | None, tuple[str, ...]], ...] = (
    (None, ("INVALID_JSON",)),
    (b"", ("INVALID_JSON",)),
    (b"{", ("INVALID_JSON",)),
    (b"null", ("INVALID_JSON",)),
    (b"[1, 2]", ("INVALID_JSON",)),
    (b"7" * 5000, ("INVALID_JSON",)),
    (value(1) + value(2), ("INVALID_JSON",)),
    (value(1)[:-9], ("INVALID_JSON",)),
    (value(1).replace(b"completed", b"\xff\xfe"), ("INVALID_ENCODING",)),
    (value(1).replace(b"USD", b"U\0D"), ("INVALID_ENCODING",)),
    (value(1, transaction_id="x"), ("INVALID_UUID",)),
    (without("transaction_id"), ("MISSING_VALUE",)),
    (without("amount"), ("MISSING_VALUE",)),
    (value(1, amount=None), ("MISSING_VALUE",)),
    (value(1, amount="NaN"), ("INVALID_AMOUNT",)),
    (value(1, amount="1e3"), ("INVALID_AMOUNT",)),
    (value(1, amount="-5.00"), ("NEGATIVE_AMOUNT",)),
    (value(1, amount="1.999"), ("TOO_MANY_DECIMALS",)),
    (value(1, amount="1" * 16), ("AMOUNT_TOO_LARGE",)),
    (value(1, currency="XXX"), ("UNKNOWN_CURRENCY",)),
    (value(1, sender_id=STRANGER), ("UNKNOWN_SENDER",)),
    (value(1, timestamp="2025-05-01T12:00:00"), ("TIMESTAMP_WITHOUT_OFFSET",)),
    (value(1, timestamp="2999-05-01T12:00:00Z"), ("TIMESTAMP_IN_FUTURE",)),
    (value(1, status=["completed"]), ("INVALID_STATUS",)),
    (value(1, amount="-1", timestamp="oops", status="?"), ("NEGATIVE_AMOUNT", "INVALID_TIMESTAMP", "INVALID_STATUS")),
)


def test_25_kinds_of_bad_messages_first_last_and_only_of_a_partition(
    start_consumer: StartConsumer, topic: Topic, engine: Engine, rnd: Random, note: Note
) -> None:
    assert len(KINDS) == 25
    messages, bad_messages = times(MESSAGES), times(BAD_MESSAGES)
    note("bad messages", bad_messages)
    note("messages", messages)
    consumer = start_consumer()
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    bad = [KINDS[n % len(KINDS)] for n in range(bad_messages)]
    rnd.shuffle(bad)
    only, bad = bad[:1], bad[1:]
    right = [StoredRecord(3, 0, only[0][0] or b"", only[0][1])]
    topic.send([only[0][0]], partition=3)
    stored = 0
    for partition in range(3):
        length = messages // 3
        places = {0, length - 1, *rnd.sample(range(1, length - 1), (bad_messages - 1) // 3 - 2)}
        sent: list[bytes | None] = []
        for offset in range(length):
            if offset in places:
                content, codes = bad.pop()
                right.append(StoredRecord(partition, offset, content or b"", codes))
                sent.append(content)
            else:
                stored += 1
                sent.append(value(stored))
        topic.send(sent, partition=partition)
    until(lambda: topic_counts(engine, topic.name).read == stored + len(right), END_SECONDS)
    until(topic.is_read, READY_SECONDS)
    assert records(engine) == sorted(right)
    found = topic_counts(engine, topic.name)
    assert (found.inserted, found.rejected, payments(engine)) == (stored, len(right), stored)
    assert sum(line["count"] for line in consumer.events("poison_kept")) == len(right)
    assert len(consumer.events("partitions_assigned")) == 1, "the consumer started again"
    assert consumer.terminate() == 0


def test_messages_of_other_shapes_than_the_first_lose_no_field(
    start_consumer: StartConsumer, topic: Topic, engine: Engine, rnd: Random
) -> None:
    count = times(10_000)
    sent = [
        payment(
            n,
            sender_id=f"00000000-0000-0000-0000-00000000000{rnd.randrange(1, 8)}",
            receiver_id=f"00000000-0000-0000-0000-00000000000{rnd.randrange(1, 8)}",
            amount=f"{rnd.randrange(1, 10**7) / 100:.2f}",
            currency=rnd.choice(("USD", "EUR", "PHP")),
            timestamp=f"2025-05-{rnd.randrange(1, 32):02}T{rnd.randrange(24):02}:00:00+08:00",
            status=rnd.choice(("pending", "completed", "failed")),
        )
        for n in range(1, count + 1)
    ]

    def shaped(message: dict[str, object]) -> bytes:
        fields = [
            *message.items(),
            *(("note", "x"), ("amount_usd", 1), ("nested", {"status": "failed"}))[: rnd.randrange(4)],
        ]
        rnd.shuffle(fields)
        return json.dumps(dict(fields), separators=rnd.choice(((",", ":"), (", ", ": ")))).encode()

    start_consumer().wait_for("partitions_assigned", READY_SECONDS)
    topic.send([without("status"), *map(shaped, sent)], partition=0)
    until(topic.is_read, END_SECONDS)
    assert records(engine) == [StoredRecord(0, 0, without("status"), ("MISSING_VALUE",))]
    columns = ("transaction_id", "sender_id", "receiver_id", "amount", "currency", "timestamp", "status")
    with db.read(engine) as connection:
        rows = connection.execute(
            sa.text(f"SELECT {', '.join(columns)} FROM transactions ORDER BY source_position")
        ).all()
    assert [(str(a), str(b), str(c), d, e, f, g) for a, b, c, d, e, f, g in rows] == [
        (
            m["transaction_id"],
            m["sender_id"],
            m["receiver_id"],
            Decimal(str(m["amount"])),
            m["currency"],
            datetime.fromisoformat(str(m["timestamp"])),
            m["status"],
        )
        for m in sent
    ]
