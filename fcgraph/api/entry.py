"""Where a request enters: the one place that says who asks, before any body is read.

`Application` makes an Entry for each HTTP request and websocket and leaves it in the ASGI scope. GraphQL (both
execution paths), websockets and REST take their context from it, and nothing else makes a viewer. GraphQL stands in
front of FastAPI's middleware, so what must hold for every request (who asks, ids, metrics) belongs here.
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
    """What is known of a request before it is read: its id, and who asks."""

    request_id: str
    viewer: Viewer


def enter(scope: Scope, viewer_of: ViewerOf) -> None:
    """Make the entry of a request. What `viewer_of` raises refuses the request."""
    scope[KEY] = Entry(new_request_id(), viewer_of(scope))


def of(scope: Scope) -> Entry:
    """The entry of this request. A KeyError is a bug: something answers that did not come in by the front."""
    found: Entry = scope[KEY]
    return found


def local_operator(scope: Scope) -> Viewer:
    """Everybody who reaches this API is its operator: there are no logins yet."""
    return OPERATOR


def new_request_id() -> str:
    """An id for the answer and the log. It is no secret, so it need not be unguessable."""
    return f"{random.getrandbits(128):032x}"
