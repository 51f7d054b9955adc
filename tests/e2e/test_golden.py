"""The sample data goes through the whole system: Kafka, upload, worker, report; in both orders, and everything twice.

All processes are real and used only over HTTP; the database is read only for data that no response contains.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db
from fcgraph.embedded import ports
from fcgraph.settings import Settings
from tests import services
from tests.waiting import until
from tests.workers.process import Process

SAMPLE_CSV = services.ROOT / "seeds" / "sample_transactions.csv"
READY_SECONDS = 60
COUNTS = ("read", "inserted", "updated", "duplicate", "stale", "conflict", "rejected", "suspicious")

IMPORT = """
mutation ($file: Upload!) {
  importCsv(input: {source: {upload: $file}}) { alreadyImported job { importId } userErrors { code message } }
}
"""
JOB = """
query ($id: UUID!) {
  importJob(importId: $id) {
    state progress counts { read inserted updated duplicate stale conflict rejected suspicious }
    records { nodes { outcome source { lineNumber } problems { column code } } }
  }
}
"""
REPORT = """
mutation {
  generateMonthlyReport(period: "2025-05") {
    unchanged
    userErrors { code }
    reportFile {
      version rowCount balanced isFinalPeriod changesSince fileName downloadUrl sha256 sizeBytes statuses timeZone
      totals { currency totalSent totalReceived sentCount receivedCount }
    }
  }
}
"""
RECORDS = """
{ intakeRecords(source: KAFKA) { totalCount nodes { outcome raw problems { column code } } } }
"""
PAYMENTS = "{ payments { nodes { transactionId status isSuspicious amount currency source { kind } } } }"


class System:
    """API, consumer and worker, running with the test's settings."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        port = ports.free()
        self._folder = folder
        self._settings = settings
        self.url = f"http://127.0.0.1:{port}"
        self.processes = [
            Process("uvicorn", folder / "api.log", settings, "fcgraph.api.app:app", "--port", str(port)),
            Process("workers.consumer", folder / "consumer.log", settings),
            Process("workers.worker", folder / "worker.log", settings),
        ]

    def wait_until_ready(self) -> None:
        until(self._is_ready, READY_SECONDS)

    def ask(self, query: str, **variables: object) -> Any:
        return self._data(httpx2.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=30))

    def upload(self, file: Path) -> Any:
        """Send the file as the GraphQL multipart request specification defines; returns the payload of importCsv."""
        answer = httpx2.post(
            f"{self.url}/graphql",
            headers={"GraphQL-Require-Preflight": "1"},
            data={
                "operations": json.dumps({"query": IMPORT, "variables": {"file": None}}),
                "map": json.dumps({"0": ["variables.file"]}),
            },
            files={"0": (file.name, file.read_bytes(), "text/csv")},
            timeout=30,
        )
        payload = self._data(answer)["importCsv"]
        assert payload["userErrors"] == []
        return payload

    def send_samples(self) -> None:
        """Run the sample sender to its end."""
        log = self._folder / "producer.log"
        assert Process("workers.producer", log, self._settings).end(60) == 0, log.read_text()

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.end()

    def _is_ready(self) -> bool:
        assert all(process.is_running for process in self.processes), [p.text()[-2000:] for p in self.processes]
        try:
            return httpx2.get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    @staticmethod
    def _data(answer: httpx2.Response) -> Any:
        body = answer.json()
        assert answer.status_code == 200, body
        assert "errors" not in body, body
        return body["data"]


@pytest.fixture
def system(settings: Settings, tmp_path: Path) -> Iterator[System]:
    made = System(settings, tmp_path)
    try:
        made.wait_until_ready()
        yield made
    finally:
        made.stop()


def result(engine: Engine, kind: str) -> tuple[int, ...]:
    """The outcomes of all records that arrived through one channel."""
    with db.read(engine) as connection:
        sums = ", ".join(f"coalesce(sum({name}_count), 0)" for name in COUNTS)
        row = connection.execute(sa.text(f"SELECT {sums} FROM intake_batches WHERE kind = :kind"), {"kind": kind}).one()
    return tuple(int(n) for n in row)


def send_to_kafka(system: System, engine: Engine, reads: int) -> None:
    system.send_samples()
    until(lambda: result(engine, "KAFKA")[0] == reads, seconds=30)


def import_csv(system: System) -> Any:
    """Upload the sample and wait for the worker; returns the finished import."""
    import_id = system.upload(SAMPLE_CSV)["job"]["importId"]
    until(lambda: system.ask(JOB, id=import_id)["importJob"]["progress"] == 1, seconds=30)
    return system.ask(JOB, id=import_id)["importJob"]


