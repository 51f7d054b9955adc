"""The embedded PostgreSQL: recovers from a kill -9 without manual steps; the data and its guarantees are intact."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import psycopg2
import pytest

from fcgraph.embedded import ports, postgres
from fcgraph.embedded.process import Process
from tests.embedded.processes import none_runs
from tests.waiting import until


def start(folder: Path, port: int) -> Process:
    process = Process(postgres.part(folder, port), lambda *_: None)
    process.start()
    process.wait_until_ready(60)
    return process


def ask(port: int, statement: str) -> str:
    connection = psycopg2.connect(postgres.url(port, "postgres"))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return str(cursor.fetchone()[0]) if cursor.description else ""
    finally:
        connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "postgres"


def test_it_is_postgresql_18_with_checksums_fsync_and_utc(folder: Path) -> None:
    port = ports.free()
    server = start(folder, port)
    try:
        shown = {name: ask(port, f"SHOW {name}") for name in ("data_checksums", "fsync", "timezone", "server_encoding")}
        assert shown == {"data_checksums": "on", "fsync": "on", "timezone": "UTC", "server_encoding": "UTF8"}
        assert ask(port, "SHOW server_version").startswith("18.")
        assert ask(port, "SHOW listen_addresses") == "127.0.0.1"
    finally:
        server.stop()
    assert server.exit_code == 0


def test_its_memory_is_a_share_of_what_there_is(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    memory = psutil.virtual_memory().total
    container = tmp_path / "memory.max"
    monkeypatch.setattr(postgres, "CGROUP_LIMIT", container)
    assert postgres.shared_buffers_bytes() == min(memory // 4, postgres.SHARED_BUFFERS_MAX)
    container.write_text("max\n")
    assert postgres.shared_buffers_bytes() == min(memory // 4, postgres.SHARED_BUFFERS_MAX)
    container.write_text(f"{1 << 30}\n")
    assert postgres.shared_buffers_bytes() == 1 << 28
    assert postgres.WAL_MIN <= postgres.wal_bytes(folder / "not" / "there") <= postgres.WAL_MAX
    port = ports.free()
    server = start(folder, port)
    try:
        assert ask(port, "SHOW shared_buffers") == "256MB"
        assert ask(port, "SELECT setting FROM pg_settings WHERE name = 'max_wal_size'") == wal_size(server)
    finally:
        server.stop()


def wal_size(server: Process) -> str:
    """The server's `max_wal_size` option, in MB."""
    (option,) = [a for a in server.part.argv if a.startswith("--max_wal_size=")]
    return option.removeprefix("--max_wal_size=").removesuffix("MB")


def test_waiting_for_it_leaves_nothing_alarming_in_its_log(folder: Path) -> None:
    lines: list[str] = []
    server = Process(postgres.part(folder, ports.free()), lambda _, line: lines.append(line))
    try:
        server.start()
        server.wait_until_ready(60)
        assert any("ready to accept connections" in line for line in lines)
        assert not [line for line in lines if "FATAL" in line or "ERROR" in line]
    finally:
        server.stop()


def test_killed_it_starts_again_although_its_number_belongs_to_somebody_else(folder: Path) -> None:
    port = ports.free()
    server = start(folder, port)
    try:
        ask(port, "CREATE TABLE kept (id int)")
        children = [p.pid for p in psutil.Process(server.pid).children()]
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: none_runs([server.pid, *children]), 20)
    finally:
        server.stop()
    lines = (folder / "postmaster.pid").read_text().splitlines()
    (folder / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    again = start(folder, port)
    try:
        assert ask(port, "SELECT count(*) FROM kept") == "0"
    finally:
        again.stop()


def test_a_server_that_its_supervisor_left_behind_is_ended_first(folder: Path) -> None:
    port = ports.free()
    orphan = start(folder, port)
    try:
        ask(port, "CREATE TABLE kept (id int)")
        again = start(folder, port)
        try:
            until(lambda: none_runs([orphan.pid]), 10)
            assert ask(port, "SELECT count(*) FROM kept") == "0"
        finally:
            again.stop()
    finally:
        orphan.stop()


def test_half_made_data_is_made_anew(folder: Path) -> None:
    folder.mkdir()
    (folder / "base").mkdir()  # what an interrupted initdb leaves behind
    port = ports.free()
    server = start(folder, port)
    try:
        assert ask(port, "SELECT 1") == "1"
    finally:
        server.stop()
