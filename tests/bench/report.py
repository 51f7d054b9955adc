"""How long a big month's report takes over COPY of the same SELECT to a file, and how much memory it needs.

`python -m tests.bench.report [--payments N] [--users N]`; prints a table, asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg2
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from fcgraph import db
from fcgraph.embedded import postgres
from fcgraph.reports import generation, parse_period
from tests import services

PERIOD = "2025-05"
ROUNDS = 3
PROGRAM = """
import datetime, json, pathlib, resource, sys, time
from fcgraph import db, reports
from fcgraph.observability import log
from fcgraph.storage.files import Files
log.set_up("bench", level="WARNING")
engine, files = db.make_engine(sys.argv[1], name="bench"), Files(pathlib.Path(sys.argv[2]))
now = datetime.datetime(2025, 6, 1, 0, 0, 1, tzinfo=datetime.UTC)
began = time.perf_counter()
made = reports.generate(engine, files, sys.argv[3], time_zone="UTC", now=now, correlation_id="bench")
seconds = time.perf_counter() - began
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "memory_bytes": memory, "version": made.version}))
"""


def make_month(engine: Engine, payments: int, users: int) -> None:
    """A month of completed payments between generated users, spread over days and three currencies."""
    with db.write(engine) as connection:
        connection.execute(
            sa.text(
                "INSERT INTO users (user_id, name)"
                " SELECT md5(n::text)::uuid, 'user ' || n FROM generate_series(1, :n) n"
            ),
            {"n": users},
        )
        batch_id = connection.scalar(
            sa.text(
                "INSERT INTO intake_batches (kind, correlation_id, read_count, inserted_count)"
                " VALUES ('SEED', 'bench', :n, :n) RETURNING batch_id"
            ),
            {"n": payments},
        )
        connection.execute(
            sa.text(
                "INSERT INTO transactions (transaction_id, sender_id, receiver_id, timestamp, batch_id,"
                " source_position, is_suspicious, amount, currency, status)"
                " SELECT md5('payment' || n)::uuid, md5((1 + (hashint8(n) & 2147483647) % :users)::text)::uuid,"
                " md5((1 + (hashint8(n + 7919) & 2147483647) % :users)::text)::uuid,"
                " timestamptz '2025-05-01 00:00Z'"
                " + (hashint8(n * 3) & 2147483647) % (31 * 86400) * interval '1 second',"
                " :batch_id, n, false, round(((hashint8(n * 5) & 2147483647) % 1000000) / 100.0, 2),"
                " (ARRAY['USD', 'EUR', 'PHP'])[1 + n % 3], 'completed' FROM generate_series(1, :payments) n"
            ),
            {"users": users, "payments": payments, "batch_id": batch_id},
        )
        connection.execute(sa.text("UPDATE intake_batches SET watermark = 1"))
        connection.execute(sa.text("UPDATE intake_watermark SET last = 1"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE transactions")


def server_file(engine: Engine) -> Path:
    """A file in the only folder that the server can certainly write to."""
    with db.read(engine) as connection:
        return Path(connection.exec_driver_sql("SHOW data_directory").scalar_one()) / "copy.csv"


def copy_seconds(database_url: str, target: Path) -> float:
    """COPY of the very SELECT of the report, written by the server itself."""
    month = parse_period(PERIOD)
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SET timezone = 'UTC'")
        values = {
            "first_day": month.first_day,
            "last_day": month.last_day,
            "zone": "UTC",
            "statuses": generation.STATUSES,
        }
        select = cursor.mogrify(generation.LINES, values).decode()
        began = time.perf_counter()
        cursor.execute(f"COPY ({select}) TO '{target}' WITH (FORMAT csv, HEADER)")
        seconds = time.perf_counter() - began
    connection.close()
    return seconds


def report_run(engine: Engine, database_url: str, folder: Path) -> dict[str, Any]:
    """The report in a separate process, as version 1 each time."""
    with db.write(engine) as connection:
        connection.execute(sa.text("DELETE FROM reports"))
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, database_url, str(folder), PERIOD],
        check=True,
        capture_output=True,
        text=True,
        env=services.clean_environment(),
        cwd=services.ROOT,
    )
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=50_000)
    query = parser.parse_args()
    console = Console()
    with (
        tempfile.TemporaryDirectory() as name,
        services.postgres_server(Path(name), fsync=True, shared_buffers=None) as port,
    ):
        services.make_template(port)
        database_url = postgres.url(port, services.TEMPLATE)
        engine = db.make_engine(database_url, name="bench")
        with console.status(f"making {query.payments:,} payments"):
            make_month(engine, query.payments, query.users)
        target = server_file(engine)
        copies, reports = [], []
        for _ in range(ROUNDS):
            copies.append(copy_seconds(database_url, target))
            reports.append(report_run(engine, database_url, Path(name) / "reports"))
        file = Path(name) / "reports" / generation.FILE_NAME.format(period=PERIOD, version=1)
        # Read at its own path: if root runs the server, only the server itself can use its name of the folder.
        same = file.read_bytes() == (Path(name) / "postgres" / target.name).read_bytes()
        size = file.stat().st_size
    copy = statistics.median(copies)
    report = statistics.median(r["seconds"] for r in reports)
    table = Table(title=f"{query.payments:,} payments of {query.users:,} users, median of {ROUNDS}")
    for column in ("", "seconds", "over COPY", "memory MB"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("COPY (SELECT) TO file", f"{copy:.2f}", "1.00", "")
    memory = max(r["memory_bytes"] for r in reports) / 1e6
    table.add_row("report", f"{report:.2f}", f"{report / copy:.2f}", f"{memory:.0f}")
    console.print(table)
    console.print(f"file of {size / 1e6:.0f} MB; bytes of both are {'the same' if same else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
