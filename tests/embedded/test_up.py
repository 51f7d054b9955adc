"""`python -m fcgraph up` for real, on the in-process broker: what it prints, what it stores, what others see."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from fcgraph.embedded import ports, stack
from tests import services
from tests.embedded.processes import kill, none_runs
from tests.waiting import until

READY_SECONDS = 90
REFUSED, NOT_ALL = 3, 4


class Clone:
    """A data folder and a port for one `up` after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api = f"http://127.0.0.1:{(port := ports.free())}"
        self.environment = services.clean_environment() | {
            "DATA_DIR": str(folder / "data"),
            "API_PORT": str(port),
            "KAFKA_EMBEDDED": "in-process",
        }
        self.log = folder / "up.log"
        self._up: subprocess.Popen[bytes] | None = None

    def up(self, **more: str) -> subprocess.Popen[bytes]:
        """Start it and wait until it reports that everything is up."""
        self.log.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            self._up = up = subprocess.Popen(
                [sys.executable, "-m", "fcgraph", "up"],
                cwd=services.ROOT, env=self.environment | more, stdout=log, stderr=log,
            )  # fmt: skip
        until(lambda: "fcgraph is up" in self.said() or up.poll() is not None, READY_SECONDS)
        assert up.poll() is None, self.said()
        return up

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def command(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m fcgraph …` next to it."""
        return subprocess.run(
            [sys.executable, "-m", "fcgraph", *arguments],
            cwd=services.ROOT, env=self.environment | more, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def joined(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script in a shell that has read the env file."""
        return subprocess.run(
            ["sh", "-c", f". {self.folder / 'data' / 'env'} && {script}"],
            cwd=services.ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.command("status", "--json").stdout)
        return status

    def broker(self) -> str:
        """The broker's address now."""
        running = stack.running(self.folder / "data")
        assert running is not None, self.said()
        return running["kafka_broker"]

    def end(self) -> None:
        if self._up is not None and self._up.poll() is None:
            self._up.terminate()
            self._up.wait(60)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    made = Clone(tmp_path_factory.mktemp("up"))
    yield made
    made.end()


def everybody(up: subprocess.Popen[bytes]) -> list[int]:
    return [up.pid, *(child.pid for child in psutil.Process(up.pid).children(recursive=True))]


def test_up_again_and_again(clone: Clone) -> None:
    """One scenario, as a start takes seconds: up, joined, damaged, stopped; up with its data; killed; up again."""
    up = clone.up()
    said = clone.said()
    assert f"{clone.api}/graphql" in said
    assert "in memory only" in said
    assert httpx2.get(f"{clone.api}/health/ready").status_code == 200

    status = clone.status()
    assert set(status["processes"]) == {"postgres", "redis", "kafka", "api", "consumer", "worker", "scheduler"}
    assert all(process["state"] == "running" for process in status["processes"].values())
    assert (status["api_url"], status["kafka_kind"]) == (clone.api, "in-process")
    assert status["database_url"].startswith("postgresql://postgres@127.0.0.1:")

    second = clone.command("up")
    assert second.returncode == REFUSED
    assert f"already up on {clone.folder / 'data'} (process {up.pid}, {clone.api})" in second.stderr
    assert "Three things to try" in second.stdout  # the first one's output has long scrolled away
    assert f"{clone.api}/graphql" in second.stdout
    assert f"{clone.api}/graphql" in clone.command("status").stdout

    imported = clone.command("import", "seeds/sample_transactions.csv", "--json")
    assert imported.returncode == NOT_ALL, imported.stderr
    counts = json.loads(imported.stdout)["counts"]
    assert {name: count for name, count in counts.items() if count} == {
        "read": 4, "inserted": 2, "duplicate": 1, "rejected": 1, "suspicious": 1,
    }  # fmt: skip

    worked = clone.joined("rq worker --burst")
    assert worked.returncode == 0, worked.stderr
    assert clone.joined('echo "$API_URL"').stdout == f"{clone.api}\n"
    sent = clone.joined("python -m workers.producer")
    assert "3 delivered" in sent.stderr
    assert f"the playground, {clone.api}/graphql" in sent.stderr
    until(lambda: clone.status()["consumer_lag"]["total"] == 0, 30)
    versions = clone.command("--version").stdout.splitlines()
    assert versions[1].endswith(f"(the database has {versions[1].split()[1]})")
    assert versions[2].startswith("PostgreSQL 18.")
    shell = clone.joined("env -0").stdout

    kill(status["processes"]["kafka"]["pid"])  # its address changes: its clients are restarted
    until(lambda: clone.broker() != status["kafka_broker"], 30)
    until(lambda: listens(clone) and httpx2.get(f"{clone.api}/health/ready").status_code == 200, 60)
    assert clone.status()["processes"]["kafka"]["restarts"] == 1
    assert "kafka was killed by SIGKILL; it is started again in 0.5 s" in clone.said()

    left = everybody(up)
    up.send_signal(signal.SIGTERM)
    assert up.wait(60) == 0, clone.said()
    assert none_runs(left)
    assert clone.command("status").returncode == REFUSED
    assert "fcgraph is not up here" in clone.joined("true").stderr
    stale = dict(line.split("=", 1) for line in shell.split("\0") if line)
    done = clone.command("status", **stale)
    assert done.returncode == REFUSED
    assert "has the addresses of an `up`" in done.stderr

    up = clone.up(**stale)  # in the same shell: what the first one chose is not a setting of this one
    assert clone.command("status", **stale).returncode == 0
    again = clone.status()
    assert again["database_url"] == status["database_url"]
    assert json.loads(clone.command("import", "seeds/sample_transactions.csv", "--json").stdout)["already_imported"]

    left = everybody(up)
    kill(up.pid)
    up.wait()
    clone.up()  # at once: it ends what the killed one left behind
    assert none_runs(left)
    assert json.loads(clone.command("report", "--period", "2025-05", "--json").stdout)["row_count"] == 6


def listens(clone: Clone) -> bool:
    """Whether the API takes connections; it is restarted with the others."""
    port = int(clone.environment["API_PORT"])
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("setting", ["API_PORT", "EMBEDDED_POSTGRES_PORT"])
def test_a_taken_port_is_a_clear_error(clone: Clone, tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        changes = {"DATA_DIR": str(tmp_path), "API_PORT": str(ports.free()), setting: str(port)}
        refused = clone.command("up", **changes)
    assert refused.returncode == REFUSED
    assert refused.stderr == (
        f"port {port} ({setting}) is taken: stop what listens there, or set {setting} to another port (PORT_TAKEN)\n"
    )


def test_status_of_nothing_is_refused(clone: Clone, tmp_path: Path) -> None:
    done = clone.command("status", "--json", DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert "fcgraph is not up here" in done.stderr


def test_a_wrong_setting_is_reported_by_name_before_anything_starts(clone: Clone, tmp_path: Path) -> None:
    done = clone.command("up", DATA_DIR=str(tmp_path / "data"), API_PORT="70000secret")
    assert done.returncode == 2
    assert "API_PORT" in done.stderr
    assert "secret" not in done.stderr
    assert not os.path.exists(tmp_path / "data")
