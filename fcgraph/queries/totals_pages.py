"""Any number of daily totals: pages, sums and counts.

A page goes through the users in order and adds up one at a time, so its cost depends on its size, not on the range.
"""

from __future__ import annotations

from dataclasses import replace

from fcgraph.queries.columns import CURRENCY_TOTAL, DAILY_TOTAL
from fcgraph.queries.pages import Order, PageRequest, read_cursor
from fcgraph.queries.statement import Statement, Values
from fcgraph.queries.totals import WATERMARK, TotalsQuery, totals_sql
from fcgraph.queries.viewer import Viewer

TOTALS_ORDER = Order(
    "dailyTotals", (("u.user_id", "uuid"), ("t.day", "date"), ("t.currency", "text")), descending=False
)


def totals_page(query: TotalsQuery, page: PageRequest, *, zone: str, viewer: Viewer) -> Statement:
    """A page of the daily totals, by user, day and currency."""
    values = Values()
    conditions, tail = TOTALS_ORDER.seek(values, page)
    if page.after is not None:
        user_id = read_cursor(TOTALS_ORDER.kind, page.after, [t for _, t in TOTALS_ORDER.columns])[0]
        conditions.append(f"u.user_id >= {values.add(user_id, 'uuid')}")  # where the scan of the users starts
    if query.user_ids is not None:
        conditions.append(f"u.user_id = ANY({values.add(list(query.user_ids), 'uuid[]')})")
    if viewer.user_id is not None:
        conditions.append(f"u.user_id = {values.add(viewer.user_id, 'uuid')}")
    of_user = replace(query, user_ids=None)
    totals = totals_sql(values, of_user, zone=zone, viewer=viewer, owner="u.user_id")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return Statement(
        f"SELECT {DAILY_TOTAL.select('t')} FROM users u CROSS JOIN LATERAL ({totals}) t{where}{tail}", values.items
    )


def totals_count(query: TotalsQuery, *, zone: str, viewer: Viewer) -> Statement:
    """The number of daily totals: one row, one column."""
    values = Values()
    return Statement(f"SELECT count(*) FROM ({totals_sql(values, query, zone=zone, viewer=viewer)}) t", values.items)


def totals_summary(query: TotalsQuery, *, zone: str, viewer: Viewer) -> Statement:
    """The daily totals added up per currency and, from the same snapshot, the watermark; there is always a row."""
    values = Values()
    sums = totals_sql(values, query, zone=zone, viewer=viewer, summed=True)
    return Statement(
        f"SELECT {WATERMARK} AS watermark, {CURRENCY_TOTAL.select('s')}"
        f" FROM (VALUES (1)) one LEFT JOIN ({sums}) s ON true ORDER BY s.currency",
        values.items,
    )
