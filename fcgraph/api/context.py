"""What a request carries: its viewer, access to the data, its loaders and its id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import ParamSpec, TypeVar

import strawberry
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.types import Scope

from fcgraph import db
from fcgraph.api import entry
from fcgraph.api.loaders import Loaders
from fcgraph.api.reader import Reader
from fcgraph.errors import BadInput, LimitReached, Unavailable
from fcgraph.queries import Viewer
from fcgraph.queries.pages import PageRequest, page_request
from fcgraph.queries.totals import check_rows
from fcgraph.settings import Settings
from fcgraph.storage.files import Files

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class Resources:
    """The resources that all requests of a process share."""

    settings: Settings
    reader: Reader
    engine: Engine
    uploads: Files
    reports: Files
    threads: ThreadPoolExecutor

    async def in_thread(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run blocking work (a write, a file) on one of WRITE_THREADS_MAX threads, never on the event loop.

        Raises Unavailable when PostgreSQL is unavailable.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self.threads, lambda: call(*args, **kwargs))
        except DBAPIError as e:
            if db.is_away(e):
                raise Unavailable("PostgreSQL is unavailable") from e
            raise
        except PoolTimeout as e:
            raise Unavailable("All connections for writing are busy (WRITE_THREADS_MAX); try again") from e


@dataclass(slots=True)
class Context:
    """The context of one operation."""

    resources: Resources
    request_id: str
    viewer: Viewer
    _loaders: Loaders | None = field(init=False, default=None)
    _nodes: int = field(init=False, default=0)
    _totals: int = field(init=False, default=0)

    @staticmethod
    def of(scope: Scope, resources: Resources) -> Context:
        """The context of the request with this scope."""
        request_id, viewer = entry.of(scope)
        return Context(resources, request_id, viewer)

    def again(self) -> Context:
        """The context of the next operation on the same connection: the same viewer, a new request id."""
        return Context(self.resources, entry.new_request_id(), self.viewer)

    def reading_by(self, reader: Reader) -> Context:
        """The same context with another reader (connections belong to an event loop) and empty loaders."""
        return Context(replace(self.resources, reader=reader), self.request_id, self.viewer)

    def forget(self) -> None:
        """Discard the loaders, so that the next read sees the current state of the database."""
        self._loaders = None
        self._nodes = self._totals = 0

    @property
    def loaders(self) -> Loaders:
        if self._loaders is None:
            self._loaders = Loaders(self.resources.reader, self.resources.settings, self.viewer)
        return self._loaders

    @property
    def settings(self) -> Settings:
        return self.resources.settings

    @property
    def reader(self) -> Reader:
        return self.resources.reader

    def page(
        self, first: int | None, after: str | None, last: int | None = None, before: str | None = None
    ) -> PageRequest:
        """A connection's arguments, checked against the limits of this process."""
        s = self.settings
        return page_request(first, after, last, before, page_default=s.page_default, page_max=s.page_max)

    def search(self, text: str | None) -> str | None:
        """A text to search for, checked. Raises BadInput."""
        if text is not None and len(text) > self.settings.search_max_chars:
            raise BadInput(f"A search has at most {self.settings.search_max_chars} characters (SEARCH_MAX_CHARS)")
        return text

    def count_nodes(self, number: int) -> None:
        """Count the nodes of an answer's pages. Raises LimitReached.

        Their number below rows is known only during execution. Rows that are read once may appear many times in the
        answer: each payment of a user can contain that user's payments again.
        """
        self._nodes += number
        if self._nodes > self.settings.query_nodes_max:
            raise LimitReached(f"A response has at most {self.settings.query_nodes_max} nodes (QUERY_NODES_MAX)")

    def count_totals(self, number: int) -> None:
        """Count the daily totals below lists in an answer. Raises BadInput RANGE_TOO_LARGE."""
        self._totals += number
        check_rows(self._totals, rows_max=self.settings.totals_rows_max)


Info = strawberry.Info[Context, None]


def is_below_a_list(info: Info) -> bool:
    """Whether the field is resolved once per item of a list."""
    return any(isinstance(step, int) for step in info.path.as_list())
