"""Where a request enters: the only place that determines the viewer, before any body is read.

`Application` creates an Entry for each HTTP request and websocket and stores it in the ASGI scope. GraphQL (both
execution paths), websockets and REST take their context from it, and no other code creates a viewer. GraphQL is handled
before FastAPI's middleware, so anything that must apply to every request (viewer, ids, metrics) belongs here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from starlette.types import Scope

from fcgraph.queries import OPERATOR, Viewer

KEY = "fcgraph.entry"  # in the ASGI scope

ViewerOf = Callable[[Scope], Viewer]


class Entry(NamedTuple):
    """What is known about a request before its body is read: its id and its viewer."""

    request_id: str
    viewer: Viewer


def enter(scope: Scope, viewer_of: ViewerOf) -> None:
    """Create the entry of a request. An exception from `viewer_of` rejects the request."""
    scope[KEY] = Entry(new_request_id(), viewer_of(scope))


def of(scope: Scope) -> Entry:
    """The entry of this request. A KeyError is a bug: the request did not pass through `Application`."""
    found: Entry = scope[KEY]
    return found


def local_operator(scope: Scope) -> Viewer:
    """Every client of this API is an operator: there are no logins yet."""
    return OPERATOR


def new_request_id() -> str:
    """An id for the answer and the log. It is not a secret, so it may be guessable."""
    return f"{random.getrandbits(128):032x}"
