"""The API as a separate process, started as a user would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from fcgraph.embedded import ports
from fcgraph.embedded.up import UVICORN_OPTIONS
from fcgraph.settings import Settings
from tests import services
from tests.waiting import until

START_SECONDS = 30


@contextmanager
def server(settings: Settings, log: Path) -> Iterator[str]:
    """The address of an API with these settings; it logs to `log`."""
    port = ports.free()
    command = [sys.executable, "-m", "uvicorn", "fcgraph.api.app:app", "--port", str(port), "--no-access-log"]
    command += UVICORN_OPTIONS
    with log.open("wb") as lines:
        process = subprocess.Popen(
            command, cwd=services.ROOT, env=services.environment(settings), stdout=lines, stderr=lines
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{url}/health"), START_SECONDS)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def answers(url: str) -> bool:
    """Whether it answers with 200."""
    try:
        return httpx2.get(url, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False
