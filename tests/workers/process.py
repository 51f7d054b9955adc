"""One of our processes under test: started with the test's settings, its log lines read as data."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from fcgraph.settings import Settings
from tests import services
from tests.waiting import until

END_SECONDS = 20


class Process:
    """`python -m <module>` with its standard error in a file."""

    def __init__(self, module: str, log_file: Path, settings: Settings, *arguments: str, **more: str) -> None:
        self._log_file = log_file
        with log_file.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=services.ROOT,
                env={**services.environment(settings), "LOG_FORMAT": "json", **more},
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def text(self) -> str:
        """Everything it has written."""
        return self._log_file.read_text(encoding="utf-8", errors="backslashreplace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Its log lines of one event."""
        found = []
        for line in self.text().splitlines():
            if line.startswith("{") and line.endswith("}"):
                entry = json.loads(line)
                if entry.get("event") == name:
                    found.append(entry)
        return found

    def wait_for(self, name: str, seconds: float, count: int = 1) -> None:
        """Wait until it has logged the event `count` times; fail when it ends before that."""

        def there() -> bool:
            if len(self.events(name)) >= count:
                return True
            assert self.is_running, f"ended with {self._process.poll()} before {name}:\n{self.text()[-3000:]}"
            return False

        until(there, seconds)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, seconds: float = END_SECONDS) -> int:
        """Wait for its end; returns its exit code."""
        return self._process.wait(seconds)

    def terminate(self, seconds: float = END_SECONDS) -> int:
        """SIGTERM, and its exit code."""
        self._process.terminate()
        return self.end(seconds)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait(END_SECONDS)
