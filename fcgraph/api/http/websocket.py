"""Websockets at /graphql: graphql-transport-ws, with frames checked before they reach Strawberry.

Queries are answered as over POST.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from datetime import timedelta
from typing import Any, cast

import orjson
from graphql import GraphQLError, OperationType
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Message as Frame
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    Message,
    SubscribeMessage,
    SubscribeMessagePayload,
)

from fcgraph.api import client_errors
from fcgraph.api.context import Context, Resources
from fcgraph.api.graphql.documents import Documents, NotAdmitted
from fcgraph.api.graphql.schema import FcgraphSchema
from fcgraph.api.http.bodies import Request
from fcgraph.errors import LimitReached

Answering = Callable[[Request, Context], Awaitable[bytes]]  # the body of the answer to a query
INVALID_FRAME = "Invalid message"
TOO_BIG = 1009


class StrictHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """Closes with 4400 on a frame that violates the protocol; executes only what `Documents` admits."""

    view: GraphQLSocket

    async def handle_message(self, message: Any) -> None:
        if not isinstance(message, dict) or not isinstance(message.get("type"), str) or not _is_fit(message):
            await self.handle_invalid_message(INVALID_FRAME)
            return
        await super().handle_message(cast("Message", message))

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        if self.connection_acknowledged and message["id"] not in self.operations:
            try:
                self._admit(message["payload"])
            except NotAdmitted as e:
                to_client: Any = [client_errors.to_client(error, self.context.request_id) for error in e.errors]
                await self.send_message({"id": message["id"], "type": "error", "payload": to_client})
                return
        await super().handle_subscribe(message)

    def _admit(self, payload: SubscribeMessagePayload) -> None:
        most = self.view.settings.subscriptions_max
        if len(self.operations) >= most:
            limit = LimitReached(f"A connection has at most {most} operations at once (SUBSCRIPTIONS_MAX)")
            raise NotAdmitted([GraphQLError(limit.message, original_error=limit)])
        self.view.documents.admit(payload["query"], payload.get("operationName"), payload.get("variables") or {})

    async def run_operation(self, operation: Operation[Context, None]) -> None:
        """A query is answered as over POST; Strawberry runs the rest, but each operation has its own context."""
        name = operation.operation_name or None
        if self.view.documents.prepare(operation.query).operation(name).operation is not OperationType.QUERY:
            own = copy(self)
            own.context = self.context.again()
            await super(StrictHandler, own).run_operation(operation)
            return
        request = Request(operation.query, operation.variables or {}, name)
        answer: Any = orjson.Fragment(await self.view.answer(request, self.context.again()))
        await operation.send_operation_message({"id": operation.id, "type": "next", "payload": answer})
        await operation.send_operation_message({"id": operation.id, "type": "complete"})


def _is_fit(message: dict[str, Any]) -> bool:
    if message["type"] == "complete":
        return isinstance(message.get("id"), str)
    if message["type"] != "subscribe":
        return True
    payload = message.get("payload")
    return (
        isinstance(message.get("id"), str)
        and isinstance(payload, dict)
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("variables"), dict | None)
        and isinstance(payload.get("operationName"), str | None)
    )


class GraphQLSocket(GraphQL[Context, None]):
    """The websocket side of the API."""

    graphql_transport_ws_handler_class = StrictHandler

    def __init__(self, resources: Resources, schema: FcgraphSchema, documents: Documents, answer: Answering) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=timedelta(seconds=resources.settings.websocket_init_seconds),
            max_subscriptions_per_connection=resources.settings.subscriptions_max,
        )
        self._resources = resources
        self.settings = resources.settings
        self.documents = documents
        self.answer = answer

    def decode_json(self, data: str | bytes) -> object:
        return orjson.loads(data)

    def encode_json(self, data: object) -> str:
        return orjson.dumps(data).decode()

    async def get_context(self, request: HttpRequest | WebSocket, response: Response | WebSocket) -> Context:
        return Context.of(request.scope, self._resources)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        bytes_max = self._resources.settings.body_max_bytes

        async def measured() -> Frame:
            message = await receive()
            text = message.get("text") or ""
            if message["type"] == "websocket.receive" and len(text.encode("utf-8", "surrogatepass")) > bytes_max:
                await send({"type": "websocket.close", "code": TOO_BIG, "reason": "BODY_MAX_BYTES"})
                return {"type": "websocket.disconnect", "code": TOO_BIG}
            return message

        await super().__call__(scope, measured, send)
