"""No space for uploads and reports: a clear error, no partial file, and success once there is space."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db, job_runs, queue
from fcgraph.errors import StorageFull
from fcgraph.reports.period import period_at
from fcgraph.settings import Settings
from tests.api.client import serving
from tests.api.conftest import api_settings as api_settings
from tests.api.test_imports import HEADER, line, run, upload
from tests.faults.disk import small_disk
from tests.jobs.conftest import environment as environment
from tests.jobs.processes import Environment
from tests.reports.stored import Paid, store

LITTLE_BYTES = 256 * 1024
BIG = (HEADER + "".join(line(n) for n in range(2000))).encode()  # about 300 kB
SMALL = (HEADER + line(1)).encode()
REPORT = 'mutation { generateMonthlyReport(period: "2025-05") { unchanged reportFile { version } } }'


def imports_recorded(engine: Engine) -> int:
    with db.read(engine) as connection:
        return int(connection.scalar(sa.text("SELECT count(*) FROM imports")) or 0)


def refused_for_room(response: Any) -> bool:
    """Whether this is the answer for a full disk, which is retriable."""
    (error,) = response.json()["errors"]
    return (
        response.status_code == 503 and error["extensions"]["code"] == StorageFull.code and "room" in error["message"]
    )


def test_no_room_for_an_upload(api_settings: Settings, engine: Engine, tmp_path: Path) -> None:
    with small_disk(tmp_path / "uploads", LITTLE_BYTES) as disk, serving(api_settings) as api:
        for _ in range(3):
            assert refused_for_room(upload(api, BIG))
        assert list(disk.folder.iterdir()) == []
        assert imports_recorded(engine) == 0
        assert accepted(upload(api, SMALL)).keys() == {"importId"}  # a file that fits is accepted
        disk.widen()
        import_id = accepted(upload(api, BIG))["importId"]
        assert run(api_settings, api, import_id)["counts"]["inserted"] == 2000


def test_no_room_where_an_upload_waits_on_its_way_in(
    api_settings: Settings, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    much = (HEADER + "".join(line(n) for n in range(15_000))).encode()  # more than is buffered in memory
    with small_disk(tmp_path / "tmp", LITTLE_BYTES) as disk, serving(api_settings) as api:
        monkeypatch.setattr(tempfile, "tempdir", str(disk.folder))  # has the effect of TMPDIR in a running process
        assert refused_for_room(upload(api, much))
        assert imports_recorded(engine) == 0
        assert accepted(upload(api, SMALL))
        disk.widen()
        assert accepted(upload(api, much))


def accepted(response: Any) -> Any:
    payload = response.json()["data"]["importCsv"]
    assert payload["userErrors"] == []
    return {"importId": payload["job"]["importId"]}


def test_no_room_for_a_report(environment: Environment, engine: Engine, redis_url: str, tmp_path: Path) -> None:
    previous = str(period_at(datetime.now(UTC), "UTC").previous)
    paid = [
        Paid(n % 7 + 1, (n + 1) % 7 + 1, "1.00", ("USD", "EUR", "PHP")[n % 3], f"{previous}-{n % 28 + 1:02}T10:00:00Z")
        for n in range(600)
    ]
    store(engine, *paid)
    with small_disk(tmp_path / "reports", 2 * 4096) as disk:
        for _ in range(2):
            assert environment.run("-c", "from workers import jobs; jobs.run_due_reports()").returncode == 1
        assert list(disk.folder.iterdir()) == []
        assert reports(engine) == 0
        state, detail = last_run(engine)
        assert (state, "room" in detail) == ("FAILED", True)
        disk.widen()
        again = environment.run("-c", "from workers import jobs; jobs.sweep_reports()", REPORT_RETRY_SECONDS="0.001")
        assert (again.returncode, queue.waiting(redis_url)) == (0, 1)
        assert environment.run("-m", "rq.cli", "worker", "--burst", "--url", redis_url).returncode == 0
        assert [path.name for path in disk.folder.iterdir()] == [f"monthly_report_{previous}_v1.csv"]
        assert (reports(engine), last_run(engine)[0]) == (1, "SUCCEEDED")


def test_no_room_for_a_report_that_a_client_requested_for(
    api_settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    store(engine, *(Paid(n % 7 + 1, 2, "1.00", "USD", f"2025-05-{n % 31 + 1:02}T10:00:00Z") for n in range(400)))
    with small_disk(tmp_path / "reports", 2 * 4096) as disk, serving(api_settings) as api:
        assert refused_for_room(api.post(REPORT))
        assert list(disk.folder.iterdir()) == []
        assert reports(engine) == 0
        disk.widen()
        made = api.ask(REPORT)["generateMonthlyReport"]
        assert made == {"unchanged": False, "reportFile": {"version": 1}}


def reports(engine: Engine) -> int:
    with db.read(engine) as connection:
        return int(connection.scalar(sa.text("SELECT count(*) FROM reports")) or 0)


def last_run(engine: Engine) -> tuple[str, str]:
    """The state and the detail of the latest run of the due reports."""
    with db.read(engine) as connection:
        runs = {found.job: found for found in job_runs.last_runs(connection)}
    return runs["run_due_reports"].state, runs["run_due_reports"].detail or ""
