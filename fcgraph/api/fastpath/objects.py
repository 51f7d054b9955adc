"""Objects as SQL: a selection of a payment, a user, a daily total becomes one expression of its JSON text.

What lies inside is looked up for the row at hand. Every SELECT has its own `t`, `u`, `d` or `b`; the innermost counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from graphql.execution.values import VariableValues, get_argument_values

from fcgraph.api.context import Context
from fcgraph.api.fastpath.connections import Beside, Rows, connection_sql
from fcgraph.api.fastpath.selection import Selected
from fcgraph.api.fastpath.text import NotFast, constant, list_of, object_of
from fcgraph.api.fastpath.totals import totals_sql
from fcgraph.api.types.payments import PaymentFilter, payments_asked
from fcgraph.api.types.totals import totals_asked
from fcgraph.queries import payments as payments_queries
from fcgraph.queries import totals as totals_queries
from fcgraph.queries.columns import (
    BATCH,
    BEYOND_INDEX,
    DAILY_TOTAL,
    IN_INDEX,
    PAYMENT,
    PAYMENT_STATE,
    REVISION,
    SOURCE,
    USER,
    Shape,
)
from fcgraph.queries.days import of_one_of
from fcgraph.queries.history import revisions_sql
from fcgraph.queries.pages import PageAsked
from fcgraph.queries.payments import Owner, PaymentsAsked
from fcgraph.queries.statement import Values
from fcgraph.queries.totals import TotalsAsked

OF_BATCH = f"FROM {BATCH} WHERE b.batch_id = t.batch_id"
PAYMENT_KEY = (("t.timestamp", "timestamptz"), ("t.transaction_id", "uuid"))


@dataclass(frozen=True, slots=True)
class Asking:
    """What a statement in the making needs: who asks with which variables, its values so far, and where we are."""

    context: Context
    variables: dict[str, Any]  # as their types want them
    values: Values
    roots: int = 1  # root fields of the operation
    in_list: bool = False  # inside the rows of a page
    beside: Beside | None = None  # where to put what has to be counted over all rows of the page
    totals: TotalsAsked | None = None  # the daily totals inside whose rows we are

    def arguments(self, field: Selected) -> dict[str, Any]:
        """The field's arguments as their types want them."""
        return get_argument_values(field.parent.fields[field.name], field.node, VariableValues({}, self.variables))

    def page(self, given: dict[str, Any]) -> PageAsked:
        """The page that a connection's arguments ask for."""
        return self.context.page(given.get("first"), given.get("after"), given.get("last"), given.get("before"))


def object_sql(shape: Shape, fields: list[Selected], asking: Asking) -> str:
    """An expression: the JSON text of the object of this shape in the row at hand. Raises NotFast."""
    return object_of([(f.key, _member(shape, f, asking)) for f in fields])


def _member(shape: Shape, field: Selected, asking: Asking) -> str:
    if field.name == "__typename":
        return constant(f'"{shape.name}"')
    column = shape.columns.get(field.name)
    if column is not None:
        text = column.json(ALIAS.get(shape.name, "t"))
        # A source is looked up as a whole.
        return f"(SELECT {text} {OF_BATCH})" if column.of_batch and shape is not SOURCE else text
    inside = INSIDE.get((shape.name, field.name))
    if inside is None:
        raise NotFast
    return inside(field, asking)


def _person(column: str) -> Callable[[Selected, Asking], str]:
    def person(field: Selected, asking: Asking) -> str:
        return f"(SELECT {object_sql(USER, field.children, asking)} FROM users u WHERE u.user_id = t.{column})"

    return person


def _source(field: Selected, asking: Asking) -> str:
    return f"(SELECT {object_sql(SOURCE, field.children, asking)} {OF_BATCH})"


def _history(field: Selected, asking: Asking) -> str:
    item = object_sql(REVISION, field.children, asking)
    return f"(SELECT {list_of(item, 't.revision')} FROM ({revisions_sql('= t.transaction_id')}) t)"


def _previous(field: Selected, asking: Asking) -> str:
    return f"CASE WHEN t.previous IS NULL THEN 'null' ELSE {object_sql(PAYMENT_STATE, field.children, asking)} END"


def _payments_of_user(field: Selected, asking: Asking) -> str:
    if asking.totals is not None:
        raise NotFast  # how many users there are is not known beforehand, so neither is how many pages
    given = asking.arguments(field)
    asked = payments_asked(filter_of(given), given.get("direction"))
    return payments_sql(field, asked, asking.page(given), Owner("u.user_id"), asking)


