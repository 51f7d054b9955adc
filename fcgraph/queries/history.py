"""The history of payments: their revisions, from the first version to the current one, each with its source."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from fcgraph.queries.columns import BATCH_JOIN, PAYMENT_STATE, REVISION, SOURCE
from fcgraph.queries.statement import Statement, Values


def revisions_sql(of: str) -> str:
    """A SELECT of all revisions of the payments whose id matches `of` (such as `= $1`).

    There is no check of the viewer: the caller has already read the payments. Revision 1 is the payment as first
    stored: its status is the previous status of the first change, or the current one if nothing changed.
    """
    return (
        "SELECT p.transaction_id, 1 AS revision, p.batch_id, p.source_position, p.source_partition,"
        " COALESCE((SELECT r.previous->>'status' FROM payment_revisions r"
        " WHERE r.transaction_id = p.transaction_id ORDER BY r.revision LIMIT 1), p.status) AS status,"
        " NULL::timestamptz AS changed_at, NULL::jsonb AS previous, NULL::text AS note, NULL::text AS decided_by"
        f" FROM transactions p WHERE p.transaction_id {of} UNION ALL"
        " SELECT r.transaction_id, r.revision, r.batch_id, r.source_position, r.source_partition, r.status,"
        f" r.recorded_at, r.previous, r.note, r.decided_by FROM payment_revisions r WHERE r.transaction_id {of}"
    )


def history(transaction_ids: Sequence[UUID]) -> Statement:
    """All revisions of these payments, ordered by payment and revision."""
    values = Values()
    revisions = revisions_sql(f"= ANY({values.add(list(transaction_ids), 'uuid[]')})")
    return Statement(
        f"SELECT t.transaction_id, {REVISION.select('t')}, {SOURCE.select('t', 'source_')},"
        f" {PAYMENT_STATE.select('t', 'previous_')}"
        f" FROM ({revisions}) t{BATCH_JOIN} ORDER BY t.transaction_id, t.revision",
        values.items,
    )
