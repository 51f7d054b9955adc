"""How fast a dirty CSV goes through the RQ job, over plain COPY of its clean rows; how much memory; and how it grows.

`python -m tests.bench.csv_intake [--rows N] [--users N] [--rounds N] [--growth MILLIONS] [--gigabyte]`; prints tables,
asserts nothing. The LIMIT is COPY of the same new rows over one connection into the same table with its indexes and
plain foreign keys, measured in the same round on a separate database.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from fcgraph import db, imports, queue
from fcgraph.embedded import postgres
from fcgraph.settings import Settings
from fcgraph.storage.files import Files
from tests import services
from tests.bench.kafka_intake import (
    DATABASE,
    add_users,
    copy_reference_seconds,
    copy_seconds,
    make_database,
    make_reference,
)
from tests.bench.payments_csv import HEADER, make_dirty, payments, user_ids
from tests.jobs.processes import children

END_SECONDS = 3600
READ_BYTES = 1 << 20
MILLION = 1_000_000
WATCH_SECONDS = 0.5  # sampling takes processor time from the import, and only the peak matters


class Stack:
    """The environment of an import: settings for a database and a Redis, and the measured memory of the worker."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings = settings
        self.engine = engine
        self.peak_bytes = 0

    def run(self, file: Path) -> Any:
        """Accept the file, let a plain `rq worker` run it, and return the import's row."""
        import_id = self._accept(file)
        queue.enqueue_import(self.settings.redis_url, import_id)
        rq = [str(Path(sys.executable).parent / "rq"), "worker", "--burst", "--url", self.settings.redis_url]
        environment = services.environment(self.settings) | {"LOG_LEVEL": "WARNING"}
        with subprocess.Popen(rq, cwd=services.ROOT, env=environment, stdout=subprocess.DEVNULL) as worker:
            ended = threading.Event()
            watcher = threading.Thread(target=self._watch, args=(worker.pid, ended))
            watcher.start()
            code = worker.wait(END_SECONDS)
            ended.set()
            watcher.join()
        assert code == 0, f"rq worker ended with {code}"
        with db.read(self.engine) as connection:
            row = connection.execute(
                sa.text("SELECT *, extract(epoch FROM finished_at - started_at)::float8 AS seconds FROM imports"
                        " WHERE import_id = :id"),
                {"id": import_id},
            ).one()  # fmt: skip
        assert row.state.startswith("SUCCEEDED"), row.state
        return row

    def _accept(self, file: Path) -> UUID:
        with file.open("rb") as stream:
            accepted = imports.accept(
                self.engine, Files(self.settings.uploads_dir), iter(lambda: stream.read(READ_BYTES), b""),
                file_name=file.name, dry_run=False, mode="VALID_ROWS", expected=None, reimport=True,
                correlation_id="bench", upload_max_bytes=1 << 40,
            )  # fmt: skip
        return accepted.import_id

    def _watch(self, pid: int, ended: threading.Event) -> None:
        """Record the largest peak of resident memory that the job's process has reached."""
        while not ended.wait(WATCH_SECONDS):
            with suppress(FileNotFoundError, ProcessLookupError):  # one of the processes has just ended
                for child in children(pid):
                    self.peak_bytes = max(self.peak_bytes, peak_of(child))


