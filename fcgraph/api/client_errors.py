"""How errors look to a client: a stable code, our own message, and for a bug nothing but the request id."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLError

from fcgraph.errors import FcgraphError
from fcgraph.observability import log

INTERNAL = "INTERNAL"
UNAVAILABLE = ("UNAVAILABLE", "STORAGE_FULL")
TOO_SLOW = "The operation took longer than {:g} s (OPERATION_TIMEOUT_SECONDS)"
MASKED = "Internal error. Quote the requestId when you report it."

logger = log.get(__name__)


def cause_of(error: GraphQLError) -> Exception | None:
    """The exception behind an error; None when GraphQL itself refused the request."""
    cause: Exception | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def code_of(error: GraphQLError) -> str:
    """The error's code in the contract."""
    cause = cause_of(error)
    if cause is None:
        return "BAD_USER_INPUT"
    return cause.code if isinstance(cause, FcgraphError) else INTERNAL


def to_client(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """The error as it is sent to the client."""
    code = code_of(error)
    cause = cause_of(error)
    # Without a path, a value did not fit its type; GraphQL's message also says where.
    message = cause.message if isinstance(cause, FcgraphError) and error.path else error.message
    if code == INTERNAL:
        message = MASKED
    found: dict[str, Any] = {"message": message}
    if error.locations:
        found["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    if error.path:
        found["path"] = error.path
    found["extensions"] = {"code": code}
    if code == INTERNAL or code in UNAVAILABLE:
        found["extensions"]["requestId"] = request_id
    return found


def is_ours(error: GraphQLError) -> bool:
    """Whether the error is the server's fault and must be logged."""
    code = code_of(error)
    return code == INTERNAL or code in UNAVAILABLE


def note(errors: list[GraphQLError]) -> None:
    """Log the server's own errors in full. Mistakes of the caller are not logged, only returned."""
    for error in errors:
        code = code_of(error)
        if code == INTERNAL:
            logger.error("resolver_failed", path=error.path, exc_info=cause_of(error))
        elif code in UNAVAILABLE:
            logger.warning("answer_unavailable", code=code, reason=error.message)


class ClientError(GraphQLError):
    """An error whose `formatted` is safe to send to the client, for transports that format errors themselves."""

    def __init__(self, error: GraphQLError, request_id: str) -> None:
        super().__init__(error.message, error.nodes, error.source, error.positions, error.path, error.original_error)
        self._formatted = to_client(error, request_id)

    @property
    def formatted(self) -> Any:
        return self._formatted
