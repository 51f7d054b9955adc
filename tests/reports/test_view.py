"""The report in the terminal says what the file says."""

from __future__ import annotations

import io
from typing import Any

import pytest
import sqlalchemy as sa
from rich.console import Console
from sqlalchemy import Engine

from fcgraph import db, report_view
from fcgraph.files import Files
from tests.reports.conftest import Make
from tests.reports.stored import Paid, store
from tests.reports.test_content import SAMPLES


def shown(engine: Engine, files: Files, **options: Any) -> str:
    with db.read(engine) as connection:
        report: Any = connection.execute(sa.text("SELECT * FROM reports ORDER BY version DESC LIMIT 1")).one()
    console = Console(file=io.StringIO(), width=120, color_system=None)
    with files.open(report.file_key) as file:
        report_view.show(console, report, file, **options)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def cells(text: str, start: str) -> list[list[str]]:
    """The words of the lines that begin so, without the frame."""
    lines = [line.strip("│ ").replace("│", " ").split() for line in text.splitlines()]
    return [words for words in lines if words and words[0] == start]


def test_totals_days_and_lines_are_shown(engine: Engine, files: Files, make: Make) -> None:
    store(engine, *SAMPLES)
    make()
    text = shown(engine, files)
    assert "2025-05 version 1, whole month: monthly_report_2025-05_v1.csv" in text
    assert "completed payments, days in UTC, watermark 1, balanced" in text
    assert cells(text, "USD")[0] == ["USD", "500.00", "500.00", "2", "2"]
    assert cells(text, "PHP")[0] == ["PHP", "15,000.00", "15,000.00", "1", "1"]
    assert cells(text, "2025-05-10")[0][:4] == ["2025-05-10", "250.00", "1", "2"]
    assert len(cells(text, "00000000-0000-0000-0000-000000000001")) == 2
    assert "more in the file" not in text


def test_a_bar_is_as_long_as_its_days_share(engine: Engine, files: Files, make: Make) -> None:
    amounts = {"01": "100.00", "02": "50.00", "03": "0.00"}
    store(engine, *(Paid(1, 2, a, "USD", f"2025-05-{d}T10:00:00Z") for d, a in amounts.items()))
    make()
    text = shown(engine, files)
    lengths = [cells(text, f"2025-05-{d}")[0][4:] for d in amounts]
    assert [len(bar[0]) if bar else 0 for bar in lengths] == [40, 20, 0]


def test_a_long_file_shows_its_first_lines_and_all_its_days(engine: Engine, files: Files, make: Make) -> None:
    store(engine, *(Paid(1, 2, "1.00", "USD", f"2025-05-{d:02}T10:00:00Z") for d in range(1, 32)))
    make()
    text = shown(engine, files, lines_shown_max=5)
    assert "and 57 more in the file" in text
    assert [cells(text, f"2025-05-{d:02}")[0][1:4] for d in range(1, 32)] == [["1.00", "1", "2"]] * 31


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
