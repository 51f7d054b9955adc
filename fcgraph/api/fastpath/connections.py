"""Connections of payments and users: the rows come as JSON text, the page around them is put together here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fcgraph.api.fastpath.rows import NotFast, key_text, object_sql, text
from fcgraph.api.fastpath.selection import Selected
from fcgraph.queries.columns import Shape
from fcgraph.queries.pages import Kept

Row = Any
Count = Callable[[], Awaitable[int]]
Write = Callable[[Kept, int | None], bytes]


@dataclass(frozen=True, slots=True)
class Spec:
    """What distinguishes one kind of connection: its rows, their alias in SQL, and the sort key of its cursors."""

    shape: Shape
    alias: str
    key: tuple[str, ...]
    cursor_of: Callable[[Row], str]


class ConnectionPlan:
    """How to write a connection: what to select of each row, and how the parts become the answer."""

    def __init__(self, spec: Spec, fields: list[Selected]) -> None:
        self._spec = spec
        self.joins: set[str] = set()
        self._columns: list[str] = []
        self.needs_count = False
        self.needs_rows = False
        self._needs_cursors = False
        self._parts = [(key_text(f.key).encode(), self._part(f)) for f in fields]
        if self._needs_cursors:
            self._columns += spec.key

    @property
    def select(self) -> str:
        """What of each row."""
        return ", ".join(self._columns) or "1"

    def write(self, kept: Kept, count: int | None) -> bytes:
        """The answer's bytes."""
        return b"{" + b",".join(key + write(kept, count) for key, write in self._parts) + b"}"

    def _part(self, field: Selected) -> Write:
        if field.name == "__typename":
            name = text(field.parent.name)
            return lambda kept, count: name
        if field.name == "totalCount":
            self.needs_count = True
            return lambda kept, count: text(count)
        self.needs_rows = True
        if field.name == "nodes":
            return self._nodes(field)
        if field.name == "edges":
            return self._edges(field)
        if field.name == "pageInfo":
            return self._page_info(field)
        raise NotFast

    def _node_column(self, field: Selected) -> int:
        self._columns.append(object_sql(self._spec.shape, field.children, self._spec.alias, self.joins))
        return len(self._columns) - 1

    def _nodes(self, field: Selected) -> Write:
        n = self._node_column(field)

        def write(kept: Kept, count: int | None) -> bytes:
            return ("[" + ",".join([row[n] for row in kept.rows]) + "]").encode()  # type: ignore[index] # records

        return write

    def _edges(self, field: Selected) -> Write:
        members: list[tuple[str, Callable[[Row], str]]] = []
        for child in field.children:
            members.append((key_text(child.key), self._edge_member(child)))

        def write(kept: Kept, count: int | None) -> bytes:
            edges = ["{" + ",".join([key + member(row) for key, member in members]) + "}" for row in kept.rows]
            return ("[" + ",".join(edges) + "]").encode()

        return write

    def _edge_member(self, child: Selected) -> Callable[[Row], str]:
        if child.name == "__typename":
            name = f'"{child.parent.name}"'
            return lambda row: name
        if child.name == "cursor":
            self._needs_cursors = True
            cursor_of = self._spec.cursor_of
            return lambda row: f'"{cursor_of(row)}"'
        n = self._node_column(child)

        def node(row: Row) -> str:
            found: str = row[n]
            return found

        return node

    def _page_info(self, field: Selected) -> Write:
        members: list[tuple[bytes, Callable[[Kept], bytes]]] = []
        for child in field.children:
            members.append((key_text(child.key).encode(), self._page_info_member(child)))

        def write(kept: Kept, count: int | None) -> bytes:
            return b"{" + b",".join([key + member(kept) for key, member in members]) + b"}"

        return write

    def _page_info_member(self, child: Selected) -> Callable[[Kept], bytes]:
        cursor_of = self._spec.cursor_of
        if child.name == "hasNextPage":
            return lambda kept: text(kept.has_next)
        if child.name == "hasPreviousPage":
            return lambda kept: text(kept.has_previous)
        if child.name == "__typename":
            return lambda kept: b'"PageInfo"'
        self._needs_cursors = True
        place = 0 if child.name == "startCursor" else -1
        return lambda kept: text(cursor_of(kept.rows[place]) if kept.rows else None)
