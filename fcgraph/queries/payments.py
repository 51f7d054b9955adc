"""Pages of payments by key, newest first: of all users, of one user, or of many users at once.

A user's page merges two index scans of `size + 1` rows each (sent, received). It never uses OR or sorts all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from fcgraph.errors import BadInput
from fcgraph.queries.columns import BATCH_JOIN, PAYMENT, SOURCE
from fcgraph.queries.days import Bounds, of_many, of_range
from fcgraph.queries.pages import PageRequest, read_cursor, write_cursor
from fcgraph.queries.statement import Statement, Values
from fcgraph.queries.viewer import Viewer

CURSOR_KIND = "payments"
CURSOR_TYPES = ("timestamptz", "uuid")
KEY = "(timestamp, transaction_id)"
UUID_MAX = "ffffffff-ffff-ffff-ffff-ffffffffffff"
UUID_MIN = "00000000-0000-0000-0000-000000000000"
# The columns of a payment for a reader of values: names as in GraphQL, those of the source prefixed with `source_`.
VALUES_SQL = f"{PAYMENT.select('t')}, {SOURCE.select('t', 'source_')}"


@dataclass(frozen=True, slots=True)
class PaymentQuery:
    """A filter of payments: all conditions must hold; None means any. Days are inclusive, in the reporting zone."""

    direction: str = "ANY"
    start: date | None = None
    end: date | None = None
    statuses: tuple[str, ...] | None = None
    currencies: tuple[str, ...] | None = None
    min_amount: Decimal | None = None
    max_amount: Decimal | None = None
    is_suspicious: bool | None = None
    party_id: UUID | None = None
    import_id: UUID | None = None

    def check(self) -> None:
        """Raise BadInput if no payment can match."""
        if self.start is not None and self.end is not None and self.start > self.end:
            raise BadInput("start is after end")
        if self.min_amount is not None and self.max_amount is not None and self.min_amount > self.max_amount:
            raise BadInput("minAmount is greater than maxAmount")


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of the payments, as SQL: a user, optionally with one day and one currency. None means all users."""

    user: str | None = None
    day: Bounds | None = None
    currency: str | None = None


def _conditions(values: Values, query: PaymentQuery, owner: Owner, viewer: Viewer) -> list[str]:
    found = []
    if query.statuses is not None:
        found.append(f"status = ANY({values.add(list(query.statuses), 'text[]')})")
    if query.currencies is not None:
        found.append(f"currency = ANY({values.add(list(query.currencies), 'text[]')})")
    if owner.currency is not None:
        found.append(f"currency = {owner.currency}")
    if query.min_amount is not None:
        found.append(f"amount >= {values.add(query.min_amount, 'numeric')}")
    if query.max_amount is not None:
        found.append(f"amount <= {values.add(query.max_amount, 'numeric')}")
    if query.is_suspicious is not None:
        found.append(f"is_suspicious = {values.add(query.is_suspicious, 'boolean')}")
    if query.import_id is not None:
        batches = f"SELECT batch_id FROM intake_batches WHERE import_id = {values.add(query.import_id, 'uuid')}"
        found.append(f"batch_id = ANY(ARRAY({batches}))")
    for party in (query.party_id, viewer.user_id):
        if party is not None:
            place = values.add(party, "uuid")
            found.append(f"(sender_id = {place} OR receiver_id = {place})")
    return found


def _span(values: Values, query: PaymentQuery, page: PageRequest | None, owner: Owner, zone: str) -> list[str]:
    """Conditions on time. A cursor and a bound on the same side become one row comparison: the index starts there."""
    bounds = owner.day or of_range(values, query.start, query.end, zone)
    newest, oldest, found = bounds.ends, bounds.begins, list(bounds.further)
    after = page.after if page is not None else None
    before = page.before if page is not None else None
    if after is not None:
        at, key = _cursor(values, after)
        if newest is not None:
            key = f"CASE WHEN {at} < {newest} THEN {key} ELSE '{UUID_MIN}'::uuid END"
            at = f"LEAST({at}, {newest})"
        found.append(f"{KEY} < ({at}, {key})")
    elif newest is not None:
        found.append(f"timestamp < {newest}")
    if before is not None:
        at, key = _cursor(values, before)
        if oldest is not None:
            key = f"CASE WHEN {at} >= {oldest} THEN {key} ELSE '{UUID_MAX}'::uuid END"
            at = f"GREATEST({at}, {oldest} - interval '1 microsecond')"
        found.append(f"{KEY} > ({at}, {key})")
    elif oldest is not None:
        found.append(f"timestamp >= {oldest}")
    return found


def _cursor(values: Values, cursor: str) -> tuple[str, str]:
    at, transaction_id = read_cursor(CURSOR_KIND, cursor, CURSOR_TYPES)
    return values.add(at, "timestamptz"), values.add(transaction_id, "uuid")


def cursor_of(timestamp: object, transaction_id: object) -> str:
    """The opaque cursor of a payment."""
    return write_cursor(CURSOR_KIND, timestamp, transaction_id)


def _branches(query: PaymentQuery, owner: Owner) -> list[list[str]]:
    """The index scans that make up a list of payments, as conditions on sender and receiver."""
    if owner.user is None:
        return [[]]
    sent = [f"sender_id = {owner.user}"]
    received = [f"receiver_id = {owner.user}"]
    if query.direction == "SENT":
        return [sent]
    if query.direction == "RECEIVED":
        return [received]
    return [sent, [*received, f"sender_id <> {owner.user}"]]  # a payment to themselves is in the first already


