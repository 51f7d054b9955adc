"""The command line: output for scripts, exit codes, and that each command may be repeated."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from fcgraph import db
from fcgraph.embedded import postgres
from tests import services
from tests.reports.stored import Paid, store

DONE, WRONG, REFUSED, NOT_ALL, AWAY = 0, 2, 3, 4, 5
HEADER = "transaction_id,sender_id,receiver_id,amount,currency,timestamp,status\n"
GOOD = (
    "a1b2c3d4-e5f6-7a8b-9c0d-aaaa00000009,00000000-0000-0000-0000-000000000001,"
    "00000000-0000-0000-0000-000000000002,7.00,EUR,2025-05-10T08:15:00Z,completed\n"
)
NOBODY = "postgresql://postgres@127.0.0.1:1/nobody"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Run:
    """Run `python -m fcgraph …` on the test's database; no stack runs in its data folder."""
    folders = {name: str(tmp_path / name) for name in ("REPORTS_DIR", "UPLOADS_DIR", "DATA_DIR")}

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fcgraph", *arguments],
            cwd=services.ROOT,
            env=services.clean_environment() | {"DATABASE_URL": database_url} | folders | more,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return call


def counts(done: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in done.items() if count}


def payments(engine: Engine) -> int:
    with db.read(engine) as connection:
        return int(connection.scalar(text("SELECT count(*) FROM transactions")) or 0)


def test_import_reports_what_became_of_each_row_and_knows_the_file_again(run: Run, engine: Engine) -> None:
    first = run("import", "--json")  # without a file: the sample, which CSV_FILE names
    assert first.returncode == NOT_ALL, first.stderr
    answer = json.loads(first.stdout)
    assert answer["state"] == "SUCCEEDED_WITH_REJECTS"
    assert counts(answer["counts"]) == {"read": 4, "inserted": 2, "duplicate": 1, "rejected": 1, "suspicious": 1}
    repeated = run("import", "seeds/sample_transactions.csv", "--json")
    assert (repeated.returncode, json.loads(repeated.stdout)) == (DONE, answer | {"already_imported": True})
    assert "Already imported" in run("import", "seeds/sample_transactions.csv").stdout
    assert payments(engine) == 2


