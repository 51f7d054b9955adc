"""What each root field of the fast path does: arguments into a statement, its rows into the bytes of the answer.

Statements, limits and the meaning of arguments are those of the resolvers; only the writing of the answer differs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar
from uuid import UUID

from graphql import GraphQLObjectType
from graphql.execution.values import VariableValues, get_argument_values

from fcgraph.api.context import Context
from fcgraph.api.fastpath.connections import ConnectionPlan, Spec
from fcgraph.api.fastpath.rows import NotFast, key_text, members_sql, object_sql, text
from fcgraph.api.fastpath.selection import Selected, variable_names
from fcgraph.api.fastpath.totals import Answer, TotalsPlan
from fcgraph.api.types.payments import PaymentFilter, payments_asked
from fcgraph.api.types.totals import totals_asked
from fcgraph.errors import LimitReached
from fcgraph.queries import payments as payments_sql
from fcgraph.queries import totals as totals_sql
from fcgraph.queries import users as users_sql
from fcgraph.queries.columns import PAYMENT, USER
from fcgraph.queries.pages import PageAsked, cut, write_cursor
from fcgraph.queries.payments import PaymentsAsked

Run = Callable[[Context, VariableValues], Awaitable[bytes]]
# As `Run`, for a field of a user; also whether its rows prove that the user exists.
T = TypeVar("T")
ABSENT = object()
ARGUMENTS_KNOWN_MAX = 64
RunOfUser = Callable[[Context, VariableValues, UUID], Awaitable[tuple[bytes, bool]]]

PAYMENTS = Spec(
    PAYMENT,
    "t",
    ("t.timestamp", "t.transaction_id"),
    lambda row: payments_sql.cursor_of(row["timestamp"], row["transaction_id"]),
)
USERS = Spec(
    USER,
    "u",
    ("u.name", "u.user_id"),
    lambda row: write_cursor(users_sql.USERS_ORDER.kind, row["name"], row["user_id"]),
)
NULL = b"null"


def plan(field: Selected) -> Run:
    """The way to answer a root field. Raises NotFast."""
    if field.name == "__typename":
        return _typename(field.parent)
    make = ROOTS.get(field.name)
    if make is None:
        raise NotFast
    return make(field)


def _typename(parent: GraphQLObjectType) -> Run:
    async def run(context: Context, variables: VariableValues) -> bytes:
        return text(parent.name)

    return run


class Arguments(Generic[T]):
    """A field's arguments, and what is made of them, remembered for the variables seen lately."""

    def __init__(self, field: Selected, make: Callable[[dict[str, Any]], T]) -> None:
        self._definition = field.parent.fields[field.name]
        self._node = field.node
        self._make = make
        self._names = variable_names(field.node)
        self._known: dict[tuple[Any, ...], T] = {}

    def of(self, variables: VariableValues) -> T:
        """What these variables make of them. Raises what `make` raises."""
        key = tuple([_hashable(variables.coerced.get(name, ABSENT)) for name in self._names])
        found = self._known.get(key)
        if found is None:
            found = self._make(get_argument_values(self._definition, self._node, variables))
            if len(self._known) >= ARGUMENTS_KNOWN_MAX:
                self._known.clear()
            self._known[key] = found
        return found


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple([_hashable(v) for v in value])
    if isinstance(value, dict):
        return tuple([(k, _hashable(v)) for k, v in value.items()])
    # Python calls 1, True and 1.0 equal; as arguments they are not.
    return (type(value), value)


def _page(context: Context, given: dict[str, Any]) -> PageAsked:
    try:
        return context.page(given.get("first"), given.get("after"), given.get("last"), given.get("before"))
    except LimitReached as e:
        raise NotFast from e  # the other path says where in the document


