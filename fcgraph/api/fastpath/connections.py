"""A connection as SQL: the rows of the page and the fields around them become one JSON text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fcgraph.api.fastpath.text import NotFast, constant, joined, list_of, object_of
from fcgraph.api.graphql.selection import Selected
from fcgraph.queries.pages import PageRequest, cursor_sql


@dataclass(slots=True)
class Lateral:
    """Lateral joins for each row of the page, for lists that have to be counted over all rows together.

    Each SELECT returns one row of `json` and `rows`; in it `o.id` is the row's `id`, NULL for the row after the page.
    """

    id: str
    rows_max: int  # of all rows together; when there are more, the connection is NULL
    selects: list[str] = field(default_factory=list)

    def add(self, select: str) -> str:
        """Add a SELECT; returns the SQL of its `json`."""
        self.selects.append(select)
        return f"b{len(self.selects)}.json"

    def joins(self, of_page: str) -> str:
        """The joins that follow the rows in FROM."""
        named = [f"(SELECT {self.id} AS id{f' WHERE {of_page}' if of_page else ''}) o"]
        named += [f"({select}) b{n}" for n, select in enumerate(self.selects, 1)]
        return "".join(f" LEFT JOIN LATERAL {each} ON true" for each in named)

    def bounded(self, members: str) -> str:
        """The connection's text, or NULL when there are too many rows."""
        rows = " + ".join(f"COALESCE(sum(b{n}.rows), 0)" for n in range(1, len(self.selects) + 1))
        return f"CASE WHEN {rows} <= {self.rows_max} THEN {members} END"


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a connection: SQL of the rows under `alias`, their sort key, their count, and the JSON of one row."""

    alias: str
    kind: str
    key: tuple[tuple[str, str], ...]
    descending: bool
    page: Callable[[int], str]
    count: Callable[[], str]
    node: Callable[[Selected], str]
    lateral: Lateral | None = None

    def order(self, descending: bool) -> str:
        """ORDER BY in the list's order or in reverse."""
        return ", ".join(f"{sql} {'DESC' if descending else 'ASC'}" for sql, _ in self.key)

    @property
    def cursor(self) -> str:
        """SQL of a row's cursor."""
        return cursor_sql(self.kind, self.key)


def connection_sql(fields: list[Selected], page: PageRequest, rows: Rows) -> str:
    """An expression: the JSON text of the connection. Raises NotFast."""
    further = any(_looks_further(child, page) for f in fields if f.name == "pageInfo" for child in f.children)
    writer = _Writer(page, rows, f"{rows.alias}.n <= {page.size}" if further else "")
    members = object_of([(f.key, writer.member(f)) for f in fields])
    if further:
        # The row after the page shows whether there are more.
        read = rows.order(rows.descending != page.backwards)
        source = (
            f"SELECT {rows.alias}.*, row_number() OVER (ORDER BY {read}) AS n, count(*) OVER () AS total"
            f" FROM ({rows.page(page.size + 1)}) {rows.alias}"
        )
    elif any(f.name in ("nodes", "edges") for f in fields):
        source = rows.page(page.size)
    else:
        return f"({members})"
    joins = ""
    if rows.lateral is not None and rows.lateral.selects:
        joins, members = rows.lateral.joins(writer.of_page), rows.lateral.bounded(members)
    return f"(SELECT {members} FROM ({source}) {rows.alias}{joins})"


def _looks_further(field: Selected, page: PageRequest) -> bool:
    """Whether a field of PageInfo needs the rows of the page and the row after it."""
    more, cursor = ("hasPreviousPage", page.after) if page.backwards else ("hasNextPage", page.before)
    return field.name in ("startCursor", "endCursor") or (field.name == more and cursor is None)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the members of one connection."""

    page: PageRequest
    rows: Rows
    of_page: str  # SQL: which rows belong to the page; empty when all do

    def member(self, field: Selected) -> str:
        if field.name == "__typename":
            return constant(f'"{field.parent.name}"')
        if field.name == "totalCount":
            return f"({self.rows.count()})::text"
        if field.name == "nodes":
            return self._list(self.rows.node(field))
        if field.name == "edges":
            return self._list(object_of([(c.key, self._edge(c)) for c in field.children]))
        if field.name == "pageInfo":
            return object_of([(c.key, self._page_info(c)) for c in field.children])
        raise NotFast

    def _list(self, item: str) -> str:
        return list_of(item, self.rows.order(self.rows.descending), self.of_page)

    def _edge(self, field: Selected) -> str:
        if field.name == "__typename":
            return constant(f'"{field.parent.name}"')
        if field.name == "cursor":
            return joined(["'\"'", self.rows.cursor, "'\"'"])
        return self.rows.node(field)

    def _page_info(self, field: Selected) -> str:
        if field.name == "__typename":
            return constant('"PageInfo"')
        size, backwards = self.page.size, self.page.backwards
        if field.name in ("hasNextPage", "hasPreviousPage"):
            if _looks_further(field, self.page):
                return f"(count(*) > {size})::text"
            # Beyond a cursor there is always a row: the one that it stands for.
            cursor = self.page.before if field.name == "hasNextPage" else self.page.after
            return constant("false" if cursor is None else "true")
        n, total = f"{self.rows.alias}.n", f"{self.rows.alias}.total"
        read_first = (field.name == "startCursor") is not backwards
        place = f"{n} = 1 AND {size} > 0" if read_first else f"{n} = LEAST({total}, {size})"
        return f"COALESCE('\"' || max({self.rows.cursor}) FILTER (WHERE {place}) || '\"', 'null')"
