"""`users import` and `users list`: what they print, for people and for scripts, and their exit codes."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from fcgraph import db
from tests import services

Run = Callable[..., subprocess.CompletedProcess[str]]
ALICE = "00000000-0000-0000-0000-000000000001"
IVY = "00000000-0000-0000-0000-0000000000aa"
FILE = f"user_id,name\n{IVY},İvy Şahin\n{ALICE},Alice Smith\n"


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Run:
    """Run `python -m fcgraph users …` on the test's database."""

    def call(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fcgraph", "users", *arguments],
            cwd=services.ROOT,
            env=services.clean_environment()
            | {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path), "COLUMNS": "80"},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_a_file(run: Run, tmp_path: Path, engine: Engine) -> None:
    path = tmp_path / "users.csv"
    path.write_text(FILE, encoding="utf-8")
    done = run("import", str(path))
    assert (done.returncode, done.stdout) == (0, "read 2: inserted 1, renamed 1, unchanged 0, rejected 0\n"), (
        done.stderr
    )
    with db.read(engine) as connection:
        assert connection.scalar(text("SELECT changed_by FROM user_batches")) == f"cli:{getpass.getuser()}"
    again = json.loads(run("import", str(path), "--json").stdout)
    assert again == {"read": 2, "inserted": 0, "renamed": 0, "unchanged": 2, "rejected": 0, "problems": []}


def test_standard_input_with_a_bad_row(run: Run) -> None:
    done = run("import", "-", stdin=FILE + "7,Eve\n")
    assert done.returncode == 4
    assert done.stdout.splitlines() == [
        "line 4: user_id is not a UUID like 00000000-0000-0000-0000-000000000001: '7' (INVALID_UUID)",
        "read 3: inserted 1, renamed 1, unchanged 0, rejected 1",
    ]


@pytest.mark.parametrize(("arguments", "stdin"), [(("no-such.csv",), None), (("-",), "name\nEve\n"), (("-",), "")])
def test_what_is_no_file_of_users(run: Run, arguments: tuple[str, ...], stdin: str | None) -> None:
    done = run("import", *arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1


def test_the_list(run: Run) -> None:
    run("import", "-", stdin=FILE)
    assert run("list", "--search", "ivy ŞAHİN").stdout == f"{IVY}  İvy Şahin\n1 of 1 users\n"
    found = json.loads(run("list", "--limit", "1", "--json").stdout)
    assert found == {"users": [{"user_id": ALICE, "name": "Alice Smith"}], "total_count": 8}
