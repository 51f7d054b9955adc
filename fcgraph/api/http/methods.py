"""The methods that a path supports: for the header Allow, and HEAD for every path with GET (RFC 9110)."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.routing import BaseRoute, Match
from starlette.types import Message, Scope, Send

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
READING = ("GET", "HEAD")


def allowed(routes: Iterable[BaseRoute], scope: Scope) -> list[str]:
    """The methods of this request's path, in a fixed order."""
    known = list(routes)
    found = {method for method in METHODS if _is_served(known, scope, method)}
    if len(found) == len(METHODS):  # static files match every method and refuse all but these
        return list(READING)
    if "GET" in found:
        found.add("HEAD")
    return [method for method in METHODS if method in found]


def head_by_get(routes: Iterable[BaseRoute], scope: Scope, send: Send) -> tuple[Scope, Send]:
    """For a HEAD request to a path that has only GET: the GET request, without the body of its answer."""
    known = list(routes)
    if _is_served(known, scope, "HEAD") or not _is_served(known, scope, "GET"):
        return scope, send

    async def without_body(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return {**scope, "method": "GET"}, without_body


def _is_served(routes: list[BaseRoute], scope: Scope, method: str) -> bool:
    # A separate scope: routing writes to the scope, and a mounted application changes its path.
    alike = {
        "type": "http",
        "method": method,
        "path": scope["path"],
        "root_path": scope.get("app_root_path", scope.get("root_path", "")),
        "headers": [],
    }
    return any(route.matches(alike)[0] is Match.FULL for route in routes)