def peak_of(pid: int) -> int:
    """The peak of a process's resident memory in bytes; 0 for one that is ending."""
    found = re.search(r"^VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def settings_of(port: int, redis_url: str, folder: Path) -> Settings:
    """The default settings, on the servers of the benchmark."""
    return Settings(database_url=postgres.url(port, DATABASE), redis_url=redis_url, uploads_dir=folder / "uploads")


def rounds(port: int, redis_url: str, folder: Path, arguments: argparse.Namespace, console: Console) -> None:
    """The LIMIT and the import in turn, each on a fresh database."""
    users = user_ids(arguments.users)
    made = make_dirty(folder, arguments.rows, users)
    table = Table("round", "COPY rows/s", "import rows/s", "ratio", "peak MB", title=f"{arguments.rows:,} rows, dirty")
    ratios = []
    for n in range(arguments.rounds):
        engine = make_database(port)
        add_users(engine, users)
        limit = len(made.clean) / copy_seconds(engine, made.clean)
        stack = Stack(settings_of(port, redis_url, folder), engine)
        stack.run(made.stored)
        row = stack.run(made.dirty)
        ratios.append(row.read_count / row.seconds / limit)
        table.add_row(
            str(n + 1), f"{limit:,.0f}", f"{row.read_count / row.seconds:,.0f}", f"{ratios[-1]:.2f}",
            f"{stack.peak_bytes / 1e6:.0f}",
        )  # fmt: skip
        engine.dispose()
    console.print(table)
    console.print(f"last import: {counts(row)}")
    console.print(f"median ratio {statistics.median(ratios):.2f}")


def counts(row: Any) -> str:
    """The import's counts in one line."""
    names = ("read", "inserted", "updated", "duplicate", "stale", "conflict", "rejected")
    return ", ".join(f"{name} {getattr(row, name + '_count'):,}" for name in names)


def growth(port: int, redis_url: str, folder: Path, arguments: argparse.Namespace, console: Console) -> None:
    """Import files of one million clean rows each into the same table; then the same for the LIMIT."""
    users = user_ids(arguments.users)
    file = folder / "million.csv"

    def import_seconds(engine: Engine, rows: Iterable[list[str]]) -> float:
        with file.open("w", encoding="utf-8") as out:
            out.write(HEADER)
            out.writelines(",".join(row) + "\n" for row in rows)
        return float(Stack(settings_of(port, redis_url, folder), engine).run(file).seconds)

    for name, seconds in (("import", import_seconds), ("COPY", copy_reference_seconds)):
        engine = make_database(port)
        add_users(engine, users)
        make_reference(engine)
        first = 0.0
        for n in range(arguments.growth):
            rate = MILLION / seconds(engine, islice(payments(f"growth {n}", users), MILLION))
            first = first or rate
            console.print(f"{name}, million {n + 1}: {rate:,.0f} rows/s, {rate / first:.2f} of the first")
        engine.dispose()


def gigabyte(port: int, redis_url: str, folder: Path, arguments: argparse.Namespace, console: Console) -> None:
    """A file of 1 GB (the same dirty rows again and again): how much memory its job needs."""
    users = user_ids(arguments.users)
    engine = make_database(port)
    add_users(engine, users)
    made = make_dirty(folder, 100_000, users)
    rows = made.dirty.read_bytes().split(b"\n", 1)[1]
    big = folder / "big.csv"
    with big.open("wb") as out:
        out.write(HEADER.encode())
        while out.tell() < 1_000_000_000:
            out.write(rows)
    stack = Stack(settings_of(port, redis_url, folder), engine)
    row = stack.run(big)
    size = os.path.getsize(big)
    console.print(f"a file of {size / 1e6:,.0f} MB: peak {stack.peak_bytes / 1e6:.0f} MB; {counts(row)}")
    engine.dispose()


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--users", type=int, default=50_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--growth", type=int, default=0, help="how many millions to import one after the other")
    options.add_argument("--gigabyte", action="store_true")
    arguments = options.parse_args()
    console = Console()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(services.postgres_server(folder / "postgres", fsync=True, shared_buffers=None))
        redis_url = stack.enter_context(services.redis_server(folder / "redis"))
        services.make_template(port)
        if arguments.rounds:
            rounds(port, redis_url, folder, arguments, console)
        if arguments.growth:
            growth(port, redis_url, folder, arguments, console)
        if arguments.gigabyte:
            gigabyte(port, redis_url, folder, arguments, console)


if __name__ == "__main__":
    main()
