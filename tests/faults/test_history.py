"""The checker: a correct database passes, every kind of error is found, and a seed repeats the run."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db
from tests.faults.conftest import StartTraffic
from tests.faults.history import History
from tests.waiting import until
from tests.workers.conftest import StartConsumer
from tests.workers.topic import Topic

READY_SECONDS = 30
RECORDS = 1000

# Errors in a database, and a part of the checker's message.
WRONGS = {
    "a payment is lost": (
        "DELETE FROM transactions WHERE transaction_id = (SELECT transaction_id FROM transactions LIMIT 1)",
        "is lost",
    ),
    "a payment that was never sent": (
        "INSERT INTO transactions (transaction_id, sender_id, receiver_id, timestamp, batch_id, source_partition,"
        " source_position, is_suspicious, amount, currency, status)"
        " SELECT uuidv7(), sender_id, receiver_id, timestamp, batch_id, source_partition, source_position,"
        " is_suspicious, amount, currency, status FROM transactions LIMIT 1",
        "was never sent",
    ),
    "an amount": (
        "UPDATE transactions SET amount = amount + 1"
        " WHERE transaction_id = (SELECT transaction_id FROM transactions LIMIT 1)",
        "sums are",
    ),
    "a status": ("UPDATE transactions SET status = 'failed' WHERE status = 'pending'", "failed, not"),
    "a place": ("UPDATE transactions SET source_position = source_position + 1", "the row says otherwise"),
    "an intake record is lost": ("DELETE FROM intake_records WHERE outcome = 'REJECTED'", "is not stored"),
    "raw bytes": ("UPDATE intake_records SET raw = raw || 'x'::bytea", "intake record at"),
    "a range is lost": (
        "DELETE FROM kafka_ranges WHERE (partition, first_offset) = "
        "(SELECT partition, first_offset FROM kafka_ranges ORDER BY first_offset LIMIT 1)",
        "records sent",
    ),
    "a range is counted twice": (
        "UPDATE kafka_ranges SET read_count = read_count + 1, duplicate_count = duplicate_count + 1"
        " WHERE first_offset = 0 AND partition = 0",
        "duplicate: ",
    ),
    "a batch counts what its ranges do not": (
        "UPDATE intake_batches SET read_count = read_count + 1, duplicate_count = duplicate_count + 1",
        "batches count",
    ),
}


def test_a_right_database_passes_and_every_wrong_one_is_found(
    start_consumer: StartConsumer, start_traffic: StartTraffic, topic: Topic, engine: Engine
) -> None:
    consumer = start_consumer()
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    traffic = start_traffic(rate=1000)
    until(lambda: len(traffic.history.records) >= RECORDS, READY_SECONDS)
    traffic.finish()
    until(topic.is_read, READY_SECONDS)
    assert consumer.terminate() == 0
    history = traffic.history
    history.check(engine, topic)
    for name, (statement, said) in WRONGS.items():
        with pytest.raises(AssertionError) as found:
            check_after(statement, history, engine, topic)
        assert said in str(found.value), (name, str(found.value))
    history.check(engine, topic)
    topic.send([b"one that nobody reads"])
    with pytest.raises(AssertionError, match="counted, committed and sent"):
        history.check(engine, topic)
    history.records[0].state = "unknown"
    with pytest.raises(AssertionError, match="the run proves nothing"):
        history.check(engine, topic)


def check_after(statement: str, history: History, engine: Engine, topic: Topic) -> None:
    """Run the statement, check the database, and roll back."""
    with db.write(engine) as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))  # disables the triggers
        assert connection.execute(sa.text(statement)).rowcount > 0, statement
        try:
            history.check_by(connection, topic)
        finally:
            connection.rollback()


def test_a_seed_makes_the_same_run_again(tmp_path: Path) -> None:
    def sent(seed: int, name: str) -> list[tuple[str, bytes, bytes]]:
        history = History(tmp_path / name, Random(seed))
        made = [history.next() for _ in range(500)]
        history.close()
        return [(record.outcome, record.key, record.value) for record in made]

    assert sent(7, "first") == sent(7, "again")
    assert sent(7, "first") != sent(8, "other")
    assert len((tmp_path / "first").read_text().splitlines()) == 500
