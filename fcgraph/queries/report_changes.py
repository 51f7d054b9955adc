"""SQL definition of "changed since a report": payments of its period that arrived or changed after its watermark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fcgraph.days import Span
from fcgraph.queries.days import day_sql
from fcgraph.queries.statement import Values

NEWEST_MAX = 250_000  # newer payments; with more, reading those of the month is faster


@dataclass(frozen=True, slots=True)
class Basis:
    """What a version of a report is based on: its month, the month's instants, and the watermark."""

    period: str
    time_zone: str
    span: Span
    watermark: int


def changes_since_sql(values: Values, reports: Sequence[Basis]) -> str:
    """A SELECT of one row per report, in order: `changes` is the number of payments that arrived or changed since.

    A payment that a revision moved out of the period or into it counts once. So does a payment that changed many
    times.
    """
    columns = {
        "period": values.add([r.period for r in reports], "text[]"),
        "zone": values.add([r.time_zone for r in reports], "text[]"),
        "begins": values.add([r.span.begins for r in reports], "timestamptz[]"),
        "ends": values.add([r.span.ends for r in reports], "timestamptz[]"),
        "watermark": values.add([r.watermark for r in reports], "bigint[]"),
    }
    is_exact = all(r.span.is_exact for r in reports)
    return (
        f"SELECT {_changes_sql(is_exact)} AS changes"
        f" FROM unnest({', '.join(columns.values())}) WITH ORDINALITY w({', '.join(columns)}, n)"
        # A batch gets its id before its watermark: later batches have ids from `first` on, except for the batches
        # `old`, which were written at the same time and committed earlier.
        " CROSS JOIN LATERAL (SELECT min(batch_id) AS first, sum(inserted_count) AS inserted"
        " FROM intake_batches WHERE watermark > w.watermark) later"
        " CROSS JOIN LATERAL (SELECT ARRAY(SELECT batch_id FROM intake_batches"
        " WHERE batch_id >= later.first AND watermark <= w.watermark) AS ids) old"
        " ORDER BY w.n"
    )


def _changes_sql(is_exact: bool) -> str:
    """The sum of two counts: payments that arrived, and other payments that changed.

    Only the changed ones need DISTINCT, so many new payments are not compared with each other.
    """

    def is_later(row: str) -> str:
        return f"{row}.batch_id >= later.first AND {row}.batch_id <> ALL (old.ids)"

    def is_in_period(instant: str) -> str:
        found = f"{instant} >= w.begins AND {instant} < w.ends"
        return found if is_exact else f"{found} AND to_char({day_sql(instant, 'w.zone')}, 'YYYY-MM') = w.period"

    came = f"{is_later('t')} AND {is_in_period('t.timestamp')}"
    was = is_in_period("(r.previous->>'timestamp')::timestamptz")
    # The newest payments are in the last few blocks; OFFSET 0 stops PostgreSQL from fetching the month's rows too.
    newest = f"(SELECT t.timestamp FROM transactions t WHERE {is_later('t')} OFFSET 0)"
    return (
        f"CASE WHEN later.inserted < {NEWEST_MAX}"
        f" THEN (SELECT count(*) FROM {newest} t WHERE {is_in_period('t.timestamp')})"
        f" ELSE (SELECT count(*) FROM transactions t WHERE {came}) END"
        " + (SELECT count(DISTINCT r.transaction_id) FROM payment_revisions r"
        " JOIN transactions t ON t.transaction_id = r.transaction_id"
        f" WHERE {is_later('r')} AND ({is_in_period('t.timestamp')} OR {was}) AND NOT ({came}))"
    )
