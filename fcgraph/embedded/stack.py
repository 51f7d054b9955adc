"""The running stack as others on this machine find it: a lock that says that it runs, and a file that says where.

The file holds no secret: an address that was given to `up` must be given to whoever joins as well.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypedDict

from fcgraph.embedded.process import family, kill, wait_until_gone
from fcgraph.errors import FcgraphError

LEFTOVERS_SECONDS = 15
LOCK_SECONDS = 0.5


class AlreadyUp(FcgraphError):
    """Another `up` runs on the same data."""

    code = "ALREADY_UP"


class Stack(TypedDict):
    """What stack.json says. `environment`: settings for whoever joins the stack."""

    pid: int
    api_url: str
    database_url: str
    redis_url: str
    kafka_broker: str
    kafka_kind: str
    environment: dict[str, str]
    processes: dict[str, dict[str, Any]]


def _file(data_dir: Path) -> Path:
    return data_dir / "stack.json"


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for this process, or raise AlreadyUp. Ends what a killed `up` may have left behind."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("a") as lock:
        if not _lock(lock):
            found = _read(data_dir)
            where = f" (process {found['pid']}, {found['api_url']})" if found else ""
            raise AlreadyUp(f"fcgraph is already up on {data_dir}{where}: stop it first, or set DATA_DIR")
        _end_leftovers(data_dir)
        _file(data_dir).unlink(missing_ok=True)
        try:
            yield
        finally:
            _file(data_dir).unlink(missing_ok=True)


def _lock(lock: IO[str]) -> bool:
    """Take the lock; a `status` that is just looking at it is waited for."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(LOCK_SECONDS / 10)
        else:
            return True


def _end_leftovers(data_dir: Path) -> None:
    left = _read(data_dir)
    if left is None:
        return
    members = [p for one in left["processes"].values() for p in family(one["pid"], one["created"])]
    alive = wait_until_gone(members, LEFTOVERS_SECONDS)  # its guardian is at work
    for process in alive:
        kill(process)
    wait_until_gone(alive, LEFTOVERS_SECONDS)


def write(data_dir: Path, stack: Stack) -> None:
    """Say where the stack is; readers see the old file or the new one."""
    made = _file(data_dir).with_suffix(".making")
    made.write_text(json.dumps(stack, indent=2) + "\n")
    made.rename(_file(data_dir))


def _read(data_dir: Path) -> Stack | None:
    try:
        found: Stack = json.loads(_file(data_dir).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found


def running(data_dir: Path) -> Stack | None:
    """The stack that runs on this data folder now; None when none does or it has not got that far."""
    try:
        lock = os.open(data_dir / "lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read(data_dir)
    finally:
        os.close(lock)
    return None


def shell_lines(environment: dict[str, str]) -> str:
    """The environment as lines for `. FILE` in a shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def ports(data_dir: Path) -> dict[str, int]:
    """The ports of the last time, by name, so that addresses stay the same where they can."""
    try:
        found: dict[str, int] = json.loads((data_dir / "ports.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def keep_ports(data_dir: Path, chosen: dict[str, int]) -> None:
    (data_dir / "ports.json").write_text(json.dumps(chosen) + "\n")
