"""What became of payments: their revisions, from the first storing to now, each with the place it came from."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from fcgraph.queries.columns import SOURCE, joins_sql
from fcgraph.queries.statement import Statement, Values


def history(transaction_ids: Sequence[UUID]) -> Statement:
    """All revisions of the given payments, ordered by payment and revision; whoever asks has seen the payments.

    Revision 1 is the payment as first stored: its status is what the first change says it was before, or the present
    one when nothing changed.
    """
    values = Values()
    ids = values.add(list(transaction_ids), "uuid[]")
    source = ", ".join(f'{c.sql.format("t")} AS "source_{name}"' for name, c in SOURCE.columns.items())
    joins = joins_sql(frozenset({"batch", "topic"}))
    first = (
        "SELECT p.transaction_id, 1 AS revision, p.batch_id, p.source_position, p.source_partition,"
        " COALESCE((SELECT r.previous->>'status' FROM payment_revisions r"
        " WHERE r.transaction_id = p.transaction_id ORDER BY r.revision LIMIT 1), p.status) AS status,"
        " NULL::timestamptz AS changed_at"
        f" FROM transactions p WHERE p.transaction_id = ANY({ids})"
    )
    later = (
        "SELECT transaction_id, revision, batch_id, source_position, source_partition, status, recorded_at"
        f" FROM payment_revisions WHERE transaction_id = ANY({ids})"
    )
    return Statement(
        "SELECT t.transaction_id, t.revision, t.status, COALESCE(t.changed_at, b.recorded_at) AS recorded_at,"
        f" {source} FROM ({first} UNION ALL {later}) t{joins} ORDER BY t.transaction_id, t.revision",
        values.items,
    )
