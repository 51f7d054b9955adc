"""Overview pages: links at /, the REST views at /docs, the schema as text. Nothing is loaded from other hosts."""

from __future__ import annotations

from html import escape
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from fcgraph.api.http import media
from fcgraph.errors import BadInput

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
STYLE = "body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:50rem;padding:0 1rem}td{padding-right:1rem}"
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><h1>{title}</h1>
{body}
</body>
</html>
"""
SCHEMA_PATH = "/schema.graphql"
LINKS = {
    "/graphql": "GraphQL: POST a query, or open the playground in a browser",
    SCHEMA_PATH: "the GraphQL schema as text",
    "/docs": "the REST views and downloads",
    "/openapi.json": "the same for machines (OpenAPI)",
    "/health": "whether this process answers",
    "/health/ready": "whether PostgreSQL, Redis and Kafka answer as well",
}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(request: Request) -> Response:
    """Links: a page for browsers, else JSON."""
    links = {path: text for path, text in LINKS.items() if path != SCHEMA_PATH or _shows_schema(request)}
    if not _wants_page(request):
        return _json({"name": "fcgraph", "links": links})
    rows = "".join(f'<li><a href="{path}">{path}</a>: {escape(text)}</li>' for path, text in links.items())
    return _page("fcgraph", f"<ul>{rows}</ul>")


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The REST views with their parameters: a page for browsers, else links to machine-readable descriptions."""
    if not _wants_page(request):
        return _json({"openapi": "/openapi.json", "graphql": "/graphql"})
    rows = []
    for path, methods in request.app.openapi()["paths"].items():
        for method, operation in methods.items():
            parameters = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"]
            query = f"?{'&'.join(f'{name}=…' for name in parameters)}" if parameters else ""
            text = escape(operation.get("description", ""))
            rows.append(f"<tr><td>{method.upper()}</td><td>{escape(path + query)}</td><td>{text}</td></tr>")
    links = 'GraphQL is at <a href="/graphql">/graphql</a>; for machines: <a href="/openapi.json">/openapi.json</a>.'
    return _page("fcgraph: REST views and downloads", f"<p>{links}</p><table>{''.join(rows)}</table>")


@router.get(SCHEMA_PATH)
async def schema(request: Request) -> Response:
    """The schema as text; not in production, where introspection is off."""
    if not _shows_schema(request):
        raise BadInput("The schema and introspection are disabled in production", code="NOT_FOUND")
    return PlainTextResponse(request.app.sdl(), media_type="text/plain; charset=utf-8")


def _shows_schema(request: Request) -> bool:
    return bool(request.app.state.resources.settings.fcgraph_env != "production")


def _wants_page(request: Request) -> bool:
    return media.prefers_html(request.headers.get("accept", "").encode("latin-1"), when_equal=False)


def _page(title: str, body: str) -> Response:
    text = PAGE.format(title=escape(title), style=STYLE, body=body)
    return HTMLResponse(text, headers={"Content-Security-Policy": POLICY, "Vary": "Accept"})


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json", headers={"Vary": "Accept"})
