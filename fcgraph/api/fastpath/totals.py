"""Daily totals as SQL: the rows, the basis and the sums per currency become one JSON text."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from fcgraph.api.fastpath.text import NotFast, constant, joined, list_of, object_of
from fcgraph.api.graphql.selection import Selected
from fcgraph.queries.columns import CURRENCY_TOTAL
from fcgraph.queries.totals import WATERMARK, TotalsQuery, sums_sql

Node = Callable[[Selected], str]


def totals_sql(
    fields: list[Selected], query: TotalsQuery, zone: str, totals: str, rows_max: int | None, order: str, row: Node
) -> str:
    """A SELECT of `json` (the text of the daily totals, NULL when there are more than `rows_max`) and of `rows`, their
    number. Raises NotFast.

    `totals` is the SELECT of the daily totals, or of their sums when `rows_max` is None. `row` writes one row `d`;
    `order` is the sort order.
    """
    members = object_of([(f.key, _member(f, query, zone, order, row, rows_max is None)) for f in fields])
    if rows_max is None:
        return f"WITH d AS ({totals}) SELECT {members} AS json, count(*) AS rows FROM d"
    return (
        f"WITH d AS ({totals} LIMIT {rows_max + 1})"
        f" SELECT CASE WHEN count(*) <= {rows_max} THEN {members} END AS json, count(*) AS rows FROM d"
    )


def _member(field: Selected, query: TotalsQuery, zone: str, order: str, row: Node, are_sums: bool) -> str:
    if field.name == "__typename":
        return constant(f'"{field.parent.name}"')
    if field.name == "basis":
        return object_of([(c.key, _basis(c, query, zone)) for c in field.children])
    if field.name == "rows":
        return list_of(row(field), order)
    if field.name == "summary":
        item = object_of([(c.key, _sum(c)) for c in field.children])
        sums = "d" if are_sums else f"({sums_sql('d')})"
        return f"(SELECT {list_of(item, 's.currency')} FROM {sums} s)"
    raise NotFast


def _basis(field: Selected, query: TotalsQuery, zone: str) -> str:
    if field.name == "watermark":
        return joined(["'\"'", f"{WATERMARK}::text", "'\"'"])
    known: dict[str, object] = {
        "start": query.start.isoformat(),
        "end": query.end.isoformat(),
        "timeZone": zone,
        "statuses": [s.upper() for s in query.statuses],
        "__typename": field.parent.name,
    }
    return constant(orjson.dumps(known[field.name]).decode())


def _sum(field: Selected) -> str:
    if field.name == "__typename":
        return constant(f'"{field.parent.name}"')
    return CURRENCY_TOTAL.columns[field.name].json("s")
