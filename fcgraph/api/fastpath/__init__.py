"""The fast path: PostgreSQL writes root fields that SQL can answer as JSON, and the API passes it through.

Strawberry provides the schema, validation and error handling, and answers the root fields that are not known here. Both
paths use the SQL of `fcgraph.queries` and produce the same bytes. A root field is one statement with one text as its
result. `selection` finds what an operation selects, `objects` writes rows and the objects inside them, `connections`
and `totals` write what surrounds the rows, `plans` builds the statement, `remainder` the query for Strawberry.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, NamedTuple, TypeVar

from graphql import GraphQLObjectType, GraphQLSchema, OperationType

from fcgraph.api.context import Context
from fcgraph.api.fastpath.plans import ROOTS, Root
from fcgraph.api.fastpath.remainder import Remainder, remainder
from fcgraph.api.fastpath.text import NotFast
from fcgraph.api.graphql.documents import Admitted
from fcgraph.api.graphql.selection import Selected, condition_names, select
from fcgraph.errors import BadInput, LimitReached
from fcgraph.queries import Statement

PLANS_MAX = 16  # per document: one for each combination of the conditions of @include and @skip
CONDITION_NAMES = "condition names"

T = TypeVar("T")
Part = Root | bytes | str  # what answers a root field: SQL, constant bytes, or Strawberry (a key)
# Runs the part for Strawberry: from a query and its variables to the JSON of each key, or None if there are errors.
Remaining = Callable[[str, dict[str, Any], Context], Awaitable[dict[str, bytes] | None]]


class Plan(NamedTuple):
    """How each root field is answered, and the query for the fields that are left to Strawberry."""

    parts: list[tuple[bytes, Part]]
    remaining: Remainder | None


class FastPath:
    """Answers operations without executing them field by field, where possible."""

    def __init__(self, schema: GraphQLSchema, slow_statements_max: int) -> None:
        self._schema = schema
        # Statements that were slow last time are queued, so that fast ones find a free processor.
        self._slow = asyncio.Semaphore(slow_statements_max)

    async def answer(self, admitted: Admitted, context: Context, remaining: Remaining) -> list[bytes] | None:
        """The body of the answer in parts; None when Strawberry must answer (or report what is wrong).

        Raises Unavailable, and LimitReached when a statement takes too long.
        """
        key = self._plan_key(admitted)
        plans = admitted.prepared.plans
        if key not in plans:
            made = self._make(admitted)
            if len(plans) < PLANS_MAX:
                plans[key] = made
        else:
            made = plans[key]
        if made is None:
            return None
        try:
            statements = [
                part.statement(context, admitted.coerced) if isinstance(part, Root) else None for _, part in made.parts
            ]
        except NotFast:
            plans[key] = None
            return None
        except (BadInput, LimitReached):
            return None
        others: dict[str, bytes] = {}
        if made.remaining is not None:
            found = await remaining(made.remaining.query, made.remaining.values(admitted.variables), context)
            if found is None:
                return None
            others = found
        parts = [b'{"data":{']
        for (name, part), statement in zip(made.parts, statements, strict=True):
            if isinstance(part, Root):
                text = await self._run(part, statement, context)
                if text is None:
                    return None
            else:
                text = [others[part] if isinstance(part, str) else part]
            parts += [b",", name, *text] if len(parts) > 1 else [name, *text]
        return [*parts, b"}}"]

    def turn(self, admitted: Admitted, context: Context) -> AbstractAsyncContextManager[object]:
        """For Strawberry, when `answer` returned None: operations that were slow before are queued."""
        made = admitted.prepared.plans.get(self._plan_key(admitted))
        slow = admitted.prepared.seconds > context.settings.slow_answer_seconds
        # Strawberry runs the same queries as `answer` did.
        if made is not None:
            slow = slow or any(isinstance(part, Root) and _is_slow(part, context) for _, part in made.parts)
        return self._slow if slow else nullcontext()

    async def _run(self, root: Root, statement: Statement | None, context: Context) -> list[bytes] | None:
        assert statement is not None, "a root field has a statement"
        if _is_slow(root, context):
            async with self._slow:
                found = await _timed(root, context.reader.pieces(statement))
        else:
            row = await _timed(root, context.reader.row(statement))
            found = [] if row is None else [row[0]]
        # NULL: the answer exceeds a limit; Strawberry reports which one.
        return None if None in found else found or [b"null"]

    def _plan_key(self, admitted: Admitted) -> tuple[object, ...]:
        prepared, operation, coerced, _ = admitted
        names = prepared.plans.get(CONDITION_NAMES)
        if names is None:
            names = prepared.plans[CONDITION_NAMES] = condition_names(prepared)
        return (id(operation), *[coerced.get(name) for name in names])

    def _make(self, admitted: Admitted) -> Plan | None:
        prepared, operation, coerced, _ = admitted
        if operation.operation is not OperationType.QUERY:
            return None
        root = self._schema.query_type
        assert isinstance(root, GraphQLObjectType)
        parts: list[tuple[bytes, Part]] = []
        left: list[Selected] = []
        fields = select([operation.selection_set], root, prepared.fragments, coerced)
        for field in fields:
            key = f'"{field.key}":'.encode()
            if field.name == "__typename":
                parts.append((key, f'"{root.name}"'.encode()))
            elif field.name in ROOTS:
                parts.append((key, Root(field, len(fields))))
            else:
                parts.append((key, field.key))
                left.append(field)
        if not any(isinstance(part, Root) for _, part in parts):
            return None  # the fast path answers no part of it
        return Plan(parts, remainder(left, operation, prepared.fragments) if left else None)


def _is_slow(root: Root, context: Context) -> bool:
    """Whether the root field's statement took long last time."""
    return root.seconds > context.settings.slow_statement_seconds


async def _timed(root: Root, reading: Awaitable[T]) -> T:
    start = time.monotonic()
    try:
        return await reading
    finally:
        root.seconds = time.monotonic() - start