def test_import_of_good_rows_is_done_and_a_dry_run_writes_nothing(run: Run, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(HEADER + GOOD)
    tried = run("import", str(tmp_path / "good.csv"), "--dry-run", "--json")
    assert (tried.returncode, payments(engine)) == (DONE, 0)
    assert counts(json.loads(tried.stdout)["counts"]) == {"read": 1, "inserted": 1}
    done = run("import", str(tmp_path / "good.csv"))
    assert (done.returncode, payments(engine)) == (DONE, 1)
    assert "good.csv: SUCCEEDED" in done.stdout
    assert "EUR: 7.00 in rows that passed, 0.00 in rows rejected or in conflict" in done.stdout


def test_all_or_nothing_stores_nothing_when_a_row_is_bad(run: Run, engine: Engine) -> None:
    done = run("import", "seeds/sample_transactions.csv", "--all-or-nothing", "--json")
    assert (done.returncode, json.loads(done.stdout)["state"]) == (REFUSED, "FAILED")
    assert payments(engine) == 0


@pytest.mark.parametrize(
    ("content", "code"), [("", "MISSING_HEADER"), ("a,b\n1,2\n", "MISSING_HEADER"), (HEADER, "INVALID_INPUT")]
)
def test_import_of_what_is_no_payments_file_is_refused(run: Run, tmp_path: Path, content: str, code: str) -> None:
    (tmp_path / "bad.csv").write_text(content)
    done = run("import", str(tmp_path / "bad.csv"))
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert f"({code})" in done.stderr


def test_import_of_a_file_that_is_not_there_is_refused(run: Run) -> None:
    done = run("import", "nothing.csv")
    assert done.returncode == REFUSED
    assert done.stderr == "There is no file nothing.csv. (INVALID_INPUT)\n"
    folder = run("import", "seeds")
    assert (folder.returncode, folder.stdout) == (REFUSED, "")
    assert "seeds is a folder; name the files in it" in folder.stderr


def test_seed_twice_is_once(run: Run, engine: Engine) -> None:
    first, second = (json.loads(run("seed", "--demo", "--json").stdout)["demo"] for _ in range(2))
    assert (first["read"], first["inserted"]) == (2000, 2000)
    assert (second["read"], second["duplicate"]) == (2000, 2000)
    assert payments(engine) == 2000


def test_report_twice_is_one_version(run: Run) -> None:
    assert run("import", "seeds/sample_transactions.csv").returncode == NOT_ALL
    first, second = (json.loads(run("report", "--period", "2025-05", "--json").stdout) for _ in range(2))
    assert (first["version"], first["unchanged"], second["unchanged"]) == (1, False, True)
    assert first["totals"][0] | {"currency": "PHP", "total_sent": "15000.00"} == first["totals"][0]
    assert Path(first["file"]).read_bytes().count(b"\n") == first["row_count"] + 1 == 5
    shown = run("report", "--period", "2025-05", "--show")
    assert "15,000.00" in shown.stdout


def test_reports_are_shown_and_listed_without_making_a_version(run: Run, engine: Engine) -> None:
    none = run("reports", "show", "2025-05")
    assert (none.returncode, none.stdout) == (REFUSED, "")
    assert "report --period 2025-05" in none.stderr
    assert "no report was made yet" in run("reports", "list").stdout
    assert json.loads(run("reports", "list", "--json").stdout) == {"reports": []}

    assert run("import", "seeds/sample_transactions.csv").returncode == NOT_ALL
    made = json.loads(run("report", "--period", "2025-05", "--json").stdout)
    store(engine, Paid(1, 2, "1.00", "USD", "2025-05-05T10:00:00Z"))  # later payments do not change what is shown
    for _ in range(2):
        shown = json.loads(run("reports", "show", "2025-05", "--json").stdout)
        assert {name: shown[name] for name in shown if name != "generated_at"} == {
            name: value for name, value in made.items() if name != "unchanged"
        }
        printed = run("reports", "show", "2025-05", "--version", "1", COLUMNS="80").stdout
        assert "15,000.00" in printed
        assert "…" not in printed
    listed = run("reports", "list", "--period", "2025-05").stdout
    assert listed.startswith("2025-05 v1: 4 lines, whole month, made ")
    assert run("reports", "show", "2025-05", "--version", "2").returncode == REFUSED
    assert run("reports", "show", "2025-13").returncode == REFUSED
    with db.read(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM reports")) == 1


def test_the_report_of_a_month_that_runs_says_so(run: Run) -> None:
    running = f"{datetime.now(UTC):%Y-%m}"
    assert json.loads(run("report", "--period", running, "--json").stdout)["is_final_period"] is False
    assert "the month is still running)" in run("report", "--period", running).stdout
    assert json.loads(run("report", "--json").stdout)["is_final_period"] is True  # the previous month


def test_a_folder_that_is_none_and_a_database_without_tables_are_reported(
    run: Run, postgres_port: int, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = run("report", "--period", "2025-05", REPORTS_DIR=str(tmp_path / "file"))
    assert (done.returncode, done.stdout) == (AWAY, "")
    assert done.stderr == "file is not a writable folder: File exists\n"
    done = run("report", "--period", "2025-05", DATABASE_URL=postgres.url(postgres_port, "postgres"))
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr == "the database has no tables yet: python -m fcgraph migrate\n"


@pytest.mark.parametrize("period", ["2999-01", "2025-13", "yesterday"])
def test_a_report_of_no_month_that_has_begun_is_refused(run: Run, period: str) -> None:
    done = run("report", "--period", period)
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", [("migrate",), ("seed",), ("import", "--json"), ("report", "--period", "2025-05"), ("reports", "list")]
)
def test_an_absent_database_is_reported_as_such(run: Run, command: tuple[str, ...]) -> None:
    done = run(*command, DATABASE_URL=NOBODY)
    assert (done.returncode, done.stdout) == (AWAY, "")
    assert "PostgreSQL is unavailable: " in done.stderr
    assert "Traceback" not in done.stderr


def test_migrate_may_be_repeated(run: Run) -> None:
    assert [run("migrate").returncode for _ in range(2)] == [DONE, DONE]


@pytest.mark.parametrize("command", [("import", "--what"), ("report", "--period"), ("fly",)])
def test_a_wrong_command_line_is_reported(run: Run, command: tuple[str, ...]) -> None:
    done = run(*command)
    assert (done.returncode, done.stdout) == (WRONG, "")
    assert "Error" in done.stderr
