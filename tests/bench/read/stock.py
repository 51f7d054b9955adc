"""Stock Strawberry on the same resolvers: `uvicorn tests.bench.read.stock:app`. No caches, no fast path."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import strawberry
from starlette.types import Receive, Scope, Send
from strawberry.asgi import GraphQL
from strawberry.schema.config import StrawberryConfig

from fcgraph import settings as process_settings
from fcgraph.api.context import Context
from fcgraph.api.graphql.query import Query
from fcgraph.api.graphql.scalars import SCALARS
from fcgraph.api.http.app import create
from fcgraph.observability import log
from fcgraph.queries import OPERATOR

settings = process_settings.current()
log.set_up("stock", level="WARNING")
fcgraph_app = create(settings)
schema = strawberry.Schema(query=Query, config=StrawberryConfig(scalar_map=SCALARS))


class Stock(GraphQL[Context, None]):
    """Strawberry's own ASGI application."""

    async def get_context(self, request: Any, response: Any) -> Context:
        return Context(fcgraph_app.state.resources, uuid4().hex, OPERATOR)


graphql = Stock(schema)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """GraphQL by Strawberry; our application provides startup, shutdown and the resources."""
    if scope["type"] == "http" and scope["path"] == "/graphql":
        await graphql(scope, receive, send)
    else:
        await fcgraph_app(scope, receive, send)
