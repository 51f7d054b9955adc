"""One child process: how it is started, when it is ready, and how it is stopped with its descendants.

Used by the supervisor and by the tests. The supervisor restarts processes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from fcgraph.errors import FcgraphError

LAUNCH = Path(__file__).with_name("launch.py")
POLL_SECONDS = 0.02
LAST_LINES_MAX = 20
SAME_SECONDS = 1.0
KILLED_SECONDS = 5

OnLine = Callable[[str, str], None]


class DidNotStart(FcgraphError):
    """A process ended or did not get ready in time; the message has its last lines."""

    code = "DID_NOT_START"


@dataclass(frozen=True)
class Part:
    """The definition of a process.

    `user`: runs it when we are root, in `folder`, even if that user could not enter the folder by its path.
    `layer`: higher layers depend on lower ones and are stopped first.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    ready: Callable[[], bool]
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15
    layer: int = 0
    user: str | None = None
    folder: Path | None = None
    prepare: Callable[[], None] | None = None  # before every start


class Process:
    """A running part. Every line it writes, to stdout or stderr, goes to `on_line(name, line)`."""

    def __init__(self, part: Part, on_line: OnLine) -> None:
        self.part = part
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES_MAX)
        self.created = 0.0
        self._on_line = on_line
        self._popen: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start it in its own session, so that a Ctrl-C in the terminal reaches only us. Main thread only."""
        if self.part.prepare is not None:
            self.part.prepare()
        self._popen = subprocess.Popen(
            launched(self.part.argv, user=self.part.user, folder=self.part.folder, death_signal=self.part.stop_signal),
            env=dict(self.part.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
        )
        self.created = created_at(self._popen.pid)
        self._reader = threading.Thread(target=self._read, args=(self._popen,), daemon=True)
        self._reader.start()

    def _read(self, popen: subprocess.Popen[str]) -> None:
        assert popen.stdout is not None
        for line in popen.stdout:
            self.last_lines.append(line.rstrip("\n"))
            self._on_line(self.part.name, line.rstrip("\n"))

    @property
    def pid(self) -> int:
        """The process's id, which is its session's as well; 0 before the first start."""
        return self._popen.pid if self._popen else 0

    @property
    def exit_code(self) -> int | None:
        """None while it runs or before it was started; -N: ended by signal N."""
        return self._popen.poll() if self._popen else None

    @property
    def alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def wait_until_ready(self, seconds: float) -> None:
        """Raise DidNotStart when it ends before it is ready, or is not ready within `seconds`."""
        deadline = time.monotonic() + seconds
        while not self.part.ready():
            if not self.alive:
                raise DidNotStart(f"{self.part.name} ended with {self.exit_code}:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise DidNotStart(f"{self.part.name} is not ready after {seconds:.0f} s:\n{self._tail()}")
            time.sleep(POLL_SECONDS)

    def _tail(self) -> str:
        if self._reader is not None and not self.alive:
            self._reader.join(1)
        return "\n".join(f"  {line}" for line in self.last_lines)

    def ask_to_stop(self) -> None:
        """Send the stop signal to this process only: it ends its own children."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.send_signal(self.part.stop_signal)

    def kill_the_rest(self) -> None:
        """After its time is up, kill it and everything it started."""
        if self._popen is None:
            return
        rest = family(self.pid, self.created)
        for process in rest:
            kill(process)
        self._popen.wait()
        wait_until_gone(rest, KILLED_SECONDS)

    def stop(self) -> None:
        """Stop it and everything it started; it may take `stop_seconds`."""
        self.ask_to_stop()
        if self._popen is not None:
            try:
                self._popen.wait(self.part.stop_seconds)
            except subprocess.TimeoutExpired:
                self._on_line(self.part.name, f"did not stop within {self.part.stop_seconds:.0f} s and is killed")
            self.kill_the_rest()


def launched(
    argv: Sequence[str],
    *,
    user: str | None,
    folder: Path | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> list[str]:
    """The command line that runs `argv` as `user`, in `folder`, and ends it with this process."""
    options = ["--parent", str(os.getpid()), "--death-signal", str(int(death_signal))]
    if user is not None:
        options += ["--user", user, "--folder", str(folder or "")]
    return [sys.executable, "-I", "-S", str(LAUNCH), *options, *argv]


def created_at(pid: int) -> float:
    """When the process started, which distinguishes it from a later one with the same id. 0.0: it has ended."""
    try:
        created: float = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0
    return created


def family(pid: int, created: float) -> list[psutil.Process]:
    """The process, its descendants, and the rest of its session (children whose parent died before them)."""
    found: dict[int, psutil.Process] = {}
    try:
        leader = psutil.Process(pid)
        if abs(leader.create_time() - created) > SAME_SECONDS:
            return []  # the id was reused, which cannot happen while its session has a live process
        found.update({p.pid: p for p in [leader, *leader.children(recursive=True)]})
    except psutil.NoSuchProcess:
        pass  # then only its session identifies them
    for other in psutil.process_iter():
        try:
            if os.getsid(other.pid) == pid:
                found[other.pid] = other
        except OSError:
            continue  # it ended meanwhile
    return [p for p in found.values() if p.pid != os.getpid()]


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended; a zombie counts as ended."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE) or not process.is_running()
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended; return those that have not after `seconds`."""
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if not is_gone(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    return alive


def kill(process: psutil.Process, with_signal: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process that may already have ended."""
    try:
        process.send_signal(with_signal)
    except psutil.NoSuchProcess:
        return
