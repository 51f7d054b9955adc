"""`python -m fcgraph intake`: records listed, replayed, dismissed and resolved, for people and for scripts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from fcgraph import db
from fcgraph.cli.principal import principal
from tests.cli.test_commands import DONE, HEADER, NOBODY, NOT_ALL, REFUSED, WRONG, Run, run

__all__ = ["run"]  # the fixture
STRANGER = "00000000-0000-0000-0000-0000000005ff"
UNKNOWN = "a1b2c3d4-e5f6-7a8b-9c0d-bbbb00000000"


def line(n: int, amount: str = "7.00", sender: str = "00000000-0000-0000-0000-000000000001") -> str:
    return (
        f"a1b2c3d4-e5f6-7a8b-9c0d-aaaa{n:08},{sender},00000000-0000-0000-0000-000000000002,{amount},EUR,"
        "2025-05-10T08:15:00Z,completed\n"
    )


def imported(run: Run, folder: Path, *lines: str) -> str:
    """Import the lines; the import's id."""
    file = folder / "payments.csv"
    file.write_text(HEADER + "".join(lines))
    import_id: str = json.loads(run("import", str(file), "--json").stdout)["import_id"]
    return import_id


def listed(run: Run, *options: str) -> Any:
    done = run("intake", "list", "--json", *options)
    assert done.returncode == DONE, done.stderr
    return json.loads(done.stdout)


def add_stranger(engine: Engine) -> None:
    with db.write(engine) as connection:
        connection.execute(text("INSERT INTO users (user_id, name) VALUES (:id, 'New')"), {"id": STRANGER})


def test_list_prints_whole_lines_and_says_when_it_shows_a_part(run: Run, tmp_path: Path) -> None:
    job = imported(run, tmp_path, line(1, "x"), line(2, sender=STRANGER), line(3), line(3, "8.00"))
    found = listed(run)
    assert found["count"] == 3
    assert {r["outcome"] for r in found["records"]} == {"REJECTED", "CONFLICT"}
    assert [r["position"] for r in listed(run, "--code", "UNKNOWN_SENDER", "--import", job)["records"]] == [3]
    assert listed(run, "--outcome", "CONFLICT")["count"] == 1
    assert listed(run, "--source", "KAFKA")["count"] == listed(run, "--topic", "transactions")["count"] == 0
    assert listed(run, "--received-from", "2999-01-01")["count"] == 0
    assert listed(run, "--received-to", "2999-01-01T00:00:00Z")["count"] == 3
    shown = run("intake", "list", COLUMNS="80")
    for record in found["records"]:
        messages = "; ".join(p["message"] for p in record["problems"])
        codes = ",".join(p["code"] for p in record["problems"])
        place = f"import {job} line {record['position']}"
        assert f"{record['record_id']}  {record['outcome']}  {place}  {codes}  {messages}\n" in shown.stdout
    part = run("intake", "list", "--limit", "1")
    assert (part.stdout.count("\n"), part.stderr) == (1, "1 of 3 records\n")


def test_replay_by_options_and_by_ids_may_be_repeated(run: Run, engine: Engine, tmp_path: Path) -> None:
    job = imported(run, tmp_path, *(line(n, sender=STRANGER) for n in range(3)), line(4, "x"))
    add_stranger(engine)
    first = listed(run)["records"][0]["record_id"]
    for replayed in (1, 0):
        done = run("intake", "replay", first, "--json")
        assert (done.returncode, json.loads(done.stdout)) == (DONE, {"replayed": replayed, "still_rejected": 0})
    done = run("intake", "replay", "--import", job, "--code", "UNKNOWN_SENDER")
    assert (done.returncode, done.stdout) == (DONE, "2 replayed, 0 still rejected\n")
    done = run("intake", "replay")
    assert (done.returncode, done.stdout) == (NOT_ALL, "0 replayed, 1 still rejected\n")
    ended = [r for r in listed(run, "--all", "--limit", "0")["records"] if r["resolution"]]
    assert {(r["resolution"], r["resolved_by"]) for r in ended} == {("REPLAYED_INSERTED", principal())}


def test_dismiss_needs_a_note_and_says_which(run: Run, tmp_path: Path) -> None:
    job = imported(run, tmp_path, *(line(n, "x") for n in range(3)), line(4), line(4, "8.00"))
    record = listed(run)["records"][0]["record_id"]
    wrong = (
        ("dismiss", record),
        ("dismiss", "--note", "no records said"),
        ("dismiss", record, "--import", job, "--note", "both"),
        ("replay", record, "--topic", "t"),
        ("list", "--received-from", "yesterday"),
    )
    for arguments in wrong:
        done = run("intake", *arguments)
        assert (done.returncode, done.stdout) == (WRONG, ""), arguments
    assert run("intake", "dismiss", record, "--note", " ").returncode == REFUSED
    for resolved in (1, 0):
        done = run("intake", "dismiss", record, "--note", "a test", "--json")
        assert (done.returncode, json.loads(done.stdout)) == (DONE, {"resolved": resolved})
    for resolved in (2, 0):
        done = run("intake", "dismiss", "--all", "--note", "a test")
        assert (done.returncode, done.stdout) == (DONE, f"{resolved} dismissed\n")
    (left,) = listed(run)["records"]
    assert left["outcome"] == "CONFLICT"
    ended = [r for r in listed(run, "--all")["records"] if r["resolution"]]
    assert {(r["note"], r["resolved_by"]) for r in ended} == {("a test", principal())}


@pytest.mark.parametrize(("option", "amount"), [("--keep-stored", "7.0000"), ("--accept-incoming", "8.0000")])
def test_resolve_decides_once(run: Run, engine: Engine, tmp_path: Path, option: str, amount: str) -> None:
    imported(run, tmp_path, line(1), line(1, "8.00"))
    (record,) = listed(run)["records"]
    for _ in range(2):
        done = run("intake", "resolve", record["record_id"], option, "--note", "asked the bank", "--json")
        assert (done.returncode, json.loads(done.stdout)["transaction_id"]) == (DONE, record["transaction_id"])
    with db.read(engine) as connection:
        assert str(connection.scalar(text("SELECT amount FROM transactions"))) == amount
    other = ({"--keep-stored", "--accept-incoming"} - {option}).pop()
    refused = run("intake", "resolve", record["record_id"], other, "--note", "no")
    assert (refused.returncode, refused.stdout) == (REFUSED, "")
    assert "(ALREADY_RESOLVED)" in refused.stderr
    assert run("intake", "resolve", UNKNOWN, option, "--note", "x").returncode == REFUSED
    both = run("intake", "resolve", record["record_id"], option, other, "--note", "x")
    neither = run("intake", "resolve", record["record_id"], "--note", "x")
    assert both.returncode == neither.returncode == WRONG
    (ended,) = listed(run, "--all")["records"]
    assert (ended["note"], ended["resolved_by"]) == ("asked the bank", principal())


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("replay",), ("dismiss", "--all", "--note", "x"), ("resolve", UNKNOWN, "--keep-stored", "--note", "x")],
)
def test_an_absent_database_is_one_line(run: Run, arguments: tuple[str, ...]) -> None:
    done: subprocess.CompletedProcess[str] = run("intake", *arguments, DATABASE_URL=NOBODY)
    assert (done.returncode, done.stdout) == (5, "")
    assert "PostgreSQL is unavailable: " in done.stderr