def check_kafka(system: System, engine: Engine) -> None:
    assert result(engine, "KAFKA") == (3, 2, 0, 0, 0, 0, 1, 1)
    records = system.ask(RECORDS)["intakeRecords"]
    assert records["totalCount"] == 1
    record = records["nodes"][0]
    assert record["outcome"] == "REJECTED"
    assert json.loads(record["raw"])["amount"] in (-5.0, -5, "-5.00")
    codes = {(p["column"], p["code"]) for p in record["problems"]}
    assert codes == {
        ("amount", "NEGATIVE_AMOUNT"),
        ("timestamp", "INVALID_TIMESTAMP"),
        ("status", "INVALID_STATUS"),
    }


def check_csv(job: Any) -> None:
    assert job["state"] == "SUCCEEDED_WITH_REJECTS"
    assert tuple(job["counts"][name] for name in COUNTS) == (4, 2, 0, 1, 0, 0, 1, 1)
    (rejected,) = job["records"]["nodes"]
    assert (rejected["outcome"], rejected["source"]["lineNumber"]) == ("REJECTED", "5")
    assert {p["code"] for p in rejected["problems"]} == {"INVALID_UUID", "INVALID_TIMESTAMP", "INVALID_STATUS"}


def check_report(system: System) -> bytes:
    """Generate the report and check its row against its bytes; returns the bytes."""
    made = system.ask(REPORT)["generateMonthlyReport"]
    assert (made["userErrors"], made["unchanged"]) == ([], False)
    report = made["reportFile"]
    assert {name: report[name] for name in ("version", "rowCount", "balanced", "isFinalPeriod", "changesSince")} == {
        "version": 1,
        "rowCount": 6,
        "balanced": True,
        "isFinalPeriod": True,
        "changesSince": 0,
    }
    assert {t["currency"]: (t["totalSent"], t["totalReceived"]) for t in report["totals"]} == {
        "USD": ("500.00", "500.00"),
        "PHP": ("15000.00", "15000.00"),
    }
    download = httpx2.get(system.url + report["downloadUrl"])
    assert download.status_code == 200
    assert hashlib.sha256(download.content).hexdigest() == report["sha256"]
    assert len(download.content) == int(report["sizeBytes"])
    rows = list(csv.DictReader(io.StringIO(download.text)))
    assert len(rows) == 6
    for currency, total in (("USD", Decimal("500.00")), ("PHP", Decimal("15000.00"))):
        for column in ("total_sent", "total_received"):
            assert sum(Decimal(r[column]) for r in rows if r["currency"] == currency) == total
    return download.content


@pytest.mark.parametrize("first", ["kafka", "csv"])
def test_the_samples_give_the_golden_numbers(system: System, engine: Engine, first: str) -> None:
    if first == "kafka":
        send_to_kafka(system, engine, reads=3)
        check_csv(import_csv(system))
    else:
        check_csv(import_csv(system))
        send_to_kafka(system, engine, reads=3)
    check_kafka(system, engine)
    payments = system.ask(PAYMENTS)["payments"]["nodes"]
    assert len(payments) == 4
    assert sorted((p["amount"], p["currency"], p["status"]) for p in payments if p["isSuspicious"]) == [
        ("15000.00", "PHP", "COMPLETED"),
        ("15000.00", "USD", "PENDING"),
    ]
    report = check_report(system)
    assert report.decode() == GOLDEN_REPORT

    # Everything again: nothing changes.
    send_to_kafka(system, engine, reads=6)
    assert result(engine, "KAFKA")[:2] == (6, 2)
    assert system.upload(SAMPLE_CSV)["alreadyImported"] is True
    again = system.ask(REPORT)["generateMonthlyReport"]
    assert (again["unchanged"], again["reportFile"]["version"]) == (True, 1)
    assert sorted(map(str, system.ask(PAYMENTS)["payments"]["nodes"])) == sorted(map(str, payments))


GOLDEN_REPORT = """\
user_id,day,total_sent,total_received,currency,sent_count,received_count
00000000-0000-0000-0000-000000000001,2025-05-01,250.00,0.00,USD,1,0
00000000-0000-0000-0000-000000000001,2025-05-10,250.00,0.00,USD,1,0
00000000-0000-0000-0000-000000000002,2025-05-01,0.00,250.00,USD,0,1
00000000-0000-0000-0000-000000000002,2025-05-10,0.00,250.00,USD,0,1
00000000-0000-0000-0000-000000000003,2025-05-11,15000.00,0.00,PHP,1,0
00000000-0000-0000-0000-000000000004,2025-05-11,0.00,15000.00,PHP,0,1
"""
