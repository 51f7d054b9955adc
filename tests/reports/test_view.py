"""The report in the terminal shows the content of the file."""

from __future__ import annotations

import io
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from rich.console import Console
from sqlalchemy import Engine

from fcgraph import db
from fcgraph.cli import report_view
from fcgraph.storage.files import Files
from tests.reports.conftest import Make
from tests.reports.stored import Paid, store
from tests.reports.test_content import SAMPLES


def shown(engine: Engine, files: Files, width: int = 120, **options: Any) -> str:
    with db.read(engine) as connection:
        report: Any = connection.execute(sa.text("SELECT * FROM reports ORDER BY version DESC LIMIT 1")).one()
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with files.open(report.file_key) as file:
        report_view.show(console, report, file, **options)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def cells(text: str, start: str) -> list[list[str]]:
    """The words of the lines that begin with this text, without the frame."""
    lines = [line.strip("│ ").replace("│", " ").split() for line in text.splitlines()]
    return [words for words in lines if words and words[0] == start]


def test_totals_days_and_lines_are_shown(engine: Engine, files: Files, make: Make) -> None:
    store(engine, *SAMPLES)
    make()
    text = shown(engine, files)
    assert "2025-05 version 1, whole month: monthly_report_2025-05_v1.csv" in text
    assert "completed payments, days in UTC, watermark 1, balanced" in text
    assert cells(text, "USD")[-1] == ["USD", "500.00", "2", "500.00", "2"]
    assert cells(text, "PHP")[-1] == ["PHP", "15,000.00", "1", "15,000.00", "1"]
    assert cells(text, "10")[0][:4] == ["10", "Sat", "-", "250.00"]
    assert cells(text, "sum") == [["sum", "15,000.00", "500.00"]]
    assert len(cells(text, "00000000-0000-0000-0000-000000000001")) == 2
    assert "The first" not in text


def bars(text: str) -> list[tuple[str, int]]:
    """Each day's amount and length of the bar (in eighths of a cell), in a chart of one currency."""
    eighths = {block: n for n, block in enumerate(" ▏▎▍▌▋▊▉█")}
    rows = [words for n in range(1, 32) for words in cells(text, f"{n:02}")]
    return [(words[2], sum(eighths[block] for block in "".join(words[3:]))) for words in rows]


def test_a_bar_is_as_long_as_its_days_share(engine: Engine, files: Files, make: Make) -> None:
    amounts = {"01": "1000.00", "02": "500.00", "03": "0.00", "31": "0.01"}
    store(engine, *(Paid(1, 2, a, "USD", f"2025-05-{d}T10:00:00Z") for d, a in amounts.items()))
    make()
    found = bars(shown(engine, files))
    assert found[:3] == [("1,000.00", 320), ("500.00", 160), ("-", 0)]
    assert found[3:30] == [("-", 0)] * 27  # a day without payments is in the chart as well
    assert found[30] == ("0.01", 1)  # a small amount still has a bar


def test_a_long_file_shows_its_first_lines_and_all_its_days(engine: Engine, files: Files, make: Make) -> None:
    store(engine, *(Paid(1, 2, "1.00", "USD", f"2025-05-{d:02}T10:00:00Z") for d in range(1, 32)))
    make()
    text = shown(engine, files, lines_shown_max=5)
    assert "The first 5 of 62 lines" in text
    assert [amount for amount, _ in bars(text)] == ["1.00"] * 31
    assert cells(text, "sum") == [["sum", "31.00"]]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_it_fits_the_terminal_and_nothing_is_cut(engine: Engine, files: Files, make: Make, width: int) -> None:
    codes = ("EUR", "PHP", "USD", "JPY", "GBP", "CHF")
    with db.write(engine) as connection:
        for code in codes[3:]:
            connection.execute(sa.text("INSERT INTO currency (code, name) VALUES (:code, 'made')"), {"code": code})
    store(engine, *(Paid(1, 2, "123456789.00", c, f"2025-05-{d:02}T10:00:00Z") for c in codes for d in range(1, 32)))
    make()
    text = shown(engine, files, width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert cells(text, "31")[0][:3] == ["31", "Sat", "123,456,789.00"]
    assert "".join(text.split()).count("3,827,160,459.00") == 6 * 3  # a sum below each chart; sent and received
    assert "…" not in text
    if width < 100:  # wrapped; the other half is below
        assert cells(text, "00000000-0000-0000")[0][1:3] == ["2025-05-01", "CHF"]
        assert "-0000-000000000001" in text
    else:
        assert cells(text, "00000000-0000-0000-0000-000000000001")


@pytest.mark.parametrize("width", [40, 60, 72, 80, 100, 120, 200])
@pytest.mark.parametrize("amount", ["23940796.00", "123456789012.34", "9876543210987.65", "999999999999999.99"])
def test_no_number_is_cut_however_long_it_is(engine: Engine, files: Files, make: Make, width: int, amount: str) -> None:
    store(
        engine, *(Paid(1, 2, amount, code, f"2025-05-{day}T10:00:00Z") for code in ("USD", "PHP") for day in (10, 31))
    )
    make()
    text = shown(engine, files, width=width)
    assert "…" not in text
    written, double = f"{Decimal(amount):,}", f"{2 * Decimal(amount):,}"
    # Each payment is shown for its sender, for its receiver and in the chart; sums are shown there and twice below.
    numbers = Counter(text.replace("│", " ").split())
    assert (numbers[written], numbers[double]) == (2 * 2 * 2 + 2 * 2, 2 * 3)
    assert numbers["2025-05-10"] == numbers["2025-05-31"] == 4
    ids = text.replace("│", " ").split()
    assert (
        ids.count("00000000-0000-0000-0000-000000000001")
        + ids.count("-0000-000000000001")
        + sum(word == "000000000001" for word in ids)
        == 4
    )
    if width >= 80:
        assert max(len(line.rstrip()) for line in text.splitlines()) <= width


@pytest.mark.parametrize("state", ["empty", "running"])
def test_an_empty_or_running_month_says_so(engine: Engine, files: Files, make: Make, state: str) -> None:
    make()
    if state == "running":
        with db.write(engine) as connection:
            connection.execute(sa.text("UPDATE reports SET is_final_period = false, balanced = false"))
    text = shown(engine, files)
    assert cells(text, "none") == [["none"]]
    assert ("the month is still running" in text) == (state == "running")
    assert ("NOT BALANCED" in text) == (state == "running")
