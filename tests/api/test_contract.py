"""The contract: the committed schema is the one that the code serves, and has all agreed parts with the same types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    is_required_input_field,
    is_specified_scalar_type,
    print_ast,
    print_type,
)

from fcgraph.api.graphql.schema import sdl

COMMITTED = Path(__file__).parents[2] / "fcgraph" / "api" / "schema.graphql"
# The schema agreed with the clients. Additions are new types or use `extend`.
# The served schema may have more, but nothing of this may be removed.
CONTRACT = Path(__file__).parent / "contract.graphql"


def own_types(schema: GraphQLSchema) -> dict[str, Any]:
    return {
        name: found
        for name, found in schema.type_map.items()
        if not name.startswith("__") and not is_specified_scalar_type(found)
    }


def test_the_committed_schema_is_what_the_code_serves() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == sdl(), "run `make schema`"


def lacking(agreed: GraphQLSchema, ours: GraphQLSchema) -> list[str]:
    """The parts of the agreed schema that ours lacks or defines differently."""
    found = []
    for name, wanted in own_types(agreed).items():
        have = ours.type_map.get(name)
        if type(have) is not type(wanted):
            found.append(f"{name}: {type(have).__name__}")
        elif isinstance(wanted, GraphQLEnumType) and isinstance(have, GraphQLEnumType):
            found += [f"{name}.{value}" for value in wanted.values if value not in have.values]
        elif isinstance(wanted, GraphQLObjectType | GraphQLInputObjectType):
            found += _fields(name, wanted, have)
    return found


def _fields(name: str, wanted: Any, have: Any) -> list[str]:
    found = []
    if isinstance(wanted, GraphQLInputObjectType) and wanted.is_one_of != have.is_one_of:
        found.append(f"{name} @oneOf")
    for field, definition in wanted.fields.items():
        ours = have.fields.get(field)
        if ours is None or str(ours.type) != str(definition.type):
            found.append(f"{name}.{field}: {definition.type}, not {ours and ours.type}")
            continue
        if isinstance(wanted, GraphQLInputObjectType) and _default(definition) != _default(ours):
            found.append(f"{name}.{field} = {_default(definition)}, not {_default(ours)}")
        for argument, wanted in getattr(definition, "args", {}).items():
            actual = ours.args.get(argument)
            if actual is None or str(actual.type) != str(wanted.type):
                found.append(f"{name}.{field}({argument}: {wanted.type})")
            elif _default(wanted) != _default(actual):
                found.append(f"{name}.{field}({argument}) = {_default(wanted)}, not {_default(actual)}")
        required = [a for a, d in getattr(ours, "args", {}).items() if str(d.type).endswith("!")]
        found += [f"{name}.{field}({a}) is required" for a in required if a not in definition.args]
    if isinstance(have, GraphQLInputObjectType):
        new = set(have.fields) - set(wanted.fields)
        found += [f"{name}.{field} is required" for field in new if is_required_input_field(have.fields[field])]
    return found


def _default(argument: Any) -> str | None:
    """The value as written; both schemas were built from text."""
    written = argument.ast_node.default_value
    return None if written is None else print_ast(written)


def test_everything_that_was_agreed_is_there() -> None:
    agreed = build_schema(CONTRACT.read_text(encoding="utf-8"))
    assert lacking(agreed, build_schema(sdl())) == []


ADDED = """
extend type Query { d(z: Int = 3): T! }
type T { x: Int }
extend type T { y: E }
extend enum E { B }
extend input I { w: Int = 7 }
extend type Query { e: Int }
"""


def test_additions_to_the_contract_count() -> None:
    base = "type Query { a(i: I): E } enum E { A } input I { x: Int = 1 }"
    grown = build_schema(base + ADDED)
    assert lacking(grown, grown) == []
    assert sorted(lacking(grown, build_schema(base))) == [
        "E.B",
        "I.w: Int, not None",
        "Query.d: T!, not None",
        "Query.e: Int, not None",
        "T: NoneType",
    ]
    partly = base + "extend type Query { d(z: Int = 4): T! } type T { x: Int } extend input I { w: Int = 8 }"
    assert sorted(lacking(grown, build_schema(partly))) == [
        "E.B",
        "I.w = 7, not 8",
        "Query.d(z) = 3, not 4",
        "Query.e: Int, not None",
        "T.y: E, not None",
    ]


def test_the_comparison_finds_what_is_lacking() -> None:
    ours = build_schema(
        "type Query { a(x: Int = 1): Int b: String c(y: Int!): Int }  enum E { A } input I { x: Int = 1 z: Int! }"
    )
    agreed = build_schema(
        "type Query { a(x: Int = 2, y: Int): Int b: String! c: Int d: E } enum E { A B } type T { x: Int }"
        " input I { x: Int = 2 y: Int }"
    )
    assert sorted(lacking(agreed, ours)) == [
        "E.B",
        "I.x = 2, not 1",
        "I.y: Int, not None",
        "I.z is required",
        "Query.a(x) = 2, not 1",
        "Query.a(y: Int)",
        "Query.b: String!, not String",
        "Query.c(y) is required",
        "Query.d: E, not None",
        "T: NoneType",
    ]


def test_everything_is_described() -> None:
    undescribed = []
    for name, found in own_types(build_schema(sdl())).items():
        if not found.description and name not in ("Query", "Mutation", "Subscription"):
            undescribed.append(name)
        inside = getattr(found, "fields", None) or getattr(found, "values", {})
        for member, definition in inside.items():
            if not definition.description:
                undescribed.append(f"{name}.{member}")
            arguments = getattr(definition, "args", {})
            undescribed += [f"{name}.{member}({a})" for a, actual in arguments.items() if not actual.description]
    assert undescribed == []


def test_types_print_as_they_are_built() -> None:
    schema = build_schema(sdl())
    month = '  reportFile(\n    """The month, such as `2025-05`."""\n    period: Month!\n'
    assert month in print_type(schema.type_map["Query"])
