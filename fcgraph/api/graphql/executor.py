"""Reads objects directly when only plain attributes are selected. For each field graphql-core makes a dozen calls to
read one attribute and write its text, which makes lists of ten thousand rows slow.

Everything else (a resolver, an argument, a list, a null in a non-null field, any exception) is left to graphql-core,
which also reports the error.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from graphql import (
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    Undefined,
    is_leaf_type,
    is_non_null_type,
)
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter

# The key in the answer, the functions that read and write the attribute, and whether it may be null.
AttributeField = tuple[str, Callable[[Any], Any], Callable[[Any], Any], bool]


class AttributeObjects(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor with this shortcut."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._plain: dict[tuple[GraphQLObjectType, int], list[AttributeField] | None] = {}

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        fields = self._attribute_fields(return_type, field_details_list)
        found = _read(fields, result) if fields is not None else None
        if found is not None:
            return found
        return super().complete_object_value(return_type, field_details_list, info, path, result, position_context)

    def complete_list_value(
        self,
        return_type: GraphQLList[GraphQLOutputType],
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        item_type = return_type.of_type
        if is_non_null_type(item_type):
            item_type = item_type.of_type
        if isinstance(item_type, GraphQLObjectType) and isinstance(result, list):
            fields = self._attribute_fields(item_type, field_details_list)
            if fields is not None:
                found = [_read(fields, item) for item in result]
                if None not in found:
                    return found
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    def _attribute_fields(self, of: GraphQLObjectType, details: FieldDetailsList) -> list[AttributeField] | None:
        """The selected fields of the object when all are plain attributes, else None."""
        key = (of, id(details))  # `collect_subfields` keeps the list alive
        if key not in self._plain:
            grouped, deferred, _ = self.collect_subfields(of, details)
            fields = [
                _attribute_field(of, name, details_list[0].node.name.value) for name, details_list in grouped.items()
            ]
            plain = [f for f in fields if f is not None]
            self._plain[key] = plain if len(plain) == len(fields) and not deferred and of.is_type_of is None else None
        return self._plain[key]


def _attribute_field(of: GraphQLObjectType, key: str, name: str) -> AttributeField | None:
    if name == "__typename":
        return key, lambda _: of.name, str, False
    field = of.fields.get(name)
    if field is None or field.args or not getattr(field.resolve, "_is_default", False):
        return None
    inner = field.type.of_type if is_non_null_type(field.type) else field.type
    if not is_leaf_type(inner):
        return None
    definition = field.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
    return key, attrgetter(definition.python_name), inner.coerce_output_value, not is_non_null_type(field.type)


def _read(fields: list[AttributeField], source: Any) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    try:
        for key, read, write, nullable in fields:
            value = read(source)
            if value is None:
                if not nullable:
                    return None
                found[key] = None
                continue
            text = write(value)
            if text is None or text is Undefined:
                return None
            found[key] = text
    except Exception:  # noqa: BLE001 (graphql-core raises it again, with the path)
        return None
    return found
