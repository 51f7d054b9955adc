"""The application (`uvicorn fcgraph.api.http.app:app`): its resources, GraphQL first, then plain HTTP."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from fcgraph import db, zones
from fcgraph import settings as process_settings
from fcgraph.api import client_errors, entry, playground
from fcgraph.api.background_loop import BackgroundLoop
from fcgraph.api.context import Resources
from fcgraph.api.entry import ViewerOf
from fcgraph.api.graphql import schema as api_schema
from fcgraph.api.http import methods, pages, rest, slices
from fcgraph.api.http.cors import Cors
from fcgraph.api.http.endpoint import GraphQLEndpoint
from fcgraph.api.http.readiness import Probe
from fcgraph.api.http.websocket import GraphQLSocket
from fcgraph.api.reader import Reader
from fcgraph.errors import FcgraphError, SettingsError
from fcgraph.observability import log
from fcgraph.settings import Settings
from fcgraph.storage.files import Files

GRAPHQL_PATH = "/graphql"
CODE_OF_STATUS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}
# Python's defaults are 700, 10 and 10. These keep second-generation passes short and full passes rare.
COLLECTOR_THRESHOLDS = (700, 3, 15_000)
BACKGROUND_ROWS_AT_ONCE = 200  # processing them holds the interpreter for less than a millisecond
STATUS_OF_CODE = {"NOT_FOUND": 404, "UNAVAILABLE": 503, "STORAGE_FULL": 503, "INTERNAL": 500}

logger = log.get(__name__)


class Application(FastAPI):
    """FastAPI, with GraphQL handled before its router and middleware: routing costs more than many answers."""

    endpoint: GraphQLEndpoint
    socket: GraphQLSocket
    background: BackgroundLoop
    cors: Cors | None = None
    viewer_of: ViewerOf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            entry.enter(scope, self.viewer_of)
        if self.cors is not None and scope["type"] == "http":
            if self.cors.answers(scope):
                await self.cors.preflight(scope, send, self.allowed(scope))
                return
            send = self.cors.adding(scope, send)
        if scope.get("path") == GRAPHQL_PATH:
            if scope["type"] == "http":
                if scope["method"] == "POST" or (
                    scope["method"] in methods.READING and not playground.is_wanted(scope)
                ):
                    await self.endpoint(scope, receive, send)
                    return
            elif scope["type"] == "websocket":
                await self.background.serve(self.socket, scope, receive, send)
                return
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope, send = methods.head_by_get(self.routes, scope, send)
        await super().__call__(scope, receive, send)

    def allowed(self, scope: Scope) -> list[str]:
        """The methods that the path of this request supports."""
        found = methods.allowed(self.routes, scope)
        return [*found, "POST"] if scope["path"] == GRAPHQL_PATH else found

    def sdl(self) -> str:
        """The GraphQL schema as text."""
        return self.endpoint.sdl()


def create(settings: Settings, *, viewer_of: ViewerOf = entry.local_operator) -> Application:
    """An application with these settings. No other service has to run yet: PostgreSQL is connected to on first use.

    `viewer_of` determines the viewer from the head of a request alone.
    """
    pool_max = settings.read_pool_max // 2  # of the background loop; the server's loop has the rest
    resources = Resources(
        settings=settings,
        reader=_reader(settings, settings.read_pool_max - pool_max),
        engine=db.make_engine(
            settings.database_url,
            name="api-write",
            pool_max=settings.write_threads_max,
            statement_timeout_seconds=settings.write_statement_timeout_seconds,
        ),
        uploads=Files(settings.uploads_dir),
        reports=Files(settings.reports_dir),
        threads=ThreadPoolExecutor(settings.write_threads_max, thread_name_prefix="api-write"),
    )

    background = BackgroundLoop(_reader(settings, pool_max, BACKGROUND_ROWS_AT_ONCE))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        proof = await _proof(resources)
        yield
        proof.cancel()
        await background.close()
        await resources.reader.close()
        app.state.probe.close()
        resources.threads.shutdown(wait=True, cancel_futures=True)
        resources.engine.dispose()

    schema, documents = api_schema.make(settings)
    app = Application(title="fcgraph", lifespan=lifespan, openapi_url="/openapi.json", docs_url=None, redoc_url=None)
    if settings.cors_allowed_origins:
        app.cors = Cors(settings.cors_allowed_origins.split(","))
    app.state.resources = resources
    app.state.probe = Probe(resources)
    app.endpoint = GraphQLEndpoint(resources, schema, documents, background)
    app.background = background
    app.viewer_of = viewer_of
    app.socket = GraphQLSocket(
        replace(resources, reader=background.reader),
        schema,
        documents,
        lambda request, context: background.back(app.endpoint.answer(request, context)),
    )
    app.include_router(rest.router)
    app.include_router(playground.router)
    app.include_router(pages.router)
    app.middleware("http")(_with_request_id)
    app.exception_handler(FcgraphError)(_refused)
    app.exception_handler(RequestValidationError)(_invalid_request)
    app.exception_handler(HTTPException)(_not_served)
    return app


def _reader(settings: Settings, pool_max: int, rows_at_once: int | None = None) -> Reader:
    return Reader(
        settings.database_url,
        pool_max=pool_max,
        wait_seconds=settings.read_pool_wait_seconds,
        statement_timeout_seconds=settings.read_statement_timeout_seconds,
        rows_at_once=rows_at_once,
    )


async def _proof(resources: Resources) -> asyncio.Task[None]:
    """Check the reporting time zone before serving. If PostgreSQL is unavailable, keep trying in the background.

    Raises SettingsError, so that the process does not start; if it has already started, it is terminated.
    """

    def is_proven() -> bool:
        return zones.check_if_there(resources.engine, resources.settings.report_timezone)

    proven = await asyncio.to_thread(is_proven)

    async def wait() -> None:
        known = proven
        while not known:
            await asyncio.sleep(resources.settings.waiting_retry_seconds)
            try:
                known = await asyncio.to_thread(is_proven)
            except SettingsError as e:
                logger.critical("wrong_setting", reason=e.message)
                signal.raise_signal(signal.SIGTERM)
                return

    return asyncio.create_task(wait())


async def _with_request_id(request: Request, call_next: Any) -> Response:
    request_id = entry.of(request.scope).request_id
    with bound_contextvars(request_id=request_id):
        try:
            response: Response = await call_next(request)
        except Exception:  # the last resort: a bug is masked for the client and logged in full
            logger.exception("request_failed")
            response = _error(500, client_errors.INTERNAL, client_errors.MASKED, request)
    response.headers["X-Request-ID"] = request_id
    return response


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, FcgraphError)
    status = STATUS_OF_CODE.get(error.code, 400)
    if status >= 500:
        logger.warning("answer_unavailable", code=error.code, reason=error.message)
    return _error(status, error.code, error.message, request)


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _error(400, "BAD_USER_INPUT", f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}", request)


async def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = CODE_OF_STATUS.get(error.status_code, "BAD_USER_INPUT")
    response = _error(error.status_code, code, str(error.detail), request)
    response.headers.update(error.headers or {})
    if error.status_code == 405:  # the router's own Allow covers only one of the path's routes
        response.headers["Allow"] = ", ".join(request.app.allowed(request.scope))
    return response


def _error(status: int, code: str, message: str, request: Request) -> Response:
    body = {"error": {"code": code, "message": message, "request_id": entry.of(request.scope).request_id}}
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")


def __getattr__(name: str) -> Any:
    """`app` is created on first access (by uvicorn), so that importing this module does not read the environment."""
    if name != "app":
        raise AttributeError(name)
    settings = process_settings.current()
    log.set_up("api", level=settings.log_level, fmt=settings.log_format)
    globals()["app"] = create(settings)
    _collect_rarely()
    slices.shorten()
    return globals()["app"]


def _collect_rarely() -> None:
    """Keep the garbage collector's full passes, which delay every answer, short and rare.

    Existing objects (the schema, the libraries) are excluded. The passes over young objects free nearly everything that
    requests leave behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
