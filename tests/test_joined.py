"""A shell that has read the env file of a stack: its addresses are those of the stack as it is now, or an error."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fcgraph import joined, settings
from fcgraph.embedded import stack
from fcgraph.errors import SettingsError
from fcgraph.joined import Stack
from tests import services
from tests.cli.test_commands import Run
from tests.cli.test_commands import run as run

WRONG, REFUSED, BAD_SETTING = 2, 3, 78
BEFORE = {
    "API_PORT": "8020",
    "DATABASE_URL": "postgresql://postgres@127.0.0.1:1111/fcgraph",
    "REDIS_URL": "redis://127.0.0.1:2222/0",
    "KAFKA_BROKER": "127.0.0.1:3333",
    "API_URL": "http://127.0.0.1:8020",
    "RQ_REDIS_URL": "redis://127.0.0.1:2222/0",
}
AFTER = BEFORE | {"DATABASE_URL": "postgresql://postgres@127.0.0.1:4444/fcgraph", "KAFKA_BROKER": "127.0.0.1:5555"}


def made(data_dir: Path, environment: dict[str, str]) -> Stack:
    """A stack with these addresses; API_PORT was set for its `up`, which chose the rest."""
    return {
        "pid": os.getpid(),
        "api_url": environment["API_URL"],
        "database_url": environment["DATABASE_URL"],
        "redis_url": environment["REDIS_URL"],
        "kafka_broker": environment["KAFKA_BROKER"],
        "kafka_kind": "apache",
        "environment": environment | {"DATA_DIR": str(data_dir)},
        "chosen": sorted(set(environment) - {"API_PORT"}),
        "processes": {},
    }


@contextmanager
def up(data_dir: Path, environment: dict[str, str]) -> Iterator[None]:
    """As `up` does it, without the servers."""
    with stack.locked(data_dir):
        stack.write(data_dir, made(data_dir, environment))
        stack.write_env(data_dir, made(data_dir, environment), data_dir / "a folder of programs")
        yield


def sourced(data_dir: Path, before: dict[str, str] | None = None, times: int = 1) -> tuple[dict[str, str], str]:
    """A shell's environment after it has read the env file, and the file's output."""
    script = "set -eu\n" + f". {shlex.quote(str(data_dir / 'env'))}\n" * times + "env -0"
    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": "/usr/bin:/bin", **(before or {})},
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    return {name: value for name, value in found.items() if name not in ("PWD", "OLDPWD", "_", "SHLVL")}, done.stderr


def test_while_the_stack_runs_nothing_changes(tmp_path: Path) -> None:
    with up(tmp_path, BEFORE):
        shell, said = sourced(tmp_path)
        assert BEFORE.items() <= shell.items()
        assert said == ""
        now = dict(shell)
        joined.refresh(now)
    assert now == shell


def test_a_stack_on_other_ports_is_followed(tmp_path: Path) -> None:
    with up(tmp_path, BEFORE):
        shell, _ = sourced(tmp_path)
    with up(tmp_path, AFTER):
        joined.refresh(shell)
        assert AFTER.items() <= shell.items()
    with up(tmp_path, BEFORE):  # and once more, from where it is now
        joined.refresh(shell)
        assert BEFORE.items() <= shell.items()


def test_what_the_person_set_stays(tmp_path: Path) -> None:
    with up(tmp_path, BEFORE):
        shell, _ = sourced(tmp_path)
    shell |= {"KAFKA_BROKER": "kafka.example:9092", "API_PORT": "9000"}
    with up(tmp_path, AFTER):
        joined.refresh(shell)
    assert (shell["KAFKA_BROKER"], shell["API_PORT"]) == ("kafka.example:9092", "9000")
    assert shell["DATABASE_URL"] == AFTER["DATABASE_URL"]


def test_a_stack_that_has_ended_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with up(tmp_path, BEFORE):
        shell, _ = sourced(tmp_path)
    with pytest.raises(joined.NotUp, match=f"fcgraph is not up: .* on {tmp_path} that has ended"):
        joined.refresh(shell)
    for name, value in shell.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(joined.NotUp):
        settings.load()


def test_a_new_up_chooses_for_itself_and_has_what_it_was_started_with(tmp_path: Path) -> None:
    with up(tmp_path, BEFORE):
        shell, _ = sourced(tmp_path, {"LOG_LEVEL": "DEBUG"})
    joined.leave(shell)
    path = shell.pop("PATH")
    assert path.startswith(f"{tmp_path}/a folder of programs:")
    assert shell == {"API_PORT": "8020", "DATA_DIR": str(tmp_path), "LOG_LEVEL": "DEBUG"}
    joined.leave(shell)  # nothing to leave
    assert "API_PORT" in shell


@pytest.mark.parametrize("value", ["1", "{", "[]", "{}", '{"data_dir": 1, "environment": {}, "chosen": []}'])
def test_a_variable_that_is_something_else_is_an_error_that_names_it(value: str) -> None:
    for what in (joined.refresh, joined.leave):
        with pytest.raises(SettingsError, match=joined.VARIABLE):
            what({joined.VARIABLE: value})


def test_the_file_read_after_the_stack_ended_takes_its_addresses_away_and_says_so(tmp_path: Path) -> None:
    with up(tmp_path, BEFORE):
        shell, _ = sourced(tmp_path, {"LOG_LEVEL": "DEBUG"})
    own = shell | {"KAFKA_BROKER": "kafka.example:9092"}
    after, said = sourced(tmp_path, own)
    assert said == "fcgraph is not up here: make up starts it; then read this file again\n"
    del after["PATH"]
    assert after == {"LOG_LEVEL": "DEBUG", "KAFKA_BROKER": "kafka.example:9092"}
    untouched, _ = sourced(tmp_path, {"DATABASE_URL": "postgresql://elsewhere/db"})  # a shell that had never joined
    assert untouched["DATABASE_URL"] == "postgresql://elsewhere/db"


def test_the_file_that_a_killed_up_left_is_made_harmless_by_the_next_before_it_is_ready(tmp_path: Path) -> None:
    with up(tmp_path, BEFORE):
        killed = {name: (tmp_path / name).read_bytes() for name in ("env", "stack.json")}
    for name, content in killed.items():
        (tmp_path / name).write_bytes(content)
    with stack.locked(tmp_path):
        shell, said = sourced(tmp_path)
        assert "DATABASE_URL" not in shell
        assert "not up here" in said


def test_read_again_and_again_it_puts_the_programs_on_path_once(tmp_path: Path) -> None:
    with up(tmp_path, BEFORE):
        shell, _ = sourced(tmp_path, times=3)
    assert shell["PATH"].count("a folder of programs") == 1


@pytest.mark.parametrize(
    "command", [("status",), ("report", "--period", "2025-05"), ("import",), ("seed",), ("migrate",)]
)
def test_commands_in_a_shell_of_an_ended_stack_say_that_fcgraph_is_not_up(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    with up(tmp_path, BEFORE):
        shell, _ = sourced(tmp_path)
    del shell["PATH"]
    done = run(*command, **shell)
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.startswith("fcgraph is not up: this shell has the addresses of an `up`")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("module", "code"),
    [("producer", BAD_SETTING), ("consumer", BAD_SETTING), ("worker", WRONG), ("scheduler", WRONG)],
)
def test_so_do_our_processes(tmp_path: Path, module: str, code: int) -> None:
    with up(tmp_path, BEFORE):
        shell, _ = sourced(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", f"workers.{module}"],
        cwd=services.ROOT, env=services.clean_environment() | shell, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == code
    assert "fcgraph is not up" in done.stderr
    assert "Traceback" not in done.stderr