def page_sql(
    values: Values,
    query: PaymentQuery,
    page: PageRequest,
    owner: Owner,
    *,
    zone: str,
    viewer: Viewer,
    rows: int | None = None,
    columns: str = "*",
) -> str:
    """The SELECT of a page's rows of transactions (`rows`, or `size + 1`), ordered; for use in FROM."""
    conditions = _span(values, query, page, owner, zone) + _conditions(values, query, owner, viewer)
    direction = "ASC" if page.backwards else "DESC"
    limit = page.size + 1 if rows is None else rows
    tail = f" ORDER BY timestamp {direction}, transaction_id {direction} LIMIT {limit}"
    selects = []
    for parties in _branches(query, owner):
        where = " AND ".join([*parties, *conditions])
        selects.append(f"SELECT {columns} FROM transactions{' WHERE ' + where if where else ''}{tail}")
    if len(selects) == 1:
        return selects[0]
    return " UNION ALL ".join(f"({s})" for s in selects) + tail


def count_sql(values: Values, query: PaymentQuery, owner: Owner, *, zone: str, viewer: Viewer) -> str:
    """An SQL expression: the number of payments in the whole list."""
    conditions = _span(values, query, None, owner, zone) + _conditions(values, query, owner, viewer)
    counts = []
    for parties in _branches(query, owner):
        where = " AND ".join([*parties, *conditions])
        counts.append(f"(SELECT count(*) FROM transactions{' WHERE ' + where if where else ''})")
    return " + ".join(counts)


def payments(query: PaymentQuery, page: PageRequest, *, user_id: UUID | None, zone: str, viewer: Viewer) -> Statement:
    """A page of the payments of all users or of one user, as values."""
    values = Values()
    owner = Owner(values.add(user_id, "uuid")) if user_id is not None else Owner()
    rows = page_sql(values, query, page, owner, zone=zone, viewer=viewer)
    direction = "ASC" if page.backwards else "DESC"
    order = f" ORDER BY t.timestamp {direction}, t.transaction_id {direction}"
    return Statement(f"SELECT {VALUES_SQL} FROM ({rows}) t{BATCH_JOIN}{order}", values.items)


def payments_count(query: PaymentQuery, *, user_id: UUID | None, zone: str, viewer: Viewer) -> Statement:
    """The number of payments in the whole list: one row, one column."""
    values = Values()
    owner = Owner(values.add(user_id, "uuid")) if user_id is not None else Owner()
    return Statement(f"SELECT {count_sql(values, query, owner, zone=zone, viewer=viewer)}", values.items)


@dataclass(frozen=True, slots=True)
class Drill:
    """One owner among many: a user, optionally with a day and a currency (both or neither)."""

    user_id: UUID
    day: date | None = None
    currency: str | None = None


def _keys(values: Values, keys: Sequence[Drill], zone: str) -> tuple[str, Owner]:
    users = values.add([k.user_id for k in keys], "uuid[]")
    days = [k.day for k in keys if k.day is not None]
    if not days:
        return f"unnest({users}) WITH ORDINALITY o(user_id, n)", Owner("o.user_id")
    found = of_many(values, days, zone)
    begins = values.add([s.begins for s in found.spans], "timestamptz[]")
    ends = values.add([s.ends for s in found.spans], "timestamptz[]")
    labels = values.add(days, "date[]")
    currencies = values.add([k.currency for k in keys], "text[]")
    return (
        f"unnest({users}, {labels}, {begins}, {ends}, {currencies})"
        " WITH ORDINALITY o(user_id, day, begins, ends, currency, n)",
        Owner("o.user_id", found.bounds("o.begins", "o.ends", "o.day"), "o.currency"),
    )


def payments_of_many(
    keys: Sequence[Drill], query: PaymentQuery, page: PageRequest, *, zone: str, viewer: Viewer
) -> Statement:
    """The same page for each owner, in one statement. Column `n` is the owner's position in `keys`, counted from 1."""
    values = Values()
    source, owner = _keys(values, keys, zone)
    rows = page_sql(values, query, page, owner, zone=zone, viewer=viewer)
    direction = "ASC" if page.backwards else "DESC"
    return Statement(
        f"SELECT o.n, {VALUES_SQL} FROM {source} CROSS JOIN LATERAL ({rows}) t{BATCH_JOIN}"
        f" ORDER BY o.n, t.timestamp {direction}, t.transaction_id {direction}",
        values.items,
    )


def payments_count_of_many(keys: Sequence[Drill], query: PaymentQuery, *, zone: str, viewer: Viewer) -> Statement:
    """The number of payments in each owner's whole list: columns `n` and `count`."""
    values = Values()
    return Statement(count_of_many_sql(values, keys, query, zone=zone, viewer=viewer), values.items)


def count_of_many_sql(values: Values, keys: Sequence[Drill], query: PaymentQuery, *, zone: str, viewer: Viewer) -> str:
    """The SELECT of `payments_count_of_many`."""
    source, owner = _keys(values, keys, zone)
    counted = count_sql(values, query, owner, zone=zone, viewer=viewer)
    return f"SELECT o.n, {counted} AS count FROM {source}"


def payment_from_sql(values: Values, transaction_id: UUID, viewer: Viewer) -> str:
    """The FROM and WHERE of one payment `t`, by its id; without the word FROM."""
    where = [f"t.transaction_id = {values.add(transaction_id, 'uuid')}"]
    if viewer.user_id is not None:
        place = values.add(viewer.user_id, "uuid")
        where.append(f"(t.sender_id = {place} OR t.receiver_id = {place})")
    return f"transactions t WHERE {' AND '.join(where)}"


def payment(transaction_id: UUID, *, viewer: Viewer) -> Statement:
    """One payment by its id as values, or no row."""
    values = Values()
    found = payment_from_sql(values, transaction_id, viewer)
    return Statement(f"SELECT {VALUES_SQL} FROM (SELECT * FROM {found}) t{BATCH_JOIN}", values.items)
