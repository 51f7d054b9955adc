"""Limits of documents: one pass before validation that visits each fragment once, and a bound on the requested nodes.

Every refusal is a LimitReached that names its setting, except for a number with too many digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FloatValueNode,
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

from fcgraph.errors import BadInput, LimitReached
from fcgraph.settings import Settings

# No scalar here accepts more; Python refuses to convert numbers with thousands of digits.
NUMBER_CHARS_MAX = 100


@dataclass(slots=True)
class Measure:
    """The size of a selection set with its fragments expanded."""

    here: int = 0  # fields of this level; for an operation, its root fields
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
    """Measures a document; each fragment is measured once."""

    def __init__(self, document: DocumentNode, settings: Settings) -> None:
        self._fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self._known: dict[str, Measure | None] = {}
        self._settings = settings

    def measure(self, selection_set: SelectionSetNode | None, nesting: int = 0) -> Measure:
        """The size of the selections, without their parent field."""
        total = Measure()
        if selection_set is None:
            return total
        check_nesting(nesting, self._settings)
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
            check_literal(argument.value, self._settings)
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
            # None: unknown, or part of a cycle. Validation reports both; here the fragment must not be visited again.
            return self._known.get(name) or Measure()
        self._known[name] = None
        found = self.measure(fragment.selection_set, nesting)
        found.directives += len(fragment.directives or ())
        self._known[name] = found
        return found

    def unused(self) -> Measure:
        """The size of the fragments that no operation uses; validation visits them too."""
        total = Measure()
        for name in self._fragments:
            if name not in self._known:
                total.add(self._fragment(name, 0))
        return total


def check_document(document: DocumentNode, settings: Settings) -> None:
    """Raise LimitReached when an operation of the document exceeds a limit."""
    meter = Meter(document, settings)
    whole = Measure()
    for operation in document.definitions:
        if not isinstance(operation, OperationDefinitionNode):
            continue
        found = meter.measure(operation.selection_set)
        found.directives += len(operation.directives or ())
        _check_operation(found, settings)
        whole.add(found)
        for variable in operation.variable_definitions or ():
            check_literal(variable.default_value, settings)
    whole.add(meter.unused())
    # Validation compares every field with all its siblings, in the whole document.
    _check("{} fields", whole.fields, settings.query_fields_max, "QUERY_FIELDS_MAX")
    introspection_max = settings.query_introspection_fields_max
    _check("{} introspection fields", whole.introspection_fields, introspection_max, "QUERY_INTROSPECTION_FIELDS_MAX")


def _check_operation(found: Measure, settings: Settings) -> None:
    _check("a depth of {}", found.depth, settings.query_depth_max, "QUERY_DEPTH_MAX")
    _check("{} aliases", found.aliases, settings.query_aliases_max, "QUERY_ALIASES_MAX")
    _check("{} directives", found.directives, settings.query_directives_max, "QUERY_DIRECTIVES_MAX")
    _check("{} root fields", found.here, settings.query_root_fields_max, "QUERY_ROOT_FIELDS_MAX")


def _check(what: str, have: int, most: int, name: str) -> None:
    if have > most:
        raise LimitReached(f"The operation has {what.format(have)}, at most {most} is allowed ({name})")


def check_nesting(depth: int, settings: Settings) -> None:
    """Raise LimitReached when something is nested too deeply."""
    if depth > settings.query_nesting_max:
        raise LimitReached(
            f"Selections, fragments and values can have at most {settings.query_nesting_max} levels (QUERY_NESTING_MAX)"
        )


def check_literal(value: ValueNode | None, settings: Settings, nesting: int = 1) -> None:
    """Raise LimitReached when a literal of the document has a list that is too long or is nested too deeply."""
    if isinstance(value, ListValueNode):
        check_length(len(value.values), settings.list_argument_max)
        inner: Sequence[ValueNode] = value.values
    elif isinstance(value, ObjectValueNode):
        inner = [field.value for field in value.fields]
    else:
        if isinstance(value, IntValueNode | FloatValueNode) and len(value.value) > NUMBER_CHARS_MAX:
            raise BadInput(f"A number has at most {NUMBER_CHARS_MAX} characters; this has {len(value.value)}")
        return
    check_nesting(nesting, settings)
    for item in inner:
        check_literal(item, settings, nesting + 1)


def check_variables(value: object, settings: Settings, nesting: int = 1) -> None:
    """The same for the variables of a request."""
    if isinstance(value, list):
        check_length(len(value), settings.list_argument_max)
        inner: Iterable[object] = value
    elif isinstance(value, dict):
        inner = value.values()
    else:
        return
    check_nesting(nesting, settings)
    for item in inner:
        if isinstance(item, list | dict):
            check_variables(item, settings, nesting + 1)


def check_length(length: int, most: int) -> None:
    """Raise LimitReached when a list is longer than `most`."""
    if length > most:
        raise LimitReached(f"A list has at most {most} values (LIST_ARGUMENT_MAX); this has {length}")


@dataclass(slots=True)
class NodeBound:
    """How many nodes a valid operation can request; nested pages multiply."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    page_default: int
    by_variables: bool = False  # whether a page size comes from a variable

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
                    arguments = variables.get(value.name.value)
                    if isinstance(arguments, int):
                        return arguments
        return self.page_default
