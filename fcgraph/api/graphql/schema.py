"""The schema: the contract's types and resolvers, with cached documents and masked errors."""

from __future__ import annotations

from collections.abc import Iterator

import strawberry
from graphql import GraphQLError, GraphQLInputObjectType, GraphQLObjectType, GraphQLSchema, Undefined
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext
from strawberry.types.execution import ExecutionResult, StreamExecutionResult
from strawberry.types.graphql import OperationType

from fcgraph.api import client_errors
from fcgraph.api.graphql import descriptions
from fcgraph.api.graphql.documents import Documents
from fcgraph.api.graphql.executor import AttributeObjects
from fcgraph.api.graphql.mutation import Mutation
from fcgraph.api.graphql.query import Query
from fcgraph.api.graphql.scalars import SCALARS
from fcgraph.api.graphql.subscription import Subscription
from fcgraph.errors import BadInput
from fcgraph.settings import Settings


class FcgraphSchema(strawberry.Schema):
    """Strawberry's schema, logging only the server's own errors."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        client_errors.note(errors)


class FromDocuments(SchemaExtension):
    """Uses the parsed and validated documents of `Documents`, and masks errors of subscriptions.

    Every operation that Strawberry executes passes through here, over HTTP and over websockets, so mutations by viewers
    who are not operators are refused here.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def on_operation(self) -> Iterator[None]:
        self.execution_context.context.forget()
        yield

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        self._prepared = self._documents.prepare(context.query or "")
        context.graphql_document = self._prepared.document
        yield

    def on_validate(self) -> Iterator[None]:
        errors = list(self._prepared.errors)
        is_mutation = not errors and self.execution_context.operation_type is OperationType.MUTATION
        if is_mutation and self.execution_context.context.viewer.user_id is not None:
            refused = BadInput("Only an operator may run mutations", code="FORBIDDEN")
            errors = [GraphQLError(refused.message, original_error=refused)]
        self.execution_context.pre_execution_errors = errors
        yield

    def on_stream_result(self, result: StreamExecutionResult) -> Iterator[None]:
        if isinstance(result, ExecutionResult) and result.errors:
            request_id = self.execution_context.context.request_id
            result.errors = [client_errors.ClientError(e, request_id) for e in result.errors]
        yield


def make(settings: Settings) -> tuple[FcgraphSchema, Documents]:
    """The schema of a process, and its documents."""
    documents = Documents(settings)
    schema = FcgraphSchema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        extensions=[lambda: FromDocuments(documents)],
        execution_context_class=AttributeObjects,
        config=StrawberryConfig(
            disable_field_suggestions=settings.fcgraph_env == "production",
            scalar_map=SCALARS,
        ),
    )
    _leave_out_nulls(schema._schema)
    descriptions.describe(schema._schema)
    documents.serve(schema._schema)
    return schema, documents


def _leave_out_nulls(schema: GraphQLSchema) -> None:
    """Remove `= null` from arguments and input fields: every resolver treats absent in the same way."""
    for found in schema.type_map.values():
        if isinstance(found, GraphQLObjectType):
            places = [argument for field in found.fields.values() for argument in field.args.values()]
        elif isinstance(found, GraphQLInputObjectType):
            places = list(found.fields.values())
        else:
            continue
        for place in places:
            if place.default_value is None:
                place.default_value = Undefined


def sdl() -> str:
    """The schema of this code as text."""
    return make(Settings())[0].as_str() + "\n"
