"""Memory does not grow with the month: lines are written, added up and compared as they are read."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db, reports
from fcgraph.reports.lines import BLOCK_BYTES, HEADER, LineWriter
from fcgraph.storage.files import Files
from tests.reports.conftest import Make

LINES = 150_000
FLAT_BYTES = 6 * BLOCK_BYTES  # a block, its copies while it is split, and a margin


def line(number: int, amount: int) -> bytes:
    return b"%08x-0000-4000-8000-000000000000,2025-05-%02d,%d.00,0.00,USD,1,0\n" % (
        number // 31,
        number % 31 + 1,
        amount,
    )


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_writing_many_lines_takes_no_more_memory(tmp_path: Path) -> None:
    with (tmp_path / "report.csv").open("wb") as file:
        writer = LineWriter(file)

        def write() -> None:
            for number in range(LINES):
                writer.write(line(number, 7))
            writer.finish()

        assert peak_bytes(write) < FLAT_BYTES
    assert writer.size_bytes == (tmp_path / "report.csv").stat().st_size > 8 * BLOCK_BYTES
    assert writer.row_count == LINES
    assert writer.totals()[0]["total_sent"] == f"{7 * LINES}.00"
    assert not writer.balanced


def test_comparing_long_files_takes_no_more_memory(engine: Engine, files: Files, make: Make) -> None:
    make()
    with db.write(engine) as connection:
        connection.execute(
            sa.text(
                "INSERT INTO reports SELECT period, 2, 'v2', 'v2', sha256, size_bytes, row_count, watermark, time_zone,"
                " statuses, totals, balanced, is_final_period, correlation_id, generated_at FROM reports"
            )
        )

    def content(changed_each: int) -> Iterator[bytes]:
        yield HEADER
        for number in range(LINES):
            yield line(number, 8 if changed_each and number % changed_each == 0 else 7)

    files.put(content(0), "monthly_report_2025-05_v1.csv")
    files.put(content(10), "v2")
    with db.write(engine) as connection:
        for key in files.stored():
            size = {"size": files.size(key), "key": key}
            connection.execute(sa.text("UPDATE reports SET size_bytes = :size WHERE file_key = :key"), size)
    counted = []

    def compare() -> None:
        with db.read(engine) as connection:
            counted.append(sum(1 for _ in reports.changes_between(files, connection, "2025-05", 2, 1)))

    assert peak_bytes(compare) < FLAT_BYTES
    assert counted == [LINES // 10]
