"""Loads the seeds: users and currencies, and optionally demo payments of 2025 through the intake. Idempotent."""

from __future__ import annotations

import csv
import random
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from fcgraph.intake import Counts, Writer
from fcgraph.settings import Settings

FOLDER = Path(__file__).parent
SAMPLE_MESSAGES = FOLDER / "sample_kafka_messages.jsonl"
SAMPLE_CSV = FOLDER / "sample_transactions.csv"
DEMO_PAYMENTS = 2000
DEMO_SEED = 2025
_UPSERT_USER = "INSERT INTO users (user_id, name) VALUES (:user_id, :name) ON CONFLICT DO NOTHING"
_UPSERT_CURRENCY = (
    "INSERT INTO currency (code, name, symbol, minor_units) VALUES (:code, :name, :symbol, :minor_units)"
    " ON CONFLICT DO NOTHING"
)


def load_reference(connection: Connection) -> None:
    """Add the missing seed users and currencies; existing rows stay unchanged."""
    connection.execute(sa.text(_UPSERT_USER), _rows("users.csv"))
    connection.execute(sa.text(_UPSERT_CURRENCY), _rows("currencies.csv"))


def load_demo(engine: Engine, settings: Settings) -> Counts:
    """Add the demo payments through the intake; on a second run all of them are duplicates."""
    users = [row["user_id"] for row in _rows("users.csv")]
    writer = Writer(engine, settings)
    try:
        return writer.submit_rows(demo_payments(users), correlation_id="seed-demo")
    finally:
        writer.close()


def demo_payments(users: list[str]) -> list[dict[str, str | None]]:
    """The demo payments, deterministic and spread over the twelve months of 2025."""
    rnd = random.Random(DEMO_SEED)  # noqa: S311 demo data, not a secret
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    year = int(timedelta(days=365).total_seconds())
    payments: list[dict[str, str | None]] = []
    for _ in range(DEMO_PAYMENTS):
        sender, receiver = rnd.sample(users, 2)
        cents = rnd.randrange(100, 50_000) if rnd.random() < 0.95 else rnd.randrange(900_000, 2_500_000)
        at = begin + timedelta(seconds=rnd.randrange(year))
        payments.append(
            {
                "transaction_id": str(uuid.UUID(int=rnd.getrandbits(128), version=4)),
                "sender_id": sender,
                "receiver_id": receiver,
                "amount": f"{cents // 100}.{cents % 100:02}",
                "currency": rnd.choice(("USD", "PHP", "EUR")),
                "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "status": rnd.choices(("completed", "pending", "failed"), weights=(90, 6, 4))[0],
            }
        )
    return payments


def _rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
