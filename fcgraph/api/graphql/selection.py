"""What an operation selects, with fragments expanded, directives applied and equal keys merged: a tree of fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import (
    BooleanValueNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)

from fcgraph.api.graphql.documents import Prepared

CONDITIONS = {"skip": False, "include": True}  # the directive, and the value of `if` that includes the selection


@dataclass(slots=True)
class Selected:
    """A field of the answer: its key, name, nodes, parent type and child fields."""

    key: str
    name: str
    nodes: list[FieldNode]  # equal fields; the first one has the arguments
    parent: GraphQLObjectType
    children: list[Selected]

    @property
    def node(self) -> FieldNode:
        """The node with the field's arguments."""
        return self.nodes[0]


def select(
    selection_sets: list[SelectionSetNode],
    parent: GraphQLObjectType,
    fragments: Mapping[str, FragmentDefinitionNode],
    variables: Mapping[str, Any],
) -> list[Selected]:
    """The fields of an object, in the order of the answer. The document is valid, so equal keys are equal fields."""
    found: dict[str, list[FieldNode]] = {}
    for selection_set in selection_sets:
        for node in _fields(selection_set, fragments, variables):
            found.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
    selected = []
    for key, nodes in found.items():
        name = nodes[0].name.value
        definition = parent.fields.get(name)
        inner = get_named_type(definition.type) if definition is not None else None
        below = [n.selection_set for n in nodes if n.selection_set is not None]
        children = select(below, inner, fragments, variables) if isinstance(inner, GraphQLObjectType) else []
        selected.append(Selected(key, name, nodes, parent, children))
    return selected


def is_selected(info: strawberry.Info[Any, Any], name: str) -> bool:
    """Whether a resolver's field has this field below it; for Strawberry."""
    raw = info._raw_info
    sets = [node.selection_set for node in raw.field_nodes if node.selection_set is not None]
    # Plain values, or wrapped ones when graphql-core executes.
    values: Any = raw.variable_values
    variables = getattr(values, "coerced", values)
    return any(node.name.value == name for each in sets for node in _fields(each, raw.fragments, variables))


def _fields(
    selection_set: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]
) -> Iterator[FieldNode]:
    for selection in selection_set.selections:
        if not _is_included(selection, variables):
            continue
        # There are only object types, so a valid fragment always applies.
        if isinstance(selection, FieldNode):
            yield selection
        elif isinstance(selection, InlineFragmentNode):
            yield from _fields(selection.selection_set, fragments, variables)
        elif isinstance(selection, FragmentSpreadNode):
            yield from _fields(fragments[selection.name.value].selection_set, fragments, variables)


def _is_included(selection: SelectionNode, variables: Mapping[str, Any]) -> bool:
    for directive in selection.directives or ():
        wanted = CONDITIONS.get(directive.name.value)
        if wanted is not None and _condition(directive, variables) is not wanted:
            return False
    return True


def _condition(directive: DirectiveNode, variables: Mapping[str, Any]) -> bool:
    value = _if_of(directive)
    return bool(variables[value.name.value]) if isinstance(value, VariableNode) else value.value


def _if_of(directive: DirectiveNode) -> VariableNode | BooleanValueNode:
    """The value of `if`, the only and required argument of @include and @skip."""
    assert directive.arguments, "the document is valid"
    value = directive.arguments[0].value
    assert isinstance(value, VariableNode | BooleanValueNode), "the document is valid"
    return value


def condition_names(prepared: Prepared) -> tuple[str, ...]:
    """The variables that determine what is selected."""
    found: set[str] = set()

    def walk(selection_set: SelectionSetNode | None) -> None:
        for selection in selection_set.selections if selection_set is not None else ():
            for directive in selection.directives or ():
                if directive.name.value in CONDITIONS:
                    value = _if_of(directive)
                    if isinstance(value, VariableNode):
                        found.add(value.name.value)
            walk(getattr(selection, "selection_set", None))

    for definition in (*prepared.operations, *prepared.fragments.values()):
        walk(definition.selection_set)
    return tuple(sorted(found))
