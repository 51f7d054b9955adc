"""The same records through the other channel, in another order, into a new database, give the same bytes."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db, reports
from fcgraph.embedded import postgres
from fcgraph.storage.files import Files
from tests import services
from tests.intake.channels import Resources, settings_of
from tests.reports.conftest import AFTER_MAY
from tests.reports.stored import Paid, user
from tests.reports.test_content import random_payments

COLUMNS = ("transaction_id", "sender_id", "receiver_id", "amount", "currency", "timestamp", "status")


@pytest.fixture
def other_database_url(postgres_port: int) -> Iterator[str]:
    """A second new database."""
    database = f"test_{uuid.uuid4().hex}"
    services.copy_template(postgres_port, database)
    yield postgres.url(postgres_port, database)
    services.drop_database(postgres_port, database)


def record(paid: Paid, status: str) -> dict[str, str]:
    return {
        "transaction_id": str(paid.transaction_id),
        "sender_id": str(user(paid.sender)),
        "receiver_id": str(user(paid.receiver)),
        "amount": paid.amount,
        "currency": paid.currency,
        "timestamp": paid.at,
        "status": status,
    }


def report_of(engine: Engine, folder: Path) -> bytes:
    files = Files(folder / "reports")
    reports.generate(engine, files, "2025-05", time_zone="Asia/Manila", now=AFTER_MAY, correlation_id="test")
    return files.path("monthly_report_2025-05_v1.csv").read_bytes()


def test_the_other_channel_and_another_order_give_the_same_bytes(
    engine: Engine, database_url: str, other_database_url: str, tmp_path: Path
) -> None:
    payments = random_payments(400, seed=11)
    # Some arrive twice: also as pending, before or after; it must make no difference.
    records = [record(p, p.status) for p in payments] + [record(p, "pending") for p in payments[:100]]
    chance = random.Random(12)

    chance.shuffle(records)
    by_csv = Resources(engine, settings_of(database_url, tmp_path / "csv"))
    by_csv.import_rows(",".join(r[c] for c in COLUMNS) for r in records)
    first = report_of(engine, tmp_path / "csv")

    chance.shuffle(records)
    other = db.make_engine(other_database_url, name="tests", pool_max=8)
    by_kafka = Resources(other, settings_of(other_database_url, tmp_path / "kafka"))
    messages = [(n % 4, n // 4, json.dumps(r).encode()) for n, r in enumerate(records)]
    by_kafka.send(messages, slice_max=37)
    assert report_of(other, tmp_path / "kafka") == first
    assert len(first.splitlines()) > 200
    for database in (engine, other):
        with db.read(database) as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM transactions")) == 400
    other.dispose()
