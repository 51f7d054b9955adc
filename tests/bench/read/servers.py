"""The servers that are measured, each in one or more separate processes on the same database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from fcgraph.embedded import ports
from fcgraph.embedded.up import UVICORN_OPTIONS
from tests import services
from tests.waiting import until

ROOT = Path(__file__).parents[3]
POSTGRAPHILE = Path(__file__).parent / "postgraphile"
NODE = POSTGRAPHILE / "node_modules" / "node" / "bin" / "node"
START_SECONDS = 60


def install_postgraphile() -> None:
    """Install the pinned versions of PostGraphile and a suitable Node.js with npm."""
    if not NODE.exists():
        subprocess.run(["npm", "ci", "--silent", "--no-progress"], cwd=POSTGRAPHILE, check=True)


@contextmanager
def uvicorn(app: str, database_url: str, processes: int, ready: str) -> Iterator[str]:
    """One of our ASGI applications; yields its address."""
    port = ports.free()
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--no-access-log", "--log-level", "warning"]
    command += [*UVICORN_OPTIONS, "--workers", str(processes)]
    environment = services.clean_environment() | {"DATABASE_URL": database_url, "LOG_LEVEL": "WARNING"}
    with _running(command, ROOT, environment, f"http://127.0.0.1:{port}", ready) as url:
        yield url


@contextmanager
def postgraphile(database_url: str, processes: int) -> Iterator[str]:
    """PostGraphile in production mode."""
    port = ports.free()
    environment = {
        **services.clean_environment(),
        "DATABASE_URL": database_url,
        "PORT": str(port),
        "PROCESSES": str(processes),
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
    }
    url = f"http://127.0.0.1:{port}"
    with _running([str(NODE), "server.mjs"], POSTGRAPHILE, environment, url, "/graphql") as found:
        yield found


@contextmanager
def _running(command: list[str], folder: Path, environment: dict[str, str], url: str, ready: str) -> Iterator[str]:
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
    try:
        until(lambda: _answers(url + ready), START_SECONDS)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=START_SECONDS)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).status_code < 500
    except httpx2.TransportError:
        return False
