"""Connections: the GraphQL side of pages by key. What a page is in SQL is in `fcgraph.queries.pages`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import strawberry

from fcgraph.api.context import Info
from fcgraph.queries.pages import Page

T = TypeVar("T")
Row = object


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether rows follow behind this page.")
    has_previous_page: bool = strawberry.field(description="Whether rows stand before this page.")
    start_cursor: str | None = strawberry.field(description="The first row's cursor; null on an empty page.")
    end_cursor: str | None = strawberry.field(
        description="The last row's cursor; give it to `after` for the next page."
    )


@strawberry.type(description="A row of a page with the cursor that stands for it.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="Opaque; give it to `after` or `before` of the same list.")
    node: T = strawberry.field(description="The row itself.")


@strawberry.type(
    description="A page by key: stable while rows arrive. Rows per page: 25 unless `first` or `last` says otherwise."
)
class Connection(Generic[T]):
    found: strawberry.Private[Page]
    node_of: strawberry.Private[Callable[[Row], T]]
    cursor_of: strawberry.Private[Callable[[Row], str]]
    count: strawberry.Private[Callable[[], Awaitable[int]]]
    counted: strawberry.Private[bool] = False

    def _rows(self, info: Info) -> Sequence[Row]:
        """The rows that go into the answer; once as nodes, once as edges, they count once."""
        if not self.counted:
            info.context.count_nodes(len(self.found.rows))
            self.counted = True
        return self.found.rows

    @strawberry.field(description="The rows with their cursors.")
    def edges(self, info: Info) -> list[Edge[T]]:
        return [Edge(cursor=self.cursor_of(row), node=self.node_of(row)) for row in self._rows(info)]

    @strawberry.field(description="The rows alone.")
    def nodes(self, info: Info) -> list[T]:
        return [self.node_of(row) for row in self._rows(info)]

    @strawberry.field(description="Where this page lies in its list.")
    def page_info(self) -> PageInfo:
        rows = self.found.rows
        return PageInfo(
            has_next_page=self.found.has_next,
            has_previous_page=self.found.has_previous,
            start_cursor=self.cursor_of(rows[0]) if rows else None,
            end_cursor=self.cursor_of(rows[-1]) if rows else None,
        )

    @strawberry.field(description="Rows in the whole list; counted only when asked for.")
    async def total_count(self) -> int:
        return await self.count()
