"""The fast path: queries whose every root field SQL can answer are written by PostgreSQL as JSON and passed through.

Strawberry stays the schema, the validator, the error path, and answers whatever is not known here. Both paths use the
statements of `fcgraph.queries` and give the same bytes. `selection` is what is asked, `rows` how SQL writes a row,
`connections` and `totals` what stands around the rows, `plans` what each root field does.
"""

from __future__ import annotations

from graphql import GraphQLObjectType, GraphQLSchema, OperationType

from fcgraph.api.context import Context
from fcgraph.api.documents import Admitted
from fcgraph.api.fastpath.plans import Run, plan
from fcgraph.api.fastpath.rows import NotFast, key_text
from fcgraph.api.fastpath.selection import condition_names, select
from fcgraph.errors import BadInput

PLANS_MAX = 16  # per document: one for each combination of the conditions of @include and @skip
CONDITION_NAMES = "condition names"

Plan = list[tuple[bytes, Run]]


class FastPath:
    """Answers operations without executing them field by field, where it can."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema

    async def answer(self, admitted: Admitted, context: Context) -> bytes | None:
        """The body of the answer; None when Strawberry must answer (or say what is wrong).

        Raises Unavailable, and LimitReached when a statement takes too long.
        """
        values = admitted.values
        found = self._plan(admitted)
        if found is None:
            return None
        try:
            parts = [key + await run(context, values) for key, run in found]
        except (BadInput, NotFast):
            return None
        return b'{"data":{' + b",".join(parts) + b"}}"

    def _plan(self, admitted: Admitted) -> Plan | None:
        prepared, operation, values = admitted
        plans = prepared.plans
        names = plans.get(CONDITION_NAMES)
        if names is None:
            names = plans[CONDITION_NAMES] = condition_names(prepared)
        key = (id(operation), *(values.coerced.get(name) for name in names))
        if key in plans:
            known: Plan | None = plans[key]
            return known
        made = self._make(admitted)
        if len(plans) < PLANS_MAX:
            plans[key] = made
        return made

    def _make(self, admitted: Admitted) -> Plan | None:
        prepared, operation, values = admitted
        if operation.operation is not OperationType.QUERY:
            return None
        root = self._schema.query_type
        assert isinstance(root, GraphQLObjectType)
        fields = select([operation.selection_set], root, prepared.fragments, values.coerced)
        try:
            return [(key_text(field.key).encode(), plan(field)) for field in fields]
        except NotFast:
            return None
