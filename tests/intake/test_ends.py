"""Resolve many records: replay by filter, dismissal with a note, two concurrent callers, thousands in seconds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from fcgraph import db
from fcgraph.errors import Refused
from fcgraph.intake import Counts, Replayed, dismiss, dismiss_matching, open_records, replay, replay_matching
from fcgraph.record_filter import RecordFilter
from tests.intake.cases import GOOD, HEADER, STRANGER
from tests.intake.channels import Resources, payment_id, row

OPEN = RecordFilter(open_only=True)
REPLAYABLE = 20_000
REPLAY_SECONDS_MAX = 30


class Total:
    """Counts the results of the transactions of one call."""

    def __init__(self) -> None:
        self.ended = self.left = self.transactions = 0

    def __call__(self, ended: int, left: int) -> None:
        self.ended += ended
        self.left += left
        self.transactions += 1


def replay_all(resources: Resources, wanted: RecordFilter = OPEN, **options: Any) -> Replayed:
    total = Total()
    replay_matching(
        resources.engine, resources.settings, wanted, "test", principal="cli:test", on_batch=total, **options
    )
    return Replayed(total.ended, total.left)


def dismiss_all(resources: Resources, wanted: RecordFilter, note: str = "test rows") -> int:
    total = Total()
    dismiss_matching(resources.engine, wanted, note, principal="cli:test", on_batch=total)
    return total.ended


def add_stranger(resources: Resources) -> None:
    with db.write(resources.engine) as connection:
        connection.execute(sa.text("INSERT INTO users (user_id, name) VALUES (:id, 'New')"), {"id": STRANGER})


def message(n: int, offset: int, **changed: str) -> tuple[int, int, bytes]:
    return n % 3, offset, json.dumps(GOOD | {"transaction_id": payment_id(n)} | changed).encode()


def in_records(resources: Resources, columns: str) -> list[Any]:
    return [tuple(r) for r in resources.rows(f"SELECT {columns} FROM intake_records ORDER BY record_id")]


def test_replay_by_filter_is_one_batch_for_each_origin_and_safe_to_repeat(resources: Resources) -> None:
    first = resources.import_rows([row(1, sender_id=STRANGER), row(2, amount="x"), row(3, sender_id=STRANGER)])
    second = resources.import_rows([row(4, sender_id=STRANGER)])
    resources.send([message(n, 10 + n, receiver_id=STRANGER) for n in (5, 6, 7)])
    assert replay_all(resources) == Replayed(0, 7)
    add_stranger(resources)
    before = resources.batch_counts()
    assert replay_all(resources, RecordFilter(import_id=first)) == Replayed(2, 1)
    assert replay_all(resources, RecordFilter(topic="none")) == Replayed(0, 0)
    assert replay_all(resources) == Replayed(4, 1)
    assert replay_all(resources) == Replayed(0, 1)
    assert replay_all(resources, RecordFilter(open_only=False)) == Replayed(0, 1)
    batches = resources.rows("SELECT import_id, read_count FROM intake_batches ORDER BY batch_id DESC LIMIT 3")
    assert {(b.import_id, b.read_count) for b in batches} == {(first, 2), (second, 1), (None, 3)}
    after = resources.batch_counts()
    assert (after.read - before.read, after.inserted - before.inserted) == (6, 6)
    places = resources.rows("SELECT source_partition, source_position FROM transactions ORDER BY transaction_id")
    assert [tuple(p) for p in places] == [(None, 2), (None, 4), (None, 2), (2, 15), (0, 16), (1, 17)]
    ends = in_records(resources, "resolution, resolved_by, resolved_at IS NULL")
    assert sorted(ends, key=str) == [("REPLAYED_INSERTED", "cli:test", False)] * 6 + [(None, None, True)]


def test_two_records_of_one_payment_are_applied_in_the_order_of_arrival(resources: Resources) -> None:
    resources.import_rows(
        [row(1, sender_id=STRANGER, status=status) for status in ("pending", "completed", "pending", "failed")]
        + [row(1, sender_id=STRANGER, amount="9.00")]
    )
    add_stranger(resources)
    assert replay_all(resources) == Replayed(5, 0)
    assert in_records(resources, "outcome, resolution") == [
        ("REJECTED", "REPLAYED_INSERTED"),
        ("REJECTED", "REPLAYED_UPDATED"),
        ("REJECTED", "REPLAYED_STALE"),
        ("CONFLICT", None),
        ("CONFLICT", None),
    ]
    assert resources.batch_counts() == Counts(read=10, inserted=1, updated=1, stale=1, conflict=2, rejected=5)


def test_every_condition_of_a_filter(resources: Resources) -> None:
    job = resources.import_rows([row(1, amount="x"), row(2, status="y", currency="usdollar")])
    resources.send([message(3, 1, amount="-1")], "mine")
    resources.send([message(4, 1, amount="-1")], "theirs")
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    expected = {
        RecordFilter(): 4,
        RecordFilter(kind="CSV"): 2,
        RecordFilter(kind="KAFKA"): 2,
        RecordFilter(import_id=job): 2,
        RecordFilter(import_id=uuid4()): 0,
        RecordFilter(topic="mine"): 1,
        RecordFilter(codes=("INVALID_STATUS", "NEGATIVE_AMOUNT")): 3,
        RecordFilter(codes=("INVALID_STATUS",), kind="KAFKA"): 0,
        RecordFilter(codes=()): 0,
        RecordFilter(outcomes=("REJECTED", "CONFLICT")): 4,
        RecordFilter(received_from=now - hour, received_to=now + hour): 4,
        RecordFilter(received_from=now + hour): 0,
        RecordFilter(received_to=now - hour): 0,
    }
    assert {wanted: replay_all(resources, wanted).still_rejected for wanted in expected} == expected


def test_a_filter_of_conflicts_alone_is_refused(resources: Resources) -> None:
    for act in (replay_all, dismiss_all):
        with pytest.raises(Refused) as refused:
            act(resources, RecordFilter(outcomes=("CONFLICT",)))
        assert (refused.value.code, refused.value.path) == ("INVALID_INPUT", ("filter", "outcomes"))


def test_rows_that_are_not_whole_say_that_a_replay_cannot_help(resources: Resources) -> None:
    """Also for records stored before the message said so."""
    resources.import_csv(f'{HEADER}\n"{row(1)}\n{row(2)},{"x" * 70_000}\n')
    said = [problem["message"] for k in resources.records() for problem in k.problems]
    assert len(said) == 2
    assert all(text.endswith("; a replay cannot help, send the corrected row") for text in said)
    with db.write(resources.engine) as connection:
        connection.execute(
            sa.text("UPDATE intake_records SET problems = replace(problems::text, '; a replay cannot help, send the"
                    " corrected row', '')::jsonb")
        )  # fmt: skip
    for _ in range(2):
        assert replay_all(resources) == Replayed(0, 2)
        assert [problem["message"] for k in resources.records() for problem in k.problems] == said


def test_two_replays_at_once_replay_each_record_once(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_records, "BATCH_RECORDS", 50)  # many transactions, so that the two often contend
    resources.import_rows([row(n, sender_id=STRANGER) for n in range(1000)])
    add_stranger(resources)
    found: list[Replayed] = []
    threads = [threading.Thread(target=lambda: found.append(replay_all(resources))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sum(counts) for counts in zip(*found, strict=True)] == [1000, 0]
    assert resources.batch_counts() == Counts(read=2000, inserted=1000, rejected=1000)
    assert len(resources.payments()) == 1000


def test_the_time_that_is_up_ends_between_transactions_and_the_next_call_goes_on(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_records, "BATCH_RECORDS", 4)
    resources.import_rows([row(n, sender_id=STRANGER) for n in range(10)])
    add_stranger(resources)
    for expected in (4, 8):
        with pytest.raises(open_records.OutOfTime):
            replay_all(resources, more_time=lambda: False)
        assert len(resources.payments()) == expected
    assert replay_all(resources, more_time=lambda: False) == Replayed(2, 0)


def test_twenty_thousand_records_are_replayed_in_seconds(resources: Resources) -> None:
    resources.import_rows([row(n, sender_id=STRANGER) for n in range(REPLAYABLE)])
    add_stranger(resources)
    started = time.monotonic()
    assert replay_all(resources) == Replayed(REPLAYABLE, 0)
    assert time.monotonic() - started < REPLAY_SECONDS_MAX
    assert resources.rows("SELECT count(*) FROM intake_records WHERE resolved_at IS NULL")[0][0] == 0


def test_dismissal_needs_a_note_and_is_safe_to_repeat(resources: Resources) -> None:
    job = resources.import_rows([row(n, amount="x") for n in range(4)])
    ids = [k.record_id for k in resources.records()]
    for note in ("", "  \n", "x" * 2001, "a\0b"):
        with pytest.raises(Refused) as refused:
            dismiss(resources.engine, ids, note, principal="cli:test")
        assert refused.value.path == ("note",)
        with pytest.raises(Refused):
            dismiss_all(resources, RecordFilter(import_id=job), note)
    assert dismiss(resources.engine, ids[:1], "a test file", principal="key:one") == 1
    assert dismiss(resources.engine, ids[:1], "again", principal="key:two") == 0
    assert [dismiss_all(resources, RecordFilter(import_id=job)) for _ in range(2)] == [3, 0]
    found = in_records(resources, "resolution, note, resolved_by")
    assert found == [("DISMISSED", "a test file", "key:one")] + [("DISMISSED", "test rows", "cli:test")] * 3
    assert replay(resources.engine, resources.settings, ids, "test") == Replayed(0, 0)


def test_dismissal_by_ids_is_all_or_none_and_never_of_a_conflict(resources: Resources) -> None:
    resources.import_rows([row(1), row(1, amount="9.00"), row(2, amount="x"), row(3, sender_id=STRANGER)])
    conflict, rejected, replayed = (k.record_id for k in resources.records())
    add_stranger(resources)
    replay(resources.engine, resources.settings, [replayed], "test", principal="cli:test")
    unknown = uuid4()
    refusals = {unknown: "NOT_FOUND", conflict: "INVALID_INPUT", replayed: "ALREADY_RESOLVED"}
    for record_id, code in refusals.items():
        with pytest.raises(Refused, match=str(record_id)) as refused:
            dismiss(resources.engine, [rejected, record_id], "test", principal="cli:test")
        assert (refused.value.code, refused.value.path) == (code, ("recordIds",))
    assert dismiss_all(resources, RecordFilter()) == 1
    assert {(k.outcome, k.resolution) for k in resources.records()} == {
        ("CONFLICT", None), ("REJECTED", "DISMISSED"), ("REJECTED", "REPLAYED_INSERTED"),
    }  # fmt: skip


def test_one_record_wanted_by_a_replay_and_a_dismissal_ends_once(resources: Resources) -> None:
    resources.import_rows([row(n, sender_id=STRANGER) for n in range(200)])
    add_stranger(resources)
    found: dict[str, int] = {}
    work: dict[str, Callable[[], int]] = {
        "replayed": lambda: replay_all(resources).replayed,
        "dismissed": lambda: dismiss_all(resources, RecordFilter()),
    }
    threads = [
        threading.Thread(target=lambda name=name, act=act: found.update({name: act()})) for name, act in work.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found.values()) == 200
    assert len(resources.payments()) == found["replayed"]


def test_record_ids_are_uuids_in_the_order_of_arrival(resources: Resources) -> None:
    """Records are replayed in the order of their ids, so ids must follow the order of imports."""
    jobs = [resources.import_rows([row(n, amount="x")]) for n in range(3)]
    found: list[UUID] = [r.import_id for r in resources.rows("SELECT import_id FROM intake_records ORDER BY record_id")]
    assert found == jobs
