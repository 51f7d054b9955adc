"""What the database refuses to any client: changes without a revision, rewritten history, reopened records."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from fcgraph import db
from fcgraph.intake import dismiss, resolve_conflict
from tests.intake.cases import USER
from tests.intake.channels import Resources, payment_id, row

SUSPICIOUS = "20000.00"
REVISION = (
    "INSERT INTO payment_revisions (transaction_id, revision, status, previous, batch_id, source_position)"
    " SELECT transaction_id, 2, 'completed', jsonb_build_object('sender_id', sender_id, 'receiver_id', receiver_id,"
    " 'amount', amount::text, 'currency', currency, 'timestamp', timestamp, 'status', status), batch_id, 1"
    " FROM transactions"
)


def execute(resources: Resources, *statements: str) -> None:
    with db.write(resources.engine) as connection:
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
def test_a_payment_changes_only_with_a_revision_of_the_same_transaction(resources: Resources, change: str) -> None:
    resources.import_rows([row(1, status="pending"), row(2, status="pending")])
    before = resources.payments()
    update = f"UPDATE transactions SET {change}"
    with pytest.raises(DBAPIError, match="a change needs a revision in the same transaction"):
        execute(resources, update)
    execute(resources, REVISION)  # an earlier transaction's
    with pytest.raises(DBAPIError, match="a change needs a revision in the same transaction"):
        execute(resources, update)
    assert resources.payments() == before


def test_one_revision_is_good_for_one_change_and_for_what_the_payment_was(resources: Resources) -> None:
    resources.import_rows([row(1, status="pending")])
    complete = "UPDATE transactions SET status = 'completed'"
    with pytest.raises(DBAPIError, match=f"payment {payment_id(1)}: a change needs"):
        execute(resources, REVISION, complete, "UPDATE transactions SET amount = 1")
    with pytest.raises(DBAPIError, match="a change needs a revision"):
        execute(resources, REVISION.replace("amount::text", "'7.00'"), complete)
    with pytest.raises(DBAPIError, match="a change needs a revision"):
        execute(resources, REVISION, "UPDATE transactions SET status = 'failed'")
    execute(resources, "UPDATE transactions SET status = status")
    execute(resources, REVISION, complete)
    assert resources.payments()[0][6] == "completed"


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
def test_history_is_never_rewritten(resources: Resources, statement: str, said: str) -> None:
    resources.import_rows([row(1, status="pending"), row(2, amount="x"), row(3, amount="x")])
    resources.import_rows([row(1)])
    dismiss(resources.engine, [resources.records()[0].record_id], "test", principal="cli:test")
    with pytest.raises(DBAPIError, match=said):
        execute(resources, statement)


def test_a_rehearsal_may_start_over(resources: Resources) -> None:
    """Records of a dry run, and of an import that wrote nothing, are stored as resolved; only they may be deleted."""
    for options in ({"dry_run": True}, {"mode": "ALL_OR_NOTHING"}):
        resources.import_rows([row(1, amount="x")], **options)
    execute(resources, "DELETE FROM intake_records")
    assert resources.records() == []


def test_a_record_is_superseded_only_by_something(resources: Resources) -> None:
    resources.import_rows([row(1, amount="x")])
    for change in ("resolution = 'SUPERSEDED'", "resolution = 'DISMISSED', superseded_position = 1"):
        with pytest.raises(DBAPIError, match="ck_intake_records_superseded"):
            execute(resources, f"UPDATE intake_records SET resolved_at = now(), {change}")


def revisions(resources: Resources) -> list[Any]:
    return resources.rows("SELECT previous, note, decided_by FROM payment_revisions ORDER BY transaction_id, revision")


def test_a_revision_keeps_all_that_the_payment_was_with_its_suspicion(resources: Resources) -> None:
    resources.import_rows([row(1, amount=SUSPICIOUS, status="pending"), row(2, status="pending")])
    resources.import_rows([row(1, amount=SUSPICIOUS), row(2)])
    resources.import_rows([row(1, amount="611.3")])
    conflict = resources.records()[0].record_id
    for _ in range(2):
        resolve_conflict(
            resources.engine,
            resources.settings,
            conflict,
            "ACCEPT_INCOMING",
            "the bank says so",
            "test",
            principal="key:finance",
        )
    by_itself, decided, other = revisions(resources)
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
    assert resources.payments()[0][7:] == (False, None)
    (record,) = resources.rows("SELECT resolution, note, resolved_by FROM intake_records")
    assert tuple(record) == ("ACCEPT_INCOMING", "the bank says so", "key:finance")
