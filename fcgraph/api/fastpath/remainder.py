"""The query of the root fields of an operation that SQL does not answer, as a separate document for Strawberry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    print_ast,
    visit,
)

from fcgraph.api.graphql.selection import Selected


class Remainder(NamedTuple):
    """A query, and the names of the variables that it declares."""

    query: str
    names: frozenset[str]

    def values(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Its own variables, out of those of the whole operation as received."""
        return {name: value for name, value in variables.items() if name in self.names}


class _Uses(Visitor):
    """The variables and fragments that a part of a document uses directly."""

    def __init__(self) -> None:
        super().__init__()
        self.variables: set[str] = set()
        self.fragments: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.variables.add(node.name.value)

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        self.fragments.add(node.name.value)


def remainder(
    fields: Sequence[Selected], operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> Remainder:
    """The operation with these root fields alone, and with the fragments and variables that they use."""
    nodes = tuple(node for field in fields for node in field.nodes)
    selection_set = SelectionSetNode(selections=nodes)
    uses, used = _Uses(), set[str]()
    _collect(selection_set, uses)
    while new := uses.fragments - used:
        used |= new
        for name in new:
            _collect(fragments[name], uses)
    variables = [v for v in operation.variable_definitions or () if v.variable.name.value in uses.variables]
    reduced = OperationDefinitionNode(
        operation=operation.operation,
        variable_definitions=tuple(variables),
        directives=(),
        selection_set=selection_set,
    )
    definitions = (reduced, *(fragments[name] for name in sorted(used)))
    return Remainder(print_ast(DocumentNode(definitions=definitions)), frozenset(uses.variables))


def _collect(node: Node, uses: _Uses) -> None:
    visit(node, uses)
