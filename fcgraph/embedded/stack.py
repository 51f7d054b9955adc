"""How other processes on this machine find the running stack: a lock shows that it runs, a file shows where.

The file holds no secrets: an address that was set for `up` must also be set for each process that joins.
"""

from __future__ import annotations

import fcntl
import json
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fcgraph import joined
from fcgraph.embedded.process import family, kill, wait_until_gone
from fcgraph.errors import FcgraphError
from fcgraph.joined import Stack as Stack
from fcgraph.joined import running as running

LEFTOVERS_SECONDS = 15
LOCK_SECONDS = 0.5


class AlreadyUp(FcgraphError):
    """Another `up` runs on the same data."""

    code = "ALREADY_UP"


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for this process, or raise AlreadyUp. Ends processes that a killed `up` left behind."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("a") as lock:
        if not _lock(lock):
            found = joined.read(data_dir)
            where = f" (process {found['pid']}, {found['api_url']})" if found else ""
            raise AlreadyUp(f"fcgraph is already up on {data_dir}{where}: stop it first, or set DATA_DIR")
        _end_leftovers(data_dir)
        _forget(data_dir)
        try:
            yield
        finally:
            _forget(data_dir)


def _lock(lock: IO[str]) -> bool:
    """Take the lock; wait for a `status` that is checking it."""
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
    left = joined.read(data_dir)
    if left is None:
        return
    members = [p for one in left["processes"].values() for p in family(one["pid"], one["created"])]
    alive = wait_until_gone(members, LEFTOVERS_SECONDS)  # its guardian is at work
    for process in alive:
        kill(process)
    wait_until_gone(alive, LEFTOVERS_SECONDS)


def _forget(data_dir: Path) -> None:
    """No stack runs here, or not yet: remove the files that say where it is."""
    left = joined.read(data_dir)
    joined.stack_file(data_dir).unlink(missing_ok=True)
    if env_file(data_dir).exists():
        _replace(env_file(data_dir), _left_lines(left["environment"] if left else {}))


def env_file(data_dir: Path) -> Path:
    """The file that a shell reads to join the stack."""
    return data_dir / "env"


def write(data_dir: Path, stack: Stack) -> None:
    """Write where the stack is; readers see the old file or the new one."""
    _replace(joined.stack_file(data_dir), json.dumps(stack, indent=2) + "\n")


def write_env(data_dir: Path, stack: Stack, binaries: Path) -> None:
    """`. .fcgraph/env` in another terminal joins the stack: its addresses, and `binaries` on PATH, once."""
    path = shlex.quote(str(binaries))
    _replace(
        env_file(data_dir),
        shell_lines(stack["environment"] | {joined.VARIABLE: joined.mark(data_dir, stack)})
        + f'case ":$PATH:" in *:{path}:*) ;; *) export PATH={path}:"$PATH" ;; esac\n',
    )


def _left_lines(environment: dict[str, str]) -> str:
    """The env file while no stack runs: it unsets the variables that a shell got from the stack."""
    lines = ["# No stack runs here now. `make up` starts one and rewrites this file.\n"]
    for name, value in environment.items():
        lines.append(f'if [ "${{{name}:-}}" = {shlex.quote(value)} ]; then unset {name}; fi\n')
    lines.append(f"unset {joined.VARIABLE}\n")
    lines.append("echo 'fcgraph is not up here: make up starts it; then read this file again' >&2\n")
    return "".join(lines)


def _replace(file: Path, text: str) -> None:
    """Readers see the old file or the new one."""
    made = file.with_name(f"{file.name}.making")
    made.write_text(text)
    made.rename(file)


def shell_lines(environment: dict[str, str]) -> str:
    """The environment as lines for `. FILE` in a shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def ports(data_dir: Path) -> dict[str, int]:
    """The ports of the last run, by name, so that addresses stay the same where possible."""
    try:
        found: dict[str, int] = json.loads((data_dir / "ports.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def keep_ports(data_dir: Path, chosen: dict[str, int]) -> None:
    (data_dir / "ports.json").write_text(json.dumps(chosen) + "\n")
