"""SQL definition of a "daily total", the only one, used by GraphQL, the REST view and the monthly report.

This module builds text with placeholders for values; the caller runs it with any driver.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from fcgraph.errors import BadInput
from fcgraph.queries.columns import DAILY_TOTAL, MINOR_UNITS
from fcgraph.queries.days import Bounds, day_sql, of_range
from fcgraph.queries.statement import Statement, Values
from fcgraph.queries.viewer import Viewer

# Codes are sorted by their bytes, so that the same lines make the same file whatever the database's collation.
BYTE_ORDER = 'COLLATE "C"'
WATERMARK = "(SELECT last FROM intake_watermark)"


def daily_totals_sql(
    *,
    bounds: Bounds,
    zone: str,
    status: str,
    party: str | None = None,
    currency: str | None = None,
    ordered: bool = True,
    of_one: str | None = None,
    summed: bool = False,
) -> str:
    """A SELECT of one row per user, day and currency for the days of `bounds` (see `queries.days`) in the time zone.

    Columns: user_id uuid, day date, currency text, total_sent and total_received numeric (already at the currency's
    scale, "0.00" when there is nothing), sent_count and received_count bigint; ordered by user, day, currency.

    Every argument is an SQL expression of the value: a driver's placeholder with a cast (`"%(zone)s::text"` for
    psycopg2, `"$1::text"` for asyncpg). `status` follows the column of stored (lower case) statuses
    (`"= ANY($4::text[])"`). `currency` is a text that may be NULL (None: every currency). `party` is a condition on the
    users (`of_one`: the only user), in which `{0}` stands for the party's id (`"{0} = $5::uuid"`; None: every user).
    The text contains no percent sign, so that psycopg2 can format it. For COPY use
    `cursor.mogrify(daily_totals_sql(...), parameters)` inside `COPY (...) TO STDOUT`.

    A payment whose sender is also its receiver counts once as sent and once as received. So for each day and currency,
    over all users, the sum sent equals the sum received.

    With `summed`, the rows are added up to one row per currency, without user_id and day.
    """

    def side(column: str, sent: str, received: str) -> str:
        where = [
            *bounds.conditions,
            f"status {status}",
        ]
        if party is not None:
            where.append(party.format(column))
        if currency is not None:
            where.append(f"({currency} IS NULL OR currency = {currency})")
        user = "" if summed or of_one is not None else f"{column} AS user_id, "
        day = "" if summed else f"{day_sql('timestamp', zone)} AS day, "
        return (
            f"SELECT {user}{day}currency {BYTE_ORDER} AS currency, {sent} AS sent, {received} AS received"
            f" FROM transactions WHERE {' AND '.join(where)}"
        )

    sent = side("sender_id", "amount", "NULL::numeric")
    received = side("receiver_id", "NULL::numeric", "amount")
    # PostgreSQL cannot tell through the UNION that all rows belong to one user, and would sort by user.
    keys = ["m.day", "m.currency"] if of_one is not None else ["m.user_id", "m.day", "m.currency"]
    names = [f"{of_one} AS user_id", *keys] if of_one is not None else keys
    columns = "t.user_id, t.day, t.currency"
    if summed:
        names = keys = ["m.currency"]
        columns = "t.currency"
    sums = (
        f"SELECT {', '.join(names)}, COALESCE(sum(m.sent), 0) AS sent,"
        " COALESCE(sum(m.received), 0) AS received,"
        f" count(m.sent) AS sent_count, count(m.received) AS received_count, {MINOR_UNITS.format('m')} AS minor_units"
        f" FROM ({sent} UNION ALL {received}) m GROUP BY {', '.join(keys)}"
    )
    order = ", ".join(key.replace("m.", "t.") for key in keys)
    return (
        f"SELECT {columns}, round(t.sent, t.minor_units) AS total_sent,"
        f" round(t.received, t.minor_units) AS total_received, t.sent_count, t.received_count FROM ({sums}) t"
        + (f" ORDER BY {order}" if ordered else "")
    )


@dataclass(frozen=True, slots=True)
class TotalsQuery:
    """A filter of daily totals: both days are inclusive, statuses are as stored, `user_ids` None means every user."""

    start: date
    end: date
    statuses: tuple[str, ...] = ("completed",)
    currency: str | None = None
    user_ids: tuple[UUID, ...] | None = None

    def check(self, *, range_max_days: int) -> None:
        """Raise BadInput if the range is reversed or too long."""
        if self.start > self.end:
            raise BadInput("start is after end")
        days = (self.end - self.start).days + 1
        if days > range_max_days:
            raise BadInput(
                f"A range has at most {range_max_days} days (RANGE_MAX_DAYS); this has {days}", code="RANGE_TOO_LARGE"
            )


def totals_sql(
    values: Values,
    query: TotalsQuery,
    *,
    zone: str,
    viewer: Viewer,
    owner: str | None = None,
    summed: bool = False,
) -> str:
    """The SELECT of the requested daily totals, or of their sums, for the requested users or for one `owner` (SQL)."""
    parties = []
    if owner is not None:
        parties.append(f"{{0}} = {owner}")
    if query.user_ids is not None:
        parties.append(f"{{0}} = ANY({values.add(list(query.user_ids), 'uuid[]')})")
    if viewer.user_id is not None:
        parties.append(f"{{0}} = {values.add(viewer.user_id, 'uuid')}")
    return daily_totals_sql(
        bounds=of_range(values, query.start, query.end, zone),
        zone="" if summed else values.add(zone, "text"),  # sums have no day
        status=_one_of(values, query.statuses),
        party=" AND ".join(parties) or None,
        of_one=owner,
        summed=summed,
        currency=values.add(query.currency, "text") if query.currency is not None else None,
    )


def _one_of(values: Values, statuses: tuple[str, ...]) -> str:
    if len(statuses) == 1:  # the usual case; a list would be searched for every row
        return f"= {values.add(statuses[0], 'text')}"
    return f"= ANY({values.add(list(statuses), 'text[]')})"


def daily_totals(query: TotalsQuery, *, zone: str, viewer: Viewer, rows_max: int) -> Statement:
    """Daily totals and, from the same snapshot, the watermark: `watermark`, `rows`, and the values of each total.

    There is always a row; without totals its other columns are NULL. The column `rows` is the number of totals (at
    most `rows_max + 1`); if there are too many, they are not read (see `check_rows`).
    """
    values = Values()
    totals = totals_sql(values, query, zone=zone, viewer=viewer)
    return Statement(
        f"WITH d AS ({totals} LIMIT {rows_max + 1}), n AS (SELECT count(*) AS rows FROM d)"
        f" SELECT {WATERMARK} AS watermark, n.rows, {DAILY_TOTAL.select('d')}"
        f" FROM n LEFT JOIN d ON n.rows <= {rows_max} ORDER BY d.user_id, d.day, d.currency",
        values.items,
    )


def check_rows(count: int, *, rows_max: int) -> None:
    """Raise BadInput RANGE_TOO_LARGE if there are more daily totals than one response may contain."""
    if count > rows_max:
        raise BadInput(
            f"A response has at most {rows_max} daily totals (TOTALS_ROWS_MAX): request fewer days or users, or use"
            " rowsPage, which returns them page by page",
            code="RANGE_TOO_LARGE",
        )


@dataclass(slots=True)
class CurrencySum:
    """The sum of the daily totals of one currency."""

    currency: str
    total_sent: Decimal
    total_received: Decimal
    sent_count: int
    received_count: int


def sums_sql(rows: str) -> str:
    """A SELECT that adds up daily totals (a FROM item) per currency, for readers whose JSON PostgreSQL writes."""
    return (
        "SELECT currency, sum(total_sent) AS total_sent, sum(total_received) AS total_received,"
        f" sum(sent_count) AS sent_count, sum(received_count) AS received_count FROM {rows} GROUP BY currency"
    )


def summary_of(rows: Iterable[Any]) -> list[CurrencySum]:
    """The same sums for rows already read (with the columns of `columns.DAILY_TOTAL`), ordered by currency."""
    found: dict[str, CurrencySum] = {}
    for row in rows:
        currency = row["currency"]
        total = found.get(currency)
        if total is None:
            found[currency] = CurrencySum(
                currency, row["totalSent"], row["totalReceived"], row["sentCount"], row["receivedCount"]
            )
        else:
            total.total_sent += row["totalSent"]
            total.total_received += row["totalReceived"]
            total.sent_count += row["sentCount"]
            total.received_count += row["receivedCount"]
    return [found[currency] for currency in sorted(found)]
