"""What "changed since a report" means, as SQL: the payments of its period that came or changed after its watermark."""

from __future__ import annotations

from fcgraph.queries.totals import range_end_sql, range_start_sql


def changes_since_sql(*, start: str, end: str, zone: str, watermark: str) -> str:
    """A SELECT of one bigint: how many payments of `[start 00:00, end + 1 day 00:00)` came or changed later.

    Every argument is a SQL expression, as for `daily_totals_sql`; `watermark` is a bigint. A payment that a revision
    took out of the period, or brought into it, counts once, as does one that was changed many times.
    """
    begins, ends = range_start_sql(start, zone), range_end_sql(end, zone)
    # A batch's id is older than its watermark: what came later has ids from here on, and lies in the last few blocks.
    first = f"(SELECT min(batch_id) FROM intake_batches WHERE watermark > {watermark})"
    return (
        "SELECT count(*) FROM ("
        "SELECT t.transaction_id FROM intake_batches b JOIN transactions t ON t.batch_id = b.batch_id"
        f" WHERE b.watermark > {watermark} AND t.batch_id >= {first}"
        f" AND t.timestamp >= {begins} AND t.timestamp < {ends}"
        " UNION "
        "SELECT r.transaction_id FROM intake_batches b JOIN payment_revisions r ON r.batch_id = b.batch_id"
        " JOIN transactions t ON t.transaction_id = r.transaction_id"
        f" WHERE b.watermark > {watermark} AND r.batch_id >= {first}"
        f" AND (t.timestamp >= {begins} AND t.timestamp < {ends}"
        f" OR (r.previous->>'timestamp')::timestamptz >= {begins} AND (r.previous->>'timestamp')::timestamptz < {ends})"
        ") changed"
    )
