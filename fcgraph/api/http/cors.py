"""Cross-origin requests from the origins that CORS_ALLOWED_ORIGINS lists. Credentials (cookies) are never allowed.

Starlette's middleware would run after GraphQL here, and it also answers preflights of origins that are not listed.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import Message, Scope, Send

ANY = "*"
ALLOWED_HEADERS = (
    "Content-Type",
    "If-Modified-Since",
    "If-None-Match",
    "Range",
    "X-Requested-With",
    "Apollo-Require-Preflight",
    "GraphQL-Require-Preflight",
    "X-GraphQL-Client",
    "X-Request-ID",
    "Traceparent",
)
EXPOSED_HEADERS = ("Content-Disposition", "Content-Range", "ETag", "X-Request-ID")
PREFLIGHT_SECONDS = 600  # how long a browser caches the answer

Headers = list[tuple[bytes, bytes]]


class Cors:
    """Adds CORS headers to answers and answers preflights."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)
        self._any = ANY in self._origins

    def answers(self, scope: Scope) -> bool:
        """Whether the request is a preflight from a listed origin."""
        return (
            scope["method"] == "OPTIONS"
            and _header(scope, b"access-control-request-method") is not None
            and self._origin(scope) is not None
        )

    async def preflight(self, scope: Scope, send: Send, methods: list[str]) -> None:
        """Answer a preflight with these methods."""
        headers = [
            *self._headers(scope),
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-allow-headers", ", ".join(self._allowed_headers()).encode()),
            (b"access-control-max-age", str(PREFLIGHT_SECONDS).encode()),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def adding(self, scope: Scope, send: Send) -> Send:
        """`send` that adds the headers to the answer."""
        headers = self._headers(scope)
        if self._origin(scope) is not None:
            headers.append((b"access-control-expose-headers", ", ".join(EXPOSED_HEADERS).encode()))

        async def added(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        return added

    def _headers(self, scope: Scope) -> Headers:
        # The headers depend on the origin, so a cache must store an answer per origin.
        vary: Headers = [] if self._any else [(b"vary", b"Origin")]
        origin = self._origin(scope)
        return vary if origin is None else [(b"access-control-allow-origin", origin), *vary]

    def _allowed_headers(self) -> tuple[str, ...]:
        return ALLOWED_HEADERS if self._any else ("Authorization", *ALLOWED_HEADERS)

    def _origin(self, scope: Scope) -> bytes | None:
        """The allowed origin; None when it is not listed. `*` is only for requests without credentials."""
        origin = _header(scope, b"origin")
        if origin is None:
            return None
        if self._any:
            return None if _header(scope, b"authorization") is not None else ANY.encode()
        return origin if origin.decode("latin-1") in self._origins else None


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)