def _payments_asked(given: dict[str, Any]) -> PaymentsAsked:
    f = given.get("filter")
    wanted = None
    if f is not None:
        wanted = PaymentFilter(
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
    return payments_asked(wanted, given.get("direction"))


def _payments(field: Selected) -> Run:
    run_of = _payments_of(field)

    async def run(context: Context, variables: VariableValues) -> bytes:
        return (await run_of(context, variables, None))[0]

    return run


def _payments_of(field: Selected) -> Callable[[Context, VariableValues, UUID | None], Awaitable[tuple[bytes, bool]]]:
    connection = ConnectionPlan(PAYMENTS, field.children)
    joins = frozenset(connection.joins)
    arguments = Arguments(field, lambda given: (given, _payments_asked(given)))

    async def run(context: Context, variables: VariableValues, user_id: UUID | None) -> tuple[bytes, bool]:
        given, asked = arguments.of(variables)
        page = _page(context, given)
        zone, viewer = context.settings.report_timezone, context.viewer
        statement = payments_sql.payments(
            asked, page, user_id=user_id, zone=zone, viewer=viewer, select=connection.select, joins=joins
        )
        rows = await context.reader.fetch(statement) if connection.needs_rows else []
        count = None
        if connection.needs_count:
            count = await context.reader.value(
                payments_sql.payments_count(asked, user_id=user_id, zone=zone, viewer=viewer)
            )
        return connection.write(cut(rows, page), count), bool(rows or count)

    return run


def _payment(field: Selected) -> Run:
    joins: set[str] = set()
    select = object_sql(PAYMENT, field.children, "t", joins)
    arguments = Arguments(field, lambda given: given)

    async def run(context: Context, variables: VariableValues) -> bytes:
        transaction_id = arguments.of(variables)["transactionId"]
        row = await context.reader.row(
            payments_sql.payment(transaction_id, viewer=context.viewer, select=select, joins=frozenset(joins))
        )
        return NULL if row is None else row[0].encode()

    return run


def _users(field: Selected) -> Run:
    connection = ConnectionPlan(USERS, field.children)
    arguments = Arguments(field, lambda given: given)

    async def run(context: Context, variables: VariableValues) -> bytes:
        given = arguments.of(variables)
        page, search = _page(context, given), given.get("search")
        statement = users_sql.users(search, page, viewer=context.viewer, select=connection.select)
        rows = await context.reader.fetch(statement) if connection.needs_rows else []
        count = None
        if connection.needs_count:
            count = await context.reader.value(users_sql.users_count(search, viewer=context.viewer))
        return connection.write(cut(rows, page), count)

    return run


def _daily_totals(field: Selected) -> Run:
    run_of = _daily_totals_of(field)

    async def run(context: Context, variables: VariableValues) -> bytes:
        return (await run_of(context, variables, None))[0]

    return run


def _daily_totals_of(
    field: Selected,
) -> Callable[[Context, VariableValues, UUID | None], Awaitable[tuple[bytes, bool]]]:
    totals = TotalsPlan(field.children)
    arguments = Arguments(field, lambda given: given)

    async def run(context: Context, variables: VariableValues, user_id: UUID | None) -> tuple[bytes, bool]:
        given = arguments.of(variables)
        settings = context.settings
        asked = totals_asked(
            given["start"],
            given["end"],
            given.get("statuses"),
            given.get("currency"),
            given.get("userIds") if user_id is None else [user_id],
        )
        asked.check(range_max_days=settings.range_max_days)
        rows = await context.reader.fetch(
            totals_sql.daily_totals(
                asked,
                zone=settings.report_timezone,
                viewer=context.viewer,
                rows_max=settings.totals_rows_max,
                select=totals.select,
            )
        )
        found = rows if rows[0][1] else []
        totals_sql.check_rows(len(found), rows_max=settings.totals_rows_max)
        return totals.write(Answer(asked, settings.report_timezone, rows[0][0], found)), bool(found)

    return run


OF_USER: dict[str, Callable[[Selected], RunOfUser]] = {"payments": _payments_of, "dailyTotals": _daily_totals_of}


def _user(field: Selected) -> Run:
    """A user's own columns come in one statement, as pieces of text between his lists, in the order of the answer."""
    lists: list[tuple[int, str, RunOfUser]] = []
    groups: list[list[Selected]] = []
    places: list[int | None] = []  # per part of the answer: a group of columns, or None for the next list
    for child in field.children:
        make = OF_USER.get(child.name)
        if make is not None:
            lists.append((len(places), key_text(child.key), make(child)))
            places.append(None)
        elif places and places[-1] is not None:
            groups[-1].append(child)
        else:
            places.append(len(groups))
            groups.append([child])
    columns = [members_sql(USER, group, "u", set()) for group in groups]
    select = ", ".join(columns) or "1"
    arguments: Arguments[dict[str, UUID]] = Arguments(field, lambda given: given)

    async def run(context: Context, variables: VariableValues) -> bytes:
        user_id = arguments.of(variables)["userId"]
        statement = users_sql.user(user_id, viewer=context.viewer, select=select)
        row = None
        if columns:
            row = await context.reader.row(statement)
            if row is None:
                return NULL
        parts: list[bytes] = [row[place].encode() if row and place is not None else b"" for place in places]
        known = row is not None
        for place, key, run_list in lists:
            written, proves = await run_list(context, variables, user_id)
            parts[place] = key.encode() + written
            known = known or proves
        # Payments have known users (the database sees to it), so only an empty answer needs the question.
        if not known and await context.reader.row(statement) is None:
            return NULL
        return b"{" + b",".join(parts) + b"}"

    return run


ROOTS: dict[str, Callable[[Selected], Run]] = {
    "user": _user,
    "users": _users,
    "payment": _payment,
    "payments": _payments,
    "dailyTotals": _daily_totals,
}
