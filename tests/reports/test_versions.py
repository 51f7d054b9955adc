"""One version per content: re-runs, new versions, current and future months, and two processes at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db, reports
from fcgraph.errors import Refused
from fcgraph.storage.files import Files
from tests.reports.conftest import Make
from tests.reports.stored import Paid, revise, store
from tests.waiting import until

PAID = Paid(1, 2, "10.00", "USD", "2025-05-05T10:00:00Z")
LATE = Paid(2, 3, "20.00", "USD", "2025-05-06T10:00:00Z")

NOW = {"drafts_older_than_seconds": 0.0, "leavings_younger_than_seconds": 3600.0}
LATER = {"drafts_older_than_seconds": 3600.0, "leavings_younger_than_seconds": 3600.0}

PROGRAM = """
import sys, pathlib, datetime
from fcgraph import db, reports
from fcgraph.observability import log
from fcgraph.storage.files import Files
log.set_up("test")
engine, files = db.make_engine(sys.argv[1], name="test"), Files(pathlib.Path(sys.argv[2]))
now = datetime.datetime(2025, 6, 1, 0, 0, 1, tzinfo=datetime.UTC)
made = reports.generate(engine, files, "2025-05", time_zone="UTC", now=now, correlation_id="test")
print(made.version, made.unchanged)
"""


def start(database_url: str, files: Files, failpoint: str = "") -> subprocess.Popen[str]:
    """Start a separate process that makes the report of May."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, database_url, str(files.root)],
        env={"FCGRAPH_FAILPOINT": failpoint},
        stdout=subprocess.PIPE,
        text=True,
    )


def rows(engine: Engine) -> list[tuple[object, ...]]:
    with db.read(engine) as connection:
        found = connection.execute(
            sa.text("SELECT period, version, is_final_period, watermark FROM reports ORDER BY 1, 2")
        )
        return [tuple(r) for r in found]


def column(engine: Engine, name: str) -> object:
    with db.read(engine) as connection:
        return connection.execute(sa.text(f"SELECT {name} FROM reports")).scalar_one()


def visible(files: Files) -> list[str]:
    return [p.name for p in sorted(files.root.iterdir())]


def test_a_rerun_adds_nothing(engine: Engine, files: Files, make: Make) -> None:
    store(engine, PAID)
    assert [make(), make(), make()] == [
        reports.Generated("2025-05", 1, unchanged=False),
        reports.Generated("2025-05", 1, unchanged=True),
        reports.Generated("2025-05", 1, unchanged=True),
    ]
    assert rows(engine) == [("2025-05", 1, True, 1)]
    assert visible(files) == ["monthly_report_2025-05_v1.csv"]


def test_a_change_adds_a_version_and_keeps_the_old_bytes(engine: Engine, files: Files, make: Make) -> None:
    store(engine, PAID)
    make()
    old = files.path("monthly_report_2025-05_v1.csv").read_bytes()
    store(engine, LATE)
    assert make() == reports.Generated("2025-05", 2, unchanged=False)
    assert rows(engine) == [("2025-05", 1, True, 1), ("2025-05", 2, True, 2)]
    assert files.path("monthly_report_2025-05_v1.csv").read_bytes() == old
    assert files.path("monthly_report_2025-05_v2.csv").read_bytes() != old


def test_a_content_that_comes_back_is_a_new_version(engine: Engine, files: Files, make: Make) -> None:
    store(engine, PAID)
    make()
    revise(engine, PAID.transaction_id, status="failed")
    make()
    revise(engine, PAID.transaction_id, status="completed")
    assert make().version == 3
    assert (
        files.path("monthly_report_2025-05_v3.csv").read_bytes()
        == files.path("monthly_report_2025-05_v1.csv").read_bytes()
    )


def test_a_running_month_is_marked_until_its_end(engine: Engine, make: Make) -> None:
    store(engine, PAID)
    assert make(now=datetime(2025, 5, 20, tzinfo=UTC)).version == 1
    assert rows(engine) == [("2025-05", 1, False, 1)]
    assert make(now=datetime(2025, 5, 31, 23, 59, 59, tzinfo=UTC)).unchanged
    assert rows(engine) == [("2025-05", 1, False, 1)]
    assert make(now=datetime(2025, 6, 1, tzinfo=UTC)).unchanged  # the same bytes, now known to be complete
    assert rows(engine) == [("2025-05", 1, True, 1)]
    assert make(now=datetime(2025, 5, 31, tzinfo=UTC)).unchanged  # a clock that was set back does not change that
    assert rows(engine) == [("2025-05", 1, True, 1)]


