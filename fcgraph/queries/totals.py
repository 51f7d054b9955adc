"""What a "daily total" is, as SQL: the one definition behind GraphQL, the REST view and the monthly report.

Here is text with places for values; who runs it (and with which driver) is the caller's choice.
"""

from __future__ import annotations


def range_start_sql(day: str, zone: str) -> str:
    """The instant at which the day begins in the zone; both are SQL expressions."""
    return f"(({day})::timestamp AT TIME ZONE {zone})"


def range_end_sql(day: str, zone: str) -> str:
    """The first instant that is no longer part of the (inclusive) last day."""
    return f"((({day}) + 1)::timestamp AT TIME ZONE {zone})"


def daily_totals_sql(
    *,
    start: str,
    end: str,
    zone: str,
    statuses: str,
    user_ids: str | None = None,
    currency: str | None = None,
    ordered: bool = True,
) -> str:
    """A SELECT of one row per user, day and currency over `[start 00:00, end + 1 day 00:00)` in the zone.

    Columns: user_id uuid, day date, currency text, total_sent and total_received numeric (already at the currency's
    scale, "0.00" when nothing), sent_count and received_count bigint; ordered by user, day, currency.

    Every argument is a SQL expression that stands for the value: a driver's own placeholder with a cast
    (`"%(start)s::date"` for psycopg2, `"$1::date"` for asyncpg). `statuses` is a text[] of stored (lower case)
    statuses; `user_ids` a uuid[] (None: every user); `currency` a text that may be NULL (None: every currency).
    The text has no per cent sign, so that psycopg2 can fill it in; for COPY use
    `cursor.mogrify(daily_totals_sql(...), parameters)` inside `COPY (...) TO STDOUT`.

    A payment to oneself counts once as sent and once as received, so that for each day and currency the sum sent is
    the sum received over all users.
    """

    def side(party: str, sent: str, received: str) -> str:
        where = [
            f"timestamp >= {range_start_sql(start, zone)}",
            f"timestamp < {range_end_sql(end, zone)}",
            f"status = ANY({statuses})",
        ]
        if user_ids is not None:
            where.append(f"{party} = ANY({user_ids})")
        if currency is not None:
            where.append(f"({currency} IS NULL OR currency = {currency})")
        return (
            f"SELECT {party} AS user_id, (timestamp AT TIME ZONE {zone})::date AS day, currency,"
            f" {sent.format('sum(amount)', 'count(*)')}, {received.format('sum(amount)', 'count(*)')}"
            f" FROM transactions WHERE {' AND '.join(where)} GROUP BY 1, 2, 3"
        )

    sent = side("sender_id", "{0} AS sent, {1} AS sent_count", "0 AS received, 0 AS received_count")
    received = side("receiver_id", "0, 0", "{0}, {1}")
    return (
        "SELECT m.user_id, m.day, m.currency,"
        " round(sum(m.sent), c.minor_units) AS total_sent,"
        " round(sum(m.received), c.minor_units) AS total_received,"
        " sum(m.sent_count)::bigint AS sent_count, sum(m.received_count)::bigint AS received_count"
        f" FROM ({sent} UNION ALL {received}) m JOIN currency c ON c.code = m.currency"
        " GROUP BY m.user_id, m.day, m.currency, c.minor_units"
        + (" ORDER BY m.user_id, m.day, m.currency" if ordered else "")
    )
