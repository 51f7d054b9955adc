"""Root fields: each becomes one statement with one row and one column, cached for the variables it was built with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from fcgraph.api.context import Context
from fcgraph.api.fastpath.connections import Lateral, Rows, connection_sql
from fcgraph.api.fastpath.objects import PlanContext, daily_totals_sql, filter_of, object_sql, payments_sql
from fcgraph.api.graphql.selection import Selected
from fcgraph.api.graphql.types.payments import payment_query
from fcgraph.queries import Statement
from fcgraph.queries import payments as payments_queries
from fcgraph.queries import users as users_queries
from fcgraph.queries.columns import PAYMENT, USER
from fcgraph.queries.payments import Owner
from fcgraph.queries.statement import Values

STATEMENTS_KNOWN_MAX = 16  # per root field


class Root:
    """A root field of an operation, and its statement for each set of variables."""

    def __init__(self, field: Selected, roots: int) -> None:
        self._field = field
        self._roots = roots
        self.seconds = 0.0  # how long the last execution took
        self._known: dict[object, tuple[str, list[object], list[tuple[int, str]]]] = {}

    def statement(self, context: Context, variables: dict[str, Any]) -> Statement:
        """The statement to run. Raises NotFast, or BadInput or LimitReached for wrong arguments.

        Ids are always values of a statement, so the text is the same for all ids.
        """
        key = (
            context.viewer.user_id,
            tuple(variables),
            *[UUID if type(v) is UUID else hashable(v) for v in variables.values()],
        )
        found = self._known.get(key)
        if found is None:
            values = Values()
            sql = ROOTS[self._field.name](self._field, PlanContext(context, variables, values, self._roots))
            ids = [(name, value) for name, value in variables.items() if type(value) is UUID]
            places = [(n, name) for n, item in enumerate(values.items) for name, value in ids if item is value]
            if len(self._known) >= STATEMENTS_KNOWN_MAX:
                self._known.clear()
            found = self._known[key] = (sql, values.items, places)
        sql, items, places = found
        items = items.copy()
        for n, name in places:
            items[n] = variables[name]
        return Statement(sql, items)


def hashable(value: Any) -> Any:
    """A value of a variable as part of a key."""
    if isinstance(value, list):
        return tuple([hashable(v) for v in value])
    if isinstance(value, dict):
        return tuple([(k, hashable(v)) for k, v in value.items()])
    # 1, True and 1.0 are equal in Python but not as arguments.
    return (type(value), value)


def _user(field: Selected, plan: PlanContext) -> str:
    user_id = plan.arguments(field)["userId"]
    found = users_queries.user_from_sql(plan.values, user_id, plan.context.viewer)
    return _as_bytes(object_sql(USER, field.children, plan), f" FROM {found}")


def _users(field: Selected, plan: PlanContext) -> str:
    arguments, values, viewer = plan.arguments(field), plan.values, plan.context.viewer
    page, search = plan.page(arguments), plan.context.search(arguments.get("search"))
    lateral = Lateral("u.user_id", plan.context.settings.totals_rows_max // plan.roots)
    inside = replace(plan, in_list=True, lateral=lateral)
    rows = Rows(
        alias="u",
        kind=users_queries.USERS_ORDER.kind,
        key=users_queries.USERS_ORDER.columns,
        descending=users_queries.USERS_ORDER.descending,
        page=lambda rows: users_queries.page_sql(values, search, page, viewer=viewer, rows=rows),
        count=lambda: users_queries.count_sql(values, search, viewer),
        node=lambda node: object_sql(USER, node.children, inside),
        lateral=lateral,
    )
    return _as_bytes(connection_sql(field.children, page, rows))


def _payment(field: Selected, plan: PlanContext) -> str:
    transaction_id = plan.arguments(field)["transactionId"]
    found = payments_queries.payment_from_sql(plan.values, transaction_id, plan.context.viewer)
    return _as_bytes(object_sql(PAYMENT, field.children, plan), f" FROM {found}")


def _payments(field: Selected, plan: PlanContext) -> str:
    arguments = plan.arguments(field)
    query = payment_query(filter_of(arguments))
    return _as_bytes(payments_sql(field, query, plan.page(arguments), Owner(), plan))


def _daily_totals(field: Selected, plan: PlanContext) -> str:
    return _as_bytes(daily_totals_sql(field, None, plan))


def _as_bytes(text: str, source: str = "") -> str:
    """A statement for an expression's text as the bytes to send: long texts are never decoded and encoded."""
    return f"SELECT convert_to({text}, 'UTF8'){source}"


ROOTS: dict[str, Callable[[Selected, PlanContext], str]] = {
    "user": _user,
    "users": _users,
    "payment": _payment,
    "payments": _payments,
    "dailyTotals": _daily_totals,
}
