"""The name of the reporting zone: PostgreSQL and Python must agree on it, or no process starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zoneinfo
from pathlib import Path

import pytest
from sqlalchemy import Engine

from fcgraph import db, settings, zones
from fcgraph.errors import SettingsError
from tests import services
from tests.api.client import serving
from tests.api.conftest import settings_for
from tests.reports.stored import Paid, store

WRONG = 2
SUMMER = [Paid(1, 2, "5.00", "PHP", "2025-07-31T22:30:00Z"), Paid(1, 2, "6.00", "PHP", "2025-07-31T21:30:00Z")]


@pytest.mark.parametrize("name", ["UTC", "Asia/Manila", "America/Havana", "Europe/Berlin", "Etc/GMT+5", "EST", "Cuba"])
def test_a_name_that_both_read_alike_is_accepted(engine: Engine, name: str) -> None:
    assert zones.check_if_there(engine, name)


@pytest.mark.parametrize(
    ("name", "offered"),
    [("CET", "Europe/Berlin"), ("MET", "Europe/Berlin"), ("WET", "Europe/Lisbon"), ("EET", "Europe/Athens")],
)
def test_an_abbreviation_to_postgresql_is_refused_and_the_zone_offered(engine: Engine, name: str, offered: str) -> None:
    with pytest.raises(SettingsError, match=f"REPORT_TIMEZONE.*such as {offered}"):
        zones.check(engine, name)
    zones.check(engine, offered)


def run(database_url: str, folder: Path, *command: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m …` on the database to its end."""
    folders = {name: str(folder / name) for name in ("REPORTS_DIR", "UPLOADS_DIR", "DATA_DIR")}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=services.ROOT,
        env=services.clean_environment() | {"DATABASE_URL": database_url} | folders | changes,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


REPORT = ("fcgraph", "report", "--period", "2025-07")


@pytest.mark.parametrize("command", [REPORT, ("workers.worker",), ("workers.scheduler",)])
def test_no_process_starts_with_a_name_that_is_read_in_two_ways(
    database_url: str, tmp_path: Path, redis_url: str, command: tuple[str, ...]
) -> None:
    done = run(database_url, tmp_path, *command, REPORT_TIMEZONE="CET", REDIS_URL=redis_url)
    assert done.returncode == WRONG, done.stderr
    assert "REPORT_TIMEZONE" in done.stderr
    assert "Europe/Berlin" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_api_does_not_start_either(database_url: str, tmp_path: Path) -> None:
    with (
        pytest.raises(SettingsError, match="Europe/Berlin"),
        serving(settings_for(database_url, tmp_path, report_timezone="CET")),
    ):
        pass


def test_the_zone_that_is_offered_gives_the_right_month(engine: Engine, database_url: str, tmp_path: Path) -> None:
    store(engine, *SUMMER)  # 00:30 on 1 August and 23:30 on 31 July, in summer time
    done = run(database_url, tmp_path, *REPORT, "--json", REPORT_TIMEZONE="Europe/Berlin")
    assert [total["total_sent"] for total in json.loads(done.stdout)["totals"]] == ["6.00"]


def test_a_name_that_python_alone_knows_is_refused_and_a_zone_offered(database_url: str, tmp_path: Path) -> None:
    """Like `localtime` on many machines: a zone file that is a copy of, or a link to, another one."""
    for path in (Path(folder) / "Asia" / "Manila" for folder in zoneinfo.TZPATH):
        if path.exists():
            (tmp_path / "zones").mkdir()
            (tmp_path / "zones" / "localtime").write_bytes(path.read_bytes())
    search = os.pathsep.join([str(tmp_path / "zones"), *zoneinfo.TZPATH])
    done = run(database_url, tmp_path, *REPORT, REPORT_TIMEZONE="localtime", PYTHONTZPATH=search)
    assert (done.returncode, done.stdout) == (WRONG, "")
    assert "such as Asia/Manila" in done.stderr


def test_two_zone_databases_of_different_age_are_refused(database_url: str, tmp_path: Path) -> None:
    """A Region/City that Python and PostgreSQL show differently: no other name can be suggested."""
    for path in (Path(folder) / "Asia" / "Tokyo" for folder in zoneinfo.TZPATH):
        if path.exists():
            (tmp_path / "zones" / "Asia").mkdir(parents=True)
            (tmp_path / "zones" / "Asia" / "Manila").write_bytes(path.read_bytes())
    search = os.pathsep.join([str(tmp_path / "zones"), *zoneinfo.TZPATH])
    done = run(database_url, tmp_path, *REPORT, REPORT_TIMEZONE="Asia/Manila", PYTHONTZPATH=search)
    assert (done.returncode, done.stdout) == (WRONG, "")
    assert "from 2000-01-01 on" in done.stderr
    assert "tzdata" in done.stderr


def test_postgresql_that_is_away_is_no_wrong_setting(tmp_path: Path) -> None:
    engine = db.make_engine("postgresql://postgres@127.0.0.1:1/nobody", name="tests")
    assert not zones.check_if_there(engine, "Asia/Manila")
    with serving(settings_for("postgresql://postgres@127.0.0.1:1/nobody", tmp_path)) as api:
        assert api.client.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("name", "offered"),
    [("europe/berlin", "Europe/Berlin"), ("Manila", "Asia/Manila"), ("JST", "Asia/Tokyo"), ("New York", "America/New")],
)
def test_a_name_that_python_does_not_know_is_refused_and_a_zone_offered(
    monkeypatch: pytest.MonkeyPatch, name: str, offered: str
) -> None:
    monkeypatch.setenv("REPORT_TIMEZONE", name)
    with pytest.raises(SettingsError, match=f"REPORT_TIMEZONE.*{offered}"):
        settings.load()
