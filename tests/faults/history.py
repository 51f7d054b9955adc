"""The history of a run: the records that were sent, in a file; at the end the database is checked against it.

Every record has exactly one expected outcome, whatever fails in the meantime, because all records of a payment have
the same key and so keep their order.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from fcgraph import db
from tests.workers.topic import Topic, payment
from tests.workers.topic_counts import topic_counts_by

WEIGHTS = {"inserted": 88, "duplicate": 3, "updated": 3, "stale": 2, "conflict": 2, "rejected": 2}
POISON = (b"{", b"", b"null", b"[]", b'{"status": "\xff"}', b'{"amount": NaN}', b'{"transaction_id": "x"}', b"7" * 2000)
OTHER_AMOUNT = "0.00"  # no generated payment has this amount, so it is always a conflict
SHOWN_MAX = 5

Message = dict[str, Any]
Place = tuple[int, int]  # partition, offset


@dataclass
class Record:
    """One record: its expected outcome, and the state of its delivery."""

    number: int
    outcome: str
    key: bytes
    value: bytes
    state: str = "sent"  # later "accepted", with its place, or "unknown"
    place: Place | None = None


class History:
    """Makes records, logs them in a file and checks the database against them. Used by one thread at a time."""

    def __init__(self, file: Path, rnd: Random) -> None:
        self._file = file.open("w", encoding="utf-8")
        self._rnd = rnd
        self.records: list[Record] = []
        self._stored: dict[str, Message] = {}  # the expected final state of each payment
        self._ids: list[str] = []
        self._pending: list[str] = []

    def next(self) -> Record:
        """Make the next record and log it as sent."""
        outcome, message = self._make(self._rnd.choices(tuple(WEIGHTS), tuple(WEIGHTS.values()))[0])
        number = len(self.records)
        key = str(message["transaction_id"]) if message else f"poison {number}"
        value = json.dumps(message).encode() if message else self._rnd.choice(POISON)
        record = Record(number, outcome, key.encode(), value)
        self.records.append(record)
        self._note(record)
        return record

    def _make(self, wish: str) -> tuple[str, Message | None]:
        if wish == "rejected":
            return wish, None
        if wish == "updated" and self._pending:
            transaction_id = self._pending.pop(self._rnd.randrange(len(self._pending)))
            message = {**self._stored[transaction_id], "status": self._rnd.choice(("completed", "failed"))}
            self._stored[transaction_id] = message
            return wish, message
        if wish in ("inserted", "updated") or not self._ids:
            return "inserted", self._make_payment()
        stored = self._stored[self._rnd.choice(self._ids)]
        if wish == "conflict":
            return wish, {**stored, "amount": OTHER_AMOUNT}
        if wish == "stale" and stored["status"] != "pending":
            return wish, {**stored, "status": "pending"}
        return "duplicate", stored

    def _make_payment(self) -> Message:
        amount = f"{self._rnd.randrange(1, 2_000_000) / 100:.2f}"
        currency, status = self._rnd.choice(("USD", "EUR", "PHP")), self._rnd.choice(("pending", "completed"))
        message = payment(len(self.records) + 1, amount=amount, currency=currency, status=status)
        transaction_id = str(message["transaction_id"])
        self._stored[transaction_id] = message
        self._ids.append(transaction_id)
        if status == "pending":
            self._pending.append(transaction_id)
        return message

    def accepted(self, record: Record, place: Place) -> None:
        """The broker has accepted the record at this place."""
        record.state, record.place = "accepted", place
        self._note(record)

    def unknown(self, record: Record) -> None:
        """It is unknown whether the broker has the record."""
        record.state = "unknown"
        self._note(record)

    def _note(self, record: Record) -> None:
        shown = {**vars(record), "key": record.key.decode(), "value": record.value.decode("latin-1")}
        self._file.write(json.dumps(shown) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def check(self, engine: Engine, topic: Topic) -> None:
        """Raise AssertionError with the differences between database, offsets and history."""
        with db.read(engine, snapshot=True) as connection:
            self.check_by(connection, topic)

    def check_by(self, connection: Connection, topic: Topic) -> None:
        """Do the same as `check`, in the caller's transaction."""
        self._file.flush()
        unknown = [record for record in self.records if record.state != "accepted"]
        assert not unknown, f"{len(unknown)} records were never delivered: the run proves nothing"
        wrong = [
            *self._wrong_counts(connection, topic),
            *_wrong_ranges(connection, topic),
            *self._wrong_payments(connection),
            *self._wrong_records(connection),
        ]
        assert not wrong, f"{len(wrong)} differences, the first: " + "; ".join(wrong[:SHOWN_MAX])

    def _wrong_counts(self, connection: Connection, topic: Topic) -> Iterator[str]:
        right = Counter(record.outcome for record in self.records)
        found = topic_counts_by(connection, topic.name)
        if found.read != len(self.records):
            yield f"{len(self.records)} records sent, {found.read} counted"
        for outcome in WEIGHTS:
            if getattr(found, outcome) != right[outcome]:
                yield f"{outcome}: {right[outcome]} expected, {getattr(found, outcome)} counted"

    def _wrong_payments(self, connection: Connection) -> Iterator[str]:
        statement = sa.text(
            "SELECT transaction_id::text, amount, currency, status, source_partition, source_position FROM transactions"
            " WHERE source_partition IS NOT NULL"  # a concurrent import has a check of its own
        )
        places = {r.key.decode(): r.place for r in self.records if r.outcome == "inserted"}
        missing = dict(self._stored)
        sums: Counter[str] = Counter()
        for row in connection.execute(statement):
            right = missing.pop(row.transaction_id, None)
            sums[row.currency] += int(row.amount * 10_000)
            if right is None:
                yield f"{row.transaction_id} was never sent"
            elif (str(right["amount"]), right["currency"], right["status"]) != (
                f"{row.amount:.2f}",
                row.currency,
                row.status,
            ):
                yield f"{row.transaction_id} is {row.amount} {row.currency} {row.status}, not {right}"
            elif places[row.transaction_id] != (row.source_partition, row.source_position):
                yield f"{row.transaction_id} came from {places[row.transaction_id]}, the row says otherwise"
        yield from (f"{transaction_id} is lost" for transaction_id in missing)
        right_sums: Counter[str] = Counter()
        for message in self._stored.values():
            right_sums[message["currency"]] += int(message["amount"].replace(".", "")) * 100
        if sums != right_sums:
            yield f"sums are {dict(sums)}, not {dict(right_sums)}"

    def _wrong_records(self, connection: Connection) -> Iterator[str]:
        statement = sa.text("SELECT lower(outcome) AS outcome, partition, position, raw FROM intake_records")
        right = {r.place: (r.outcome, r.value) for r in self.records if r.outcome in ("rejected", "conflict")}
        for row in connection.execute(statement):
            place = (row.partition, row.position)
            if right.pop(place, None) != (row.outcome, bytes(row.raw)):
                yield f"intake record at {place} is {row.outcome} {bytes(row.raw)[:40]!r}"
        yield from (f"{outcome} at {place} is not stored" for place, (outcome, _) in right.items())


