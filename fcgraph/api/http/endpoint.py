"""GraphQL over HTTP (https://graphql.github.io/graphql-over-http/) as a bare ASGI application.

It runs before FastAPI's router, which costs more than many answers do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, TypeVar

import orjson
from graphql import GraphQLError, OperationType
from starlette.types import Receive, Scope, Send
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType as Allowed
from structlog.contextvars import bound_contextvars

from fcgraph.api import client_errors
from fcgraph.api.background_loop import BackgroundLoop
from fcgraph.api.context import Context, Resources
from fcgraph.api.deadlines import Deadlines
from fcgraph.api.fastpath import FastPath
from fcgraph.api.graphql.documents import Admitted, Documents, NotAdmitted
from fcgraph.api.graphql.schema import FcgraphSchema
from fcgraph.api.http import bodies, media
from fcgraph.api.http.media import JSON, MediaType
from fcgraph.errors import BadInput, FcgraphError, LimitReached
from fcgraph.observability import log

QUERIES_AND_MUTATIONS = (Allowed.QUERY, Allowed.MUTATION)

ITEMS_AT_ONCE = 8  # of a list, when JSON is written
SEND_BYTES = 64 * 1024  # handed to the server at a time; other requests run between two pieces of a long answer

T = TypeVar("T")

logger = log.get(__name__)

NOT_ACCEPTABLE = f"Answers are {media.JSON.name} or {media.GRAPHQL.name}; Accept allows neither"

Answer = tuple[int, list[bytes]]  # the status, and the body in parts


class GraphQLEndpoint:
    """Answers GraphQL requests over HTTP: by the fast path where possible, else by Strawberry."""

    def __init__(
        self, resources: Resources, schema: FcgraphSchema, documents: Documents, background: BackgroundLoop
    ) -> None:
        self._resources = resources
        self._background = background
        self._schema = schema
        self._documents = documents
        self._queries_in_background = 0
        self._background_seconds = 0.0
        self._background_looked = 0.0
        self._deadlines = Deadlines(resources.settings.operation_timeout_seconds)
        self.fast_path = FastPath(documents.schema, resources.settings.slow_statements_max)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = Context.of(scope, self._resources)
        headers = _headers(scope)
        accept = headers.get(b"accept", b"")
        accepted = media.ANSWERED.get(accept) or media.response_type(accept)
        kind = accepted or JSON
        more: bodies.Headers = () if scope["method"] == "POST" else ((b"vary", b"Accept"),)
        try:
            if accepted is None:
                raise bodies.BadBody(406, NOT_ACCEPTABLE)
            if scope["method"] == "POST":
                status, body = await self._post(scope, receive, headers, kind, context)
            else:
                status, body = await self._get(scope, kind, context)
        except bodies.Gone:
            return
        except bodies.BadBody as e:
            status, body, more = e.status, [_refusal(e.message, e.code)], e.headers
        except Exception:  # noqa: BLE001 (the last resort: a bug is masked for the client and logged in full)
            status, body = _bug(context.request_id)
        await _send(send, status, body, _head(kind, context.request_id, more), scope["method"] == "HEAD")

    async def _post(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], kind: MediaType, context: Context
    ) -> Answer:
        settings = self._resources.settings
        content_type = headers.get(b"content-type", b"")
        if b"content-encoding" in headers:
            bodies.check_encoding(headers[b"content-encoding"])
        if content_type not in media.READ:
            if content_type[:19].lower() == b"multipart/form-data":
                async with bodies.multipart(scope, receive, settings) as request:
                    return await self.execute(request, context, kind)
            wrong = media.wrong_with_json(content_type)
            if wrong is not None:
                raise bodies.BadBody(415, wrong)
        request = bodies.parse(await bodies.read(receive, settings.body_max_bytes, "BODY_MAX_BYTES"))
        return await self.execute(request, context, kind)

    async def _get(self, scope: Scope, kind: MediaType, context: Context) -> Answer:
        request = bodies.of_query_string(scope["query_string"], self._resources.settings.body_max_bytes)
        return await self.execute(request, context, kind, queries_only=True)

    async def answer(self, request: bodies.Request, context: Context) -> bytes:
        """The body of the answer to a request over a websocket; like `execute`, on the server's event loop."""
        context = context.reading_by(self._resources.reader)
        try:
            _, body = await self.execute(request, context)
        except Exception:  # noqa: BLE001 (the last resort, as in `__call__`)
            _, body = _bug(context.request_id)
        return b"".join(body)

    def sdl(self) -> str:
        """The schema as text."""
        return self._schema.as_str() + "\n"

    async def execute(
        self, request: bodies.Request, context: Context, kind: MediaType = JSON, *, queries_only: bool = False
    ) -> Answer:
        """The status and the body of the answer. Raises BadBody 405 for a mutation if only queries are allowed."""
        request_id = context.request_id
        try:
            admitted = await self._admit(request)
        except NotAdmitted as e:
            return _refused(e.errors, request_id, kind)
        operation = admitted.operation.operation
        if operation is OperationType.SUBSCRIPTION:
            over = BadInput("Subscriptions are served over websockets (graphql-transport-ws), not over HTTP requests")
            return _refused([GraphQLError(over.message, original_error=over)], request_id, kind)
        if operation is OperationType.MUTATION and queries_only:
            raise bodies.BadBody(405, "Send mutations by POST", "METHOD_NOT_ALLOWED", ((b"allow", b"POST"),))
        try:
            if operation is OperationType.MUTATION:
                # Limited by the timeouts of the writes: a timeout here would hide what was already written.
                return await self._in_background(partial(self._by_strawberry, request, kind), context)
            with self._deadlines.start():
                fast = await self.fast_path.answer(admitted, context, self._remaining)
                if fast is not None:
                    return 200, fast
                async with self.fast_path.turn(admitted, context):
                    return await self._query_in_background(
                        admitted, partial(self._by_strawberry, request, kind), context
                    )
        except TimeoutError as e:
            limit = LimitReached(client_errors.TOO_SLOW.format(self._resources.settings.operation_timeout_seconds))
            limit.__cause__ = e
            return _failed([GraphQLError(limit.message, original_error=limit)], request_id, kind)
        except FcgraphError as e:
            error = GraphQLError(e.message, original_error=e)
            if client_errors.is_ours(error):
                with bound_contextvars(request_id=request_id):
                    client_errors.note([error])
            return _failed([error], request_id, kind)

    async def _admit(self, request: bodies.Request) -> Admitted:
        admit = partial(self._documents.admit, request.query, request.operation_name, request.variables)
        # A new document is parsed and validated, which also takes long.
        return admit() if self._documents.remembers(request.query) else await self._background.call(admit)

    async def _remaining(self, query: str, variables: dict[str, Any], context: Context) -> dict[str, bytes] | None:
        """The JSON of each root field that is left to Strawberry, by key; None when one of them has an error."""
        request = bodies.Request(query, variables, None)
        try:
            admitted = await self._admit(request)
        except NotAdmitted:
            return None  # the whole operation reports the error
        async with self.fast_path.turn(admitted, context):
            return await self._query_in_background(admitted, partial(self._parts, request), context)

    async def _query_in_background(
        self, admitted: Admitted, work: Callable[[Context], Coroutine[Any, Any, T]], context: Context
    ) -> T:
        start = self._background_time(+1)
        try:
            return await self._in_background(work, context)
        finally:
            admitted.prepared.seconds = self._background_time(-1) - start

    def _background_time(self, change: int) -> float:
        """Seconds of the background loop per running query: concurrent queries share the interpreter."""
        now = time.monotonic()
        if self._queries_in_background:
            self._background_seconds += (now - self._background_looked) / self._queries_in_background
        self._background_looked = now
        self._queries_in_background += change
        return self._background_seconds

    async def _in_background(self, work: Callable[[Context], Coroutine[Any, Any, T]], context: Context) -> T:
        return await self._background.run(lambda: work(context.reading_by(self._background.reader)))

    async def _executed(self, request: bodies.Request, context: Context) -> ExecutionResult:
        # The fast path logs nothing, so the request id is bound to log lines only here.
        with bound_contextvars(request_id=context.request_id):
            return await self._schema.execute(
                request.query,
                variable_values=request.variables,
                context_value=context,
                operation_name=request.operation_name,
                allowed_operation_types=QUERIES_AND_MUTATIONS,
            )

    async def _by_strawberry(self, request: bodies.Request, kind: MediaType, context: Context) -> Answer:
        result = await self._executed(request, context)
        if result.errors and result.data is None:
            return _failed(result.errors, context.request_id, kind)
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = [client_errors.to_client(e, context.request_id) for e in result.errors]
        return 200, [b"".join(written(body))]

    async def _parts(self, request: bodies.Request, context: Context) -> dict[str, bytes] | None:
        result = await self._executed(request, context)
        if result.errors or result.data is None:
            return None
        return {key: b"".join(written(value)) for key, value in result.data.items()}


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """The headers by name. Repeated headers are joined to one list (RFC 9110)."""
    pairs = scope["headers"]
    found: dict[bytes, bytes] = dict(pairs)
    if len(found) != len(pairs):
        found = {}
        for name, value in pairs:
            found[name] = found[name] + b", " + value if name in found else value
    return found


