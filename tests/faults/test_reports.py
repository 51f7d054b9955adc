"""The process is killed at any moment: every row has its file, and every version differs from the previous one."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from random import Random

import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db, reports
from fcgraph.storage.files import Files
from tests import services
from tests.faults.conftest import Note
from tests.faults.run import times
from tests.waiting import until

ALIVE_SECONDS_MAX = 0.25
PERIODS = ("2025-03", "2025-04", "2025-05")

# Stores payments and generates reports in turn, as fast as possible.
PROGRAM = """
import datetime, pathlib, sys
from fcgraph import db, reports
from fcgraph.observability import log
from fcgraph.storage.files import Files
from tests.reports.stored import Paid, store
log.set_up("test", level="ERROR")
engine, files = db.make_engine(sys.argv[1], name="tests"), Files(pathlib.Path(sys.argv[2]))
now = datetime.datetime(2025, 6, 1, tzinfo=datetime.UTC)
print("begun", flush=True)
while True:
    for period in ("2025-03", "2025-04", "2025-05"):
        store(engine, Paid(1, 2, "1.00", "USD", f"{period}-10T10:00:00Z"))
        for _ in range(2):
            reports.generate(engine, files, period, time_zone="UTC", now=now, correlation_id="test")
"""


def check(engine: Engine, files: Files) -> int:
    """Check every row against its file; returns the number of versions."""
    with db.read(engine) as connection:
        rows = connection.execute(
            sa.text("SELECT period, version, file_key, sha256, size_bytes FROM reports ORDER BY period, version")
        ).all()
    for row in rows:
        content = files.path(row.file_key).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (row.sha256, row.size_bytes)
    for before, after in pairwise(rows):
        if before.period == after.period:
            assert after.version == before.version + 1
            assert after.sha256 != before.sha256
        else:
            assert after.version == 1
    known = {row.file_key for row in rows}
    orphans = [key for key in files.stored() if key not in known]
    assert len(orphans) <= 1, orphans
    return len(rows)


def test_reports_killed_at_any_moment(
    engine: Engine, database_url: str, tmp_path: Path, rnd: Random, note: Note
) -> None:
    note("kills", times(100))
    files = Files(tmp_path / "reports")
    versions = 0
    for _ in range(times(100)):
        victim = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, database_url, str(files.root)],
            cwd=services.ROOT,
            env=services.clean_environment(),
            stdout=subprocess.PIPE,
        )
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"begun\n"
        time.sleep(rnd.uniform(0, ALIVE_SECONDS_MAX))  # until a random moment
        victim.kill()
        victim.communicate()
        until(lambda: nobody_else_is_connected(engine), seconds=20)
        found = check(engine, files)
        assert found >= versions
        versions = found
    assert versions > 0
    reports.sweep(engine, files, drafts_older_than_seconds=0, leavings_younger_than_seconds=3600)
    assert len(list(files.root.iterdir())) == versions == check(engine, files)


def nobody_else_is_connected(engine: Engine) -> bool:
    """Whether the killed process's connections are closed, so that the result of their COMMIT is final."""
    with db.read(engine) as connection:
        others = connection.scalar(
            sa.text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state <> 'idle'"
            )
        )
    return not others