def _payments_of_total(field: Selected, asking: Asking) -> str:
    assert asking.totals is not None, "a daily total is a row of daily totals"
    asked = PaymentsAsked(statuses=asking.totals.statuses)
    zone = asking.context.settings.report_timezone
    days = of_one_of("d.day", asking.totals.start, asking.totals.end, zone, asking.values.add(zone, "text"))
    owner = Owner("d.user_id", days, "d.currency")
    return payments_sql(field, asked, asking.page(asking.arguments(field)), owner, asking)


def _daily_totals_of_user(field: Selected, asking: Asking) -> str:
    if not asking.in_list:
        return daily_totals_sql(field, "u.user_id", asking)
    if asking.beside is None:
        raise NotFast  # their number is bounded over all users of the answer
    return asking.beside.add(_totals_select(field, "o.id", asking))


def daily_totals_sql(field: Selected, owner: str | None, asking: Asking) -> str:
    """An expression: daily totals; NULL when there are too many."""
    return f"(SELECT json FROM ({_totals_select(field, owner, asking)}) of_totals)"


def _totals_select(field: Selected, owner: str | None, asking: Asking) -> str:
    settings, given = asking.context.settings, asking.arguments(field)
    asked = totals_asked(
        given["start"], given["end"], given.get("statuses"), given.get("currency"), given.get("userIds")
    )
    asked.check(range_max_days=settings.range_max_days)
    zone, viewer = settings.report_timezone, asking.context.viewer
    # Their sums alone are added up without making the rows, and have no bound.
    summed = owner is None and not any(f.name == "rows" for f in field.children)
    totals = totals_queries.totals_sql(asking.values, asked, zone=zone, viewer=viewer, owner=owner, summed=summed)
    rows_max = None if summed else settings.totals_rows_max
    below = [f for rows in field.children if rows.name == "rows" for f in rows.children if f.name == "payments"]
    nodes = sum(asking.page(asking.arguments(f)).size for f in below)  # per row
    if nodes:
        if asking.in_list:
            raise NotFast  # they are bounded over all users of the answer, too
        rows_max = min(settings.totals_rows_max, settings.query_nodes_max // asking.roots // nodes)
    inside = replace(asking, totals=asked)
    order = "d.user_id, d.day, d.currency" if owner is None else "d.day, d.currency"
    return totals_sql(
        field.children, asked, zone, totals, rows_max, order, lambda row: object_sql(DAILY_TOTAL, row.children, inside)
    )


def payments_sql(field: Selected, asked: PaymentsAsked, page: PageAsked, owner: Owner, asking: Asking) -> str:
    """An expression: a connection of payments."""
    zone, viewer, values = asking.context.settings.report_timezone, asking.context.viewer, asking.values
    inside = replace(asking, in_list=True, beside=None)
    columns = "*" if any(f.name in BEYOND_INDEX for f in _of_nodes(field)) else IN_INDEX
    rows = Rows(
        alias="t",
        kind=payments_queries.CURSOR_KIND,
        key=PAYMENT_KEY,
        descending=True,
        page=lambda rows: payments_queries.page_sql(
            values, asked, page, owner, zone=zone, viewer=viewer, rows=rows, columns=columns
        ),
        count=lambda: payments_queries.count_sql(values, asked, owner, zone=zone, viewer=viewer),
        node=lambda node: object_sql(PAYMENT, node.children, inside),
    )
    return connection_sql(field.children, page, rows)


def _of_nodes(connection: Selected) -> Iterator[Selected]:
    """What is asked of a connection's nodes."""
    for field in connection.children:
        for node in [field] if field.name == "nodes" else field.children if field.name == "edges" else ():
            yield from node.children


def filter_of(given: dict[str, Any]) -> PaymentFilter | None:
    """The filter among the arguments, if any."""
    f = given.get("filter")
    if f is None:
        return None
    return PaymentFilter(
        start=f.get("start"),
        end=f.get("end"),
        statuses=f.get("statuses"),
        currencies=f.get("currencies"),
        min_amount=f.get("minAmount"),
        max_amount=f.get("maxAmount"),
        is_suspicious=f.get("isSuspicious"),
        user_id=f.get("userId"),
        import_id=f.get("importId"),
    )


# Shapes whose rows are not `t`.
ALIAS = {USER.name: "u", DAILY_TOTAL.name: "d"}
INSIDE: dict[tuple[str, str], Callable[[Selected, Asking], str]] = {
    (PAYMENT.name, "sender"): _person("sender_id"),
    (PAYMENT.name, "receiver"): _person("receiver_id"),
    (PAYMENT.name, "source"): _source,
    (PAYMENT.name, "history"): _history,
    (REVISION.name, "source"): _source,
    (REVISION.name, "previous"): _previous,
    (USER.name, "payments"): _payments_of_user,
    (USER.name, "dailyTotals"): _daily_totals_of_user,
    (DAILY_TOTAL.name, "payments"): _payments_of_total,
}
