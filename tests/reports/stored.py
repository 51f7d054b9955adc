"""Payments written straight to the tables, as the intake writes them, for tests of the report alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from fcgraph import db
from fcgraph.rules.records import COLUMNS


@dataclass(frozen=True)
class Paid:
    """A payment between two seed users, identified by their numbers."""

    sender: int
    receiver: int
    amount: str
    currency: str
    at: str
    status: str = "completed"
    transaction_id: UUID = field(default_factory=uuid4)


def user(number: int) -> UUID:
    return UUID(int=number)


def store(engine: Engine, *payments: Paid) -> int:
    """Write the payments as one batch; returns its watermark."""
    with db.write(engine) as connection:
        batch_id = begin_batch(connection, inserted=len(payments), updated=0)
        insert(connection, batch_id, *payments)
        return end_batch(connection, batch_id)


def insert(connection: Connection, batch_id: int, *payments: Paid) -> None:
    """Write payments to an open batch."""
    for position, paid in enumerate(payments):
        connection.execute(
            sa.text(
                "INSERT INTO transactions (transaction_id, sender_id, receiver_id, timestamp, batch_id,"
                " source_position, is_suspicious, amount, currency, status)"
                " VALUES (:id, :sender, :receiver, :at, :batch_id, :position, false, :amount, :currency, :status)"
            ),
            {
                "id": paid.transaction_id,
                "sender": user(paid.sender),
                "receiver": user(paid.receiver),
                "at": datetime.fromisoformat(paid.at),
                "batch_id": batch_id,
                "position": position,
                "amount": Decimal(paid.amount),
                "currency": paid.currency,
                "status": paid.status,
            },
        )


def revise(engine: Engine, transaction_id: UUID, **changes: str) -> int:
    """Change stored fields of a payment and store their previous values, as the intake and a resolved conflict do."""
    with db.write(engine) as connection:
        batch_id = begin_batch(connection, inserted=0, updated=1)
        stored: Any = connection.execute(
            sa.text(
                "SELECT sender_id::text, receiver_id::text, currency,"
                ' to_char(timestamp, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') AS timestamp, status,'
                " trim_scale(amount)::text AS amount, (SELECT 2 + count(*) FROM payment_revisions r"
                " WHERE r.transaction_id = t.transaction_id) AS revision"
                " FROM transactions t WHERE transaction_id = :id"
            ),
            {"id": transaction_id},
        ).one()
        connection.execute(
            sa.text(
                "INSERT INTO payment_revisions (transaction_id, revision, status, previous, batch_id, source_position)"
                " VALUES (:id, :revision, :status, CAST(:previous AS jsonb), :batch_id, 0)"
            ).bindparams(sa.bindparam("previous", type_=sa.JSON)),
            {
                "id": transaction_id,
                "revision": stored.revision,
                "status": changes.get("status", stored.status),
                "previous": {name: getattr(stored, name) for name in COLUMNS[1:]},
                "batch_id": batch_id,
            },
        )
        connection.execute(
            sa.text(
                f"UPDATE transactions SET {', '.join(f'{name} = :{name}' for name in changes)}"
                " WHERE transaction_id = :id"
            ),
            {"id": transaction_id}
            | {name: datetime.fromisoformat(v) if name == "timestamp" else v for name, v in changes.items()},
        )
        return end_batch(connection, batch_id)


def begin_batch(connection: Connection, *, inserted: int, updated: int) -> int:
    """Begin a batch, which has no watermark yet; returns its id."""
    batch_id: int = connection.execute(
        sa.text(
            "INSERT INTO intake_batches (kind, correlation_id, read_count, inserted_count, updated_count)"
            " VALUES ('SEED', 'test', :read, :inserted, :updated) RETURNING batch_id"
        ),
        {"read": inserted + updated, "inserted": inserted, "updated": updated},
    ).scalar_one()
    return batch_id


def end_batch(connection: Connection, batch_id: int) -> int:
    """Set the batch's watermark to the next one, whose lock is held until COMMIT."""
    watermark: int = connection.execute(
        sa.text("UPDATE intake_watermark SET last = last + 1 RETURNING last")
    ).scalar_one()
    connection.execute(
        sa.text("UPDATE intake_batches SET watermark = :watermark WHERE batch_id = :id"),
        {"watermark": watermark, "id": batch_id},
    )
    return watermark
