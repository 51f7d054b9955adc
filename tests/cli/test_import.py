"""`python -m fcgraph import`: where its bytes come from, several files, control totals, what it prints and returns."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests import services
from tests.cli.test_commands import DONE, GOOD, HEADER, NOT_ALL, REFUSED, WRONG, Run, payments, run

__all__ = ["run"]  # the fixture

SECOND = GOOD.replace("aaaa00000009", "aaaa00000010")
BAD = GOOD.replace("7.00", "seven")
CONFLICT = GOOD.replace("7.00", "8.00")


@pytest.fixture
def shell(database_url: str, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Run a line of bash in which `fcgraph` is the command line."""
    folders = {name: str(tmp_path / name) for name in ("REPORTS_DIR", "UPLOADS_DIR", "DATA_DIR")}
    command = f'fcgraph() {{ {shlex.quote(sys.executable)} -m fcgraph "$@"; }}; '

    def call(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command + line],
            cwd=services.ROOT,
            env=services.clean_environment() | {"DATABASE_URL": database_url} | folders,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return call


def test_standard_input_a_pipe_and_a_fifo_are_read(shell, engine: Engine, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "one.csv").write_text(HEADER + GOOD)
    done = shell(f"cat {tmp_path}/one.csv | fcgraph import - --json")
    assert done.returncode == DONE, done.stderr
    assert json.loads(done.stdout)["file_name"] == "standard-input.csv"
    done = shell(f"fcgraph import <(sed s/aaaa00000009/aaaa00000010/ {tmp_path}/one.csv) --json")
    assert (done.returncode, json.loads(done.stdout)["counts"]["inserted"]) == (DONE, 1), done.stderr
    fifo = tmp_path / "fifo.csv"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_text(HEADER + GOOD.replace("aaaa00000009", "aaaa00000011")))
    writer.start()
    done = shell(f"fcgraph import {fifo} --json")
    writer.join()
    assert (done.returncode, json.loads(done.stdout)["file_name"]) == (DONE, "fifo.csv"), done.stderr
    assert payments(engine) == 3
    empty = shell("fcgraph import - < /dev/null")
    assert (empty.returncode, "(MISSING_HEADER)" in empty.stderr) == (REFUSED, True)


def test_several_files_are_imported_whatever_becomes_of_one(run: Run, engine: Engine, tmp_path: Path) -> None:
    for name, content in {"a": HEADER + GOOD, "b": "no header\n", "c": HEADER + BAD, "d": HEADER + SECOND}.items():
        (tmp_path / f"{name}.csv").write_text(content)
    paths = [str(tmp_path / f"{name}.csv") for name in "abcd"]
    done = run("import", *paths, str(tmp_path), "--json")
    assert done.returncode == REFUSED
    assert [json.loads(line)["state"] for line in done.stdout.splitlines()] == [
        "SUCCEEDED", "SUCCEEDED_WITH_REJECTS", "SUCCEEDED",
    ]  # fmt: skip
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [paths[1], str(tmp_path)]
    assert payments(engine) == 2
    again = run("import", paths[0], paths[2], paths[3])
    assert (again.returncode, again.stdout.count("Already imported")) == (DONE, 3)


def test_exit_code_4_is_for_rejections_and_conflicts_of_this_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(HEADER + GOOD)
    (tmp_path / "bad.csv").write_text(HEADER + BAD.replace("0009", "0012"))
    (tmp_path / "conflict.csv").write_text(HEADER + CONFLICT)
    codes = [run("import", str(tmp_path / name)).returncode for name in ("good.csv", "bad.csv", "conflict.csv")]
    assert codes == [DONE, NOT_ALL, NOT_ALL]
    shown = run("import", str(tmp_path / "conflict.csv"))
    assert shown.returncode == DONE
    assert "EUR: 0.00 in rows that passed, 8.00 in rows rejected or in conflict" in shown.stdout
    assert run("import", str(tmp_path / "conflict.csv"), "--reimport").returncode == NOT_ALL


def test_control_totals(run: Run, engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "good.csv"
    file.write_text(HEADER + GOOD)
    strict = run("import", str(file), "--expect-total", "EUR=7.01", "--all-or-nothing")
    assert (strict.returncode, payments(engine)) == (REFUSED, 0)
    right = run("import", str(file), "--expect-rows", "1", "--expect-total", "eur=7.00")
    assert (right.returncode, payments(engine)) == (DONE, 1), right.stdout
    # Earlier imports are also checked against them.
    assert run("import", str(file), "--expect-rows", "1", "--expect-total", "EUR=7").returncode == DONE
    wrong = run("import", str(file), "--expect-rows", "2", "--expect-total", "USD=5", "--json")
    assert wrong.returncode == NOT_ALL
    assert json.loads(wrong.stdout)["failure"] == (
        "CONTROL_TOTAL_MISMATCH: 2 rows expected, 1 read; 5 USD expected, 0 accepted"
    )
    mismatch = run("import", str(file), "--reimport", "--expect-total", "EUR=8.00")
    assert (mismatch.returncode, "8.00 EUR expected, 7.00" in mismatch.stdout) == (NOT_ALL, True)


@pytest.mark.parametrize(
    "options",
    [
        ("--expect-total", "7.00"), ("--expect-total", "EUR=7,00"), ("--expect-total", "EUR=-1"),
        ("--expect-total", "EUR=1", "--expect-total", "eur=2"), ("--expect-rows", "-1"), ("--expect-rows", "x"),
        ("b.csv", "--expect-rows", "1"), ("--no-dry-run",),
    ],
)  # fmt: skip
def test_wrong_options(run: Run, options: tuple[str, ...]) -> None:
    done = run("import", "a.csv", *options)
    assert (done.returncode, done.stdout) == (WRONG, "")


def test_skipped_lines_are_said_and_no_bar_is_drawn_into_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(HEADER + GOOD + ",,,,,,\n\n" + HEADER)
    done = run("import", str(tmp_path / "good.csv"))
    assert (done.returncode, done.stderr) == (DONE, "")
    assert "3 lines skipped" in done.stdout
    assert json.loads(run("import", str(tmp_path / "good.csv"), "--json").stdout)["skipped_lines"] == 3
    text = run("import", "--help", COLUMNS="200").stdout
    assert "--dry-run" in text
    assert "--no-" not in text
