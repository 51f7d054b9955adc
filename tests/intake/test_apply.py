"""The six outcomes, in any order and from any channel, checked against a simple model."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from fcgraph import db
from fcgraph.intake import Counts
from fcgraph.rules import records
from fcgraph.rules.records import Outcome, PaymentRecord
from seeds.load import SAMPLE_CSV, SAMPLE_MESSAGES
from tests.intake.cases import GOOD, USER
from tests.intake.channels import Message, Resources, payment_id, row


def message(n: int, offset: int, **changed: str) -> Message:
    return 0, offset, json.dumps({**GOOD, "transaction_id": payment_id(n), **changed}).encode()


def test_golden_counts_of_the_samples(resources: Resources) -> None:
    lines = SAMPLE_MESSAGES.read_bytes().splitlines()
    resources.send([(0, n, value) for n, value in enumerate(lines)])
    assert resources.batch_counts() == Counts(read=3, inserted=2, rejected=1, suspicious=1)
    job = resources.import_csv(SAMPLE_CSV.read_bytes())
    assert resources.counts(job) == Counts(read=4, inserted=2, duplicate=1, rejected=1, suspicious=1)


def test_the_order_of_the_channels_and_doing_it_twice_change_nothing(resources: Resources) -> None:
    messages: list[Message] = [(0, n, value) for n, value in enumerate(SAMPLE_MESSAGES.read_bytes().splitlines())]
    resources.import_csv(SAMPLE_CSV.read_bytes())
    resources.send(messages)
    once, records = resources.payments(), [(k.outcome, k.raw, k.problems) for k in resources.records()]
    assert len(once) == 4
    assert len(records) == 2
    resources.send(messages)
    again = resources.import_csv(SAMPLE_CSV.read_bytes(), reimport=True)
    assert resources.payments() == once
    assert resources.counts(again) == Counts(read=4, duplicate=3, rejected=1)
    assert len(resources.records()) == 3  # the second import stores its own rejected line; the message is stored once


def test_every_outcome_through_the_csv_channel(resources: Resources) -> None:
    resources.import_rows([row(1, status="pending"), row(2, status="completed"), row(3, status="failed")])
    job = resources.import_rows(
        [
            row(1, status="completed"),  # updated
            row(1, status="completed"),  # duplicate
            row(1, status="pending"),  # stale
            row(2, status="failed"),  # conflict: a reversal
            row(2, amount="250"),  # duplicate by value
            row(3, amount="9.99"),  # conflict: content
            row(4),  # inserted
            row(5, amount="NaN"),  # rejected
        ]
    )
    assert resources.counts(job) == Counts(
        read=8, inserted=1, updated=1, duplicate=2, stale=1, conflict=2, rejected=1, suspicious=0
    )
    conflicts = [k for k in resources.records() if k.outcome == "CONFLICT"]
    assert [(k.position, k.differences) for k in conflicts] == [
        (5, [{"field": "status", "stored": "completed", "incoming": "failed"}]),
        (7, [{"field": "amount", "stored": "250", "incoming": "9.99"}]),
    ]
    assert [k.raw.decode() for k in conflicts] == [row(2, status="failed"), row(3, amount="9.99")]
    revision = resources.rows(
        "SELECT transaction_id::text, revision, status, previous->>'status' FROM payment_revisions"
    )
    assert [tuple(r) for r in revision] == [(payment_id(1), 2, "completed", "pending")]


def test_a_message_delivered_again_is_not_counted_again(resources: Resources) -> None:
    messages = [(n % 3, *message(n, n)[1:]) for n in range(30)] + [(1, 500, b"bad"), (2, 500, None)]
    resources.send(messages, slice_max=7)
    assert resources.batch_counts() == Counts(read=32, inserted=30, rejected=2)
    resources.send(messages[10:], slice_max=5)
    assert resources.batch_counts() == Counts(read=32, inserted=30, rejected=2)
    assert len(resources.records()) == 2
    per_partition = resources.rows("SELECT partition, sum(read_count)::int FROM kafka_ranges GROUP BY 1 ORDER BY 1")
    assert [tuple(r) for r in per_partition] == [(0, 10), (1, 11), (2, 11)]
    positions = resources.rows("SELECT partition, next_offset FROM kafka_positions ORDER BY 1")
    assert [tuple(r) for r in positions] == [(0, 28), (1, 501), (2, 501)]


def test_a_topic_made_anew_is_counted_from_its_start(resources: Resources) -> None:
    resources.send([message(n, n) for n in range(5)], topic="one")
    resources.send([message(n, n) for n in range(3, 8)], topic="two")
    assert resources.batch_counts() == Counts(read=10, inserted=8, duplicate=2)


def test_a_position_that_remembers_too_much_skips_nothing(resources: Resources) -> None:
    """If a new topic looks like the old one, its new payments are still stored and counted."""
    resources.send([message(n, n) for n in range(10)])
    resources.send([message(n, n - 10) for n in range(10, 15)])
    assert len(resources.payments()) == 15
    assert resources.batch_counts() == Counts(read=15, inserted=15)


STATUSES = ("pending", "completed", "failed")


def model(arrivals: list[tuple[int, dict[str, str]]]) -> tuple[dict[str, PaymentRecord], Counter[Outcome]]:
    """A simple model: one record at a time, only with the rules."""
    stored: dict[str, PaymentRecord] = {}
    outcomes: Counter[Outcome] = Counter()
    for n, changed in arrivals:
        incoming = PaymentRecord(**{**GOOD, "transaction_id": payment_id(n), **changed})
        before = stored.get(incoming.transaction_id)
        outcome = Outcome.INSERTED if before is None else records.decide(before, incoming)
        if outcome in (Outcome.INSERTED, Outcome.UPDATED):
            stored[incoming.transaction_id] = incoming
        outcomes[outcome] += 1
    return stored, outcomes


def arrivals_of(seed: int, count: int, ids: int) -> list[tuple[int, dict[str, str]]]:
    rnd = random.Random(seed)
    return [
        (rnd.randrange(ids), {"status": rnd.choice(STATUSES), "amount": rnd.choice(("250.00", "250.00", "251.00"))})
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("channel", ["csv", "kafka", "both"])
def test_many_rows_of_few_ids_end_as_the_slow_model_says(resources: Resources, seed: int, channel: str) -> None:
    """Chunks of 4 KiB and slices of 20: most ids repeat in the same batch and in concurrent ones."""
    arrivals = arrivals_of(seed, 600, 150)
    half = len(arrivals) // 2 if channel == "both" else (len(arrivals) if channel == "csv" else 0)
    stored, outcomes = model(arrivals)
    if half:
        resources.import_rows([row(n, **changed) for n, changed in arrivals[:half]])
    resources.send([message(n, i, **changed) for i, (n, changed) in enumerate(arrivals[half:])], slice_max=20)
    counts = resources.batch_counts()
    assert {
        o: c
        for o, c in zip(("INSERTED", "UPDATED", "DUPLICATE", "STALE", "CONFLICT"), counts.values()[1:6], strict=True)
        if c
    } == {o.value: c for o, c in outcomes.items()}
    found = {p[0]: (str(p[3]), p[6]) for p in resources.payments()}
    assert found == {i: (f"{Decimal(r.amount):.4f}", r.status) for i, r in stored.items()}


def test_without_contradiction_the_end_state_does_not_depend_on_the_order(resources: Resources) -> None:
    rnd = random.Random(7)
    arrivals = [(n, {"status": s}) for n in range(40) for s in ("pending", "completed", "pending")]
    for topic in ("one", "two", "three"):
        rnd.shuffle(arrivals)
        resources.send([message(n, i, **c) for i, (n, c) in enumerate(arrivals)], topic=topic, slice_max=9)
        assert {p[6] for p in resources.payments()} == {"completed"}
        assert len(resources.payments()) == 40


@pytest.mark.parametrize("round_number", range(3))
def test_writers_with_the_same_ids_at_once_get_in_nobodys_way(resources: Resources, round_number: int) -> None:
    """Two imports and a consumer, opposite orders, same ids: each id is one payment and no caller sees a deadlock."""
    ids = list(range(400))
    rnd = random.Random(round_number)
    failed: list[BaseException] = []

    def run(name: str) -> None:
        order = ids if name == "up" else list(reversed(ids)) if name == "down" else rnd.sample(ids, len(ids))
        try:
            if name == "kafka":
                resources.send([message(n, i) for i, n in enumerate(order)], slice_max=50)
            else:
                resources.import_rows([row(n) for n in order])
        except BaseException as e:  # noqa: BLE001 any error fails the test
            failed.append(e)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("up", "down", "kafka")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(resources.payments()) == len(ids)
    assert resources.batch_counts() == Counts(read=3 * len(ids), inserted=len(ids), duplicate=2 * len(ids))
    marks = [r[0] for r in resources.rows("SELECT watermark FROM intake_batches ORDER BY watermark")]
    assert marks == list(range(1, len(marks) + 1))


def test_references_hold_for_every_channel(resources: Resources) -> None:
    """Also for direct SQL: no payment without its users, currency and batch; users are never deleted."""
    resources.import_rows([row(1), row(3, status="done")])
    resources.send([message(2, 0)])
    insert = (
        "INSERT INTO transactions (transaction_id, sender_id, receiver_id, timestamp, batch_id, source_position,"
        " is_suspicious, amount, currency, status) SELECT gen_random_uuid(), sender_id, receiver_id, timestamp,"
        " batch_id, 1, false, amount, currency, status FROM transactions"
    )
    stranger = "'99999999-9999-4999-8999-999999999999'"
    keep = (
        "INSERT INTO intake_records (outcome, kind, import_id, topic_ref, position, raw)"
        " VALUES ('REJECTED', 'SEED', {}, {}, 1, '')"
    )
    refused = [
        insert.replace("SELECT gen_random_uuid(), sender_id", f"SELECT gen_random_uuid(), {stranger}::uuid"),
        insert.replace(" amount, currency, status FROM", " amount, 'XXX', status FROM"),
        insert.replace("timestamp, batch_id, 1, false", "timestamp, 999999, 1, false"),
        insert.replace("false, amount", "false, 'NaN'::numeric"),
        f"UPDATE transactions SET receiver_id = {stranger}::uuid",
        f"DELETE FROM users WHERE user_id = '{USER.format(7)}'",
        f"UPDATE users SET user_id = gen_random_uuid() WHERE user_id = '{USER.format(7)}'",
        "DELETE FROM currency",
        "UPDATE currency SET code = 'ZZZ' WHERE code = 'EUR'",
        "DELETE FROM imports",
        "UPDATE imports SET import_id = gen_random_uuid()",
        "TRUNCATE imports CASCADE",
        "DELETE FROM kafka_topics",
        keep.format(stranger, "NULL"),
        keep.format("NULL", "999999"),
        f"UPDATE intake_records SET import_id = {stranger}::uuid",
        "DELETE FROM transactions",
        "TRUNCATE transactions CASCADE",
        "UPDATE intake_batches SET read_count = read_count + 1",
        "UPDATE imports SET read_count = read_count + 1",
        "UPDATE kafka_ranges SET read_count = read_count + 1",
        "UPDATE intake_batches SET inserted_count = -1, rejected_count = rejected_count + 2",
    ]
    before = resources.payments()
    for statement in refused:
        with pytest.raises(DBAPIError), db.write(resources.engine) as connection:
            connection.execute(sa.text(statement))
    assert resources.payments() == before
    with db.write(resources.engine) as connection:
        connection.execute(sa.text(insert))
        connection.execute(sa.text(keep.format("NULL", "NULL")))
    assert len(resources.payments()) == 2 * len(before)
