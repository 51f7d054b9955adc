"""Objects as SQL: a selection of a payment, a user or a daily total becomes one expression of its JSON text.

Nested objects are looked up for the current row. Every SELECT has its own `t`, `u`, `d` or `b`; the innermost applies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from graphql.execution.values import VariableValues, get_argument_values

from fcgraph.api.context import Context
from fcgraph.api.fastpath.connections import Lateral, Rows, connection_sql
from fcgraph.api.fastpath.text import NotFast, constant, list_of, object_of
from fcgraph.api.fastpath.totals import totals_sql
from fcgraph.api.graphql.selection import Selected
from fcgraph.api.graphql.types.payments import PaymentFilter, payment_query
from fcgraph.api.graphql.types.totals import totals_query
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
from fcgraph.queries.pages import PageRequest
from fcgraph.queries.payments import Owner, PaymentQuery
from fcgraph.queries.statement import Values
from fcgraph.queries.totals import TotalsQuery

OF_BATCH = f"FROM {BATCH} WHERE b.batch_id = t.batch_id"
PAYMENT_KEY = (("t.timestamp", "timestamptz"), ("t.transaction_id", "uuid"))


@dataclass(frozen=True, slots=True)
class PlanContext:
    """What is needed to build a statement: the context, the variables, the values so far, and the current position."""

    context: Context
    variables: dict[str, Any]  # coerced to their types
    values: Values
    roots: int = 1  # root fields of the operation
    in_list: bool = False  # inside the rows of a page
    lateral: Lateral | None = None  # for lists that have to be counted over all rows of the page
    totals: TotalsQuery | None = None  # the daily totals whose rows are being written

    def arguments(self, field: Selected) -> dict[str, Any]:
        """The field's arguments, coerced to their types."""
        return get_argument_values(field.parent.fields[field.name], field.node, VariableValues({}, self.variables))

    def page(self, arguments: dict[str, Any]) -> PageRequest:
        """The page that a connection's arguments request."""
        return self.context.page(
            arguments.get("first"), arguments.get("after"), arguments.get("last"), arguments.get("before")
        )


def object_sql(shape: Shape, fields: list[Selected], plan: PlanContext) -> str:
    """An expression: the JSON text of the object with this shape in the current row. Raises NotFast."""
    return object_of([(f.key, _member(shape, f, plan)) for f in fields])


def _member(shape: Shape, field: Selected, plan: PlanContext) -> str:
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
    return inside(field, plan)


def _person(column: str) -> Callable[[Selected, PlanContext], str]:
    def person(field: Selected, plan: PlanContext) -> str:
        return f"(SELECT {object_sql(USER, field.children, plan)} FROM users u WHERE u.user_id = t.{column})"

    return person


def _source(field: Selected, plan: PlanContext) -> str:
    return f"(SELECT {object_sql(SOURCE, field.children, plan)} {OF_BATCH})"


def _history(field: Selected, plan: PlanContext) -> str:
    item = object_sql(REVISION, field.children, plan)
    return f"(SELECT {list_of(item, 't.revision')} FROM ({revisions_sql('= t.transaction_id')}) t)"


def _previous(field: Selected, plan: PlanContext) -> str:
    return f"CASE WHEN t.previous IS NULL THEN 'null' ELSE {object_sql(PAYMENT_STATE, field.children, plan)} END"


def _payments_of_user(field: Selected, plan: PlanContext) -> str:
    if plan.totals is not None:
        raise NotFast  # the number of users, and so of pages, is not known beforehand
    arguments = plan.arguments(field)
    query = payment_query(filter_of(arguments), arguments.get("direction"))
    return payments_sql(field, query, plan.page(arguments), Owner("u.user_id"), plan)


def _payments_of_total(field: Selected, plan: PlanContext) -> str:
    assert plan.totals is not None, "a daily total is a row of daily totals"
    query = PaymentQuery(statuses=plan.totals.statuses)
    zone = plan.context.settings.report_timezone
    days = of_one_of("d.day", plan.totals.start, plan.totals.end, zone, plan.values.add(zone, "text"))
    owner = Owner("d.user_id", days, "d.currency")
    return payments_sql(field, query, plan.page(plan.arguments(field)), owner, plan)


def _daily_totals_of_user(field: Selected, plan: PlanContext) -> str:
    if not plan.in_list:
        return daily_totals_sql(field, "u.user_id", plan)
    if plan.lateral is None:
        raise NotFast  # their number is limited over all users of the answer
    return plan.lateral.add(_totals_select(field, "o.id", plan))


def daily_totals_sql(field: Selected, owner: str | None, plan: PlanContext) -> str:
    """An expression: daily totals; NULL when there are too many."""
    return f"(SELECT json FROM ({_totals_select(field, owner, plan)}) of_totals)"


def _totals_select(field: Selected, owner: str | None, plan: PlanContext) -> str:
    settings, arguments = plan.context.settings, plan.arguments(field)
    query = totals_query(
        arguments["start"],
        arguments["end"],
        arguments.get("statuses"),
        arguments.get("currency"),
        arguments.get("userIds"),
    )
    query.check(range_max_days=settings.range_max_days)
    zone, viewer = settings.report_timezone, plan.context.viewer
    # Sums alone are computed without producing the rows and have no limit.
    summed = owner is None and not any(f.name == "rows" for f in field.children)
    totals = totals_queries.totals_sql(plan.values, query, zone=zone, viewer=viewer, owner=owner, summed=summed)
    rows_max = None if summed else settings.totals_rows_max
    below = [f for rows in field.children if rows.name == "rows" for f in rows.children if f.name == "payments"]
    nodes = sum(plan.page(plan.arguments(f)).size for f in below)  # per row
    if nodes:
        if plan.in_list:
            raise NotFast  # these are limited over all users of the answer, too
        rows_max = min(settings.totals_rows_max, settings.query_nodes_max // plan.roots // nodes)
    inside = replace(plan, totals=query)
    order = "d.user_id, d.day, d.currency" if owner is None else "d.day, d.currency"
    return totals_sql(
        field.children, query, zone, totals, rows_max, order, lambda row: object_sql(DAILY_TOTAL, row.children, inside)
    )


def payments_sql(field: Selected, query: PaymentQuery, page: PageRequest, owner: Owner, plan: PlanContext) -> str:
    """An expression: a connection of payments."""
    zone, viewer, values = plan.context.settings.report_timezone, plan.context.viewer, plan.values
    inside = replace(plan, in_list=True, lateral=None)
    columns = "*" if any(f.name in BEYOND_INDEX for f in _of_nodes(field)) else IN_INDEX
    rows = Rows(
        alias="t",
        kind=payments_queries.CURSOR_KIND,
        key=PAYMENT_KEY,
        descending=True,
        page=lambda rows: payments_queries.page_sql(
            values, query, page, owner, zone=zone, viewer=viewer, rows=rows, columns=columns
        ),
        count=lambda: payments_queries.count_sql(values, query, owner, zone=zone, viewer=viewer),
        node=lambda node: object_sql(PAYMENT, node.children, inside),
    )
    return connection_sql(field.children, page, rows)


def _of_nodes(connection: Selected) -> Iterator[Selected]:
    """The fields selected on a connection's nodes."""
    for field in connection.children:
        for node in [field] if field.name == "nodes" else field.children if field.name == "edges" else ():
            yield from node.children


def filter_of(arguments: dict[str, Any]) -> PaymentFilter | None:
    """The filter among the arguments, if any."""
    f = arguments.get("filter")
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
INSIDE: dict[tuple[str, str], Callable[[Selected, PlanContext], str]] = {
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
