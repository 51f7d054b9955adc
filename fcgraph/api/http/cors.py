"""Cross-origin requests from the origins that CORS_ALLOWED_ORIGINS lists. Credentials (cookies) are never allowed.

Starlette's middleware stands behind GraphQL here and answers preflights of origins that are not listed as well.
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
PREFLIGHT_SECONDS = 600  # a browser remembers the answer so long

Headers = list[tuple[bytes, bytes]]


class Cors:
    """Adds to answers what browsers want to see, and answers their preflights."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)
        self._any = ANY in self._origins

    def answers(self, scope: Scope) -> bool:
        """Whether the request is a preflight of an origin that is listed."""
        return (
            scope["method"] == "OPTIONS"
            and _header(scope, b"access-control-request-method") is not None
            and self._origin(scope) is not None
        )

    async def preflight(self, scope: Scope, send: Send, methods: list[str]) -> None:
        """Answer a preflight: these methods are served."""
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
        # Who is listed depends on the origin, so a cache must keep the answers apart.
        vary: Headers = [] if self._any else [(b"vary", b"Origin")]
        origin = self._origin(scope)
        return vary if origin is None else [(b"access-control-allow-origin", origin), *vary]

    def _allowed_headers(self) -> tuple[str, ...]:
        return ALLOWED_HEADERS if self._any else ("Authorization", *ALLOWED_HEADERS)

    def _origin(self, scope: Scope) -> bytes | None:
        """What is allowed for this request; None when its origin is not listed. `*` is for requests without a login."""
        origin = _header(scope, b"origin")
        if origin is None:
            return None
        if self._any:
            return None if _header(scope, b"authorization") is not None else ANY.encode()
        return origin if origin.decode("latin-1") in self._origins else None


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)
