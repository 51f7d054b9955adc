"""Daily totals: rows as JSON text, the basis and the sums per currency around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fcgraph.api.fastpath.rows import NotFast, key_text, object_sql, text
from fcgraph.api.fastpath.selection import Selected
from fcgraph.api.scalars import write_decimal
from fcgraph.queries.columns import DAILY_TOTAL
from fcgraph.queries.totals import CurrencySum, TotalsAsked, summary_of

Row = Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What the statement gave: rows with `select`'s columns, and the watermark they were seen at."""

    asked: TotalsAsked
    zone: str
    watermark: int
    rows: list[Row]


Write = Callable[[Answer], bytes]

BASIS: dict[str, Callable[[Answer], object]] = {
    "start": lambda a: a.asked.start.isoformat(),
    "end": lambda a: a.asked.end.isoformat(),
    "timeZone": lambda a: a.zone,
    "statuses": lambda a: [s.upper() for s in a.asked.statuses],
    "watermark": lambda a: str(a.watermark),
    "__typename": lambda a: "TotalsBasis",
}
SUM: dict[str, Callable[[CurrencySum], object]] = {
    "currency": lambda s: s.currency,
    "totalSent": lambda s: write_decimal(s.total_sent),
    "totalReceived": lambda s: write_decimal(s.total_received),
    "sentCount": lambda s: s.sent_count,
    "receivedCount": lambda s: s.received_count,
    "__typename": lambda s: "CurrencyTotal",
}


class TotalsPlan:
    """How to write daily totals. Raises NotFast for a drill-down to payments."""

    def __init__(self, fields: list[Selected]) -> None:
        self._columns = ["t.user_id IS NOT NULL"]  # the watermark has a row of its own when there are no totals
        self._sums = False
        self._parts = [(key_text(f.key).encode(), self._part(f)) for f in fields]
        if self._sums:
            self._columns.append(DAILY_TOTAL.select("t"))

    @property
    def select(self) -> str:
        """What of each row, behind the watermark."""
        return ", ".join(self._columns)

    def write(self, answer: Answer) -> bytes:
        """The answer's bytes."""
        return b"{" + b",".join(key + write(answer) for key, write in self._parts) + b"}"

    def _part(self, field: Selected) -> Write:
        if field.name == "__typename":
            return lambda answer: b'"DailyTotals"'
        if field.name == "basis":
            values = [(c.key, BASIS[c.name]) for c in field.children]
            return lambda answer: text({key: value(answer) for key, value in values})
        if field.name == "rows":
            self._columns.append(object_sql(DAILY_TOTAL, field.children, "t", set()))
            n = len(self._columns)  # the watermark is the first column
            return lambda answer: ("[" + ",".join([row[n] for row in answer.rows]) + "]").encode()
        if field.name == "summary":
            self._sums = True
            members = [(c.key, SUM[c.name]) for c in field.children]
            return lambda answer: text([{key: of(s) for key, of in members} for s in summary_of(answer.rows)])
        raise NotFast
