"""What a document may be: one pass before validation, each fragment walked once, and a bound on the nodes asked for.

Every refusal is a LimitReached that names its setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)

from fcgraph.errors import LimitReached
from fcgraph.settings import Settings

# Inline fragments and fragments add no depth to an answer, but each is a step for whoever walks the document.
NESTING_MAX = 60
# The playground asks for the whole schema; how deep is bounded by a rule of graphql-core.
INTROSPECTION_FIELDS_MAX = 1000


@dataclass(slots=True)
class Measure:
    """What a selection set comes to once its fragments are put in."""

    here: int = 0  # fields of the level itself; of an operation these are its root fields
    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    introspection_fields: int = 0

    def add(self, other: Measure) -> None:
        self.here += other.here
        self.depth = max(self.depth, other.depth)
        self.fields += other.fields
        self.aliases += other.aliases
        self.directives += other.directives
        self.introspection_fields += other.introspection_fields


class Meter:
    """Measures a document; what a fragment comes to is worked out once."""

    def __init__(self, document: DocumentNode, list_argument_max: int) -> None:
        self._fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self._known: dict[str, Measure | None] = {}
        self._list_argument_max = list_argument_max

    def measure(self, selection_set: SelectionSetNode | None, nesting: int = 0) -> Measure:
        """What the selections come to, without the field they stand below."""
        total = Measure()
        if selection_set is None:
            return total
        if nesting > NESTING_MAX:
            raise LimitReached(f"Selections and fragments are nested more than {NESTING_MAX} deep (QUERY_DEPTH_MAX)")
        for selection in selection_set.selections:
            total.directives += len(selection.directives or ())
            if isinstance(selection, FieldNode):
                total.add(self._field(selection, nesting))
            elif isinstance(selection, InlineFragmentNode):
                total.add(self.measure(selection.selection_set, nesting + 1))
            elif isinstance(selection, FragmentSpreadNode):
                total.add(self._fragment(selection.name.value, nesting + 1))
        return total

    def _field(self, field: FieldNode, nesting: int) -> Measure:
        for argument in field.arguments or ():
            check_list_literal(argument.value, self._list_argument_max)
        inner = self.measure(field.selection_set, nesting + 1)
        if field.name.value in ("__schema", "__type"):
            return Measure(1, 1, 1, inner.aliases, inner.directives, inner.fields + inner.introspection_fields)
        inner.here = 1
        inner.depth += 1
        inner.fields += 1
        inner.aliases += field.alias is not None
        return inner

    def _fragment(self, name: str, nesting: int) -> Measure:
        fragment = self._fragments.get(name)
        if name in self._known or fragment is None:
            # None: unknown, or a cycle being walked. Validation says so; here it only must not be walked again.
            return self._known.get(name) or Measure()
        self._known[name] = None
        found = self.measure(fragment.selection_set, nesting)
        found.directives += len(fragment.directives or ())
        self._known[name] = found
        return found


def check_document(document: DocumentNode, settings: Settings) -> None:
    """Raise LimitReached when any operation of the document is more than one may ask for."""
    meter = Meter(document, settings.list_argument_max)
    for operation in document.definitions:
        if not isinstance(operation, OperationDefinitionNode):
            continue
        found = meter.measure(operation.selection_set)
        directives = found.directives + len(operation.directives or ())
        for what, have, most, name in (
            ("depth", found.depth, settings.query_depth_max, "QUERY_DEPTH_MAX"),
            ("fields", found.fields, settings.query_fields_max, "QUERY_FIELDS_MAX"),
            ("aliases", found.aliases, settings.query_aliases_max, "QUERY_ALIASES_MAX"),
            ("directives", directives, settings.query_directives_max, "QUERY_DIRECTIVES_MAX"),
            ("root fields", found.here, settings.query_root_fields_max, "QUERY_ROOT_FIELDS_MAX"),
            ("introspection fields", found.introspection_fields, INTROSPECTION_FIELDS_MAX, "QUERY_FIELDS_MAX"),
        ):
            if have > most:
                raise LimitReached(f"The operation has {what} {have}, at most {most} is allowed ({name})")
        for variable in operation.variable_definitions or ():
            check_list_literal(variable.default_value, settings.list_argument_max)


def check_list_literal(value: ValueNode | None, most: int) -> None:
    """Raise LimitReached when a list written into the document has more than `most` values."""
    if isinstance(value, ListValueNode):
        check_length(len(value.values), most)
        for item in value.values:
            check_list_literal(item, most)
    elif isinstance(value, ObjectValueNode):
        for field in value.fields:
            check_list_literal(field.value, most)


def check_variables(value: object, most: int) -> None:
    """Raise LimitReached when a list among the variables has more than `most` values."""
    if isinstance(value, list):
        check_length(len(value), most)
        for item in value:
            check_variables(item, most)
    elif isinstance(value, dict):
        for item in value.values():
            if isinstance(item, list | dict):
                check_variables(item, most)


def check_length(length: int, most: int) -> None:
    """Raise LimitReached when a list is longer than `most`."""
    if length > most:
        raise LimitReached(f"A list has at most {most} values (LIST_ARGUMENT_MAX); this has {length}")


@dataclass(slots=True)
class NodeBound:
    """How many nodes a valid operation can ask for; pages inside pages multiply."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    page_default: int
    by_variables: bool = False  # whether a page's size stands in a variable

    def of(self, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> int:
        """The bound for these variables."""
        root = self.schema.get_root_type(operation.operation)
        assert root is not None, "the operation is valid"
        defaults = {
            v.variable.name.value: int(v.default_value.value)
            for v in operation.variable_definitions or ()
            if isinstance(v.default_value, IntValueNode)
        }
        return self._nodes(operation.selection_set, root, 0, {**defaults, **variables})

    def _nodes(
        self, selection_set: SelectionSetNode | None, parent: GraphQLObjectType, size: int, variables: Mapping[str, Any]
    ) -> int:
        total = 0
        for field in self._fields(selection_set):
            definition = parent.fields.get(field.name.value)
            inner = get_named_type(definition.type) if definition is not None else None
            if not isinstance(inner, GraphQLObjectType):
                continue
            if inner.name.endswith("Connection"):
                total += self._nodes(field.selection_set, inner, self._size(field, variables), variables)
            elif size and field.name.value in ("nodes", "edges"):
                total += size * (1 + self._nodes(field.selection_set, inner, 0, variables))
            else:
                total += 1 + self._nodes(field.selection_set, inner, 0, variables)
        return total

    def _fields(self, selection_set: SelectionSetNode | None) -> Iterator[FieldNode]:
        for selection in selection_set.selections if selection_set is not None else ():
            if isinstance(selection, FieldNode):
                yield selection
            elif isinstance(selection, InlineFragmentNode):
                yield from self._fields(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode):
                yield from self._fields(self.fragments[selection.name.value].selection_set)

    def _size(self, field: FieldNode, variables: Mapping[str, Any]) -> int:
        for argument in field.arguments or ():
            if argument.name.value in ("first", "last"):
                value = argument.value
                if isinstance(value, IntValueNode):
                    return int(value.value)
                if isinstance(value, VariableNode):
                    self.by_variables = True
                    given = variables.get(value.name.value)
                    if isinstance(given, int):
                        return given
        return self.page_default
