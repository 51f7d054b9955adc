"""Keeps processes running: starts them, restarts those that die with a growing pause, stops all of them together.

`up` defines the processes.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from types import FrameType, TracebackType
from typing import Self

from fcgraph.embedded.process import Part, Process
from fcgraph.errors import FcgraphError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PAUSE_FIRST_SECONDS, PAUSE_MAX_SECONDS = 0.5, 30.0
HEALTHY_SECONDS = 60  # a process that ran this long is restarted without a pause
POLL_SECONDS = 0.1

Say = Callable[[str, str], None]


class Stopped(BaseException):
    """A signal requested a stop. Not an Exception, so that no handler on the way treats it as an error."""


@dataclass
class Child:
    """A supervised process. `restart_at` is set while it is down."""

    process: Process
    started_at: float
    on_ready_again: Callable[[], None] | None
    restarts: int = 0
    pause_seconds: float = PAUSE_FIRST_SECONDS
    restart_at: float | None = None
    awaited: bool = False  # restarted, and a callback waits until it is ready

    @property
    def state(self) -> str:
        return "running" if self.process.alive else "restarting"


class Supervisor:
    """A context manager: it handles signals inside the block, and ends everything it started at its end.

    `say(name, line)` gets every line of every process and the supervisor's own; `on_change` is called when a process
    was started or found dead.
    """

    def __init__(self, say: Say, on_change: Callable[[], None] | None = None) -> None:
        self.children: dict[str, Child] = {}
        self.on_change = on_change or (lambda: None)
        self._say = say
        self._stopping = False
        self._deferred = False
        self._hurry = False
        self._undisturbed_depth = 0
        self._before: dict[signal.Signals, object] = {}
        self._guardian: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        for one in SIGNALS:
            if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN:  # stays ignored under nohup
                self._before[one] = signal.signal(one, self._on_signal)
        self._guardian = subprocess.Popen(
            [sys.executable, "-m", "fcgraph.embedded.guardian"],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        self._stopping = True
        self.stop()
        assert self._guardian is not None
        self._guardian.communicate()  # closes the pipe; it finds nothing to do
        for one, handler in self._before.items():
            signal.signal(one, handler)  # type: ignore[arg-type] # returned by signal()
        return kind is Stopped

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stopping:
            self._hurry = self._hurry or number == signal.SIGINT  # the second Ctrl-C
        elif self._undisturbed_depth:
            self._deferred = True
        else:
            self._stopping = True
            raise Stopped

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """A signal inside the block takes effect at its end."""
        self._undisturbed_depth += 1
        try:
            yield
        finally:
            self._undisturbed_depth -= 1
        if self._deferred and not self._stopping:
            self._stopping = True
            raise Stopped

    def start(
        self, part: Part, ready_seconds: float | None = None, on_ready_again: Callable[[], None] | None = None
    ) -> None:
        """Start a part and keep it running; wait until it is ready where `ready_seconds` says so (else DidNotStart).

        `on_ready_again` is called when it was restarted and is ready.
        """
        child = Child(Process(part, self._say), time.monotonic(), on_ready_again)
        self.children[part.name] = child
        self._launch(child)
        if ready_seconds is not None:
            child.process.wait_until_ready(ready_seconds)

    def _launch(self, child: Child) -> None:
        with self._undisturbed():
            child.process.start()
            assert self._guardian is not None
            assert self._guardian.stdin is not None
            self._guardian.stdin.write(
                f"{child.process.pid} {child.process.created} {int(child.process.part.stop_signal)}\n"
            )
            self._guardian.stdin.flush()
        child.started_at, child.restart_at = time.monotonic(), None
        self.on_change()

    def replace(self, parts: Sequence[Part]) -> None:
        """Stop the processes of these names and start them as defined now: an address has changed."""
        self._say("up", f"{', '.join(part.name for part in parts)}: restarted with other addresses")
        for part in parts:
            self.children[part.name].process.ask_to_stop()
        for part in parts:
            child = self.children[part.name]
            child.process.stop()
            child.process = Process(part, self._say)
            self._launch(child)

    def watch(self, until: Callable[[], bool] = lambda: False, seconds: float | None = None) -> bool:
        """Restart dead processes until the condition holds (True) or the time is over (False). Also ends by Stopped."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not until():
            if deadline is not None and time.monotonic() > deadline:
                return False
            for child in list(self.children.values()):
                self._look_after(child)
            time.sleep(POLL_SECONDS)
        return True

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        name = child.process.part.name
        if child.process.alive:
            if child.awaited and child.on_ready_again is not None and child.process.part.ready():
                child.awaited = False
                child.on_ready_again()
        elif child.restart_at is None:
            child.process.kill_the_rest()  # its orphans must not run in parallel with its successor
            if now - child.started_at > HEALTHY_SECONDS:
                child.pause_seconds = PAUSE_FIRST_SECONDS
            self._plan_restart(child, f"{name} {ending(child.process.exit_code)}")
        elif now >= child.restart_at:
            child.restarts += 1
            child.awaited = True
            try:
                self._launch(child)
            except FcgraphError as e:  # from its preparation, which may succeed next time
                self._plan_restart(child, f"{name}: {e.message}")

    def _plan_restart(self, child: Child, why: str) -> None:
        child.restart_at = time.monotonic() + child.pause_seconds
        self._say("up", f"{why}; it is started again in {child.pause_seconds:g} s")
        child.pause_seconds = min(child.pause_seconds * 2, PAUSE_MAX_SECONDS)
        self.on_change()

    def stop(self) -> None:
        """Stop everything, the last started first; parts of the same `layer` stop at the same time."""
        children = sorted(self.children.values(), key=lambda child: child.process.part.layer, reverse=True)
        for _, layer in groupby(children, key=lambda child: child.process.part.layer):
            together = list(layer)
            for child in together:
                if not self._hurry:
                    child.process.ask_to_stop()
            for child in together:
                self._wait(child)
                child.process.kill_the_rest()
        self.children.clear()

    def _wait(self, child: Child) -> None:
        deadline = time.monotonic() + child.process.part.stop_seconds
        while child.process.alive and not self._hurry:
            if time.monotonic() > deadline:
                self._say("up", f"{child.process.part.name} takes too long to stop and is killed")
                return
            time.sleep(POLL_SECONDS / 5)


def ending(exit_code: int | None) -> str:
    """How a process ended, in words."""
    if exit_code is not None and exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"