def _wrong_ranges(connection: Connection, topic: Topic) -> Iterator[str]:
    """Ranges must cover every partition once, batches must add up to them, and offsets must be at the end."""
    statement = sa.text(
        "SELECT r.partition, r.first_offset, r.last_offset, r.read_count FROM kafka_ranges r"
        " JOIN intake_batches USING (batch_id) JOIN kafka_topics USING (topic_ref) WHERE topic = :topic"
        " ORDER BY r.partition, r.first_offset"
    )
    reached: dict[int, int] = {}
    counted = 0
    for row in connection.execute(statement, {"topic": topic.name}):
        if (
            row.first_offset != reached.get(row.partition, 0)
            or row.read_count != row.last_offset + 1 - row.first_offset
        ):
            yield f"partition {row.partition}: {row.read_count} counted from {row.first_offset} to {row.last_offset}"
        reached[row.partition] = row.last_offset + 1
        counted += row.read_count
    batches = connection.scalar(sa.text("SELECT coalesce(sum(read_count), 0) FROM intake_batches WHERE kind = 'KAFKA'"))
    if batches != counted:
        yield f"batches count {batches} records, their ranges {counted}"
    for partition in topic.lag().partitions:
        ends = (reached.get(partition.partition, 0), partition.next_offset or 0, partition.end_offset)
        if len(set(ends)) != 1:
            yield f"partition {partition.partition}: counted, committed and sent up to {ends}"
