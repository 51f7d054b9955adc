"""Generates valid operations from a schema: aliases, fragments, variables, directives, nesting, nulls, empty lists."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    get_named_type,
    is_leaf_type,
)

from fcgraph.queries.pages import write_cursor
from tests.api.cases import ALICE, BOB, UNUSUAL_NAME, ZOE, user

DEPTH_MAX = 5
FIELDS_MAX = 40
ROOTS = ("user", "users", "payment", "payments", "dailyTotals", "currencies")
# Fields that would be refused or whose values differ from run to run.
LEFT_OUT = ("records", "changesFrom")
# Cursors of payments and users: of a row in the list, of a missing row, before all rows and after all rows.
CURSORS: dict[str, tuple[str, ...]] = {
    "PaymentConnection": tuple(
        write_cursor("payments", datetime.fromisoformat(at), UUID(f"ed6e0000-0000-0000-0000-{n:012x}"))
        for n, at in (
            (5, "2024-03-01T12:30:00+00:00"),
            (120, "2024-04-01T00:00:00+00:00"),
            (7, "2024-03-01T16:00:00.5+00:00"),
            (0, "2001-01-01T00:00:00+00:00"),
            (0, "2031-01-01T00:00:00+00:00"),
        )
    ),
    "UserConnection": tuple(
        write_cursor("users", name, UUID(n)) for name, n in (("Bob", BOB), ("", ZOE), (UNUSUAL_NAME, ZOE), ("~", ALICE))
    ),
}
VALUES: dict[str, tuple[object, ...]] = {
    "UUID": (ALICE, BOB, ZOE, ZOE.upper(), user(5), user(999), f"ed6e0000-0000-0000-0000-{5:012}"),
    "Date": ("2024-02-29", "2024-03-01", "2024-03-02", "2024-04-01", "2025-05-10", "2025-06-01"),
    "DateTime": ("2024-03-01T00:00:00Z", "2025-05-10T12:00:00.5+02:00"),
    "Decimal": ("0", "5", "100.00", "10000.01", 7),
    "String": ("USD", "EUR", "a", "Z", "%", ""),
    "Boolean": (True, False),
    "Int": (0, 1, 2, 7, 30),
    "Month": ("2024-03", "2025-05", "0001-01", "2999-12"),
    "Upload": ("no file",),
}


@dataclass
class Operation:
    """A document with one operation, and its variables."""

    text: str
    variables: dict[str, Any]


@dataclass
class _Draft:
    rnd: random.Random
    variables: dict[str, Any] = field(default_factory=dict)
    declared: list[str] = field(default_factory=list)
    fragments: list[str] = field(default_factory=list)
    fields: int = 0
    aliases: int = 0
    directives: int = 0


class OperationMaker:
    """Generates operations; the same random numbers produce the same operation."""

    def __init__(self, schema: GraphQLSchema, *, everything: bool = False) -> None:
        """`everything`: all root fields and mutations, not only those that both paths can answer."""
        self._everything = everything
        assert schema.query_type is not None
        assert schema.mutation_type is not None
        self._query = schema.query_type
        self._mutation = schema.mutation_type

    def make(self, rnd: random.Random) -> Operation:
        """An operation over the root fields. It is valid, except that input objects may lack required fields."""
        draft = _Draft(rnd)
        kind, parent = "query", self._query
        if self._everything and rnd.random() < 0.15:
            kind, parent = "mutation", self._mutation
        names = list(parent.fields) if self._everything else ROOTS
        roots = [self._field(draft, parent, name, 1) for name in rnd.choices(names, k=rnd.choice((1, 1, 1, 2)))]
        body = " ".join(f"r{n}: {root}" for n, root in enumerate(roots))
        if rnd.random() < 0.2:
            body += " __typename"
        declared = f"({', '.join(draft.declared)})" if draft.declared else ""
        return Operation(f"{kind} Q{declared} {{ {body} }} {' '.join(draft.fragments)}", draft.variables)

    def _selection(self, draft: _Draft, parent: GraphQLObjectType, depth: int) -> str:
        rnd = draft.rnd
        left_out = () if self._everything else LEFT_OUT
        names = [n for n in parent.fields if n not in left_out and self._fits(parent.fields[n], depth, draft)]
        chosen = rnd.sample(names, rnd.randint(1, min(len(names), 6))) if names else []
        parts = []
        for name in chosen:
            written = self._field(draft, parent, name, depth + 1)
            if draft.aliases < 10 and rnd.random() < 0.15:
                draft.aliases += 1
                written = f"a{draft.aliases}_{name}: {written}"
            parts.append(written)
        if not parts or rnd.random() < 0.15:
            parts.append("__typename")
        return self._wrapped(draft, parent, parts)

    def _wrapped(self, draft: _Draft, parent: GraphQLObjectType, parts: list[str]) -> str:
        rnd = draft.rnd
        if rnd.random() < 0.15:
            name = f"F{len(draft.fragments)}"
            draft.fragments.append(f"fragment {name} on {parent.name} {{ {' '.join(parts)} }}")
            # Spread twice: equal keys merge.
            return f"{{ ...{name} {'__typename ' if rnd.random() < 0.3 else ''}...{name} }}"
        if rnd.random() < 0.15:
            return f"{{ ... on {parent.name} {{ {parts[0]} }} {' '.join(parts)} }}"
        if rnd.random() < 0.1:
            return f"{{ ... {{ {' '.join(parts)} }} }}"
        return f"{{ {' '.join(parts)} }}"

    def _fits(self, definition: GraphQLField, depth: int, draft: _Draft) -> bool:
        return is_leaf_type(get_named_type(definition.type)) or (depth < DEPTH_MAX and draft.fields < FIELDS_MAX)

    def _field(self, draft: _Draft, parent: GraphQLObjectType, name: str, depth: int) -> str:
        draft.fields += 1
        definition = parent.fields[name]
        arguments = self._arguments(draft, definition)
        text = name + (f"({', '.join(arguments)})" if arguments else "") + self._directive(draft)
        inner = get_named_type(definition.type)
        if isinstance(inner, GraphQLObjectType):
            text += " " + self._selection(draft, inner, depth)
        return text

    def _directive(self, draft: _Draft) -> str:
        rnd = draft.rnd
        if draft.directives >= 10 or rnd.random() > 0.1:
            return ""
        draft.directives += 1
        condition = rnd.random() < 0.7
        name = "include" if rnd.random() < 0.5 else "skip"
        wanted = condition if name == "include" else not condition
        if rnd.random() < 0.5:
            return f" @{name}(if: {str(wanted).lower()})"
        variable = f"v{len(draft.variables)}"
        draft.variables[variable] = wanted
        draft.declared.append(f"${variable}: Boolean!")
        return f" @{name}(if: ${variable})"

    def _arguments(self, draft: _Draft, definition: GraphQLField) -> list[str]:
        rnd, written = draft.rnd, []
        cursors = CURSORS.get(get_named_type(definition.type).name, ())
        # A page is of the first or of the last rows, never of both.
        left_out = "last" if rnd.random() < 0.6 else "first"
        for name, argument in definition.args.items():
            required = isinstance(argument.type, GraphQLNonNull) and argument.default_value is Undefined
            if name == left_out or not (required or rnd.random() < 0.4):
                continue
            value = self._value(rnd, argument.type)
            if name in ("after", "before"):
                if not cursors or rnd.random() < 0.4:
                    continue
                value = rnd.choice((*cursors, None))
            if rnd.random() < 0.4:
                variable = f"v{len(draft.variables)}"
                draft.variables[variable] = value
                draft.declared.append(f"${variable}: {argument.type}")
                written.append(f"{name}: ${variable}")
            else:
                written.append(f"{name}: {_literal(value, argument.type)}")
        return written

    def _value(self, rnd: random.Random, wanted: GraphQLInputType) -> Any:
        if isinstance(wanted, GraphQLNonNull):
            wanted = wanted.of_type
        elif rnd.random() < 0.08:
            return None
        if isinstance(wanted, GraphQLList):
            return [self._some(rnd, wanted.of_type) for _ in range(rnd.choice((0, 1, 1, 2)))]
        return self._some(rnd, wanted)

    def _some(self, rnd: random.Random, wanted: GraphQLInputType) -> Any:
        named = wanted.of_type if isinstance(wanted, GraphQLNonNull) else wanted
        if isinstance(named, GraphQLEnumType):
            return rnd.choice(list(named.values))
        if isinstance(named, GraphQLInputObjectType):
            names = rnd.sample(list(named.fields), rnd.randint(0, min(3, len(named.fields))))
            return {name: self._value(rnd, named.fields[name].type) for name in names}
        return rnd.choice(VALUES[str(named)])


def _literal(value: Any, wanted: GraphQLInputType) -> str:
    named = wanted.of_type if isinstance(wanted, GraphQLNonNull) else wanted
    if value is None:
        return "null"
    if isinstance(named, GraphQLList):
        return f"[{', '.join(_literal(v, named.of_type) for v in value)}]"
    if isinstance(named, GraphQLInputObjectType):
        members = (f"{k}: {_literal(v, named.fields[k].type)}" for k, v in value.items())
        return f"{{{', '.join(members)}}}"
    if isinstance(named, GraphQLEnumType):
        return str(value)
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)
