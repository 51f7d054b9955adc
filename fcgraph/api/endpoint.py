"""POST /graphql as a bare ASGI application: body in, answer out. It stands before FastAPI's router, which costs more
than many an answer here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
from graphql import GraphQLError, OperationType
from starlette.types import Receive, Scope, Send
from strawberry.types.graphql import OperationType as Allowed
from structlog.contextvars import bound_contextvars

from fcgraph import log
from fcgraph.api import answers, bodies
from fcgraph.api.context import Context, Doors, new_request_id
from fcgraph.api.deadlines import Deadlines
from fcgraph.api.documents import Admitted, Documents, NotAdmitted
from fcgraph.api.fastpath import FastPath
from fcgraph.api.lane import Lane
from fcgraph.api.schema import FcgraphSchema
from fcgraph.errors import BadInput, FcgraphError, LimitReached

QUERIES_AND_MUTATIONS = (Allowed.QUERY, Allowed.MUTATION)

ITEMS_AT_ONCE = 8  # of a list, when JSON is written
SEND_BYTES = 64 * 1024  # handed to the server at a time; between two pieces of a long answer others have their turn

logger = log.get(__name__)

Answer = tuple[int, list[bytes]]  # the status, and the body in parts that make it up


class GraphQLEndpoint:
    """Answers GraphQL requests over HTTP: by the fast path where it can, else by Strawberry."""

    def __init__(self, doors: Doors, schema: FcgraphSchema, documents: Documents, lane: Lane) -> None:
        self._doors = doors
        self._lane = lane
        self._schema = schema
        self._documents = documents
        self._queries_in_lane = 0
        self._lane_seconds = 0.0
        self._lane_looked = 0.0
        self._deadlines = Deadlines(doors.settings.operation_timeout_seconds)
        self.fast_path = FastPath(documents.schema, doors.settings.slow_statements_max)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = new_request_id()
        try:
            status, body = await self._answer(scope, receive, request_id)
        except bodies.Gone:
            return
        except bodies.BadBody as e:
            status, body = e.status, [_refusal(e.message, e.code)]
        except Exception:  # noqa: BLE001 (the last door: a bug is masked for the client and logged in full)
            status, body = _bug(request_id)
        await _send(send, status, body, request_id)

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> Answer:
        settings = self._doors.settings
        content_type = _content_type(scope)
        if content_type.startswith(b"application/json"):
            request = bodies.parse(await bodies.read(receive, settings.body_max_bytes, "BODY_MAX_BYTES"))
            return await self.execute(request, request_id)
        if content_type.startswith(b"multipart/form-data"):
            async with bodies.multipart(scope, receive, settings) as request:
                return await self.execute(request, request_id)
        raise bodies.BadBody(415, "Send application/json, or multipart/form-data with a file")

    async def answer(self, request: bodies.Request, request_id: str) -> bytes:
        """The body of the answer to a request that came another way; like `execute`, on the server's event loop."""
        try:
            _, body = await self.execute(request, request_id)
        except Exception:  # noqa: BLE001 (the last door of that way)
            _, body = _bug(request_id)
        return b"".join(body)

    async def execute(self, request: bodies.Request, request_id: str) -> Answer:
        """The status and the body of the answer."""
        context = Context(self._doors, request_id)
        try:
            admitted = await self._admit(request)
            kind = admitted.operation.operation
            if kind is OperationType.SUBSCRIPTION:
                raise BadInput("Subscriptions are served over websockets (graphql-transport-ws), not over POST")
            if kind is OperationType.MUTATION:
                # Ended by the timeouts of the writes themselves: an answer given up here would hide what was done.
                return await self._in_lane(request, request_id)
            with self._deadlines.start():
                fast = await self.fast_path.answer(admitted, context)
                if fast is not None:
                    return 200, fast
                async with self.fast_path.turn(admitted, context):
                    return await self._query_in_lane(admitted, request, request_id)
        except TimeoutError as e:
            limit = LimitReached(answers.TOO_SLOW.format(self._doors.settings.operation_timeout_seconds))
            limit.__cause__ = e
            return _failure([GraphQLError(limit.message, original_error=limit)], request_id)
        except NotAdmitted as e:
            return _failure(e.errors, request_id)
        except FcgraphError as e:
            error = GraphQLError(e.message, original_error=e)
            with bound_contextvars(request_id=request_id):
                answers.note([error])
            return _failure([error], request_id)

    async def _admit(self, request: bodies.Request) -> Admitted:
        admit = partial(self._documents.admit, request.query, request.operation_name, request.variables)
        # A document that is new here is parsed and validated, which is long work too.
        return admit() if self._documents.remembers(request.query) else await self._lane.call(admit)

    async def _query_in_lane(self, admitted: Admitted, request: bodies.Request, request_id: str) -> Answer:
        start = self._lane_time(+1)
        try:
            return await self._in_lane(request, request_id)
        finally:
            admitted.prepared.seconds = self._lane_time(-1) - start

    def _lane_time(self, change: int) -> float:
        """Seconds the lane gave to each query that was there: those that run at once share the interpreter."""
        now = time.monotonic()
        if self._queries_in_lane:
            self._lane_seconds += (now - self._lane_looked) / self._queries_in_lane
        self._lane_looked = now
        self._queries_in_lane += change
        return self._lane_seconds

    async def _in_lane(self, request: bodies.Request, request_id: str) -> Answer:
        doors = replace(self._doors, reader=self._lane.reader)
        return await self._lane.run(lambda: self._by_strawberry(request, Context(doors, request_id)))

    async def _by_strawberry(self, request: bodies.Request, context: Context) -> Answer:
        # The fast path logs nothing, so only here every line gets the request's id.
        with bound_contextvars(request_id=context.request_id):
            result = await self._schema.execute(
                request.query,
                variable_values=request.variables,
                context_value=context,
                operation_name=request.operation_name,
                allowed_operation_types=QUERIES_AND_MUTATIONS,
            )
        if result.errors and result.data is None:
            return _failure(result.errors, context.request_id)
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = [answers.told(e, context.request_id) for e in result.errors]
        return _status(result.errors or []), [b"".join(written(body))]


