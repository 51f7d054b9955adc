"""Loaders of one request: lookups by many objects become one statement. They return rows, not GraphQL types."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from fcgraph.api.reader import Reader
from fcgraph.errors import LimitReached
from fcgraph.queries import Statement, Viewer, history, imports, payments, reports, totals, totals_pages, users
from fcgraph.queries.pages import Page, PageRequest, cut
from fcgraph.queries.payments import Drill, PaymentQuery
from fcgraph.queries.report_changes import Basis
from fcgraph.queries.totals import CurrencySum, TotalsQuery
from fcgraph.settings import Settings

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Row = Any


class Shared(DataLoader[K, V]):
    """A loader whose values several fields wait for: when one of them is cancelled, the others still get their value.

    GraphQL cancels the siblings of a field that failed, which without a shield would cancel the shared value as well.
    """

    def load(self, key: K) -> Awaitable[V]:
        return asyncio.shield(super().load(key))


class Loaders:
    """One per operation: rows are cached until the operation ends."""

    def __init__(self, reader: Reader, settings: Settings, viewer: Viewer) -> None:
        self._reader = reader
        self._settings = settings
        self._viewer = viewer
        self._made: dict[Hashable, Shared[Any, Any]] = {}

    def _loader(self, name: Hashable, load: Callable[[list[K]], Awaitable[list[V]]]) -> Shared[K, V]:
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = Shared(load)
        return found

    async def user(self, user_id: UUID) -> Row | None:
        """A user's row, or None."""

        async def load(ids: list[UUID]) -> list[Row | None]:
            rows = await self._reader.fetch(users.users_by_ids(ids, viewer=self._viewer))
            found = {row["userId"]: row for row in rows}
            return [found.get(i) for i in ids]

        return await self._loader("user", load).load(user_id)

    async def history(self, transaction_id: UUID) -> list[Row]:
        """The revisions of a payment, in order."""
        return await self._lists("history", history.history, "transaction_id").load(transaction_id)

    async def import_job(self, import_id: UUID) -> Row | None:
        """An import's row, or None."""

        async def load(ids: list[UUID]) -> list[Row | None]:
            rows = await self._reader.fetch(imports.imports_by_ids(ids, viewer=self._viewer))
            found = {row["import_id"]: row for row in rows}
            return [found.get(i) for i in ids]

        return await self._loader("import", load).load(import_id)

    async def import_totals(self, import_id: UUID) -> list[Row]:
        """An import's sums per currency."""
        return await self._lists("import_totals", imports.import_totals, "import_id").load(import_id)

    async def report_changes(self, basis: Basis) -> int:
        """How many payments of its period changed after this version of a report."""

        async def load(keys: list[Basis]) -> list[int]:
            return [row["changes"] for row in await self._reader.fetch(reports.changes_since(keys))]

        return await self._loader("report_changes", load).load(basis)

    async def payments(self, owner: Drill, query: PaymentQuery, page: PageRequest) -> Page:
        """A page of the owner's payments. Raises LimitReached when all such pages together are too many nodes."""

        async def load(owners: list[Drill]) -> list[Page]:
            self._check_nodes(len(owners), page)
            rows = await self._reader.fetch(
                payments.payments_of_many(owners, query, page, zone=self._settings.report_timezone, viewer=self._viewer)
            )
            grouped: dict[int, list[object]] = defaultdict(list)
            for row in rows:
                grouped[row["n"]].append(row)
            return [cut(grouped[n], page) for n in range(1, len(owners) + 1)]

        return await self._loader(("payments", query, page, owner.day is None), load).load(owner)

    async def payments_count(self, owner: Drill, query: PaymentQuery) -> int:
        """How many payments the owner's whole list has."""

        async def load(owners: list[Drill]) -> list[int]:
            rows = await self._reader.fetch(
                payments.payments_count_of_many(owners, query, zone=self._settings.report_timezone, viewer=self._viewer)
            )
            found = {row["n"]: row["count"] for row in rows}
            return [found[n] for n in range(1, len(owners) + 1)]

        return await self._loader(("count", query, owner.day is None), load).load(owner)

    async def daily_totals(self, user_id: UUID, query: TotalsQuery) -> tuple[int, list[Row]]:
        """The watermark and a user's daily totals."""

        async def load(ids: list[UUID]) -> list[tuple[int, list[Row]]]:
            watermark, rows = await read_totals(
                self._reader, replace(query, user_ids=tuple(ids)), self._settings, self._viewer
            )
            grouped: dict[UUID, list[Row]] = defaultdict(list)
            for row in rows:
                grouped[row["userId"]].append(row)
            return [(watermark, grouped[i]) for i in ids]

        return await self._loader(("totals", query), load).load(user_id)

    def _lists(
        self, name: str, statement: Callable[[Sequence[UUID]], Statement], column: str
    ) -> Shared[UUID, list[Row]]:
        """A loader of the list of rows that share an id."""

        async def load(ids: list[UUID]) -> list[list[Row]]:
            grouped: dict[UUID, list[Row]] = defaultdict(list)
            for row in await self._reader.fetch(statement(ids)):
                grouped[row[column]].append(row)
            return [grouped[i] for i in ids]

        return self._loader(name, load)

    def _check_nodes(self, owners: int, page: PageRequest) -> None:
        nodes_max = self._settings.query_nodes_max
        if owners * page.size > nodes_max:
            raise LimitReached(
                f"{owners} pages of {page.size} payments are more than {nodes_max} nodes (QUERY_NODES_MAX)"
            )


async def read_summary(
    reader: Reader, query: TotalsQuery, settings: Settings, viewer: Viewer
) -> tuple[int, list[CurrencySum]]:
    """The watermark and the sums of all daily totals per currency, from one snapshot, with no limit on their number."""
    query.check(range_max_days=settings.range_max_days)
    rows = await reader.fetch(totals_pages.totals_summary(query, zone=settings.report_timezone, viewer=viewer))
    watermark: int = rows[0]["watermark"]
    return watermark, [
        CurrencySum(
            row["currency"], row["totalSent"], row["totalReceived"], int(row["sentCount"]), int(row["receivedCount"])
        )
        for row in rows
        if row["currency"] is not None
    ]


async def read_totals(reader: Reader, query: TotalsQuery, settings: Settings, viewer: Viewer) -> tuple[int, list[Row]]:
    """The watermark and the daily totals, from one snapshot. Raises BadInput RANGE_TOO_LARGE."""
    query.check(range_max_days=settings.range_max_days)
    rows = await reader.fetch(
        totals.daily_totals(query, zone=settings.report_timezone, viewer=viewer, rows_max=settings.totals_rows_max)
    )
    watermark: int = rows[0]["watermark"]
    totals.check_rows(rows[0]["rows"], rows_max=settings.totals_rows_max)
    return watermark, [row for row in rows if row["userId"] is not None]