def written(value: object) -> Iterator[bytes]:
    """The value as JSON, in parts: writing a long answer at once holds the interpreter for milliseconds."""
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


def _failed(errors: list[GraphQLError], request_id: str, kind: MediaType) -> Answer:
    """Executed without data. The status is 503 when a service is unavailable, so that proxies and clients retry."""
    unavailable = any(client_errors.code_of(e) in client_errors.UNAVAILABLE for e in errors)
    return 503 if unavailable else 200, [_without_data(errors, request_id, leave_out=unavailable and kind.by_status)]


def _refused(errors: list[GraphQLError], request_id: str, kind: MediaType) -> Answer:
    """Not executed. Only the newer media type has a status for this; clients of the older one expect 200."""
    return 400 if kind.by_status else 200, [_without_data(errors, request_id, leave_out=kind.by_status)]


def _without_data(errors: list[GraphQLError], request_id: str, *, leave_out: bool) -> bytes:
    body: dict[str, Any] = {} if leave_out else {"data": None}
    return orjson.dumps(body | {"errors": [client_errors.to_client(e, request_id) for e in errors]})


def _bug(request_id: str) -> Answer:
    logger.exception("request_failed", request_id=request_id)
    return 500, [_refusal(client_errors.MASKED, client_errors.INTERNAL, request_id)]


def _refusal(message: str, code: str, request_id: str | None = None) -> bytes:
    extensions = {"code": code} if request_id is None else {"code": code, "requestId": request_id}
    return orjson.dumps({"errors": [{"message": message, "extensions": extensions}]})


def _head(kind: MediaType, request_id: str, more: bodies.Headers) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", kind.header),
        (b"x-request-id", request_id.encode()),
        (b"cache-control", b"no-store"),
        *more,
    ]


async def _send(
    send: Send, status: int, body: list[bytes], headers: list[tuple[bytes, bytes]], head_only: bool
) -> None:
    length = sum(map(len, body))
    headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if head_only:
        body = []
    elif length > SEND_BYTES:
        for part in body:
            for start in range(0, len(part), SEND_BYTES):
                piece = part[start : start + SEND_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0)
        body = []
    await send({"type": "http.response.body", "body": b"".join(body)})
