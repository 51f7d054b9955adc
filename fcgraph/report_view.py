"""A report as a person reads it in a terminal: totals, a bar for each day, and the first lines of the file.

Only what is in the file and its row is shown; nothing is asked from the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any, BinaryIO, Protocol

from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from fcgraph.reports import ReportLine, read_lines

LINES_SHOWN_MAX = 40
BAR_CELLS = 40


class ShownReport(Protocol):
    """What the row of a report says about its file."""

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


@dataclass
class Day:
    """What all users together sent on one day in one currency."""

    total_sent: Decimal = Decimal(0)
    payments: int = 0
    users: int = 0


def show(console: Console, report: ShownReport, file: BinaryIO, *, lines_shown_max: int = LINES_SHOWN_MAX) -> None:
    """Print the report. `file` is its stored file, opened for reading; it is read once, line by line."""
    lines = read_lines(file)
    first = list(islice(lines, lines_shown_max))
    days: dict[str, dict[date, Day]] = {}
    for line in first:
        _count(days, line)
    for line in lines:
        _count(days, line)

    state = "whole month" if report.is_final_period else "the month is still running"
    console.print(f"[bold]{report.period}[/bold] version {report.version}, {state}: {report.file_name}")
    console.print(
        f"{', '.join(report.statuses)} payments, days in {report.time_zone}, watermark {report.watermark},"
        f" {'balanced' if report.balanced else '[bold red]NOT BALANCED[/bold red]'}"
    )
    console.print(f"sha256 {report.sha256}", soft_wrap=True)
    console.print(_totals(report))
    for currency in sorted(days):
        console.print(_chart(currency, days[currency]))
    if first:
        console.print(_lines(first, report.row_count))


def _count(days: dict[str, dict[date, Day]], line: ReportLine) -> None:
    day = days.setdefault(line.currency, {}).setdefault(line.day, Day())
    day.total_sent += line.totals.total_sent
    day.payments += line.totals.sent_count
    day.users += 1


def _totals(report: ShownReport) -> Table:
    table = Table(title="Totals", title_justify="left")
    table.add_column("currency")
    for name in ("sent", "received", "payments sent", "received"):
        table.add_column(name, justify="right")
    for total in report.totals:
        table.add_row(
            total["currency"],
            _money(Decimal(total["total_sent"])),
            _money(Decimal(total["total_received"])),
            f"{total['sent_count']:,}",
            f"{total['received_count']:,}",
        )
    if not report.totals:
        table.add_row("none", "", "", "", "")
    return table


def _chart(currency: str, days: dict[date, Day]) -> Table:
    table = Table(title=f"{currency} sent, day by day", title_justify="left", box=None, padding=(0, 1))
    table.add_column("day")
    for name in ("sent", "payments", "users"):
        table.add_column(name, justify="right")
    table.add_column("")
    most = max(day.total_sent for day in days.values())
    for at, day in sorted(days.items()):
        share = float(day.total_sent / most) if most else 0.0  # the length of a bar, not an amount
        table.add_row(
            at.isoformat(),
            _money(day.total_sent),
            f"{day.payments:,}",
            f"{day.users:,}",
            Bar(1.0, 0.0, share, width=BAR_CELLS),
        )
    return table


def _lines(first: list[ReportLine], row_count: int) -> Table:
    more = row_count - len(first)
    table = Table(title="Lines", title_justify="left", caption=f"and {more:,} more in the file" if more else None)
    for name in ("user", "day"):
        table.add_column(name, no_wrap=True)
    for name in ("sent", "received"):
        table.add_column(name, justify="right")
    table.add_column("currency")
    for name in ("sent", "received"):
        table.add_column(name, justify="right")
    for line in first:
        totals = line.totals
        table.add_row(
            str(line.user_id),
            line.day.isoformat(),
            _money(totals.total_sent),
            _money(totals.total_received),
            line.currency,
            f"{totals.sent_count:,}",
            f"{totals.received_count:,}",
        )
    return table


def _money(amount: Decimal) -> str:
    return f"{amount:,}"
