"""What the database itself refuses, whoever asks: changes without a revision, rewritten history, undone ends."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from fcgraph import db
from fcgraph.intake import dismiss, resolve_conflict
from tests.intake.cases import USER
from tests.intake.doors import Doors, payment_id, row

SUSPICIOUS = "20000.00"
REVISION = (
    "INSERT INTO payment_revisions (transaction_id, revision, status, previous, batch_id, source_position)"
    " SELECT transaction_id, 2, 'completed', jsonb_build_object('sender_id', sender_id, 'receiver_id', receiver_id,"
    " 'amount', amount::text, 'currency', currency, 'timestamp', timestamp, 'status', status), batch_id, 1"
    " FROM transactions"
)


def execute(doors: Doors, *statements: str) -> None:
    with db.write(doors.engine) as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


@pytest.mark.parametrize(
    "change",
    [
        "status = 'completed'",
        "amount = amount + 1",
        "currency = 'EUR'",
        "timestamp = timestamp + interval '1 second'",
        f"sender_id = '{USER.format(3)}'",
        f"receiver_id = '{USER.format(3)}'",
        "is_suspicious = true",
        "suspicions = '{SELF_TRANSFER}'",
    ],
)
def test_a_payment_changes_only_with_a_revision_of_the_same_transaction(doors: Doors, change: str) -> None:
    doors.import_rows([row(1, status="pending"), row(2, status="pending")])
    before = doors.payments()
    update = f"UPDATE transactions SET {change}"
    with pytest.raises(DBAPIError, match="a change needs a revision in the same transaction"):
        execute(doors, update)
    execute(doors, REVISION)  # an earlier transaction's
    with pytest.raises(DBAPIError, match="a change needs a revision in the same transaction"):
        execute(doors, update)
    assert doors.payments() == before


def test_one_revision_is_good_for_one_change_and_for_what_the_payment_was(doors: Doors) -> None:
    doors.import_rows([row(1, status="pending")])
    complete = "UPDATE transactions SET status = 'completed'"
    with pytest.raises(DBAPIError, match=f"payment {payment_id(1)}: a change needs"):
        execute(doors, REVISION, complete, "UPDATE transactions SET amount = 1")
    with pytest.raises(DBAPIError, match="a change needs a revision"):
        execute(doors, REVISION.replace("amount::text", "'7.00'"), complete)
    with pytest.raises(DBAPIError, match="a change needs a revision"):
        execute(doors, REVISION, "UPDATE transactions SET status = 'failed'")
    execute(doors, "UPDATE transactions SET status = status")
    execute(doors, REVISION, complete)
    assert doors.payments()[0][6] == "completed"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE transactions SET transaction_id = uuidv7()", "never change"),
        ("UPDATE transactions SET batch_id = batch_id + 1", "never change"),
        ("UPDATE transactions SET source_position = 99", "never change"),
        ("UPDATE transactions SET source_partition = 1", "never change"),
        ("UPDATE payment_revisions SET note = 'x'", "only added"),
        ("DELETE FROM payment_revisions", "only added"),
        ("TRUNCATE payment_revisions", "only added"),
        ("DELETE FROM intake_records", "never deleted"),
        ("DELETE FROM intake_records WHERE resolution = 'DISMISSED'", "never deleted"),
        ("TRUNCATE intake_records", "never deleted"),
        ("UPDATE intake_records SET raw = 'x'", "what arrived"),
        ("UPDATE intake_records SET position = 99", "what arrived"),
        ("UPDATE intake_records SET received_at = now()", "what arrived"),
        ("UPDATE intake_records SET resolved_at = NULL, resolution = NULL", "has ended"),
        ("UPDATE intake_records SET note = 'other' WHERE resolution IS NOT NULL", "has ended"),
        ("UPDATE intake_records SET resolution = 'KEEP_STORED' WHERE resolution = 'DISMISSED'", "has ended"),
    ],
)
def test_history_is_never_rewritten(doors: Doors, statement: str, said: str) -> None:
    doors.import_rows([row(1, status="pending"), row(2, amount="x"), row(3, amount="x")])
    doors.import_rows([row(1)])
    dismiss(doors.engine, [doors.kept()[0].record_id], "test", principal="cli:test")
    with pytest.raises(DBAPIError, match=said):
        execute(doors, statement)


def test_a_rehearsal_may_start_over(doors: Doors) -> None:
    """Records of a dry run, and of an import that wrote nothing, are ended at birth; only they may go."""
    for options in ({"dry_run": True}, {"mode": "ALL_OR_NOTHING"}):
        doors.import_rows([row(1, amount="x")], **options)
    execute(doors, "DELETE FROM intake_records")
    assert doors.kept() == []


def test_a_record_is_superseded_only_by_something(doors: Doors) -> None:
    doors.import_rows([row(1, amount="x")])
    for change in ("resolution = 'SUPERSEDED'", "resolution = 'DISMISSED', superseded_position = 1"):
        with pytest.raises(DBAPIError, match="ck_intake_records_superseded"):
            execute(doors, f"UPDATE intake_records SET resolved_at = now(), {change}")


def revisions(doors: Doors) -> list[Any]:
    return doors.rows("SELECT previous, note, decided_by FROM payment_revisions ORDER BY transaction_id, revision")


def test_a_revision_keeps_all_that_the_payment_was_with_its_suspicion(doors: Doors) -> None:
    doors.import_rows([row(1, amount=SUSPICIOUS, status="pending"), row(2, status="pending")])
    doors.import_rows([row(1, amount=SUSPICIOUS), row(2)])
    doors.import_rows([row(1, amount="611.3")])
    conflict = doors.kept()[0].record_id
    for _ in range(2):
        resolve_conflict(
            doors.engine,
            doors.settings,
            conflict,
            "ACCEPT_INCOMING",
            "the bank says so",
            "test",
            principal="key:finance",
        )
    by_itself, decided, other = revisions(doors)
    suspicion = {"is_suspicious": True, "suspicions": ["AMOUNT_OVER_THRESHOLD"]}
    assert by_itself.previous == decided.previous | {"status": "pending"}
    assert decided.previous == suspicion | {
        "sender_id": USER.format(1),
        "receiver_id": USER.format(2),
        "amount": "20000",
        "currency": "USD",
        "timestamp": "2025-05-01T12:00:00Z",
        "status": "completed",
    }
    assert (other.previous["is_suspicious"], other.previous["suspicions"]) == (False, [])
    assert [(r.note, r.decided_by) for r in (by_itself, decided, other)] == [
        (None, None), ("the bank says so", "key:finance"), (None, None),
    ]  # fmt: skip
    assert doors.payments()[0][7:] == (False, None)
    (record,) = doors.rows("SELECT resolution, note, resolved_by FROM intake_records")
    assert tuple(record) == ("ACCEPT_INCOMING", "the bank says so", "key:finance")