def _content_type(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"content-type":
            found: bytes = value.strip().lower()
            return found
    return b""


def written(value: object) -> Iterator[bytes]:
    """The value as JSON, a part at a time: writing a long answer at once keeps the interpreter for milliseconds."""
    if isinstance(value, dict):
        before = b"{"
        for key, inner in value.items():
            yield before + orjson.dumps(key) + b":"
            yield from written(inner)
            before = b","
        yield b"}" if value else b"{}"
    elif isinstance(value, list) and len(value) > ITEMS_AT_ONCE:
        for n in range(0, len(value), ITEMS_AT_ONCE):
            yield (b"," if n else b"[") + orjson.dumps(value[n : n + ITEMS_AT_ONCE])[1:-1]
        yield b"]"
    else:
        yield orjson.dumps(value)


def _status(errors: list[GraphQLError]) -> int:
    """503 when a part we need is away, so that proxies and clients know to come again."""
    return 503 if any(answers.code_of(e) in answers.UNAVAILABLE for e in errors) else 200


def _failure(errors: list[GraphQLError], request_id: str) -> Answer:
    body = {"data": None, "errors": [answers.told(e, request_id) for e in errors]}
    return _status(errors), [orjson.dumps(body)]


def _bug(request_id: str) -> Answer:
    logger.exception("request_failed", request_id=request_id)
    return 500, [_refusal(answers.MASKED, answers.INTERNAL, request_id)]


def _refusal(message: str, code: str, request_id: str | None = None) -> bytes:
    extensions = {"code": code} if request_id is None else {"code": code, "requestId": request_id}
    return orjson.dumps({"errors": [{"message": message, "extensions": extensions}]})


async def _send(send: Send, status: int, body: list[bytes], request_id: str) -> None:
    length = sum(map(len, body))
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json; charset=utf-8"),
                (b"content-length", str(length).encode()),
                (b"x-request-id", request_id.encode()),
                (b"cache-control", b"no-store"),
            ],
        }
    )
    if length > SEND_BYTES:
        for part in body:
            for start in range(0, len(part), SEND_BYTES):
                piece = part[start : start + SEND_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0)
        body = []
    await send({"type": "http.response.body", "body": b"".join(body)})
