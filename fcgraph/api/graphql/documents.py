"""Documents prepared once: parsed, checked against the limits, validated, and cached by their text up to a maximum.

This module does not execute them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    Undefined,
    is_non_null_type,
    is_scalar_type,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, get_variable_values
from graphql.utilities import coerce_input_value
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from fcgraph.api.graphql import limits
from fcgraph.errors import BadInput, FcgraphError, LimitReached
from fcgraph.settings import Settings

TEXT_REMEMBERED_MAX = 16 * 1024  # characters; longer documents are prepared each time
ERRORS_MAX = 20
RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)


class Prepared:
    """A document within the limits; valid when `errors` is empty. `plans` belongs to the fast path.

    `seconds` is how long the last execution field by field took.
    """

    __slots__ = ("_bounds", "_readers", "document", "errors", "fragments", "operations", "plans", "seconds")

    def __init__(self, document: DocumentNode, errors: list[GraphQLError]) -> None:
        self.document = document
        self.errors = errors
        self.operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
        self.fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self.plans: dict[object, Any] = {}
        self.seconds = 0.0
        self._bounds: dict[str | None, int] = {}
        self._readers: dict[int, list[tuple[str, Callable[[Any], Any]]]] = {}

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation with this name, or the only one. Raises BadInput."""
        if name is None:
            if len(self.operations) != 1:
                raise BadInput("The document has several operations (or none): set operationName")
            return self.operations[0]
        for operation in self.operations:
            if operation.name is not None and operation.name.value == name:
                return operation
        raise BadInput("The document has no operation with this operationName")

    def fast_values(
        self, operation: OperationDefinitionNode, variables: Mapping[str, Any], schema: GraphQLSchema
    ) -> dict[str, Any] | None:
        """The variables coerced to their types when all are set and valid; None when full coercion is needed."""
        readers = self._readers.get(id(operation))
        if readers is None:
            readers = self._readers[id(operation)] = [
                (signature.name, _reader_of(signature)) for signature in _signatures(operation, schema)
            ]
        coerced = {}
        for name, read in readers:
            value = variables.get(name)
            if value is None:
                return None
            try:
                fit = read(value)
            except (GraphQLError, FcgraphError):
                return None
            if fit is Undefined:
                return None
            coerced[name] = fit
        return coerced

    def check_nodes(
        self,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
        schema: GraphQLSchema,
        settings: Settings,
    ) -> None:
        """Raise LimitReached when the operation can request too many nodes with these variables."""
        name = operation.name.value if operation.name is not None else None
        nodes = self._bounds.get(name)
        if nodes is None:
            bound = limits.NodeBound(schema, self.fragments, settings.page_default)
            nodes = bound.of(operation, variables)
            if not bound.by_variables:
                self._bounds[name] = nodes
        if nodes > settings.query_nodes_max:
            raise LimitReached(
                f"Nested pages request up to {nodes} nodes, at most {settings.query_nodes_max} are allowed"
                " (QUERY_NODES_MAX)"
            )


class NotAdmitted(Exception):
    """An operation that will not be executed; `errors` has the reasons."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors)
        self.errors = errors


class Admitted(NamedTuple):
    """An operation within the limits, with its variables coerced to their types and as received."""

    prepared: Prepared
    operation: OperationDefinitionNode
    coerced: dict[str, Any]
    variables: Mapping[str, Any]


def _signatures(operation: OperationDefinitionNode, schema: GraphQLSchema) -> list[GraphQLVariableSignature]:
    found = [get_variable_signature(schema, v) for v in operation.variable_definitions or ()]
    return [s for s in found if isinstance(s, GraphQLVariableSignature)]


def _reader_of(signature: GraphQLVariableSignature) -> Callable[[Any], Any]:
    """The function that coerces a variable's value when it is not null."""
    wanted = signature.type.of_type if is_non_null_type(signature.type) else signature.type
    if is_scalar_type(wanted):
        read: Callable[[Any], Any] = wanted.coerce_input_value
        return read
    return lambda value: coerce_input_value(value, wanted)


class Documents:
    """The documents of a process. Recently used texts are cached."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._schema: GraphQLSchema | None = None
        self._seen: OrderedDict[str, Prepared] = OrderedDict()
        self._lock = Lock()  # used by the server's thread and the background loop's
        production = settings.fcgraph_env == "production"
        self._rules = (*RULES, NoSchemaIntrospectionCustomRule) if production else RULES
        self._hide_suggestions = production

    def serve(self, schema: GraphQLSchema) -> None:
        """Set the schema to validate against."""
        self._schema = schema

    @property
    def schema(self) -> GraphQLSchema:
        assert self._schema is not None, "`serve` was called when the schema was made"
        return self._schema

    def remembers(self, text: str) -> bool:
        """Whether this document is cached."""
        return text in self._seen

    def prepare(self, text: str) -> Prepared:
        """Prepare a document. Raises GraphQLError for a syntax error, LimitReached when it exceeds a limit."""
        with self._lock:
            found = self._seen.get(text)
            if found is not None:
                self._seen.move_to_end(text)
                return found
        document = self._parse(text)
        limits.check_document(document, self._settings)
        errors = validate(
            self.schema, document, self._rules, max_errors=ERRORS_MAX, hide_suggestions=self._hide_suggestions
        )
        prepared = Prepared(document, errors)
        # Invalid ones are not cached: each is thousands of objects that Python's garbage collector has to visit.
        if not errors and len(text) <= TEXT_REMEMBERED_MAX:
            with self._lock:
                self._seen[text] = prepared
                if len(self._seen) > self._settings.documents_cached_max:
                    self._seen.popitem(last=False)
        return prepared

    def admit(self, text: str, operation_name: str | None, variables: Mapping[str, Any]) -> Admitted:
        """The operation of the document, ready to be executed with these variables. Raises NotAdmitted."""
        try:
            prepared = self.prepare(text)
            if prepared.errors:
                raise NotAdmitted(prepared.errors)
            operation = prepared.operation(operation_name)
            limits.check_variables(variables, self._settings)
            coerced = prepared.fast_values(operation, variables, self.schema)
            if coerced is None:
                coerced = self._values(operation, variables)
            prepared.check_nodes(operation, coerced, self.schema, self._settings)
        except GraphQLError as e:
            raise NotAdmitted([e]) from e
        except FcgraphError as e:
            raise NotAdmitted([GraphQLError(e.message, original_error=e)]) from e
        return Admitted(prepared, operation, coerced, variables)

    def _values(self, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> dict[str, Any]:
        values = get_variable_values(
            self.schema,
            operation.variable_definitions or (),
            dict(variables),
            max_errors=ERRORS_MAX,
            hide_suggestions=self._hide_suggestions,
        )
        if not isinstance(values, VariableValues):
            raise NotAdmitted(values)
        return values.coerced

    def _parse(self, text: str) -> DocumentNode:
        tokens_max = self._settings.query_tokens_max
        try:
            return parse(text, max_tokens=tokens_max)
        except GraphQLError as e:
            if "token" in e.message and str(tokens_max) in e.message:
                raise LimitReached(f"The document has more than {tokens_max} tokens (QUERY_TOKENS_MAX)") from e
            if "nested too deeply" in e.message:
                most = self._settings.query_nesting_max
                raise LimitReached(
                    f"The document is nested too deeply: at most {most} levels (QUERY_NESTING_MAX)"
                ) from e
            raise