def test_other_bytes_after_the_end_leave_the_running_months_version_as_it_was(engine: Engine, make: Make) -> None:
    store(engine, PAID)
    make(now=datetime(2025, 5, 20, tzinfo=UTC))
    store(engine, LATE)
    assert make().version == 2
    assert rows(engine) == [("2025-05", 1, False, 1), ("2025-05", 2, True, 2)]


def test_the_same_bytes_again_stand_for_the_later_snapshot(engine: Engine, files: Files, make: Make) -> None:
    store(engine, PAID)
    make()
    made_at = column(engine, "generated_at")
    store(engine, replace(LATE, status="pending"))  # a change in the month that does not change its report
    assert rows(engine) == [("2025-05", 1, True, 1)]
    assert make(now=datetime(2025, 7, 1, tzinfo=UTC)).unchanged
    assert rows(engine) == [("2025-05", 1, True, 2)]
    assert column(engine, "generated_at") == made_at


def test_the_same_bytes_in_another_zone_are_reported_with_that_zone(engine: Engine, files: Files, make: Make) -> None:
    store(engine, PAID)
    at = datetime(2025, 5, 31, 20, tzinfo=UTC)  # June in Manila, still May in New York
    make(time_zone="Asia/Manila", now=at)
    assert (column(engine, "time_zone"), column(engine, "is_final_period")) == ("Asia/Manila", True)
    assert make(time_zone="America/New_York", now=at).unchanged
    assert (column(engine, "time_zone"), column(engine, "is_final_period")) == ("America/New_York", False)


def test_another_zone_with_other_days_is_another_version(engine: Engine, files: Files, make: Make) -> None:
    store(engine, Paid(1, 1, "1.00", "USD", "2025-05-31T20:00:00Z"))
    make()
    assert make(time_zone="Asia/Manila").version == 2
    with db.read(engine) as connection:
        found = connection.execute(sa.text("SELECT time_zone, row_count FROM reports ORDER BY version")).all()
    assert [tuple(r) for r in found] == [("UTC", 1), ("Asia/Manila", 0)]


@pytest.mark.parametrize(
    ("zone", "now", "refused"),
    [
        ("UTC", "2025-04-30T23:59:59Z", True),
        ("UTC", "2025-05-01T00:00:00Z", False),
        ("Asia/Manila", "2025-04-30T15:59:59Z", True),
        ("Asia/Manila", "2025-04-30T16:00:00Z", False),
        ("America/New_York", "2025-05-01T03:59:59Z", True),
    ],
)
def test_a_month_that_has_not_begun_is_refused(
    engine: Engine, files: Files, make: Make, zone: str, now: str, refused: bool
) -> None:
    if not refused:
        assert make(time_zone=zone, now=datetime.fromisoformat(now)).version == 1
        return
    with pytest.raises(Refused) as error:
        make(time_zone=zone, now=datetime.fromisoformat(now))
    assert error.value.code == "PERIOD_NOT_STARTED"
    assert error.value.path == ("period",)
    assert rows(engine) == []
    assert not files.root.exists()


@pytest.mark.parametrize(
    "period", ["", "2025", "2025-5", "2025-13", "2025-00", "0000-01", "2025-05-01", "٢٠٢٥-05", "2025-05\n"]
)
def test_what_is_no_month_is_refused(make: Make, period: str) -> None:
    with pytest.raises(Refused) as error:
        make(period)
    assert (error.value.code, error.value.path) == ("INVALID_INPUT", ("period",))


@pytest.mark.parametrize("period", ["0001-01", "1970-01", "2024-02"])
def test_any_month_of_the_past_can_be_made(make: Make, period: str) -> None:
    assert make(period, time_zone="Pacific/Kiritimati").version == 1


