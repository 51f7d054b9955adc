"""Small programs to supervise, and checks of which still run."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from fcgraph.embedded.process import Part

# Writes its own and its child's id to the file argv[1]; the child has its own process group, like RQ's.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
open(sys.argv[1] + ".making", "w").write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".making", sys.argv[1])
time.sleep(600)
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def part(name: str, program: str, *arguments: str, ready: Callable[[], bool] = lambda: True, **more: float) -> Part:
    """A Python program as a part."""
    argv = [sys.executable, "-c", program, *arguments]
    return Part(name=name, argv=argv, environment=os.environ, ready=ready, stop_seconds=more.get("stop_seconds", 5))


def numbers(file: Path) -> list[int]:
    """The process ids in the file."""
    return [int(number) for number in file.read_text().split()]


def runs(pid: int) -> bool:
    """Whether the process lives (a zombie does not)."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def none_runs(pids: list[int]) -> bool:
    return not any(runs(pid) for pid in pids)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
