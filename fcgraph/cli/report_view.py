"""A report for a terminal: its first lines, a chart of the days, and the totals last, above the prompt.

It shows only the file and its row, and does not query the database. On a narrow terminal ids are folded and columns
and bars omitted; amounts, counts, days and ids are never cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain, islice
from typing import Any, BinaryIO, Protocol
from uuid import UUID

from rich import box
from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fcgraph.reports import ReportLine, parse_period, read_lines

LINES_SHOWN_MAX = 15
BAR_CELLS_MIN, BAR_CELLS_MAX = 8, 40
DAY_CELLS = len(" 01 Thu ")
SIDE_BY_SIDE = ("sent", "payments", "received", "payments")
STACKED = ("", "amount", "payments")
GAP_CELLS = 2  # before an amount and before its bar
UNBOUNDED = 1000  # cells, to measure a table's natural width
ID_CELLS = len("00000000-0000-0000-0000-000000000000")
# Layouts of the lines, best first: cells of an id, and whether there are counts.
LINE_LAYOUTS = ((ID_CELLS, True), (18, True), (12, True), (ID_CELLS, False), (18, False), (12, False))

Days = dict[date, Decimal]  # the total sent by all users on a day, in one currency


class ShownReport(Protocol):
    """The row of a report, which describes its file."""

    @property
    def period(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def file_name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def row_count(self) -> int: ...
    @property
    def watermark(self) -> int: ...
    @property
    def time_zone(self) -> str: ...
    @property
    def statuses(self) -> Sequence[str]: ...
    @property
    def totals(self) -> Sequence[dict[str, Any]]: ...
    @property
    def balanced(self) -> bool: ...
    @property
    def is_final_period(self) -> bool: ...


def show(console: Console, report: ShownReport, file: BinaryIO, *, lines_shown_max: int = LINES_SHOWN_MAX) -> None:
    """Print the report. `file` is its stored file, opened for reading; it is read once, line by line."""
    lines = read_lines(file)
    first = list(islice(lines, lines_shown_max))
    days: dict[str, Days] = defaultdict(lambda: defaultdict(Decimal))
    for line in chain(first, lines):
        days[line.currency][line.day] += line.totals.total_sent

    state = "whole month" if report.is_final_period else "the month is still running"
    console.print(
        f"[bold]{report.period}[/bold] version {report.version}, {state}: {report.file_name}", highlight=False
    )
    console.print(
        f"{', '.join(report.statuses)} payments, days in {report.time_zone}, watermark {report.watermark},"
        f" {'balanced' if report.balanced else '[bold red]NOT BALANCED[/bold red]'}",
        highlight=False,
    )
    console.print(f"sha256 {report.sha256}", soft_wrap=True, highlight=False)
    if first:
        _print(console, _line_tables(first, report.row_count))
    for chart in _charts(report.period, days, console.width):
        _print(console, chart)
    _print(console, [_totals(report.totals, SIDE_BY_SIDE), _totals(report.totals, STACKED)])


def _print(console: Console, tables: Iterable[Table]) -> None:
    """Print the first that fits; if none does, the last one at full width: the terminal wraps its lines."""
    table, cells = None, 0
    for table in tables:
        cells = console.measure(table, options=console.options.update(width=UNBOUNDED)).maximum
        if cells <= console.width:
            console.print(table)
            return
    if table is not None:
        width, console.width = console.width, cells
        console.print(table, crop=False)
        console.width = width


def _line_tables(first: list[ReportLine], row_count: int) -> Iterator[Table]:
    """The lines in every layout, the best first."""
    title = f"The first {len(first)} of {row_count:,} lines" if row_count > len(first) else "Lines"
    for id_cells, has_counts in LINE_LAYOUTS:
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
        for name in ("user", "day", "currency"):
            table.add_column(name, no_wrap=True)
        for name in ("sent", "#", "received", "#") if has_counts else ("sent", "received"):
            table.add_column(name, justify="right", no_wrap=True)
        for line in first:
            totals = line.totals
            sent, received = _money(totals.total_sent), _money(totals.total_received)
            counts = (f"{totals.sent_count:,}", f"{totals.received_count:,}")
            numbers = (sent, counts[0], received, counts[1]) if has_counts else (sent, received)
            table.add_row(_folded(line.user_id, id_cells), line.day.isoformat(), line.currency, *numbers)
        yield table
    yield _stacked_lines(title, first)


def _stacked_lines(title: str, first: list[ReportLine]) -> Table:
    """Sent above received, for long amounts."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    for name in ("user", "day", "currency", ""):
        table.add_column(name, no_wrap=True)
    for name in ("amount", "#"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in first:
        totals = line.totals
        table.add_row(
            _folded(line.user_id, ID_CELLS // 2),
            line.day.isoformat(),
            line.currency,
            "sent\nreceived",
            f"{_money(totals.total_sent)}\n{_money(totals.total_received)}",
            f"{totals.sent_count:,}\n{totals.received_count:,}",
        )
    return table


def _charts(period: str, days: dict[str, Days], width: int) -> Iterator[list[Table]]:
    """Every day of the month with its amounts and bars: as many currencies side by side as fit.

    Each in two layouts, the second without bars.
    """
    amount_cells = {currency: len(_money(sum(found.values(), Decimal(0)))) for currency, found in days.items()}
    left = sorted(days)
    while left:
        count = 1
        while count < len(left) and _bar_cells(left[: count + 1], amount_cells, width) >= BAR_CELLS_MIN:
            count += 1
        lateral, left = left[:count], left[count:]
        bar_cells = min(max(_bar_cells(lateral, amount_cells, width), BAR_CELLS_MIN), BAR_CELLS_MAX)
        shown = {currency: days[currency] for currency in lateral}
        yield [_chart(period, shown, bar_cells), _chart(period, shown, 0)]


def _bar_cells(currencies: Sequence[str], amount_cells: dict[str, int], width: int) -> int:
    """The cells left for the bar of each currency when these are side by side."""
    amounts = sum(amount_cells[currency] + GAP_CELLS for currency in currencies)
    return (width - DAY_CELLS - amounts) // len(currencies)


def _chart(period: str, days: dict[str, Days], bar_cells: int) -> Table:
    table = Table(title="Sent, day by day", title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_footer=True)
    table.add_column("day", "sum", no_wrap=True)
    for currency, found in days.items():
        total = _money(sum(found.values(), Decimal(0)))
        table.add_column(currency, total, justify="right", no_wrap=True, style="bold", footer_style="bold")
        if bar_cells:
            table.add_column("", no_wrap=True, min_width=bar_cells)
    month = parse_period(period)
    for n in range((month.last_day - month.first_day).days + 1):
        at = month.first_day + timedelta(days=n)
        cells: list[Text | Bar] = [Text(f"{at:%d %a}")]
        for found in days.values():
            cells += _day(found.get(at, Decimal(0)), max(found.values()), bar_cells)
        table.add_row(*cells)
    return table


def _day(amount: Decimal, most: Decimal, bar_cells: int) -> list[Text | Bar]:
    """The amount and its bar, whose length is its share of the largest; an amount above zero always has a bar."""
    written = Text(_money(amount)) if amount else Text("-", style="dim")
    if not bar_cells:
        return [written]
    if not amount:
        return [written, Text("")]
    share = max(float(amount / most), 1 / (8 * bar_cells - 1))  # the smallest bar is an eighth of a cell
    return [written, Bar(1.0, 0.0, share, width=bar_cells, color="cyan")]


def _totals(totals: Sequence[dict[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(title="Totals", title_justify="left")
    table.add_column("currency", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for total in totals:
        sent = [_money(Decimal(total["total_sent"])), f"{total['sent_count']:,}"]
        received = [_money(Decimal(total["total_received"])), f"{total['received_count']:,}"]
        if columns == SIDE_BY_SIDE:
            table.add_row(total["currency"], *sent, *received)
        else:
            table.add_row(total["currency"], "sent", *sent)
            table.add_row("", "received", *received)
    if not totals:
        table.add_row("none", *[""] * len(columns))
    return table


def _folded(user_id: UUID, cells: int) -> str:
    """The id in pieces of `cells` characters, one per line."""
    text = str(user_id)
    return "\n".join(text[n : n + cells] for n in range(0, len(text), cells))


def _money(amount: Decimal) -> str:
    return f"{amount:,}"
