"""The source and history of payments from CSV, Kafka and the seeds; and pages while payments arrive."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from fcgraph import db, intake
from fcgraph.api.graphql.scalars import read_date_time
from fcgraph.intake import Source, Writer
from fcgraph.settings import Settings
from tests.api.cases import ALICE, BOB
from tests.api.client import Api
from tests.api.test_imports import HEADER, accepted, run

PAYMENT = """query($id: UUID!) { payment(transactionId: $id) {
  status recordedAt source { kind importId lineNumber topic partition offset }
  history { revision status recordedAt source { kind importId lineNumber topic partition offset } } } }"""
PAGE = """query($first: Int, $after: String, $last: Int, $before: String) {
  payments(first: $first, after: $after, last: $last, before: $before) {
    nodes { transactionId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
NOWHERE = dict.fromkeys(("importId", "lineNumber", "topic", "partition", "offset"))


def payment(n: int, minute: int = 0, status: str = "completed") -> dict[str, str | None]:
    return {
        "transaction_id": transaction_id(n),
        "sender_id": ALICE,
        "receiver_id": BOB,
        "amount": "1.00",
        "currency": "USD",
        "timestamp": f"2025-05-10T08:{minute:02}:00Z",
        "status": status,
    }


def transaction_id(n: int) -> str:
    return f"a1b2c3d4-e5f6-7a8b-9c0d-{n:012}"


@pytest.fixture
def writer(api: Api, api_settings: Settings) -> Any:
    made = Writer(api.app.state.resources.engine, api_settings)
    yield made
    made.close()


def test_history_through_all_three_channels(api: Api, api_settings: Settings, writer: Writer) -> None:
    """A seed payment whose status a Kafka message advances; another payment from CSV."""
    writer.submit_rows([payment(1, status="pending")], correlation_id="seed")
    message = (3, 41, json.dumps(payment(1)).encode())
    with db.write(api.app.state.resources.engine) as connection:
        topic = intake.topic_ref(connection, "cluster", "transactions", "id")
    writer.submit_messages([message], Source("KAFKA", topic_ref=topic), "kafka")
    writer.drain()
    text = HEADER + ",".join(str(v) for v in payment(2).values()) + "\n"
    import_id = accepted(api, source={"text": text})
    run(api_settings, api, import_id)

    seed = NOWHERE | {"kind": "SEED"}
    kafka = NOWHERE | {"kind": "KAFKA", "topic": "transactions", "partition": 3, "offset": "41"}
    csv = NOWHERE | {"kind": "CSV", "importId": import_id, "lineNumber": "2"}
    first = api.ask(PAYMENT, id=transaction_id(1))["payment"]
    assert (first["status"], first["source"]) == ("COMPLETED", seed)
    assert [(r["revision"], r["status"], r["source"]) for r in first["history"]] == [
        (1, "PENDING", seed),
        (2, "COMPLETED", kafka),
    ]
    assert first["history"][0]["recordedAt"] <= first["history"][1]["recordedAt"]
    second = api.ask(PAYMENT, id=transaction_id(2))["payment"]
    assert second["source"] == csv
    assert second["history"] == [
        {"revision": 1, "status": "COMPLETED", "recordedAt": second["recordedAt"], "source": csv}
    ]


def walked(api: Api, writer: Writer, more: list[dict[str, str | None]], **page: int) -> list[list[str]]:
    """All pages of two rows, one after the other; payments arrive after the first page."""
    backwards = "last" in page
    cursor, pages = None, []
    while True:
        found = api.ask(PAGE, **page, **{"before" if backwards else "after": cursor})["payments"]
        info = found["pageInfo"]
        pages.append([p["transactionId"] for p in found["nodes"]])
        assert info["hasNextPage" if backwards else "hasPreviousPage"] is (cursor is not None)
        if not info["hasPreviousPage" if backwards else "hasNextPage"]:
            return pages
        cursor = info["startCursor" if backwards else "endCursor"]
        if len(pages) == 1:
            writer.submit_rows(more, correlation_id="more")


def test_forwards_nothing_moves_while_payments_arrive(api: Api, writer: Writer) -> None:
    writer.submit_rows([payment(n, n) for n in range(6)], correlation_id="first")
    # Newer than all, and with the timestamp of the page's last row but before it in the list.
    pages = walked(api, writer, [payment(50, 50), payment(51, 51), payment(9, 4)], first=2)
    assert pages == [[transaction_id(n) for n in page] for page in ((5, 4), (3, 2), (1, 0))]


def test_backwards_nothing_moves_while_payments_arrive(api: Api, writer: Writer) -> None:
    writer.submit_rows([payment(n, n + 10) for n in range(6)], correlation_id="first")
    # Older than all, and with the timestamp of the page's first row but after it in the list.
    older = payment(1, 11) | {"transaction_id": "01b2c3d4-e5f6-7a8b-9c0d-000000000000"}
    pages = walked(api, writer, [payment(50, 0), payment(51, 1), older], last=2)
    assert pages == [[transaction_id(n) for n in page] for page in ((1, 0), (3, 2), (5, 4))]


def test_what_arrives_further_on_is_on_its_page(api: Api, writer: Writer) -> None:
    writer.submit_rows([payment(n, n * 2) for n in range(4)], correlation_id="first")
    pages = walked(api, writer, [payment(9, 1)], first=2)
    assert pages == [[transaction_id(n) for n in page] for page in ((3, 2), (1, 9), (0,))]


@pytest.mark.parametrize("field", ["payments", "users", "importJobs", "intakeRecords", "reportFiles"])
def test_a_total_is_counted_only_when_requested_for(demo: Api, monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    statements: list[str] = []
    fetch = type(demo.app.state.resources.reader).fetch

    async def noted(self: Any, statement: Any) -> Any:
        statements.append(statement.sql)
        return await fetch(self, statement)

    monkeypatch.setattr(type(demo.app.state.resources.reader), "fetch", noted)
    demo.ask(f"{{ {field} {{ edges {{ cursor }} pageInfo {{ hasNextPage }} }} }}")
    assert statements
    assert not any("SELECT count(*) FROM" in sql for sql in statements)
    statements.clear()
    assert demo.ask(f"{{ {field} {{ totalCount }} }}")[field]["totalCount"] >= 0
    assert any("SELECT count(*) FROM" in sql for sql in statements)


@pytest.mark.parametrize(
    "text",
    [
        "2025-05-31T12:00:00",
        "2025-05-31",
        "2025-05-31 12:00:00Z",
        "2025-02-30T00:00:00Z",
        "2025-05-31T12:00Z",
        "now",
        1,
        None,
    ],
)
def test_a_moment_without_an_offset_is_no_moment(text: object) -> None:
    with pytest.raises(ValueError, match="Not a"):
        read_date_time(text)


def test_a_moment_with_an_offset_is_that_moment() -> None:
    assert read_date_time("2025-05-31T12:00:00+08:00").utcoffset() == timedelta(hours=8)
    assert read_date_time("2025-05-31t04:00:00z") == read_date_time("2025-05-31T12:00:00+08:00")
