"""The command line: help with valid examples, versions, completion, colours."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fcgraph import __version__
from fcgraph.__main__ import app
from tests import services

COMMANDS = sorted(command.name or command.callback.__name__ for command in app.registered_commands if command.callback)
EXIT_CODES = ["0", "1", "2", "3", "4", "5", "130"]
ESCAPE = "\x1b["


def run(tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fcgraph", *arguments],
        cwd=services.ROOT, env=services.clean_environment() | {"DATA_DIR": str(tmp_path)} | more, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip


def help_of(*arguments: str) -> list[str]:
    """The lines of a help text, 80 columns wide."""
    shown = CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1", "TERMINAL_WIDTH": "80"}).invoke(
        app, [*arguments, "--help"]
    )
    assert shown.exit_code == 0
    return [line.rstrip() for line in shown.output.splitlines()]


def examples(*arguments: str) -> list[str]:
    lines = [line.strip() for line in help_of(*arguments)]
    return [line for line in lines[lines.index("Examples:") + 1 :] if line]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_examples_that_parse(command: str) -> None:
    group = typer.main.get_command(app)
    lines = examples(command.rstrip("_"))
    assert lines
    for line in lines:
        words = re.sub(r"^([A-Z_]+=\S+ )+", "", line).split()
        assert words[:2] == ["fcgraph", command.rstrip("_")]
        found = group.get_command(typer.Context(group), words[1])  # type: ignore[attr-defined]
        found.make_context(words[1], words[2:], resilient_parsing=False)  # raises for an unknown option


def test_the_exit_codes_are_a_list() -> None:
    lines = help_of()
    listed = lines[lines.index(" Exit codes:") + 1 :]
    assert [line.split()[0] for line in listed[: len(EXIT_CODES)]] == EXIT_CODES


@pytest.mark.parametrize("command", COMMANDS)
def test_a_flag_has_one_side(command: str) -> None:
    assert not [line for line in help_of(command.rstrip("_")) if "--no-" in line]


def test_version_names_fcgraph_and_its_schema_where_nothing_is_up(tmp_path: Path) -> None:
    done = run(tmp_path, "--version")
    newest = max(path.name[:4] for path in (services.ROOT / "migrations" / "versions").glob("[0-9]*.py"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"fcgraph {__version__}",
        f"schema {newest}",
        "PostgreSQL: fcgraph is not up here, and there is no DATABASE_URL",
    ]
    assert __version__ == tomllib.loads((services.ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_version_names_the_database_where_it_is_reached(tmp_path: Path, database_url: str) -> None:
    lines = run(tmp_path, "--version", DATABASE_URL=database_url).stdout.splitlines()
    assert re.fullmatch(r"schema (\w+) \(the database has \1\)", lines[1])
    assert lines[2].startswith("PostgreSQL 18.")
    away = run(tmp_path, "--version", DATABASE_URL="postgresql://postgres@127.0.0.1:1/nobody")
    assert away.stdout.splitlines()[2].startswith("PostgreSQL is unavailable: ")


def test_completion_knows_the_commands_and_their_options(tmp_path: Path) -> None:
    def completed(words: str, at: str) -> list[str]:
        wanted = {"_FCGRAPH_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": at}
        return run(tmp_path, **wanted).stdout.split()

    assert completed("fcgraph re", "1") == ["report", "reports"]
    assert completed("fcgraph import --d", "2") == ["--dry-run"]
    assert "complete -o default -F _fcgraph_completion fcgraph" in run(tmp_path, "--show-completion", "bash").stdout


def test_numbers_are_not_painted_and_no_color_is_respected(tmp_path: Path, database_url: str) -> None:
    arguments = ("import", "seeds/sample_transactions.csv")
    terminal = {
        "DATABASE_URL": database_url,
        "UPLOADS_DIR": str(tmp_path),
        "FORCE_COLOR": "1",
        "TERM": "xterm-256color",
    }
    painted = run(tmp_path, *arguments, **terminal)
    assert f"{ESCAPE}1;36m" not in painted.stdout  # Rich's colour of numbers
    plain = run(tmp_path, *arguments, **terminal, NO_COLOR="1")
    assert not re.search(r"\x1b\[[\d;]*3\d", plain.stdout)  # no colour; bold does not count
