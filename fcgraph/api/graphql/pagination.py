"""Connections: the GraphQL side of keyset pagination. The SQL of pages is in `fcgraph.queries.pages`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import strawberry

from fcgraph.api.context import Info
from fcgraph.queries.pages import Page

T = TypeVar("T")
Row = object


@strawberry.type(description="The position of a page in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there are rows after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there are rows before this page.")
    start_cursor: str | None = strawberry.field(description="The first row's cursor; null on an empty page.")
    end_cursor: str | None = strawberry.field(
        description="The last row's cursor; pass it to `after` for the next page."
    )


@strawberry.type(description="A row of a page with its cursor.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="Opaque; pass it to `after` or `before` of the same list.")
    node: T = strawberry.field(description="The row itself.")


@strawberry.type(description="A keyset page: stable while rows arrive. It has 25 rows unless `first` or `last` is set.")
class Connection(Generic[T]):
    found: strawberry.Private[Page]
    node_of: strawberry.Private[Callable[[Row], T]]
    cursor_of: strawberry.Private[Callable[[Row], str]]
    count: strawberry.Private[Callable[[], Awaitable[int]]]
    counted: strawberry.Private[bool] = False

    def _rows(self, info: Info) -> Sequence[Row]:
        """The rows for the answer. They are counted once, even when selected as nodes and as edges."""
        if not self.counted:
            info.context.count_nodes(len(self.found.rows))
            self.counted = True
        return self.found.rows

    @strawberry.field(description="The rows with their cursors.")
    def edges(self, info: Info) -> list[Edge[T]]:
        return [Edge(cursor=self.cursor_of(row), node=self.node_of(row)) for row in self._rows(info)]

    @strawberry.field(description="The rows without cursors.")
    def nodes(self, info: Info) -> list[T]:
        return [self.node_of(row) for row in self._rows(info)]

    @strawberry.field(description="The position of this page in its list.")
    def page_info(self) -> PageInfo:
        rows = self.found.rows
        return PageInfo(
            has_next_page=self.found.has_next,
            has_previous_page=self.found.has_previous,
            start_cursor=self.cursor_of(rows[0]) if rows else None,
            end_cursor=self.cursor_of(rows[-1]) if rows else None,
        )

    @strawberry.field(description="Rows in the whole list; counted only when selected.")
    async def total_count(self) -> int:
        return await self.count()