def test_the_last_days_of_months() -> None:
    last_days = [reports.parse_period(f"2024-{m:02}").last_day.day for m in range(1, 13)]
    assert last_days == [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert reports.parse_period("2025-02").last_day.day == 28


def test_processes_at_once_make_one_version(database_url: str, engine: Engine, files: Files) -> None:
    store(engine, PAID)
    running = [start(database_url, files) for _ in range(3)]
    said = sorted(p.communicate(timeout=60)[0].strip() for p in running)
    assert said == ["1 False", "1 True", "1 True"]
    assert rows(engine) == [("2025-05", 1, True, 1)]
    assert visible(files) == ["monthly_report_2025-05_v1.csv"]


@pytest.mark.parametrize(
    "failpoint", ["report-written", "file-synced", "file-renamed", "report-renamed", "report-row-written"]
)
def test_a_kill_anywhere_leaves_the_old_state_or_the_new(
    database_url: str, engine: Engine, files: Files, make: Make, failpoint: str
) -> None:
    store(engine, PAID)
    make()
    store(engine, LATE)
    before = rows(engine)
    killed = start(database_url, files, f"{failpoint}=kill")
    assert killed.wait(60) == -9
    assert rows(engine) == before
    assert make() == reports.Generated("2025-05", 2, unchanged=False)
    reports.sweep(engine, files, **NOW)
    assert visible(files) == ["monthly_report_2025-05_v1.csv", "monthly_report_2025-05_v2.csv"]
    assert len(rows(engine)) == 2
    assert make().unchanged


def test_a_kill_after_the_rename_and_other_content_at_the_next_run(
    database_url: str, engine: Engine, files: Files, make: Make
) -> None:
    store(engine, PAID)
    assert start(database_url, files, "report-renamed=kill").wait(60) == -9
    left = files.path("monthly_report_2025-05_v1.csv").read_bytes()
    store(engine, LATE)
    assert make().version == 1
    with db.read(engine) as connection:
        size = connection.scalar(sa.text("SELECT size_bytes FROM reports"))
    assert files.size("monthly_report_2025-05_v1.csv") == size
    assert files.path("monthly_report_2025-05_v1.csv").read_bytes() != left


def test_the_sweep_takes_leavings_and_nothing_else(database_url: str, engine: Engine, files: Files, make: Make) -> None:
    store(engine, PAID)
    make()
    store(engine, LATE)
    assert start(database_url, files, "report-renamed=kill").wait(60) == -9
    assert start(database_url, files, "report-written=kill").wait(60) == -9
    files.put([b"mine"], "notes.txt")
    files.put([b"mine"], "monthly_report_2025-05_v2.csv.bak")
    assert reports.sweep(engine, files, **LATER) == 1
    assert reports.sweep(engine, files, **NOW) == 1
    assert visible(files) == ["monthly_report_2025-05_v1.csv", "monthly_report_2025-05_v2.csv.bak", "notes.txt"]


def test_the_sweep_leaves_old_files_that_another_database_may_know(engine: Engine, files: Files) -> None:
    name = "monthly_report_2025-05_v1.csv"
    files.put([b"theirs"], name)
    assert reports.sweep(engine, files, drafts_older_than_seconds=0, leavings_younger_than_seconds=0) == 0
    assert visible(files) == [name]
    assert reports.sweep(engine, files, **NOW) == 1


def test_the_sweep_minds_only_names_of_reports(engine: Engine, files: Files) -> None:
    names = [f"monthly_report_{n}.csv" for n in ("2025-13_v1", "0000-01_v1", "2025-05_v0", "2025-05_v01", "x_v1")]
    for name in names:
        files.put([b"theirs"], name)
    assert reports.sweep(engine, files, **NOW) == 0
    assert visible(files) == sorted(names)


def test_the_sweep_waits_for_a_report_that_is_just_being_made(database_url: str, engine: Engine, files: Files) -> None:
    store(engine, PAID)
    stopped = start(database_url, files, "report-renamed=stop")
    assert os.WIFSTOPPED(os.waitpid(stopped.pid, os.WUNTRACED)[1])
    assert visible(files) == ["monthly_report_2025-05_v1.csv"]
    with ThreadPoolExecutor(1) as threads:
        swept = threads.submit(reports.sweep, engine, files, **LATER)
        until(lambda: waits_for_a_lock(engine), seconds=10)
        assert visible(files) == ["monthly_report_2025-05_v1.csv"]
        stopped.send_signal(signal.SIGCONT)
        assert stopped.communicate(timeout=60)[0].strip() == "1 False"
        assert swept.result(timeout=10) == 0
    assert visible(files) == ["monthly_report_2025-05_v1.csv"]


def waits_for_a_lock(engine: Engine) -> bool:
    with db.read(engine) as connection:
        return bool(
            connection.scalar(
                sa.text(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )
        )
