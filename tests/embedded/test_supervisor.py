"""The supervisor: restarts with a growing pause and reports it; leaves no process behind, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fcgraph.embedded.process import DidNotStart
from fcgraph.embedded.supervisor import Supervisor
from tests import services
from tests.embedded.processes import DEAF, PARENT, kill, none_runs, numbers, part, runs
from tests.waiting import until

SUPERVISOR = f"""
import sys
from fcgraph.embedded.supervisor import Supervisor
from tests.embedded.processes import part
with Supervisor(lambda name, line: print(name, line, flush=True)) as supervisor:
    supervisor.start(part("one", {PARENT!r}, sys.argv[1]))
    supervisor.start(part("deaf", {DEAF + PARENT!r}, sys.argv[2], stop_seconds=0.3))
    supervisor.watch()
"""


def test_what_dies_is_started_again_after_a_growing_pause_and_said() -> None:
    said: list[tuple[str, str]] = []
    with Supervisor(lambda name, line: said.append((name, line))) as supervisor:
        supervisor.start(part("short", "print('once more'); raise SystemExit(3)"))
        until_thrice = supervisor.watch(until=lambda: said.count(("short", "once more")) >= 3, seconds=20)
    assert until_thrice
    assert [line for name, line in said if name == "up"][:2] == [
        "short ended with exit code 3; it is started again in 0.5 s",
        "short ended with exit code 3; it is started again in 1 s",
    ]


def test_what_a_dead_process_left_behind_ends_before_its_successor_starts(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(lambda _, line: said.append(line)) as supervisor:
        supervisor.start(part("one", PARENT, str(tmp_path / "pids")), ready_seconds=None)
        supervisor.watch(until=(tmp_path / "pids").exists, seconds=10)
        first = numbers(tmp_path / "pids")
        kill(first[0])
        assert supervisor.watch(until=lambda: numbers(tmp_path / "pids") != first, seconds=10)
        assert none_runs(first)
        second = numbers(tmp_path / "pids")
        assert all(runs(pid) for pid in second)
    assert "one was killed by SIGKILL; it is started again in 0.5 s" in said
    assert none_runs(second)


def test_a_part_that_ends_before_it_is_ready_is_an_error_with_its_last_words() -> None:
    with (
        pytest.raises(DidNotStart, match=r"(?s)one ended with 5:.*no room"),
        Supervisor(lambda *_: None) as supervisor,
    ):
        supervisor.start(part("one", "print('no room'); raise SystemExit(5)", ready=lambda: False), ready_seconds=20)


def test_a_part_that_is_not_ready_in_time_is_an_error_and_is_stopped(tmp_path: Path) -> None:
    one = part("one", PARENT, str(tmp_path / "pids"), ready=lambda: False)
    with pytest.raises(DidNotStart, match="one is not ready after 1 s"), Supervisor(lambda *_: None) as supervisor:
        supervisor.start(one, ready_seconds=1)
    assert none_runs(numbers(tmp_path / "pids"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_the_supervisor_ends_no_process_is_left(how: signal.Signals, tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "deaf"]
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, *map(str, files)], cwd=services.ROOT, stdout=subprocess.DEVNULL
    )
    try:
        until(lambda: all(file.exists() for file in files), 20)
        left = [pid for file in files for pid in numbers(file)]
        assert all(runs(pid) for pid in left)
        os.kill(supervisor.pid, how)
        exit_code = supervisor.wait(30)
        if how == signal.SIGKILL:
            until(lambda: none_runs(left), 30)  # its guardian needs a moment
        assert none_runs(left)
        assert exit_code == (-signal.SIGKILL if how == signal.SIGKILL else 0)
    finally:
        supervisor.kill()
